"""How far a family of continuous environments pins down the reward that all its experts share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from irl_probe.metrics.checks import Array, check_gamma, check_numbers
from irl_probe.metrics.tabular.identifiability import shared_directions

RANK = 1e-10


def sampled_ambiguity_dimension(
    states: ArrayLike, successors: Sequence[ArrayLike], gammas: Sequence[float], *, tol: float = 0.01
) -> int:
    """Directions in which potentials of the features can change a reward in all environments alike.

    As `tabular.ambiguity_dimension` (Cao, Cohen and Szpruch 2021), with V = φᵀw on N sampled (s, a): the dimension
    of the intersection of the spaces {φ(s)ᵀw − γᵢE_i[φ(s′)]ᵀw}. 1 means that together the environments leave only
    the constant open, as far as these features and states can tell; with the states' indicators as features and every
    (s, a) once it is the exact figure.

    Args:
        states: φ(s), (N, p); the constant belongs to the features.
        successors: for each environment E[φ(s′)] after the same (s, a), (N, p), 0 where the MDP ended.
        gammas: their discounts, in [0, 1).
        tol: sine of the angle below which a direction counts as shared. Simulated successors are exact, so it only
            has to be above rounding error; sampled or modelled ones need one above their noise.

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


def _basis(columns: Array) -> Array:
    """Orthonormal columns that span the same space."""
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left[:, singular > RANK * singular[0]])
