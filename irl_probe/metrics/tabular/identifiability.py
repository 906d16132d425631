"""How far a family of environments pins down the reward that all its experts share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from irl_probe.metrics.checks import Array, check_gamma, check_transition


def ambiguity_dimension(environments: Sequence[tuple[ArrayLike, float]], tol: float = 1e-9) -> int:
    """dim {(V₁, …, Vₙ): V₁ − γ₁P₁V₁ = … = Vₙ − γₙPₙVₙ}: the directions in which r(s, a) stays open.

    Cao, Cohen and Szpruch 2021, Theorem 2 (two environments). One environment leaves S directions (every shaping), 1
    means that the environments together identify the reward up to a constant, which no choice of environments removes.
    Since V ↦ V − γPV is one to one for γ < 1, it is the dimension of the intersection of the spaces that I − γᵢPᵢ
    span, counted by principal angles.

    Args:
        environments: (P, γ) pairs with the same S and A: P (S, A, S), γ in [0, 1). One or more.
        tol: sine of the angle below which a direction counts as shared.

    Raises ValueError for input that breaks the above.
    """
    for i, pair in enumerate(environments):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                "Each environment must be a pair (P, γ), as in ambiguity_dimension([(P, 0.9), (other_P, 0.9)]); "
                f"environment {i} is no pair but a {type(pair).__name__}."
            )
    if not len(environments):
        raise ValueError("There must be at least one environment, given as a list of (transition, gamma); got none.")
    if not 0 < tol < 1:
        raise ValueError(f"The tolerance is the sine of an angle and must lie in (0, 1); got {tol}.")
    bases = [_shaping_basis(check_transition(p), check_gamma(g)) for p, g in environments]
    if len({len(basis) for basis in bases}) > 1:
        raise ValueError(
            "All environments must have the same states and actions; got P of sizes "
            f"{sorted({np.shape(p) for p, _ in environments})}."
        )
    return shared_directions(bases, tol)


def shared_directions(bases: Sequence[Array], tol: float) -> int:
    """Dimension of the intersection of spaces with these orthonormal bases (k, pᵢ), by principal angles."""
    shared = bases[0]
    for basis in bases[1:]:
        outside = shared - basis @ (basis.T @ shared)
        _, sines, directions = np.linalg.svd(outside, full_matrices=False)
        shared = shared @ directions[sines <= tol].T
    return int(shared.shape[1])


def _shaping_basis(transition: Array, gamma: float) -> Array:
    """Orthonormal columns (S·A, S) that span {V(s) − γE[V(s′)]}."""
    states, actions, _ = transition.shape
    columns = np.repeat(np.eye(states), actions, axis=0) - gamma * transition.reshape(-1, states)
    return np.linalg.qr(columns)[0]
