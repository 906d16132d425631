"""What tells a reward, a policy or an environment from another, so that no result is taken for another one's."""

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
EPISODES, STEPS = 20, 20  # short: what a machine rounds differently grows from step to step


def reward_fingerprint(reward: Reward, env: Env) -> Fingerprint:
    """Of a recovered or distilled reward its id; of another function what its values on random steps in `env` come to.

    Two functions that differ only where random actions do not come are not told apart.
    """
    if isinstance(reward, RewardModel):
        try:
            return reward.reward_id
        except RewardError:  # one that cannot be saved, with an expectation of the user's own
            pass
    return _of_random_steps(lambda steps: evaluate_reward(reward, steps, name=type(reward).__name__), env)


def policy_fingerprint(policy: Policy, env: Env) -> Fingerprint:
    """What its most likely actions come to, in the states of random steps in `env`."""
    return _of_random_steps(lambda steps: policy(steps.observations, True), env)


def environment_fingerprint(env: Env) -> dict[str, Fingerprint]:
    """What the successors and the rewards of random steps in `env` come to."""
    columns = {"successors": "next_observations", "rewards": "rewards"}
    return {name: _of_random_steps(attrgetter(column), env) for name, column in columns.items()}


def _of_random_steps(of: Callable[[Transitions], ArrayLike], env: Env) -> list[float]:
    """The summary of what `of` makes of them; empty where `env` does not repeat itself given its reset seed."""
    policy = random_policy(env.action_space)
    first, again = (
        _summary(of(record_demos(policy, env, EPISODES, seed=0, epsilon=1.0, time_limit=STEPS).transitions))
        for _ in range(2)
    )
    return [] if differences({"": first}, {"": again}) else first


def _summary(values: ArrayLike) -> list[float]:
    """Mean, standard deviation and two weighted means, which a list in another order does not share."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    waves = [np.cos(rate * np.arange(len(flat))) for rate in (1.0, 0.1)]
    return [float(flat.mean()), float(flat.std()), *(float((wave * flat).mean()) for wave in waves)]
