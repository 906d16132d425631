from . import (
    comparison,
    demos,
    envs,
    judgement,
    learn,
    metrics,
    pipeline,
    report,
    results,
    retraining,
    rewards,
    softq,
    transfers,
)
from .comparison import CompareConfig, compare
from .demos import DemoError, Demonstrations, load_demos, record_demos, save_demos
from .envs import true_reward
from .learn import IQConfig, RLConfig, Run, evaluate, load_run, train
from .pipeline import coverages, probe
from .report import plots, write_report
from .retraining import RetrainConfig, retrain
from .rewards import (
    DistilConfig,
    RewardError,
    RewardWrapper,
    distil,
    load_reward,
    push_reward,
    recover,
    save_reward,
    zoo,
)
from .transfers import transfer
from .transitions import Transitions

__version__: str

__all__ = [
    "CompareConfig",
    "DemoError",
    "Demonstrations",
    "DistilConfig",
    "IQConfig",
    "RLConfig",
    "RetrainConfig",
    "RewardError",
    "RewardWrapper",
    "Run",
    "Transitions",
    "__version__",
    "compare",
    "comparison",
    "coverages",
    "demos",
    "distil",
    "envs",
    "evaluate",
    "judgement",
    "learn",
    "load_demos",
    "load_reward",
    "load_run",
    "metrics",
    "pipeline",
    "plots",
    "probe",
    "push_reward",
    "record_demos",
    "recover",
    "report",
    "results",
    "retrain",
    "retraining",
    "rewards",
    "save_demos",
    "save_reward",
    "softq",
    "train",
    "transfer",
    "transfers",
    "true_reward",
    "write_report",
    "zoo",
]
