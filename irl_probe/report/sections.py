"""The sections of the page: which figures and tables a results tree gives, with captions and alternative texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from irl_probe.report import plots
from irl_probe.report.layout import Figure, Section, draw
from irl_probe.report.ranking import ranked
from irl_probe.report.reward_sections import (
    correlation_section,
    decomposition_section,
    distance_section,
    points_section,
    ranking_section,
    transfer_section,
)
from irl_probe.report.tables import Table, number, retraining_table, returns_table


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
    items: list[Figure | Table] = [retraining_table(retraining)]
    if retraining.sizes["reward"] > 1:  # of one reward the table says as much
        items.insert(0, draw(plots.retraining_by_reward(retraining), "fig-retraining", f"{alt}.", caption))
    intro = "A fresh policy is trained on each reward alone; this is the test that a reward is for."
    return Section("retraining", "Retraining", intro, items)


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
            figures.append(draw(plots.grid_heatmap(cells), f"fig-grid-{len(figures)}", alt, f"{text} (reward units)."))
    intro = (
        "The grid, cell by cell, in the manner of IQ-Learn's Figure 4. Look for the same peaks and troughs; each "
        "map has its own "
        "scale, for scale and constant are free. Where no demonstration went, the recovered reward is a guess."
    )
    return Section("grid", "Reward and value on the grid", intro, figures, layout="thirds")
