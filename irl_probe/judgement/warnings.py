"""Warnings in words about figures that one must not trust. Each follows from the figures by one stated rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from irl_probe._names import BASELINES, NOT_REWARDS, TRUE_REWARD
from irl_probe._words import listed
from irl_probe.judgement.grades import GOOD_SHARE, NOTHING, Bounds, short_of_steps, with_interval
from irl_probe.judgement.reading import Figures, Measured, normalised_bounds, read

LENGTH_MARGIN = 0.05  # if a constant reward is this near, a figure shows no more than length
LENGTH_MATTERS = 0.5  # below this, length does not drive the true returns, and closeness means nothing
FEW_EPISODES = 10
SUCCESSOR_SENSITIVE = frozenset({"epic", "dard", "npec", "starc_val_potential"})  # redistribution over s′ changes them

Warned = dict[str, str]


def warnings_of(tree: xr.DataTree) -> list[Warned]:
    """The warnings about a results tree: `warnings_in` of its figures.

    Raises ValueError as `irl_probe.judgement.read` does.
    """
    return warnings_in(read(tree))


def warnings_in(figures: Figures) -> list[Warned]:
    """The warnings about figures, in the order of this list.

    Each is {"code", "text"}, with "reward" if it is about one reward.

    "Below" needs the whole interval to be below; if the interval reaches further, the warning says "not shown".

    | code | rule |
    |---|---|
    | transfer | in a changed variant the value of policies trained there on the reward is below .9 |
    | transfer-undefined | in a variant, training on the true reward is no better than random actions |
    | imitation | the learned policy's normalised return is below .9 |
    | retraining | the mean normalised return of policies trained on the reward alone is below .9 |
    | negative-correlation | the interval of the partial or episode Pearson (length partialled out; plain if that is
      undefined) lies below 0; "may be" if the figure does and has no interval |
    | length-confound | a constant reward's episode Pearson is at least .5, up to sign, and the reward's is within .05
      of it, or its interval reaches 0 once length is partialled out |
    | undefined-step | the step-level Pearson does not exist |
    | includes-zero | the Pearson's interval, plain or with length partialled out, includes 0, at the levels named |
    | next-state-noise | a per-transition reward has a measure that redistribution over s′ changes, and s′ is or may be
      random |
    | no-distances | canonical distances were asked for and could not be computed |
    | few-episodes | a coverage holds fewer than 10 episodes |

    Figures that the results do not hold raise no warning.
    """
    return [
        {"code": code, "text": warning.text} | ({"reward": warning.reward} if warning.reward else {})
        for code, rule in _RULES.items()
        for warning in rule(figures)
    ]


class _Told(NamedTuple):
    """The text of a warning, and the reward that it is about ("" if it is about none, or about several)."""

    text: str
    reward: str = ""


def _transfer(figures: Figures) -> Iterator[_Told]:
    transfer = figures.transfer
    if transfer is None:
        return
    unchanged = [v for v in transfer.value.labels["variant"] if v not in transfer.changed]
    for policy in transfer.value.labels["policy"]:
        if policy in NOT_REWARDS:
            continue
        shares = {v: transfer.value.of(variant=v, policy=policy) for v in transfer.value.labels["variant"]}
        failing = [with_interval(shares[v]) for v in unchanged if _clear(shares[v])]
        at_home = "".join(f" In the unchanged environment it fails too ({share})." for share in failing)
        for verb, failed, home in (
            ("does not transfer", _clear, at_home),
            ("is not shown to transfer", _doubtful, ""),
        ):
            where = [f"{v} ({with_interval(shares[v])})" for v in transfer.changed if failed(shares[v])]
            if where:
                yield _Told(
                    f"Reward “{policy}” {verb} to {listed(where)}. These figures are the returns of policies trained "
                    f"there on this reward: 0 is random, 1 is training there on the true reward.{home}",
                    policy,
                )


def _transfer_undefined(figures: Figures) -> Iterator[_Told]:
    transfer = figures.transfer
    if transfer is None:
        return
    variants, policies = (transfer.value.labels[dim] for dim in ("variant", "policy"))
    without = [v for v in variants if all(np.isnan(transfer.value.of(variant=v, policy=p)[0]) for p in policies)]
    if without:
        yield _Told(
            f"On {listed(without)} training on the true reward is no better than random actions, so nothing can be "
            "said about transfer there. Train with more steps."
        )


def _imitation(figures: Figures) -> Iterator[_Told]:
    share = normalised_bounds(figures, "learned")
    reach = f"The learned policy reaches {with_interval(share)} of the expert's return (random 0, expert 1)"
    if _clear(share):
        yield _Told(f"{reach}. The reward of a Q-function that does not imitate describes its failure, not the expert.")
    elif _doubtful(share):
        yield _Told(
            f"{reach}: this policy is not shown to imitate. The reward of a Q-function that does not imitate "
            "describes its failure."
        )


def _retraining(figures: Figures) -> Iterator[_Told]:
    if figures.retraining is None:
        return
    truth = figures.retraining.share.get(TRUE_REWARD, NOTHING)
    for reward, share in figures.retraining.share.items():
        if reward in BASELINES:
            continue
        reach = f"Policies trained on reward “{reward}” alone reach {with_interval(share)} of the expert's true return"
        reach += " (random 0, expert 1)"
        if not np.isnan(truth[0]):
            reach += f", and as many steps on the true reward {with_interval(truth)}"
        if share[0] < GOOD_SHARE and short_of_steps(share, truth):
            yield _Told(f"{reach}: too few steps to tell a bad reward from a good one.", reward)
        elif _clear(share):
            yield _Told(f"{reach}: optimising this reward does not bring back the expert's behaviour.", reward)
        elif _doubtful(share):
            yield _Told(f"{reach}: this reward is not shown to bring back the expert's behaviour.", reward)


def _negative(figures: Figures) -> Iterator[_Told]:
    """Below 0 over its whole interval."""
    for pair in _pairs(figures):
        for level in ("partial", "episode"):
            found: dict[str, list[str]] = {"is": [], "may be": []}
            for coverage in pair.coverages:
                bounds, kind = pair.pearson(coverage, level, "length"), ", length partialled out"
                if np.isnan(bounds[0]):
                    bounds, kind = pair.pearson(coverage, level, "none"), ""
                estimate, _, high = bounds
                if high < 0:
                    found["is"].append(f"{coverage} ({with_interval(bounds)}{kind})")
                elif np.isnan(high) and estimate < 0:
                    found["may be"].append(f"{coverage} ({with_interval(bounds)}{kind}, without an interval)")
            for verb, where in found.items():
                if where:
                    yield _Told(
                        f"{pair.who} {verb} negatively correlated with the truth at {level} level on {listed(where)}: "
                        "when it is higher, the true return tends to be lower.",
                        pair.reward,
                    )


def _length(figures: Figures) -> Iterator[_Told]:
    """No better than a constant reward over episodes, or nothing left with length partialled out."""
    for pair in _pairs(figures):
        nothing, something = [], []
        for coverage in pair.coverages:
            plain, constant, left = (pair.pearson(coverage, "episode", c) for c in ("none", "constant", "length"))
            near = abs(abs(plain[0]) - abs(constant[0])) <= LENGTH_MARGIN
            if abs(constant[0]) < LENGTH_MATTERS or np.isnan([plain[0], constant[0]]).any():
                continue
            found = f"{coverage} ({with_interval(plain)}; a constant reward reaches {with_interval(constant)}"
            found += ")" if np.isnan(left[0]) else f"; with length partialled out {with_interval(left)})"
            if left[1] <= 0 <= left[2] or (near and np.isnan(left).any()):
                nothing.append(found)
            elif near:
                something.append(found)
        if nothing:
            yield _Told(
                f"{pair.who}: the episode correlation is not known to say anything beyond episode length on "
                f"{listed(nothing)}. Read the step level and retraining instead.",
                pair.reward,
            )
        if something:
            yield _Told(
                f"{pair.who}: the episode correlation is no higher than a constant reward's on {listed(something)}. "
                "Read the figure with length partialled out, the step level, and retraining instead.",
                pair.reward,
            )


def _undefined_step(figures: Figures) -> Iterator[_Told]:
    """Undefined at step level; rewards with the same reason share a warning."""
    found: dict[tuple[str, str], list[_Pair]] = {}
    for pair in _pairs(figures):
        coverages: dict[str, list[str]] = {}
        for coverage in pair.coverages:
            reason = pair.why(coverage, "step", "none")
            if np.isnan(pair.pearson(coverage, "step", "none")[0]) and reason:
                coverages.setdefault(reason, []).append(coverage)
        for reason, names in coverages.items():
            found.setdefault((reason, listed(names)), []).append(pair)
    for (reason, where), pairs in found.items():
        nothing = f"no step-level correlation on {where}: {reason}"
        if len(pairs) == 1:
            yield _Told(f"{pairs[0].who} has {nothing}", pairs[0].reward)
        else:
            yield _Told(f"Rewards {listed([pair.who.removeprefix('Reward ') for pair in pairs])} have {nothing}")


def _includes_zero(figures: Figures) -> Iterator[_Told]:
    """An interval that includes 0."""
    for pair in _pairs(figures):
        found = []
        for coverage in pair.coverages:
            plain, controlled = (
                [level for level in pair.levels if _crosses(pair.pearson(coverage, level, control))]
                for control in ("none", "length")
            )
            controlled = [level for level in controlled if level not in ("step", *plain)]
            where = [f"{listed(plain)} level"] if plain else []
            where += [f"{listed(controlled)} level with length partialled out"] if controlled else []
            if where:
                found.append(f"{coverage} ({', '.join(where)})")
        if found:
            yield _Told(
                f"{pair.who}: the interval of the correlation includes 0 on {listed(found)}, so its sign is not known "
                "there. More episodes would narrow it.",
                pair.reward,
            )


class _Pair(NamedTuple):
    """A reward and a reference that it was correlated with; `who` names them in a sentence."""

    reward: str
    reference: str
    who: str
    group: Measured

    @property
    def coverages(self) -> tuple[str, ...]:
        return self.group.labels["coverage"]

    @property
    def levels(self) -> list[str]:
        return [level for level in ("step", "partial", "episode") if level in self.group.labels["level"]]

    def pearson(self, coverage: str, level: str, control: str) -> Bounds:
        return self.group.of(**self._labels(coverage, level, control))

    def why(self, coverage: str, level: str, control: str) -> str | None:
        return self.group.why(**self._labels(coverage, level, control))

    def _labels(self, coverage: str, level: str, control: str) -> dict[str, str]:
        named = {"reward": self.reward, "reference": self.reference, "metric": "pearson"}
        return named | {"coverage": coverage, "level": level, "control": control}


def _pairs(figures: Figures) -> Iterator[_Pair]:
    group = figures.correlation
    if group is None:
        return
    references = group.labels["reference"]
    for reward in (r for r in group.labels["reward"] if r not in BASELINES):
        for reference in references:
            against = f" (against “{reference}”)" if len(references) > 1 else ""
            yield _Pair(reward, reference, f"Reward “{reward}”{against}", group)


def _next_state_noise(figures: Figures) -> Iterator[_Told]:
    about = figures.attributes
    if figures.distance is None or "per-transition" not in str(about.get("reward_kind", "")):
        return
    sensitive = sorted(SUCCESSOR_SENSITIVE & set(figures.distance.value.labels["metric"]))
    if sensitive and about.get("stochastic") != 0:
        unless = "" if "stochastic" in about else ", unless this environment is deterministic"
        yield _Told(
            f"Measured by {listed(sensitive)}, the chance part of s′ in the per-transition reward Q(s, a) − γV(s′) "
            f"counts as a difference from the truth{unless}. Large values there do not mean that the marginal reward "
            "Q(s, a) − γE[V(s′)] is wrong; starc_val and starc_minimal do not see that part."
        )


def _no_distances(figures: Figures) -> Iterator[_Told]:
    if figures.attributes.get("no_distances"):
        yield _Told(f"Without canonical distances: {figures.attributes['no_distances']}")


def _few_episodes(figures: Figures) -> Iterator[_Told]:
    few = [f"{name} ({count})" for name, count in figures.episodes.items() if count < FEW_EPISODES]
    if few:
        yield _Told(
            f"Fewer than {FEW_EPISODES} episodes on {listed(few)}: intervals come from resampling episodes, and with "
            "so few of them they are too narrow."
        )


def _clear(share: Bounds) -> bool:
    """The whole interval lies below a good share."""
    return share[0] < GOOD_SHARE and share[2] < GOOD_SHARE


def _doubtful(share: Bounds) -> bool:
    """The estimate lies below a good share, but the interval does not, or there is none."""
    return share[0] < GOOD_SHARE and not share[2] < GOOD_SHARE


def _crosses(bounds: Bounds) -> bool:
    return bounds[1] <= 0 <= bounds[2]


_RULES: Mapping[str, Callable[[Figures], Iterator[_Told]]] = {
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
