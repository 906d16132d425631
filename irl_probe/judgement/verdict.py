"""The verdict on a recovered reward and four answers: what the figures say, by rules that the page prints.

`RULES` are thresholds on figures that are in the results; nothing else is judged. Warnings have rules of their own
(`irl_probe.judgement.warnings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irl_probe._names import CARRIED_OVER, NOT_REWARDS, RECOVERED, TRUE
from irl_probe._words import counted, listed
from irl_probe.judgement.grades import (
    FAIR_SHARE,
    GOOD_SHARE,
    NOTHING,
    STRONG,
    WEAK,
    Bounds,
    Tone,
    agreement,
    percent,
    share_grade,
    short_of_steps,
    with_interval,
)
from irl_probe.judgement.ranking import clearly, decided, lead, merits, ranked
from irl_probe.judgement.reading import (
    Figures,
    Transfer,
    correlation_bounds,
    correlation_reason,
    distance_bounds,
    exact_distances,
    no_interval,
    normalised_bounds,
    retrained_alone,
    retrained_bounds,
    retrained_returns,
    retraining_seeds,
    rewards_of,
    steady_truth,
    transfer_bounds,
    transfer_counts,
    transfer_policy,
)
from irl_probe.judgement.warnings import LENGTH_MARGIN, LENGTH_MATTERS
from irl_probe.metrics.bootstrap import LEAST_SEEDS, few_seeds
from irl_probe.results.files import fixed

SMALL_REGRET, LARGE_REGRET = 0.05, 0.2
MANY_RUNS, SOME_RUNS = 5, 3

RULES: Sequence[str] = (
    "No claim is stronger than the weaker end of its interval; a figure without an interval gives a “perhaps” at most, "
    f"and over fewer than {LEAST_SEEDS} seeds there is no interval.",
    "Imitation, retraining and transfer: yes if the whole interval of the normalised return is at least "
    f"{GOOD_SHARE:g}; probably if the figure is, and the interval does not go below {FAIR_SHARE:g}; in part if the "
    f"figure and the interval are at least {FAIR_SHARE:g}; no if the whole interval is below {FAIR_SHARE:g}; otherwise "
    "perhaps, or not shown. For retraining 0 is random and 1 the expert. For transfer 0 is random and 1 a policy "
    "trained on the true reward in the changed environment, over all changes; a transfer that is not shown to beat the "
    "imitator's policy, carried over, is partial at most.",
    "Best: the highest normalised return after retraining. If two rewards' figures are equal to two decimals, the next "
    "figure decides: the least exact regret and distance, the return in changed dynamics, the length-controlled "
    "episode Pearson and the step Pearson, in this order. The lead is clear if the whole interval is better than those "
    "of all others. A reward made from exact occupancies, the true reward and a constant are shown for comparison, not "
    "judged.",
    f"Correlations: strong if figure and interval are at least {STRONG:g}, moderate from {WEAK:g}, contrary from "
    f"−{WEAK:g} down, unclear if the interval includes 0; “at least moderate” and the like if they span two of these.",
    "Episodes: the weaker of the plain figure and the one with length controlled decides, or the plain one if the "
    "other is undefined. The plain one is mostly length if it is within "
    f"{LENGTH_MARGIN:g} of a constant reward's (up to sign) and that is at least {LENGTH_MATTERS:g}, or if, with "
    f"length controlled, the interval stays below {WEAK:g} or nothing is left.",
    "Apart from shaping: the STARC (minimal) distance d is that of two unit vectors with cosine 1 − d²/2, and this "
    "cosine is judged like a correlation.",
    "If no policy was retrained but the regret is exact, 1 − regret is judged like the return of a retrained policy.",
    f"Regret: small up to {SMALL_REGRET:g}, large above {LARGE_REGRET:g}, by the larger end of its interval.",
    f"How sure: well supported with {MANY_RUNS} or more training runs and {MANY_RUNS} or more retrained policies whose "
    f"interval leaves no doubt about the answer; fairly with {SOME_RUNS} or more retrained policies or runs; otherwise "
    "not very.",
    "Correlations are judged on the mixture coverage if there is one, else on the first.",
)

RETRAIN_COMMAND = "irl-probe retrain-study REWARD --env ENV --out DIR"
TRANSFER_COMMAND = "irl-probe transfer REWARD --env ENV --out DIR"
_IMITATES = {
    "Yes": "imitates", "Probably": "probably imitates", "Perhaps": "perhaps imitates",
    "In part": "only partly imitates", "At least in part": "at least partly imitates",
    "Perhaps in part": "perhaps partly imitates", "No": "does not imitate", "Not shown": "is not shown to imitate",
}  # fmt: skip
STEADY = (
    "The true reward is the same at every step here. So correlations over steps are undefined, those over episodes "
    "only follow length, and EPIC and DARD, which leave out the steps that end an episode, are undefined too. Where "
    "episodes end, the reward is not empty: +1 a step is the same task as a penalty at the end, and −1 a step the "
    "opposite one. The STARC distances and the discounted order of policies measure that. Where nothing ends, it is "
    "shaping, and no measure says anything. The return after retraining is the figure to go by for whether a policy "
    "can be trained on it."
)
NOT_MEASURED = "Not measured"
ANSWERED = (None, "retrained", "transfer")  # terms of claims that the four answers already state


@dataclass(frozen=True)
class Claim:
    """One finding: how good it is, a phrase for the headline, a sentence with its figures, and a one-word answer."""

    tone: Tone
    phrase: str
    sentence: str
    term: str | None = None
    word: str = ""


@dataclass(frozen=True)
class Verdict:
    """The judged reward (None if the results have none), the claims, the most important first, and a note.

    The note says how to weigh the claims if that is not obvious.
    """

    reward: str | None
    claims: Sequence[Claim]
    note: str = ""

    @property
    def headline(self) -> str:
        """The claims' phrases as one sentence."""
        text = "; ".join(c.phrase for c in self.claims if c.phrase)
        return f"{text[:1].upper()}{text[1:]}." if text else "These results hold no figure to judge."


@dataclass(frozen=True)
class Answer:
    """A question, its answer in a few words, how good that is, and the sentence behind it."""

    question: str
    short: str
    tone: Tone
    sentence: str
    term: str | None = None


def judge(figures: Figures) -> Verdict:
    """The verdict on the (best) recovered reward of a results tree, by `RULES`."""
    rewards = ranked(figures)
    best = rewards[0] if rewards else None
    claims = [_best(figures, rewards), _retraining(figures, best), _transfer(figures, best), _imitation(figures)]
    if best is not None and figures.correlation is not None:
        claims += [_steps(figures, best), _episodes(figures, best)]
    claims += [_distance(figures, best), _regret(figures, best)]
    agrees = figures.correlation is not None or figures.distance is not None
    return Verdict(
        best, [claim for claim in claims if claim is not None], STEADY if agrees and steady_truth(figures) else ""
    )


def answers(figures: Figures, verdict: Verdict) -> list[Answer]:
    """Which reward is best, can it be used for retraining, does it transfer, and how sure are we."""
    return [
        _which_is_best(figures),
        _can_i_retrain(verdict),
        _does_it_transfer(figures, verdict),
        _certainty(figures, verdict.reward),
    ]


def _best(figures: Figures, rewards: Sequence[str]) -> Claim | None:
    if len(rewards) < 2:
        return None
    best, count = rewards[0], len(rewards)
    text = f"This verdict is about “{best}”; the table below it compares all {count}."
    phrase = {
        "clear": f"“{best}” is clearly the best of {count} rewards",
        "slight": f"“{best}” leads {count} rewards, though not beyond doubt",
        "none": f"“{best}” is first of {count} rewards, but not distinguishable from the next",
    }[lead(figures, rewards)]
    return Claim("note", phrase, text)


def _retraining(figures: Figures, reward: str | None) -> Claim:
    bounds = retrained_bounds(figures, reward) if reward else retrained_alone(figures)
    regret = exact_regret(figures, reward)
    if np.isnan(bounds[0]) and not np.isnan(regret[0]):
        grade = share_grade((1 - regret[0], 1 - regret[2], 1 - regret[1]))
        text = (
            f"Computed exactly, without training: a policy that is optimal for it loses {with_interval(regret)} of the "
            f"true return at stake (0 none, 1 all of it).{_alone(regret)}"
        )
        return Claim(grade.tone, f"{grade.prefix}usable for retraining", text, "retrained", grade.word)
    if np.isnan(bounds[0]):
        text = (
            "No policy was retrained on this reward alone, so we do not know whether it can be reused. "
            f"“{RETRAIN_COMMAND}” measures it."
        )
        return Claim("open", "retraining not measured", text, "retrained")
    grade = share_grade(bounds)
    where = " in this environment" if bounds[0] >= GOOD_SHARE else ""
    phrase = f"{grade.prefix}usable for retraining{where}"
    text = f"{_policies(figures, reward, bounds)} of the expert's true return (random is 0\u00a0%)."
    if np.isnan(bounds[1]):
        returns = retrained_returns(figures, reward)
        text += f" {no_interval(returns) if len(returns) else few_seeds(1)}"
    truth = retrained_bounds(figures, TRUE)
    if np.isnan(truth[0]):
        return Claim(grade.tone, phrase, text, "retrained", grade.word)
    text += f" As many steps on the true reward reach {percent(truth)}."
    if bounds[0] < GOOD_SHARE and short_of_steps(bounds, truth):
        return Claim("open", "too few steps to judge retraining", text, "retrained", "Can’t tell")
    return Claim(grade.tone, phrase, text, "retrained", grade.word)


def _policies(figures: Figures, reward: str | None, bounds: Bounds) -> str:
    count = retraining_seeds(figures, reward)
    if count < 2:
        return f"A fresh policy trained on this reward alone reaches {percent(bounds)}"
    each = "each " if np.ptp(retrained_returns(figures, reward)) == 0 else ""
    return f"{count} fresh policies trained on this reward alone {each}reach {percent(bounds)}"


def _alone(bounds: Bounds) -> str:
    return " This figure has no interval." if np.isnan(bounds[1]) else ""


def _transfer(figures: Figures, reward: str | None) -> Claim | None:
    transfer, bounds = figures.transfer, transfer_bounds(figures, reward) if reward else NOTHING
    if transfer is None or np.isnan(bounds[0]):
        return None
    grade = share_grade(bounds)
    phrase = f"{grade.prefix}transferable"
    changes, seeds = transfer_counts(figures, reward)
    basis = counted(changes, "change", "changes") + (f", {counted(seeds, 'seed', 'seeds')}" if seeds else "")
    text = (
        f"In changed dynamics ({basis}) a policy trained on it reaches {percent(bounds, exact=transfer.exact)} of what "
        f"training on the true reward there reaches (random is 0\u00a0%)."
    )
    if np.isnan(bounds[1]):
        text += f" {few_seeds(seeds)}" if seeds and few_seeds(seeds) else _alone(bounds)
    carried = transfer_bounds(figures, CARRIED_OVER)
    if not np.isnan(carried[0]):
        of = transfer.carried or reward
        whose = "imitator's own policy" if of in (reward, RECOVERED) else f"policy that came with “{of}”"
        text += f" The {whose}, carried over unchanged, reaches {percent(carried, exact=transfer.exact)}."
        if of in (reward, RECOVERED) and not clearly(bounds, carried, 1) and grade.word not in ("No", "Not shown"):
            verb = "no better than" if carried[0] >= bounds[0] else "not shown to be better than"
            word = "Perhaps in part" if np.isnan(bounds[1]) else "In part"
            return Claim("caution", f"{phrase}, but {verb} the policy it came from", text, "transfer", word)
    return Claim(grade.tone, phrase, text, "transfer", grade.word)


def _imitation(figures: Figures) -> Claim | None:
    bounds = normalised_bounds(figures, "learned")
    if np.isnan(bounds[0]):
        return None
    grade = share_grade(bounds)
    phrase = f"the learned policy {_IMITATES[grade.word]} the expert"
    reach = f"The policy learned with it reaches {percent(bounds)} of the expert's true return.{_alone(bounds)}"
    return Claim(grade.tone, phrase, reach, "learned", grade.word)


def _steps(figures: Figures, reward: str) -> Claim:
    bounds = correlation_bounds(figures, reward, "step", "none")
    estimate = bounds[0]
    if np.isnan(estimate):
        reason = correlation_reason(figures, reward, "step")
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


def _episodes(figures: Figures, reward: str) -> Claim:
    raw = correlation_bounds(figures, reward, "episode", "none")
    constant = correlation_bounds(figures, reward, "episode", "constant")[0]
    controlled = correlation_bounds(figures, reward, "episode", "length")
    if np.isnan(raw[0]):
        reason = correlation_reason(figures, reward, "episode")
        return Claim(
            "open", "episode-level agreement undefined", f"Over episodes it is undefined: {reason}.", "episode"
        )
    figure = f"Over episodes: Pearson {with_interval(raw)}"
    figure += "" if np.isnan(constant) else f"; a constant reward gets {fixed(constant)}"
    figure += "" if np.isnan(controlled[0]) else f"; with length controlled {with_interval(controlled)}"
    # The constant's sign does not matter: where true rewards are negative, −1 at every step knows as little as 1.
    near = abs(constant) >= LENGTH_MATTERS and abs(raw[0] - abs(constant)) <= LENGTH_MARGIN
    if raw[2] < 0:
        return Claim("bad", "ranks episodes against the truth", f"{figure}.", "episode")
    if raw[0] < 0 and np.isnan(raw[2]):
        return Claim("caution", "perhaps ranks episodes against the truth", f"{figure}.{_alone(raw)}", "episode")
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
    if raw[1] < controlled[1]:  # length lowers the raw correlation, so grade the raw one
        tone, strength = agreement(raw)
        return Claim(tone, f"episode-level agreement is {strength}", f"{figure}.", "episode")
    return Claim(tone, f"episode-level agreement is {strength} beyond length", f"{figure}.", "length")


def _distance(figures: Figures, reward: str | None) -> Claim | None:
    bounds = distance_bounds(figures, reward, "starc_minimal") if reward else NOTHING
    if np.isnan(bounds[0]):
        return None
    cosine = tuple(1 - bounds[place] ** 2 / 2 for place in (0, 2, 1))  # of two unit vectors that far apart
    tone, strength = agreement((cosine[0], cosine[1], cosine[2]))
    text = (
        f"Without shaping and scale, its distance from the truth is {with_interval(bounds)} (0 the same, 1.41 "
        "unrelated, 2 opposite)."
    )
    return Claim(tone, f"agreement apart from shaping is {strength}", text, "starc_minimal")


def _regret(figures: Figures, reward: str | None) -> Claim | None:
    bounds = distance_bounds(figures, reward, "regret") if reward else NOTHING
    if np.isnan(bounds[0]):
        return None
    alone = bool(np.isnan(bounds[2]))
    worst = bounds[0] if alone else bounds[2]
    tone: Tone = "good" if worst <= SMALL_REGRET else "caution" if worst <= LARGE_REGRET else "bad"
    size = {"good": "small", "caution": "moderate", "bad": "large"}[tone]
    text = f"Acting optimally for it loses {with_interval(bounds)} of the true return at stake (regret, 0 to 1)."
    phrase = f"{'perhaps ' if alone else ''}{size} regret under the truth"
    return Claim("caution" if alone else tone, phrase, f"{text}{_alone(bounds)}", "regret")


def exact_regret(figures: Figures, reward: str | None) -> Bounds:
    """A reward's regret if it is exact, or the mean of several runs' exact ones with its interval; else NaN."""
    return distance_bounds(figures, reward, "regret") if exact_distances(figures) and reward else NOTHING


def _can_i_retrain(verdict: Verdict) -> Answer:
    claim = next(claim for claim in verdict.claims if claim.term == "retrained")
    return Answer("Can I retrain on it?", claim.word or NOT_MEASURED, claim.tone, claim.sentence, claim.term)


def _which_is_best(figures: Figures) -> Answer:
    question = "Which reward is best?"
    rewards = ranked(figures)
    if not rewards:
        return Answer(question, "None here", "open", "These results hold no recovered reward.", "recovered")
    if len(rewards) == 1:
        others = [f"“{name}”, {what}" for name, what in figures.beside.items() if name in rewards_of(figures)]
        text = "It is the only recovered reward in these results."
        if others:
            text = f"It is the one that was saved. Shown beside it, for comparison only: {'; and '.join(others)}."
        return Answer(question, f"“{rewards[0]}”", "note", text, "recovered")
    first, second = rewards[:2]
    found = decided(figures, first, second)
    if found is None:
        names = ", ".join(name for name, *_ in merits(figures, first))
        text = f"None of the figures that order rewards ({names}) distinguishes it from “{second}”."
        return Answer(question, f"“{first}”, not distinguishable", "open", text, "recovered")
    name, ours, theirs, _ = found
    text = f"By {name}: {with_interval(ours)}; next comes “{second}” with "
    text += "no such figure." if np.isnan(theirs[0]) else f"{with_interval(theirs)}."
    if np.isnan([*ours, *theirs]).any():
        return Answer(
            question, f"“{first}”", "caution", f"{text} Without both intervals the lead is uncertain.", "recovered"
        )
    if lead(figures, rewards) == "clear":
        text += " No other reward's interval reaches its own." if len(rewards) > 2 else " The intervals do not overlap."
        return Answer(question, f"“{first}”, clearly", "good", text, "recovered")
    rivals = [r for r in rewards[1:] if (one := decided(figures, first, r)) is None or not clearly(*one[1:])]
    who = "The intervals overlap" if rivals == [second] else f"Its interval overlaps those of {_quoted(rivals)}"
    return Answer(
        question, f"“{first}”, by a little", "caution", f"{text} {who}: another run may reverse the order.", "recovered"
    )


def _quoted(names: Sequence[str]) -> str:
    return listed([f"“{name}”" for name in names])


def _does_it_transfer(figures: Figures, verdict: Verdict) -> Answer:
    question = "Does it transfer?"
    claim = next((claim for claim in verdict.claims if claim.term == "transfer"), None)
    if claim is None or figures.transfer is None:
        sentence = f"{_untransferred(figures, verdict.reward)} “{TRANSFER_COMMAND}” measures it."
        return Answer(question, NOT_MEASURED, "open", sentence, "transfer")
    sentence = f"{claim.sentence}{_worst(figures.transfer, transfer_policy(figures, verdict.reward))}"
    return Answer(question, claim.word, claim.tone, sentence, claim.term)


def _worst(transfer: Transfer, policy: str | None) -> str:
    """The change in which a policy does worst, as a sentence; empty if there is only one change."""
    shares = {variant: transfer.value.of(variant=variant, policy=str(policy)) for variant in transfer.changed}
    shares = {variant: share for variant, share in shares.items() if not np.isnan(share[0])}
    if len(shares) < 2:
        return ""
    worst = min(shares, key=lambda variant: shares[variant][0])
    return f" Worst of {len(shares)} changes: {worst}, {percent(shares[worst], exact=transfer.exact)}."


def _untransferred(figures: Figures, reward: str | None) -> str:
    if transfer_policy(figures, reward) is None:
        policies = () if figures.transfer is None else figures.transfer.value.labels["policy"]
        others = [policy for policy in policies if policy not in NOT_REWARDS]
        of_others = f" The section on transfer is about others: {_quoted(others)}." if others else ""
        return f"No policy was trained on it in changed dynamics.{of_others}"
    return "In the changed dynamics, training on the true reward itself was no better than random actions."


def _certainty(figures: Figures, reward: str | None) -> Answer:
    question = "How sure are we?"
    runs = figures.runs
    retrained = retraining_seeds(figures, reward)
    exact = exact_distances(figures)
    several = len(ranked(figures)) > 1
    learned = f"It rests on {counted(runs, 'training run', 'training runs')}{' of each reward' if several else ''}"
    learned += f"; of “{reward}”: " if several else ": "
    learned += f"{'; '.join(_grounds(figures, reward, retrained))}."
    doubt = retrained > 0 and share_grade(retrained_bounds(figures, str(reward))).tone == "caution"
    if doubt:
        learned += " Its interval leaves open how well retraining works."
    rest = " Distances are exact." if exact else ""
    if runs >= MANY_RUNS and retrained >= MANY_RUNS and not doubt:
        return Answer(
            question, "Well supported", "good", f"{learned} Intervals say how another run would come out.", "interval"
        )
    if retrained >= SOME_RUNS or runs >= SOME_RUNS:
        return Answer(question, "Fairly", "caution", f"{learned}{rest} {_missing(runs, retrained)}", "interval")
    return Answer(question, "Not very", "caution", f"{learned}{rest} {_missing(runs, retrained)}", "interval")


def _grounds(figures: Figures, reward: str | None, retrained: int) -> list[str]:
    """The amounts of data behind the answers on retraining and transfer, and behind the agreement with the truth."""
    changes, seeds = transfer_counts(figures, reward)
    transfer = [counted(seeds, "seed", "seeds")] if seeds else []
    transfer = [*transfer, counted(changes, "change", "changes")] if changes else ["not measured"]
    return [
        f"retraining, {counted(retrained, 'seed', 'seeds') if retrained else 'not measured'}",
        f"transfer, {' and '.join(transfer)}",
        f"agreement, {_counted_episodes(figures)}",
    ]


def _missing(runs: int, retrained: int) -> str:
    if runs < SOME_RUNS:
        return "Its intervals do not say how another training run would come out: repeat with more seeds."
    return f"More retrained policies than {retrained} would narrow the intervals."


def _counted_episodes(figures: Figures) -> str:
    counts = sorted(set(figures.episodes.values()))
    if not counts:
        return "not measured" if figures.correlation is None else "number of episodes not recorded"
    spread = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return f"{spread} episodes on each kind of data" if len(figures.episodes) > 1 else f"{spread} episodes"
