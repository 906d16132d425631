"""The batch that a network-backed reward is called with, checked against what its network takes."""

from __future__ import annotations

import math

import numpy as np

from irl_probe.networks import NetworkSpec
from irl_probe.rewards.errors import RewardError
from irl_probe.transitions import Array


def check_batch(spec: NetworkSpec, observations: Array, actions: Array, next_observations: Array) -> None:
    """Raise RewardError unless observations and actions are N rows of what a network of shape `spec` takes.

    A discrete one is a whole number from 0 to below its count: NumPy would count −1 from the end and cut .7 to 0.
    """
    for name, rows in (("observations", observations), ("next observations", next_observations)):
        if spec.observation_count is not None:
            _check_indices(name, rows, spec.observation_count)
        else:
            _check_rows(name, rows, math.prod(spec.observation_shape), str(tuple(spec.observation_shape)))
    if spec.action_count is not None:
        _check_indices("actions", actions, spec.action_count)
    else:
        dimensions = len(spec.action_low or ())
        _check_rows("actions", actions, dimensions, f"({dimensions},)")


def _check_rows(name: str, rows: Array, size: int, shape: str) -> None:
    if rows.ndim < 1 or math.prod(rows.shape[1:]) != size:
        raise RewardError(
            f"The {name} of a batch must be N rows of shape {shape}, as its Q-function takes; got an array "
            f"of shape {rows.shape}. Give transitions of the environment that the reward was learned in."
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
