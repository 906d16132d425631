"""Soft Q-functions of tabular MDPs and the rewards they imply: R → Q → R is the identity (IQ-Learn, Lemma 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, softmax

from irl_probe._types import Floats
from irl_probe.metrics.checks import (
    check_gamma,
    check_numbers,
    check_reward,
    check_shape,
    check_temperature,
    check_transition,
)

# The rounding error of a value, as a share of the largest, is a small multiple of 1e-16/(1 − γ), by the condition
# number of I − γP.
TIE_TOLERANCE = 1e-13


def soft_q(reward: ArrayLike, transition: ArrayLike, gamma: float, temperature: float = 1.0) -> Floats:
    """Optimal soft Q, the fixed point of Q(s, a) = E_{s′}[R(s, a, s′) + γ V(s′)], V = α log Σ_a exp(Q/α).

    Haarnoja et al. 2017, Theorem 1. Solved by soft policy iteration, which is Newton's method on the Bellman
    equation: each step solves (I − γP_π) V = r_π + αH(π), so each step squares the error, also for γ near 1.

    Args:
        reward: (S, A, S), or (S, A), or (S,); reward units per step.
        transition: (S, A, S), with rows that sum to 1.
        gamma: discount in [0, 1).
        temperature: α > 0, in reward units.

    Returns Q (S, A) in reward units; its Bellman residual is rounding error of |V|.
    Raises ValueError for input that breaks the above.
    """
    transition = check_transition(transition)
    r = expected_reward(check_reward(reward, transition.shape, "reward"), transition)
    gamma, alpha = check_gamma(gamma), check_temperature(temperature)
    q = r
    previous = np.inf
    units = max(float(np.abs(r).max()), alpha)  # V itself may be 0: the advantage of a soft-optimal policy has V = 0
    while True:
        policy = softmax(q / alpha, axis=1)
        # αH(π) + Σπr, with log π computed from q so that a probability of 0 does not give NaN.
        log_policy = q / alpha - logsumexp(q / alpha, axis=1, keepdims=True)
        value = policy_value(r - alpha * log_policy, transition, gamma, policy)
        q = r + gamma * transition @ value
        residual = float(np.abs(alpha * logsumexp(q / alpha, axis=1) - value).max())
        # Converged: the residual is rounding error, and another step does not make it smaller.
        if residual == 0 or (residual <= 1e-9 * max(np.abs(value).max(), units) and residual >= 0.5 * previous):
            return q
        previous = residual


def soft_value(q: ArrayLike, temperature: float = 1.0) -> Floats:
    """V(s) = α log Σ_a exp(Q(s, a)/α), shape (S,), in reward units (Haarnoja et al. 2017, eq. 3).

    Raises ValueError unless `q` is a finite (S, A) array and α > 0.

    One state with two equal actions is worth α log 2 more than either; as α → 0 the value is the larger Q:

    >>> soft_value([[1.0, 1.0]], temperature=0.5).round(3)
    array([1.347])
    >>> soft_value([[1.0, 3.0]], temperature=0.01).round(3)
    array([3.])
    """
    alpha = check_temperature(temperature)
    values: Floats = alpha * logsumexp(_check_q(q) / alpha, axis=1)
    return values


def soft_policy(q: ArrayLike, temperature: float = 1.0) -> Floats:
    """π(a|s) ∝ exp(Q(s, a)/α), shape (S, A). Raises like `soft_value`."""
    alpha = check_temperature(temperature)
    policy: Floats = softmax(_check_q(q) / alpha, axis=1)
    return policy


def recovered_reward(q: ArrayLike, transition: ArrayLike, gamma: float, temperature: float = 1.0) -> Floats:
    """The marginal reward r(s, a) = Q(s, a) − γ E_{s′~P}[V(s′)], shape (S, A): the inverse soft Bellman operator.

    IQ-Learn, Lemma 3.1: the one reward of (s, a) for which `q` is the optimal soft Q. Units of reward per step.
    Raises ValueError unless q is (S, A) and finite, P's rows sum to 1, γ in [0, 1) and α > 0.
    """
    transition = check_transition(transition)
    q = check_shape(q, transition.shape[:2], "q")
    return q - check_gamma(gamma) * transition @ soft_value(q, temperature)


def recovered_reward_per_transition(q: ArrayLike, gamma: float, temperature: float = 1.0) -> Floats:
    """r(s, a, s′) = Q(s, a) − γ V(s′), shape (S, A, S): the reward that a learner without P computes.

    It equals α log π(a|s) + (V(s) − γV(s′)): the soft advantage plus potential shaping. Its mean over s′~P is
    `recovered_reward`. If P is stochastic, measures that are not invariant to S′-redistribution give the two different
    values.
    Raises ValueError unless q is (S, A) and finite, γ in [0, 1) and α > 0.
    """
    q = _check_q(q)
    return q[:, :, None] - check_gamma(gamma) * soft_value(q, temperature)[None, None, :]


def _check_q(q: ArrayLike) -> Floats:
    array = check_numbers(q, "q")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"'q' must have shape (S, A); got {array.shape}.")
    return array


# Values and policies without entropy


def policy_value(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Floats:
    """V^π (S,) of a reward (S, A): the solution of (I − γP_π) V = r_π, γ < 1."""
    under_policy = np.einsum("sa,sat->st", policy, transition)
    return np.linalg.solve(np.eye(len(under_policy)) - gamma * under_policy, (policy * reward).sum(axis=1))


def optimal_q(reward: Floats, transition: Floats, gamma: float, allowed: Floats | None = None) -> Floats:
    """Q* (S, A) of a reward (S, A) among policies that use the `allowed` actions (S, A; default all), γ < 1.

    Howard's policy iteration (Puterman 1994, §6.4): exact, in finitely many linear solves.
    """
    barrier = np.zeros_like(reward) if allowed is None else np.where(allowed > 0, 0.0, -np.inf)
    states = np.arange(len(reward))
    choice = np.argmax(reward + barrier, axis=1)
    while True:
        value = policy_value(reward, transition, gamma, np.eye(reward.shape[1])[choice])
        q: Floats = reward + gamma * (transition @ value)
        better = np.argmax(q + barrier, axis=1)
        # An action changes only if the gain is above rounding error, so that the iteration cannot cycle.
        gain = q[states, better] - q[states, choice]
        improved = gain > 0.1 * tie_tolerance(q, gamma)
        if not improved.any():
            return q
        choice = np.where(improved, better, choice)


def optimal_actions(reward: Floats, transition: Floats, gamma: float) -> Floats:
    """(S, A), 1 where an action is optimal for the reward (S, A), up to rounding error, and 0 elsewhere."""
    q = optimal_q(reward, transition, gamma)
    tied = q >= q.max(axis=1, keepdims=True) - tie_tolerance(q, gamma)
    return np.where(tied, 1.0, 0.0)


def tie_tolerance(q: Floats, gamma: float) -> float:
    """The gap below which two entries of `q` count as equal, in reward units."""
    return TIE_TOLERANCE / (1 - gamma) * float(np.abs(q).max())


def uniform_policy(transition: Floats) -> Floats:
    """π(a|s) = 1/A, shape (S, A)."""
    states, actions, _ = transition.shape
    return np.full((states, actions), 1 / actions)


def expected_reward(reward: Floats, transition: Floats) -> Floats:
    """r(s, a) = Σ_{s′} P(s′|s, a) R(s, a, s′), shape (S, A), from (S, A, S)."""
    expected: Floats = np.einsum("sat,sat->sa", transition, reward)
    return expected


def centred(reward: Floats) -> Floats:
    """R minus the middle of its range: it has the same optimal policies, and a constant becomes exactly 0."""
    middle = (float(reward.max()) + float(reward.min())) / 2
    return reward - middle
