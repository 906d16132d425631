"""Environments by name."""

from __future__ import annotations

import difflib
from typing import Any

import gymnasium as gym

from irl_probe.configs import check_kind
from irl_probe.envs.changes import changed, split_variant_id
from irl_probe.envs.tabular import TabularEnv, gridworld

Env = gym.Env[Any, Any]

# The packages of an environment's module, and the extra that installs them.
_EXTRAS = {"box2d": "box2d", "mujoco": "mujoco", "point_maze": "mujoco"}
_OURS: dict[str, dict[str, Any]] = {
    "PointMaze-v0": {"entry_point": "irl_probe.envs.point_maze:PointMaze", "max_episode_steps": 100},
    "Ant27-v5": {
        "entry_point": "gymnasium.envs.mujoco.ant_v5:AntEnv",
        "max_episode_steps": 1000,
        "kwargs": {"include_cfrc_ext_in_observation": False},
    },
}
for _name, _options in _OURS.items():
    if _name not in gym.registry:
        gym.register(_name, **_options)


def make_env(env_id: str, **kwargs: Any) -> Env:
    """The environment called `env_id`: "GridWorld" (`gridworld` in a `TabularEnv`) or anything Gymnasium knows.

    "Hopper-v5[mass=2]" is one with changed dynamics; see `irl_probe.variants`. "PointMaze-v0" is our own maze, and
    "Ant27-v5" is Ant-v5 with its 27 observations of position and velocity alone, without the contact forces.

    Keyword arguments go to the environment: `make_env("Ant-v5", healthy_reward=0.1)`. GridWorld takes those of
    `gridworld` and `horizon` (steps to truncation).

    Raises TypeError for what is no name, ValueError where no environment has it (with the nearest names), ImportError
    where the packages that it needs are not installed (with the extra to install).
    """
    check_kind(env_id, str, "The name of an environment", "Give one such as 'CartPole-v1'.")
    if (variant := split_variant_id(env_id)) is not None:
        base, parameter, factor = variant
        return changed(make_env(base, **kwargs), parameter, factor)
    if env_id == "GridWorld":
        horizon = {"horizon": kwargs.pop("horizon")} if "horizon" in kwargs else {}
        return TabularEnv(gridworld(**kwargs), **horizon)
    if env_id not in gym.registry and ":" not in env_id:  # "module:Env-v0" registers itself as it is made
        raise ValueError(_unknown(env_id))
    try:
        return gym.make(env_id, **kwargs)
    except gym.error.DependencyNotInstalled as error:
        raise ImportError(_missing_packages(env_id, error)) from error


def env_name(env: Env) -> str:
    """The id under which the environment is registered, or the name of its class."""
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


def _missing_packages(env_id: str, error: Exception) -> str:
    entry = str(gym.registry[env_id].entry_point) if env_id in gym.registry else ""
    extra = next((extra for part, extra in _EXTRAS.items() if part in entry), None)
    remedy = f"Install them with: pip install 'irl_probe[{extra}]'." if extra else "Install what the message names."
    return f"{env_id} needs packages that are not installed ({error}). {remedy}"


def _unknown(env_id: str) -> str:
    known = ["GridWorld", *gym.registry]
    lowered = {name.lower(): name for name in known}
    near = [lowered[name] for name in difflib.get_close_matches(env_id.lower(), lowered, n=3, cutoff=0.6)]
    hint = f"Did you mean {' or '.join(near)}?" if near else "See gymnasium.pprint_registry() for what there is."
    return f"An environment must be GridWorld or one that Gymnasium has registered; got {env_id!r}. {hint}"
