"""Learning: objectives, engines and the loop around them."""

from irl_probe.learn.checkpoints import CheckpointError
from irl_probe.learn.config import IQConfig
from irl_probe.learn.evaluation import Evaluation, evaluate, random_policy
from irl_probe.learn.loop import TrainingDiverged, TrainingInterrupted
from irl_probe.learn.run import Run
from irl_probe.learn.training import train, train_on_reward

__all__ = [
    "CheckpointError",
    "Evaluation",
    "IQConfig",
    "Run",
    "TrainingDiverged",
    "TrainingInterrupted",
    "evaluate",
    "random_policy",
    "train",
    "train_on_reward",
]
