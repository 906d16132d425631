"""Steps of an environment, of which nothing changes afterwards; the length of its episodes; its layers of wrappers.

Some environments write into the observation that they returned, or into the action that they are given. Every step that
this library records, replays, pays or checks is taken here, so that it is a copy made before the next one.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, SupportsFloat

import gymnasium
import numpy as np

from irl_probe._spaces import Env

LONGEST_EPISODE = 10_000  # steps of an episode that neither the environment nor the caller ends
TRUE_REWARD_KEY = "true_reward"  # in the info of a step: what the environment itself paid


class CopiedStep(NamedTuple):
    """One step: the action as it was before the step, and the results, all of them copies.

    Attributes:
        action: the action taken.
        observation: the successor s′.
        reward: what the environment paid for it.
        true_reward: the environment's own reward, which a `RewardWrapper` replaces and keeps in the info.
        terminated: whether the MDP ended.
        truncated: whether only the clock ended.
        info: the environment's.
    """

    action: Any
    observation: Any
    reward: float
    true_reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


def copied(value: Any) -> Any:
    """The same value, with no memory shared; numbers, which cannot change, are returned as they are."""
    if isinstance(value, np.ndarray):
        return np.array(value)
    return value if isinstance(value, np.generic | int | float | str) else copy.deepcopy(value)


def step_copied(env: Env, action: Any) -> CopiedStep:
    """Take `action` in `env`, which gets a copy of it and may write into that one."""
    before = copied(action)
    observation, reward, terminated, truncated, info = env.step(copied(action))
    paid = _number(reward)
    true = _number(info[TRUE_REWARD_KEY]) if TRUE_REWARD_KEY in info else paid
    return CopiedStep(before, copied(observation), paid, true, bool(terminated), bool(truncated), info)


def reset_copied(env: Env, *, seed: int | None = None) -> Any:
    """The first observation of a new episode, as a copy."""
    return copied(env.reset(seed=seed)[0])


def _number(reward: SupportsFloat | Any) -> float:
    return float(reward.item()) if isinstance(reward, np.ndarray) else float(reward)


def layers(env: Env) -> Iterator[Env]:
    """The environment, then what each wrapper wraps, down to the environment without any."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env


def time_limit(env: Env) -> int | None:
    """The steps after which the wrappers of `env` truncate an episode; None where no TimeLimit is among them."""
    limits = [each._max_episode_steps for each in layers(env) if isinstance(each, gymnasium.wrappers.TimeLimit)]
    return min(limits, default=None)


class EpisodeLimit:
    """When an episode is cut off: after `max_steps`, or, without that, after `LONGEST_EPISODE` with a warning.

    An environment in gymnasium.wrappers.TimeLimit ends its episodes by itself, however long they are.
    """

    def __init__(self, env: Env, max_steps: int | None = None) -> None:
        self._asked, self._env = max_steps is not None, env
        self.steps = max_steps if max_steps is not None else None if time_limit(env) else LONGEST_EPISODE

    def reached(self, steps: int) -> bool:
        """Whether an episode is cut off after this many steps."""
        if steps != self.steps:
            return False
        if not self._asked:
            warnings.warn(
                f"An episode of {self._env.unwrapped} was cut off after {steps} steps: the environment has no time "
                "limit, and did not end it. Give max_steps=, or wrap the environment in gymnasium.wrappers.TimeLimit.",
                stacklevel=4,
            )
        return True


def check_distinct(envs: Iterable[Env]) -> None:
    """Check that no environment is there twice, not even inside two different wrappers.

    Raises ValueError if one is.
    """
    inner = [env.unwrapped for env in envs]
    if len({id(env) for env in inner}) < len(inner):
        raise ValueError(
            "A function that makes environments must make a new one at each call; it returned the same environment "
            f"({inner[0]}) twice, so that its episodes would mix. Make it inside the function: "
            "lambda: gymnasium.make(...)."
        )
