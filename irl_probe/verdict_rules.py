"""Where a figure must not be trusted: warnings in plain words, each derived from a results tree by one stated rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr

from irl_probe.envs import UNCHANGED
from irl_probe.results import validate
from irl_probe.results.digits import fixed

LENGTH_MARGIN = 0.05  # a constant reward that comes this close leaves nothing to the reward
LENGTH_MATTERS = 0.5  # below this, length does not drive the true returns, and closeness means nothing
GOOD_SHARE = 0.9  # of the expert's normalised return, for imitation and retraining
FEW_EPISODES = 10
BASELINES = ("true", "constant")  # rewards that stand beside the others and are not judged
SUCCESSOR_SENSITIVE = frozenset({"epic", "dard", "npec", "starc_val_potential"})  # not S'R-invariant
NOT_REWARDS = ("random", "carried over", "true reward")  # the policies of /transfer that no reward under test made

Verdict = dict[str, str]
Rule = Callable[[xr.DataTree], Iterator[str]]


def verdicts(tree: xr.DataTree) -> list[Verdict]:
    """The warnings {"code", "text"} that a results tree calls for, in the order of this list.

    | code | rule |
    |---|---|
    | transfer | in a changed variant the value of policies trained on a reward there is below .9 |
    | transfer-undefined | in a variant, training on the true reward is no better than random actions |
    | imitation | the learned policy's normalised return is below .9 |
    | retraining | the mean normalised return of policies trained on the reward alone is below .9 |
    | negative-correlation | the partial or episode Pearson (length partialled out; plain where undefined) is below 0 |
    | length-confound | the episode Pearson is, up to sign, within .05 of a constant reward's, and that is at least .5 |
    | undefined-step | the step-level Pearson does not exist |
    | includes-zero | the plain Pearson's interval reaches from below 0 to above 0, at the levels named |
    | next-state-noise | a per-transition reward meets a measure that S'R changes, and s′ is or may be random |
    | no-distances | canonical distances were asked for and could not be had |
    | few-episodes | a coverage holds fewer than 10 episodes |

    Figures that the tree does not hold raise no warning. Raises ValueError as `irl_probe.results.validate` does.
    """
    validate(tree)
    return [{"code": code, "text": text} for code, rule in _RULES.items() for text in rule(tree)]


def _transfer(tree: xr.DataTree) -> Iterator[str]:
    if "transfer" not in tree.children:
        return
    group = tree["transfer"].to_dataset()
    changed = [str(v) for v in group["variant"].values[group["parameter"].values != UNCHANGED]]
    usual = [str(v) for v in group["variant"].values[group["parameter"].values == UNCHANGED]]
    for policy in group["policy"].values:
        if policy in NOT_REWARDS:
            continue
        value = group["value"].sel(policy=policy)
        failed = [v for v in changed if value.sel(variant=v, bound="estimate") < GOOD_SHARE]
        if failed:
            figures = [f"{v} ({_share(value.sel(variant=v).values)})" for v in failed]
            text = (
                f"Reward “{policy}” does not transfer to {_listed(figures)}: that share of the return of policies "
                "trained there on the true reward is what policies trained there on this one reach (random 0)."
            )
            at_home = [_share(value.sel(variant=v).values) for v in usual if value.sel(variant=v)[0] < GOOD_SHARE]
            yield text + (f" In the unchanged environment it fails too ({at_home[0]})." if at_home else "")


def _transfer_undefined(tree: xr.DataTree) -> Iterator[str]:
    if "transfer" not in tree.children:
        return
    group = tree["transfer"].to_dataset()
    without = [str(v) for v in group["variant"].values if (group["reason"].sel(variant=v) != "").all()]
    if without:
        yield (
            f"On {_listed(without)} training on the true reward is no better than random actions, so nothing can be "
            "said of transfer there. More steps would tell."
        )


def _imitation(tree: xr.DataTree) -> Iterator[str]:
    if "returns" in tree.children and "normalised" in tree["returns"].data_vars:
        shares = tree["returns"]["normalised"].sel(bound="estimate").to_series()
        if shares.get("learned", np.nan) < GOOD_SHARE:
            yield (
                f"The learned policy reaches {fixed(shares['learned'])} of the expert's return (random 0, expert 1). "
                "A reward read out of a Q-function that does not imitate describes that failure, not the expert."
            )


def _retraining(tree: xr.DataTree) -> Iterator[str]:
    if "retraining" not in tree.children:
        return
    group = tree["retraining"].to_dataset()
    if "normalised_mean" in group:
        shares = group["normalised_mean"].sel(bound="estimate").to_series()
    elif "normalised" in group:
        shares = group["normalised"].mean("seed").to_series()
    else:
        return
    for reward, share in shares.items():
        if share < GOOD_SHARE:
            yield (
                f"Policies trained on reward “{reward}” alone reach {fixed(share)} of the expert's true return (random "
                "0, expert 1): optimising this reward does not bring back the expert's behaviour."
            )


def _negative(tree: xr.DataTree) -> Iterator[str]:
    for who, values, _ in _pairs(tree):
        for level in ("partial", "episode"):
            found = []
            for coverage in values["coverage"].values:
                controlled, plain = (values.sel(coverage=coverage, level=level, control=c) for c in ("length", "none"))
                undefined = bool(controlled.sel(bound="estimate").isnull())
                estimate, low, high = (plain if undefined else controlled).values
                if estimate < 0:
                    interval = f" [{fixed(low)}, {fixed(high)}]" if np.isfinite(low) else ""
                    kind = "" if undefined else ", length partialled out"
                    found.append(f"{coverage} ({fixed(estimate)}{interval}{kind})")
            if found:
                yield (
                    f"{who} is negatively correlated with the truth at {level} level on {_listed(found)}: where it is "
                    "higher, the true return tends to be lower."
                )


def _length(tree: xr.DataTree) -> Iterator[str]:
    for who, values, _ in _pairs(tree):
        episode = values.sel(level="episode", bound="estimate")
        found = []
        for coverage in values["coverage"].values:
            plain, constant = (float(episode.sel(coverage=coverage, control=c)) for c in ("none", "constant"))
            if abs(constant) >= LENGTH_MATTERS and abs(abs(plain) - abs(constant)) <= LENGTH_MARGIN:
                found.append(f"{coverage} ({fixed(plain)}; a constant reward reaches {fixed(constant)})")
        if found:
            yield (
                f"{who}: the episode correlation says nothing beyond episode length on {_listed(found)}. "
                "Read the step level, the figure with length partialled out, and retraining instead."
            )


def _undefined_step(tree: xr.DataTree) -> Iterator[str]:
    for who, values, reasons in _pairs(tree):
        step = values.sel(level="step", control="none", bound="estimate")
        why = reasons.sel(level="step", control="none")
        coverages: dict[str, list[str]] = {}
        for coverage in values["coverage"].values:
            if np.isnan(step.sel(coverage=coverage)):
                coverages.setdefault(why.sel(coverage=coverage).item(), []).append(coverage)
        for reason, names in coverages.items():
            if reason:
                yield f"{who} has no step-level correlation on {_listed(names)}: {reason}"


def _includes_zero(tree: xr.DataTree) -> Iterator[str]:
    for who, values, _ in _pairs(tree):
        plain = values.sel(control="none")
        crossing = (plain.sel(bound="low") <= 0) & (plain.sel(bound="high") >= 0)
        found = [
            f"{coverage} ({_listed(levels)} level)"
            for coverage in values["coverage"].values
            if (
                levels := [
                    str(level) for level in values["level"].values if crossing.sel(coverage=coverage, level=level)
                ]
            )
        ]
        if found:
            yield (
                f"{who}: the interval of the correlation includes 0 on {_listed(found)}, so its sign is not known "
                "there. More episodes would narrow it."
            )


def _next_state_noise(tree: xr.DataTree) -> Iterator[str]:
    if "per-transition" not in tree.attrs.get("reward_kind", "") or tree.attrs.get("stochastic") == 0:
        return
    present = set(tree["distance"].to_dataset()["metric"].values) if "distance" in tree.children else set()
    sensitive = sorted(SUCCESSOR_SENSITIVE & present)
    if sensitive:
        unless = "" if "stochastic" in tree.attrs else ", unless this environment is deterministic"
        yield (
            f"Measured by {_listed(sensitive)}, the chance part of s′ in the per-transition reward Q(s, a) − γV(s′) "
            f"counts as a difference from the truth{unless}. Large values there do not mean that the marginal reward "
            "Q(s, a) − γE[V(s′)] is wrong; starc_val and starc_minimal do not see that part."
        )


def _no_distances(tree: xr.DataTree) -> Iterator[str]:
    if tree.attrs.get("no_distances"):
        yield f"Without canonical distances: {tree.attrs['no_distances']}"


def _few_episodes(tree: xr.DataTree) -> Iterator[str]:
    points = tree["points"].children if "points" in tree.children else {}
    counts = {name: len(np.unique(node["episode"])) for name, node in points.items()}
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW_EPISODES]
    if few:
        yield (
            f"Fewer than {FEW_EPISODES} episodes on {_listed(few)}: intervals come from resampling episodes, and with "
            "so few of them they are too narrow."
        )


_RULES: Mapping[str, Rule] = {
    "transfer": _transfer,
    "transfer-undefined": _transfer_undefined,
    "imitation": _imitation,
    "retraining": _retraining,
    "negative-correlation": _negative,
    "length-confound": _length,
    "undefined-step": _undefined_step,
    "includes-zero": _includes_zero,
    "next-state-noise": _next_state_noise,
    "no-distances": _no_distances,
    "few-episodes": _few_episodes,
}


def _pairs(tree: xr.DataTree) -> Iterator[tuple[str, xr.DataArray, xr.DataArray]]:
    """Who is compared, the Pearson values (coverage, level, control, bound) and the reasons; absent ones are NaN."""
    if "correlation" not in tree.children:
        return
    whole = {"level": ["step", "partial", "episode"], "control": ["none", "constant", "length"], "metric": ["pearson"]}
    group = tree["correlation"].to_dataset().reindex(whole, fill_value={"reason": ""}).sel(metric="pearson")
    for reward in (r for r in group["reward"].values if r not in BASELINES):
        for reference in group["reference"].values:
            pair = group.sel(reward=reward, reference=reference)
            against = f" (against “{reference}”)" if group.sizes["reference"] > 1 else ""
            yield f"Reward “{reward}”{against}", pair["value"], pair["reason"]


def _share(bounds: np.ndarray) -> str:
    estimate, low, high = bounds
    return fixed(estimate) if np.isnan(low) or low == high else f"{fixed(estimate)} [{fixed(low)}, {fixed(high)}]"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
