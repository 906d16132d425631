"""Rewards and functions of states that the measures evaluate.

`RewardTerms` is a reward as a sum of terms that depend on parts of a transition, which makes its canonical forms cheap.
`state_features` and `random_network` are functions of standardised observations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from irl_probe._types import Array, Bools, Floats

# The largest size in bytes of the arrays that one call of a reward gets, for any number of samples.
CHUNK_BYTES = 1 << 25

SPREAD = 1e-6  # a dimension whose standard deviation is below this share of its size does not vary


Potential = Callable[[Array], Floats]
"""Φ(s) of N states, (N,), in reward units."""


class RewardFunction(Protocol):
    """r(s, a, s′, terminated) of N transitions at once, (N,), in reward units per environment step."""

    def __call__(
        self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /
    ) -> NDArray[np.floating[Any]]: ...


@dataclass(frozen=True)
class RewardTerms:
    """r(s, a, s′, d) = state(s) + pair(s, a) + (1 − d)·successor(s′) + joint(s, a, s′, d); a missing term is 0.

    A recovered reward Q(s, a) − γV(s′) has a pair and a successor term; a shaping γΦ(s′) − Φ(s) has a state and a
    successor term. Only a joint term makes EPIC evaluate every state with every successor. d says whether the MDP ended
    at s′. Nothing is paid after that, so the later rewards of an absorbing state belong in the pair term.

    Attributes:
        name: the name of the reward in messages.
        state, pair, successor, joint: functions of N rows, giving (N,).
        table: (N states, K actions) → (N, K), if all actions of a state cost no more time than one action. It must
            agree with `pair` and is used instead of it.
        hidden: its dependence on s′ is not to be read, as in a calibration by shaping that no reward shows.
    """

    name: str
    state: Callable[[Array], Floats] | None = None
    pair: Callable[[Array, Array], Floats] | None = None
    successor: Callable[[Array], Floats] | None = None
    joint: RewardFunction | None = None
    table: Callable[[Array, Array], Floats] | None = None
    hidden: bool = False

    @staticmethod
    def of(name: str, reward: RewardFunction | RewardTerms) -> RewardTerms:
        """The terms of a reward: a plain function is one joint term."""
        return reward if isinstance(reward, RewardTerms) else RewardTerms(name, joint=reward)

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Floats:
        """The reward of N transitions, (N,) float64. Raises ValueError unless every term gives N finite numbers."""
        return (
            self.of_state(observations)
            + self.of_pair(observations, actions)
            + np.where(terminated, 0.0, self.of_successor(next_observations))
            + self.of_joint(observations, actions, next_observations, terminated)
        )

    def of_state(self, observations: Array) -> Floats:
        """The state term of each row, (N,)."""
        return _zeros(observations) if self.state is None else self._chunked(self.state, observations)

    def of_pair(self, observations: Array, actions: Array) -> Floats:
        """The pair term of each row, (N,)."""
        return _zeros(observations) if self.pair is None else self._chunked(self.pair, observations, actions)

    def of_successor(self, next_observations: Array) -> Floats:
        """The successor term of each row, (N,), as if no MDP had ended."""
        return _zeros(next_observations) if self.successor is None else self._chunked(self.successor, next_observations)

    def of_joint(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Floats:
        """The joint term of each row, (N,)."""
        if self.joint is None:
            return _zeros(observations)
        return self._chunked(self.joint, observations, actions, next_observations, terminated)

    def potential(self, gamma: float, references: tuple[Array, Array] | None) -> Potential | None:
        """Φ of the shaping γΦ(s′) − Φ(s) that the reward shows in its dependence on s′: successor(s′)/γ.

        For a recovered reward Q(s, a) − γV(s′) it is −V, up to rounding. Of a plain function it is the mean over the
        references (s, a), K of each, of r(s, a, s′)/γ: the potential of every r = g(s, a) + γΦ(s′) up to a constant.
        Taking out any function of the state as shaping is valid; this one takes out what can be seen without a fit.

        None if the reward does not depend on s′, if γ = 0, if a plain function has no references, or if `hidden`.
        """
        if self.hidden or gamma == 0 or (self.successor is None and (self.joint is None or references is None)):
            return None

        def function(observations: Array) -> Floats:
            values = self.of_successor(observations)
            if self.joint is not None and references is not None:
                values = values + self._mean_over(references, observations)
            return values / gamma

        if self.joint is not None and references is not None:
            probe = function(references[0])
            if np.ptp(probe) <= SPREAD * max(float(np.abs(probe).max()), np.finfo(np.float64).tiny):
                return None
        return function

    def _mean_over(self, references: tuple[Array, Array], successors: Array) -> Floats:
        """The mean joint term over K pairs (s, a) at each successor, as if no MDP had ended, (N,)."""
        count, going = len(successors), np.zeros(len(successors), dtype=bool)
        total = np.zeros(count)
        for state, action in zip(*references, strict=True):
            states, actions = (np.broadcast_to(x, (count, *np.shape(x))) for x in (state, action))
            total += self.of_joint(states, actions, successors, going)
        return total / len(references[0])

    def pair_table(self, observations: Array, actions: Array) -> Floats:
        """The pair term of every state with every action, (N, K)."""
        count, choices = len(observations), len(actions)
        if self.table is not None:
            return self._checked(self.table(observations, actions), (count, choices))
        if self.pair is None:
            return np.zeros((count, choices))
        return np.concatenate(
            [
                self.of_pair(np.repeat(rows, choices, axis=0), _tiled(actions, len(rows))).reshape(-1, choices)
                for rows in _pieces(observations, choices * (row_bytes(observations) + row_bytes(actions)))
            ]
        )

    def joint_table(self, observations: Array, actions: Array, successors: Array) -> Floats:
        """The joint term of every state with each of K pairs (action, successor), (N, K), as if no MDP had ended."""
        if self.joint is None:
            return np.zeros((len(observations), len(actions)))
        width = len(actions) * (2 * row_bytes(observations) + row_bytes(actions) + 1)
        return np.concatenate(
            [
                self.of_joint(
                    np.repeat(rows, len(actions), axis=0),
                    _tiled(actions, len(rows)),
                    _tiled(successors, len(rows)),
                    np.zeros(len(rows) * len(actions), dtype=bool),
                ).reshape(len(rows), -1)
                for rows in _pieces(observations, width)
            ]
        )

    def _chunked(self, function: Callable[..., Any], *arrays: Array) -> Floats:
        """`function` on pieces of at most `CHUNK_BYTES`, checked."""
        size = max(1, CHUNK_BYTES // sum(row_bytes(a) for a in arrays))
        count = len(arrays[0])
        parts = [
            self._checked(function(*(a[i : i + size] for a in arrays)), (min(size, count - i),), first=i)
            for i in range(0, count, size)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _checked(self, values: object, shape: tuple[int, ...], *, first: int = 0) -> Floats:
        array = np.asarray(values)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"The reward '{self.name}' must give real numbers; got dtype {array.dtype}.")
        if array.shape != shape:
            raise ValueError(
                f"The reward '{self.name}' must give one number a transition, shape {shape}; got shape {array.shape}."
            )
        result: Floats = array.astype(np.float64, copy=False)
        bad = ~np.isfinite(result)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            where = first + index[0] if len(index) == 1 else index
            raise ValueError(
                f"The reward '{self.name}' must be finite; it is {result[index]} at index {where} of the transitions "
                f"it was evaluated on ({int(bad.sum())} such in all). Measures also evaluate transitions that are not "
                "in the data: bound its inputs, or choose states and actions for which it is defined."
            )
        return result


def state_features(
    rows: Array, *, size: int = 256, seed: int = 0, count: int | None = None
) -> Callable[[Array], Floats]:
    """φ(s), (N, p): indicators of discrete states; of continuous ones polynomials and random tanh units.

    The columns of continuous states are 1, the standardised state, its products (if `size` has room for all), and tanh
    units whose weights are normal with variance 1/k, for k dimensions, so that they represent smooth potentials well.
    The first columns are a set of features by themselves.

    Args:
        rows: observations (N, ...) by which states are standardised.
        size: p of continuous states; never more than a quarter of the rows.
        seed: the seed of the units.
        count: the number of discrete states; default the largest + 1.
    """
    standardised = Standardised.by(rows, count=count)
    if standardised.count is not None:
        return standardised
    dimensions = len(standardised.mean)
    left = max(0, min(size, len(rows) // 4) - 1 - dimensions)
    products = np.triu_indices(dimensions) if dimensions * (dimensions + 1) // 2 <= left else (np.zeros(0, int),) * 2
    units = left - len(products[0])
    rng = np.random.default_rng(seed)
    weights, biases = rng.normal(size=(dimensions, units)) / np.sqrt(max(dimensions, 1)), rng.normal(size=units)

    def features(observations: Array) -> Floats:
        x = standardised(observations)
        squares = x[:, products[0]] * x[:, products[1]]
        return np.concatenate([np.ones((len(x), 1)), x, squares, np.tanh(x @ weights + biases)], axis=1)

    return features


def random_network(
    rows: Array, *, seed: int, hidden: int = 64, deviation: float = 1.0, count: int | None = None
) -> Callable[[Array], Floats]:
    """A random function of rows (N, ...), (N,): a network with two layers of tanh units on the standardised rows.

    Weights and biases of a layer with k inputs are uniform in ±1/√k, as in PyTorch. The output has mean 0 and the
    given standard deviation on `rows`.
    """
    standardised = Standardised.by(rows, count=count)
    rng = np.random.default_rng(seed)
    sizes = (standardised(rows[:1]).shape[1], hidden, hidden, 1)
    layers = [_uniform_layer(a, b, rng) for a, b in pairwise(sizes)]

    def raw(x: Array) -> Floats:
        values = standardised(x)
        for weights, biases in layers[:-1]:
            values = np.tanh(values @ weights + biases)
        return np.asarray((values @ layers[-1][0])[:, 0])

    values = raw(rows)
    mean, spread = float(values.mean()), float(values.std()) or 1.0
    return lambda x: (raw(x) - mean) * (deviation / spread)


def _uniform_layer(inputs: int, outputs: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    bound = 1 / np.sqrt(max(inputs, 1))
    return rng.uniform(-bound, bound, (inputs, outputs)), rng.uniform(-bound, bound, outputs)


@dataclass(frozen=True)
class Standardised:
    """Observations (N, ...) as (N, k) of mean 0 and standard deviation 1; integers as indicators of `count` values.

    Attributes:
        count: the number of discrete observations; None if they are not discrete.
        mean, deviation: (k,).
    """

    count: int | None
    mean: Floats
    deviation: Floats

    @staticmethod
    def by(rows: Array, *, count: int | None = None) -> Standardised:
        """By the mean and deviation of these rows; one-dimensional integers are discrete (`count`: largest + 1)."""
        if rows.ndim == 1 and np.issubdtype(rows.dtype, np.integer):
            return Standardised(int(rows.max()) + 1 if count is None else count, np.zeros(0), np.zeros(0))
        flat = rows.reshape(len(rows), -1).astype(np.float64)
        mean, deviation = flat.mean(axis=0), flat.std(axis=0)
        varies = deviation > SPREAD * np.maximum(np.abs(mean), 1)
        return Standardised(None, mean, np.where(varies, deviation, np.inf))

    def __call__(self, rows: Array) -> Floats:
        if self.count is not None:
            indicators: Floats = np.eye(self.count)[rows]
            return indicators
        scaled: Floats = (rows.reshape(len(rows), -1).astype(np.float64) - self.mean) / self.deviation
        return scaled


def row_bytes(rows: Array) -> int:
    """The size of one row, in bytes."""
    return rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))


def _pieces(rows: Array, width: int) -> list[Array]:
    """`rows` in pieces whose queries, `width` bytes a row, stay within `CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // width)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _tiled(rows: Array, times: int) -> Array:
    return np.tile(rows, (times,) + (1,) * (rows.ndim - 1))


def _zeros(rows: Array) -> Floats:
    return np.zeros(len(rows))
