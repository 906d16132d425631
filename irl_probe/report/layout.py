"""What a section of the page is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup
from matplotlib.axes import Axes

from irl_probe.report.svg import inline_svg
from irl_probe.report.tables import Table


@dataclass(frozen=True)
class Figure:
    """A drawn figure, what to look for in it, and the data attributes that the page's controls select it by.

    `kind` is what the page's script knows it by: "episodes" can be brushed, "trace" follows the brush.
    """

    svg: Markup
    caption: str
    select: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A headed part of the page. `controls` maps a data attribute to the labels one can choose from, default first."""

    key: str
    heading: str
    intro: str
    items: Sequence[Figure | Table] = ()
    controls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    more: Sequence[Figure] = ()
    layout: Literal["pairs", "thirds", "plain"] = "pairs"


def draw(ax: Axes, key: str, alt: str, caption: str, *, kind: str = "", **select: str) -> Figure:
    """The figure of `ax`; `key` is unique on the page."""
    return Figure(inline_svg(ax, key, alt), caption, select, kind)
