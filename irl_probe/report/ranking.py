"""The order of rewards: by what one comes before another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr

from irl_probe.grades import Bounds
from irl_probe.report.reading import correlation_bounds, distance_bounds, judged, retrained_bounds, transfer_bounds

EXACT_MERITS = {"regret": "regret", "distance (STARC minimal)": "starc_minimal"}
CORRELATION_MERITS = (
    ("episode", "length", "length-controlled episode Pearson"),
    ("step", "none", "step Pearson"),
)


def ranked(tree: xr.DataTree) -> list[str]:
    """The rewards under judgement, the best first: by the first of `merits` that tells two apart."""
    order = judged(tree)
    scores = {reward: [as_read(bounds) * sign for _, bounds, sign in merits(tree, reward)] for reward in order}
    return sorted(order, key=lambda reward: [-float(np.nan_to_num(s, nan=-np.inf)) for s in scores[reward]])


def as_read(bounds: Bounds) -> float:
    """The estimate to the two decimals that are shown: what reads alike is alike."""
    return round(bounds[0], 2)


def decided(tree: xr.DataTree, first: str, second: str) -> tuple[str, Bounds, Bounds, int] | None:
    """By what the first of two ranked rewards comes before the second: (name, its figure, the other's, the sign)."""
    for (name, ours, sign), (_, theirs, _) in zip(merits(tree, first), merits(tree, second), strict=True):
        if not np.isnan(ours[0]) and as_read(ours) != as_read(theirs):
            return name, ours, theirs, sign
    return None


def clearly(ours: Bounds, theirs: Bounds, sign: int) -> bool:
    """Whether an interval lies wholly beyond the other, on the better side."""
    return ours[1] > theirs[2] if sign > 0 else ours[2] < theirs[1]


def lead(tree: xr.DataTree, rewards: Sequence[str]) -> Literal["clear", "slight", "none"]:
    """How far the first of ranked rewards is ahead of all the others."""
    found = [decided(tree, rewards[0], other) for other in rewards[1:]]
    if any(one is None for one in found):
        return "none"
    return "clear" if all(one is not None and clearly(*one[1:]) for one in found) else "slight"


def leading(figures: Sequence[Bounds], sign: int) -> list[bool]:
    """Which figures of a column lead it: the best as it reads, and all that it is not clearly better than.

    None where that is all of them, for then nothing is told apart; a figure that is NaN does not compete.
    """
    read = np.array([as_read(bounds) * sign for bounds in figures])
    if np.isnan(read).all():
        return [False] * len(figures)
    best = int(np.nanargmax(read))
    tied = [
        bool(one == read[best] or (not np.isnan(one) and not clearly(figures[best], bounds, sign)))
        for one, bounds in zip(read, figures, strict=True)
    ]
    return tied if sum(tied) < np.isfinite(read).sum() else [False] * len(figures)


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
