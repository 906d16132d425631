"""Second moments by episode: sums from which the canonical distance of every resample follows in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irl_probe.metrics.checks import Array


def episode_sums(rows: Array, episode: NDArray[np.int64]) -> Array:
    """Σ over each episode's rows of (N, ...), (E, ...); equal labels are adjacent."""
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    total: Array = np.add.reduceat(rows, starts, axis=0)
    return total


def paired(first: Array, second: Array) -> Array:
    """An unbiased estimate of E[x]·E[y] for each row, (N, ...), from draws x and y (N, L, ...) that broadcast.

    With one draw it is x·y, exact where the draw is. With L draws it is the mean of x_l·y_m over l ≠ m, so that no
    product of one draw's noise with itself enters (double sampling).
    """
    draws = max(first.shape[1], second.shape[1])
    if draws == 1:
        single: Array = first[:, 0] * second[:, 0]
        return single
    same: Array = (first * second).sum(axis=1)
    crossed: Array = (first.sum(axis=1) * second.sum(axis=1) - same) / (draws * (draws - 1))
    return crossed


def paired_products(first: Array, second: Array) -> Array:
    """Σ over rows of the estimates of `paired` for each two columns: (N, L, j) and (N, L, k) to (j, k)."""
    draws = first.shape[1]
    total: Array = first.sum(axis=1).T @ second.sum(axis=1)
    if draws == 1:
        return total
    same: Array = first.reshape(-1, first.shape[2]).T @ second.reshape(-1, second.shape[2])
    crossed: Array = (total - same) / (draws * (draws - 1))
    return crossed
