"""Canonical forms of rewards: what is left of a reward once all that a measure ignores is taken out.

A form comes with the size of the terms that it is a sum of (`Form.terms`), from which its rounding error follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from irl_probe._types import Floats, Ints
from irl_probe.metrics.tabular.values import (
    REFINEMENTS,
    ROUNDING,
    Potential,
    advantage,
    advantage_terms,
    components,
    expected_reward,
    relative_value,
    shape,
)

SPARSE_DENSITY = 0.1  # transition matrices with a smaller share of nonzero entries are multiplied as sparse ones


@dataclass(frozen=True)
class Form:
    """A canonical form C (S, A, S), and |C| before anything in it cancels.

    A form whose norm is below ROUNDING times that of its terms is rounding error and counts as zero.
    """

    values: Floats
    terms: Floats

    def unit(self, weights: Floats) -> Floats:
        """C divided by its D-weighted norm; zero if that norm is rounding error."""
        length = norm(self.values, weights)
        return np.zeros_like(self.values) if self.is_zero(weights) else self.values / length

    def is_zero(self, weights: Floats) -> bool:
        """Whether the D-weighted norm is rounding error."""
        return norm(self.values, weights) <= ROUNDING * norm(self.terms, weights)

    def centred(self, weights: Floats) -> Form:
        """C less its mean under D."""
        return Form(self.values - np.vdot(weights, self.values), self.terms)


def norm(values: Floats, weights: Floats) -> float:
    """‖x‖_D = √(Σ D·x²)."""
    return float(np.sqrt((weights * values**2).sum()))


def epic_form(reward: Floats, gamma: float, states: Floats, actions: Floats) -> Form:
    """C(R) = R + E[γR(s′, A, S′) − R(s, A, S′) − γR(S, A, S′)], A ~ d_A, S, S′ ~ d_S (Gleave et al. 2021, Def. 4.1)."""
    terms = np.abs(reward)
    mean, size = (np.einsum("sat,a,t->s", x, actions, states, optimize=True) for x in (reward, terms))
    terms += (size[:, None] + gamma * size[None, :])[:, None, :] + gamma * float(states @ size)
    return Form(reward + (shape(mean, gamma) - gamma * float(states @ mean))[:, None, :], terms)


def dard_form(reward: Floats, transition: Floats, gamma: float, actions: Floats) -> Form:
    """C(R) = R + E[γR(s′, A, S″) − R(s, A, S′) − γR(S′, A, S″)], S′ ~ P(s, A), S″ ~ P(s′, A).

    Wulfe et al. 2022, Def. 4. All draws of a term share one A ~ d_A; in the last term x ~ P(s, A), y ~ P(s′, A) and the
    reward is R(x, A, y).
    """
    terms = np.abs(reward)
    mean, size = (expected_reward(x, transition) @ actions for x in (reward, terms))
    between, largest = np.zeros((2, len(reward), len(reward)))
    for action, probability in enumerate(actions):
        p = transition[:, action]
        if np.count_nonzero(p) < SPARSE_DENSITY * p.size:
            p = sparse.csr_array(p)
        for total, paid in ((between, reward), (largest, terms)):
            total += probability * (p @ (p @ paid[:, action].T).T)
    terms += (size[:, None] + gamma * (size[None, :] + largest))[:, None, :]
    return Form(reward + (shape(mean, gamma) - gamma * between)[:, None, :], terms)


def val_form(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Form:
    """C(R)(s, a) = E_{s′}[R − V^π(s) + γV^π(s′)], the advantage of π, repeated over s′ (Skalse et al. 2024, VAL)."""
    expected, size = expected_reward(reward, transition), expected_reward(np.abs(reward), transition)
    value = relative_value(expected, transition, gamma, policy)
    terms = advantage_terms(size, transition, policy, value)[:, None, None]
    form = advantage(expected, transition, value)[:, :, None]
    return Form(np.broadcast_to(form, reward.shape), np.broadcast_to(terms, reward.shape))


def val_potential_form(reward: Floats, transition: Floats, gamma: float, policy: Floats) -> Form:
    """C(R) = R − V^π(s) + γV^π(s′): R shaped by its own value under π (Skalse et al. 2024, VALPotential)."""
    expected, size = expected_reward(reward, transition), expected_reward(np.abs(reward), transition)
    value = relative_value(expected, transition, gamma, policy)
    terms = advantage_terms(size, transition, policy, value)[:, None, None] + np.abs(reward)
    return Form(reward + value.shaping()[:, None, :], terms)


def minimal_form(reward: Floats, transition: Floats, gamma: float, coverage: Floats) -> tuple[Form, Potential]:
    """(C, Φ): the reward of least ‖C‖_D = R − (γΦ(s′) − Φ(s)) + X over all Φ and all X with E_{s′~P}[X] = 0.

    Skalse et al. 2024, Minimal. An exact projection: first X is eliminated (`Redistribution`), then Φ by least squares.
    """
    redistribution = Redistribution.under(coverage, transition)
    expected, size = expected_reward(reward, transition), expected_reward(np.abs(reward), transition)
    potential = fit_expected_potential(expected, transition, gamma, redistribution.weights)
    marginal = expected - potential.expected_shaping(transition)
    rest = np.abs(potential.rest)
    terms = size + rest[:, None] + gamma * transition @ rest
    return Form(*(x[:, :, None] * redistribution.profile for x in (marginal, terms))), potential


def npec_form(reward: Floats, gamma: float, weights: Floats) -> Form:
    """R − (γΦ(s′) − Φ(s)) of least ‖·‖_D over all Φ: the distance of R to the shapings (Gleave et al. 2021, §5)."""
    potential = fit_potential(reward, gamma, weights)
    rest = np.abs(potential.rest)
    terms = np.abs(reward) + (rest[:, None] + gamma * rest[None, :])[:, None, :]
    return Form(reward - potential.shaping()[:, None, :], terms)


@dataclass(frozen=True)
class Redistribution:
    """The Y(s, a, s′) of least norm ‖Y‖_D for a given marginal m(s, a) = E_{s′~P}[Y].

    S′-redistribution adds any X with E_{s′~P}[X] = 0, so it fixes only the marginal m of Y. By Lagrange multipliers the
    least Σ_{s′} D·Y² is weights·m², reached at Y = m·profile, with profile = weights·P/D and weights = 1/Σ_{s′} P²/D.
    With D = d·P, weights = d and profile = 1. If D leaves out a successor that P reaches, m can be put there
    without cost: weights = 0.
    """

    weights: Floats  # (S, A)
    profile: Floats  # (S, A, S), with E_{s′~P}[profile] = 1

    @staticmethod
    def under(coverage: Floats, transition: Floats) -> Redistribution:
        """The redistribution for coverage D and dynamics P, both (S, A, S)."""
        covered = coverage > 0
        ratio = np.divide(transition, coverage, out=np.zeros_like(transition), where=covered)
        weights: Floats = 1 / np.maximum((transition * ratio).sum(axis=2), np.finfo(np.float64).tiny)
        free = (transition > 0) & ~covered
        escapes = free.sum(axis=2, keepdims=True) > 0
        on_free = free / np.maximum((transition * free).sum(axis=2, keepdims=True), np.finfo(np.float64).tiny)
        profile = np.where(escapes, on_free, weights[:, :, None] * ratio)
        return Redistribution(np.where(escapes[:, :, 0], 0.0, weights), profile)


# The potential that fits a reward best


def fit_potential(reward: Floats, gamma: float, weights: Floats) -> Potential:
    """Φ that minimises Σ weights·(R − γΦ(s′) + Φ(s))² over an (S, A, S) reward, γ < 1.

    0 in states that the weights leave out. Where they do not determine Φ otherwise, it is one of the best fits; the
    residual is always unique.
    """
    joint = weights.sum(axis=1)
    out, into = joint.sum(axis=1), joint.sum(axis=0)
    diagonal = out + gamma**2 * into
    fit = _Fit(
        weights,
        components(joint > 0),
        diagonal,
        np.diag(diagonal) - gamma * (joint + joint.T),
        gamma * into - out,
        lambda phi: shape(phi, gamma)[:, None, :],
        lambda left: gamma * left.sum(axis=(0, 1)) - left.sum(axis=(1, 2)),
    )
    return fit.potential(reward, gamma)


def fit_expected_potential(reward: Floats, transition: Floats, gamma: float, weights: Floats) -> Potential:
    """Φ that minimises Σ weights·(r − γE[Φ(s′)] + Φ(s))² over an (S, A) reward, γ < 1; see `fit_potential`."""
    count = len(reward)
    flat = transition.reshape(-1, count)
    towards, out = np.einsum("sa,sat->st", weights, transition), weights.sum(axis=1)
    after = gamma**2 * (flat.T * weights.ravel()) @ flat
    fit = _Fit(
        weights,
        components(towards > 0),
        out + np.diag(after),
        after + np.diag(out) - gamma * (towards + towards.T),
        gamma * flat.T @ weights.ravel() - out,
        lambda phi: gamma * transition @ phi - phi[:, None],
        lambda left: gamma * flat.T @ left.ravel() - left.sum(axis=1),
    )
    return fit.potential(reward, gamma)


@dataclass(frozen=True)
class _Fit:
    """Least squares on shapings, whose columns k_j are the shapings by the indicators of the states.

    All rows of a component have the same sum of its columns, γ − 1. So the component's mean is fitted apart, and the
    columns are centred: without this, the condition number grows with 1/(1 − γ)².
    """

    weights: Floats  # (S, …)
    labels: Ints  # (S,): the component of the rows of s
    diagonal: Floats  # (S,): ‖k_j‖² without the steps from j to j, where it cancels
    normal: Floats  # (S, S): the inner products of the columns
    ones: Floats  # (S,): their inner products with 1
    apply: Callable[[Floats], Floats]  # Φ ↦ Σ_j Φ_j k_j
    adjoint: Callable[[Floats], Floats]  # weights·x ↦ the inner products of x with the columns

    def potential(self, reward: Floats, gamma: float) -> Potential:
        """The best Φ: a solution of the normal equations, and iterative refinement of the least-squares problem."""
        mass = self._sums(self.weights)
        mass = np.where(mass > 0, mass, 1.0)
        same = self.labels[:, None] == self.labels[None, :]
        centred = self.normal - same * np.outer(self.ones, self.ones / mass)
        solve = _pseudo_inverse(centred, self.diagonal)
        over = tuple(range(1, reward.ndim))
        level = np.zeros(len(mass))
        phi, left = np.zeros(len(mass)), reward
        for step in range(REFINEMENTS + 2):
            if step:
                phi = phi + solve(self.adjoint(self.weights * left))
            left = reward - np.expand_dims(level, over) - self.apply(phi)
            change = self._sums(self.weights * left) / mass
            level, left = level + change, left - np.expand_dims(change, over)
        return Potential(np.where(self.diagonal > 0, -level, 0.0), phi, gamma)

    def _sums(self, values: Floats) -> Floats:
        """The sum over the rows of each state's component, (S,)."""
        sums = np.bincount(self.labels, values.reshape(len(self.labels), -1).sum(axis=1))
        return np.asarray(sums[self.labels])


def _pseudo_inverse(normal: Floats, diagonal: Floats) -> Callable[[Floats], Floats]:
    """x ↦ N⁺x of a positive semidefinite N, scaled by a diagonal of 1 so that rare states keep their columns."""
    root = np.sqrt(diagonal)
    scale = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    eigenvalues, vectors = np.linalg.eigh(normal * scale[:, None] * scale[None, :])
    kept = eigenvalues > len(normal) * np.finfo(np.float64).eps * max(1.0, float(eigenvalues[-1]))
    inverse = np.divide(1.0, eigenvalues, out=np.zeros_like(eigenvalues), where=kept)
    return lambda vector: scale * (vectors @ (inverse * (vectors.T @ (scale * vector))))
