"""Rewards on the draws: everything that DARD, VAL, Minimal and the decomposition need to know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from irl_probe.metrics.checks import Array
from irl_probe.metrics.draws import Draws
from irl_probe.metrics.terms import RewardFunction, RewardTerms


@dataclass(frozen=True)
class Evaluations:
    """n rewards on the same draws (see `Draws` for N, L, J, L′).

    Attributes:
        names: the rewards'.
        own: (n, N, L′), R(s, a, S′).
        policy: (n, N), the mean of R(s, A, S′) over A ~ d_A.
        dard: (n, N, L), one draw each of DARD's canonical form, as if nothing ended.
        scale: (n,) largest |R(s, a, s′)|.
    """

    names: tuple[str, ...]
    own: Array
    policy: Array
    dard: Array
    scale: Array

    def __add__(self, other: Evaluations) -> Evaluations:
        """Those of the sums of rewards, first with first and so on: canonical forms are linear."""
        mine = (self.own, self.policy, self.dard, self.scale)
        sums = (a + b for a, b in zip(mine, (other.own, other.policy, other.dard, other.scale), strict=True))
        return Evaluations(self.names, *sums)


def evaluate_on_draws(rewards: Mapping[str, RewardFunction | RewardTerms], draws: Draws, gamma: float) -> Evaluations:
    """Every reward on every draw. Raises ValueError where one gives no finite number (it is named)."""
    found = [_evaluate(RewardTerms.of(name, reward), draws, gamma) for name, reward in rewards.items()]
    own, policy, dard = (np.stack(column) for column in zip(*found, strict=True))
    return Evaluations(tuple(rewards), own, policy, dard, np.abs(own[:, :, 0]).max(axis=1))


def _evaluate(reward: RewardTerms, draws: Draws, gamma: float) -> tuple[Array, Array, Array]:
    steps = draws.steps
    s, s2 = steps.observations, steps.next_observations
    count, length, width = draws.shape
    actions, after, beyond = (x.reshape(-1, *x.shape[3:]) for x in (draws.actions, draws.after, draws.beyond))
    from_s, from_s2 = (np.repeat(x, length * width, axis=0) for x in (s, s2))
    going = np.zeros(len(from_s), dtype=bool)
    ended = draws.after_ended.reshape(-1)

    # R(s, A, S′), its parts kept for DARD, where nothing ends.
    here = np.repeat(reward.of_state(s), length * width) + reward.of_pair(from_s, actions)
    next_term = reward.of_successor(after)
    joint_going = reward.of_joint(from_s, actions, after, going)
    joint = reward.of_joint(from_s, actions, after, ended) if ended.any() and reward.joint is not None else joint_going
    policy = (here + np.where(ended, 0.0, next_term) + joint).reshape(count, -1).mean(axis=1)

    # The successor terms of R(s′, A, S″) and R(S′, A, S″) cancel.
    first = np.repeat(reward.of_state(s2), length * width) + reward.of_pair(from_s2, actions)
    first = first + reward.of_joint(from_s2, actions, beyond, going)
    last = reward.of_state(after) + reward.of_pair(after, actions) + reward.of_joint(after, actions, beyond, going)
    terms = gamma * (first - last) - (here + next_term + joint_going)
    observed = reward(s, steps.actions, s2, np.zeros(count, dtype=bool))
    dard = observed[:, None] + terms.reshape(count, length, width).mean(axis=2)

    own = _own(reward, draws)
    return own, policy, dard


def _own(reward: RewardTerms, draws: Draws) -> Array:
    """R(s, a, S′) for every successor of the step's own state and action, (N, L′)."""
    steps, length = draws.steps, draws.own.shape[1]
    states, actions = (np.repeat(x, length, axis=0) for x in (steps.observations, steps.actions))
    successors = draws.own.reshape(-1, *draws.own.shape[2:])
    return reward(states, actions, successors, draws.own_ended.reshape(-1)).reshape(len(steps), length)
