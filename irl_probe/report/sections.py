"""The sections of the page: their figures and tables, with captions and alternative text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.axes import Axes

from irl_probe._names import BASELINES, CLONED, EXPERT, NOT_REWARDS, RANDOM, TRUE_REWARD
from irl_probe._types import Floats
from irl_probe.judgement.grades import Bounds
from irl_probe.judgement.ranking import ranked
from irl_probe.judgement.reading import (
    Figures,
    correlation_bounds,
    correlation_reason,
    main_coverage,
    transfer_bounds,
)
from irl_probe.report import plots
from irl_probe.report.drawing import inline_svg
from irl_probe.report.tables import (
    Table,
    calibration_table,
    correlation_table,
    decomposition_table,
    distance_table,
    named,
    number,
    ranking_table,
    retraining_table,
    returns_table,
    transfer_table,
)

MOST_VIEWS = 16  # pairs of reward and coverage that are drawn, so that the page stays below 3 MB

Pair = tuple[str, str]


@dataclass(frozen=True)
class Drawing:
    """A drawn figure, a caption that says what to look for, and the data attributes by which the controls select it.

    `kind` tells the page's script what it is: "episodes" can be brushed, "trace" follows the brush.
    """

    svg: Markup
    caption: str
    select: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading. `controls` maps a data attribute to its labels, the default first."""

    key: str
    heading: str
    intro: str
    items: Sequence[Drawing | Table] = ()
    controls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    more: Sequence[Drawing] = ()
    layout: Literal["pairs", "thirds", "plain"] = "pairs"


def sections(figures: Figures, best: str | None) -> list[Section]:
    """A section for each group of results that is there, the most important first."""
    found = [
        _returns(figures),
        _retraining(figures),
        _transfer(figures),
        _points(figures, best),
        _correlation(figures, best),
        _distance(figures),
        _ranking(figures),
        _decomposition(figures),
        _grid(figures.datasets.get("grid")),
        _learning(figures),
    ]
    return [section for section in found if section is not None]


def views(figures: Figures, best: str | None) -> tuple[list[Pair], int]:
    """Which pairs (reward, coverage) are drawn, the deciding one first, and how many pairs there are in all.

    Every reward on the main coverage and the best one on every coverage come before the rest.
    """
    coverages = {name: points for name, points in figures.points.items() if len(points.true)}
    names = dict.fromkeys(reward for points in coverages.values() for reward in points.recovered)
    rewards = _first([r for r in names if r not in BASELINES] or list(names), best)
    main = None if figures.correlation is None else main_coverage(figures.correlation)
    order = _first(list(coverages), main)
    pairs = [(r, c) for c in order for r in rewards if r in coverages[c].recovered]
    decisive = sorted(pairs, key=lambda pair: pair[0] != rewards[0] and pair[1] != order[0])
    return decisive[:MOST_VIEWS], len(pairs)


def _draw(ax: Axes, key: str, alt: str, caption: str, *, kind: str = "", **select: str) -> Drawing:
    """The figure of `ax`; `key` is unique on the page."""
    return Drawing(inline_svg(ax, key, alt), caption, select, kind)


def _returns(figures: Figures) -> Section | None:
    returns = figures.returns
    if returns is None:
        return None
    means = {policy: returns.mean.of(policy=policy)[0] for policy in returns.mean.labels["policy"]}
    alt = "Mean true return by policy: " + ", ".join(f"{p} {number(m, 1)}" for p, m in means.items()) + "."
    caption = (
        "A dot is an episode, the diamond their mean with its 95\u00a0% interval. Check whether “retrained” comes near "
        "“expert” and stays clear of “random”, and whether “learned” beats “bc”."
    )
    figure = _draw(plots.returns_by_policy(figures.datasets["returns"]), "fig-returns", alt, caption)
    intro = "The true return of each policy. No learned policy saw the true reward."
    return Section("returns", "Returns", intro, [figure, returns_table(returns)])


def _retraining(figures: Figures) -> Section | None:
    retraining = figures.retraining
    if retraining is None or retraining.normalised is None:
        return None
    ranks = ranked(figures)
    order = sorted(retraining.share, key=lambda reward: ranks.index(reward) if reward in ranks else len(ranks))
    means = {reward: _mean(retraining.normalised[reward]) for reward in order}
    alt = "Normalised true return after retraining: " + ", ".join(f"{r} {number(m)}" for r, m in means.items())
    caption = (
        "A dot is a policy (one seed), the diamond their centre with its interval over seeds; dashed lines are random "
        "(0) and the expert (1). Look for seeds that fail, and compare with training on the true reward itself."
    )
    items: list[Drawing | Table] = [retraining_table(retraining, order)]
    if len(order) > 1:  # for one reward the table says as much
        ax = plots.retraining_by_reward(figures.datasets["retraining"].sel(reward=order))
        items.insert(0, _draw(ax, "fig-retraining", f"{alt}.", caption))
    intro = "A fresh policy is trained on each reward alone. This tests what a reward is for."
    return Section("retraining", "Retraining", intro, items)


def _transfer(figures: Figures) -> Section | None:
    """Slopes over the changes, and their table."""
    transfer = figures.transfer
    if transfer is None:
        return None
    reached = []
    for policy in transfer.value.labels["policy"]:
        if policy not in (RANDOM, TRUE_REWARD):
            who = policy if policy in NOT_REWARDS else f"trained on “{policy}”"
            reached.append(f"{who} {_bounds(transfer_bounds(figures, policy))}")
    alt = f"Normalised true return in changed environments, mean over changes: {'; '.join(reached)}."
    caption = (
        "A line is a policy, a point its normalised true return in one environment: 0 is random, 1 what policies "
        "trained there on the true reward reach with the same budget. If those are poor, a line may lie above 1; "
        "one that falls towards 0 does not transfer. “Carried over” is the imitator's own policy. A reward is worth "
        "transferring only if it beats that policy."
    )
    figure = _draw(plots.transfer_slopes(figures.datasets["transfer"]), "fig-transfer", alt, caption)
    intro = "Fresh policies are trained on the recovered reward in environments whose dynamics were changed."
    return Section("transfer", "Transfer", intro, [figure, transfer_table(transfer)])


def _points(figures: Figures, best: str | None) -> Section | None:
    """Scatters at every level and one episode over time, for each view."""
    shown, possible = views(figures, best)
    if not shown:
        return None
    drawings = [
        drawing
        for place, (reward, coverage) in enumerate(shown)
        for drawing in _panels(figures, coverage, reward, f"fig-view-{place}")
    ]
    intro = (
        "Each panel plots the recovered reward against the true one, like the figures of IQ-Learn. What counts is a "
        "rising line, not its slope or height: scale and constant are free. At episode level the sums are undiscounted "
        "and the colour is the length. If the dots follow the line only from colour to colour, and not within one "
        "colour, the relation is one of length."
    )
    if len(shown) < possible:
        intro += f" The page draws {len(shown)} of {possible} pairs of reward and data; the tables below have all."
    controls = {
        "reward": list(dict.fromkeys(reward for reward, _ in shown)),
        "coverage": list(dict.fromkeys(coverage for _, coverage in shown)),
        "level": list(get_args(plots.Level)),
    }
    return Section("points", "True against recovered reward", intro, drawings, controls=controls)


def _panels(figures: Figures, coverage: str, reward: str, key: str) -> Iterator[Drawing]:
    points = figures.datasets[f"points/{coverage}"]
    view = f"“{reward}” on {coverage} data"
    select = {"reward": reward, "coverage": coverage}
    for level in get_args(plots.Level):
        text = f"{view}. {_pearson(figures, reward, coverage, level)}"
        ax = plots.reward_scatter(points, reward, level, window=figures.window)
        alt = f"True against recovered reward, {level} level, {text}"
        kind = "episodes" if level == "episode" else ""
        yield _draw(ax, f"{key}-{level}", alt, f"{level.capitalize()} level, {text}", kind=kind, **select, level=level)
    caption = (
        f"Over time, {view}: the episode of median true return, both rewards standardised. Check whether they rise "
        "and fall together, or whether one lags or leads (shaping can cause that)."
    )
    alt = f"True and recovered reward over time in one episode, {view}."
    yield _draw(plots.episode_trace(points, reward), f"{key}-trace", alt, caption, kind="trace", **select)


def _pearson(figures: Figures, reward: str, coverage: str, level: str) -> str:
    """The three Pearson figures in words, and why one of them is undefined."""
    if figures.correlation is None:
        return "No correlation was measured."
    named_bounds, reasons = [], []
    for control, name in (("none", "Pearson"), ("constant", "constant baseline"), ("length", "length controlled")):
        bounds = correlation_bounds(figures, reward, level, control, coverage=coverage)
        named_bounds.append(f"{name} {_bounds(bounds)}")
        if np.isnan(bounds[0]):
            reasons.append(correlation_reason(figures, reward, level, control, coverage=coverage))
    why = f" Undefined: {'; '.join(dict.fromkeys(reasons))}." if reasons else ""
    return f"{'; '.join(named_bounds)}.{why}"


def _correlation(figures: Figures, best: str | None) -> Section | None:
    """A forest plot and a table for each reward and metric."""
    correlation = figures.correlation
    if correlation is None:
        return None
    rewards = _first([r for r in correlation.labels["reward"] if r not in BASELINES], best)
    metrics, references = correlation.labels["metric"], correlation.labels["reference"]
    items: list[Drawing | Table] = []
    for place, reward in enumerate(rewards):
        for metric in metrics:
            ax = plots.correlation_forest(figures.datasets["correlation"], reward, metric)
            alt = f"{metric.capitalize()} correlations of “{reward}”; the same figures are in the table beside it."
            caption = (
                f"{metric.capitalize()} correlation of “{reward}” with the true reward by coverage and level, with "
                "95 % intervals. A blue dot shows nothing if its hollow diamond is at least as far from 0: a "
                "constant reward does as well. The square is the figure with length controlled."
            )
            items.append(_draw(ax, f"fig-forest-{place}-{metric}", alt, caption, reward=reward, metric=metric))
            items += [correlation_table(correlation, reward, reference, metric) for reference in references]
    intro = "How far the recovered reward agrees with the true one on observed data, beside the figure of length alone."
    return Section("correlation", "Correlations", intro, items, {"reward": rewards, "metric": metrics})


def _distance(figures: Figures) -> Section | None:
    """Intervals with calibration, heat maps, and the tables."""
    if figures.distance is None:
        return None
    value, drawn = figures.distance.value, figures.datasets["distance"]
    coverages = _first(value.labels["coverage"], main_coverage(value))
    several = len(value.labels["reward"]) > 1
    items: list[Drawing | Table] = []
    for place, coverage in enumerate(coverages):
        select = {"coverage": coverage}
        caption = (
            f"Distance to the true reward on {coverage} data, by measure. Nearer 0 is better. Hollow diamonds, where "
            "there are some, are the measure's own calibration: a figure means something only between the two."
        )
        alt = f"Distances to the true reward on {coverage} data, by measure; the same figures are in the table."
        ax = plots.distance_forest(drawn, coverage=coverage)
        items.append(_draw(ax, f"fig-distance-{place}", alt, caption, **select))
        maps: list[str | None] = [None] if several else []
        if len(value.labels["reference"]) > 1:
            known = drawn["value"].sel(coverage=coverage).notnull().any(["reward", "reference", "bound"])
            maps = [metric for metric in value.labels["metric"] if known.sel(metric=metric)]
        for number_, metric in enumerate(maps):
            what = named(metric).label if metric else "every measure"
            caption = f"Distances by {what} on {coverage} data. Light is near, dark is far; look for a light row."
            ax = plots.distance_heatmap(drawn, metric, coverage=coverage)
            alt = f"Heat map of distances by {what} on {coverage} data; the figures are in the table."
            items.append(_draw(ax, f"fig-heat-{place}-{number_}", alt, caption, **select))
    tables = [distance_table(figures.distance), calibration_table(figures.distance)]
    items += [table for table in tables if table is not None]
    intro = (
        "How far apart two rewards are without shaping and scale, which change no optimal policy (ERC: without scale)."
    )
    return Section("distance", "Distances", intro, items, {"coverage": coverages})


def _ranking(figures: Figures) -> Section | None:
    """The order of policies, as a table."""
    if figures.ranking is None:
        return None
    intro = (
        "Whether the rewards order policies, random to expert, by their mean discounted return as the true reward "
        "does. Policies whose means differ by less than a standard error are ties. The undiscounted order, of plain "
        "sums, stands beside it: shaping changes it."
    )
    tables = [ranking_table(figures.ranking)]
    if figures.undiscounted is not None:
        tables.append(ranking_table(figures.undiscounted, undiscounted=True))
    return Section("ranking", "Order of policies", intro, tables)


def _decomposition(figures: Figures) -> Section | None:
    """Stacked bars and their table."""
    decomposition = figures.decomposition
    if decomposition is None:
        return None
    coverages = _first(decomposition.value.labels["coverage"], main_coverage(decomposition.value))
    drawings = [
        _draw(
            plots.decomposition_bars(figures.datasets["decomposition"], coverage=coverage),
            f"fig-parts-{place}",
            f"Shares of each recovered reward's variance on {coverage} data; the same figures are in the table.",
            f"The parts of each recovered reward, on {coverage} data. Green is the truth itself. Blue is shaping, "
            "which does no harm and shows nothing: a reward that is all blue does not contain the truth. Purple may "
            "mislead in other dynamics; orange is disagreement that none of these explains.",
            coverage=coverage,
        )
        for place, coverage in enumerate(coverages)
    ]
    intro = "The recovered reward as a sum of the true one and of other parts: their shares of its variance."
    items: list[Drawing | Table] = [*drawings, decomposition_table(decomposition)]
    return Section("decomposition", "What the difference is made of", intro, items, {"coverage": coverages})


def _grid(grid: xr.Dataset | None) -> Section | None:
    if grid is None:
        return None
    drawings: list[Drawing] = []
    for name, title in (
        ("true_reward", "True reward"),
        ("recovered_reward", "Recovered reward"),
        ("true_value", "Soft value under the true reward"),
        ("recovered_value", "Soft value under the recovered reward"),
    ):
        if name not in grid:
            continue
        kinds = [str(k) for k in grid["kind"].values] if "kind" in grid[name].dims else [""]
        for kind in kinds:
            cells = grid[name].sel(kind=kind) if kind else grid[name]
            text = f"{title}{f', from {kind}' if kind else ''}"
            finite = cells.values[np.isfinite(cells.values)]
            extent = f", {number(float(finite.min()))} to {number(float(finite.max()))}" if finite.size else ""
            alt = f"Heat map of the grid: {text}{extent} (reward units)."
            key = f"fig-grid-{len(drawings)}"
            drawings.append(_draw(plots.grid_heatmap(cells), key, alt, f"{text} (reward units)."))
    intro = (
        "The grid, cell by cell, like IQ-Learn's Figure 4. Look for the same peaks and troughs; each map has its own "
        "scale, since scale and constant are free. In cells that no demonstration visited, the recovered reward is a "
        "guess."
    )
    return Section("grid", "Reward and value on the grid", intro, drawings, layout="thirds")


def _learning(figures: Figures) -> Section | None:
    learning = figures.datasets.get("learning")
    if learning is None or learning.sizes.get("step", 0) == 0:
        return None
    drawings = []
    if "return_mean" in learning and learning["return_mean"].notnull().any():
        references = {}
        if figures.returns is not None:
            mean = figures.returns.mean
            references = {p: mean.of(policy=p)[0] for p in (EXPERT, CLONED, RANDOM) if p in mean.labels["policy"]}
        returns = learning["return_mean"]
        last = (returns.mean("seed") if "seed" in returns.dims else returns).dropna("step")
        alt = (
            f"Learning curve over {number(float(last['step'][-1]), 0)} gradient steps; last mean true return "
            f"{number(float(last[-1]), 1)}."
        )
        over = "runs; fewer than three have none" if "seed" in returns.dims else "evaluation episodes"
        caption = (
            f"The band is the 95\u00a0% interval over {over}. Look for a plateau, and compare its height "
            "with the lines."
        )
        ax = plots.learning_curve(learning, references=references)
        drawings.append(_draw(ax, "fig-learning", alt, caption))
    shown = {"return_mean", "return_low", "return_high"}
    logged = [str(n) for n in learning.data_vars if n not in shown and learning[n].dims == ("step",)]
    more = [
        _draw(plots.diagnostic(learning, name), f"fig-log-{place}", f"{name} during training.", name.replace("_", " "))
        for place, name in enumerate(logged)
        if learning[name].notnull().any()
    ]
    intro = "The true return of the learned policy during training. It is for evaluation only."
    return Section("learning", "Learning curve", intro, drawings, more=more)


def _first(labels: Sequence[str], chosen: str | None) -> list[str]:
    """The labels in their order, with the chosen one first."""
    return sorted(labels, key=lambda label: label != chosen)


def _mean(scores: Floats) -> float:
    """The mean of the scores that are known; NaN if none is."""
    known = scores[np.isfinite(scores)]
    return float(known.mean()) if known.size else np.nan


def _bounds(bounds: Bounds) -> str:
    estimate, low, high = bounds
    if np.isnan(estimate):
        return "undefined"
    return number(estimate) if np.isnan(low) or low == high else f"{number(estimate)} [{number(low)}, {number(high)}]"
