"""The four questions that a reader comes with, each answered in a word and a sentence, by the rules of `judgement`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from irl_probe.report.judgement import MANY_RUNS, SOME_RUNS, TRANSFER_COMMAND, Claim, Tone, Verdict, merits, ranked
from irl_probe.report.reading import changed, figures, percent, retraining_seeds, transfer_policy

SAME = 0.005  # figures closer than this read alike
WORDS = {"good": "Yes", "caution": "In part", "bad": "No", "open": "Not measured", "note": "Not measured"}


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
            f"No policy was trained on it in changed dynamics. “{TRANSFER_COMMAND}” measures it.",
        ),
        _certainty(tree, verdict.reward),
    ]


def _asked(question: str, claim: Claim | None, otherwise: str) -> Answer:
    if claim is None:
        return Answer(question, WORDS["open"], "open", otherwise, "transfer")
    return Answer(question, WORDS[claim.tone], claim.tone, claim.sentence, claim.term)


def _best(tree: xr.DataTree) -> Answer:
    question = "Which reward is best?"
    rewards = ranked(tree)
    if not rewards:
        return Answer(question, "None here", "open", "These results hold no recovered reward.", "recovered")
    if len(rewards) == 1:
        return Answer(
            question, f"“{rewards[0]}”", "note", "It is the only recovered reward in these results.", "recovered"
        )
    first, second = rewards[:2]
    pairs = zip(merits(tree, first), merits(tree, second), strict=True)
    decisive = next((p for p in pairs if not np.isnan(p[0][1][0]) and not abs(p[0][1][0] - p[1][1][0]) < SAME), None)
    if decisive is None:
        text = f"No figure tells it from “{second}”."
        return Answer(question, f"“{first}”, not told apart", "open", text, "recovered")
    (name, ours, sign), (_, theirs, _) = decisive
    text = f"By {name}: {figures(ours)}; next comes “{second}” with "
    text += "no such figure." if np.isnan(theirs[0]) else f"{figures(theirs)}."
    if np.isnan(theirs[0]) or np.isnan([*ours, *theirs]).any():
        return Answer(
            question, f"“{first}”", "caution", f"{text} Without both intervals the lead is uncertain.", "recovered"
        )
    clear = ours[1] > theirs[2] if sign > 0 else ours[2] < theirs[1]
    if clear:
        return Answer(question, f"“{first}”, clearly", "good", f"{text} The intervals do not overlap.", "recovered")
    text += " The intervals overlap: another run may turn the order."
    return Answer(question, f"“{first}”, by a little", "caution", text, "recovered")


def _transfer(tree: xr.DataTree, reward: str | None, claim: Claim) -> Answer:
    group = tree["transfer"].to_dataset()
    values = group["value"].sel(policy=transfer_policy(tree, str(reward))).isel(variant=changed(group))
    estimates = values.sel(bound="estimate").dropna("variant")
    worst = ""
    if estimates.sizes["variant"] > 1:
        name = str(estimates["variant"].values[int(estimates.values.argmin())])
        low, mid, high = (float(v) for v in values.sel(variant=name, bound=["low", "estimate", "high"]).values)
        worst = f" Worst of {estimates.sizes['variant']} changes: {name}, {percent((mid, low, high))}."
    return Answer("Does it transfer?", WORDS[claim.tone], claim.tone, f"{claim.sentence}{worst}", claim.term)


def _certainty(tree: xr.DataTree, reward: str | None) -> Answer:
    question = "How sure are we?"
    runs = int(tree.attrs.get("runs_averaged", 1))
    retrained = retraining_seeds(tree, reward)
    exact = "distance" in tree.children and bool(tree["distance"].attrs.get("exact"))
    grounds = [
        _counted(runs, "training run", "training runs"),
        _counted(retrained, "retrained policy", "retrained policies"),
    ]
    learned = f"It rests on {', '.join([*grounds, *_episodes(tree)])}."
    if runs >= MANY_RUNS and retrained >= MANY_RUNS:
        return Answer(
            question, "Well supported", "good", f"{learned} Intervals say how another run would come out.", "interval"
        )
    if retrained >= SOME_RUNS or runs >= SOME_RUNS or exact:
        rest = " Distances are exact." if exact else ""
        return Answer(question, "Fairly", "caution", f"{learned}{rest} {_missing(runs, retrained)}", "interval")
    return Answer(question, "Not very", "caution", f"{learned} {_missing(runs, retrained)}", "interval")


def _missing(runs: int, retrained: int) -> str:
    if runs < SOME_RUNS:
        return "Its intervals do not say how another training run would come out: repeat with more seeds."
    return f"More retrained policies than {retrained} would narrow the intervals."


def _episodes(tree: xr.DataTree) -> list[str]:
    points: Sequence[xr.DataTree] = list(tree["points"].children.values()) if "points" in tree.children else []
    counts = sorted({len(np.unique(node["episode"])) for node in points})
    if not counts:
        return []
    spread = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return [f"{spread} episodes on each kind of data" if len(points) > 1 else f"{spread} episodes"]


def _counted(count: int, one: str, many: str) -> str:
    return f"one {one}" if count == 1 else f"{count or 'no'} {many}"
