"""A reward as a sum of terms that depend on less than a whole transition: what makes its canonical forms cheap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from irl_probe.metrics.checks import Array

Batch = NDArray[np.generic]
Bools = NDArray[np.bool_]

# Bytes of the arrays that one call of a reward is given: no query batch is larger, however many samples are asked for.
CHUNK_BYTES = 1 << 25


class RewardFunction(Protocol):
    """r(s, a, s′, terminated) of N transitions at once, (N,), in reward units per environment step."""

    def __call__(
        self, observations: Batch, actions: Batch, next_observations: Batch, terminated: Bools, /
    ) -> NDArray[np.floating[Any]]: ...


@dataclass(frozen=True)
class RewardTerms:
    """r(s, a, s′, d) = state(s) + pair(s, a) + (1 − d)·successor(s′) + joint(s, a, s′, d); a term left out is 0.

    A recovered reward Q(s, a) − γV(s′) has a pair and a successor term, a shaping γΦ(s′) − Φ(s) a state and a successor
    term. Only a joint term makes EPIC ask for every state with every successor. d is whether the MDP ended at s′:
    afterwards nothing is paid, so what an absorbing state would go on paying belongs into the pair term.

    Attributes:
        name: what messages call the reward.
        state, pair, successor, joint: functions of N rows each, giving (N,).
        table: (N states, K actions) → (N, K), where all actions of a state cost no more than one; it must agree with
            `pair`, and is used in its place.
    """

    name: str
    state: Callable[[Batch], Array] | None = None
    pair: Callable[[Batch, Batch], Array] | None = None
    successor: Callable[[Batch], Array] | None = None
    joint: RewardFunction | None = None
    table: Callable[[Batch, Batch], Array] | None = None

    @staticmethod
    def of(name: str, reward: RewardFunction | RewardTerms) -> RewardTerms:
        """The reward's terms: a plain function is one joint term."""
        return reward if isinstance(reward, RewardTerms) else RewardTerms(name, joint=reward)

    def __call__(self, observations: Batch, actions: Batch, next_observations: Batch, terminated: Bools) -> Array:
        """The reward of N transitions, (N,) float64. Raises ValueError as the single terms do."""
        return (
            self.of_state(observations)
            + self.of_pair(observations, actions)
            + np.where(terminated, 0.0, self.of_successor(next_observations))
            + self.of_joint(observations, actions, next_observations, terminated)
        )

    def of_state(self, observations: Batch) -> Array:
        """The state term of each row, (N,)."""
        return _zeros(observations) if self.state is None else self._chunked(self.state, observations)

    def of_pair(self, observations: Batch, actions: Batch) -> Array:
        """The pair term of each row, (N,)."""
        return _zeros(observations) if self.pair is None else self._chunked(self.pair, observations, actions)

    def of_successor(self, next_observations: Batch) -> Array:
        """The successor term of each row, (N,), as if no MDP had ended."""
        return _zeros(next_observations) if self.successor is None else self._chunked(self.successor, next_observations)

    def of_joint(self, observations: Batch, actions: Batch, next_observations: Batch, terminated: Bools) -> Array:
        """The joint term of each row, (N,)."""
        if self.joint is None:
            return _zeros(observations)
        return self._chunked(self.joint, observations, actions, next_observations, terminated)

    def pair_table(self, observations: Batch, actions: Batch) -> Array:
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

    def joint_table(self, observations: Batch, actions: Batch, successors: Batch) -> Array:
        """The joint term of every state with every (action, successor) of K, (N, K); nothing ended."""
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

    def _chunked(self, function: Callable[..., Any], *arrays: Batch) -> Array:
        """`function` on pieces of at most `CHUNK_BYTES`, checked."""
        size = max(1, CHUNK_BYTES // sum(row_bytes(a) for a in arrays))
        count = len(arrays[0])
        parts = [
            self._checked(function(*(a[i : i + size] for a in arrays)), (min(size, count - i),), first=i)
            for i in range(0, count, size)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _checked(self, values: object, shape: tuple[int, ...], *, first: int = 0) -> Array:
        array = np.asarray(values)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"The reward '{self.name}' must give real numbers; got dtype {array.dtype}.")
        if array.shape != shape:
            raise ValueError(
                f"The reward '{self.name}' must give one number a transition, shape {shape}; got shape {array.shape}."
            )
        result: Array = array.astype(np.float64, copy=False)
        bad = ~np.isfinite(result)
        if bad.any():
            index = tuple(int(i) for i in np.argwhere(bad)[0])
            where = first + index[0] if len(index) == 1 else index
            raise ValueError(
                f"The reward '{self.name}' must be finite; it is {result[index]} at index {where} of the transitions "
                f"it was asked for ({int(bad.sum())} such in all). Measures ask also for transitions that are not in "
                "the data: bound its inputs, or choose states and actions that it can answer."
            )
        return result


def row_bytes(rows: Batch) -> int:
    """Bytes of one row."""
    return rows.dtype.itemsize * int(np.prod(rows.shape[1:], dtype=np.int64))


def _pieces(rows: Batch, width: int) -> list[Batch]:
    """`rows` in pieces whose queries, `width` bytes a row, stay within `CHUNK_BYTES`."""
    size = max(1, CHUNK_BYTES // width)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _tiled(rows: Batch, times: int) -> Batch:
    return np.tile(rows, (times,) + (1,) * (rows.ndim - 1))


def _zeros(rows: Batch) -> Array:
    return np.zeros(len(rows))
