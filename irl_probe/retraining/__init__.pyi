from .config import RetrainConfig, RetrainStudyConfig
from .engines import SB3Run, retrain, retrain_sb3
from .study import retrain_study

__all__ = ["RetrainConfig", "RetrainStudyConfig", "SB3Run", "retrain", "retrain_sb3", "retrain_study"]
