"""Paired rollouts of the policy d_A: what each step's own action gains over an action of d_A in the next h steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irl_probe._types import Array, Bools, Floats, Ints
from irl_probe.metrics.checks import check_gamma
from irl_probe.metrics.draws import ALL_ACTIONS, Actions, Dynamics, check_draws
from irl_probe.metrics.terms import RewardFunction, RewardTerms
from irl_probe.transitions import Transitions

TAIL = 0.02  # a rollout without a fitted value ends when γᵗ falls below this


@dataclass(frozen=True)
class Rollouts:
    """K groups of rollouts from each of N steps. Make it with `roll_out`.

    Attributes:
        steps: the N steps.
        names: of the n rewards.
        paid: (n, N, K), Σ_{t<h} γᵗR_t of the rollout that starts with the step's own action, less the mean of those
            that start with actions of d_A.
        last: (N, K, 1 + J, ...), where the rollouts are after h steps, the step's own first.
        ended: (N, K, 1 + J), whether the MDP ended on the way.
        discount: γʰ.
        complete: whether γʰ is below 2 %, so that what comes later is left out.
    """

    steps: Transitions
    names: tuple[str, ...]
    paid: Floats
    last: Array
    ended: Bools
    discount: float
    complete: bool


def rollout_length(gamma: float) -> int:
    """The number of steps after which γᵗ is below 2 %."""
    return 1 if gamma == 0 else max(1, math.ceil(math.log(TAIL) / math.log(gamma)))


def roll_out(
    rewards: Mapping[str, RewardFunction | RewardTerms],
    steps: Transitions,
    gamma: float,
    dynamics: Dynamics,
    *,
    actions: Actions,
    horizon: int | None = None,
    rollouts: int = 16,
    seed: int = 0,
) -> Rollouts:
    """Discounted sums of h rewards under π = d_A, from which advantages Q^π(s, a) − E_A[Q^π(s, A)] are made.

    A group of rollouts starts at s: one with the step's action a, another with A ~ d_A (all actions, if they are at
    most six). From then on all take the same random actions, so that most of their noise cancels. A rollout ends with
    the MDP or after h steps.

    The cost is N·K·(2, or 1 + the number of actions)·h simulated steps, with N steps and K groups.

    Args:
        rewards: name → reward.
        steps: N steps.
        gamma: γ in [0, 1).
        dynamics: a step of the environment.
        actions: d_A: all actions, or a function (n, rng) → (n, ...).
        horizon: h; default until γᵗ is below 2 % (390 steps at γ = .99), and never more.
        rollouts: K, at least 2. Where one group has no chance in it (one step, known dynamics, all actions) it is 1.
        seed: of the actions.

    Raises ValueError for γ out of bounds, or fewer than 2 rollouts.
    """
    gamma = check_gamma(gamma)
    longest = rollout_length(gamma)
    horizon = longest if horizon is None else min(horizon, longest)
    every = not callable(actions) and len(actions) <= ALL_ACTIONS
    if every and dynamics.deterministic and horizon == 1:
        rollouts = 1
    else:
        check_draws(rollouts)
    rng = np.random.default_rng(seed)
    states, first = _first(steps, actions, rollouts, rng)  # (N·K, 1 + J, ...)
    terms = [RewardTerms.of(name, reward) for name, reward in rewards.items()]
    paid, last, ended = _follow(states, first, terms, gamma, horizon, dynamics, actions, rng)
    shape = (len(steps), rollouts, first.shape[1])
    paid = paid.reshape(len(terms), *shape)
    return Rollouts(
        steps=steps,
        names=tuple(rewards),
        paid=gained(paid),
        last=last.reshape(*shape, *last.shape[1:]),
        ended=ended.reshape(shape),
        discount=gamma**horizon,
        complete=horizon == longest,
    )


def gained(values: Floats) -> Floats:
    """The first of the last axis less the mean of the others."""
    difference: Floats = values[..., 0] - values[..., 1:].mean(axis=-1)
    return difference


def _first(steps: Transitions, actions: Actions, rollouts: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """States (N·K, ...), and the first actions at each (N·K, 1 + J, ...): the step's own, then those of d_A."""
    states, own = (np.repeat(x, rollouts, axis=0) for x in (steps.observations, steps.actions))
    if callable(actions):
        others = actions(len(states), rng)[:, None]
    elif len(actions) > ALL_ACTIONS:
        others = actions[rng.integers(len(actions), size=len(states))][:, None]
    else:
        others = np.broadcast_to(actions, (len(states), *actions.shape))
    return states, np.concatenate([own[:, None], others.astype(own.dtype)], axis=1)


def _follow(
    states: Array,
    first: Array,
    rewards: Sequence[RewardTerms],
    gamma: float,
    horizon: int,
    dynamics: Dynamics,
    actions: Actions,
    rng: np.random.Generator,
) -> tuple[Floats, Array, Bools]:
    """Discounted sums of the rewards (n, N·K·J), the last states, and whether the MDP ended."""
    width = first.shape[1]
    group: Ints = np.repeat(np.arange(len(states)), width)  # rollouts of a group share their later actions
    last, taken = np.repeat(states, width, axis=0), first.reshape(-1, *first.shape[2:])
    alive = np.arange(len(last))
    total, over = np.zeros((len(rewards), len(last))), np.zeros(len(last), dtype=bool)
    for t in range(horizon):
        now = last[alive]
        after, ended = dynamics.step(now, taken)
        ended = np.asarray(ended, dtype=bool)
        for row, reward in enumerate(rewards):
            total[row, alive] += gamma**t * reward(now, taken, after, ended)
        last[alive], over[alive] = after, ended
        alive = alive[~ended]
        if not len(alive):
            break
        common = (
            actions(len(states), rng) if callable(actions) else actions[rng.integers(len(actions), size=len(states))]
        )
        taken = common.astype(first.dtype)[group[alive]]
    return total, last, over
