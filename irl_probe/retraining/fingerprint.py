"""Fingerprints of rewards, policies and environments: they stop cached results being reused for the wrong one."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._spaces import Env
from irl_probe.demos import record_demos
from irl_probe.learn import Policy, random_policy
from irl_probe.learn.folder import differences
from irl_probe.rewards import Reward, RewardError, RewardModel, evaluate_reward
from irl_probe.transitions import Transitions

Fingerprint = str | list[float]
EPISODES, STEPS = 20, 20  # short: rounding differs between machines, and the difference grows from step to step


def reward_fingerprint(reward: Reward, env: Env) -> Fingerprint:
    """The id of a recovered or distilled reward; of another function a summary of its values on random steps in `env`.

    Two functions that differ only where random actions never lead have the same fingerprint.
    """
    if isinstance(reward, RewardModel):
        try:
            return reward.reward_id
        except RewardError:  # one that cannot be saved, with an expectation of the user's own
            pass
    return _of_random_steps(lambda steps: evaluate_reward(reward, steps, name=type(reward).__name__), env)


def policy_fingerprint(policy: Policy, env: Env) -> Fingerprint:
    """A summary of its most likely actions in the states of random steps in `env`."""
    return _of_random_steps(lambda steps: policy(steps.observations, True), env)


def environment_fingerprint(env: Env) -> dict[str, Fingerprint]:
    """A summary of the successors, and one of the rewards, of random steps in `env`."""
    columns = {"successors": "next_observations", "rewards": "rewards"}
    return {name: _of_random_steps(attrgetter(column), env) for name, column in columns.items()}


def _of_random_steps(of: Callable[[Transitions], ArrayLike], env: Env) -> list[float]:
    """The summary of `of(steps)`; empty where `env` does not repeat itself given its reset seed."""
    policy = random_policy(env.action_space)
    first, again = (
        _summary(of(record_demos(policy, env, EPISODES, seed=0, epsilon=1.0, time_limit=STEPS).transitions))
        for _ in range(2)
    )
    return [] if differences({"": first}, {"": again}) else first


def _summary(values: ArrayLike) -> list[float]:
    """Mean, standard deviation, and two weighted means that change with the order of the values."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    waves = [np.cos(rate * np.arange(len(flat))) for rate in (1.0, 0.1)]
    return [float(flat.mean()), float(flat.std()), *(float((wave * flat).mean()) for wave in waves)]
