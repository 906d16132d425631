"""Retraining by our own engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from irl_probe.configs import check_kind
from irl_probe.envs import make_env
from irl_probe.learn import Run, train_on_reward
from irl_probe.retraining.config import RetrainConfig
from irl_probe.retraining.fingerprint import reward_fingerprint
from irl_probe.rewards import DistilledReward, RecoveredReward, Reward, RewardWrapper

Env = gym.Env[Any, Any]


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
        resume: go on with the run in `out`, if it is of this reward.
        progress: show a bar.

    Raises as `irl_probe.train` does.
    """
    config = RetrainConfig() if config is None else config
    check_kind(config, RetrainConfig, "The config of retrain", "Of an IQConfig: RetrainConfig(learner).")
    learner = config.learner
    model = reward if isinstance(reward, RecoveredReward | DistilledReward) else None
    if model is not None and model.temperature is not None and learner.temperature is None:
        learner = replace(learner, temperature=model.temperature, gamma=model.gamma)
    live = make_env(env) if isinstance(env, str) else env
    note = None if out is None else {"reward": reward_fingerprint(reward, live)}
    wrapped = RewardWrapper(live, reward)
    return train_on_reward(wrapped, learner, out=out, resume=resume, progress=progress, note=note)
