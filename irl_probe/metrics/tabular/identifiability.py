"""How far several environments determine the reward that all their experts share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.checks import check_gamma, check_numbers, check_transition
from irl_probe.metrics.tabular.values import components

RANK = 1e-10


def ambiguity_dimension(environments: Sequence[tuple[ArrayLike, float]], tol: float = 1e-9) -> int:
    """dim {(V₁, …, Vₙ): V₁ − γ₁P₁V₁ = … = Vₙ − γₙPₙVₙ}: in how many directions r(s, a) is not determined.

    Cao, Cohen and Szpruch 2021, Theorem 2 (two environments). One environment leaves S directions open (every shaping).
    1 means that the environments together identify the reward up to a constant, which no environments can determine.
    Since V ↦ V − γPV is one to one for γ < 1, it is the dimension of the intersection of the spaces that I − γᵢPᵢ
    span, counted by principal angles.

    Args:
        environments: pairs (P, γ) with the same S and A: P (S, A, S), γ in [0, 1). One or more.
        tol: sine of the angle below which a direction counts as shared.

    Raises ValueError for input that breaks the above.
    """
    for i, pair in enumerate(environments):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(
                "Each environment must be a pair (P, γ), as in ambiguity_dimension([(P, 0.9), (other_P, 0.9)]); "
                f"environment {i} is not a pair but a {type(pair).__name__}."
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


def sampled_ambiguity_dimension(
    states: ArrayLike, successors: Sequence[ArrayLike], gammas: Sequence[float], *, tol: float = 0.01
) -> int:
    """In how many directions potentials φᵀw can change a reward in the same way in all environments.

    Like `tabular.ambiguity_dimension` (Cao, Cohen and Szpruch 2021), with V = φᵀw on N sampled (s, a): the dimension
    of the intersection of the spaces {φ(s)ᵀw − γᵢE_i[φ(s′)]ᵀw}. 1 means that the environments together leave only
    the constant open, as far as these features and states show. With indicators of the states as features and every
    (s, a) once it is exact.

    Args:
        states: φ(s), (N, p), a constant feature included.
        successors: for each environment E[φ(s′)] after the same (s, a), (N, p), 0 where the MDP ended.
        gammas: their discounts, in [0, 1).
        tol: sine of the angle below which a direction counts as shared. For simulated successors, which are exact, it
            must only be above rounding error; for sampled or modelled ones it must be above their noise.

    Raises ValueError for input that breaks the above.
    """
    phi = check_numbers(states, "states")
    after = [check_numbers(rows, f"successors[{i}]") for i, rows in enumerate(successors)]
    if phi.ndim != 2 or not after or len(after) != len(gammas) or any(x.shape != phi.shape for x in after):
        raise ValueError(
            "Every environment needs the features of its successors, shaped like those of the states "
            f"{phi.shape}, and one γ; got {[x.shape for x in after]} and {len(gammas)} discounts."
        )
    if not 0 < tol < 1:
        raise ValueError(f"The tolerance is the sine of an angle and must lie in (0, 1); got {tol}.")
    bases = [_basis(phi - check_gamma(g) * x) for x, g in zip(after, gammas, strict=True)]
    return shared_directions(bases, tol)


def shared_directions(bases: Sequence[Floats], tol: float) -> int:
    """Dimension of the intersection of spaces with these orthonormal bases (k, pᵢ), by principal angles."""
    shared = bases[0]
    for basis in bases[1:]:
        outside = shared - basis @ (basis.T @ shared)
        _, sines, directions = np.linalg.svd(outside, full_matrices=False)
        shared = shared @ directions[sines <= tol].T
    return int(shared.shape[1])


def _shaping_basis(transition: Floats, gamma: float) -> Floats:
    """Orthonormal columns (S·A, S) that span {V(s) − γE[V(s′)]}.

    The V that are constant in a component span the constants there. They are taken apart, since they come with a factor
    1 − γ that hides them for γ near 1.
    """
    states, actions, _ = transition.shape
    labels = np.repeat(components(np.asarray((transition > 0).any(axis=1))), actions)
    constants = np.eye(labels.max() + 1)[labels]
    constants /= np.sqrt(constants.sum(axis=0))
    columns = np.repeat(np.eye(states), actions, axis=0) - gamma * transition.reshape(-1, states)
    left, singular, _ = np.linalg.svd(columns - constants @ (constants.T @ columns), full_matrices=False)
    return np.hstack([constants, left[:, singular > RANK]])


def _basis(columns: Floats) -> Floats:
    """Orthonormal columns that span the same space."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, singular > RANK * singular[0]])
