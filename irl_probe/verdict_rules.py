"""Where a figure must not be trusted: warnings in plain words, each derived from a results tree by one stated rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import xarray as xr

from irl_probe import correlation_rules
from irl_probe.correlation_rules import BASELINES, TRUE_REWARD, Told, bounds_in, listed
from irl_probe.envs import UNCHANGED
from irl_probe.grades import GOOD_SHARE, Bounds, short_of_steps, with_interval
from irl_probe.results import retraining_share, validate

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
    "negative-correlation": ("correlation", correlation_rules.negative),
    "length-confound": ("correlation", correlation_rules.length),
    "undefined-step": ("correlation", correlation_rules.undefined_step),
    "includes-zero": ("correlation", correlation_rules.includes_zero),
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
