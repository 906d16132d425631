"""The verdict on a recovered reward: what the figures say in plain words, by rules that the page states.

The rules are thresholds on figures that are in the results; nothing else is judged. See `rules`.
Warnings are another matter (`irl_probe.verdict_rules`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from irl_probe.correlation_rules import LENGTH_MARGIN, LENGTH_MATTERS
from irl_probe.grades import (
    GOOD_SHARE,
    WEAK,
    Bounds,
    Tone,
    agreement,
    share_grade,
    short_of_steps,
    with_interval,
)
from irl_probe.report.ranking import clearly, lead, ranked
from irl_probe.report.reading import (
    RECOVERED,
    correlation_bounds,
    counted,
    distance_bounds,
    exact_transfer,
    normalised_bounds,
    percent,
    reason_of,
    retrained_bounds,
    retraining_seeds,
    steady_truth,
    transfer_bounds,
    transfer_counts,
)
from irl_probe.report.rules import LARGE_REGRET, SMALL_REGRET
from irl_probe.results.digits import fixed

RETRAIN_COMMAND = "irl-probe retrain-study REWARD --env ENV --out DIR"
TRANSFER_COMMAND = "irl-probe transfer REWARD ENV --out DIR"
_IMITATES = {
    "Yes": "imitates", "Probably": "probably imitates", "Perhaps": "perhaps imitates",
    "In part": "only partly imitates", "At least in part": "at least partly imitates",
    "Perhaps in part": "perhaps partly imitates", "No": "does not imitate", "Not shown": "is not shown to imitate",
}  # fmt: skip
STEADY = (
    "The true reward is the same at every step here, so correlations with it and distances to it only follow episode "
    "length or shaping. The return after retraining is the figure to go by: poor agreement does not speak against a "
    "reward that retrains well, nor good agreement for one that does not."
)
ANSWERED = (None, "retrained", "transfer")  # the terms of claims that the four answers tell already


@dataclass(frozen=True)
class Claim:
    """One finding: how good it is, a phrase for the headline, a sentence with its figures, and a word that answers."""

    tone: Tone
    phrase: str
    sentence: str
    term: str | None = None
    word: str = ""


@dataclass(frozen=True)
class Verdict:
    """The reward that was judged (None where the results hold none), the claims, most telling first, and how to weigh
    them where that is not plain.
    """

    reward: str | None
    claims: Sequence[Claim]
    note: str = ""

    @property
    def headline(self) -> str:
        """The claims' phrases as one sentence."""
        text = "; ".join(c.phrase for c in self.claims if c.phrase)
        return f"{text[:1].upper()}{text[1:]}." if text else "These results hold no figure to judge."


def judge(tree: xr.DataTree) -> Verdict:
    """The verdict on the (best) recovered reward of a results tree, by `rules.RULES`."""
    rewards = ranked(tree)
    best = rewards[0] if rewards else None
    claims = [_best(tree, rewards), _retraining(tree, best), _transfer(tree, best), _imitation(tree)]
    if best is not None and "correlation" in tree.children:
        claims += [_steps(tree, best), _episodes(tree, best)]
    claims += [_distance(tree, best), _regret(tree, best)]
    agrees = "correlation" in tree.children or "distance" in tree.children
    return Verdict(
        best, [claim for claim in claims if claim is not None], STEADY if agrees and steady_truth(tree) else ""
    )


def _best(tree: xr.DataTree, rewards: Sequence[str]) -> Claim | None:
    if len(rewards) < 2:
        return None
    best, count = rewards[0], len(rewards)
    text = f"This verdict is about “{best}”; the table below it compares all {count}."
    phrase = {
        "clear": f"“{best}” is clearly the best of {count} rewards",
        "slight": f"“{best}” leads {count} rewards, though not beyond doubt",
        "none": f"“{best}” is first of {count} rewards, but not told apart from the next",
    }[lead(tree, rewards)]
    return Claim("note", phrase, text)


def _retraining(tree: xr.DataTree, reward: str | None) -> Claim:
    bounds = retrained_bounds(tree, reward) if reward else normalised_bounds(tree, "retrained")
    regret = exact_regret(tree, reward)
    if np.isnan(bounds[0]) and not np.isnan(regret):
        grade = share_grade((1 - regret,) * 3)
        text = (
            f"Exactly, and so without training: a policy that is optimal for it loses {fixed(regret)} of the true "
            "return at stake (0 none, 1 all of it)."
        )
        return Claim(grade.tone, f"{grade.prefix}usable for retraining", text, "retrained", grade.word)
    if np.isnan(bounds[0]):
        text = (
            "No policy was retrained on this reward alone: whether it can be reused is unknown. "
            f"“{RETRAIN_COMMAND}” measures it."
        )
        return Claim("open", "retraining not measured", text, "retrained")
    grade = share_grade(bounds)
    where = " in this environment" if bounds[0] >= GOOD_SHARE else ""
    phrase = f"{grade.prefix}usable for retraining{where}"
    text = f"{_policies(tree, reward, bounds)} of the expert's true return (random is 0\u00a0%).{_alone(bounds)}"
    truth = retrained_bounds(tree, "true")
    if np.isnan(truth[0]):
        return Claim(grade.tone, phrase, text, "retrained", grade.word)
    text += f" As many steps on the true reward bring {percent(truth)}."
    if bounds[0] < GOOD_SHARE and short_of_steps(bounds, truth):
        return Claim("open", "too few steps to judge retraining", text, "retrained", "Can’t tell")
    return Claim(grade.tone, phrase, text, "retrained", grade.word)


def _policies(tree: xr.DataTree, reward: str | None, bounds: Bounds) -> str:
    count = retraining_seeds(tree, reward)
    if count < 2:
        return f"A fresh policy trained on this reward alone reaches {percent(bounds)}"
    each = "each " if bounds[1] == bounds[2] else ""
    return f"{count} fresh policies trained on this reward alone {each}reach {percent(bounds)}"


def _alone(bounds: Bounds) -> str:
    return " That is a figure without an interval." if np.isnan(bounds[1]) else ""


def _transfer(tree: xr.DataTree, reward: str | None) -> Claim | None:
    bounds = transfer_bounds(tree, reward) if reward else (np.nan, np.nan, np.nan)
    if np.isnan(bounds[0]):
        return None
    grade = share_grade(bounds)
    phrase = f"{grade.prefix}transferable"
    changes, seeds = transfer_counts(tree, reward)
    exact = exact_transfer(tree)
    basis = counted(changes, "change", "changes") + (f", {counted(seeds, 'seed', 'seeds')}" if seeds else "")
    text = (
        f"In changed dynamics ({basis}) a policy trained on it reaches {percent(bounds, exact=exact)} of what training "
        f"on the true reward there reaches (random is 0\u00a0%).{_alone(bounds)}"
    )
    carried = transfer_bounds(tree, "carried over")
    if not np.isnan(carried[0]):
        of = str(tree["transfer"].attrs.get("carried", reward))
        whose = "imitator's own policy" if of in (reward, RECOVERED) else f"policy that came with “{of}”"
        text += f" The {whose}, carried over unchanged, reaches {percent(carried, exact=exact)}."
        if of in (reward, RECOVERED) and not clearly(bounds, carried, 1) and grade.word not in ("No", "Not shown"):
            verb = "no better than" if carried[0] >= bounds[0] else "not shown to be better than"
            return Claim("caution", f"{phrase}, but {verb} the policy it came from", text, "transfer", "In part")
    return Claim(grade.tone, phrase, text, "transfer", grade.word)


def _imitation(tree: xr.DataTree) -> Claim | None:
    bounds = normalised_bounds(tree, "learned")
    if np.isnan(bounds[0]):
        return None
    grade = share_grade(bounds)
    phrase = f"the learned policy {_IMITATES[grade.word]} the expert"
    reach = f"The policy learned with it reaches {percent(bounds)} of the expert's true return.{_alone(bounds)}"
    return Claim(grade.tone, phrase, reach, "learned", grade.word)


def _steps(tree: xr.DataTree, reward: str) -> Claim:
    bounds = correlation_bounds(tree, reward, "step", "none")
    estimate = bounds[0]
    if np.isnan(estimate):
        reason = reason_of(tree["correlation"].to_dataset(), reward, "step")
        text = f"Step by step, correlation with the true reward is undefined: {reason}."
        return Claim("open", "step-level agreement undefined", text, "step")
    tone, strength = agreement(bounds)
    text = f"Step by step: Pearson {with_interval(bounds)} with the true reward."
    if tone == "good":
        return Claim(tone, "agrees with the truth step by step", text, "step")
    if tone == "bad":
        phrase = "contrary to the truth step by step"
        return Claim(tone, phrase, f"{text} It tends to reward what the truth punishes.", "step")
    text += " Shaping alone can cause this; retraining and the canonical distances decide."
    return Claim(tone, f"step-level agreement is {strength}", text, "step")


def _episodes(tree: xr.DataTree, reward: str) -> Claim:
    raw = correlation_bounds(tree, reward, "episode", "none")
    constant = correlation_bounds(tree, reward, "episode", "constant")[0]
    controlled = correlation_bounds(tree, reward, "episode", "length")
    if np.isnan(raw[0]):
        reason = reason_of(tree["correlation"].to_dataset(), reward, "episode")
        return Claim(
            "open", "episode-level agreement undefined", f"Over episodes it is undefined: {reason}.", "episode"
        )
    figure = f"Over episodes: Pearson {with_interval(raw)}"
    figure += "" if np.isnan(constant) else f"; a constant reward gets {fixed(constant)}"
    figure += "" if np.isnan(controlled[0]) else f"; with length controlled {with_interval(controlled)}"
    # The constant's sign is free: where true rewards are negative, −1 at every step is as blind as 1.
    near = abs(constant) >= LENGTH_MATTERS and abs(raw[0] - abs(constant)) <= LENGTH_MARGIN
    if raw[2] < 0 or (raw[0] < 0 and np.isnan(raw[2])):
        return Claim("bad", "ranks episodes against the truth", f"{figure}.", "episode")
    if np.isnan(controlled[0]):
        tone, strength = agreement(raw)
        if near or (raw[0] <= abs(constant) and not raw[1] <= 0):
            return Claim("caution", "episode correlation is mostly length", f"{figure}.", "length")
        return Claim(tone, f"episode-level agreement is {strength}", f"{figure}.", "episode")
    tone, strength = agreement(controlled)
    if np.isnan(constant):  # episodes of one length: nothing to control for
        return Claim(tone, f"episode-level agreement is {strength}", f"{figure}.", "episode")
    if abs(constant) >= LENGTH_MATTERS and (controlled[2] <= WEAK or controlled[1] <= 0):
        sure = "is mostly length" if near or controlled[2] <= WEAK else "may be no more than length"
        return Claim("caution", f"episode correlation {sure}", f"{figure}.", "length")
    if near:
        phrase = f"episode correlation is mostly length, with {strength} agreement beyond it"
        return Claim("caution", phrase, f"{figure}.", "length")
    if raw[1] < controlled[1]:  # length hides more than it feigns: what is left without it does not make up for that
        tone, strength = agreement(raw)
        return Claim(tone, f"episode-level agreement is {strength}", f"{figure}.", "episode")
    return Claim(tone, f"episode-level agreement is {strength} beyond length", f"{figure}.", "length")


def _distance(tree: xr.DataTree, reward: str | None) -> Claim | None:
    bounds = distance_bounds(tree, reward, "starc_minimal") if reward else (np.nan, np.nan, np.nan)
    if np.isnan(bounds[0]):
        return None
    cosine = tuple(1 - bounds[place] ** 2 / 2 for place in (0, 2, 1))  # of two unit vectors that far apart
    tone, strength = agreement((cosine[0], cosine[1], cosine[2]))
    text = (
        f"Once shaping and scale are taken out it is {with_interval(bounds)} from the truth (0 the same, 1.41 "
        "unrelated, 2 opposite)."
    )
    return Claim(tone, f"agreement apart from shaping is {strength}", text, "starc_minimal")


def _regret(tree: xr.DataTree, reward: str | None) -> Claim | None:
    bounds = distance_bounds(tree, reward, "regret") if reward else (np.nan, np.nan, np.nan)
    if np.isnan(bounds[0]):
        return None
    worst = bounds[0] if np.isnan(bounds[2]) else bounds[2]
    tone: Tone = "good" if worst <= SMALL_REGRET else "caution" if worst <= LARGE_REGRET else "bad"
    size = {"good": "small", "caution": "moderate", "bad": "large"}[tone]
    text = f"Acting optimally for it loses {with_interval(bounds)} of the true return at stake (regret, 0 to 1)."
    return Claim(tone, f"{size} regret under the truth", text, "regret")


def exact_regret(tree: xr.DataTree, reward: str | None) -> float:
    """A reward's regret where it is exact; NaN elsewhere."""
    exact = "distance" in tree.children and bool(tree["distance"].attrs.get("exact"))
    return distance_bounds(tree, reward, "regret")[0] if exact and reward else np.nan
