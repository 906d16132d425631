"""The tables of docs/measures.md from results.csv: each figure, and whether it says what is right."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

CLOSE = 0.1  # how far a figure may be from the right one
ROWS = {
    "shaped 1": "shaping, 1 ×",
    "shaped 10": "shaping, 10 ×",
    "shaped 100": "shaping, 100 ×",
    "hidden 10": "shaping, 10 ×, hidden in (s, a)",
    "scaled": "2.5 R",
    "constant": "R + c",
    "constant with tail": "R + c, with its tail",
    "redistributed": "redistribution",
    "negated": "−R",
    "independent": "an independent reward",
}
MEASURES = {
    "step": "Pearson, step",
    "episode": "Pearson, episode",
    "episode, length": "the same, length controlled",
    "epic": "EPIC",
    "dard": "DARD",
    "val": "VAL",
    "minimal": "Minimal",
    "erc": "ERC",
    "order": "order (τ_b)",
}
SIMILARITIES = ("step", "episode", "episode, length", "order")
UP_TO_ONE = ("epic", "dard", "erc")  # the others reach 2
SAME_TASK = ("shaped 1", "shaped 10", "shaped 100", "hidden 10", "scaled", "constant with tail", "redistributed")
BY_DEFINITION, WRONG = "ᵈ", " ✗"


def same(measure: str) -> float:
    """The figure of two rewards that pose the same task."""
    return 1.0 if measure in SIMILARITIES else 0.0


def opposite(measure: str) -> float:
    return -1.0 if measure in SIMILARITIES else 1.0 if measure in UP_TO_ONE else 2.0


def right(task: str, reward: str, measure: str, ends: bool) -> float | str:
    """What is right of the task that the reward poses: a figure, "far" (unlike the truth) or "not the same"."""
    if reward in SAME_TASK or (reward == "constant" and not ends):
        return same(measure)
    if reward == "negated" or (reward == "constant" and task == "CartPole-v1"):  # R − 2 is −R where R = 1
        return opposite(measure)
    return "not the same" if reward == "constant" else "far"


def defined(task: str, reward: str, measure: str, ends: bool) -> float | str:
    """What the measure says by its own definition; "changes" where that is neither 0 nor 1 but depends on the data."""
    wanted = right(task, reward, measure, ends)
    if reward in ("scaled", "negated") or wanted == opposite(measure):
        return wanted
    if reward == "redistributed":  # equal at all possible steps; EPIC and DARD also take impossible ones
        return "changes" if measure in ("epic", "dard") else wanted
    shaping = reward.startswith(("shaped", "hidden"))
    if measure in ("epic", "dard"):
        # A constant is shaping at steps that do not end the task, and they use no others.
        return "changes" if reward == "hidden 10" else same(measure) if reward.startswith("constant") else wanted
    if measure in ("val", "minimal"):
        return wanted
    if measure == "order":
        return "changes" if wanted in ("not the same", "far") else wanted
    if shaping or reward == "independent":
        return "far" if (reward, measure) == ("independent", "step") else "changes"
    # A constant: sums over episodes change with their length, and single steps only by a tail.
    if measure == "step" and reward == "constant":
        return same(measure)
    return "changes" if ends else wanted


def agrees(figure: float, wanted: float | str, measure: str) -> bool:
    """Whether a figure says what is right. "far": as far as half the distance of two unrelated rewards."""
    if isinstance(wanted, float):
        return abs(figure - wanted) <= CLOSE
    if wanted == "not the same":
        return abs(figure - same(measure)) > CLOSE
    if measure in SIMILARITIES:
        return figure < 0.5
    return figure > (0.35 if measure in UP_TO_ONE else 0.7)


def mark(task: str, reward: str, measure: str, figure: float, ends: bool, rolled: pd.Series | None) -> str:
    """Nothing where the figure is right, else why not. VAL is held against rollouts where they were made."""
    if measure == "val" and rolled is not None:
        inside = rolled["low"] - CLOSE <= figure <= rolled["high"] + CLOSE
        return "" if inside else WRONG
    wanted, by_definition = right(task, reward, measure, ends), defined(task, reward, measure, ends)
    if by_definition == "changes":
        return BY_DEFINITION
    if by_definition != wanted:
        return BY_DEFINITION if abs(figure - float(by_definition)) <= CLOSE else WRONG
    return "" if agrees(figure, wanted, measure) else WRONG


def cell(task: str, reward: str, measure: str, row: pd.Series, ends: bool, rolled: pd.Series | None) -> str:
    """One figure and its mark; in brackets where its calibration says that it was not measured."""
    figure = float(row["estimate"])
    if pd.isna(figure):
        return "undefined"
    written = _number(figure) + mark(task, reward, measure, figure, ends, rolled)
    return f"({written})" if str(row["reason"]).startswith("Not measured") else written


def right_cell(task: str, reward: str, ends: bool, rolled: pd.Series | None) -> str:
    wanted = right(task, reward, "val", ends)
    if isinstance(wanted, float):
        return "same task" if wanted == 0 else "opposite"
    if rolled is None:
        return wanted
    figure, low, high = (_number(rolled[name]) for name in ("estimate", "low", "high"))
    return f"{wanted}; VAL by rollouts {figure} [{low}, {high}]"


def of_task(rows: pd.DataFrame, ends: bool) -> str:
    """The table of one task."""
    task, at = rows["task"].iloc[0], rows.set_index(["reward", "measure"])
    lines = ["| reward | right | " + " | ".join(MEASURES.values()) + " |", "|---|---|" + "---|" * len(MEASURES)]
    for reward, name in ROWS.items():
        key = (reward, "val by rollouts")
        rolled = at.loc[key] if key in at.index else None
        cells = [cell(task, reward, measure, at.loc[(reward, measure)], ends, rolled) for measure in MEASURES]
        lines.append(f"| {name} | {right_cell(task, reward, ends, rolled)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def section(tasks: Mapping[str, tuple[pd.DataFrame, bool]]) -> str:
    """All tables, each under the name of its task."""
    parts = []
    for task, (rows, ends) in tasks.items():
        how = "episodes can end" if ends else "nothing ends"
        parts.append(f"**{task}** ({how})\n\n{of_task(rows, ends)}")
    return "\n\n".join(parts)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")
