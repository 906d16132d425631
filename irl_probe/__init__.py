"""Learn a soft Q-function from demonstrations, read out the reward it implies, and say what that reward is worth."""

from irl_probe.comparison import CompareConfig, compare
from irl_probe.demos import Demonstrations, check_demos, load_demos, record_demos, save_demos
from irl_probe.envs import Variant, gridworld, make_env, simulator, true_reward, variants
from irl_probe.learn import Evaluation, IQConfig, Run, evaluate, load_run, random_policy, train, train_on_reward
from irl_probe.pipeline import Probe, ProbeConfig, probe
from irl_probe.report import write_report
from irl_probe.results import (
    average_runs,
    load_results,
    merge_results,
    reward_figures,
    save_results,
    stack_runs,
    to_dataframe,
    to_latex,
    to_markdown,
)
from irl_probe.retraining import RetrainConfig, RetrainStudyConfig, retrain, retrain_sb3, retrain_study
from irl_probe.rewards import (
    DistilConfig,
    DistilledReward,
    RecoveredReward,
    RewardWrapper,
    VectorRewardWrapper,
    check_reward_model,
    distil,
    distil_forms,
    list_zoo,
    load_reward,
    recover,
    save_reward,
    show_zoo,
    write_index,
)
from irl_probe.softq import ContinuousSoftQ, DiscreteSoftQ
from irl_probe.transitions import Transitions
from irl_probe.verdicts import verdicts

__all__ = [
    "CompareConfig",
    "ContinuousSoftQ",
    "Demonstrations",
    "DiscreteSoftQ",
    "DistilConfig",
    "DistilledReward",
    "Evaluation",
    "IQConfig",
    "Probe",
    "ProbeConfig",
    "RecoveredReward",
    "RetrainConfig",
    "RetrainStudyConfig",
    "RewardWrapper",
    "Run",
    "Transitions",
    "Variant",
    "VectorRewardWrapper",
    "average_runs",
    "check_demos",
    "check_reward_model",
    "compare",
    "distil",
    "distil_forms",
    "evaluate",
    "gridworld",
    "list_zoo",
    "load_demos",
    "load_results",
    "load_reward",
    "load_run",
    "make_env",
    "merge_results",
    "probe",
    "random_policy",
    "record_demos",
    "recover",
    "retrain",
    "retrain_sb3",
    "retrain_study",
    "reward_figures",
    "save_demos",
    "save_results",
    "save_reward",
    "show_zoo",
    "simulator",
    "stack_runs",
    "to_dataframe",
    "to_latex",
    "to_markdown",
    "train",
    "train_on_reward",
    "true_reward",
    "variants",
    "verdicts",
    "write_index",
    "write_report",
]
