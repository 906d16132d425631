"""Reads a results tree once into plain figures. Verdict, warnings, tables and page are functions of these alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from irl_probe._names import BASELINES, NOT_REWARDS, RECOVERED, TRUE, TRUE_REWARD, UNCHANGED
from irl_probe._types import Floats, Ints
from irl_probe.judgement.grades import NOTHING, Bounds, estimate_alone
from irl_probe.metrics.bootstrap import LEAST_SEEDS, few_seeds
from irl_probe.results import BOUND, average_runs, retraining_share
from irl_probe.results.groups import trusted_distances
from irl_probe.results.schema import UNDISCOUNTED, checked

IDEALS = ("exact occupancy",)  # rewards made from more than demonstrations can show: an upper bound
WINDOW = 20  # steps of a partial sum if the results do not say, as in metrics.correlations


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures by their labels: (estimate, low, high) each, and the reason if one is undefined.

    Attributes:
        labels: dimension → its labels, in the order of the axes.
        values: (*dimensions, 3), NaN if undefined.
        reasons: (*dimensions), "" where none was recorded.
    """

    labels: Mapping[str, tuple[str, ...]]
    values: Floats
    reasons: NDArray[np.str_]

    def of(self, **where: str) -> Bounds:
        """The figure at these labels, e.g. `of(reward="iq", metric="epic")`; NaN if a label is unknown.

        For a dimension that is not named it takes the first label.
        """
        place = self._place(where)
        if place is None:
            return NOTHING
        estimate, low, high = (float(value) for value in self.values[place])
        return estimate, low, high

    def why(self, **where: str) -> str | None:
        """Why the figure at these labels is undefined, "" if no reason was recorded; None for an unknown label."""
        place = self._place(where)
        return None if place is None else str(self.reasons[place])

    def _place(self, where: Mapping[str, str]) -> tuple[int, ...] | None:
        if any(label not in self.labels[dim] for dim, label in where.items()):
            return None
        return tuple(names.index(where[dim]) if dim in where else 0 for dim, names in self.labels.items())


@dataclass(frozen=True, eq=False)
class Returns:
    """/returns: by policy, the mean and normalised return, the mean length, and the number of episodes."""

    mean: Measured
    normalised: Measured | None
    lengths: Mapping[str, float] | None
    episodes: Mapping[str, int] | None


@dataclass(frozen=True, eq=False)
class Retraining:
    """/retraining: by reward, the normalised return over seeds, and the seeds' own returns, NaN if one is missing.

    `normalised` (reward → seeds) is None if the results lack the random policy or the expert.
    """

    share: Mapping[str, Bounds]
    returns: Mapping[str, Floats]
    normalised: Mapping[str, Floats] | None
    seeds: int


@dataclass(frozen=True, eq=False)
class Transfer:
    """/transfer: normalised returns (variant, policy) and over all changes (policy).

    Attributes:
        value: (variant, policy).
        overall: (policy), or None.
        changed: the variants that change the environment.
        seeds: how many seeds the results hold; 0 if they hold only means.
        known: (variant, policy) → how many of the seeds have a return.
        exact: whether the returns are exact and not those of seeds.
        carried: the reward whose imitator is "carried over", or None if the results do not say.
    """

    value: Measured
    overall: Measured | None
    changed: tuple[str, ...]
    seeds: int
    known: Mapping[tuple[str, str], int]
    exact: bool
    carried: str | None


@dataclass(frozen=True, eq=False)
class Distances:
    """/distance (reward, reference, coverage, metric), and the calibration of sampled distances.

    Figures that their calibration contradicts are NaN, with the reason.
    """

    value: Measured
    exact: bool
    shaped: Measured | None
    shaped_10: Measured | None
    random: Measured | None
    off_support: Measured | None


@dataclass(frozen=True, eq=False)
class Decomposition:
    """/decomposition: shares of variance (reward, reference, coverage, part) and λ (reward, reference, coverage)."""

    value: Measured
    scale: Measured


@dataclass(frozen=True, eq=False)
class Ranking:
    """/ranking, discounted or undiscounted: τ_b by reward and of a constant, and mean returns by `policies`.

    Discounted, a constant's τ_b and the true means are by reward, as each reward has its own γ (NaN if unknown).
    """

    value: Measured
    constant: Mapping[str, Bounds]
    policies: tuple[str, ...]
    true: Mapping[str, Floats]
    recovered: Mapping[str, Floats]
    gamma: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Points:
    """/points/<coverage>: the episode, the true reward and each recovered reward at every step (N,)."""

    episode: Ints
    true: Floats
    recovered: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Figures:
    """Everything in a results tree, read once. A group that is not in the results is None.

    Attributes:
        attributes: those of the root, as they are stored.
        beside: rewards that are shown for comparison only → what each is.
        runs: how many training runs were averaged.
        window: steps of a partial sum.
        episodes: coverage → number of episodes, for the coverages whose number is known.
        datasets: path → group, as the plots take it ("learning", "points/expert", ...).
    """

    attributes: Mapping[str, object]
    beside: Mapping[str, str]
    runs: int
    window: int
    returns: Returns | None
    retraining: Retraining | None
    transfer: Transfer | None
    correlation: Measured | None
    distance: Distances | None
    decomposition: Decomposition | None
    ranking: Ranking | None
    undiscounted: Ranking | None
    points: Mapping[str, Points]
    episodes: Mapping[str, int]
    datasets: Mapping[str, xr.Dataset]


def read(tree: xr.DataTree) -> Figures:
    """The figures of a results tree; for runs stacked along "seed", those of their average (`average_runs`).

    Raises ValueError as `results.validate` does, and if runs are stacked along another dimension, because each task and
    variant needs a page of its own.
    """
    stacked = [dim for dim in str(tree.attrs.get("stacked", "")).split(",") if dim]
    others = [dim for dim in stacked if dim != "seed"]
    if others:
        raise ValueError(
            f"A page is about one environment and one variant; these results are stacked along {', '.join(others)}. "
            "Give the results of each its own page."
        )
    if stacked:
        tree = average_runs(tree, "seed")
    groups = checked(tree)
    if "distance" in groups:
        groups["distance"] = trusted_distances(groups["distance"])
    points = {path.partition("/")[2]: _points(data) for path, data in groups.items() if path.startswith("points/")}
    correlation = groups.get("correlation")
    compare = json.loads(str(tree.attrs["config"])).get("compare", {})
    return Figures(
        attributes={str(name): value for name, value in tree.attrs.items()},
        beside={str(n): str(what) for n, what in json.loads(str(tree.attrs.get("beside", "{}"))).items()},
        runs=int(tree.attrs.get("runs_averaged", 1)),
        window=int((correlation.attrs if correlation is not None else {}).get("window", compare.get("window", WINDOW))),
        returns=_returns(groups["returns"]) if "returns" in groups else None,
        retraining=_retraining(groups["retraining"]) if "retraining" in groups else None,
        transfer=_transfer(groups["transfer"]) if "transfer" in groups else None,
        correlation=None if correlation is None else _measured(correlation, "value"),
        distance=_distances(groups["distance"]) if "distance" in groups else None,
        decomposition=_decomposition(groups["decomposition"]) if "decomposition" in groups else None,
        ranking=_ranking(groups["ranking"]) if "ranking" in groups else None,
        undiscounted=_undiscounted(groups["ranking"]) if "ranking" in groups else None,
        points=points,
        episodes=_episodes(groups.get("coverages"), points),
        datasets=groups,
    )


def _measured(group: xr.Dataset, name: str) -> Measured:
    """A variable of a group; one without the dimension "bound" has no intervals."""
    array = group[name]
    dims = [str(dim) for dim in array.dims if dim != "bound"]
    labels = {dim: tuple(str(label) for label in group[dim].values) for dim in dims}
    if "bound" in array.dims:
        values = array.transpose(*dims, "bound").values.astype(np.float64, copy=True)
    else:
        values = np.stack([array.values, *np.full((2, *array.shape), np.nan)], axis=-1)
    reasons = np.full(values.shape[:-1], "")
    if name == "value" and "reason" in group:
        reasons = group["reason"].transpose(*dims).values.astype(str)
    return Measured(labels, values, reasons)


def _optional(group: xr.Dataset, name: str) -> Measured | None:
    return _measured(group, name) if name in group else None


def _returns(group: xr.Dataset) -> Returns:
    policies = [str(policy) for policy in group["policy"].values]
    lengths, episodes = None, None
    if "lengths" in group:
        means = group["lengths"].mean("episode").values
        lengths = dict(zip(policies, map(float, means), strict=True))
    if "returns" in group:
        episodes = dict(zip(policies, map(int, group["returns"].notnull().sum("episode").values), strict=True))
    return Returns(_measured(group, "mean"), _optional(group, "normalised"), lengths, episodes)


def _retraining(group: xr.Dataset) -> Retraining:
    rewards = [str(reward) for reward in group["reward"].values]

    def by_seed(name: str) -> dict[str, Floats]:
        return dict(zip(rewards, group[name].transpose("reward", "seed").values, strict=True))

    returns = by_seed("return_mean")
    share = {reward: retraining_share(group, reward) for reward in rewards}
    few = {reward for reward in rewards if np.isfinite(returns[reward]).sum() < LEAST_SEEDS}
    return Retraining(
        share={reward: estimate_alone(bounds) if reward in few else bounds for reward, bounds in share.items()},
        returns=returns,
        normalised=by_seed("normalised") if "normalised" in group else None,
        seeds=group.sizes["seed"],
    )


def _transfer(group: xr.Dataset) -> Transfer:
    value, overall = _measured(group, "value"), _optional(group, "overall")
    known: dict[tuple[str, str], int] = {}
    if "return_mean" in group:
        counts = group["return_mean"].notnull().sum("seed").transpose("variant", "policy").values
        for row, variant in enumerate(value.labels["variant"]):
            known |= {(variant, policy): int(counts[row, p]) for p, policy in enumerate(value.labels["policy"])}
        if not (group.attrs.get("exact") and group.sizes["seed"] == 1):
            value.values[counts < LEAST_SEEDS, 1:] = np.nan
            if overall is not None:
                overall.values[counts.max(axis=0) < LEAST_SEEDS, 1:] = np.nan
    variants = zip(value.labels["variant"], group["parameter"].values, strict=True)
    return Transfer(
        value=value,
        overall=overall,
        changed=tuple(variant for variant, parameter in variants if str(parameter) != UNCHANGED),
        seeds=group.sizes["seed"] if "return_mean" in group else 0,
        known=known,
        exact=bool(group.attrs.get("exact")),
        carried=str(group.attrs["carried"]) if "carried" in group.attrs else None,
    )


def _distances(group: xr.Dataset) -> Distances:
    calibration = (_optional(group, name) for name in ("shaped", "shaped_10", "random", "off_support"))
    return Distances(_measured(group, "value"), bool(group.attrs.get("exact")), *calibration)


def _decomposition(group: xr.Dataset) -> Decomposition:
    return Decomposition(_measured(group, "value"), _measured(group, "scale"))


def _ranking(group: xr.Dataset) -> Ranking:
    rewards = [str(reward) for reward in group["reward"].values]
    constant = _measured(group, "constant")
    gamma = group["gamma"].values if "gamma" in group else np.full(len(rewards), np.nan)
    return Ranking(
        _measured(group, "value"),
        {reward: constant.of(reward=reward) for reward in rewards},
        tuple(str(policy) for policy in group["policy"].values),
        _by_reward(group, "true"),
        _by_reward(group, "recovered"),
        dict(zip(rewards, map(float, gamma), strict=True)),
    )


def _undiscounted(group: xr.Dataset) -> Ranking | None:
    """The order by plain sums, where the results have it."""
    name = f"{UNDISCOUNTED}_value"
    if name not in group:
        return None
    rewards = [str(reward) for reward in group["reward"].values]
    constant = _measured(group, f"{UNDISCOUNTED}_constant").of()
    true = group[f"{UNDISCOUNTED}_true"].values
    return Ranking(
        _measured(group, name),
        dict.fromkeys(rewards, constant),
        tuple(str(policy) for policy in group["policy"].values),
        dict.fromkeys(rewards, true),
        _by_reward(group, f"{UNDISCOUNTED}_recovered"),
        dict.fromkeys(rewards, 1.0),
    )


def _by_reward(group: xr.Dataset, name: str) -> dict[str, Floats]:
    rewards = [str(reward) for reward in group["reward"].values]
    return dict(zip(rewards, group[name].transpose("reward", "policy").values, strict=True))


def _points(group: xr.Dataset) -> Points:
    recovered = group["recovered"].transpose("reward", "step").values
    rewards = [str(reward) for reward in group["reward"].values]
    return Points(group["episode"].values, group["true"].values, dict(zip(rewards, recovered, strict=True)))


def _episodes(coverages: xr.Dataset | None, points: Mapping[str, Points]) -> dict[str, int]:
    """The number of episodes of each coverage, from /coverages; in older results it is counted in /points."""
    found = {coverage: len(np.unique(one.episode)) for coverage, one in points.items()}
    if coverages is not None:
        found |= {str(c): int(coverages["episodes"].sel(coverage=c)) for c in coverages["coverage"].values}
    return found


def rewards_of(figures: Figures) -> list[str]:
    """The rewards of the results in their order, without the true reward and the constant baseline."""
    found: dict[str, None] = {}
    if figures.correlation is not None:
        found |= dict.fromkeys(figures.correlation.labels["reward"])
    if figures.distance is not None:
        found |= dict.fromkeys(figures.distance.value.labels["reward"])
    if figures.retraining is not None:
        found |= dict.fromkeys(figures.retraining.share)
    if not found and figures.transfer is not None:
        found = dict.fromkeys(p for p in figures.transfer.value.labels["policy"] if p not in NOT_REWARDS)
    return [reward for reward in found if reward not in BASELINES]


def judged(figures: Figures) -> list[str]:
    """The rewards that a verdict can be about: not ideal ones, nor those shown for comparison only.

    If there are no others, all of them.
    """
    rewards = rewards_of(figures)
    return [reward for reward in rewards if reward not in IDEALS and reward not in figures.beside] or rewards


def main_coverage(measured: Measured) -> str:
    """The coverage that the verdict uses: a mixture if there is one, else the first."""
    coverages = measured.labels["coverage"]
    return next((c for c in coverages if "mixture" in c), coverages[0])


def correlation_bounds(
    figures: Figures,
    reward: str,
    level: str,
    control: str,
    *,
    coverage: str | None = None,
) -> Bounds:
    """The Pearson correlation with the first reference; NaN if it is undefined or not in the results."""
    group = figures.correlation
    if group is None:
        return NOTHING
    coverage = coverage or main_coverage(group)
    return group.of(reward=reward, level=level, control=control, metric="pearson", coverage=coverage)


def correlation_reason(
    figures: Figures, reward: str, level: str, control: str = "none", *, coverage: str | None = None
) -> str:
    """Why a Pearson correlation is undefined, in the words of the results."""
    group = figures.correlation
    if group is None:
        return "it was not measured"
    coverage = coverage or main_coverage(group)
    reason = group.why(reward=reward, level=level, control=control, metric="pearson", coverage=coverage)
    return "it was not measured" if reason is None else clause(reason) or "no reason was recorded"


def clause(sentence: str) -> str:
    """A sentence without its capital and full stop, to write after a colon."""
    return f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")


def distance_bounds(figures: Figures, reward: str, metric: str) -> Bounds:
    """A distance to the first reference on the main coverage; NaN if it is undefined or not in the results."""
    if figures.distance is None:
        return NOTHING
    value = figures.distance.value
    return value.of(reward=reward, metric=metric, coverage=main_coverage(value))


def exact_distances(figures: Figures) -> bool:
    """Whether the distances are exact."""
    return figures.distance is not None and figures.distance.exact


def normalised_bounds(figures: Figures, policy: str) -> Bounds:
    """A policy's normalised return in /returns; NaN if there is none."""
    if figures.returns is None or figures.returns.normalised is None:
        return NOTHING
    return figures.returns.normalised.of(policy=policy)


def retrained_bounds(figures: Figures, reward: str) -> Bounds:
    """Normalised return after retraining, with an interval over seeds if there are at least three.

    It is the mean stored in /retraining, else the mean of its seeds. Without /retraining it is, for the only reward,
    that of the policy "retrained" in /returns; its interval over episodes is left out unless it is one over runs.
    """
    name = TRUE_REWARD if reward == TRUE else reward
    found = NOTHING if figures.retraining is None else figures.retraining.share.get(name, NOTHING)
    if np.isnan(found[0]) and reward not in BASELINES and judged(figures) in ([], [reward]):
        return retrained_alone(figures)
    return found


def retrained_alone(figures: Figures) -> Bounds:
    """The normalised return of the policy "retrained" in /returns, with an interval only if it is over runs."""
    found = normalised_bounds(figures, "retrained")
    return found if figures.runs >= LEAST_SEEDS else estimate_alone(found)


def retrained_returns(figures: Figures, reward: str | None) -> Floats:
    """The true returns of the policies that were retrained on a reward, one for each seed that has one."""
    returns = {} if figures.retraining is None else figures.retraining.returns
    found = returns.get(str(reward), np.zeros(0))
    return found[np.isfinite(found)]


def no_interval(returns: Floats) -> str:
    """Why the policies with these returns, one a seed, have no interval over seeds, as a sentence."""
    if few_seeds(len(returns)):
        return few_seeds(len(returns)) if len(returns) else "No policy was trained."
    if np.ptp(returns) == 0:
        return f"All {len(returns)} seeds have equal figures, so how much seeds differ is not known."
    return "The results hold no interval over seeds."


def retraining_seeds(figures: Figures, reward: str | None) -> int:
    """How many policies were retrained on a reward, over all seeds."""
    if figures.retraining is not None and reward in figures.retraining.returns:
        return len(retrained_returns(figures, reward))
    return 0 if np.isnan(normalised_bounds(figures, "retrained")[0]) else 1


def transfer_policy(figures: Figures, reward: str | None) -> str | None:
    """The policy of /transfer that was trained on a reward: the one of its name, or "recovered" for the only reward."""
    if figures.transfer is None or reward is None:
        return None
    policies = figures.transfer.value.labels["policy"]
    if reward in policies:
        return reward
    return RECOVERED if RECOVERED in policies and judged(figures) == [reward] else None


def transfer_bounds(figures: Figures, reward: str) -> Bounds:
    """A reward's (or "carried over"'s) normalised return over all changed dynamics; see `overall_bounds`."""
    policy = transfer_policy(figures, reward)
    return NOTHING if policy is None or figures.transfer is None else overall_bounds(figures.transfer, policy)


def overall_bounds(transfer: Transfer, policy: str) -> Bounds:
    """A policy's normalised return over the changes: random is 0, one trained there on the true reward 1.

    With one change it is the figure of that change. If the results have no figure over several changes, it is the mean
    of the changes' estimates and of the ends of their intervals, which is at least as wide.
    """
    every = [transfer.value.of(variant=variant, policy=policy) for variant in transfer.changed]
    known = [bounds for bounds in every if not np.isnan(bounds[0])]
    if len(known) != 1 and transfer.overall is not None:
        found = transfer.overall.of(policy=policy)
        if not np.isnan(found[0]):
            return found
    if not known:
        return NOTHING
    estimate, low, high = (float(value) for value in np.mean(known, axis=0))
    return estimate, low, high


def exact_transfer(figures: Figures) -> bool:
    """Whether /transfer holds exact returns and not those of seeds."""
    return figures.transfer is not None and figures.transfer.exact


def transfer_counts(figures: Figures, reward: str | None) -> tuple[int, int]:
    """In how many changes a reward's transfer is known, and by how many seeds at most (0 if only means are known)."""
    policy, transfer = transfer_policy(figures, reward), figures.transfer
    if policy is None or transfer is None:
        return 0, 0
    estimates = [transfer.value.of(variant=variant, policy=policy)[0] for variant in transfer.changed]
    seeds = [transfer.known.get((variant, policy), 0) for variant in transfer.changed]
    return int(np.isfinite(estimates).sum()), max(seeds, default=0)


def steady_truth(figures: Figures) -> bool:
    """Whether the true reward is the same at every step that was compared."""
    true = np.concatenate([np.zeros(0), *(points.true for points in figures.points.values())])
    if true.size:
        return bool(np.ptp(true) <= 1e-12 * np.abs(true).max())
    group = figures.correlation
    if group is None or "step" not in group.labels["level"]:
        return False
    at = list(group.labels).index("level"), group.labels["level"].index("step")
    reasons = np.take(group.reasons, at[1], axis=at[0])
    estimates = np.take(group.values[..., BOUND.index("estimate")], at[1], axis=at[0])
    does_not_vary = np.char.find(reasons, "true reward does not vary").max(initial=-1) >= 0
    return bool(does_not_vary and np.isnan(estimates).all())
