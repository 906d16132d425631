"""The one data type that all parts of the library use: steps of an environment in time order."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from irl_probe._config import check_count
from irl_probe._types import Array, Bools, Floats, Ints, flags, plain

_NUMBERS = ("observations", "actions", "next_observations", "rewards")


@dataclass(frozen=True)
class Transitions:
    """N steps (s, a, s′) in time order, one episode after the other.

    Attributes:
        observations: (N, *obs_shape), or (N,) int64 for a discrete observation space.
        actions: (N, *action_shape) in the environment's units; (N,) int64 when discrete.
        next_observations: like observations; the true successor, never the observation after a reset.
        terminated: (N,) bool; the MDP ended here, so that V(s′) = 0 by default.
        truncated: (N,) bool; only the clock ended, so that V(s′) still counts.
        episode: (N,) int64; the same number within an episode, and each episode is one contiguous block.
        rewards: (N,) true rewards per step, or None. They are for evaluation only: no learner reads them.

    The first row of an episode is its true first step, also after `subsample`.

    Arrays are held in this machine's byte order, and observations and next observations in one dtype that holds both.

    Raises ValueError if lengths or shapes differ, if an array has masked entries, if an observation, action or reward
    is NaN or infinite (the message names the episode and step), if a mark is neither true nor false, if an episode
    number is not whole, if a step is both terminated and truncated, if an episode goes on after its end, or if there
    are no steps.
    """

    observations: Array
    actions: Array
    next_observations: Array
    terminated: Bools
    truncated: Bools
    episode: Ints
    rewards: Array | None = None

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: plain(value, name) for name, value in given.items() if value is not None}
        for name in ("terminated", "truncated"):
            arrays[name] = flags(arrays[name], name)
        arrays["episode"] = _labels(arrays["episode"])
        for name in _NUMBERS:
            if name in arrays and arrays[name].dtype.kind not in "iuf":
                raise ValueError(f"'{name}' must be real numbers; got dtype {arrays[name].dtype}.")
        kinds = {arrays[name].dtype for name in ("observations", "next_observations")}
        if len(kinds) > 1:  # such as whole numbers from a reset before fractions from a step
            for name in ("observations", "next_observations"):
                arrays[name] = arrays[name].astype(np.result_type(*kinds))
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        self._check_shapes()
        self._check_finite()
        self._check_episodes()

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def starts(self) -> Ints:
        """Row of each episode's first step, (E,)."""
        changes = np.flatnonzero(np.diff(self.episode)) + 1
        return np.concatenate([[0], changes]).astype(np.int64)

    @property
    def lengths(self) -> Ints:
        """Number of rows of each episode, (E,)."""
        return np.diff(np.append(self.starts, len(self)))

    @property
    def contiguous(self) -> bool:
        """Whether the successor of every step is the next row of its episode; False if steps were left out."""
        inner = np.ones(len(self) - 1, dtype=bool)
        inner[self.starts[1:] - 1] = False
        return bool(np.array_equal(self.next_observations[:-1][inner], self.observations[1:][inner]))

    def returns(self) -> Floats:
        """Undiscounted true return of each episode, (E,).

        Raises ValueError if there are no rewards, or if steps were left out, so that the sum is not the return.
        """
        if self.rewards is None:
            raise ValueError(
                "Returns need the true rewards, and these transitions have none; record them with "
                "record_demos, or load a file that has a 'rewards' array."
            )
        if not self.contiguous:
            raise ValueError(
                "A return is the sum over a whole episode, and steps were left out of these transitions (subsample); "
                "compute the returns before subsampling."
            )
        return np.add.reduceat(self.rewards.astype(np.float64), self.starts)

    def rows(self, index: NDArray[np.integer] | Bools) -> Transitions:
        """The steps at `index` (rows or a mask), in that order."""
        rewards = None if self.rewards is None else self.rewards[index]
        return Transitions(
            self.observations[index],
            self.actions[index],
            self.next_observations[index],
            self.terminated[index],
            self.truncated[index],
            self.episode[index],
            rewards,
        )

    def episodes(self, selection: int | Sequence[int]) -> Transitions:
        """The first `selection` episodes, or those whose positions are listed.

        Raises ValueError if the selection is not such a number or list, or names an episode that does not exist.
        """
        blocks = np.split(np.arange(len(self)), self.starts[1:])
        return self.rows(np.concatenate([blocks[p] for p in self.positions(selection)]))

    def positions(self, selection: int | Sequence[int]) -> list[int]:
        """The positions of the first `selection` episodes, or those listed. Raises like `episodes`."""
        count = len(self.starts)
        listed = selection.tolist() if isinstance(selection, np.ndarray | np.integer) else selection
        chosen = range(listed) if isinstance(listed, int) else listed
        if (
            not isinstance(chosen, Sequence)
            or not chosen
            or not all(isinstance(p, Integral) and 0 <= p < count for p in chosen)
        ):
            raise ValueError(
                f"There are {count} episodes. Choose a number of them, from the first, or a list of positions from 0 "
                f"to {count - 1}; got {reprlib.repr(selection)}."
            )
        return [int(p) for p in chosen]

    def subsample(self, every: int) -> Transitions:
        """Every `every`-th step of each episode, from its first one, and each episode's terminal step.

        Each of these steps keeps its true successor s′ (t + 1, not t + every), so that r(s, a, s′) is still right.

        Raises ValueError unless `every` is at least 1.
        """
        check_count(every, 1, "Subsampling keeps every k-th step; k")
        step = np.arange(len(self)) - np.repeat(self.starts, self.lengths)
        return self.rows((step % every == 0) | self.terminated)

    def content_hash(self) -> str:
        """SHA-256 over the names, shapes, types and bytes of all arrays, as hexadecimal digits."""
        digest = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                digest.update(f"{field.name} {value.dtype.str} {value.shape}\n".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    @staticmethod
    def concatenate(parts: Iterable[Transitions]) -> Transitions:
        """All parts one after the other, with new episode numbers; rewards only if every part has them."""
        parts = list(parts)
        if not parts:
            raise ValueError("There must be at least one part to concatenate; got none.")
        lengths = np.concatenate([p.lengths for p in parts])
        rewards = [p.rewards for p in parts if p.rewards is not None]
        return Transitions(
            np.concatenate([p.observations for p in parts]),
            np.concatenate([p.actions for p in parts]),
            np.concatenate([p.next_observations for p in parts]),
            np.concatenate([p.terminated for p in parts]),
            np.concatenate([p.truncated for p in parts]),
            np.repeat(np.arange(len(lengths)), lengths),
            np.concatenate(rewards) if len(rewards) == len(parts) else None,
        )

    def _check_shapes(self) -> None:
        if self.observations.ndim == 0 or len(self.observations) == 0:
            raise ValueError("Transitions must hold at least one step; got none.")
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and (value.ndim == 0 or len(value) != len(self)):
                raise ValueError(
                    f"Every array must have one row a step: observations have {len(self)}, "
                    f"'{field.name}' has shape {value.shape}."
                )
        if self.next_observations.shape != self.observations.shape:
            raise ValueError(
                f"next_observations must have the shape of observations, {self.observations.shape}; "
                f"got {self.next_observations.shape}."
            )
        for name in ("terminated", "truncated", "episode", "rewards"):
            value = getattr(self, name)
            if value is not None and value.ndim != 1:
                raise ValueError(f"'{name}' must be one number a step, shape ({len(self)},); got {value.shape}.")

    def _check_finite(self) -> None:
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is None or value.dtype.kind != "f":
                continue
            bad = ~np.isfinite(value).reshape(len(self), -1).all(axis=1)
            if bad.any():
                row = int(np.argmax(bad))
                step = row - int(self.starts[self.starts <= row][-1])
                raise ValueError(
                    f"'{name}' must be finite; episode {self.episode[row]}, step {step} holds {value[row]} "
                    f"({int(bad.sum())} such steps in all). Leave that episode out or repair the file."
                )

    def _check_episodes(self) -> None:
        labels = self.episode[self.starts]
        if len(np.unique(labels)) != len(labels):
            raise ValueError(
                "Each episode must be one contiguous block of rows; an episode number occurs again after another one."
            )
        done = self.terminated | self.truncated
        last = np.zeros(len(self), dtype=bool)
        last[np.append(self.starts[1:], len(self)) - 1] = True
        if (done & ~last).any():
            row = int(np.argmax(done & ~last))
            raise ValueError(
                f"An episode must stop where it terminates or is truncated; episode {self.episode[row]} goes on "
                f"after row {row}. Give the steps after it a new episode number."
            )
        if (self.terminated & self.truncated).any():
            row = int(np.argmax(self.terminated & self.truncated))
            raise ValueError(
                f"A step is terminated (the MDP ended) or truncated (the clock ended), not both; row {row} is both. "
                "Gymnasium's rule: terminated wins."
            )


def _labels(values: Array) -> Ints:
    if values.dtype.kind not in "iu" and not (values.dtype.kind == "f" and (values == np.floor(values)).all()):
        raise ValueError(
            f"'episode' must hold whole numbers, the same within an episode; got dtype {values.dtype}. "
            "For other labels use np.unique(labels, return_inverse=True)[1]."
        )
    return values.astype(np.int64, copy=False)
