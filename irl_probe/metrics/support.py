"""How many of the transitions that a measure asks a reward for are unlike any in the data."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from irl_probe.metrics.checks import Array
from irl_probe.metrics.features import Standardised
from irl_probe.metrics.terms import Batch
from irl_probe.transitions import Transitions

QUANTILE = 0.99  # of the data's own distances to the nearest other step
QUERIES = 2048  # at most so many are looked up


def off_support(steps: Transitions, observations: Batch, actions: Batch, next_observations: Batch) -> float:
    """Share of the queries (s, a, s′) that are farther from all observed transitions than these are from each other.

    Distances are Euclidean in (s, a, s′), each dimension standardised by the data. The bound is the 99 % quantile of
    each observed transition's distance to the nearest other one, so about 1 % is what the data themselves have. Where
    states and actions are discrete, a query is off the support exactly where (s, a, s′) was never observed. At most
    2,048 evenly spaced queries are looked up. With fewer than two steps the share is NaN.
    """
    if len(steps) < 2 or not len(observations):
        return float("nan")
    known = (steps.observations, steps.actions, steps.next_observations)
    kept = np.linspace(0, len(observations) - 1, min(QUERIES, len(observations))).astype(np.int64)
    asked = (observations[kept], actions[kept], next_observations[kept])
    if all(array.ndim == 1 and np.issubdtype(array.dtype, np.integer) for array in known):
        seen = set(zip(*(array.tolist() for array in known), strict=True))
        return float(np.mean([query not in seen for query in zip(*(a.tolist() for a in asked), strict=True)]))
    scales = [
        Standardised.by(array, count=int(max(array.max(), query.max())) + 1 if array.ndim == 1 else None)
        for array, query in zip(known, asked, strict=True)
    ]
    data, queries = (_joined(scales, arrays) for arrays in (known, asked))
    tree = cKDTree(data)
    own = tree.query(data, k=2)[0][:, 1]
    return float((tree.query(queries)[0] > np.quantile(own, QUANTILE)).mean())


def _joined(scales: list[Standardised], arrays: tuple[Batch, ...]) -> Array:
    return np.concatenate([scale(array) for scale, array in zip(scales, arrays, strict=True)], axis=1)
