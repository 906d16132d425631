from .config import IQConfig, ResolvedIQ, ResolvedRL, RLConfig
from .evaluation import Evaluation, Policy, evaluate, random_policy
from .folder import CheckpointError, TrainingDiverged, TrainingInterrupted
from .run import Run
from .training import load_run, train, train_on_reward

__all__ = [
    "CheckpointError",
    "Evaluation",
    "IQConfig",
    "Policy",
    "RLConfig",
    "ResolvedIQ",
    "ResolvedRL",
    "Run",
    "TrainingDiverged",
    "TrainingInterrupted",
    "evaluate",
    "load_run",
    "random_policy",
    "train",
    "train_on_reward",
]
