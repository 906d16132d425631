"""The verdict on a recovered reward: what the figures say in plain words, by rules that the page states.

The rules are thresholds on figures that are in the results; nothing else is judged. See `RULES`.
Warnings are another matter (`irl_probe.verdict_rules`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from irl_probe.report.reading import (
    Bounds,
    correlation_bounds,
    distance_bounds,
    figures,
    judged,
    normalised_bounds,
    percent,
    reason_of,
    retrained_bounds,
    transfer_bounds,
)
from irl_probe.verdict_rules import GOOD_SHARE, LENGTH_MARGIN, LENGTH_MATTERS

GOOD, FAIR = GOOD_SHARE, 0.5  # normalised return
STRONG, WEAK = 0.7, 0.3  # absolute correlation
SMALL_REGRET, LARGE_REGRET = 0.05, 0.2
MANY_RUNS, SOME_RUNS = 5, 3

EXACT_MERITS = {"regret": "regret", "distance (STARC minimal)": "starc_minimal"}
CORRELATION_MERITS = (
    ("episode", "length", "length-controlled episode Pearson"),
    ("step", "none", "step Pearson"),
)
RETRAIN_COMMAND = "irl-probe retrain-study REWARD --env ENV --out DIR"
TRANSFER_COMMAND = "irl-probe transfer REWARD ENV --out DIR"
ANSWERED = (None, "retrained", "transfer")  # the terms of claims that the four answers tell already

RULES: Sequence[str] = (
    f"Imitation, retraining and transfer: good from a normalised return of {GOOD:g}, provided the interval does not "
    f"reach below {FAIR:g}; partial from {FAIR:g}; otherwise failed. Retraining counts from random (0) to the expert "
    "(1), "
    "transfer from random (0) to a policy trained on the true reward in the changed environment (1), over all changes; "
    "a transfer that is no better than carrying the imitator's policy over is partial at most.",
    "Best: the highest normalised return after retraining; where that does not tell two rewards apart, the least exact "
    "regret and distance, the return in changed dynamics, the length-controlled episode Pearson and the step Pearson, "
    "in "
    "this order. It leads clearly where its interval lies wholly beyond the second's. A reward made from exact "
    "occupancies, the true reward and a constant are shown beside the others, not judged.",
    f"Steps: Pearson at step level is strong from {STRONG:g}, weak below {WEAK:g}, and contrary at or below −{WEAK:g}.",
    f"Episodes: mostly length where the reward's Pearson is within {LENGTH_MARGIN:g} of a constant reward's (up "
    f"to sign, and that at least {LENGTH_MATTERS:g}), where the length-controlled figure is below {WEAK:g} or its "
    "interval reaches 0, or, that being undefined, where a constant reward does as well.",
    f"Regret: small up to {SMALL_REGRET:g}, large above {LARGE_REGRET:g}.",
    f"How sure: well supported by {MANY_RUNS} or more training runs and {MANY_RUNS} or more retrained policies; "
    "fairly by "
    f"{SOME_RUNS} or more retrained policies, or where distances are exact; otherwise little.",
    "Correlations are judged on the mixture coverage where there is one, else on the first.",
)

Tone = Literal["good", "caution", "bad", "open", "note"]


@dataclass(frozen=True)
class Claim:
    """One finding: how good it is, a phrase for the headline, and a sentence with its figures."""

    tone: Tone
    phrase: str
    sentence: str
    term: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The reward that was judged (None where the results hold none), and the claims, most telling first."""

    reward: str | None
    claims: Sequence[Claim]

    @property
    def headline(self) -> str:
        """The claims' phrases as one sentence."""
        text = "; ".join(c.phrase for c in self.claims if c.phrase)
        return f"{text[:1].upper()}{text[1:]}." if text else "These results hold no figure to judge."


def judge(tree: xr.DataTree) -> Verdict:
    """The verdict on the (best) recovered reward of a results tree, by `RULES`."""
    rewards = ranked(tree)
    best = rewards[0] if rewards else None
    claims = [_best(best, rewards), _retraining(tree, best), _transfer(tree, best), _imitation(tree)]
    if best is not None and "correlation" in tree.children:
        claims += [_steps(tree, best), _episodes(tree, best)]
    claims += [_regret(tree, best)]
    return Verdict(best, [claim for claim in claims if claim is not None])


def ranked(tree: xr.DataTree) -> list[str]:
    """The rewards under judgement, the best first: by the first of `merits` that tells two apart."""
    order = judged(tree)
    scores = {reward: [bounds[0] * sign for _, bounds, sign in merits(tree, reward)] for reward in order}
    return sorted(order, key=lambda reward: [-float(np.nan_to_num(s, nan=-np.inf)) for s in scores[reward]])


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


def _best(best: str | None, rewards: Sequence[str]) -> Claim | None:
    if best is None or len(rewards) < 2:
        return None
    text = f"This verdict is about “{best}”; the table below it compares all {len(rewards)}."
    return Claim("note", f"“{best}” is the best of {len(rewards)} rewards", text)


def _retraining(tree: xr.DataTree, reward: str | None) -> Claim:
    bounds = retrained_bounds(tree, reward) if reward else normalised_bounds(tree, "retrained")
    if np.isnan(bounds[0]):
        text = (
            "No policy was retrained on this reward alone: whether it can be reused is unknown. "
            f"“{RETRAIN_COMMAND}” measures it."
        )
        return Claim("open", "retraining not measured", text, "retrained")
    tone = _share_tone(bounds)
    reach = f"A fresh policy trained on this reward alone reaches {percent(bounds)} of the expert's true return"
    phrase = {
        "good": "usable for retraining in this environment",
        "caution": "only partly usable for retraining",
        "bad": "not usable for retraining",
    }[tone]
    return Claim(tone, phrase, f"{reach} (random is 0\u00a0%).", "retrained")


def _transfer(tree: xr.DataTree, reward: str | None) -> Claim | None:
    bounds = transfer_bounds(tree, reward) if reward else (np.nan, np.nan, np.nan)
    if np.isnan(bounds[0]):
        return None
    tone = _share_tone(bounds)
    phrase = {"good": "transferable", "caution": "transferable in part", "bad": "not transferable"}[tone]
    text = (
        f"In changed dynamics a policy trained on it reaches {percent(bounds)} of what training on the true reward "
        "there "
        "reaches (random is 0\u00a0%)."
    )
    carried = transfer_bounds(tree, "carried over")
    if not np.isnan(carried[0]):
        text += f" The imitator's own policy, carried over unchanged, reaches {percent(carried)}."
        if tone != "bad" and carried[0] >= bounds[0]:
            tone, phrase = "caution", f"{phrase}, but no better than the policy it came from"
    return Claim(tone, phrase, text, "transfer")


def _share_tone(bounds: Bounds) -> Tone:
    estimate, low, _ = bounds
    if estimate >= GOOD and not low < FAIR:
        return "good"
    return "caution" if estimate >= FAIR else "bad"


def _imitation(tree: xr.DataTree) -> Claim | None:
    bounds = normalised_bounds(tree, "learned")
    if np.isnan(bounds[0]):
        return None
    tone = _share_tone(bounds)
    phrase = {
        "good": "the learned policy imitates the expert",
        "caution": "the learned policy imitates the expert in part",
        "bad": "the learned policy does not imitate the expert",
    }[tone]
    reach = f"The policy learned with it reaches {percent(bounds)} of the expert's true return."
    return Claim(tone, phrase, reach, "learned")


def _steps(tree: xr.DataTree, reward: str) -> Claim:
    bounds = correlation_bounds(tree, reward, "step", "none")
    estimate = bounds[0]
    if np.isnan(estimate):
        reason = reason_of(tree["correlation"].to_dataset(), reward, "step")
        text = f"Step by step, correlation with the true reward is undefined: {reason}."
        return Claim("open", "step-level agreement undefined", text, "step")
    figure = f"Pearson {figures(bounds)} with the true reward"
    if estimate >= STRONG:
        return Claim("good", "agrees with the truth step by step", f"Step by step: {figure}.", "step")
    if estimate <= -WEAK:
        text = f"Step by step: {figure}. It tends to reward what the truth punishes."
        return Claim("bad", "contrary to the truth step by step", text, "step")
    strength = "weak" if abs(estimate) < WEAK else "moderate"
    text = f"Step by step: {figure}. Shaping alone can cause this; retraining and the canonical distances decide."
    return Claim("caution", f"step-level agreement is {strength}", text, "step")


def _episodes(tree: xr.DataTree, reward: str) -> Claim:
    raw = correlation_bounds(tree, reward, "episode", "none")
    constant = correlation_bounds(tree, reward, "episode", "constant")[0]
    controlled = correlation_bounds(tree, reward, "episode", "length")
    if np.isnan(raw[0]):
        reason = reason_of(tree["correlation"].to_dataset(), reward, "episode")
        return Claim(
            "open", "episode-level agreement undefined", f"Over episodes it is undefined: {reason}.", "episode"
        )
    figure = f"Over episodes: Pearson {figures(raw)}"
    figure += "" if np.isnan(constant) else f"; a constant reward gets {figures((constant, np.nan, np.nan))}"
    figure += "" if np.isnan(controlled[0]) else f"; with length controlled {figures(controlled)}"
    if raw[0] <= -WEAK:
        return Claim("bad", "ranks episodes against the truth", f"{figure}.", "episode")
    if raw[0] < WEAK:
        return Claim("caution", "episode-level agreement is weak", f"{figure}.", "episode")
    undefined = bool(np.isnan(controlled[0]))
    # The constant's sign is free: where true rewards are negative, −1 at every step is as blind as 1.
    near = abs(constant) >= LENGTH_MATTERS and abs(raw[0] - abs(constant)) <= LENGTH_MARGIN
    near = near or (undefined and raw[0] <= abs(constant))
    by_length = near or controlled[0] < WEAK or controlled[1] <= 0
    if by_length:
        return Claim("caution", "episode correlation is mostly length", f"{figure}.", "length")
    strength = "strong" if raw[0] >= STRONG else "moderate"
    return Claim("good", f"episode-level agreement is {strength} beyond length", f"{figure}.", "length")


def _regret(tree: xr.DataTree, reward: str | None) -> Claim | None:
    bounds = distance_bounds(tree, reward, "regret") if reward else (np.nan, np.nan, np.nan)
    if np.isnan(bounds[0]):
        return None
    tone: Tone = "good" if bounds[0] <= SMALL_REGRET else "caution" if bounds[0] <= LARGE_REGRET else "bad"
    size = {"good": "small", "caution": "moderate", "bad": "large"}[tone]
    text = f"Acting optimally for it loses {figures(bounds)} of the true return at stake (regret, 0 to 1)."
    return Claim(tone, f"{size} regret under the truth", text, "regret")
