"""Environments: by name, tabular and exact, their true rewards, and simulators that start from any observation."""

from irl_probe.envs.make import check_spaces, make_env
from irl_probe.envs.tabular import TabularEnv, TabularMDP, gridworld, occupancy, soft_expert

__all__ = [
    "TabularEnv",
    "TabularMDP",
    "check_spaces",
    "gridworld",
    "make_env",
    "occupancy",
    "soft_expert",
]
