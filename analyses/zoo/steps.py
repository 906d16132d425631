"""The steps that shipped rewards are distilled and compared on, and random ones that learners use beside their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import gymnasium as gym
import numpy as np

import irl_probe as ip

Maker = Callable[[], gym.Env]
HOLD = (5, 20, 100)  # number of steps for which a random action is held


def clone(demos: ip.Demonstrations, maker: Maker) -> ip.learn.Policy:
    """Behavioural cloning of the demonstrations."""
    env = maker()
    # `maker` may set options that change the spaces.
    here = replace(demos, observation_space=env.observation_space, action_space=env.action_space)
    env.close()
    return ip.train(here, ip.IQConfig(objective="bc"), progress=False).policy


def coverages(demos: ip.Demonstrations, policy: ip.learn.Policy, maker: Maker) -> dict[str, ip.Transitions]:
    """The demonstrations, random steps, and steps of a policy with more and more random actions."""
    env = maker()
    random = ip.record_demos(ip.learn.random_policy(env.action_space), env, 20, seed=1)
    mixture = ip.pipeline.noisy_rollouts(policy, env)
    env.close()
    return {"expert": demos.transitions, "random": random.transitions, "mixture": mixture}


def held_actions(maker: Maker) -> ip.Transitions:
    """Episodes of random actions that are held for 5, 20 or 100 steps, which reach poses that other noise does not."""
    episodes, env = [], maker()
    for hold in HOLD:
        rng = np.random.default_rng(5000 + hold)
        for episode in range(4):
            steps, ended = [], False
            observation, _ = env.reset(seed=5000 + episode)
            while not ended:
                if len(steps) % hold == 0:
                    action = rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
                successor, _, terminated, truncated, _ = env.step(action)
                steps.append((observation, action, successor, terminated, truncated))
                observation, ended = successor, terminated or truncated
            episodes.append(ip.Transitions(*map(np.array, zip(*steps, strict=True)), np.zeros(len(steps), int)))
    env.close()
    return ip.Transitions.concatenate(episodes)
