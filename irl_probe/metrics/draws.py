"""Successors from the environment's dynamics, for the canonical forms that use them; drawn once for all rewards.

`draw` draws them, `evaluate_on_draws` evaluates rewards on them, `paired` multiplies means over them without bias, and
`off_support` gives the share of them that are far from the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from irl_probe._types import Array, Bools, Floats
from irl_probe.metrics.terms import RewardFunction, RewardTerms, Standardised
from irl_probe.transitions import Transitions

Step = Callable[[Array, Array], tuple[Array, Bools]]
"""(observations (N, ...), actions (N, ...)) → (successors (N, ...), whether the MDP ended there (N,))."""


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
class Draws:
    """For each of N steps L independent draws, each over J actions of d_A. Make it with `draw`.

    L = 1 means that a draw is exact (all actions, deterministic dynamics), so means can be multiplied directly.
    Otherwise products are of different draws, which have no bias (`paired`).

    Attributes:
        steps: the N steps.
        actions: (N, L, J, ...).
        after: the successors S′ of s under these actions, (N, L, J, ...).
        after_ended: whether the MDP ended there, (N, L, J).
        beyond: the successors S″ of s′ under the same actions, (N, L, J, ...).
        own: successors of the step's own (s, a), the observed one first, (N, L′, ...).
        own_ended: whether the MDP ended there, (N, L′).
        name: the name of the dynamics.
    """

    steps: Transitions
    actions: Array
    after: Array
    after_ended: Bools
    beyond: Array
    own: Array
    own_ended: Bools
    name: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, L, J)."""
        count, draws, actions = self.after_ended.shape
        return count, draws, actions


def draw(
    steps: Transitions,
    dynamics: Dynamics,
    *,
    actions: Array | Callable[[int, np.random.Generator], Array],
    draws: int = 4,
    seed: int | np.random.Generator = 0,
) -> Draws:
    """Draw successors at every step.

    Args:
        steps: N steps.
        dynamics: a step of the environment, or of a model of it.
        actions: all actions of a discrete space (A,), so that the mean over d_A is exact, or a function
            (n, rng) → (n, ...) that draws n actions.
        draws: L if the actions or the dynamics are random, at least 2 (double sampling); otherwise L is 1.
        seed: an int or a Generator, for the actions. `dynamics` has a seed of its own.

    Raises ValueError if `draws` is below 2 and the dynamics or the actions are random.
    """
    exact = dynamics.deterministic and not callable(actions)
    if draws < 2 and not exact:
        raise ValueError(
            f"Unbiased products of means need at least 2 draws of each successor (double sampling); got {draws}."
        )
    rng = np.random.default_rng(seed)
    count, length = len(steps), 1 if exact else draws
    if callable(actions):
        chosen = actions(count * length, rng)
        chosen = chosen.reshape(count, length, 1, *chosen.shape[1:])
    else:
        chosen = np.broadcast_to(actions, (count, length, *actions.shape))

    def successors(states: Array, under: Array) -> tuple[Array, Bools]:
        shape = under.shape[: under.ndim - (steps.actions.ndim - 1)]
        repeated = np.repeat(states, int(np.prod(shape[1:])), axis=0)
        found, ended = dynamics.step(repeated, under.reshape(-1, *steps.actions.shape[1:]))
        return found.reshape(*shape, *states.shape[1:]), np.asarray(ended, dtype=bool).reshape(shape)

    after, after_ended = successors(steps.observations, chosen)
    beyond, _ = successors(steps.next_observations, chosen)
    own, own_ended = steps.next_observations[:, None], steps.terminated[:, None]
    if not dynamics.deterministic:
        again = np.repeat(steps.actions[:, None], draws - 1, axis=1)
        drawn, ended = successors(steps.observations, again)
        own, own_ended = np.concatenate([own, drawn], axis=1), np.concatenate([own_ended, ended], axis=1)
    return Draws(steps, chosen, after, after_ended, beyond, own, own_ended, dynamics.name)


@dataclass(frozen=True)
class Evaluations:
    """n rewards on the same draws (see `Draws` for N, L, J, L′).

    Attributes:
        names: the names of the rewards.
        own: (n, N, L′), R(s, a, S′).
        policy: (n, N), the mean of R(s, A, S′) over A ~ d_A.
        dard: (n, N, L), draws of DARD's canonical form, as if no step ended the MDP.
        scale: (n,) largest |R(s, a, s′)|.
    """

    names: tuple[str, ...]
    own: Floats
    policy: Floats
    dard: Floats
    scale: Floats

    def __add__(self, other: Evaluations) -> Evaluations:
        """The evaluations of the sums of rewards, first with first and so on: canonical forms are linear."""
        mine = (self.own, self.policy, self.dard, self.scale)
        sums = (a + b for a, b in zip(mine, (other.own, other.policy, other.dard, other.scale), strict=True))
        return Evaluations(self.names, *sums)


def evaluate_on_draws(rewards: Mapping[str, RewardFunction | RewardTerms], draws: Draws, gamma: float) -> Evaluations:
    """Every reward on every draw. Raises ValueError, naming the reward, if one gives a number that is not finite."""
    found = [_evaluate(RewardTerms.of(name, reward), draws, gamma) for name, reward in rewards.items()]
    own, policy, dard = (np.stack(column) for column in zip(*found, strict=True))
    return Evaluations(tuple(rewards), own, policy, dard, np.abs(own[:, :, 0]).max(axis=1))


def _evaluate(reward: RewardTerms, draws: Draws, gamma: float) -> tuple[Floats, Floats, Floats]:
    steps = draws.steps
    s, s2 = steps.observations, steps.next_observations
    count, length, width = draws.shape
    actions, after, beyond = (x.reshape(-1, *x.shape[3:]) for x in (draws.actions, draws.after, draws.beyond))
    from_s, from_s2 = (np.repeat(x, length * width, axis=0) for x in (s, s2))
    going = np.zeros(len(from_s), dtype=bool)
    ended = draws.after_ended.reshape(-1)

    # R(s, A, S′), whose parts DARD uses as if no step ended the MDP.
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


def _own(reward: RewardTerms, draws: Draws) -> Floats:
    """R(s, a, S′) for every successor of the step's own state and action, (N, L′)."""
    steps, length = draws.steps, draws.own.shape[1]
    states, actions = (np.repeat(x, length, axis=0) for x in (steps.observations, steps.actions))
    successors = draws.own.reshape(-1, *draws.own.shape[2:])
    return reward(states, actions, successors, draws.own_ended.reshape(-1)).reshape(len(steps), length)


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
