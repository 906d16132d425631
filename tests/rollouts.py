"""Transitions of a policy in an environment, recorded for tests; of the library it uses only the data type."""

import numpy as np

from irl_probe import Transitions


def rollout(env, episodes, *, steps=1000, seed=0, policy=None):
    """`episodes` episodes of at most `steps` steps, by `policy(observation)` or by random actions."""
    env.action_space.seed(seed)
    rows = []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed + episode)
        for step in range(1, steps + 1):
            action = env.action_space.sample() if policy is None else policy(observation)
            successor, reward, terminated, truncated, _ = env.step(action)
            cut = (truncated or step == steps) and not terminated
            rows.append((observation, action, successor, terminated, cut, episode, reward))
            observation = successor
            if terminated or cut:
                break
    return Transitions(*(np.array(column) for column in zip(*rows, strict=True)))


def gentle(env, seed=0):
    """A policy of random actions of a tenth of the allowed size, so that no velocity in locomotion tasks is clipped."""
    rng = np.random.default_rng(seed)
    low, high = env.action_space.low, env.action_space.high
    return lambda observation: (0.1 * rng.uniform(low, high)).astype(np.float32)
