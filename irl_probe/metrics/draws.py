"""Successors from the environment's dynamics, for the canonical forms that use them; drawn once for all rewards.

`draw_successors` draws those of each step's own action, `follow` those of the policy that draws its actions from d_A.
`paired` multiplies means over draws without bias, and `off_support` gives the share of queries that are far from the
data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from irl_probe._types import Array, Bools, Floats, Ints
from irl_probe.metrics.terms import Standardised
from irl_probe.transitions import Transitions

Step = Callable[[Array, Array], tuple[Array, Bools]]
"""(observations (N, ...), actions (N, ...)) → (successors (N, ...), whether the MDP ended there (N,))."""

Actions = Array | Callable[[int, np.random.Generator], Array]
"""d_A: all actions of a discrete space (A,), or a function (n, rng) → (n, ...) that draws n actions."""

ALL_ACTIONS = 6  # up to this many discrete actions are all followed at each state, so that means over d_A are exact


ROUNDS = 200  # parallel steps of `follow`: fewer would cut its chains short, more would make each step small


@dataclass(frozen=True)
class Dynamics:
    """How the expectation over s′ is taken: a step from any state and action.

    Attributes:
        name: the name in results: "simulator", "learned model", ...
        step: draws one successor for each row.
        deterministic: whether the successor is a function of (s, a), so that one draw is the exact expectation.
    """

    name: str
    step: Step
    deterministic: bool


@dataclass(frozen=True)
class Successors:
    """N steps with L successors of each one's own (s, a), the observed one first. Make it with `draw_successors`.

    L = 1 means that the dynamics are deterministic, so that means over the successor can be multiplied directly.
    Otherwise products are of different draws, which have no bias (`paired`).

    Attributes:
        steps: the N steps.
        after: (N, L, ...).
        ended: whether the MDP ended there, (N, L).
    """

    steps: Transitions
    after: Array
    ended: Bools


def draw_successors(steps: Transitions, dynamics: Dynamics, *, draws: int = 4) -> Successors:
    """The observed successor of each step and, if the dynamics are random, `draws` − 1 more of the same (s, a).

    Raises ValueError if `draws` is below 2 and the dynamics are random.
    """
    after, ended = steps.next_observations[:, None], steps.terminated[:, None]
    if dynamics.deterministic:
        return Successors(steps, after, ended)
    check_draws(draws)
    again = (np.repeat(x, draws - 1, axis=0) for x in (steps.observations, steps.actions))
    drawn, drawn_ended = dynamics.step(*again)
    shape = (len(steps), draws - 1)
    return Successors(
        steps,
        np.concatenate([after, drawn.reshape(*shape, *after.shape[2:])], axis=1),
        np.concatenate([ended, np.asarray(drawn_ended, dtype=bool).reshape(shape)], axis=1),
    )


def check_draws(draws: int) -> None:
    """Raise ValueError below two draws, which double sampling needs."""
    if draws < 2:
        raise ValueError(
            f"Unbiased products of means need at least 2 draws of what is random (double sampling); got {draws}."
        )


@dataclass(frozen=True)
class PolicySteps:
    """M simulated steps of the policy that draws its actions from d_A. Make it with `follow`.

    Attributes:
        observations: (M, ...).
        actions: (M, J, ...): all actions, or the one that was drawn.
        after: the successor of each of them, (M, J, ...).
        ended: whether the MDP ended there, (M, J).
        chain: (M,) which chain of consecutive steps each belongs to; not sorted.
        time: (M,) steps since the start of the chain.
        episode: (M,) the episode of the observed step that the chain starts from.
    """

    observations: Array
    actions: Array
    after: Array
    ended: Bools
    chain: Ints
    time: Ints
    episode: Ints


def follow(
    steps: Transitions, dynamics: Dynamics, gamma: float, *, actions: Actions, count: int, seed: int
) -> PolicySteps:
    """About `count` steps of the policy d_A, in chains that start at observed states and successors.

    A chain ends with the MDP, and after each step with probability 1 − γ. So its steps have the discounted occupancy of
    the policy from these starts, and a value fitted to them by temporal differences is stable: E_d[φ(φ − γφ′)ᵀ] is at
    least (1 − √γ)E_d[φφᵀ].

    Args:
        steps: observed steps, whose states and successors are the starts, in random order.
        dynamics: a step of the environment, or of a model of it.
        gamma: γ in [0, 1).
        actions: all actions of a discrete space, or a function (n, rng) → (n, ...). Up to six discrete actions are all
            followed by one step at each state.
        count: M, rounded up to a whole number of parallel steps.
        seed: of the starts and the actions. `dynamics` has a seed of its own.
    """
    rng = np.random.default_rng(seed)
    going = ~steps.terminated
    starts = np.concatenate([steps.observations, steps.next_observations[going]])
    episodes = np.concatenate([steps.episode, steps.episode[going]])
    order = rng.permutation(len(starts))
    width = max(1, count // ROUNDS)
    taken = 0

    def fresh(number: int) -> Ints:
        nonlocal taken
        chosen = order[np.arange(taken, taken + number) % len(order)]
        taken += number
        return chosen

    at = fresh(width)
    now, episode, chain, time = starts[at], episodes[at], np.arange(width), np.zeros(width, dtype=np.int64)
    columns = []
    for _ in range(-(-count // width)):
        tried, pick = _tried(actions, width, rng)
        found, ended = dynamics.step(np.repeat(now, tried.shape[1], axis=0), tried.reshape(-1, *tried.shape[2:]))
        found = found.reshape(width, -1, *now.shape[1:])
        ended = np.asarray(ended, dtype=bool).reshape(width, -1)
        columns.append((now, tried, found, ended, chain, time, episode))
        rows = np.arange(width)
        over = ended[rows, pick] | (rng.random(width) >= gamma)
        now, time, chain, episode = found[rows, pick].copy(), time + 1, chain.copy(), episode.copy()
        again = fresh(int(over.sum()))
        now[over], episode[over], time[over] = starts[again], episodes[again], 0
        chain[over] = taken + np.arange(len(again))
    return PolicySteps(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _tried(actions: Actions, width: int, rng: np.random.Generator) -> tuple[Array, Ints]:
    """The actions to try at each of `width` states, (width, J, ...), and which of them goes on, (width,)."""
    if callable(actions):
        drawn = actions(width, rng)
        return drawn[:, None], np.zeros(width, dtype=np.int64)
    pick = rng.integers(len(actions), size=width)
    if len(actions) > ALL_ACTIONS:
        return actions[pick][:, None], np.zeros(width, dtype=np.int64)
    return np.broadcast_to(actions, (width, *actions.shape)), pick


def paired(first: Floats, second: Floats) -> Floats:
    """An unbiased estimate of E[x]·E[y] for each row, (N, ...), from draws x and y (N, L, ...) that broadcast.

    With one draw it is x·y, which is exact if the draw is. With L draws it is the mean of x_l·y_m over l ≠ m, so that
    the noise of a draw is never multiplied by itself (double sampling).
    """
    draws = max(first.shape[1], second.shape[1])
    if draws == 1:
        single: Floats = first[:, 0] * second[:, 0]
        return single
    same: Floats = (first * second).sum(axis=1)
    crossed: Floats = (first.sum(axis=1) * second.sum(axis=1) - same) / (draws * (draws - 1))
    return crossed


def paired_products(first: Floats, second: Floats) -> Floats:
    """The sum over rows of `paired` for every two columns: (N, L, j) and (N, L, k) to (j, k)."""
    draws = first.shape[1]
    total: Floats = first.sum(axis=1).T @ second.sum(axis=1)
    if draws == 1:
        return total
    same: Floats = first.reshape(-1, first.shape[2]).T @ second.reshape(-1, second.shape[2])
    crossed: Floats = (total - same) / (draws * (draws - 1))
    return crossed


QUANTILE = 0.99  # of the distances from each observed transition to the nearest other one
QUERIES = 2048  # the largest number of queries that are looked up


def off_support(steps: Transitions, observations: Array, actions: Array, next_observations: Array) -> float:
    """Share of the queries (s, a, s′) that are farther from all observed transitions than these are from each other.

    Distances are Euclidean in (s, a, s′), each dimension standardised by the data. The bound is the 99 % quantile of
    the distance from each observed transition to the nearest other one, so about 1 % of the data themselves are beyond
    it. If states and actions are discrete, a query is off the support exactly if (s, a, s′) was never observed. At most
    2,048 evenly spaced queries are looked up. With fewer than two steps the share is NaN.
    """
    if len(steps) < 2 or not len(observations):
        return float("nan")
    known = (steps.observations, steps.actions, steps.next_observations)
    kept = np.linspace(0, len(observations) - 1, min(QUERIES, len(observations))).astype(np.int64)
    asked = (observations[kept], actions[kept], next_observations[kept])
    if all(array.ndim == 1 and np.issubdtype(array.dtype, np.integer) for array in known):
        seen = set(zip(*(array.tolist() for array in known), strict=True))
        return float(np.mean([query not in seen for query in zip(*(a.tolist() for a in asked), strict=True)]))
    scales = [
        Standardised.by(array, count=int(max(array.max(), query.max())) + 1 if array.ndim == 1 else None)
        for array, query in zip(known, asked, strict=True)
    ]
    data, queries = (_joined(scales, arrays) for arrays in (known, asked))
    tree = cKDTree(data)
    own = tree.query(data, k=2)[0][:, 1]
    return float((tree.query(queries)[0] > np.quantile(own, QUANTILE)).mean())


def _joined(scales: list[Standardised], arrays: tuple[Array, ...]) -> Floats:
    return np.concatenate([scale(array) for scale, array in zip(scales, arrays, strict=True)], axis=1)
