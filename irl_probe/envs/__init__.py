"""Environments: by name, tabular ones, their true rewards, their variants, and simulators that start anywhere.

The maze and its planner are in `irl_probe.envs.point_maze`, which needs MuJoCo.
"""

from irl_probe._names import UNCHANGED
from irl_probe._plain import WithoutActionMask
from irl_probe.envs.changes import env_name
from irl_probe.envs.make import check_spaces, make_env
from irl_probe.envs.simulator import SimulatedStep, Simulator, TabularSimulator, simulator
from irl_probe.envs.tabular import ACTIONS, TabularEnv, TabularMDP, TabularPolicy, gridworld, occupancy, soft_expert
from irl_probe.envs.true_reward import TrueReward, true_reward
from irl_probe.envs.variants import Variant, variants

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
    "WithoutActionMask",
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
