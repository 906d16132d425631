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
from irl_probe.metrics.tabular.values import Potential, advantage, expected_reward, relative_value


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
    value = soft_optimum(r, transition, check_gamma(gamma), check_temperature(temperature))
    return r + value.gamma * transition @ value.total


def soft_optimum(r: Floats, transition: Floats, gamma: float, alpha: float) -> Potential:
    """The optimal soft V of a reward (S, A), with the level of each component apart."""
    q = r
    previous = np.inf
    while True:
        policy = softmax(q / alpha, axis=1)
        # αH(π) + Σπr, with log π computed from q so that a probability of 0 does not give NaN.
        log_policy = q / alpha - logsumexp(q / alpha, axis=1, keepdims=True)
        value = relative_value(r - alpha * log_policy, transition, gamma, policy)
        paid = r - value.drift[:, None]
        q = paid + gamma * transition @ value.rest
        residual = float(np.abs(alpha * logsumexp(q / alpha, axis=1) - value.rest).max())
        # Converged: the residual is rounding error, and another step does not make it smaller. V itself may be 0: the
        # advantage of a soft-optimal policy has V = 0.
        units = max(float(np.abs(value.rest).max()), float(np.abs(paid).max()), alpha)
        if residual == 0 or (residual <= 1e-9 * units and residual >= 0.5 * previous):
            return value
        previous = residual


def soft_log_policy(r: Floats, transition: Floats, value: Potential, alpha: float) -> Floats:
    """log π(a|s) (S, A) of the soft-optimal policy of a reward (S, A), from its `soft_optimum`."""
    q = advantage(r, transition, value) / alpha
    log_policy: Floats = q - logsumexp(q, axis=1, keepdims=True)
    return log_policy


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
