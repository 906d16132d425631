"""STARC-VAL from its definition: the advantages of the policy d_A by Monte Carlo in a simulator, without features."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from irl_probe._types import Array, Floats, Ints
from irl_probe.metrics.checks import check_gamma
from irl_probe.metrics.draws import ALL_ACTIONS, Actions, Dynamics
from irl_probe.metrics.starc import Canonical, StarcForms
from irl_probe.metrics.terms import Potential, RewardFunction, RewardTerms
from irl_probe.transitions import Transitions

TAIL = 0.02  # a rollout ends when γᵗ falls below this


def rollout_length(gamma: float) -> int:
    """The number of steps after which γᵗ is below 2 %."""
    return 1 if gamma == 0 else max(1, math.ceil(math.log(TAIL) / math.log(gamma)))


def roll_out(
    forms: StarcForms,
    rewards: Mapping[str, RewardFunction | RewardTerms],
    steps: Transitions,
    gamma: float,
    dynamics: Dynamics,
    *,
    actions: Actions,
    rollouts: int = 16,
    references: tuple[Array, Array] | None = None,
    extra: Mapping[str, RewardTerms] | None = None,
    seed: int = 0,
) -> StarcForms:
    """`forms` with VAL by rollouts: C(s, a) = Q^π(s, a) − E_A[Q^π(s, A)], π = d_A, from discounted sums of rewards.

    A rollout starts at s with the step's action a, another with A ~ d_A (all actions, if they are at most four), and
    from then on both take the same random actions, so that most of their noise cancels. It ends with the MDP or when γᵗ
    is below 2 %, so a form is wrong by at most 2 % of an advantage there. Products are of different rollouts, so they
    have no bias.

    The cost is N·K·(2, or the number of actions)·L simulated steps, with N steps, K rollouts and L up to
    ln 0.02/ln γ (390 at γ = .99).

    Args:
        forms: of the same rewards, by `starc_forms`.
        rewards: name → reward, as for `starc_forms`.
        steps: N steps of the coverage; fewer than those of `forms` where rollouts are dear.
        gamma: in [0, 1).
        dynamics: a step of the environment.
        actions: d_A: all actions, or a function (n, rng) → (n, ...).
        rollouts: K, at least 2.
        references: as for `starc_forms`; it makes the noise less and changes no expectation.
        extra: as for `starc_forms`.
        seed: of the actions.
    """
    gamma = check_gamma(gamma)
    if rollouts < 2:
        raise ValueError(f"Products without bias need at least 2 rollouts of each step; got {rollouts}.")
    terms = [*(RewardTerms.of(name, reward) for name, reward in rewards.items()), *(extra or {}).values()]
    shown: list[Potential | None] = [reward.potential(gamma, references) for reward in terms]
    rng = np.random.default_rng(seed)
    states, first = _first(steps, actions, rollouts, rng)  # (N·K·J, ...)
    width = first.shape[1]
    paid = _returns(states, first, terms, shown, gamma, dynamics, actions, rng)
    paid = paid.reshape(len(terms), len(steps), rollouts, width)
    advantage = paid[..., 0] - paid[..., 1:].mean(axis=3)
    episodes = len(np.unique(steps.episode))
    nothing = np.zeros((len(steps), rollouts, 0)), np.zeros((episodes, 0, len(terms)))
    return replace(forms, canonical=forms.canonical | {"starc_val": Canonical(steps.episode, advantage, *nothing)})


def _first(steps: Transitions, actions: Actions, rollouts: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """States (N·K, ...), and the first actions at each (N·K, J, ...): the step's own, then those of d_A."""
    states, own = (np.repeat(x, rollouts, axis=0) for x in (steps.observations, steps.actions))
    if callable(actions):
        others = actions(len(states), rng)[:, None]
    elif len(actions) > ALL_ACTIONS:
        others = actions[rng.integers(len(actions), size=len(states))][:, None]
    else:
        others = np.broadcast_to(actions, (len(states), *actions.shape))
    return states, np.concatenate([own[:, None], others.astype(own.dtype)], axis=1)


def _returns(
    states: Array,
    first: Array,
    rewards: list[RewardTerms],
    shown: list[Potential | None],
    gamma: float,
    dynamics: Dynamics,
    actions: Actions,
    rng: np.random.Generator,
) -> Floats:
    """Discounted sums of the rewards, without the potentials that they show, (n, N·K·J)."""
    width = first.shape[1]
    group: Ints = np.repeat(np.arange(len(states)), width)  # rollouts of a group share their later actions
    now, taken = np.repeat(states, width, axis=0), first.reshape(-1, *first.shape[2:])
    alive = np.arange(len(now))
    total = np.zeros((len(rewards), len(now)))
    for t in range(rollout_length(gamma)):
        after, ended = dynamics.step(now, taken)
        ended = np.asarray(ended, dtype=bool)
        for row, (reward, potential) in enumerate(zip(rewards, shown, strict=True)):
            paid = reward(now, taken, after, ended)
            if potential is not None:
                paid = paid - (gamma * np.where(ended, 0.0, potential(after)) - potential(now))
            total[row, alive] += gamma**t * paid
        alive, now = alive[~ended], after[~ended]
        if not len(alive):
            break
        common = (
            actions(len(states), rng) if callable(actions) else actions[rng.integers(len(actions), size=len(states))]
        )
        taken = common.astype(first.dtype)[group[alive]]
    return total
