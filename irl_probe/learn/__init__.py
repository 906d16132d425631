"""Learning: objectives, engines and the loop around them."""

from irl_probe.learn.checkpoints import CheckpointError
from irl_probe.learn.config import IQConfig
from irl_probe.learn.evaluation import Evaluation, Policy, evaluate, random_policy
from irl_probe.learn.loop import TrainingDiverged, TrainingInterrupted
from irl_probe.learn.run import Run
from irl_probe.learn.training import load_run, train, train_on_reward

__all__ = [
    "CheckpointError",
    "Evaluation",
    "IQConfig",
    "Policy",
    "Run",
    "TrainingDiverged",
    "TrainingInterrupted",
    "evaluate",
    "load_run",
    "random_policy",
    "train",
    "train_on_reward",
]
