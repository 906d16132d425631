"""The verb retrain: fresh policies that know nothing but a reward, and what they are worth."""

from irl_probe.retraining.own import RetrainConfig, retrain
from irl_probe.retraining.stable_baselines import SB3Run, retrain_sb3
from irl_probe.retraining.study import RetrainStudyConfig, retrain_study

__all__ = ["RetrainConfig", "RetrainStudyConfig", "SB3Run", "retrain", "retrain_sb3", "retrain_study"]
