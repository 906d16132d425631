"""The figures of distances, decompositions and transfer; `irl_probe.report.plots` has all figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from irl_probe.report import marks
from irl_probe.report.marks import Floats
from irl_probe.report.palette import (
    BLUE,
    DASHES,
    FONT,
    GREEN,
    INK,
    LONGEST,
    MUTED,
    PAPER,
    PURPLE,
    VERMILION,
    label_width,
    legend_above,
    literal,
    plain_axes,
)
from irl_probe.results.digits import fixed

PARTS = {
    "scale": (GREEN, ""),
    "potential": (BLUE, "///"),
    "redistribution": (PURPLE, "..."),
    "residual": (VERMILION, "xx"),
}
SERIES = ((BLUE, "o"), (VERMILION, "s"), (PURPLE, "D"), (GREEN, "^"), (MUTED, "P"), (INK, "X"))
METRICS = {
    "epic": "EPIC", "dard": "DARD", "starc_val": "STARC value", "starc_val_potential": "STARC value p.",
    "starc_minimal": "STARC minimal", "npec": "NPEC", "regret": "regret", "erc": "ERC",
}  # fmt: skip


def distance_heatmap(
    distance: xr.Dataset, metric: str | None = None, *, coverage: str | None = None, ax: Axes | None = None
) -> Axes:
    """Distances as cells, colour and number in each: reward × reward under one metric, or reward × metric.

    Where there is one reference only, or `metric` is None, the columns are the metrics, against the first reference. A
    light cell is near, a dark one far; an undefined one is blank, and a metric that no reward has is left out. The
    colours run from 0 to the metric's range: 2 for STARC, 1 for the others.
    """
    at = distance["value"].sel(bound="estimate")
    at = at.sel(coverage=coverage) if coverage is not None else at.isel(coverage=0)
    at = at.sel(metric=_known(at))
    square = metric is not None and at.sizes["reference"] > 1
    cells = at.sel(metric=metric) if square else at.isel(reference=0)
    across = "reference" if square else "metric"
    cells = cells.transpose("reward", across)
    rows = [str(r) for r in cells["reward"].values]
    columns = [str(c) if square else METRICS.get(str(c), str(c)) for c in cells[across].values]
    slanted = 0.6 * label_width(columns)
    width = max(4.4, label_width(rows) + 0.5 * len(columns) + slanted)
    height = 0.6 + slanted + 0.32 * len(rows)
    ax = plain_axes(ax, width, height, grid="none", left=label_width(rows), right=slanted, top=slanted + 0.1)
    values = cells.values.astype(np.float64)
    reach = [_range(str(metric))] * len(columns) if square else [_range(str(m)) for m in cells["metric"].values]
    shade = values / np.array(reach)
    ax.pcolormesh(np.ma.masked_invalid(shade), cmap="cividis_r", vmin=0, vmax=1, edgecolors=PAPER, linewidth=1.2)
    for (row, column), value in np.ndenumerate(values):
        known = bool(np.isfinite(value))
        text = (fixed(value).removeprefix("0") if value else "0") if known else "–"
        colour = MUTED if not known else "#ffffff" if shade[row, column] > 0.5 else "#111111"
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=FONT - 0.5, color=colour)
    marks.rows(ax, rows)
    ax.set_yticks(np.arange(len(rows)) + 0.5, [tick.get_text() for tick in ax.get_yticklabels()])
    ax.set_ylim(len(rows), 0)
    ax.xaxis.tick_top()
    ax.set_xticks(np.arange(len(columns)) + 0.5, [literal(c[:LONGEST]) for c in columns], rotation=35, ha="left")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(
        f"{METRICS.get(str(metric), metric)} (no unit)" if square else "distance to the true reward (no unit)"
    )
    return ax


def _known(distances: xr.DataArray) -> list[str]:
    """The metrics that are defined for some reward; all of them where none is."""
    metrics = [str(m) for m in distances["metric"].values]
    known = [m for m in metrics if distances.sel(metric=m).notnull().any()]
    return known or metrics


def _range(metric: str) -> float:
    """The largest distance that a metric knows."""
    return 2.0 if metric.startswith("starc") else 1.0


def distance_forest(distance: xr.Dataset, *, coverage: str | None = None, ax: Axes | None = None) -> Axes:
    """Every distance to the first reference with its interval, by reward and metric; 0 is equivalent.

    A metric that is undefined for all rewards is left out.

    Where the measure was calibrated, the hollow diamonds are what it says of the truth with shaping added (left, should
    be 0) and of an independent random reward (right): a figure tells something only between the two.
    """
    at = distance.isel(reference=0)
    at = at.sel(coverage=coverage) if coverage is not None else at.isel(coverage=0)
    rewards, metrics = [str(r) for r in at["reward"].values], _known(at["value"])
    shown = {m: METRICS.get(m, m) for m in metrics}
    labels: list[str] = []
    ax = plain_axes(
        ax, 4.4, 0.8 + 0.22 * len(metrics) * (len(rewards) + 1), grid="x", left=label_width([*rewards, *shown.values()])
    )
    for metric in metrics:
        labels.append(shown[metric])
        for name in ("shaped", "random"):
            if name in at:
                marks.interval(ax, at[name].sel(metric=metric).values, len(labels) - 1, MUTED, "D", hollow=True)
        for reward in rewards:
            bounds = at["value"].sel(reward=reward, metric=metric).values
            marks.interval(ax, bounds, len(labels), BLUE, "o")
            if np.isnan(bounds[0]):
                ax.text(0.02, len(labels), "undefined", color=MUTED, fontsize=FONT - 1, va="center", style="italic")
            labels.append(reward)
    marks.rows(ax, labels)
    for tick, label in zip(ax.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if label in shown.values() else "normal")
    ax.plot([], [], "o", color=BLUE, markersize=5, label="reward")
    if "shaped" in at or "random" in at:
        ax.plot([], [], "D", color=MUTED, markerfacecolor=PAPER, markersize=5, label="calibration: shaping, random")
    legend_above(ax, 2)
    ax.set_xlim(left=min(0.0, ax.get_xlim()[0]) - 0.02)
    ax.set_xlabel("distance to the true reward (no unit)")
    return ax


def decomposition_bars(decomposition: xr.Dataset, *, coverage: str | None = None, ax: Axes | None = None) -> Axes:
    """Each reward's variance as a stacked bar: the truth's scale, shaping, redistribution, and what is left.

    Shares sum to 1; parts that cancel each other have negative shares, and stand left of 0.
    """
    at = decomposition["value"].isel(reference=0).sel(bound="estimate")
    at = at.sel(coverage=coverage) if coverage is not None else at.isel(coverage=0)
    rewards = [str(r) for r in at["reward"].values]
    ax = plain_axes(ax, 4.4, 0.85 + 0.36 * len(rewards), grid="x", left=label_width(rewards))
    for row, reward in enumerate(rewards):
        right = left = 0.0
        for part in (str(p) for p in at["part"].values):
            share = float(np.nan_to_num(at.sel(reward=reward, part=part)))
            colour, hatch = PARTS.get(part, (MUTED, ""))
            start = right if share >= 0 else left
            ax.barh(row, share, left=start, height=0.62, color=colour, hatch=hatch, edgecolor=PAPER, linewidth=0.6)
            right, left = (right + share, left) if share >= 0 else (right, left + share)
        if np.isnan(at.sel(reward=reward)).all():
            ax.text(0.02, row, "undefined", color=MUTED, fontsize=FONT - 1, va="center", style="italic")
    ax.axvline(0, color=MUTED, linewidth=1.0)
    marks.rows(ax, rewards)
    names = {"potential": "shaping", "residual": "unexplained"}
    for part in (str(p) for p in at["part"].values):
        colour, hatch = PARTS.get(part, (MUTED, ""))
        ax.barh(0, 0, height=0.0, color=colour, hatch=hatch, edgecolor=PAPER, label=literal(names.get(part, part)))
    legend_above(ax, 4)
    left, right = ax.get_xlim()
    ax.set_xlim(min(left, -0.02), max(right, 1.02))  # all the variance is in sight, even where no share is known
    ax.set_xlabel("share of the recovered reward's variance (no unit)")
    return ax


def transfer_slopes(transfer: xr.Dataset, *, policies: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Normalised true return as slopes: a line a policy over the changes of the environment, with intervals.

    0 is random and 1 a policy trained on the true reward there. A line that falls away is a reward (or, for "carried
    over", a policy) that does not transfer.
    """
    shown = [str(p) for p in transfer["policy"].values] if policies is None else list(policies)
    shown = [p for p in shown if p not in ("random", "true reward")]
    variants = [str(v) for v in transfer["variant"].values]
    ax = plain_axes(ax, max(4.4, 1.2 + 0.62 * len(variants)), 3.2, grid="y", bottom=0.25 + 0.6 * label_width(variants))
    for value in (0.0, 1.0):
        ax.axhline(value, color=MUTED, linewidth=1.0, linestyle=DASHES)
    place = np.arange(len(variants), dtype=np.float64)
    for number, policy in enumerate(shown):
        carried = policy == "carried over"
        colour, marker = (INK, "v") if carried else SERIES[number % len(SERIES)]
        bounds: Floats = transfer["value"].sel(policy=policy).transpose("variant", "bound").values
        where = place + 0.08 * (number - (len(shown) - 1) / 2)
        style = ":" if carried else "-"
        ax.plot(where, bounds[:, 0], marker=marker, color=colour, linestyle=style, linewidth=1.4, markersize=4.5,
                label=literal(policy))  # fmt: skip
        ax.vlines(where, bounds[:, 1], bounds[:, 2], color=colour, linewidth=1.2, alpha=0.7)
    ax.set_xticks(place, [literal(v[:LONGEST]) for v in variants], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_ylabel("normalised true return")
    ax.set_xlabel("")
    ax.set_xlim(-0.4, len(variants) - 0.6)
    legend_above(ax, 3)
    return ax
