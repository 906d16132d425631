"""Retraining by our own engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from irl_probe.configs import Config
from irl_probe.envs import make_env
from irl_probe.learn import IQConfig, Run, train_on_reward
from irl_probe.rewards import DistilledReward, RecoveredReward, Reward, RewardWrapper

Env = gym.Env[Any, Any]


@dataclass(frozen=True)
class RetrainConfig(Config):
    """How a policy is trained on a reward.

    Attributes:
        learner: of the objective `bellman`. Where its temperature is None, a recovered reward's own α and γ are taken:
            at those the soft-optimal policy of the reward is the one that it was recovered from.

    Raises ValueError for a learner of another objective.
    """

    learner: IQConfig = field(default_factory=lambda: IQConfig(objective="bellman"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learner.objective != "bellman":
            raise ValueError(f"Retraining learns from a reward: objective 'bellman'; got {self.learner.objective!r}.")


def retrain(
    reward: Reward,
    env: str | Env,
    config: RetrainConfig | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Run:
    """Train a fresh policy in `env` on `reward` alone, paid by a `RewardWrapper`; the environment's own is not read.

    Args:
        reward: any reward (observations, actions, next_observations, terminated) → (N,).
        env: the environment, or its id.
        config: see `RetrainConfig`.
        out: folder for checkpoints and logs.
        resume: go on with the run in `out`.
        progress: show a bar.

    Raises as `irl_probe.train` does.
    """
    learner = (config or RetrainConfig()).learner
    model = reward if isinstance(reward, RecoveredReward | DistilledReward) else None
    if model is not None and model.temperature is not None and learner.temperature is None:
        learner = replace(learner, temperature=model.temperature, gamma=model.gamma)
    wrapped = RewardWrapper(make_env(env) if isinstance(env, str) else env, reward)
    return train_on_reward(wrapped, learner, out=out, resume=resume, progress=progress)
