"""Canonical forms: one representative of all rewards that differ by what a measure ignores. Shapes (S, A, S)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from irl_probe.metrics.checks import Array
from irl_probe.metrics.tabular.policies import expected_reward, policy_value
from irl_probe.metrics.tabular.shaping import expected_shape, fit_expected_potential, shape

SPARSE_DENSITY = 0.1


def epic_form(reward: Array, gamma: float, states: Array, actions: Array) -> Array:
    """C(R) = R + E[γR(s′, A, S′) − R(s, A, S′) − γR(S, A, S′)], A ~ d_A, S, S′ ~ d_S (Gleave et al. 2021, Def. 4.1)."""
    mean: Array = np.einsum("sat,a,t->s", reward, actions, states, optimize=True)
    return reward + shape(mean, gamma)[:, None, :] - gamma * float(states @ mean)


def dard_form(reward: Array, transition: Array, gamma: float, actions: Array) -> Array:
    """C(R) = R + E[γR(s′, A, S″) − R(s, A, S′) − γR(S′, A, S″)], S′ ~ P(s, A), S″ ~ P(s′, A).

    Wulfe et al. 2022, Def. 4. Each term has one A ~ d_A that all its draws share; in the last, x ~ P(s, A),
    y ~ P(s′, A) and the reward is R(x, A, y).
    """
    mean = expected_reward(reward, transition) @ actions
    between = np.zeros((len(reward), len(reward)))
    for action, probability in enumerate(actions):
        p = transition[:, action]
        if np.count_nonzero(p) < SPARSE_DENSITY * p.size:
            p = sparse.csr_array(p)
        between += probability * (p @ (p @ reward[:, action].T).T)
    return reward + (shape(mean, gamma) - gamma * between)[:, None, :]


def val_potential_form(reward: Array, transition: Array, gamma: float, policy: Array) -> Array:
    """C(R) = R − V^π(s) + γV^π(s′): R shaped by its own value under π (Skalse et al. 2024, VALPotential)."""
    value = policy_value(expected_reward(reward, transition), transition, gamma, policy)
    return reward + shape(value, gamma)[:, None, :]


def val_form(reward: Array, transition: Array, gamma: float, policy: Array) -> Array:
    """C(R)(s, a) = E_{s′}[R − V^π(s) + γV^π(s′)], the advantage of π, repeated over s′ (Skalse et al. 2024, VAL)."""
    expected = expected_reward(reward, transition)
    value = policy_value(expected, transition, gamma, policy)
    return np.broadcast_to((expected + expected_shape(value, transition, gamma))[:, :, None], reward.shape)


@dataclass(frozen=True)
class Redistribution:
    """The cheapest way to lay a marginal m(s, a) = E_{s′~P}[Y] out over s′, under ‖Y‖_D.

    S′-redistribution adds any X with E_{s′~P}[X] = 0, so of Y only m is fixed. By Lagrange the least
    Σ_{s′} D·Y² is weights·m², reached at Y = m·profile, with profile = weights·P/D and weights = 1/Σ_{s′} P²/D.
    With D = d·P that is weights = d and profile = 1. Where D leaves out a successor that P reaches, m
    can be put there for free: weights 0.
    """

    weights: Array  # (S, A)
    profile: Array  # (S, A, S), with E_{s′~P}[profile] = 1

    @staticmethod
    def under(coverage: Array, transition: Array) -> Redistribution:
        """The redistribution for coverage D and dynamics P, both (S, A, S)."""
        covered = coverage > 0
        ratio = np.divide(transition, coverage, out=np.zeros_like(transition), where=covered)
        weights: Array = 1 / np.maximum((transition * ratio).sum(axis=2), np.finfo(np.float64).tiny)
        free = (transition > 0) & ~covered
        escapes = free.sum(axis=2, keepdims=True) > 0
        on_free = free / np.maximum((transition * free).sum(axis=2, keepdims=True), np.finfo(np.float64).tiny)
        profile = np.where(escapes, on_free, weights[:, :, None] * ratio)
        return Redistribution(np.where(escapes[:, :, 0], 0.0, weights), profile)


def minimal_form(reward: Array, transition: Array, gamma: float, coverage: Array) -> tuple[Array, Array]:
    """(C, Φ): the reward of least ‖C‖_D = R + γΦ(s′) − Φ(s) + X over all Φ and all X with E_{s′~P}[X] = 0.

    Skalse et al. 2024, Minimal. An exact projection: X is eliminated first (`Redistribution`), Φ by least squares.
    """
    redistribution = Redistribution.under(coverage, transition)
    expected = expected_reward(reward, transition)
    potential = -fit_expected_potential(expected, transition, gamma, redistribution.weights)
    marginal = expected + expected_shape(potential, transition, gamma)
    return marginal[:, :, None] * redistribution.profile, potential
