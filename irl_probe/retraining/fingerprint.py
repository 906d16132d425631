"""What tells a reward, a policy or an environment from another, so that no result is taken for another one's."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

from irl_probe.demos import record_demos
from irl_probe.learn import Policy, random_policy
from irl_probe.rewards import DistilledReward, RecoveredReward, Reward, RewardError, evaluate_reward, reward_id
from irl_probe.transitions import Transitions

Env = gym.Env[Any, Any]
Fingerprint = str | list[float]
EPISODES, STEPS = 20, 20  # short: what a machine rounds differently grows from step to step


def reward_fingerprint(reward: Reward, env: Env) -> Fingerprint:
    """Of a recovered or distilled reward its id; of another function what its values on random steps in `env` come to.

    Two functions that differ only where random actions do not come are not told apart.
    """
    if isinstance(reward, RecoveredReward | DistilledReward):
        try:
            return reward_id(reward)
        except RewardError:  # one that cannot be saved, with an expectation of the user's own
            pass
    return _summary(evaluate_reward(reward, _random_steps(env), name=type(reward).__name__))


def policy_fingerprint(policy: Policy, env: Env) -> Fingerprint:
    """What its most likely actions come to, in the states of random steps in `env`."""
    return _summary(policy(_random_steps(env).observations, True))


def environment_fingerprint(env: Env) -> dict[str, Fingerprint]:
    """What the successors and the rewards of random steps in `env` come to."""
    steps = _random_steps(env)
    assert steps.rewards is not None
    return {"successors": _summary(steps.next_observations), "rewards": _summary(steps.rewards)}


def _random_steps(env: Env) -> Transitions:
    policy = random_policy(env.action_space)
    return record_demos(policy, env, EPISODES, seed=0, epsilon=1.0, time_limit=STEPS).transitions


def _summary(values: ArrayLike) -> list[float]:
    """Mean, standard deviation and two weighted means, which a list in another order does not share."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    waves = [np.cos(rate * np.arange(len(flat))) for rate in (1.0, 0.1)]
    return [float(flat.mean()), float(flat.std()), *(float((wave * flat).mean()) for wave in waves)]
