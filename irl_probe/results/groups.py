"""Builders of the groups of a results tree, from arrays; and the share that /retraining gives for a reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.bootstrap import percentile_interval, resample_counts, stratified_bootstrap
from irl_probe.results.schema import BOUND, INTERVALS, SCHEMA, UNDISCOUNTED

Labels = Sequence[str] | Sequence[int]


def learning_group(steps: ArrayLike, figures: Mapping[str, ArrayLike]) -> xr.Dataset:
    """`/learning` from the learner's log: the steps (T,) and figures (T,) each, NaN if one was not logged."""
    data = {name: (("step",), np.asarray(values, dtype=np.float64)) for name, values in figures.items()}
    return xr.Dataset(data, coords={"step": np.asarray(steps)})


def returns_group(
    returns: Mapping[str, ArrayLike],
    lengths: Mapping[str, ArrayLike],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """`/returns` from each policy's episodes: true returns (E,) and lengths (E,), where E may differ between policies.

    `mean` is the mean return with a percentile bootstrap interval over episodes. If "random" and "expert" are among the
    policies, `normalised` is (mean − random) / (expert − random), with the episodes of all three resampled; NaN if
    expert and random have the same mean. With one episode there is no interval: its bounds are NaN.

    Raises ValueError if a policy has no episode, or does not have one length for each return.
    """
    columns = {}
    for policy, values in returns.items():
        pair = [np.asarray(values, dtype=np.float64), np.asarray(lengths.get(policy, ()), dtype=np.float64)]
        if pair[0].ndim != 1 or pair[0].shape != pair[1].shape or not pair[0].size:
            raise ValueError(
                "Every policy needs at least one episode, with a return and a length for each; "
                f"policy '{policy}' has {pair[0].size} returns and {pair[1].size} lengths."
            )
        columns[policy] = np.stack(pair)
    padded = np.full((2, len(columns), max(c.shape[1] for c in columns.values())), np.nan)
    rng = np.random.default_rng(seed)
    means = {}
    for row, (policy, column) in enumerate(columns.items()):
        padded[:, row, : column.shape[1]] = column
        means[policy] = resample_counts(column.shape[1], resamples, rng) @ column[0] / column.shape[1]

    def intervals(replicates: Mapping[str, Floats], *others: str) -> Floats:
        rows = []
        for policy, row in replicates.items():
            single = any(columns[p].shape[1] == 1 for p in (policy, *others))
            without = "One episode has no interval." if single else ""
            rows.append(percentile_interval(row, confidence, without=without).array)
        return np.stack(rows)

    normalised = None
    if {"random", "expert"} <= means.keys():
        span = means["expert"] - means["random"]
        span[span == 0] = np.nan
        scaled = {policy: (mean - means["random"]) / span for policy, mean in means.items()}
        normalised = intervals(scaled, "random", "expert")
    return _group(
        "returns",
        {
            "returns": padded[0],
            "lengths": padded[1],
            "mean": intervals(means),
            "normalised": normalised,
        },
        {"policy": list(columns)},
    )


def coverages_group(episodes: Mapping[str, int]) -> xr.Dataset:
    """`/coverages` from the number of episodes that each coverage holds."""
    return _group("coverages", {"episodes": list(episodes.values())}, {"coverage": list(episodes)})


def correlation_group(
    value: ArrayLike,
    reason: ArrayLike,
    *,
    rewards: Sequence[str],
    references: Sequence[str],
    coverages: Sequence[str],
    metrics: Sequence[str],
    levels: Sequence[str],
    controls: Sequence[str],
) -> xr.Dataset:
    """`/correlation` from value (reward, reference, coverage, metric, level, control, 3) and reason (without the 3).

    Controls: "none", the correlation itself; "constant", the same figure for a constant reward, which shows the effect
    of length alone; "length", the figure with length partialled out.
    """
    labels = {"reward": rewards, "reference": references, "coverage": coverages}
    labels |= {"metric": metrics, "level": levels, "control": controls}
    return _group("correlation", {"value": value, "reason": np.asarray(reason, dtype=str)}, labels)


def distance_group(
    value: ArrayLike,
    reason: ArrayLike,
    *,
    rewards: Sequence[str],
    references: Sequence[str],
    coverages: Sequence[str],
    metrics: Sequence[str],
    exact: bool,
    shaped: ArrayLike | None = None,
    shaped_10: ArrayLike | None = None,
    random: ArrayLike | None = None,
    off_support: ArrayLike | None = None,
) -> xr.Dataset:
    """`/distance` from value (reward, reference, coverage, metric, 3) and reason (without the 3).

    Exact values have low = high = estimate, and the group carries the attribute exact = 1. Sampled ones come with their
    calibration: `shaped` and `shaped_10` (like value), `random` (reference, coverage, metric, 3), `off_support`
    (coverage, metric).
    """
    labels = {"reward": rewards, "reference": references, "coverage": coverages, "metric": metrics}
    data: dict[str, ArrayLike | None] = {"value": value, "reason": np.asarray(reason, dtype=str)}
    data |= {"shaped": shaped, "shaped_10": shaped_10, "random": random, "off_support": off_support}
    group = _group("distance", data, labels).assign_attrs(exact=int(exact))
    return group.drop_attrs(deep=False).assign_attrs(exact=1) if exact else group  # exact figures have no interval


# Measures that ignore shaping, and the largest distance of the truth to a shaped truth at which one of them counts.
IGNORE_SHAPING = ("epic", "dard", "starc_val", "starc_minimal")
TRUSTED = 0.1


def trusted_distances(group: xr.Dataset) -> xr.Dataset:
    """`/distance` with the sampled figures that their own calibration contradicts taken out: NaN, and the reason.

    A measure that ignores shaping must find the truth shaped at the scale of a reward's own value at 0, and shaped ten
    times as much. Where it finds it farther than 0.1, its figure for that reward on that coverage is not measured.
    """
    shown = [name for name in ("shaped", "shaped_10") if name in group and "reward" in group[name].dims]
    if not shown:
        return group
    far = xr.concat([group[name].sel(bound="estimate") for name in shown], "times").max("times")
    wrong = (far > TRUSTED) & group["metric"].isin(IGNORE_SHAPING) & group["value"].sel(bound="estimate").notnull()
    words = xr.apply_ufunc(_not_measured, far, vectorize=True, output_dtypes=[object])
    reason = group["reason"].astype(object).where(~wrong, words).transpose(*group["reason"].dims).astype(str)
    return group.assign(value=group["value"].where(~wrong), reason=reason)


def _not_measured(far: float) -> str:
    return (
        f"Not measured: on these steps the measure finds the truth {far:.2f} from the truth with shaping of this "
        "reward's size, where 0 is right. More steps or features may help."
    )


def decomposition_group(
    value: ArrayLike,
    reason: ArrayLike,
    scale: ArrayLike,
    *,
    rewards: Sequence[str],
    references: Sequence[str],
    coverages: Sequence[str],
    parts: Sequence[str],
) -> xr.Dataset:
    """`/decomposition` from shares (reward, reference, coverage, part, 3), reason (without the 3) and λ (..., 3)."""
    labels = {"reward": rewards, "reference": references, "coverage": coverages, "part": parts}
    return _group("decomposition", {"value": value, "reason": np.asarray(reason, dtype=str), "scale": scale}, labels)


def ranking_group(
    value: ArrayLike,
    reason: Sequence[str],
    constant: ArrayLike,
    *,
    true: ArrayLike,
    recovered: ArrayLike,
    rewards: Sequence[str],
    policies: Sequence[str],
    gamma: ArrayLike | None = None,
    cut: ArrayLike | None = None,
    undiscounted: Mapping[str, ArrayLike] | None = None,
) -> xr.Dataset:
    """`/ranking` from τ_b between the mean discounted returns of a ladder of policies, value (reward, 3).

    `constant` (3,) or (reward, 3) is that of a constant reward, NaN if it ties all policies; `true`, (policy,) or
    (reward, policy), and `recovered` (reward, policy) are the means themselves, with γ `gamma` (reward,). `cut`
    (reward, policy) is the mean of γᵀ over episodes, 0 for those that ended. `undiscounted` has the same figures of
    plain sums under the names "value", "constant" (3,), "true" (policy,) and "recovered".
    """
    shape = (len(rewards), len(policies))
    data = {"value": value, "reason": np.asarray(reason, dtype=str), "gamma": gamma, "cut": cut}
    data |= {"constant": np.broadcast_to(constant, (len(rewards), 3)), "true": np.broadcast_to(true, shape)}
    data |= {"recovered": recovered}
    data |= {f"{UNDISCOUNTED}_{name}": figures for name, figures in (undiscounted or {}).items()}
    return _group("ranking", data, {"reward": rewards, "policy": policies})


def points_group(episode: ArrayLike, true: ArrayLike, recovered: Mapping[str, ArrayLike]) -> xr.Dataset:
    """One `/points/<coverage>` from episode (N,), the reference reward (N,) and each reward (N,), all per step."""
    data = {"episode": np.asarray(episode, dtype=np.int64), "true": true, "recovered": _stack(recovered)}
    return _group("points", data, {"reward": list(recovered)})


def retraining_group(
    return_mean: ArrayLike,
    *,
    rewards: Sequence[str],
    seeds: Sequence[int],
    normalised: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    normalised_mean: ArrayLike | None = None,
) -> xr.Dataset:
    """`/retraining` from the true return of policies trained on each reward alone, (reward, seed).

    `normalised` (reward, seed) is (return − random) / (expert − random); `mean` and `normalised_mean` (reward, 3) are
    centres over seeds with their intervals (`metrics.stratified_bootstrap`).
    """
    data = {"return_mean": return_mean, "normalised": normalised, "mean": mean, "normalised_mean": normalised_mean}
    return _group("retraining", data, {"reward": rewards, "seed": seeds})


def transfer_group(
    return_mean: ArrayLike,
    *,
    variants: Sequence[str],
    policies: Sequence[str],
    seeds: Sequence[int],
    mean: ArrayLike,
    value: ArrayLike,
    reason: ArrayLike,
    parameter: Sequence[str],
    factor: ArrayLike,
    overall: ArrayLike | None = None,
    regret_greedy: ArrayLike | None = None,
    regret_soft: ArrayLike | None = None,
    exact: bool = False,
) -> xr.Dataset:
    """`/transfer` from the true returns of policies in changed dynamics, (variant, policy, seed).

    Among the policies are "random" and "true reward" (trained on it in the variant itself), which are 0 and 1 of
    `value` (variant, policy, 3); "carried over" is the imitator's own, and any other name is that of a reward which a
    policy was trained on in the variant. `overall` (policy, 3) is `value` over all changed variants. The first variant
    may be "unchanged". Exact groups (attribute exact = 1) hold discounted returns, and both regrets (variant, policy).
    """
    data = {"return_mean": return_mean, "mean": mean, "value": value, "overall": overall, "factor": factor}
    data |= {"regret_greedy": regret_greedy, "regret_soft": regret_soft}
    data |= {"reason": np.asarray(reason, dtype=str), "parameter": np.asarray(parameter, dtype=str)}
    group = _group("transfer", data, {"variant": variants, "policy": policies, "seed": seeds})
    if exact:
        for name in ("return_mean", "mean"):
            group[name].attrs["units"] = "true reward, discounted sum"
        if len(seeds) == 1:  # exact figures have no interval
            del group.attrs["interval"]
    return group.assign_attrs(exact=int(exact))


def grid_group(
    true_reward: ArrayLike,
    recovered_reward: Mapping[str, ArrayLike],
    true_value: ArrayLike | None = None,
    recovered_value: Mapping[str, ArrayLike] | None = None,
) -> xr.Dataset:
    """`/grid` from maps (rows, cols), the recovered ones by kind ("30 demonstrations", ...); NaN is a wall."""
    kinds = list(recovered_reward)
    data = {
        "true_reward": true_reward,
        "recovered_reward": _stack(recovered_reward),
        "true_value": true_value,
        "recovered_value": None if recovered_value is None else _stack({k: recovered_value[k] for k in kinds}),
    }
    return _group("grid", data, {"kind": kinds})


def _group(kind: str, data: Mapping[str, ArrayLike | None], labels: Mapping[str, Labels]) -> xr.Dataset:
    """A dataset with the dims and units of the schema; a variable that is None is left out."""
    given = {name: np.asarray(values) for name, values in data.items() if values is not None}
    variables = {}
    for name, values in given.items():
        dims, units = SCHEMA[kind][name].dims, SCHEMA[kind][name].units
        typed = values if name in ("episode", "reason", "parameter") else values.astype(np.float64)
        variables[name] = xr.Variable(dims, typed, {"units": units} if units else {})
    coords = {dim: list(values) for dim, values in labels.items()}
    bounded = any("bound" in variable.dims for variable in variables.values())
    if bounded:
        coords["bound"] = list(BOUND)
    return xr.Dataset(variables, coords, {"interval": INTERVALS[kind]} if bounded else {})


def _stack(arrays: Mapping[str, ArrayLike]) -> Floats:
    return np.stack([np.asarray(values, dtype=np.float64) for values in arrays.values()])


def retraining_share(group: xr.Dataset, reward: str) -> tuple[float, float, float]:
    """A reward's normalised return after retraining in /retraining: (estimate, low, high), NaN if there is none.

    It is the group's `normalised_mean`, else the mean over its seeds with its interval; fewer than three seeds have no
    interval (`metrics.seed_interval`).
    """
    if "reward" not in group.coords or reward not in group["reward"].values:
        return np.nan, np.nan, np.nan
    if "normalised_mean" in group:
        estimate, low, high = (float(v) for v in group["normalised_mean"].sel(reward=reward, bound=list(BOUND)).values)
        if np.isfinite(estimate):
            return estimate, low, high
    scores = group["normalised"].sel(reward=reward).values if "normalised" in group else np.empty(0)
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return np.nan, np.nan, np.nan
    found = stratified_bootstrap(scores, statistic=lambda rows: rows.mean(axis=1))
    return found.value, found.low, found.high
