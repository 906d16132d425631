"""Features in which potentials are expressed, and random functions to calibrate the measures with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from irl_probe.metrics.checks import Array
from irl_probe.metrics.terms import Batch

SPREAD = 1e-6  # a dimension whose standard deviation is below this share of its size does not vary


@dataclass(frozen=True)
class Standardised:
    """Observations (N, ...) as (N, k) of mean 0 and standard deviation 1; integers as indicators of `count` values.

    Attributes:
        count: of a discrete space, None elsewhere.
        mean, deviation: (k,).
    """

    count: int | None
    mean: Array
    deviation: Array

    @staticmethod
    def by(rows: Batch, *, count: int | None = None) -> Standardised:
        """As these rows are; integers of one dimension count as discrete, `count` (default the largest + 1) of them."""
        if rows.ndim == 1 and np.issubdtype(rows.dtype, np.integer):
            return Standardised(int(rows.max()) + 1 if count is None else count, np.zeros(0), np.zeros(0))
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        mean, deviation = flat.mean(axis=0), flat.std(axis=0)
        varies = deviation > SPREAD * np.maximum(np.abs(mean), 1)
        return Standardised(None, mean, np.where(varies, deviation, np.inf))

    def __call__(self, rows: Batch) -> Array:
        if self.count is not None:
            indicators: Array = np.eye(self.count)[rows]
            return indicators
        scaled: Array = (rows.reshape(len(rows), -1).astype(np.float64) - self.mean) / self.deviation
        return scaled


def state_features(
    rows: Batch, *, size: int = 256, seed: int = 0, count: int | None = None
) -> Callable[[Batch], Array]:
    """φ(s), (N, p): indicators where states are discrete, else 1, the standardised state, and random tanh units.

    The units' weights are normal with variance 1/k, k the dimensions, so that smooth potentials are well represented.

    Args:
        rows: observations (N, ...) by which states are standardised.
        size: p, where states are continuous; never more than a quarter of the rows.
        seed: of the units.
        count: how many discrete states there are; default the largest + 1.
    """
    standardised = Standardised.by(rows, count=count)
    if standardised.count is not None:
        return standardised
    dimensions = len(standardised.mean)
    units = max(0, min(size, len(rows) // 4) - 1 - dimensions)
    rng = np.random.default_rng(seed)
    weights, biases = rng.normal(size=(dimensions, units)) / np.sqrt(max(dimensions, 1)), rng.normal(size=units)

    def features(observations: Batch) -> Array:
        x = standardised(observations)
        return np.concatenate([np.ones((len(x), 1)), x, np.tanh(x @ weights + biases)], axis=1)

    return features


def random_network(
    rows: Batch, *, seed: int, hidden: int = 64, deviation: float = 1.0, count: int | None = None
) -> Callable[[Batch], Array]:
    """A random function of rows (N, ...), (N,): a network with two layers of tanh units on the standardised rows.

    Weights and biases of a layer with k inputs are uniform in ±1/√k, as PyTorch's are. The output has mean 0 and the
    given standard deviation on `rows`.
    """
    standardised = Standardised.by(rows, count=count)
    rng = np.random.default_rng(seed)
    sizes = (standardised(rows[:1]).shape[1], hidden, hidden, 1)
    layers = [_uniform_layer(a, b, rng) for a, b in pairwise(sizes)]

    def raw(x: Batch) -> Array:
        values = standardised(x)
        for weights, biases in layers[:-1]:
            values = np.tanh(values @ weights + biases)
        return np.asarray((values @ layers[-1][0])[:, 0])

    values = raw(rows)
    mean, spread = float(values.mean()), float(values.std()) or 1.0
    return lambda x: (raw(x) - mean) * (deviation / spread)


def _uniform_layer(inputs: int, outputs: int, rng: np.random.Generator) -> tuple[Array, Array]:
    bound = 1 / np.sqrt(max(inputs, 1))
    return rng.uniform(-bound, bound, (inputs, outputs)), rng.uniform(-bound, bound, outputs)
