from . import zoo
from .artifact import load_reward, save_reward
from .check import check_reward_model
from .distil import distil, distil_forms
from .distil_config import DistilConfig
from .distilled import DistilledReward
from .dynamics import DynamicsConfig, LearnedDynamics, LearnedSimulator, fit_dynamics
from .expectation import ExactExpectation, Expectation, ObservedSuccessor, SimulatedExpectation
from .hub import push_reward
from .model import RewardModel
from .protocol import Normalisation, Reward, RewardError, evaluate_reward
from .recovered import RecoveredReward, SoftQSource, recover
from .relabel import relabel, relabel_minari
from .reward_network import RewardNetwork
from .sb3_env import SB3RewardVecEnv
from .wrappers import RewardWrapper, VectorRewardWrapper
from .zoo import check_zoo, copy_zoo, list_zoo, show_zoo, write_index

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
    "RewardNetwork",
    "RewardWrapper",
    "SB3RewardVecEnv",
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
    "push_reward",
    "recover",
    "relabel",
    "relabel_minari",
    "save_reward",
    "show_zoo",
    "write_index",
    "zoo",
]
