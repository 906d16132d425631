"""Where a figure must not be trusted: warnings in plain words, each derived from a results tree by one stated rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr

from irl_probe.envs import UNCHANGED
from irl_probe.grades import GOOD_SHARE, Bounds, with_interval
from irl_probe.results import retraining_share, validate

LENGTH_MARGIN = 0.05  # a constant reward that comes this close leaves nothing to the reward
LENGTH_MATTERS = 0.5  # below this, length does not drive the true returns, and closeness means nothing
FEW_EPISODES = 10
BASELINES = ("true", "constant")  # rewards that stand beside the others and are not judged
SUCCESSOR_SENSITIVE = frozenset({"epic", "dard", "npec", "starc_val_potential"})  # not S'R-invariant
NOT_REWARDS = ("random", "carried over", "true reward")  # the policies of /transfer that no reward under test made

Verdict = dict[str, str]
Rule = Callable[[xr.DataTree], Iterator[str]]


def verdicts(tree: xr.DataTree) -> list[Verdict]:
    """The warnings {"code", "text"} that a results tree calls for, in the order of this list.

    "Below" is said outright where the whole interval is, and as "not shown" where the interval reaches further.

    | code | rule |
    |---|---|
    | transfer | in a changed variant the value of policies trained on a reward there is below .9 |
    | transfer-undefined | in a variant, training on the true reward is no better than random actions |
    | imitation | the learned policy's normalised return is below .9 |
    | retraining | the mean normalised return of policies trained on the reward alone is below .9 |
    | negative-correlation | the interval of the partial or episode Pearson (length partialled out; plain where
      undefined) lies below 0 |
    | length-confound | a constant reward's episode Pearson is at least .5, up to sign, and the reward's is within .05
      of it, or its interval reaches 0 once length is partialled out |
    | undefined-step | the step-level Pearson does not exist |
    | includes-zero | the Pearson's interval, plain or with length partialled out, includes 0, at the levels named |
    | next-state-noise | a per-transition reward meets a measure that S'R changes, and s′ is or may be random |
    | no-distances | canonical distances were asked for and could not be had |
    | few-episodes | a coverage holds fewer than 10 episodes |

    Figures that the tree does not hold raise no warning. Raises ValueError as `irl_probe.results.validate` does.
    """
    validate(tree)
    return [{"code": code, "text": text} for code, (_, rule) in _RULES.items() for text in rule(tree)]


def current_warnings(tree: xr.DataTree) -> list[Verdict]:
    """The warnings to show for a results tree: those of `verdicts` now, and what it was stored with and cannot tell.

    Results keep the warnings of the day they were made, and merged results those of their parts. One of a rule whose
    figures are in the tree is derived anew; others, such as the few episodes of points that were left out, are kept.

    Raises ValueError as `irl_probe.results.validate` does.
    """
    found = verdicts(tree)
    for stored in json.loads(str(tree.attrs.get("warnings", "[]"))):
        group, _ = _RULES.get(stored["code"], (None, None))
        if (group is None or group not in tree.children) and stored not in found:
            found.append(stored)
    return found


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
        shares = {v: _bounds(value.sel(variant=v)) for v in (*changed, *usual)}
        failing = [with_interval(shares[v]) for v in usual if _clear(shares[v])]
        at_home = [f" In the unchanged environment it fails too ({share})." for share in failing]
        for verb, failed, home in (
            ("does not transfer", _clear, "".join(at_home)),
            ("is not shown to transfer", _doubtful, ""),
        ):
            where = [f"{v} ({with_interval(shares[v])})" for v in changed if failed(shares[v])]
            if where:
                yield (
                    f"Reward “{policy}” {verb} to {_listed(where)}: that share of the return of policies trained there "
                    f"on the true reward is what policies trained there on this one reach (random 0).{home}"
                )


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
    group = tree["returns"].to_dataset() if "returns" in tree.children else xr.Dataset()
    if "normalised" not in group or "learned" not in group["policy"].values:
        return
    share = _bounds(group["normalised"].sel(policy="learned"))
    reach = f"The learned policy reaches {with_interval(share)} of the expert's return (random 0, expert 1)"
    if _clear(share):
        yield f"{reach}. The reward of a Q-function that does not imitate describes that failure, not the expert."
    elif _doubtful(share):
        yield f"{reach}: that it imitates is not shown, and the reward of one that does not describes its failure."


def _retraining(tree: xr.DataTree) -> Iterator[str]:
    group = tree["retraining"].to_dataset() if "retraining" in tree.children else xr.Dataset()
    for reward in group["reward"].values if "reward" in group.coords else ():
        share = retraining_share(group, str(reward))
        reach = (
            f"Policies trained on reward “{reward}” alone reach {with_interval(share)} of the expert's true return "
            "(random 0, expert 1): "
        )
        if _clear(share):
            yield f"{reach}optimising this reward does not bring back the expert's behaviour."
        elif _doubtful(share):
            yield f"{reach}that it brings back the expert's behaviour is not shown."


def _negative(tree: xr.DataTree) -> Iterator[str]:
    for who, values, _ in _pairs(tree):
        for level in ("partial", "episode"):
            found = []
            for coverage in values["coverage"].values:
                (estimate, low, high), controlled = _deciding(values.sel(coverage=coverage, level=level))
                if high < 0 or (np.isnan(high) and estimate < 0):
                    kind = ", length partialled out" if controlled else ""
                    found.append(f"{coverage} ({with_interval((estimate, low, high))}{kind})")
            if found:
                yield (
                    f"{who} is negatively correlated with the truth at {level} level on {_listed(found)}: where it is "
                    "higher, the true return tends to be lower."
                )


def _length(tree: xr.DataTree) -> Iterator[str]:
    for who, values, _ in _pairs(tree):
        nothing, something = [], []
        for coverage in values["coverage"].values:
            episode = values.sel(coverage=coverage, level="episode")
            plain, constant, left = (_bounds(episode.sel(control=c)) for c in ("none", "constant", "length"))
            near = abs(abs(plain[0]) - abs(constant[0])) <= LENGTH_MARGIN
            if abs(constant[0]) < LENGTH_MATTERS or np.isnan([plain[0], constant[0]]).any():
                continue
            told = f"{coverage} ({with_interval(plain)}; a constant reward reaches {with_interval(constant)}"
            told += ")" if np.isnan(left[0]) else f"; with length partialled out {with_interval(left)})"
            if left[1] <= 0 <= left[2] or (near and np.isnan(left).any()):
                nothing.append(told)
            elif near:
                something.append(told)
        if nothing:
            yield (
                f"{who}: the episode correlation is not known to say anything beyond episode length on "
                f"{_listed(nothing)}. Read the step level and retraining instead."
            )
        if something:
            yield (
                f"{who}: the episode correlation is no higher than a constant reward's on {_listed(something)}. "
                "Read the figure with length partialled out, the step level, and retraining instead."
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
        found = []
        for coverage in values["coverage"].values:
            plain, controlled = (
                [
                    str(level)
                    for level in values["level"].values
                    if _crosses(_bounds(values.sel(coverage=coverage, level=level, control=control)))
                ]
                for control in ("none", "length")
            )
            controlled = [level for level in controlled if level not in ("step", *plain)]
            where = [f"{_listed(plain)} level"] if plain else []
            where += [f"{_listed(controlled)} level with length partialled out"] if controlled else []
            if where:
                found.append(f"{coverage} ({', '.join(where)})")
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


_RULES: Mapping[str, tuple[str, Rule]] = {  # code → (the group that the rule reads, the rule)
    "transfer": ("transfer", _transfer),
    "transfer-undefined": ("transfer", _transfer_undefined),
    "imitation": ("returns", _imitation),
    "retraining": ("retraining", _retraining),
    "negative-correlation": ("correlation", _negative),
    "length-confound": ("correlation", _length),
    "undefined-step": ("correlation", _undefined_step),
    "includes-zero": ("correlation", _includes_zero),
    "next-state-noise": ("distance", _next_state_noise),
    "no-distances": ("distance", _no_distances),
    "few-episodes": ("points", _few_episodes),
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


def _deciding(values: xr.DataArray) -> tuple[Bounds, bool]:
    """Of (control, bound) the Pearson with length partialled out, and True; where that is undefined the plain one."""
    controlled = _bounds(values.sel(control="length"))
    return (_bounds(values.sel(control="none")), False) if np.isnan(controlled[0]) else (controlled, True)


def _bounds(values: xr.DataArray) -> Bounds:
    estimate, low, high = (float(v) for v in values.sel(bound=["estimate", "low", "high"]).values)
    return estimate, low, high


def _clear(share: Bounds) -> bool:
    """The whole interval lies below a good share."""
    return share[0] < GOOD_SHARE and share[2] < GOOD_SHARE


def _doubtful(share: Bounds) -> bool:
    """The estimate lies below a good share, but the interval does not, or there is none."""
    return share[0] < GOOD_SHARE and not share[2] < GOOD_SHARE


def _crosses(bounds: Bounds) -> bool:
    return bounds[1] <= 0 <= bounds[2]


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
