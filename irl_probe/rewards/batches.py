"""The batch that a network-backed reward is called with, checked against what its network takes."""

from __future__ import annotations

import math

import numpy as np

from irl_probe.networks import NetworkSpec
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.model import Bools
from irl_probe.transitions import Array


def check_batch(
    spec: NetworkSpec, observations: Array, actions: Array, next_observations: Array, terminated: Bools
) -> None:
    """Raise RewardError unless these are N rows each, observations and actions as a network of shape `spec` takes them.

    A discrete one is a whole number from 0 to below its count: NumPy would count −1 from the end and cut .7 to 0.
    """
    check_observations(spec, observations)
    check_observations(spec, next_observations, "next observations")
    if spec.action_count is not None:
        _check_indices("actions", actions, spec.action_count)
    else:
        _check_rows("actions", actions, (len(spec.action_low or ()),))
    count = len(observations)
    if terminated.shape != (count,) or len(actions) != count or len(next_observations) != count:
        raise RewardError(
            "A batch must have as many actions, next observations and marks of termination, shape (N,), as "
            f"observations; got {count} observations, {len(actions)} actions, {len(next_observations)} next "
            f"observations and marks of shape {terminated.shape}. Give the columns of the same transitions."
        )


def check_observations(spec: NetworkSpec, rows: Array, name: str = "observations") -> None:
    """The same of observations alone."""
    if spec.observation_count is not None:
        _check_indices(name, rows, spec.observation_count)
    else:
        _check_rows(name, rows, spec.observation_shape)


def _check_rows(name: str, rows: Array, shape: tuple[int, ...]) -> None:
    if rows.ndim and rows.shape[1:] == shape:
        return
    if not rows.ndim or math.prod(rows.shape[1:]) != math.prod(shape):
        raise RewardError(
            f"The {name} of a batch must be N rows of shape {tuple(shape)}, as the reward's network takes; got an "
            f"array of shape {rows.shape}. Give transitions of the environment that the reward was learned in."
        )


def _check_indices(name: str, rows: Array, count: int) -> None:
    if rows.ndim != 1:
        raise RewardError(
            f"The {name} of a batch must be N whole numbers, shape (N,), each in Discrete({count}); "
            f"got an array of shape {rows.shape}. Give transitions of the environment that the reward was learned in."
        )
    numbers = rows.astype(np.float64)
    bad = ~((numbers >= 0) & (numbers < count) & (numbers == np.floor(numbers)))
    if bad.any():
        row = int(np.argmax(bad))
        raise RewardError(
            f"The {name} of a batch must lie in Discrete({count}), whole numbers from 0 to {count - 1}; at transition "
            f"{row} it is {rows[row]}. Give transitions of the environment that the reward was learned in."
        )
