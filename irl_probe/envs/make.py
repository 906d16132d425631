"""Environments by name, and the spaces that they may have."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from irl_probe._config import check_kind
from irl_probe._plain import plain_actions, plain_observations
from irl_probe._spaces import Env
from irl_probe._steps import layers, time_limit
from irl_probe._words import did_you_mean
from irl_probe.envs.changes import changed, env_name, split_variant_id
from irl_probe.envs.tabular import TabularEnv, gridworld

# A part of the name of an environment's module → the extra that installs the packages that it needs.
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
    """The environment called `env_id`: "GridWorld" (`gridworld` in a `TabularEnv`), or any that Gymnasium knows.

    "module:Env-v0" imports a module that registers it. "Hopper-v5[mass=2]" has changed dynamics; see
    `irl_probe.envs.variants`. "PointMaze-v0" is a maze of this library, and "Ant27-v5" is Ant-v5 with only its 27
    observations of position and velocity, without the contact forces.

    Keyword arguments go to the environment: `make_env("Ant-v5", healthy_reward=0.1)`. GridWorld takes those of
    `gridworld` and `horizon` (steps to truncation).

    Raises TypeError if `env_id` is not a string, ValueError if no environment has that name (with the nearest names),
    ImportError if the packages that it needs are not installed (with the extra to install).
    """
    check_kind(env_id, str, "The name of an environment", "Give one such as 'CartPole-v1'.")
    if (variant := split_variant_id(env_id)) is not None:
        base, parameter, factor = variant
        return changed(make_env(base, **kwargs), parameter, factor)
    if env_id == "GridWorld":
        horizon = {"horizon": kwargs.pop("horizon")} if "horizon" in kwargs else {}
        return TabularEnv(gridworld(**kwargs), **horizon)
    if env_id not in gym.registry and ":" not in env_id:  # "module:Env-v0" is registered when it is made
        raise ValueError(_unknown(env_id))
    try:
        return gym.make(env_id, **kwargs)
    except gym.error.DependencyNotInstalled as error:
        raise ImportError(_missing_packages(env_id, error)) from error


def check_spaces(env: Env) -> None:
    """Check that irl_probe supports the spaces of the environment.

    Observations: a Box of any shape (networks flatten it), Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of
    these. Actions: Discrete, a MultiDiscrete or MultiBinary with at most 512 combinations, or a Box of floats with
    finite bounds, low < high in each component. A Box holds at least one number.

    Raises ValueError, which says which space does not fit and what to do, and TypeError for anything that is not an
    environment.
    """
    if not isinstance(env, gym.Env):
        raise TypeError(f"An environment must be a Gymnasium id or a gymnasium.Env; got {env!r}.")
    name = env_name(env)
    for role, space, plain in (
        ("observation", env.observation_space, plain_observations),
        ("action", env.action_space, plain_actions),
    ):
        try:
            found = plain(space)
        except ValueError as error:
            raise ValueError(f"The {role} space of {name} is not supported. {error}") from error
        if isinstance(found, spaces.Box):
            _check_size(found, f"The {role} space of {name}")
            if role == "observation":
                _check_observations(found, name)
    if isinstance(env.action_space, spaces.Box):
        _check_actions(env.action_space, name)


_SHOWS_ONLY = ("rendering.RecordVideo", "rendering.HumanRendering", "rendering.RenderCollection")
_KEEPS_STEPS = ("TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics", "Autoreset")
SHOWS_ONLY = frozenset(f"gymnasium.wrappers.{name}" for name in _SHOWS_ONLY)
"""Wrappers that only draw or record pictures."""
KEEPS_STEPS = SHOWS_ONLY | {f"gymnasium.wrappers.common.{name}" for name in _KEEPS_STEPS}
"""Wrappers that change neither s′ nor the reward of a step."""
TRANSFORMS_REWARD = frozenset(
    f"gymnasium.wrappers.transform_reward.{name}" for name in ("TransformReward", "ClipReward")
)
"""Wrappers whose reward is a function of the reward inside them: `layer.reward(r)`."""
PAYS_ANOTHER = "irl_probe.rewards.wrappers.RewardWrapper"
"""The wrapper that pays another reward: the true one and the dynamics stay those of the environment inside it."""


def path_of(env: Env) -> str:
    """The import path of the class of an environment or a wrapper."""
    return f"{type(env).__module__}.{type(env).__qualname__}"


_NOT_COMPARED = SHOWS_ONLY | {
    f"gymnasium.wrappers.common.{name}" for name in ("OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics")
}


def env_record(env: Env) -> dict[str, Any]:
    """What says that an environment is the same when a run continues: time limit, arguments, wrappers; plain values.

    Arguments that JSON cannot hold are left out, and so are wrappers that draw, record or check.
    """
    given = {} if env.spec is None else env.spec.kwargs
    around = [layer for layer in layers(env) if isinstance(layer, gym.Wrapper)]
    return {
        "time limit": time_limit(env),
        "arguments": {name: value for name, value in given.items() if name != "render_mode" and _is_plain(value)},
        "wrappers": [type(layer).__name__ for layer in around if path_of(layer) not in _NOT_COMPARED],
    }


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def check_wrappers(env: Env, *, but: frozenset[str] = frozenset()) -> None:
    """Check that no wrapper changes a step, so that one of the environment inside all of them is the same.

    `but` names wrappers that the caller takes into account.

    Raises ValueError, which names the wrapper, where one may change observations, actions, rewards or dynamics, and
    where a `step` was set on an object.
    """
    for layer in layers(env):
        if "step" in vars(layer):
            raise ValueError(
                f"Steps are computed by the class of {env_name(env)}, and this one has a 'step' of its own, set on "
                f"{type(layer).__name__}. Write a subclass instead; recorded rewards and successors work with both."
            )
        if isinstance(layer, gym.Wrapper) and path_of(layer) not in KEEPS_STEPS | {PAYS_ANOTHER} | but:
            spaces_kept = (layer.observation_space, layer.action_space) == (
                layer.env.observation_space,
                layer.env.action_space,
            )
            what = (
                "may change its observations, actions or rewards"
                if spaces_kept
                else "changes its observations or actions"
            )
            raise ValueError(
                f"Steps are computed without wrappers, and a wrapper of {env_name(env)} {what}: "
                f"{type(layer).__name__}. Give the environment without it, if it does not matter; else use "
                "recorded rewards and successors."
            )


def _missing_packages(env_id: str, error: Exception) -> str:
    entry = str(gym.registry[env_id].entry_point) if env_id in gym.registry else ""
    extra = next((extra for part, extra in _EXTRAS.items() if part in entry), None)
    remedy = f"Install them with: pip install 'irl_probe[{extra}]'." if extra else "Install what the brackets name."
    return f"{env_id} needs packages that are not installed ({error}). {remedy}"


def _unknown(env_id: str) -> str:
    known = ["GridWorld", *gym.registry]
    hint = did_you_mean(env_id, known, most=3) or " gymnasium.pprint_registry() lists them."
    own = f"If a module of yours registers it, import it first, or name it too: 'module:{env_id}'."
    return f"An environment must be GridWorld or one that Gymnasium has registered; got {env_id!r}.{hint} {own}"


def _check_size(space: spaces.Box[Any], what: str) -> None:
    if 0 in space.shape:
        raise ValueError(f"{what} must hold at least one number; got {space}. If there is none, use Discrete(1).")


def _check_observations(space: spaces.Box[Any], name: str) -> None:
    if space.dtype.kind not in "iuf" or space.dtype.itemsize > 8:
        raise ValueError(
            f"Observations of {name} must be whole numbers or floats of at most 64 bits; got {space}. Wrap the "
            "environment in gymnasium.wrappers.DtypeObservation(env, np.float32)."
        )


def _check_actions(space: spaces.Box[Any], name: str) -> None:
    if not space.is_bounded():
        raise ValueError(
            f"Continuous actions of {name} must have finite bounds; got {space}. Choose some: "
            f"gymnasium.wrappers.TransformAction(env, lambda a: a, gymnasium.spaces.Box(-1, 1, {space.shape}))."
        )
    if fixed := [at[0] if len(at) == 1 else tuple(at) for at in np.argwhere(space.low == space.high).tolist()]:
        raise ValueError(
            f"Continuous actions of {name} must have low < high in each component; got {space}, where component "
            f"{', '.join(map(str, fixed))} cannot vary. Leave it out, and let gymnasium.wrappers.TransformAction put "
            "it back."
        )
