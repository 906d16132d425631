"""Why two rewards differ: scale, potential shaping, redistribution over successors, and what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from irl_probe.metrics.checks import Array, check_distribution, check_gamma, check_reward, check_transition
from irl_probe.metrics.tabular.canonical import minimal_form
from irl_probe.metrics.tabular.distances import ZERO_TOLERANCE, default_coverage, norm
from irl_probe.metrics.tabular.shaping import shape


@dataclass(frozen=True)
class Decomposition:
    """R̂ = λR + (γΦ(s′) − Φ(s)) + X + c + e, entry by entry, with E_{s′~P}[X] = 0.

    Attributes:
        scale: λ; negative where the recovered reward opposes the true one. 0 where the true reward is itself only
            shaping and redistribution, so that λ is open.
        potential: Φ (S,), in units of the recovered reward.
        redistribution: X (S, A, S); its mean under P is zero.
        constant: c. Always 0: for γ < 1 a constant is the shaping by Φ = −c/(1 − γ), so it is in `potential`, which is
            therefore pinned nowhere.
        residual: e (S, A, S), orthogonal under D to all the other parts.
        shares: each part's share of the D-weighted variance of R̂, Cov(part, R̂)/Var(R̂), under the keys "scale",
            "potential", "redistribution", "residual". They sum to 1 (all are 0 for a constant R̂). Parts that cancel
            each other have a negative share; the residual's is never negative and is 1 − R² of the fit.
    """

    scale: float
    potential: Array
    redistribution: Array
    constant: float
    residual: Array
    shares: dict[str, float]


def decompose(
    recovered: ArrayLike,
    true: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    *,
    coverage: ArrayLike | None = None,
) -> Decomposition:
    """The λ, Φ and X that leave the least ‖e‖_D in R̂ = λR + (γΦ(s′) − Φ(s)) + X + c + e.

    Shaping and redistribution are projected out of both rewards (the Minimal form of STARC), λ is the regression of
    one residual on the other (Frisch–Waugh–Lovell), and Φ = Φ̂ − λΦ_R.

    Args:
        recovered: R̂, (S, A, S), (S, A) or (S,).
        true: R, likewise.
        transition: P (S, A, S).
        gamma: in [0, 1).
        coverage: D (S, A, S); default uniform over (s, a) times P. States it never visits get the Φ of least norm.

    Raises ValueError for input that breaks the above.
    """
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    weights = default_coverage(p) if coverage is None else check_distribution(coverage, p.shape, "coverage")
    states, actions, _ = p.shape
    target = check_reward(recovered, (states, actions, states), "recovered")
    truth = check_reward(true, (states, actions, states), "true")

    target_form, target_potential = minimal_form(target, p, gamma, weights)
    truth_form, truth_potential = minimal_form(truth, p, gamma, weights)
    length = norm(truth_form, weights)
    trivial = length <= ZERO_TOLERANCE * float(np.abs(truth).max())
    scale = 0.0 if trivial else float((weights * target_form * truth_form).sum()) / length**2
    # The minimal form has the shaping added; the decomposition names what was there before.
    potential = scale * truth_potential - target_potential
    shaping = np.broadcast_to(shape(potential, gamma)[:, None, :], target.shape)
    residual = target_form - scale * truth_form
    redistribution = target - scale * truth - shaping - residual
    parts = {"scale": scale * truth, "potential": shaping, "redistribution": redistribution, "residual": residual}
    return Decomposition(scale, potential, redistribution, 0.0, residual, _shares(parts, target, weights))


def _shares(parts: dict[str, Array], whole: Array, weights: Array) -> dict[str, float]:
    centred = whole - (weights * whole).sum()
    variance = norm(centred, weights) ** 2
    if variance <= (ZERO_TOLERANCE * float(np.abs(whole).max())) ** 2:
        return dict.fromkeys(parts, 0.0)
    return {name: float((weights * centred * part).sum()) / variance for name, part in parts.items()}
