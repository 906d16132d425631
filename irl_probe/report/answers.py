"""The four questions that a reader comes with, each answered in a word and a sentence, by the rules of `rules`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from irl_probe.grades import Tone, share_grade, with_interval
from irl_probe.report.judgement import TRANSFER_COMMAND, Claim, Verdict
from irl_probe.report.ranking import clearly, decided, lead, merits, ranked
from irl_probe.report.reading import (
    TRANSFER_COMPARISONS,
    beside,
    changed,
    counted,
    exact_transfer,
    percent,
    retrained_bounds,
    retraining_seeds,
    rewards_of,
    transfer_counts,
    transfer_policy,
)
from irl_probe.report.rules import MANY_RUNS, SOME_RUNS

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
        _best(tree),
        _asked("Can I retrain on it?", claims.get("retrained"), ""),
        _transfer(tree, verdict.reward, claims["transfer"])
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


def _best(tree: xr.DataTree) -> Answer:
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


def _transfer(tree: xr.DataTree, reward: str | None, claim: Claim) -> Answer:
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
        f"agreement, {_episodes(tree)}",
    ]


def _missing(runs: int, retrained: int) -> str:
    if runs < SOME_RUNS:
        return "Its intervals do not say how another training run would come out: repeat with more seeds."
    return f"More retrained policies than {retrained} would narrow the intervals."


def _episodes(tree: xr.DataTree) -> str:
    points: Sequence[xr.DataTree] = list(tree["points"].children.values()) if "points" in tree.children else []
    counts = sorted({len(np.unique(node["episode"])) for node in points})
    if not counts:
        return "number of episodes not kept" if "correlation" in tree.children else "not measured"
    spread = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return f"{spread} episodes on each kind of data" if len(points) > 1 else f"{spread} episodes"
