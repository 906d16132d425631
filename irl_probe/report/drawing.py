"""The parts of figures, drawn on a given Axes: intervals, dots, density, fits, notes; and figures as inline SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Literal

import matplotlib
import numpy as np
import xarray as xr
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from irl_probe._types import Floats

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
LONGEST = 28  # letters of a row label; longer ones are cut
BOTTOM = 0.48  # inches below the Axes: tick labels and the axis label
MOST_MARKS = 400  # more points than this are drawn as density, or thinned if each has its own colour


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
    """`ax`, or the Axes of a new figure of width × height inches, without a box and with a faint grid.

    The margins `left`, `right`, `top` and `bottom` are also in inches. They are fixed, because matplotlib's layout
    engines draw every figure twice, and because panels side by side should align.

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
    """`text` with dollar signs escaped, so that matplotlib draws them and does not read a formula."""
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


def interval(ax: Axes, bounds: Floats, row: float, colour: str, marker: str, *, hollow: bool = False) -> None:
    """A marker at the estimate and a line from low to high; nothing if the estimate is undefined."""
    estimate, low, high = (float(b) for b in bounds)
    if not np.isfinite(estimate):
        return
    if np.isfinite(low) and np.isfinite(high):
        ax.plot([low, high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    face = PAPER if hollow else colour
    ax.plot([estimate], [row], marker, color=colour, markerfacecolor=face, markeredgecolor=colour, markersize=4.5)


def name_rows(ax: Axes, labels: list[str]) -> None:
    """Name the rows 0, 1, ... from the top down."""
    ax.set_yticks(
        np.arange(len(labels)),
        [literal(f"{label[: LONGEST - 1]}…" if len(label) > LONGEST else label) for label in labels],
    )
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def episode_dots(ax: Axes, true: Floats, recovered: Floats, lengths: Floats) -> None:
    """One dot for each episode, coloured by length if lengths differ."""
    shown = thin(np.arange(len(true)))
    if np.ptp(lengths) == 0:
        ax.plot(true[shown], recovered[shown], "o", color=BLUE, alpha=0.6, markersize=4, markeredgewidth=0, gid=DOTS)
        return
    colours = ListedColormap(matplotlib.colormaps["cividis"](np.linspace(0.12, 1.0, 10)))
    dots = ax.scatter(
        true[shown], recovered[shown], c=lengths[shown], cmap=colours, s=16, edgecolors=MUTED, linewidths=0.4, gid=DOTS
    )
    colour_bar(ax, dots, "episode length (steps)")


def density(ax: Axes, true: Floats, recovered: Floats) -> None:
    """Hexagons over most of the points; a note counts the outliers, which would compress the rest."""
    (left, right), (low, high) = bulk(true), bulk(recovered)
    inside = (true >= left) & (true <= right) & (recovered >= low) & (recovered <= high)
    ax.hexbin(
        true[inside], recovered[inside], gridsize=22, bins="log", mincnt=1, cmap=DENSITY, linewidths=0,
        edgecolors="none", extent=(left, right, low, high),
    )  # fmt: skip
    if outside := int((~inside).sum()):
        note(ax, f"{outside:,} of {len(true):,} lie outside the axes")


def bulk(values: Floats) -> tuple[float, float]:
    """Full range, or the central 99 % padded by half its width if the full range is more than four times as wide."""
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(q) for q in np.quantile(values, [0.005, 0.995]))
    if high - low > 4 * (inner_high - inner_low) > 0:
        pad = (inner_high - inner_low) / 2
        low, high = max(low, inner_low - pad), min(high, inner_high + pad)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def fit(ax: Axes, true: Floats, recovered: Floats) -> None:
    """The least-squares line of recovered on true, without changing the limits."""
    spread = true - true.mean()
    if (power := float(spread @ spread)) > 0:
        slope = float(spread @ recovered) / power
        limits = ax.get_xlim(), ax.get_ylim()
        ax.axline((true.mean(), recovered.mean()), slope=slope, color=VERMILION, linestyle=DASHES, linewidth=1.2)
        ax.set(xlim=limits[0], ylim=limits[1])


def colour_bar(ax: Axes, mappable: ScalarMappable, label: str) -> None:
    """A colour bar in the margin right of the Axes."""
    box = ax.inset_axes((1.03, 0.0, 0.035, 1.0))
    bar = ax.figure.colorbar(mappable, cax=box)
    bar.set_label(label, fontsize=FONT, color=INK)
    bar.ax.tick_params(labelsize=FONT - 1, labelcolor=INK, color=MUTED, length=2)
    bar.outline.set_visible(False)


def note(ax: Axes, text: str) -> Axes:
    """A remark above the Axes."""
    ax.set_title(text, fontsize=FONT - 0.5, color=MUTED, style="italic", loc="left")
    return ax


def thin(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """At most `MOST_MARKS` of the values, evenly chosen."""
    return values[np.linspace(0, len(values) - 1, MOST_MARKS).astype(int)] if len(values) > MOST_MARKS else values


def finite(values: Floats) -> Floats:
    """The values that are neither NaN nor infinite."""
    return values[np.isfinite(values)]


def units(variable: xr.DataArray) -> str:
    """The unit of a variable, in brackets, to follow its name."""
    return f" ({variable.attrs['units']})" if "units" in variable.attrs else ""


FAMILY = re.compile(r" *font-family: [^;\"]*;?")
ATTRIBUTE = re.compile(r'="[^"]*"')
LONG_DECIMAL = re.compile(r"(\.\d\d)\d+")
PLACE = re.compile(r'(?<= [dxy]=)"[^"]*"')  # in points: a tenth of one is finer than a pixel
PLACE_DECIMAL = re.compile(r"(\.\d)\d+")
COLOUR = re.compile("|".join(THEME))


def inline_svg(ax: Axes, identifier: str, alt: str) -> Markup:
    """The figure of `ax` as an `<svg role="img">` that scales with its box and has a name for screen readers.

    Every id is prefixed with `identifier` (unique on the page), the colours of THEME become CSS variables,
    and text stays text in the page's font. matplotlib escapes what it draws; `alt` is escaped here.
    """
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("An Axes must be on a figure to be drawn; this one was removed from its figure.")
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": identifier}), warnings.catch_warnings():
        # The browser draws the text with its own fonts, so a glyph that matplotlib's font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]  # matplotlib gives it no types
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = text.replace(f'<g id="{DOTS}">', f'<g class="{DOTS}">')
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r'(\sid="|xlink:href="#|url\(#)', rf"\g<1>{identifier}-", text)
    text = re.sub(
        r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL
    )  # this style would apply to the whole page
    text = ATTRIBUTE.sub(lambda match: LONG_DECIMAL.sub(r"\1", re.sub(r"\s+", " ", match.group())), text)
    text = PLACE.sub(lambda match: PLACE_DECIMAL.sub(r"\1", match.group()), text)
    text = FAMILY.sub("", text)  # the page's style sheet has the family
    text = COLOUR.sub(lambda match: f"var({THEME[match.group()]})", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = _smaller(text, identifier)
    return Markup(text.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1))  # matplotlib's own markup


def _smaller(text: str, identifier: str) -> str:
    """The same drawing in fewer bytes, because a page holds dozens of drawings."""
    text = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", text)
    text = re.sub(r'(<use [^>]*?) clip-path="[^"]*"', r"\1", text)  # marks are inside the axes anyway
    text = re.sub(r'<g(?: clip-path="[^"]*")?>\s*(<use [^>]*/>)\s*</g>', r"\1", text)
    text = re.sub(r'style="[^"]*"', lambda match: re.sub(r"([:;]) +", r"\1", match.group()), text)
    text = text.replace("xlink:href=", "href=").replace(' xmlns:href="http://www.w3.org/1999/xlink"', "")
    text = re.sub(r' (xmlns(:xlink)?|version)="[^"]*"', "", text)  # an HTML page does not need them
    names = dict.fromkeys(re.findall(r' id="([^"]*)"', text))
    short = {name: f"{identifier}-{number}" for number, name in enumerate(names)}
    text = re.sub(
        r'(?<= id=")[^"]*(?=")|(?<=")#[^"]*(?=")|(?<=url\(#)[^)]*', lambda m: _renamed(m.group(), short), text
    )
    while (bare := re.sub(r"<g>\s*</g>", "", text)) != text:
        text = bare
    return re.sub(r"\n\s*", "\n", text)


def _renamed(name: str, short: dict[str, str]) -> str:
    return f"#{short.get(name[1:], name[1:])}" if name.startswith("#") else short.get(name, name)
