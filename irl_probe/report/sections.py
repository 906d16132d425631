"""The sections of the page: which figures and tables a results tree gives, with captions and alternative texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import xarray as xr
from markupsafe import Markup
from matplotlib.axes import Axes

from irl_probe.report import plots
from irl_probe.report.judgement import BASELINES, correlation_bounds, main_coverage, reason_of
from irl_probe.report.svg import inline_svg
from irl_probe.report.tables import Table, correlation_table, distance_table, number, returns_table

MOST_VIEWS = 16  # pairs of reward and coverage that are drawn, for a page that stays below 3 MB


@dataclass(frozen=True)
class Figure:
    """A drawn figure, what to look for in it, and the data attributes that the page's controls select it by."""

    svg: Markup
    caption: str
    select: Mapping[str, str] = field(default_factory=dict)


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


def sections(tree: xr.DataTree, best: str | None, *, window: int) -> list[Section]:
    """A section for each group of results that is there, in the order in which a reader asks."""
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    found: list[Section | None] = [
        _returns(groups),
        _retraining(groups.get("retraining")),
        _scatters(tree, best, window),
        _correlation(groups.get("correlation"), best),
        _distance(groups.get("distance")),
        _grid(groups.get("grid")),
        _learning(groups),
    ]
    return [section for section in found if section is not None]


def _draw(ax: Axes, key: str, alt: str, caption: str, **select: str) -> Figure:
    return Figure(inline_svg(ax, key, alt), caption, select)


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
    figure = _draw(plots.returns_by_policy(returns), "fig-returns", alt, caption)
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
        last = learning["return_mean"].dropna("step")
        alt = (
            f"Learning curve over {number(float(last['step'][-1]), 0)} gradient steps; last mean true return "
            f"{number(float(last[-1]), 1)}."
        )
        caption = (
            "The band is the 95 % interval over evaluation episodes. Look for a plateau, and for its height "
            "beside the lines."
        )
        ax = plots.learning_curve(learning, references=references)
        figures.append(_draw(ax, "fig-learning", alt, caption))
    shown = {"return_mean", "return_low", "return_high"}
    logged = [str(n) for n in learning.data_vars if n not in shown and learning[n].dims == ("step",)]
    more = [
        _draw(plots.diagnostic(learning, name), f"fig-log-{place}", f"{name} during training.", name.replace("_", " "))
        for place, name in enumerate(logged)
        if learning[name].notnull().any()
    ]
    intro = "How the policy that was learned with the reward improved; the true return is for evaluation only."
    return Section("learning", "Learning curve", intro, figures, more=more)


def _retraining(retraining: xr.Dataset | None) -> Section | None:
    if retraining is None or "normalised" not in retraining:
        return None
    means = retraining["normalised"].mean("seed")
    alt = "Normalised true return after retraining: " + ", ".join(
        f"{r} {number(float(means.sel(reward=r)))}" for r in retraining["reward"].values
    )
    caption = (
        "A dot is a seed, the bar their mean; dashed lines are random (0) and expert (1). Look for seeds that fail."
    )
    figure = _draw(plots.retraining_by_reward(retraining), "fig-retraining", f"{alt}.", caption)
    intro = "A fresh policy is trained on each reward alone; this is the test that a reward is for."
    return Section("retraining", "Retraining", intro, [figure])


def _scatters(tree: xr.DataTree, best: str | None, window: int) -> Section | None:
    if "points" not in tree.children:
        return None
    coverages = {name: node.to_dataset() for name, node in tree["points"].children.items()}
    coverages = {name: points for name, points in coverages.items() if points.sizes.get("step", 0)}
    if not coverages:
        return None
    names = dict.fromkeys(str(r) for p in coverages.values() for r in p["reward"].values)
    rewards = _chosen_first([r for r in names if r not in BASELINES] or list(names), best)
    shown = tree["correlation"].to_dataset() if "correlation" in tree.children else None
    order = _chosen_first(list(coverages), main_coverage(shown) if shown is not None else None)
    # Every reward on the main coverage and the best one on every coverage come first: they decide.
    pairs = [(r, c) for c in order for r in rewards if r in coverages[c]["reward"].values]
    views = sorted(pairs, key=lambda pair: pair[0] != rewards[0] and pair[1] != order[0])[:MOST_VIEWS]
    figures = [
        figure
        for place, (reward, coverage) in enumerate(views)
        for figure in _panels(tree, coverages[coverage], coverage, reward, f"fig-view-{place}", window)
    ]
    intro = (
        "Each panel sets the recovered reward against the true one, after the figures of IQ-Learn. What counts is a "
        "rising line, not its slope or height: scale and constant are free. At episode level colour is length: if the "
        "dots order by colour rather than along the line within a colour, the relation is one of length."
    )
    if len(views) < len(pairs):
        intro += f" Drawn are {len(views)} of {len(pairs)} pairs of reward and data; the tables below have all."
    controls = {"view": [_view(*view) for view in views]}
    return Section("points", "True against recovered reward", intro, figures, controls=controls)


def _view(reward: str, coverage: str) -> str:
    return f"“{reward}” on {coverage} data"


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


def _panels(
    tree: xr.DataTree, points: xr.Dataset, coverage: str, reward: str, key: str, window: int
) -> Iterator[Figure]:
    view = _view(reward, coverage)
    for level in get_args(plots.Level):
        text = f"{view}. {_pearson(tree, reward, coverage, level)}"
        ax = plots.reward_scatter(points, reward, level, window=window)
        alt = f"True against recovered reward, {level} level, {text}"
        yield _draw(ax, f"{key}-{level}", alt, f"{level.capitalize()} level, {text}", view=view)
    caption = (
        f"Over time, {view}: the episode of median true return, both rewards standardised. Look whether they rise and "
        "fall together, or one lags or leads (shaping does that)."
    )
    alt = f"True and recovered reward over time in one episode, {view}."
    yield _draw(plots.episode_trace(points, reward), f"{key}-trace", alt, caption, view=view)


def _correlation(correlation: xr.Dataset | None, best: str | None) -> Section | None:
    if correlation is None:
        return None
    rewards = _chosen_first([str(r) for r in correlation["reward"].values if r not in BASELINES], best)
    metrics = [str(m) for m in correlation["metric"].values]
    references = [str(r) for r in correlation["reference"].values]
    items: list[Figure | Table] = []
    for place, reward in enumerate(rewards):
        for metric in metrics:
            ax = plots.correlation_forest(correlation, reward, metric)
            alt = f"{metric.capitalize()} correlations of “{reward}”; the same figures are in the table beside it."
            caption = (
                f"{metric.capitalize()} correlation of “{reward}” with the true reward by coverage and level, with "
                "95 % intervals. A blue dot no further from 0 than its hollow diamond tells nothing: a constant reward "
                "does as well. The square is what is left once length is controlled."
            )
            items.append(_draw(ax, f"fig-forest-{place}-{metric}", alt, caption, reward=reward, metric=metric))
            items += [correlation_table(correlation, reward, reference, metric) for reference in references]
    intro = "How far the recovered reward agrees with the true one on observed data, beside what length alone achieves."
    return Section("correlation", "Correlations", intro, items, {"reward": rewards, "metric": metrics})


def _distance(distance: xr.Dataset | None) -> Section | None:
    if distance is None:
        return None
    intro = "How far apart two rewards are once what does not matter for any policy (shaping, scale) is taken away."
    return Section("distance", "Distances", intro, [distance_table(distance)], layout="plain")


def _grid(grid: xr.Dataset | None) -> Section | None:
    if grid is None:
        return None
    figures: list[Figure] = []
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
            figures.append(_draw(plots.grid_heatmap(cells), f"fig-grid-{len(figures)}", alt, f"{text} (reward units)."))
    intro = (
        "The grid, cell by cell, in the manner of IQ-Learn's Figure 4. Look for the same peaks and troughs; each "
        "map has its own "
        "scale, for scale and constant are free. Where no demonstration went, the recovered reward is a guess."
    )
    return Section("grid", "Reward and value on the grid", intro, figures, layout="thirds")


def _chosen_first(labels: Sequence[str], chosen: str | None) -> list[str]:
    return sorted(labels, key=lambda label: label != chosen)


def _bounds(bounds: tuple[float, float, float]) -> str:
    estimate, low, high = bounds
    if np.isnan(estimate):
        return "undefined"
    return number(estimate) if np.isnan(low) or low == high else f"{number(estimate)} [{number(low)}, {number(high)}]"
