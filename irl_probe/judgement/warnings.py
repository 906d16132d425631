"""Where a figure must not be trusted: warnings in plain words, each derived from a results tree by one stated rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from irl_probe._words import listed
from irl_probe.envs import UNCHANGED
from irl_probe.judgement.grades import GOOD_SHARE, Bounds, short_of_steps, with_interval
from irl_probe.results import retraining_share, validate

LENGTH_MARGIN = 0.05  # a constant reward that comes this close leaves nothing to the reward
LENGTH_MATTERS = 0.5  # below this, length does not drive the true returns, and closeness means nothing
TRUE_REWARD = "true reward"  # what /retraining and /transfer call policies trained on the environment's own reward
BASELINES = ("true", "constant", TRUE_REWARD)  # rewards that stand beside the others and are not judged


class Told(NamedTuple):
    """The text of a warning, and the reward that it is about ("" where it is about none, or about several)."""

    text: str
    reward: str = ""


def negative(tree: xr.DataTree) -> Iterator[Told]:
    """Below 0 over its whole interval."""
    for reward, who, values, _ in _pairs(tree):
        for level in ("partial", "episode"):
            found = []
            for coverage in values["coverage"].values:
                (estimate, low, high), controlled = _deciding(values.sel(coverage=coverage, level=level))
                if high < 0 or (np.isnan(high) and estimate < 0):
                    kind = ", length partialled out" if controlled else ""
                    found.append(f"{coverage} ({with_interval((estimate, low, high))}{kind})")
            if found:
                yield Told(
                    f"{who} is negatively correlated with the truth at {level} level on {listed(found)}: where it is "
                    "higher, the true return tends to be lower.",
                    reward,
                )


def length(tree: xr.DataTree) -> Iterator[Told]:
    """No better than a constant reward over episodes, or nothing left with length partialled out."""
    for reward, who, values, _ in _pairs(tree):
        nothing, something = [], []
        for coverage in values["coverage"].values:
            episode = values.sel(coverage=coverage, level="episode")
            plain, constant, left = (bounds_in(episode.sel(control=c)) for c in ("none", "constant", "length"))
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
            yield Told(
                f"{who}: the episode correlation is not known to say anything beyond episode length on "
                f"{listed(nothing)}. Read the step level and retraining instead.",
                reward,
            )
        if something:
            yield Told(
                f"{who}: the episode correlation is no higher than a constant reward's on {listed(something)}. "
                "Read the figure with length partialled out, the step level, and retraining instead.",
                reward,
            )


def undefined_step(tree: xr.DataTree) -> Iterator[Told]:
    """No correlation at step level; rewards that share the reason are told together."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for reward, who, values, reasons in _pairs(tree):
        step = values.sel(level="step", control="none", bound="estimate")
        why = reasons.sel(level="step", control="none")
        coverages: dict[str, list[str]] = {}
        for coverage in values["coverage"].values:
            if np.isnan(step.sel(coverage=coverage)) and why.sel(coverage=coverage).item():
                coverages.setdefault(why.sel(coverage=coverage).item(), []).append(str(coverage))
        for reason, names in coverages.items():
            found.setdefault((reason, listed(names)), []).append((reward, who))
    for (reason, where), whose in found.items():
        nothing = f"no step-level correlation on {where}: {reason}"
        if len(whose) == 1:
            yield Told(f"{whose[0][1]} has {nothing}", whose[0][0])
        else:
            yield Told(f"Rewards {listed([one.removeprefix('Reward ') for _, one in whose])} have {nothing}")


def includes_zero(tree: xr.DataTree) -> Iterator[Told]:
    """An interval that includes 0."""
    for reward, who, values, _ in _pairs(tree):
        found = []
        for coverage in values["coverage"].values:
            plain, controlled = (
                [
                    str(level)
                    for level in values["level"].values
                    if _crosses(bounds_in(values.sel(coverage=coverage, level=level, control=control)))
                ]
                for control in ("none", "length")
            )
            controlled = [level for level in controlled if level not in ("step", *plain)]
            where = [f"{listed(plain)} level"] if plain else []
            where += [f"{listed(controlled)} level with length partialled out"] if controlled else []
            if where:
                found.append(f"{coverage} ({', '.join(where)})")
        if found:
            yield Told(
                f"{who}: the interval of the correlation includes 0 on {listed(found)}, so its sign is not known "
                "there. More episodes would narrow it.",
                reward,
            )


def _pairs(tree: xr.DataTree) -> Iterator[tuple[str, str, xr.DataArray, xr.DataArray]]:
    """The reward, who is compared in words, its Pearson (coverage, level, control, bound) and the reasons; else NaN."""
    if "correlation" not in tree.children:
        return
    whole = {"level": ["step", "partial", "episode"], "control": ["none", "constant", "length"], "metric": ["pearson"]}
    group = tree["correlation"].to_dataset().reindex(whole, fill_value={"reason": ""}).sel(metric="pearson")
    for reward in (r for r in group["reward"].values if r not in BASELINES):
        for reference in group["reference"].values:
            pair = group.sel(reward=reward, reference=reference)
            against = f" (against “{reference}”)" if group.sizes["reference"] > 1 else ""
            yield str(reward), f"Reward “{reward}”{against}", pair["value"], pair["reason"]


def _deciding(values: xr.DataArray) -> tuple[Bounds, bool]:
    """Of (control, bound) the Pearson with length partialled out, and True; where that is undefined the plain one."""
    controlled = bounds_in(values.sel(control="length"))
    return (bounds_in(values.sel(control="none")), False) if np.isnan(controlled[0]) else (controlled, True)


def bounds_in(values: xr.DataArray) -> Bounds:
    """The three numbers along `bound`."""
    estimate, low, high = (float(v) for v in values.sel(bound=["estimate", "low", "high"]).values)
    return estimate, low, high


def _crosses(bounds: Bounds) -> bool:
    return bounds[1] <= 0 <= bounds[2]


FEW_EPISODES = 10
SUCCESSOR_SENSITIVE = frozenset({"epic", "dard", "npec", "starc_val_potential"})  # not S'R-invariant
NOT_REWARDS = ("random", "carried over", TRUE_REWARD)  # the policies of /transfer that no reward under test made

Verdict = dict[str, str]
Rule = Callable[[xr.DataTree], Iterator[Told]]


def verdicts(tree: xr.DataTree) -> list[Verdict]:
    """The warnings that a results tree calls for, in the order of this list.

    Each is {"code", "text"}, with "reward" where it is about one.

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
    return [
        {"code": code, "text": told.text} | ({"reward": told.reward} if told.reward else {})
        for code, (_, rule) in _RULES.items()
        for told in rule(tree)
    ]


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


def _transfer(tree: xr.DataTree) -> Iterator[Told]:
    if "transfer" not in tree.children:
        return
    group = tree["transfer"].to_dataset()
    changed = [str(v) for v in group["variant"].values[group["parameter"].values != UNCHANGED]]
    usual = [str(v) for v in group["variant"].values[group["parameter"].values == UNCHANGED]]
    for policy in group["policy"].values:
        if policy in NOT_REWARDS:
            continue
        value = group["value"].sel(policy=policy)
        shares = {v: bounds_in(value.sel(variant=v)) for v in (*changed, *usual)}
        failing = [with_interval(shares[v]) for v in usual if _clear(shares[v])]
        at_home = [f" In the unchanged environment it fails too ({share})." for share in failing]
        for verb, failed, home in (
            ("does not transfer", _clear, "".join(at_home)),
            ("is not shown to transfer", _doubtful, ""),
        ):
            where = [f"{v} ({with_interval(shares[v])})" for v in changed if failed(shares[v])]
            if where:
                yield Told(
                    f"Reward “{policy}” {verb} to {listed(where)}: that share of the return of policies trained there "
                    f"on the true reward is what policies trained there on this one reach (random 0).{home}",
                    str(policy),
                )


def _transfer_undefined(tree: xr.DataTree) -> Iterator[Told]:
    if "transfer" not in tree.children:
        return
    group = tree["transfer"].to_dataset()
    without = [str(v) for v in group["variant"].values if (group["reason"].sel(variant=v) != "").all()]
    if without:
        yield Told(
            f"On {listed(without)} training on the true reward is no better than random actions, so nothing can be "
            "said of transfer there. More steps would tell."
        )


def _imitation(tree: xr.DataTree) -> Iterator[Told]:
    group = tree["returns"].to_dataset() if "returns" in tree.children else xr.Dataset()
    if "normalised" not in group or "learned" not in group["policy"].values:
        return
    share = bounds_in(group["normalised"].sel(policy="learned"))
    reach = f"The learned policy reaches {with_interval(share)} of the expert's return (random 0, expert 1)"
    if _clear(share):
        yield Told(f"{reach}. The reward of a Q-function that does not imitate describes its failure, not the expert.")
    elif _doubtful(share):
        yield Told(f"{reach}: that it imitates is not shown; the reward of one that does not describes its failure.")


def _retraining(tree: xr.DataTree) -> Iterator[Told]:
    group = tree["retraining"].to_dataset() if "retraining" in tree.children else xr.Dataset()
    truth = retraining_share(group, TRUE_REWARD)
    for reward in (str(r) for r in (group["reward"].values if "reward" in group.coords else ()) if r not in BASELINES):
        share = retraining_share(group, reward)
        reach = f"Policies trained on reward “{reward}” alone reach {with_interval(share)} of the expert's true return"
        reach += " (random 0, expert 1)"
        if not np.isnan(truth[0]):
            reach += f", and as many steps on the true reward {with_interval(truth)}"
        if share[0] < GOOD_SHARE and short_of_steps(share, truth):
            yield Told(f"{reach}: too few steps to tell a bad reward from a good one.", reward)
        elif _clear(share):
            yield Told(f"{reach}: optimising this reward does not bring back the expert's behaviour.", reward)
        elif _doubtful(share):
            yield Told(f"{reach}: that it brings back the expert's behaviour is not shown.", reward)


def _next_state_noise(tree: xr.DataTree) -> Iterator[Told]:
    if "per-transition" not in tree.attrs.get("reward_kind", "") or tree.attrs.get("stochastic") == 0:
        return
    present = set(tree["distance"].to_dataset()["metric"].values) if "distance" in tree.children else set()
    sensitive = sorted(SUCCESSOR_SENSITIVE & present)
    if sensitive:
        unless = "" if "stochastic" in tree.attrs else ", unless this environment is deterministic"
        yield Told(
            f"Measured by {listed(sensitive)}, the chance part of s′ in the per-transition reward Q(s, a) − γV(s′) "
            f"counts as a difference from the truth{unless}. Large values there do not mean that the marginal reward "
            "Q(s, a) − γE[V(s′)] is wrong; starc_val and starc_minimal do not see that part."
        )


def _no_distances(tree: xr.DataTree) -> Iterator[Told]:
    if tree.attrs.get("no_distances"):
        yield Told(f"Without canonical distances: {tree.attrs['no_distances']}")


def _few_episodes(tree: xr.DataTree) -> Iterator[Told]:
    points = tree["points"].children if "points" in tree.children else {}
    counts = {name: len(np.unique(node["episode"])) for name, node in points.items()}
    few = [f"{name} ({count})" for name, count in counts.items() if count < FEW_EPISODES]
    if few:
        yield Told(
            f"Fewer than {FEW_EPISODES} episodes on {listed(few)}: intervals come from resampling episodes, and with "
            "so few of them they are too narrow."
        )


_RULES: Mapping[str, tuple[str, Rule]] = {  # code → (the group that the rule reads, the rule)
    "transfer": ("transfer", _transfer),
    "transfer-undefined": ("transfer", _transfer_undefined),
    "imitation": ("returns", _imitation),
    "retraining": ("retraining", _retraining),
    "negative-correlation": ("correlation", negative),
    "length-confound": ("correlation", length),
    "undefined-step": ("correlation", undefined_step),
    "includes-zero": ("correlation", includes_zero),
    "next-state-noise": ("distance", _next_state_noise),
    "no-distances": ("distance", _no_distances),
    "few-episodes": ("points", _few_episodes),
}


def _clear(share: Bounds) -> bool:
    """The whole interval lies below a good share."""
    return share[0] < GOOD_SHARE and share[2] < GOOD_SHARE


def _doubtful(share: Bounds) -> bool:
    """The estimate lies below a good share, but the interval does not, or there is none."""
    return share[0] < GOOD_SHARE and not share[2] < GOOD_SHARE
