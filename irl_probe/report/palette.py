"""Colours that survive colour blindness and both themes, and the one plain Axes every plot starts from.

The hues are Okabe and Ito's (2008). Each colour here is drawn as it stands in PNG and paper figures; in the page it
becomes a CSS variable (`THEME`), so that one figure serves light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

INK, MUTED, RULE, PAPER = "#1b1f24", "#5c6670", "#d9dde1", "#fdfdfc"
BLUE, VERMILION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#aa4499"

THEME = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PAPER: "--paper",
    BLUE: "--blue",
    VERMILION: "--vermilion",
    GREEN: "--green",
    PURPLE: "--purple",
}

DENSITY = LinearSegmentedColormap.from_list("density", [to_rgba(BLUE, 0.15), to_rgba(BLUE, 1.0)], N=12)

DOTS = "episodes"  # the group of dots that the page's script lets one brush
DASHES = (0, (4, 2))
FONT = 8.5  # points
LONGEST = 28  # letters of a row label before it is cut
BOTTOM = 0.48  # inches below the Axes: tick labels and the axis label


def plain_axes(
    ax: Axes | None,
    width: float,
    height: float,
    *,
    grid: Literal["both", "x", "y", "none"] = "both",
    left: float = 0.72,
    right: float = 0.12,
    top: float = 0.3,
    bottom: float = BOTTOM,
) -> Axes:
    """`ax`, or the Axes of a new figure of width × height inches, without box and with a faint grid.

    The margins `left`, `right`, `top` and `bottom` are in inches too. They are set, not searched for: matplotlib's
    layout engines draw every figure twice, and panels side by side should align.

    The figure belongs to the Axes alone (matplotlib's pyplot and its settings are not touched): save it with
    `ax.figure.savefig("name.svg")`.
    """
    if ax is None:
        figure = Figure(figsize=(width, height), dpi=200)
        figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)
        ax = figure.add_subplot()
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=FONT - 0.5, labelcolor=INK, color=MUTED, length=3)
    ax.xaxis.label.set(fontsize=FONT, color=INK)
    ax.yaxis.label.set(fontsize=FONT, color=INK)
    ax.set_axisbelow(True)
    if grid != "none":
        ax.grid(axis=grid, color=RULE, linewidth=0.6)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    return ax


def literal(text: object) -> str:
    """`text` as matplotlib should draw it: a dollar sign is a dollar sign, not the start of a formula."""
    return str(text).replace("$", r"\$")


def label_width(labels: Sequence[str]) -> float:
    """Inches that the longest of these row labels needs at most, with its distance from the Axes."""
    return 0.15 + min(max(map(len, labels), default=0), LONGEST) * 0.62 * FONT / 72


def legend_above(ax: Axes, columns: int) -> None:
    """The legend in one row above the Axes, where it hides no data."""
    ax.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=FONT - 0.5,
        labelcolor=INK,
        handletextpad=0.4,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
