"""The sections of the page: which figures and tables a results tree gives, with captions and alternative texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.axes import Axes

from irl_probe.judgement.grades import Bounds
from irl_probe.judgement.reading import (
    TRANSFER_COMPARISONS,
    correlation_bounds,
    main_coverage,
    ranked,
    reason_of,
    transfer_bounds,
)
from irl_probe.judgement.warnings import BASELINES
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


@dataclass(frozen=True)
class Drawing:
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
    items: Sequence[Drawing | Table] = ()
    controls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    more: Sequence[Drawing] = ()
    layout: Literal["pairs", "thirds", "plain"] = "pairs"


def draw(ax: Axes, key: str, alt: str, caption: str, *, kind: str = "", **select: str) -> Drawing:
    """The figure of `ax`; `key` is unique on the page."""
    return Drawing(inline_svg(ax, key, alt), caption, select, kind)


MOST_VIEWS = 16  # pairs of reward and coverage that are drawn, for a page that stays below 3 MB

Pair = tuple[str, str]


def views(tree: xr.DataTree, best: str | None) -> tuple[list[Pair], int]:
    """Which (reward, coverage) are drawn, the deciding one first, and how many there are in all.

    Every reward on the main coverage and the best one on every coverage come before the rest.
    """
    coverages = {name: node.to_dataset() for name, node in tree["points"].children.items()}
    coverages = {name: points for name, points in coverages.items() if points.sizes.get("step", 0)}
    names = dict.fromkeys(str(r) for p in coverages.values() for r in p["reward"].values)
    rewards = chosen_first([r for r in names if r not in BASELINES] or list(names), best)
    shown = tree["correlation"].to_dataset() if "correlation" in tree.children else None
    order = chosen_first(list(coverages), main_coverage(shown) if shown is not None else None)
    pairs = [(r, c) for c in order for r in rewards if r in coverages[c]["reward"].values]
    decisive = sorted(pairs, key=lambda pair: pair[0] != rewards[0] and pair[1] != order[0])
    return decisive[:MOST_VIEWS], len(pairs)


def points_section(tree: xr.DataTree, best: str | None, window: int) -> Section | None:
    """Scatters at every level and one episode over time, for each view."""
    if "points" not in tree.children:
        return None
    shown, possible = views(tree, best)
    if not shown:
        return None
    figures = [
        figure
        for place, (reward, coverage) in enumerate(shown)
        for figure in _panels(tree, coverage, reward, f"fig-view-{place}", window)
    ]
    intro = (
        "Each panel sets the recovered reward against the true one, after the figures of IQ-Learn. What counts is a "
        "rising line, not its slope or height: scale and constant are free. At episode level colour is length: if the "
        "dots order by colour rather than along the line within a colour, the relation is one of length."
    )
    if len(shown) < possible:
        intro += f" Drawn are {len(shown)} of {possible} pairs of reward and data; the tables below have all."
    controls = {
        "reward": list(dict.fromkeys(reward for reward, _ in shown)),
        "coverage": list(dict.fromkeys(coverage for _, coverage in shown)),
        "level": list(get_args(plots.Level)),
    }
    return Section("points", "True against recovered reward", intro, figures, controls=controls)


def _panels(tree: xr.DataTree, coverage: str, reward: str, key: str, window: int) -> Iterator[Drawing]:
    points = tree["points"][coverage].to_dataset()
    view = f"“{reward}” on {coverage} data"
    select = {"reward": reward, "coverage": coverage}
    for level in get_args(plots.Level):
        text = f"{view}. {_pearson(tree, reward, coverage, level)}"
        ax = plots.reward_scatter(points, reward, level, window=window)
        alt = f"True against recovered reward, {level} level, {text}"
        kind = "episodes" if level == "episode" else ""
        yield draw(ax, f"{key}-{level}", alt, f"{level.capitalize()} level, {text}", kind=kind, **select, level=level)
    caption = (
        f"Over time, {view}: the episode of median true return, both rewards standardised. Look whether they rise and "
        "fall together, or one lags or leads (shaping does that)."
    )
    alt = f"True and recovered reward over time in one episode, {view}."
    yield draw(plots.episode_trace(points, reward), f"{key}-trace", alt, caption, kind="trace", **select)


def _pearson(tree: xr.DataTree, reward: str, coverage: str, level: str) -> str:
    """The three Pearson figures in words, and why one of them is undefined."""
    if "correlation" not in tree.children:
        return "No correlation was measured."
    group = tree["correlation"].to_dataset()
    told, reasons = [], []
    for control, name in (("none", "Pearson"), ("constant", "constant baseline"), ("length", "length controlled")):
        bounds = correlation_bounds(tree, reward, level, control, coverage=coverage)
        told.append(f"{name} {_bounds(bounds)}")
        if np.isnan(bounds[0]):
            reasons.append(reason_of(group, reward, level, control, coverage=coverage))
    why = f" Undefined: {'; '.join(dict.fromkeys(reasons))}." if reasons else ""
    return f"{'; '.join(told)}.{why}"


def correlation_section(correlation: xr.Dataset | None, best: str | None) -> Section | None:
    """A forest plot and a table for each reward and metric."""
    if correlation is None:
        return None
    rewards = chosen_first([str(r) for r in correlation["reward"].values if r not in BASELINES], best)
    metrics = [str(m) for m in correlation["metric"].values]
    references = [str(r) for r in correlation["reference"].values]
    items: list[Drawing | Table] = []
    for place, reward in enumerate(rewards):
        for metric in metrics:
            ax = plots.correlation_forest(correlation, reward, metric)
            alt = f"{metric.capitalize()} correlations of “{reward}”; the same figures are in the table beside it."
            caption = (
                f"{metric.capitalize()} correlation of “{reward}” with the true reward by coverage and level, with "
                "95 % intervals. A blue dot no further from 0 than its hollow diamond tells nothing: a constant reward "
                "does as well. The square is what is left once length is controlled."
            )
            items.append(draw(ax, f"fig-forest-{place}-{metric}", alt, caption, reward=reward, metric=metric))
            items += [correlation_table(correlation, reward, reference, metric) for reference in references]
    intro = "How far the recovered reward agrees with the true one on observed data, beside what length alone achieves."
    return Section("correlation", "Correlations", intro, items, {"reward": rewards, "metric": metrics})


def distance_section(distance: xr.Dataset | None) -> Section | None:
    """Intervals with calibration, heat maps, and the tables."""
    if distance is None:
        return None
    coverages = chosen_first([str(c) for c in distance["coverage"].values], main_coverage(distance))
    metrics = [str(m) for m in distance["metric"].values]
    several = distance.sizes["reward"] > 1
    items: list[Drawing | Table] = []
    for place, coverage in enumerate(coverages):
        select = {"coverage": coverage}
        caption = (
            f"Distance to the true reward on {coverage} data, by measure. Nearer 0 is better. Hollow diamonds, where "
            "there "
            "are some, are the measure's own calibration: a figure tells something only between the two."
        )
        alt = f"Distances to the true reward on {coverage} data, by measure; the same figures are in the table."
        items.append(
            draw(plots.distance_forest(distance, coverage=coverage), f"fig-distance-{place}", alt, caption, **select)
        )
        maps: list[str | None] = [*metrics] if distance.sizes["reference"] > 1 else [None] if several else []
        maps = [m for m in maps if m is None or distance["value"].sel(coverage=coverage, metric=m).notnull().any()]
        for number_, metric in enumerate(maps):
            what = named(metric).label if metric else "every measure"
            caption = f"Distances by {what} on {coverage} data. Light is near, dark is far; look for a light row."
            ax = plots.distance_heatmap(distance, metric, coverage=coverage)
            alt = f"Heat map of distances by {what} on {coverage} data; the figures are in the table."
            items.append(draw(ax, f"fig-heat-{place}-{number_}", alt, caption, **select))
    tables = [distance_table(distance), calibration_table(distance)]
    items += [table for table in tables if table is not None]
    intro = "How far apart two rewards are without shaping and scale, which matter for no policy (ERC: without scale)."
    return Section("distance", "Distances", intro, items, {"coverage": coverages})


def ranking_section(ranking: xr.Dataset | None) -> Section | None:
    """The order of policies, as a table."""
    if ranking is None:
        return None
    intro = "Whether the rewards order policies, random to expert, by their mean return as the true reward does."
    return Section("ranking", "Order of policies", intro, [ranking_table(ranking)])


def decomposition_section(decomposition: xr.Dataset | None) -> Section | None:
    """Stacked bars and their table."""
    if decomposition is None:
        return None
    coverages = chosen_first([str(c) for c in decomposition["coverage"].values], main_coverage(decomposition))
    figures = [
        draw(
            plots.decomposition_bars(decomposition, coverage=coverage),
            f"fig-parts-{place}",
            f"Shares of each recovered reward's variance on {coverage} data; the same figures are in the table.",
            f"What each recovered reward is made of, on {coverage} data. Green is the truth itself. Blue is shaping, "
            "which does no harm and tells nothing: a reward that is all blue does not hold the truth. Purple may "
            "mislead in other dynamics; orange is the disagreement that nothing excuses.",
            coverage=coverage,
        )
        for place, coverage in enumerate(coverages)
    ]
    intro = "The recovered reward as a share of the true one and of parts that are not: shares of its variance."
    items: list[Drawing | Table] = [*figures, decomposition_table(decomposition)]
    return Section("decomposition", "What the difference is made of", intro, items, {"coverage": coverages})


def transfer_section(tree: xr.DataTree) -> Section | None:
    """Slopes over the changes, and their table."""
    if "transfer" not in tree.children:
        return None
    transfer = tree["transfer"].to_dataset()
    told = []
    for policy in (str(p) for p in transfer["policy"].values):
        if policy not in ("random", "true reward"):
            who = policy if policy in TRANSFER_COMPARISONS else f"trained on “{policy}”"
            told.append(f"{who} {_bounds(transfer_bounds(tree, policy))}")
    alt = f"Normalised true return in changed environments, mean over changes: {'; '.join(told)}."
    caption = (
        "A line is a policy, a point its normalised true return in one environment: 0 is random, 1 what policies "
        "trained there on the true reward reach with the same budget. Where those are poor a line may lie above 1; "
        "one that falls towards 0 does not transfer. “Carried over” is the imitator's own policy, which the reward "
        "must beat to be worth carrying."
    )
    figure = draw(plots.transfer_slopes(transfer), "fig-transfer", alt, caption)
    intro = "Fresh policies are trained on the recovered reward in environments whose dynamics were changed."
    return Section("transfer", "Transfer", intro, [figure, transfer_table(transfer)])


def chosen_first(labels: Sequence[str], chosen: str | None) -> list[str]:
    """The labels in their order, the chosen one before all."""
    return sorted(labels, key=lambda label: label != chosen)


def _bounds(bounds: Bounds) -> str:
    estimate, low, high = bounds
    if np.isnan(estimate):
        return "undefined"
    return number(estimate) if np.isnan(low) or low == high else f"{number(estimate)} [{number(low)}, {number(high)}]"


def sections(tree: xr.DataTree, best: str | None, *, window: int) -> list[Section]:
    """A section for each group of results that is there, in the order in which a reader asks."""
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    found: list[Section | None] = [
        _returns(groups),
        _retraining(groups.get("retraining"), ranked(tree)),
        transfer_section(tree),
        points_section(tree, best, window),
        correlation_section(groups.get("correlation"), best),
        distance_section(groups.get("distance")),
        ranking_section(groups.get("ranking")),
        decomposition_section(groups.get("decomposition")),
        _grid(groups.get("grid")),
        _learning(groups),
    ]
    return [section for section in found if section is not None]


def _returns(groups: Mapping[str, xr.Dataset]) -> Section | None:
    returns = groups.get("returns")
    if returns is None:
        return None
    means = {str(p): float(returns["mean"].sel(policy=p, bound="estimate")) for p in returns["policy"].values}
    alt = "Mean true return by policy: " + ", ".join(f"{p} {number(m, 1)}" for p, m in means.items()) + "."
    caption = (
        "A dot is an episode, the diamond their mean with its 95 % interval. Look whether “retrained” comes near "
        "“expert” and stays clear of “random”, and whether “learned” beats “bc”."
    )
    figure = draw(plots.returns_by_policy(returns), "fig-returns", alt, caption)
    intro = "How well each policy does by the true reward, which none of the learned ones was shown."
    return Section("returns", "Returns", intro, [figure, returns_table(returns)])


def _learning(groups: Mapping[str, xr.Dataset]) -> Section | None:
    learning = groups.get("learning")
    if learning is None or learning.sizes.get("step", 0) == 0:
        return None
    figures = []
    if "return_mean" in learning and learning["return_mean"].notnull().any():
        references = {}
        if "returns" in groups:
            mean = groups["returns"]["mean"].sel(bound="estimate")
            references = {
                p: float(mean.sel(policy=p)) for p in ("expert", "bc", "random") if p in mean["policy"].values
            }
        returns = learning["return_mean"]
        last = (returns.mean("seed") if "seed" in returns.dims else returns).dropna("step")
        alt = (
            f"Learning curve over {number(float(last['step'][-1]), 0)} gradient steps; last mean true return "
            f"{number(float(last[-1]), 1)}."
        )
        caption = (
            "The band is the 95 % interval over evaluation episodes. Look for a plateau, and for its height "
            "beside the lines."
        )
        ax = plots.learning_curve(learning, references=references)
        figures.append(draw(ax, "fig-learning", alt, caption))
    shown = {"return_mean", "return_low", "return_high"}
    logged = [str(n) for n in learning.data_vars if n not in shown and learning[n].dims == ("step",)]
    more = [
        draw(plots.diagnostic(learning, name), f"fig-log-{place}", f"{name} during training.", name.replace("_", " "))
        for place, name in enumerate(logged)
        if learning[name].notnull().any()
    ]
    intro = "How the policy that was learned with the reward improved; the true return is for evaluation only."
    return Section("learning", "Learning curve", intro, figures, more=more)


def _retraining(retraining: xr.Dataset | None, ranks: Sequence[str]) -> Section | None:
    if retraining is None or "normalised" not in retraining:
        return None
    rewards = [str(r) for r in retraining["reward"].values]
    order = sorted(rewards, key=lambda reward: ranks.index(reward) if reward in ranks else len(ranks))
    retraining = retraining.sel(reward=order)
    means = retraining["normalised"].mean("seed")
    alt = "Normalised true return after retraining: " + ", ".join(
        f"{r} {number(float(means.sel(reward=r)))}" for r in retraining["reward"].values
    )
    caption = (
        "A dot is a policy (one seed), the diamond their centre with its interval over seeds; dashed lines are random "
        "(0) and the expert (1). Look for seeds that fail, and how near training on the true reward itself comes."
    )
    items: list[Drawing | Table] = [retraining_table(retraining)]
    if retraining.sizes["reward"] > 1:  # of one reward the table says as much
        items.insert(0, draw(plots.retraining_by_reward(retraining), "fig-retraining", f"{alt}.", caption))
    intro = "A fresh policy is trained on each reward alone; this is the test that a reward is for."
    return Section("retraining", "Retraining", intro, items)


def _grid(grid: xr.Dataset | None) -> Section | None:
    if grid is None:
        return None
    figures: list[Drawing] = []
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
            figures.append(draw(plots.grid_heatmap(cells), f"fig-grid-{len(figures)}", alt, f"{text} (reward units)."))
    intro = (
        "The grid, cell by cell, in the manner of IQ-Learn's Figure 4. Look for the same peaks and troughs; each "
        "map has its own "
        "scale, for scale and constant are free. Where no demonstration went, the recovered reward is a guess."
    )
    return Section("grid", "Reward and value on the grid", intro, figures, layout="thirds")
