"""Environments: by name, tabular and exact, their true rewards, and simulators that start from any observation."""

from irl_probe.envs.make import check_spaces, env_name, make_env
from irl_probe.envs.simulator import SimulatedStep, Simulator, TabularSimulator, simulator
from irl_probe.envs.tabular import ACTIONS, TabularEnv, TabularMDP, TabularPolicy, gridworld, occupancy, soft_expert
from irl_probe.envs.true_reward import TrueReward, true_reward
from irl_probe.envs.variants import UNCHANGED, Variant, variants

__all__ = [
    "ACTIONS",
    "UNCHANGED",
    "SimulatedStep",
    "Simulator",
    "TabularEnv",
    "TabularMDP",
    "TabularPolicy",
    "TabularSimulator",
    "TrueReward",
    "Variant",
    "check_spaces",
    "env_name",
    "gridworld",
    "make_env",
    "occupancy",
    "simulator",
    "soft_expert",
    "true_reward",
    "variants",
]
