"""The figures of the page: each function takes a group of the results and returns a matplotlib Axes.

Every function draws on `ax`, or on a new figure if none is given, and changes no global setting:
`reward_scatter(tree["points/expert"].dataset, "iq", "episode").figure.savefig("scatter.svg")`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from irl_probe._names import CARRIED_OVER, CLONED, EXPERT, LEARNED, RANDOM, RETRAINED, TRUE_REWARD
from irl_probe._types import Floats, Ints
from irl_probe.metrics import stratified_bootstrap
from irl_probe.report.drawing import (
    BLUE,
    DASHES,
    FONT,
    GREEN,
    INK,
    LONGEST,
    MOST_MARKS,
    MUTED,
    PAPER,
    PURPLE,
    VERMILION,
    colour_bar,
    density,
    episode_dots,
    finite,
    fit,
    interval,
    label_width,
    legend_above,
    literal,
    name_rows,
    note,
    plain_axes,
    thin,
    units,
)
from irl_probe.results import retraining_share
from irl_probe.results.files import fixed

__all__ = [
    "aggregate",
    "correlation_forest",
    "decomposition_bars",
    "diagnostic",
    "distance_forest",
    "distance_heatmap",
    "episode_trace",
    "grid_heatmap",
    "learning_curve",
    "retraining_by_reward",
    "returns_by_policy",
    "reward_scatter",
    "transfer_slopes",
]

Level = Literal["step", "partial", "episode"]
MOST_STEPS = 300  # of one episode, for a line that can still be read
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
POLICY_COLOURS = {EXPERT: GREEN, LEARNED: BLUE, RETRAINED: VERMILION, CLONED: PURPLE, RANDOM: MUTED}


def reward_scatter(points: xr.Dataset, reward: str, level: Level, *, window: int = 20, ax: Axes | None = None) -> Axes:
    """True against recovered reward at a level, after IQ-Learn's figures.

    More than 400 points are drawn as density (hexagons, logarithmic counts). Episodes are coloured by their length: if
    the dots rise only with their colour, the relation is one of length. If the true reward is the same at every point,
    the distribution of the recovered one is drawn instead. The dashed line is the least-squares fit.
    """
    episode = points["episode"].values.astype(np.int64)
    true = aggregate(points["true"].values.astype(np.float64), episode, level, window)
    recovered = aggregate(points["recovered"].sel(reward=reward).values.astype(np.float64), episode, level, window)
    known = np.isfinite(true) & np.isfinite(recovered)
    true, recovered = true[known], recovered[known]
    ax = plain_axes(ax, 4.4, 3.0, right=0.75 if level == "episode" else 0.12)
    what = {"step": "reward per step", "partial": f"reward per {window} steps", "episode": "return per episode"}
    ax.set_ylabel(f"recovered {what[level]} (reward units)")
    if len(true) == 0:
        return note(ax, "no finite points")
    if np.ptp(true) <= 1e-12 * np.abs(true).max(initial=1.0):
        ax.hist(recovered, bins=40, orientation="horizontal", color=BLUE, alpha=0.7)
        ax.set_xlabel({"step": "steps", "partial": "blocks", "episode": "episodes"}[level])
        return note(ax, f"the true {what[level]} is always {true[0]:g}".replace("-", "−"))
    ax.set_xlabel(f"true {what[level]} (reward units)")
    if level == "episode":
        lengths = aggregate(np.ones(len(episode)), episode, level)[known]
        episode_dots(ax, true, recovered, lengths)
    elif len(true) > MOST_MARKS:
        density(ax, true, recovered)
    else:
        ax.plot(true, recovered, "o", color=BLUE, alpha=0.5, markersize=3.5, markeredgewidth=0)
    fit(ax, true, recovered)
    return ax


def episode_trace(points: xr.Dataset, reward: str, *, ax: Axes | None = None) -> Axes:
    """True and recovered reward along the episode of median true return, each in standard deviations from its mean.

    It draws at most the first 300 steps.
    """
    episode = points["episode"].values.astype(np.int64)
    totals = aggregate(points["true"].values.astype(np.float64), episode, "episode")
    labels = episode[block_starts(episode, "episode", 1)]
    chosen = episode == labels[np.argsort(totals, kind="stable")[len(totals) // 2]]
    ax = plain_axes(ax, 4.4, 3.0)
    for name, values, colour in (
        ("true reward", points["true"].values[chosen], MUTED),
        ("recovered reward", points["recovered"].sel(reward=reward).values[chosen], BLUE),
    ):
        known = finite(values)
        spread = known.std() if known.size else 0.0
        scaled = (values - (known.mean() if known.size else 0.0)) / (spread if spread > 0 else 1.0)
        ax.plot(scaled[:MOST_STEPS], color=colour, linewidth=2.4 if colour == MUTED else 1.1, label=name)
    ax.set(xlabel="time in the episode (environment steps)", ylabel="reward (standard deviations)")
    legend_above(ax, 2)
    return ax


def correlation_forest(
    correlation: xr.Dataset, reward: str, metric: str, *, reference: str | None = None, ax: Axes | None = None
) -> Axes:
    """One metric's correlations by coverage and level: raw, length controlled, and a constant reward's."""
    reference = reference or str(correlation["reference"].values[0])
    values = correlation["value"].sel(reward=reward, metric=metric, reference=reference)
    coverages = [str(c) for c in values["coverage"].values]
    levels = [str(v) for v in values["level"].values]
    height = 0.8 + 0.26 * len(coverages) * (len(levels) + 1)
    ax = plain_axes(ax, 4.4, height, grid="x", left=label_width([*coverages, *levels]))
    ax.axvline(0, color=MUTED, linewidth=1.0)
    kinds = {
        "constant": (0.24, MUTED, "D", "constant reward"),
        "length": (0.0, VERMILION, "s", "length controlled"),
        "none": (-0.24, BLUE, "o", "raw"),
    }
    labels: list[str] = []
    for coverage in coverages:
        labels.append(coverage)
        for level in levels:
            row = len(labels)
            labels.append(level)
            for control, (offset, colour, marker, _) in kinds.items():
                if control in values["control"].values:
                    bounds = values.sel(coverage=coverage, level=level, control=control).values
                    interval(ax, bounds, row + offset, colour, marker, hollow=control == "constant")
            if np.isnan(values.sel(coverage=coverage, level=level, control="none", bound="estimate")):
                ax.text(0.03, row, "undefined", color=MUTED, fontsize=FONT - 1, va="center", style="italic")
    name_rows(ax, labels)
    for tick, label in zip(ax.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("normal" if label in levels else "bold")
    for _, colour, marker, name in reversed(kinds.values()):
        hollow = marker == "D"
        face = PAPER if hollow else colour
        ax.plot([], [], marker, color=colour, markerfacecolor=face, markersize=5, label=name)
    ax.set(xlim=(-1.06, 1.06), xlabel=f"{metric.capitalize()} correlation with the true reward (no unit)")
    legend_above(ax, 3)
    return ax


def returns_by_policy(returns: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """True return of every policy: a dot for each episode, and the mean with its interval."""
    policies = [str(p) for p in returns["policy"].values]
    ax = plain_axes(ax, 4.4, 0.75 + 0.42 * len(policies), grid="x", left=label_width(policies))
    rng = np.random.default_rng(0)
    for row, policy in enumerate(policies):
        colour = POLICY_COLOURS.get(policy, INK)
        if "returns" in returns:
            values = thin(finite(returns["returns"].sel(policy=policy).values))
            jitter = row + rng.uniform(-0.2, 0.2, len(values))
            ax.plot(values, jitter, "o", color=colour, alpha=0.35, markersize=3, markeredgewidth=0)
        if "mean" in returns:
            interval(ax, returns["mean"].sel(policy=policy).values, row, colour, "D")
    name_rows(ax, policies)
    ax.set_xlabel("true return per episode (reward units)")
    return ax


def retraining_by_reward(retraining: xr.Dataset, *, ax: Axes | None = None) -> Axes:
    """Normalised true return after retraining on each reward: a dot for each seed, the mean with its interval."""
    rewards = [str(r) for r in retraining["reward"].values]
    ax = plain_axes(ax, 4.4, 0.75 + 0.42 * len(rewards), grid="x", left=label_width(rewards))
    for row, reward in enumerate(rewards):
        values = finite(retraining["normalised"].sel(reward=reward).values)
        ax.plot(values, np.full(len(values), row), "o", color=BLUE, alpha=0.5, markersize=5, markeredgewidth=0)
        if len(values):
            interval(ax, np.array(retraining_share(retraining, reward)), row, INK, "D")
    for value in (0.0, 1.0):
        ax.axvline(value, color=MUTED, linewidth=1.0, linestyle=DASHES)
    name_rows(ax, rewards)
    ax.set_xlabel("normalised true return (random 0, expert 1)")
    return ax


def transfer_slopes(transfer: xr.Dataset, *, policies: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Normalised true return in each environment: one line for each policy, with intervals.

    0 is random and 1 a policy trained on the true reward in that environment. A line that falls towards 0 is a reward
    (or, for "carried over", a policy) that does not transfer.
    """
    shown = [str(p) for p in transfer["policy"].values] if policies is None else list(policies)
    shown = [p for p in shown if p not in (RANDOM, TRUE_REWARD)]
    variants = [str(v) for v in transfer["variant"].values]
    ax = plain_axes(ax, max(4.4, 1.2 + 0.62 * len(variants)), 3.2, grid="y", bottom=0.25 + 0.6 * label_width(variants))
    for value in (0.0, 1.0):
        ax.axhline(value, color=MUTED, linewidth=1.0, linestyle=DASHES)
    place = np.arange(len(variants), dtype=np.float64)
    for number, policy in enumerate(shown):
        carried = policy == CARRIED_OVER
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


def distance_forest(distance: xr.Dataset, *, coverage: str | None = None, ax: Axes | None = None) -> Axes:
    """Every distance to the first reference with its interval, by reward and metric; 0 is equivalent.

    A metric that is undefined for all rewards is left out.

    If the measure was calibrated, hollow diamonds show its distance of the truth to the truth with shaping (left,
    should be 0) and to an independent random reward (right). A figure is informative only between the two.
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
        if "random" in at:
            interval(ax, at["random"].sel(metric=metric).values, len(labels) - 1, MUTED, "D", hollow=True)
        for reward in rewards:
            for name in (n for n in ("shaped", "shaped_10") if n in at):
                where = at[name].sel(reward=reward, metric=metric).values
                interval(ax, where, len(labels), MUTED, "D", hollow=True)
            bounds = at["value"].sel(reward=reward, metric=metric).values
            interval(ax, bounds, len(labels), BLUE, "o")
            if np.isnan(bounds[0]):
                ax.text(0.02, len(labels), "undefined", color=MUTED, fontsize=FONT - 1, va="center", style="italic")
            labels.append(reward)
    name_rows(ax, labels)
    for tick, label in zip(ax.get_yticklabels(), labels, strict=True):
        tick.set_fontweight("bold" if label in shown.values() else "normal")
    ax.plot([], [], "o", color=BLUE, markersize=5, label="reward")
    if "shaped" in at or "random" in at:
        ax.plot([], [], "D", color=MUTED, markerfacecolor=PAPER, markersize=5, label="calibration: shaping, random")
    legend_above(ax, 2)
    ax.set_xlim(left=min(0.0, ax.get_xlim()[0]) - 0.02)
    ax.set_xlabel("distance to the true reward (no unit)")
    return ax


def distance_heatmap(
    distance: xr.Dataset, metric: str | None = None, *, coverage: str | None = None, ax: Axes | None = None
) -> Axes:
    """Distances as cells with colour and number: reward × reward under one metric, or reward × metric.

    If there is only one reference, or `metric` is None, the columns are the metrics, against the first reference. A
    light cell is near and a dark one far; an undefined one is blank. A metric that is undefined for all rewards is left
    out. The colours run from 0 to the metric's range: 2 for STARC, 1 for the others.
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
    name_rows(ax, rows)
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
    """The metrics that are defined for some reward, or all of them if none is."""
    metrics = [str(m) for m in distances["metric"].values]
    known = [m for m in metrics if distances.sel(metric=m).notnull().any()]
    return known or metrics


def _range(metric: str) -> float:
    """The largest distance that a metric can take."""
    return 2.0 if metric.startswith("starc") else 1.0


def decomposition_bars(decomposition: xr.Dataset, *, coverage: str | None = None, ax: Axes | None = None) -> Axes:
    """Each reward's variance as a stacked bar: the truth's scale, shaping, redistribution, and what is left.

    Shares sum to 1. A part that cancels another has a negative share, which is drawn left of 0.
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
    name_rows(ax, rewards)
    names = {"potential": "shaping", "residual": "unexplained"}
    for part in (str(p) for p in at["part"].values):
        colour, hatch = PARTS.get(part, (MUTED, ""))
        ax.barh(0, 0, height=0.0, color=colour, hatch=hatch, edgecolor=PAPER, label=literal(names.get(part, part)))
    legend_above(ax, 4)
    left, right = ax.get_xlim()
    ax.set_xlim(min(left, -0.02), max(right, 1.02))  # 0 to 1 is always visible, also if no share is known
    ax.set_xlabel("share of the recovered reward's variance (no unit)")
    return ax


def learning_curve(
    learning: xr.Dataset, *, references: Mapping[str, float] | None = None, ax: Axes | None = None
) -> Axes:
    """True evaluation return while learning, against gradient steps; references as lines.

    One run: its mean return with the interval that was logged. Runs stacked along "seed": their interquartile mean with
    an interval over runs where it has one (`metrics.stratified_bootstrap`), and each run as a faint line.
    """
    ax = plain_axes(ax, 4.4, 3.0)
    returns = learning["return_mean"].dropna("step", how="all")
    if "seed" in returns.dims:
        returns = returns.dropna("step")
        for run in returns.transpose("seed", "step").values:
            ax.plot(returns["step"], run, color=BLUE, linewidth=0.7, alpha=0.35)
        centres = [stratified_bootstrap(v, resamples=1000) for v in returns.transpose("step", "seed").values]
        low, mean, high = (np.array([getattr(c, b) for c in centres]) for b in ("low", "value", "high"))
        steps, label = returns["step"].values, f"interquartile mean of {returns.sizes['seed']} runs"
        ax.fill_between(steps, low, high, color=BLUE, alpha=0.18, linewidth=0)
    else:
        steps, mean, label = returns["step"].values, returns.values, "learned"
        if {"return_low", "return_high"} <= set(learning.data_vars):
            band = learning[["return_low", "return_high"]].dropna("step")
            ax.fill_between(band["step"], band["return_low"], band["return_high"], color=BLUE, alpha=0.18, linewidth=0)
    ax.plot(steps, mean, color=BLUE, linewidth=1.6, label=label, marker="o" if mean.size < 12 else "")
    for name, value in (references or {}).items():
        ax.axhline(value, color=POLICY_COLOURS.get(name, INK), linestyle=DASHES, linewidth=1.1, label=literal(name))
    ax.set(xlabel="training (gradient steps)", ylabel="true return per episode (reward units)")
    legend_above(ax, 4)
    return ax


def diagnostic(learning: xr.Dataset, name: str, *, ax: Axes | None = None) -> Axes:
    """One logged quantity against gradient steps."""
    ax = plain_axes(ax, 3.4, 2.0)
    line = learning[name].dropna("step")
    ax.plot(line["step"], line, color=BLUE, linewidth=1.2)
    ax.set_xlabel("training (gradient steps)")
    ax.set_ylabel(literal(f"{name.replace('_', ' ')}{units(learning[name])}"))
    return ax


def grid_heatmap(values: xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """A tabular grid as (row, col) cells with colour and number; cells without a value (walls) are blank."""
    crowded = values.size > 64
    ax = plain_axes(ax, 3.2, 3.0, grid="none", left=0.5, right=0.7 if crowded else 0.1, top=0.1)
    cells = values.transpose("row", "col").values.astype(np.float64)
    height, width = cells.shape
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(cells), cmap="cividis", edgecolors=PAPER, linewidth=0.8, rasterized=cells.size > 2500
    )
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.spines[:].set_visible(False)
    for axis, count in ((ax.xaxis, width), (ax.yaxis, height)):
        shown = np.arange(0, count, -(-count // 12))
        axis.set_ticks(shown + 0.5, [str(n) for n in shown])
    ax.tick_params(length=0)
    ax.set(xlabel="column", ylabel="row")
    if not crowded:
        lowest, highest = (float(limit or 0.0) for limit in mesh.get_clim())
        digits = 2 if max(abs(lowest), abs(highest)) < 10 else 1 if max(abs(lowest), abs(highest)) < 100 else 0
        for (row, column), value in np.ndenumerate(cells):
            if np.isfinite(value):
                dark = value < lowest + 0.55 * (highest - lowest)
                ax.text(
                    column + 0.5, row + 0.5, f"{value:.{digits}f}".replace("-", "−"), ha="center", va="center",
                    fontsize=FONT if width <= 5 else FONT - 2, color="#ffffff" if dark else "#111111",
                )  # fmt: skip
    else:
        colour_bar(ax, mesh, "reward units")
    return ax


def aggregate(values: Floats, episode: Ints, level: Level, window: int = 20) -> Floats:
    """Rewards at a level: each step (N,), the sum of each block of `window` steps, or of each episode.

    Blocks do not cross episodes; the last block of an episode may be shorter. Undiscounted, in reward units.

    Raises ValueError for an unknown level.
    """
    if level not in get_args(Level):
        raise ValueError(f"The level must be one of {', '.join(get_args(Level))}; got {level!r}.")
    if level == "step" or len(values) == 0:
        return values
    return np.add.reduceat(values, block_starts(episode, level, window))


def block_starts(episode: Ints, level: Level, window: int = 1) -> NDArray[np.intp]:
    """The rows at which the blocks of `window` steps, or the episodes, begin."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(episode)) + 1])
    if level == "episode":
        return starts
    position = np.arange(len(episode)) - np.repeat(starts, np.diff(np.append(starts, len(episode))))
    return np.flatnonzero(position % window == 0)
