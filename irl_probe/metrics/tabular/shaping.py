"""Weighted least-squares projections off the space of potential shapings γΦ(s′) − Φ(s).

Both solve normal equations of size S × S, built from S²A numbers and never from an (S·A·S) × S matrix. What squaring
loses in accuracy is won back by iterative refinement.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from irl_probe.metrics.checks import Array

REFINEMENTS = 3


def shape(potential: Array, gamma: float) -> Array:
    """γΦ(s′) − Φ(s) as an (S, S) array [s, s′]: potential shaping (Ng, Harada and Russell 1999)."""
    return gamma * potential[None, :] - potential[:, None]


def expected_shape(potential: Array, transition: Array, gamma: float) -> Array:
    """γE_{s′}[Φ(s′)] − Φ(s), shape (S, A)."""
    shaping: Array = gamma * transition @ potential - potential[:, None]
    return shaping


def fit_potential(reward: Array, gamma: float, weights: Array) -> Array:
    """Φ (S,) that minimises Σ weights·(R − γΦ(s′) + Φ(s))² over an (S, A, S) reward.

    Where the weights leave Φ open, a solution of least (column-scaled) norm; the residual is unique all the same.
    """
    joint = weights.sum(axis=1)
    normal = np.diag(gamma**2 * joint.sum(axis=0) + joint.sum(axis=1)) - gamma * (joint + joint.T)

    def adjoint(residual: Array) -> Array:
        sums: Array = gamma * residual.sum(axis=(0, 1)) - residual.sum(axis=(1, 2))
        return sums

    return _refined(normal, lambda phi: adjoint(weights * (reward - shape(phi, gamma)[:, None, :])))


def fit_expected_potential(reward: Array, transition: Array, gamma: float, weights: Array) -> Array:
    """Φ (S,) that minimises Σ weights·(r − γE[Φ(s′)] + Φ(s))² over an (S, A) reward; open directions as above."""
    count = len(reward)
    flat = transition.reshape(-1, count)
    towards = np.einsum("sa,sat->st", weights, transition)
    normal = gamma**2 * (flat.T * weights.ravel()) @ flat - gamma * (towards + towards.T)
    normal[np.diag_indices(count)] += weights.sum(axis=1)

    def gradient(phi: Array) -> Array:
        residual = weights * (reward - expected_shape(phi, transition, gamma))
        sums: Array = gamma * flat.T @ residual.ravel() - residual.sum(axis=1)
        return sums

    return _refined(normal, gradient)


def _refined(normal: Array, gradient: Callable[[Array], Array]) -> Array:
    """Solve normal·Φ = gradient(0), then again for what is left: iterative refinement of the least-squares problem."""
    solve = _pseudo_inverse(normal)
    phi = solve(gradient(np.zeros(len(normal))))
    for _ in range(REFINEMENTS):
        phi = phi + solve(gradient(phi))
    return phi


def _pseudo_inverse(normal: Array) -> Callable[[Array], Array]:
    """x ↦ N⁺x of a positive semidefinite N, with its diagonal scaled to 1 so that rare states count as full columns."""
    diagonal = np.sqrt(np.diag(normal))
    scale = np.divide(1.0, diagonal, out=np.zeros_like(diagonal), where=diagonal > 0)
    eigenvalues, vectors = np.linalg.eigh(normal * scale[:, None] * scale[None, :])
    kept = eigenvalues > len(normal) * np.finfo(np.float64).eps * eigenvalues[-1]
    inverse = np.divide(1.0, eigenvalues, out=np.zeros_like(eigenvalues), where=kept)
    return lambda vector: scale * (vectors @ (inverse * (vectors.T @ (scale * vector))))
