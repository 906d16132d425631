"""What tells a reward or a policy from another: so that what was made with the one is not taken for the other's."""

from __future__ import annotations

import hashlib
from typing import Any

import gymnasium as gym
import numpy as np

from irl_probe.demos import record_demos
from irl_probe.learn import Policy, random_policy
from irl_probe.rewards import DistilledReward, RecoveredReward, Reward, evaluate_reward, reward_id
from irl_probe.transitions import Transitions

Env = gym.Env[Any, Any]
EPISODES, STEPS = 20, 50


def reward_fingerprint(reward: Reward, env: Env) -> str:
    """Of a recovered or distilled reward its id; of any other function its values on random steps in `env`.

    Two functions that differ only where random actions do not come are not told apart.
    """
    if isinstance(reward, RecoveredReward | DistilledReward):
        return reward_id(reward)
    return _digest(evaluate_reward(reward, _random_steps(env), name=type(reward).__name__))


def policy_fingerprint(policy: Policy, env: Env) -> str:
    """A policy's most likely actions in the states of random steps in `env`."""
    return _digest(policy(_random_steps(env).observations, True))


def _random_steps(env: Env) -> Transitions:
    policy = random_policy(env.action_space)
    return record_demos(policy, env, EPISODES, seed=0, epsilon=1.0, time_limit=STEPS).transitions


def _digest(values: np.ndarray[Any, Any]) -> str:
    """Of five digits of each: the last ones differ between machines."""
    text = " ".join(f"{value:.5g}" for value in np.asarray(values, dtype=float).ravel() + 0.0)  # -0 is 0
    return hashlib.sha256(text.encode()).hexdigest()[:16]
