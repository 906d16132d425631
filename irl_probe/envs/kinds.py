"""Which environment an environment is, whatever its wrappers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym


def kind(env: gym.Env[Any, Any]) -> str:
    """The module of the environment, "cartpole", "hopper_v5" or our "point_maze"; elsewhere its class's full path."""
    module = type(env.unwrapped).__module__
    if module.startswith(("gymnasium.envs.", "irl_probe.envs.")):
        return module.rpartition(".")[2]
    return f"{module}.{type(env.unwrapped).__qualname__}"
