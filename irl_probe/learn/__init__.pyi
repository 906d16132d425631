from .config import IQConfig, ResolvedIQ, ResolvedRL, RLConfig
from .continuous import SoftActorCritic
from .discrete import SoftQLearner
from .evaluation import Evaluation, Policy, evaluate, random_policy
from .exact import solve_exactly
from .folder import CheckpointError, TrainingDiverged, TrainingInterrupted
from .replay import Batch, Replay
from .run import Run
from .training import load_run, train, train_on_reward

__all__ = [
    "Batch",
    "CheckpointError",
    "Evaluation",
    "IQConfig",
    "Policy",
    "RLConfig",
    "Replay",
    "ResolvedIQ",
    "ResolvedRL",
    "Run",
    "SoftActorCritic",
    "SoftQLearner",
    "TrainingDiverged",
    "TrainingInterrupted",
    "evaluate",
    "load_run",
    "random_policy",
    "solve_exactly",
    "train",
    "train_on_reward",
]
