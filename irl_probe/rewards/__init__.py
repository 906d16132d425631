"""Reward models: recovered from a soft Q-function, saved, loaded, checked, and paid by an environment."""

from irl_probe.rewards.artifact import load_reward, reward_id, save_reward
from irl_probe.rewards.checker import check_reward_model
from irl_probe.rewards.distil import DistilConfig, distil, distil_forms
from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.dynamics import DynamicsConfig, LearnedDynamics, fit_dynamics
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.expectation import ExactExpectation, Expectation, ObservedSuccessor, SimulatedExpectation
from irl_probe.rewards.learned_simulator import LearnedSimulator
from irl_probe.rewards.model import Reward, evaluate_reward
from irl_probe.rewards.models_json import RewardModel
from irl_probe.rewards.normalisation import Normalisation
from irl_probe.rewards.recovered import RecoveredReward, SoftQSource, recover
from irl_probe.rewards.relabel import relabel, relabel_minari
from irl_probe.rewards.wrappers import RewardWrapper, VectorRewardWrapper
from irl_probe.rewards.zoo import check_zoo, copy_zoo, list_zoo, show_zoo, write_index

__all__ = [
    "DistilConfig",
    "DistilledReward",
    "DynamicsConfig",
    "ExactExpectation",
    "Expectation",
    "LearnedDynamics",
    "LearnedSimulator",
    "Normalisation",
    "ObservedSuccessor",
    "RecoveredReward",
    "Reward",
    "RewardError",
    "RewardModel",
    "RewardWrapper",
    "SimulatedExpectation",
    "SoftQSource",
    "VectorRewardWrapper",
    "check_reward_model",
    "check_zoo",
    "copy_zoo",
    "distil",
    "distil_forms",
    "evaluate_reward",
    "fit_dynamics",
    "list_zoo",
    "load_reward",
    "recover",
    "relabel",
    "relabel_minari",
    "reward_id",
    "save_reward",
    "show_zoo",
    "write_index",
]
