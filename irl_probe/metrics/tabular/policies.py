"""Exact values of policies, and optimal policies, of tabular MDPs. Inputs are checked by the public measures."""

from __future__ import annotations

import numpy as np

from irl_probe.metrics.checks import Array

# Rounding error of a value, as a share of the largest, is a small multiple of 1e-16/(1 − γ): the condition of I − γP.
TIE_TOLERANCE = 1e-13


def uniform_policy(transition: Array) -> Array:
    """π(a|s) = 1/A, shape (S, A)."""
    states, actions, _ = transition.shape
    return np.full((states, actions), 1 / actions)


def expected_reward(reward: Array, transition: Array) -> Array:
    """r(s, a) = Σ_{s′} P(s′|s, a) R(s, a, s′), shape (S, A), from (S, A, S)."""
    expected: Array = np.einsum("sat,sat->sa", transition, reward)
    return expected


def centred(reward: Array) -> Array:
    """R less the middle of its range: the same policies, a constant is exactly 0, tolerances are tight."""
    middle = (float(reward.max()) + float(reward.min())) / 2
    return reward - middle


def policy_value(reward: Array, transition: Array, gamma: float, policy: Array) -> Array:
    """V^π (S,) of a reward (S, A): the solution of (I − γP_π) V = r_π, γ < 1."""
    under_policy = np.einsum("sa,sat->st", policy, transition)
    return np.linalg.solve(np.eye(len(under_policy)) - gamma * under_policy, (policy * reward).sum(axis=1))


def optimal_q(reward: Array, transition: Array, gamma: float, allowed: Array | None = None) -> Array:
    """Q* (S, A) of a reward (S, A) among policies that use the `allowed` actions (S, A; default all), γ < 1.

    Howard's policy iteration (Puterman 1994, §6.4): exact, in finitely many linear solves.
    """
    barrier = np.zeros_like(reward) if allowed is None else np.where(allowed > 0, 0.0, -np.inf)
    states = np.arange(len(reward))
    choice = np.argmax(reward + barrier, axis=1)
    while True:
        value = policy_value(reward, transition, gamma, np.eye(reward.shape[1])[choice])
        q: Array = reward + gamma * (transition @ value)
        better = np.argmax(q + barrier, axis=1)
        # An action is changed only for a gain above rounding error, so that the iteration cannot cycle.
        gain = q[states, better] - q[states, choice]
        improved = gain > 0.1 * tie_tolerance(q, gamma)
        if not improved.any():
            return q
        choice = np.where(improved, better, choice)


def optimal_actions(reward: Array, transition: Array, gamma: float) -> Array:
    """(S, A) ones where an action is optimal for the reward (S, A), ties within rounding error included."""
    q = optimal_q(reward, transition, gamma)
    tied = q >= q.max(axis=1, keepdims=True) - tie_tolerance(q, gamma)
    return np.where(tied, 1.0, 0.0)


def tie_tolerance(q: Array, gamma: float) -> float:
    """The gap below which two entries of `q` count as equal, in reward units."""
    return TIE_TOLERANCE / (1 - gamma) * float(np.abs(q).max())
