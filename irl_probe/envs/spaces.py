"""The spaces that the project supports."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from irl_probe.envs.make import Env, env_name

_REMEDIES = {
    "observation": "Wrap the environment, with gymnasium.wrappers.FlattenObservation for observations made of parts.",
    "action": "Encode the actions as one Discrete, or as a Box of floats, with gymnasium.wrappers.TransformAction.",
}


def check_spaces(env: Env) -> None:
    """Check that the project supports the environment's spaces.

    Observations: a Box of any shape (networks flatten it) or Discrete. Actions: Discrete, or a Box of floats with
    finite bounds, low < high in each component. Discrete spaces count from 0, and a Box holds at least one number.

    Raises ValueError that says which space does not fit and what to do.
    """
    if not isinstance(env, gym.Env):
        raise TypeError(f"An environment must be a Gymnasium id or a gymnasium.Env; got {env!r}.")
    name = env_name(env)
    for role, space in (("observation", env.observation_space), ("action", env.action_space)):
        if isinstance(space, spaces.Discrete):
            _check_discrete(space, f"The {role} space of {name}")
        elif isinstance(space, spaces.Box):
            _check_size(space, f"The {role} space of {name}")
        else:
            raise ValueError(f"The {role} space of {name} must be a Box or Discrete; got {space}. {_REMEDIES[role]}")
    if isinstance(env.observation_space, spaces.Box):
        _check_observations(env.observation_space, name)
    if isinstance(env.action_space, spaces.Box):
        _check_actions(env.action_space, name)


def check_unwrapped_spaces(env: Env) -> None:
    """Check that no wrapper changes the spaces, so that observations and actions mean what the environment says.

    Raises ValueError where one does.
    """
    base = env.unwrapped
    if env.observation_space != base.observation_space or env.action_space != base.action_space:
        raise ValueError(
            f"A wrapper of {env_name(env)} changes its observations or actions; give the environment without it."
        )


def _check_discrete(space: spaces.Discrete, what: str) -> None:
    if space.start != 0:
        raise ValueError(f"{what} must count from 0; got {space}. Wrap it to shift it by {space.start}.")


def _check_size(space: spaces.Box[Any], what: str) -> None:
    if 0 in space.shape:
        raise ValueError(f"{what} must hold at least one number; got {space}. Where there is none, use Discrete(1).")


def _check_observations(space: spaces.Box[Any], name: str) -> None:
    if space.dtype.kind not in "iuf" or space.dtype.itemsize > 8:
        raise ValueError(
            f"Observations of {name} must be whole numbers or floats of at most 64 bits; got {space}. Wrap the "
            "environment in gymnasium.wrappers.DtypeObservation(env, np.float32)."
        )


def _check_actions(space: spaces.Box[Any], name: str) -> None:
    if space.dtype.kind != "f" or space.dtype.itemsize > 8:
        cast = f"lambda a: np.{'rint(a)' if space.dtype.kind in 'iu' else 'asarray(a)'}.astype(np.{space.dtype})"
        raise ValueError(
            f"Continuous actions of {name} must be floats of at most 64 bits; got {space}. Cast them: "
            f"gymnasium.wrappers.TransformAction(env, {cast}, gymnasium.spaces.Box(low, high, {space.shape}))."
        )
    if not space.is_bounded():
        raise ValueError(
            f"Continuous actions of {name} must have finite bounds; got {space}. Choose some: "
            f"gymnasium.wrappers.TransformAction(env, lambda a: a, gymnasium.spaces.Box(-1, 1, {space.shape}))."
        )
    if fixed := [at[0] if len(at) == 1 else tuple(at) for at in np.argwhere(space.low == space.high).tolist()]:
        raise ValueError(
            f"Continuous actions of {name} must have low < high in each component; got {space}, where component "
            f"{', '.join(map(str, fixed))} cannot vary. Leave it out, and put it back in by "
            "gymnasium.wrappers.TransformAction."
        )
