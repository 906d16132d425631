"""What the figures are drawn with: intervals, dots, density, fits and notes on a given Axes."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from irl_probe.report.palette import BLUE, DASHES, DENSITY, DOTS, FONT, INK, LONGEST, MUTED, PAPER, VERMILION, literal

Floats = NDArray[np.float64]

MOST_MARKS = 400  # more points than this are drawn as density, or thinned where each has its own colour


def interval(ax: Axes, bounds: Floats, row: float, colour: str, marker: str, *, hollow: bool = False) -> None:
    """A marker at the estimate and a line from low to high; nothing where the estimate is undefined."""
    estimate, low, high = (float(b) for b in bounds)
    if not np.isfinite(estimate):
        return
    if np.isfinite(low) and np.isfinite(high):
        ax.plot([low, high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
    face = PAPER if hollow else colour
    ax.plot([estimate], [row], marker, color=colour, markerfacecolor=face, markeredgecolor=colour, markersize=4.5)


def rows(ax: Axes, labels: list[str]) -> None:
    """Name the rows 0, 1, ... from the top down."""
    ax.set_yticks(
        np.arange(len(labels)),
        [literal(f"{label[: LONGEST - 1]}…" if len(label) > LONGEST else label) for label in labels],
    )
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def episode_dots(ax: Axes, true: Floats, recovered: Floats, lengths: Floats) -> None:
    """A dot an episode, coloured by length where lengths differ."""
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
    """Hexagons over the bulk of the points, and a note on how many lie outside where a few would squash the rest."""
    (left, right), (low, high) = bulk(true), bulk(recovered)
    inside = (true >= left) & (true <= right) & (recovered >= low) & (recovered <= high)
    ax.hexbin(
        true[inside], recovered[inside], gridsize=22, bins="log", mincnt=1, cmap=DENSITY, linewidths=0,
        edgecolors="none", extent=(left, right, low, high),
    )  # fmt: skip
    if outside := int((~inside).sum()):
        note(ax, f"{outside:,} of {len(true):,} lie outside the axes")


def bulk(values: Floats) -> tuple[float, float]:
    """Full range, or the central 99 % padded by half its width where the full range is more than four times as wide."""
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
    """The unit of a variable as it stands behind its name."""
    return f" ({variable.attrs['units']})" if "units" in variable.attrs else ""
