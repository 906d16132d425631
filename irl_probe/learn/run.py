"""A finished run: the learned soft Q-function and a record of how it was learned."""

from __future__ import annotations

import copy
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from irl_probe._plain import to_own_actions, to_plain_actions, to_plain_observations
from irl_probe._types import Array
from irl_probe.learn.config import ResolvedIQ, ResolvedRL
from irl_probe.softq.functions import SoftQ


@dataclass(frozen=True, eq=False)
class Run:
    """What `train` returns.

    Attributes:
        soft_q: the learned soft Q-function.
        config: every setting that was used, of learning from demonstrations or from a reward.
        terminal_value: value of the absorbing state; 0 with the convention `zero`.
        history: logged figures and evaluations by step. return_mean is the true return, for evaluation only.
        env_id: the environment learned in or named by the demonstrations, or None.
        observation_space, action_space: the environment's.
        provenance: what it was learned from and how, as plain strings and numbers.
    """

    soft_q: SoftQ
    config: ResolvedIQ | ResolvedRL
    terminal_value: float
    history: xr.Dataset
    env_id: str | None
    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]
    provenance: Mapping[str, str | float | int]

    def __copy__(self) -> Run:
        return copy.deepcopy(self)  # a run is a value: no copy shares its weights

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (N, …) in the environment's units for observations (N, …): the mode, or a draw from π with `rng`.

        Observations of a Dict or Tuple space may be a mapping or tuple of its parts, N rows each, or flat (N, width).
        """
        plain = self.soft_q.policy(self._observations(observations), deterministic, rng=rng)
        return to_own_actions(self.action_space, plain)

    def q(self, observations: Array, actions: Array) -> NDArray[np.float64]:
        """Q(s, a), (N,). Raises ValueError for discrete actions that the environment does not have."""
        space, given = self.action_space, np.asarray(actions)
        last = int(space.start + space.n - 1) if isinstance(space, gym.spaces.Discrete) else 0
        if isinstance(space, gym.spaces.Discrete) and not np.isin(given, np.arange(space.start, last + 1)).all():
            raise ValueError(
                f"The actions of {space} are counted from {space.start} to {last}; got {reprlib.repr(actions)}."
            )
        return self.soft_q.q(self._observations(observations), to_plain_actions(space, given))

    def value(self, observations: Array) -> NDArray[np.float64]:
        """Soft value V(s), (N,)."""
        return self.soft_q.value(self._observations(observations))

    def _observations(self, given: Any) -> Array:
        """Observations as networks see them."""
        plain = to_plain_observations(self.observation_space, given)
        _check_finite(plain)
        return plain


def _check_finite(observations: Array) -> None:
    if not np.isfinite(observations).all():
        raise ValueError(
            f"Observations must be finite; got {reprlib.repr(observations)}. Find out where NaN or infinity comes from."
        )


def history_dataset(rows: list[dict[str, float]]) -> xr.Dataset:
    """Logged rows as a dataset over `step`; NaN where a figure was not logged at that step."""
    steps = sorted({int(row["step"]) for row in rows})
    names = sorted({name for row in rows for name in row if name != "step"})
    position = {step: i for i, step in enumerate(steps)}
    columns = {name: np.full(len(steps), np.nan) for name in names}
    for row in rows:
        for name, value in row.items():
            if name != "step":
                columns[name][position[int(row["step"])]] = value
    return xr.Dataset({name: ("step", values) for name, values in columns.items()}, coords={"step": steps})
