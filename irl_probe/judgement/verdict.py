"""The verdict on a recovered reward: what the figures say in plain words, by rules that the page states.

The rules are thresholds on figures that are in the results; nothing else is judged. See `rules`.
Warnings are another matter (`irl_probe.judgement.warnings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from irl_probe._words import counted
from irl_probe.judgement.grades import (
    FAIR_SHARE,
    GOOD_SHARE,
    STRONG,
    WEAK,
    Bounds,
    Tone,
    agreement,
    share_grade,
    short_of_steps,
    with_interval,
)
from irl_probe.judgement.reading import (
    RECOVERED,
    TRANSFER_COMPARISONS,
    beside,
    changed,
    clearly,
    correlation_bounds,
    decided,
    distance_bounds,
    exact_transfer,
    lead,
    merits,
    normalised_bounds,
    percent,
    ranked,
    reason_of,
    retrained_bounds,
    retraining_seeds,
    rewards_of,
    steady_truth,
    transfer_bounds,
    transfer_counts,
    transfer_policy,
)
from irl_probe.judgement.warnings import LENGTH_MARGIN, LENGTH_MATTERS
from irl_probe.results.files import fixed

SMALL_REGRET, LARGE_REGRET = 0.05, 0.2
MANY_RUNS, SOME_RUNS = 5, 3

RULES: Sequence[str] = (
    "No claim is stronger than the weaker end of its interval; a figure without an interval gives a “perhaps” at most.",
    "Imitation, retraining and transfer: yes where the whole interval of the normalised return lies from "
    f"{GOOD_SHARE:g} up; probably where the figure does and the interval reaches down to {FAIR_SHARE:g} at most; in "
    f"part from {FAIR_SHARE:g}; no where the whole interval lies below {FAIR_SHARE:g}; otherwise perhaps, or not "
    "shown. Retraining counts from random (0) to the expert (1), transfer from random (0) to a policy trained on the "
    "true reward in the changed environment (1), over all changes; a transfer that is not shown to beat carrying the "
    "imitator's policy over is partial at most.",
    "Best: the highest normalised return after retraining; where two rewards' figures read alike to two decimals, the "
    "least exact regret and distance, the return in changed dynamics, the length-controlled episode Pearson and the "
    "step Pearson, in this order. It leads clearly where its interval lies wholly beyond those of all others. A reward "
    "made from exact occupancies, the true reward and a constant are shown beside the others, not judged.",
    f"Correlations: strong where figure and interval lie from {STRONG:g} up, moderate from {WEAK:g}, contrary from "
    f"−{WEAK:g} down, unclear where the interval includes 0; “at least moderate” and the like where it spans two.",
    "Episodes: the weaker of the plain figure and the one with length controlled decides, the plain one where the "
    "other is undefined. The plain one is mostly length where it is within "
    f"{LENGTH_MARGIN:g} of a constant reward's (up to sign, and that at least {LENGTH_MATTERS:g}), or where, with "
    f"length controlled, the interval stays below {WEAK:g} or nothing is left.",
    "Apart from shaping: the STARC (minimal) distance d is that of two unit vectors with cosine 1 − d²/2, which is "
    "judged as a correlation is.",
    "Where nobody retrained but the regret is exact, 1 − regret is judged as the return of a retrained policy.",
    f"Regret: small up to {SMALL_REGRET:g}, large above {LARGE_REGRET:g}, by the larger end of its interval.",
    f"How sure: well supported by {MANY_RUNS} or more training runs and {MANY_RUNS} or more retrained policies whose "
    f"interval leaves no doubt of the answer; fairly by {SOME_RUNS} or more retrained policies or runs, or where "
    "distances are exact; otherwise little.",
    "Correlations are judged on the mixture coverage where there is one, else on the first.",
)


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


NOT_MEASURED = "Not measured"


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a few words, how good that is, and the sentence behind it."""

    question: str
    short: str
    tone: Tone
    sentence: str
    term: str | None = None


def answers(tree: xr.DataTree, verdict: Verdict) -> list[Answer]:
    """Which reward is best, can it be used for retraining, does it transfer, how sure is that."""
    claims = {claim.term: claim for claim in verdict.claims}
    return [
        _which_is_best(tree),
        _asked("Can I retrain on it?", claims.get("retrained"), ""),
        _does_it_transfer(tree, verdict.reward, claims["transfer"])
        if "transfer" in claims
        else _asked(
            "Does it transfer?",
            None,
            f"{_untransferred(tree, verdict.reward)} “{TRANSFER_COMMAND}” measures it.",
        ),
        _certainty(tree, verdict.reward),
    ]


def _asked(question: str, claim: Claim | None, otherwise: str) -> Answer:
    if claim is None:
        return Answer(question, NOT_MEASURED, "open", otherwise, "transfer")
    return Answer(question, claim.word or NOT_MEASURED, claim.tone, claim.sentence, claim.term)


def _which_is_best(tree: xr.DataTree) -> Answer:
    question = "Which reward is best?"
    rewards = ranked(tree)
    if not rewards:
        return Answer(question, "None here", "open", "These results hold no recovered reward.", "recovered")
    if len(rewards) == 1:
        others = [f"“{name}”, {what}" for name, what in beside(tree).items() if name in rewards_of(tree)]
        text = "It is the only recovered reward in these results."
        if others:
            text = f"It is the one that was saved. Beside it, for comparison only, stand {'; and '.join(others)}."
        return Answer(question, f"“{rewards[0]}”", "note", text, "recovered")
    first, second = rewards[:2]
    found = decided(tree, first, second)
    if found is None:
        names = ", ".join(name for name, *_ in merits(tree, first))
        text = f"None of the figures that order rewards ({names}) tells it from “{second}”."
        return Answer(question, f"“{first}”, not told apart", "open", text, "recovered")
    name, ours, theirs, _ = found
    text = f"By {name}: {with_interval(ours)}; next comes “{second}” with "
    text += "no such figure." if np.isnan(theirs[0]) else f"{with_interval(theirs)}."
    if np.isnan([*ours, *theirs]).any():
        return Answer(
            question, f"“{first}”", "caution", f"{text} Without both intervals the lead is uncertain.", "recovered"
        )
    if lead(tree, rewards) == "clear":
        text += " No other reward's interval reaches its own." if len(rewards) > 2 else " The intervals do not overlap."
        return Answer(question, f"“{first}”, clearly", "good", text, "recovered")
    rivals = [r for r in rewards[1:] if (one := decided(tree, first, r)) is None or not clearly(*one[1:])]
    who = "The intervals overlap" if rivals == [second] else f"Its interval overlaps those of {_listed(rivals)}"
    return Answer(
        question, f"“{first}”, by a little", "caution", f"{text} {who}: another run may turn the order.", "recovered"
    )


def _listed(names: Sequence[str]) -> str:
    quoted = [f"“{name}”" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _does_it_transfer(tree: xr.DataTree, reward: str | None, claim: Claim) -> Answer:
    group = tree["transfer"].to_dataset()
    values = group["value"].sel(policy=transfer_policy(tree, str(reward))).isel(variant=changed(group))
    estimates = values.sel(bound="estimate").dropna("variant")
    worst = ""
    if estimates.sizes["variant"] > 1:
        name = str(estimates["variant"].values[int(estimates.values.argmin())])
        low, mid, high = (float(v) for v in values.sel(variant=name, bound=["low", "estimate", "high"]).values)
        share = percent((mid, low, high), exact=exact_transfer(tree))
        worst = f" Worst of {estimates.sizes['variant']} changes: {name}, {share}."
    return Answer("Does it transfer?", claim.word, claim.tone, f"{claim.sentence}{worst}", claim.term)


def _untransferred(tree: xr.DataTree, reward: str | None) -> str:
    if reward is None or transfer_policy(tree, reward) is None:
        names = [] if "transfer" not in tree.children else tree["transfer"].to_dataset()["policy"].values.tolist()
        others = [name for name in names if name not in TRANSFER_COMPARISONS]
        of_others = f" The section on transfer is about others: {_listed(others)}." if others else ""
        return f"No policy was trained on it in changed dynamics.{of_others}"
    return "In the changed dynamics, training on the true reward itself was no better than random actions."


def _certainty(tree: xr.DataTree, reward: str | None) -> Answer:
    question = "How sure are we?"
    runs = int(tree.attrs.get("runs_averaged", 1))
    retrained = retraining_seeds(tree, reward)
    exact = "distance" in tree.children and bool(tree["distance"].attrs.get("exact"))
    several = len(ranked(tree)) > 1
    learned = f"It rests on {counted(runs, 'training run', 'training runs')}{' of each reward' if several else ''}"
    learned += f"; of “{reward}”: " if several else ": "
    learned += f"{'; '.join(_grounds(tree, reward, retrained))}."
    doubt = retrained > 0 and share_grade(retrained_bounds(tree, str(reward))).tone == "caution"
    if doubt:
        learned += " Its interval leaves open how well retraining works."
    if runs >= MANY_RUNS and retrained >= MANY_RUNS and not doubt:
        return Answer(
            question, "Well supported", "good", f"{learned} Intervals say how another run would come out.", "interval"
        )
    if retrained >= SOME_RUNS or runs >= SOME_RUNS or exact:
        rest = " Distances are exact." if exact else ""
        return Answer(question, "Fairly", "caution", f"{learned}{rest} {_missing(runs, retrained)}", "interval")
    return Answer(question, "Not very", "caution", f"{learned} {_missing(runs, retrained)}", "interval")


def _grounds(tree: xr.DataTree, reward: str | None, retrained: int) -> list[str]:
    """What the answer on retraining rests on, that on transfer, and the agreement with the truth."""
    changes, seeds = transfer_counts(tree, reward)
    transfer = [counted(seeds, "seed", "seeds")] if seeds else []
    transfer = [*transfer, counted(changes, "change", "changes")] if changes else ["not measured"]
    return [
        f"retraining, {counted(retrained, 'seed', 'seeds') if retrained else 'not measured'}",
        f"transfer, {' and '.join(transfer)}",
        f"agreement, {_counted_episodes(tree)}",
    ]


def _missing(runs: int, retrained: int) -> str:
    if runs < SOME_RUNS:
        return "Its intervals do not say how another training run would come out: repeat with more seeds."
    return f"More retrained policies than {retrained} would narrow the intervals."


def _counted_episodes(tree: xr.DataTree) -> str:
    points: Sequence[xr.DataTree] = list(tree["points"].children.values()) if "points" in tree.children else []
    counts = sorted({len(np.unique(node["episode"])) for node in points})
    if not counts:
        return "number of episodes not kept" if "correlation" in tree.children else "not measured"
    spread = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return f"{spread} episodes on each kind of data" if len(points) > 1 else f"{spread} episodes"
