"""Reading figures out of a results tree: which rewards are judged, and the three numbers of each figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr

from irl_probe._names import UNCHANGED
from irl_probe.judgement.grades import Bounds
from irl_probe.judgement.warnings import BASELINES, TRUE_REWARD
from irl_probe.results import retraining_share
from irl_probe.results.files import fixed

IDEALS = ("exact occupancy",)  # made from what no demonstrations tell: the most that could be reached
RECOVERED = "recovered"  # what /transfer calls the reward as it was recovered, beside its distilled forms
TRANSFER_COMPARISONS = ("random", "true reward", "carried over")  # policies of /transfer that are no reward's

NOTHING: Bounds = (np.nan, np.nan, np.nan)


def rewards_of(tree: xr.DataTree) -> list[str]:
    """The rewards under judgement, in the order of the results: not the truth itself, nor the constant baseline."""
    found: dict[str, None] = {}
    for group in ("correlation", "distance", "retraining"):
        if group in tree.children:
            found |= dict.fromkeys(str(r) for r in tree[group].to_dataset()["reward"].values)
    if not found and "transfer" in tree.children:
        policies = (str(p) for p in tree["transfer"].to_dataset()["policy"].values)
        found = dict.fromkeys(p for p in policies if p not in TRANSFER_COMPARISONS)
    return [reward for reward in found if reward not in BASELINES]


def main_coverage(group: xr.Dataset) -> str:
    """The coverage that the verdict uses: a mixture where there is one, else the first."""
    coverages = [str(c) for c in group["coverage"].values]
    return next((c for c in coverages if "mixture" in c), coverages[0])


def correlation_bounds(
    tree: xr.DataTree, reward: str, level: str, control: str, *, coverage: str | None = None, metric: str = "pearson"
) -> Bounds:
    """(estimate, low, high) with the first reference; NaN where it is undefined or not in the results."""
    group = tree["correlation"].to_dataset() if "correlation" in tree.children else xr.Dataset()
    if "coverage" not in group.coords:
        return NOTHING
    wanted = {"reward": reward, "level": level, "control": control, "metric": metric}
    wanted["coverage"] = coverage or main_coverage(group)
    if any(label not in group[dim].values for dim, label in wanted.items()):
        return NOTHING
    values = group["value"].isel(reference=0).sel(wanted)
    return bounds_of(values)


def bounds_of(values: xr.DataArray) -> Bounds:
    """The three numbers along `bound`."""
    estimate, low, high = (float(v) for v in values.sel(bound=["estimate", "low", "high"]).values)
    return estimate, low, high


def retrained_bounds(tree: xr.DataTree, reward: str) -> Bounds:
    """Normalised return after retraining: over seeds where there are several, else over episodes.

    From /retraining's own mean, else from its seeds (their mean with a bootstrap interval); with one seed and one
    reward from /returns' policy "retrained".
    """
    group = tree["retraining"].to_dataset() if "retraining" in tree.children else xr.Dataset()
    found = retraining_share(group, TRUE_REWARD if reward == "true" else reward)
    if np.isnan(found[1]) and reward not in BASELINES and judged(tree) in ([], [reward]):
        alone = normalised_bounds(tree, "retrained")
        return found if np.isnan(alone[0]) else alone
    return found


def retraining_seeds(tree: xr.DataTree, reward: str | None) -> int:
    """How many policies were retrained on a reward, over all seeds."""
    if "retraining" in tree.children:
        returns = tree["retraining"].to_dataset()["return_mean"]
        if reward in returns["reward"].values:
            return int(returns.sel(reward=reward).notnull().sum())
    return 0 if np.isnan(normalised_bounds(tree, "retrained")[0]) else 1


def transfer_policy(tree: xr.DataTree, reward: str) -> str | None:
    """The policy of /transfer that was trained on a reward: of its name, or the "recovered" one of an only reward."""
    names = tree["transfer"].to_dataset()["policy"].values if "transfer" in tree.children else ()
    if reward in names:
        return reward
    return RECOVERED if RECOVERED in names and judged(tree) == [reward] else None


def changed(transfer: xr.Dataset) -> list[bool]:
    """Of each variant of /transfer whether it is a change of the environment, not the environment itself."""
    return [str(parameter) != UNCHANGED for parameter in transfer["parameter"].values]


def transfer_bounds(tree: xr.DataTree, reward: str) -> Bounds:
    """A reward's (or "carried over"'s) normalised return over all changed dynamics; see `overall_bounds`."""
    policy = transfer_policy(tree, reward)
    return NOTHING if policy is None else overall_bounds(tree["transfer"].to_dataset(), policy)


def overall_bounds(transfer: xr.Dataset, policy: str) -> Bounds:
    """A policy's normalised return over the changes: random is 0, one trained there on the true reward 1.

    Of one change it is that change's own. Where the results do not hold it over several, the mean of the changes'
    estimates and of their ends, which is no narrower.
    """
    values = transfer["value"].sel(policy=policy).isel(variant=changed(transfer))
    known = values.isel(variant=values.sel(bound="estimate").notnull().values)
    if known.sizes["variant"] != 1 and "overall" in transfer:
        found = bounds_of(transfer["overall"].sel(policy=policy))
        if not np.isnan(found[0]):
            return found
    return bounds_of(known.mean("variant", skipna=False)) if known.sizes["variant"] else NOTHING


def exact_transfer(tree: xr.DataTree) -> bool:
    """Whether /transfer holds exact returns, not those of seeds."""
    return "transfer" in tree.children and bool(tree["transfer"].attrs.get("exact"))


def transfer_counts(tree: xr.DataTree, reward: str | None) -> tuple[int, int]:
    """In how many changes a reward's transfer is known, and by how many seeds at most (0 where only means are kept)."""
    policy = transfer_policy(tree, reward) if reward else None
    if policy is None:
        return 0, 0
    group = tree["transfer"].to_dataset().sel(policy=policy).isel(variant=changed(tree["transfer"].to_dataset()))
    seeds = group["return_mean"].notnull().sum("seed").values if "return_mean" in group else np.zeros(0)
    return int(group["value"].sel(bound="estimate").notnull().sum()), int(seeds.max(initial=0))


def steady_truth(tree: xr.DataTree) -> bool:
    """Whether the true reward is the same at every step that was compared."""
    points = tree["points"].children.values() if "points" in tree.children else ()
    true = np.concatenate([np.zeros(0), *(node["true"].values for node in points)])
    if true.size:
        return bool(np.ptp(true) <= 1e-12 * np.abs(true).max())
    group = tree["correlation"].to_dataset() if "correlation" in tree.children else xr.Dataset()
    if "level" not in group.coords or "step" not in group["level"].values:
        return False
    reasons = group["reason"].sel(level="step").values
    return bool(np.char.find(reasons.astype(str), "true reward does not vary").max(initial=-1) >= 0) and bool(
        group["value"].sel(level="step").isnull().all()
    )


def distance_bounds(tree: xr.DataTree, reward: str, metric: str) -> Bounds:
    """A distance to the first reference on the main coverage."""
    group = tree["distance"].to_dataset() if "distance" in tree.children else xr.Dataset()
    if "metric" not in group.coords or metric not in group["metric"].values or reward not in group["reward"].values:
        return NOTHING
    return bounds_of(group["value"].isel(reference=0).sel(reward=reward, metric=metric, coverage=main_coverage(group)))


def normalised_bounds(tree: xr.DataTree, policy: str) -> Bounds:
    """A policy's normalised return in /returns."""
    group = tree["returns"].to_dataset() if "returns" in tree.children else xr.Dataset()
    if "normalised" not in group or policy not in group["policy"].values:
        return NOTHING
    return bounds_of(group["normalised"].sel(policy=policy))


def reason_of(group: xr.Dataset, reward: str, level: str, control: str = "none", *, coverage: str | None = None) -> str:
    """Why a Pearson figure is undefined, as the results have it."""
    labels = {"reward": reward, "level": level, "control": control, "metric": "pearson"}
    labels["coverage"] = coverage or main_coverage(group)
    if any(label not in group[dim].values for dim, label in labels.items()):
        return "it was not measured"
    return clause(str(group["reason"].isel(reference=0).sel(labels).values)) or "no reason was recorded"


def clause(sentence: str) -> str:
    """A sentence without its capital and full stop, to stand behind a colon."""
    return f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")


def judged(tree: xr.DataTree) -> list[str]:
    """The rewards that a verdict can be about: not ideal ones, nor those that the results set beside the others.

    All of them where there is nothing else.
    """
    rewards, others = rewards_of(tree), beside(tree)
    return [reward for reward in rewards if reward not in IDEALS and reward not in others] or rewards


def beside(tree: xr.DataTree) -> dict[str, str]:
    """The rewards that the results hold for comparison → what each is."""
    return {str(name): str(what) for name, what in json.loads(str(tree.attrs.get("beside", "{}"))).items()}


def percent(bounds: Bounds, *, exact: bool = True) -> str:
    """A share as "93 % [90, 95]"; three equal numbers have no interval unless they are not `exact`."""
    estimate, low, high = bounds
    text = f"{fixed(100 * estimate, 0)}\u00a0%"
    return (
        text if np.isnan(low) or (exact and low == high) else f"{text} [{fixed(100 * low, 0)}, {fixed(100 * high, 0)}]"
    )


EXACT_MERITS = {"regret": "regret", "distance (STARC minimal)": "starc_minimal"}
CORRELATION_MERITS = (
    ("episode", "length", "length-controlled episode Pearson"),
    ("step", "none", "step Pearson"),
)


def ranked(tree: xr.DataTree) -> list[str]:
    """The rewards under judgement, the best first: by the first of `merits` that tells two apart."""
    order = judged(tree)
    scores = {reward: [as_read(bounds) * sign for _, bounds, sign in merits(tree, reward)] for reward in order}
    return sorted(order, key=lambda reward: [-float(np.nan_to_num(s, nan=-np.inf)) for s in scores[reward]])


def as_read(bounds: Bounds) -> float:
    """The estimate to the two decimals that are shown: what reads alike is alike."""
    return round(bounds[0], 2)


def decided(tree: xr.DataTree, first: str, second: str) -> tuple[str, Bounds, Bounds, int] | None:
    """By what the first of two ranked rewards comes before the second: (name, its figure, the other's, the sign)."""
    for (name, ours, sign), (_, theirs, _) in zip(merits(tree, first), merits(tree, second), strict=True):
        if not np.isnan(ours[0]) and as_read(ours) != as_read(theirs):
            return name, ours, theirs, sign
    return None


def clearly(ours: Bounds, theirs: Bounds, sign: int) -> bool:
    """Whether an interval lies wholly beyond the other, on the better side."""
    return ours[1] > theirs[2] if sign > 0 else ours[2] < theirs[1]


def lead(tree: xr.DataTree, rewards: Sequence[str]) -> Literal["clear", "slight", "none"]:
    """How far the first of ranked rewards is ahead of all the others."""
    found = [decided(tree, rewards[0], other) for other in rewards[1:]]
    if any(one is None for one in found):
        return "none"
    return "clear" if all(one is not None and clearly(*one[1:]) for one in found) else "slight"


def leading(figures: Sequence[Bounds], sign: int) -> list[bool]:
    """Which figures of a column lead it: the best as it reads, and all that it is not clearly better than.

    None where that is all of them, for then nothing is told apart; a figure that is NaN does not compete.
    """
    read = np.array([as_read(bounds) * sign for bounds in figures])
    if np.isnan(read).all():
        return [False] * len(figures)
    best = int(np.nanargmax(read))
    tied = [
        bool(one == read[best] or (not np.isnan(one) and not clearly(figures[best], bounds, sign)))
        for one, bounds in zip(read, figures, strict=True)
    ]
    return tied if sum(tied) < np.isfinite(read).sum() else [False] * len(figures)


def merits(tree: xr.DataTree, reward: str) -> list[tuple[str, Bounds, int]]:
    """What rewards are ranked by, most telling first: (its name in words, the figure, 1 if more is better else −1)."""
    exact = "distance" in tree.children and bool(tree["distance"].attrs.get("exact"))
    found: list[tuple[str, Bounds, int]] = [("normalised return after retraining", retrained_bounds(tree, reward), 1)]
    if exact:
        found += [(f"exact {n}", distance_bounds(tree, reward, m), -1) for n, m in EXACT_MERITS.items()]
    found += [("return in changed dynamics", transfer_bounds(tree, reward), 1)]
    for level, control, name in CORRELATION_MERITS:
        found.append((name, correlation_bounds(tree, reward, level, control), 1))
    return found
