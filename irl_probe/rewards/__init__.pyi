from .artifact import load_reward, reward_id, save_reward
from .checker import check_reward_model
from .distil_config import DistilConfig
from .distilled import DistilledReward
from .distilling import distil, distil_forms
from .dynamics import DynamicsConfig, LearnedDynamics, fit_dynamics
from .errors import RewardError
from .expectation import ExactExpectation, Expectation, ObservedSuccessor, SimulatedExpectation
from .learned_simulator import LearnedSimulator
from .model import Reward, evaluate_reward
from .models_json import RewardModel
from .normalisation import Normalisation
from .recovered import RecoveredReward, SoftQSource, recover
from .relabelling import relabel, relabel_minari
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
