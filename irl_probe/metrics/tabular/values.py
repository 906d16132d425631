"""Values and optimal policies of tabular MDPs, accurate also for γ near 1.

A constant c per step in a component (states that the dynamics connect with each other and with no others) adds
c/(1 − γ) to every value there, and changes no advantage. If c/(1 − γ) were part of the values, its rounding error would
hide small advantages. So values are kept as potentials in two parts, the level of a component and the rest
(`Potential`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lu_factor, lu_solve
from scipy.sparse.csgraph import connected_components

from irl_probe._types import Bools, Floats, Ints

# A result that is smaller than this share of the terms that it is computed from is rounding error: 450 times the
# precision of float64, since the terms are sums.
ROUNDING = 1e-13
REFINEMENTS = 3  # steps of iterative refinement in a linear solve


@dataclass(frozen=True)
class Potential:
    """Φ (S,) as drift/(1 − γ) + rest: the first part is the level of a component, the second is relative to it.

    Attributes:
        drift: (S,), in reward units per step; equal in all states of a component.
        rest: (S,), in the units of values.
        gamma: γ < 1.
    """

    drift: Floats
    rest: Floats
    gamma: float

    @property
    def total(self) -> Floats:
        """Φ, (S,)."""
        return np.asarray(self.rest + self.drift / (1 - self.gamma))

    def shaping(self) -> Floats:
        """γΦ(s′) − Φ(s), (S, S), without cancellation where s and s′ have the same level."""
        return np.asarray(shape(self.rest, self.gamma) - self.drift[:, None] + self._crossing())

    def expected_shaping(self, transition: Floats) -> Floats:
        """γE_{s′~P}[Φ(s′)] − Φ(s), (S, A), without cancellation where s and s′ have the same level."""
        crossing = np.einsum("sat,st->sa", transition, self._crossing())
        return np.asarray(expected_shape(self.rest, transition, self.gamma) - self.drift[:, None] + crossing)

    def _crossing(self) -> Floats:
        return np.asarray(self.gamma / (1 - self.gamma) * (self.drift[None, :] - self.drift[:, None]))


def shape(potential: Floats, gamma: float) -> Floats:
    """γΦ(s′) − Φ(s) as an (S, S) array [s, s′]: potential shaping (Ng, Harada and Russell 1999)."""
    return gamma * potential[None, :] - potential[:, None]


def expected_shape(potential: Floats, transition: Floats, gamma: float) -> Floats:
    """γE_{s′}[Φ(s′)] − Φ(s), shape (S, A)."""
    shaping: Floats = gamma * transition @ potential - potential[:, None]
    return shaping


def components(linked: Bools) -> Ints:
    """The component (S,) of each state, from an (S, S) array that says which states are linked, in any direction."""
    return np.asarray(connected_components(sparse.csr_array(linked), directed=False)[1])


def expected_reward(reward: Floats, transition: Floats) -> Floats:
    """r(s, a) = Σ_{s′} P(s′|s, a) R(s, a, s′), shape (S, A), from (S, A, S)."""
    expected: Floats = np.einsum("sat,sat->sa", transition, reward)
    return expected


def uniform_policy(transition: Floats) -> Floats:
    """π(a|s) = 1/A, shape (S, A)."""
    states, actions, _ = transition.shape
    return np.full((states, actions), 1 / actions)


# Values of a policy


def policy_value(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Floats:
    """V^π (S,) of a reward (S, A): the solution of (I − γP_π) V = r_π, γ < 1."""
    under_policy = np.einsum("sa,sat->st", policy, transition)
    return np.linalg.solve(np.eye(len(under_policy)) - gamma * under_policy, (policy * reward).sum(axis=1))


def relative_value(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Potential:
    """V^π of a reward (S, A), with the level of each component apart; γ < 1."""
    labels = components(np.any(transition > 0, axis=1))
    under_policy = np.einsum("sa,sat->st", policy, transition)
    factors = lu_factor(np.eye(len(labels)) - gamma * under_policy, check_finite=False)
    drift = _per_component(reward, labels, _middle)
    value = np.zeros(len(labels))
    for _ in range(REFINEMENTS):
        paid = (policy * (reward - drift[:, None])).sum(axis=1)
        value = value + lu_solve(factors, paid - value + gamma * under_policy @ value, check_finite=False)
        level = _per_component(value, labels, np.mean)
        value, drift = value - level, drift + (1 - gamma) * level
    return Potential(drift, value, gamma)


def advantage(reward: Floats, transition: Floats, value: Potential) -> Floats:
    """r(s, a) + γE[V(s′)] − V(s), (S, A), for values V whose levels do not differ between s and s′."""
    return reward - value.drift[:, None] + expected_shape(value.rest, transition, value.gamma)


def advantage_terms(size: Floats, transition: Floats, policy: Floats, value: Potential) -> Floats:
    """The size (S,) of the terms of which the advantages in a state are sums: ROUNDING times it is their error.

    The terms are r, V(s) and V(s′), and the parts of which V(s′) − V(s) is a sum: with G = (I − γP_π)⁻¹ these are
    |G(s′, j) − G(s, j)| times the terms in j.

    Args:
        size: |r| (S, A), before anything in it cancels.
        transition: P (S, A, S).
        policy: π (S, A), whose value it is.
        value: V^π.
    """
    rest, reached = np.abs(value.rest), np.asarray((transition > 0).any(axis=1))
    terms = (size + value.gamma * transition @ rest).max(axis=1) + rest + np.abs(value.drift)
    under_policy = np.einsum("sa,sat->st", policy, transition)
    visits = np.linalg.inv(np.eye(len(rest)) - value.gamma * under_policy)
    spread = [(np.abs(visits[reached[s]] - visits[s]) @ terms).max() for s in range(len(rest))]
    return np.asarray(terms + value.gamma * np.array(spread))


# Optimal policies


@dataclass(frozen=True)
class Optimum:
    """The optimum of a reward (S, A).

    Attributes:
        choice: (S,), an optimal action.
        value: V*.
        gaps: V*(s) − Q*(s, a) ≥ 0, (S, A); 0 where it is rounding error, and where an action is not allowed infinite.
    """

    choice: Ints
    value: Potential
    gaps: Floats


def optimum(
    reward: Floats, transition: Floats, gamma: float, *, allowed: Floats | None = None, size: Floats | None = None
) -> Optimum:
    """The optimum among policies that use the `allowed` actions (S, A; default all), γ < 1.

    Howard's policy iteration (Puterman 1994, §6.4): exact, in finitely many linear solves. `size` is |r| before
    anything in r cancels, (S, A), for the rounding error; by default that of r.
    """
    states, every = np.arange(len(reward)), np.eye(reward.shape[1])
    barrier = np.zeros_like(reward) if allowed is None else np.where(allowed > 0, 0.0, -np.inf)
    choice = np.argmax(reward + barrier, axis=1)
    met = {choice.tobytes()}
    while True:
        value = relative_value(reward, transition, gamma, every[choice])
        gains = advantage(reward, transition, value)
        better = np.argmax(gains + barrier, axis=1)
        # An action changes only if the gain is above rounding error, and no policy is tried twice.
        terms = np.abs(reward - value.drift[:, None]).max() + 2 * np.abs(value.rest).max()
        improved = gains[states, better] - gains[states, choice] > ROUNDING * terms
        choice_next = np.where(improved, better, choice)
        if not improved.any() or choice_next.tobytes() in met:
            break
        choice = choice_next
        met.add(choice.tobytes())
    terms = advantage_terms(np.abs(reward) if size is None else size, transition, every[choice], value)
    gaps = (gains + barrier).max(axis=1, keepdims=True) - (gains + barrier)
    return Optimum(choice, value, np.where(gaps > ROUNDING * terms[:, None], gaps, 0.0))


def optimal_q(reward: Floats, transition: Floats, gamma: float, allowed: Floats | None = None) -> Floats:
    """Q* (S, A) of a reward (S, A) among policies that use the `allowed` actions (S, A; default all), γ < 1."""
    value = optimum(reward, transition, gamma, allowed=allowed).value.total
    q: Floats = reward + gamma * (transition @ value)
    return q


def optimal_actions(reward: Floats, transition: Floats, gamma: float, *, size: Floats | None = None) -> Floats:
    """(S, A), 1 where an action is optimal for the reward (S, A), up to rounding error, and 0 elsewhere."""
    return np.where(optimum(reward, transition, gamma, size=size).gaps == 0, 1.0, 0.0)


def _middle(values: Floats) -> float:
    """The middle of the range."""
    return (float(values.max()) + float(values.min())) / 2


def _per_component(values: Floats, labels: Ints, summary: Callable[[Floats], float]) -> Floats:
    """A summary of the rows (S, …) of each component, as (S,)."""
    found = np.array([summary(values[labels == label]) for label in range(labels.max() + 1)])
    return np.asarray(found[labels])
