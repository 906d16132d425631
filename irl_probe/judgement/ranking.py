"""Which reward is best: the figures that order rewards, and how far one is ahead of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from irl_probe.judgement.grades import Bounds
from irl_probe.judgement.reading import (
    Figures,
    correlation_bounds,
    distance_bounds,
    exact_distances,
    judged,
    retrained_bounds,
    transfer_bounds,
)

EXACT_MERITS = {"regret": "regret", "distance (STARC minimal)": "starc_minimal"}
CORRELATION_MERITS = (
    ("episode", "length", "length-controlled episode Pearson"),
    ("step", "none", "step Pearson"),
)


def ranked(figures: Figures) -> list[str]:
    """The rewards to judge, the best first: the first of `merits` in which two rewards differ decides."""
    order = judged(figures)
    scores = {reward: [as_read(bounds) * sign for _, bounds, sign in merits(figures, reward)] for reward in order}
    return sorted(order, key=lambda reward: [-float(np.nan_to_num(s, nan=-np.inf)) for s in scores[reward]])


def merits(figures: Figures, reward: str) -> list[tuple[str, Bounds, int]]:
    """The figures that rank rewards, the most important first: (name, figure, 1 if more is better, else −1)."""
    found: list[tuple[str, Bounds, int]] = [
        ("normalised return after retraining", retrained_bounds(figures, reward), 1)
    ]
    if exact_distances(figures):
        found += [(f"exact {n}", distance_bounds(figures, reward, m), -1) for n, m in EXACT_MERITS.items()]
    found += [("return in changed dynamics", transfer_bounds(figures, reward), 1)]
    for level, control, name in CORRELATION_MERITS:
        found.append((name, correlation_bounds(figures, reward, level, control), 1))
    return found


def as_read(bounds: Bounds) -> float:
    """The estimate rounded to the two decimals that are shown: figures that look equal count as equal."""
    return round(bounds[0], 2)


def decided(figures: Figures, first: str, second: str) -> tuple[str, Bounds, Bounds, int] | None:
    """The figure that ranks the first reward before the second: (name, its figure, the other's, the sign), or None."""
    for (name, ours, sign), (_, theirs, _) in zip(merits(figures, first), merits(figures, second), strict=True):
        if not np.isnan(ours[0]) and as_read(ours) != as_read(theirs):
            return name, ours, theirs, sign
    return None


def clearly(ours: Bounds, theirs: Bounds, sign: int) -> bool:
    """Whether the whole of one interval is better than the whole of the other."""
    return ours[1] > theirs[2] if sign > 0 else ours[2] < theirs[1]


def lead(figures: Figures, rewards: Sequence[str]) -> Literal["clear", "slight", "none"]:
    """How far the first of ranked rewards is ahead of all the others."""
    found = [decided(figures, rewards[0], other) for other in rewards[1:]]
    if any(one is None for one in found):
        return "none"
    return "clear" if all(one is not None and clearly(*one[1:]) for one in found) else "slight"


def leading(column: Sequence[Bounds], sign: int) -> list[bool]:
    """Which figures of a column lead it: the best as shown, and all that the best is not clearly better than.

    None leads if all of them would, because the column then distinguishes nothing. NaN does not compete.
    """
    read = np.array([as_read(bounds) * sign for bounds in column])
    if np.isnan(read).all():
        return [False] * len(column)
    best = int(np.nanargmax(read))
    tied = [
        bool(one == read[best] or (not np.isnan(one) and not clearly(column[best], bounds, sign)))
        for one, bounds in zip(read, column, strict=True)
    ]
    return tied if sum(tied) < np.isfinite(read).sum() else [False] * len(column)
