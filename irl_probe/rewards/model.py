"""What a reward is: any callable of a batch of transitions, and how its answer is checked."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irl_probe.rewards.errors import RewardError
from irl_probe.transitions import Array, Transitions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Reward(Protocol):
    """r(s, a, s′, terminated) of N transitions at once: (N,) float64, in reward units per environment step.

    The arguments are shaped like those of `Transitions` and are given by position, as imitation does with its reward
    functions, so that theirs work here and ours work there. A plain function qualifies.
    """

    def __call__(
        self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /
    ) -> Floats: ...


def evaluate_reward(reward: Reward, transitions: Transitions, *, name: str) -> Floats:
    """The reward of every transition, (N,) float64, checked.

    Args:
        reward: what to evaluate.
        transitions: N steps; their true rewards are not shown to `reward`.
        name: what messages call the reward.

    Raises RewardError that names the reward unless it gives one finite real number a transition.
    """
    t = transitions
    return check_values(reward(t.observations, t.actions, t.next_observations, t.terminated), len(t), name=name)


def check_callable(reward: Reward) -> None:
    """Raise RewardError for what cannot be called as a reward is, such as its name."""
    if not callable(reward):
        raise RewardError(
            "A reward must be a function reward(observations, actions, next_observations, terminated); "
            f"got {reward!r}. A saved one is read by irl_probe.load_reward."
        )


def check_values(values: object, count: int, *, name: str) -> Floats:
    """`values` as (count,) float64. Raises RewardError unless they are `count` finite real numbers."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise RewardError(
            f"The reward {name!r} must give real numbers; got dtype {array.dtype}. Convert it to float64."
        )
    if array.shape != (count,):
        hint = "Flatten them with .reshape(-1)." if array.size == count else "It is called once with the whole batch."
        raise RewardError(
            f"The reward {name!r} must give one number a transition, shape ({count},); got shape {array.shape}. {hint}"
        )
    result = array.astype(np.float64, copy=False)
    if not math.isfinite(result.sum()):  # one pass for most; a sum that overflows is looked at again
        bad = ~np.isfinite(result)
        if not bad.any():
            return result
        row = int(np.argmax(bad))
        raise RewardError(
            f"The reward {name!r} must be finite; at transition {row} it is {result[row]} "
            f"({int(bad.sum())} of {count} are not finite). Look at that transition's observation and action."
        )
    return result
