"""Why two rewards differ: scale, potential shaping, redistribution over successors, and a residual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._types import Floats
from irl_probe.metrics.checks import (
    check_distribution,
    check_gamma,
    check_reward,
    check_transition,
)
from irl_probe.metrics.tabular.canonical import Form, minimal_form, norm
from irl_probe.metrics.tabular.distances import default_coverage
from irl_probe.metrics.tabular.values import Potential


@dataclass(frozen=True)
class Decomposition:
    """R̂ = λR + (γΦ(s′) − Φ(s)) + X + c + e, entry by entry, with E_{s′~P}[X] = 0.

    Attributes:
        scale: λ; negative if the recovered reward opposes the true one. 0 if the true reward is itself only shaping and
            redistribution, so that λ is not determined.
        potential: Φ (S,), in units of the recovered reward.
        redistribution: X (S, A, S); its mean under P is zero.
        constant: c. Always 0: for γ < 1 a constant is the shaping by Φ = −c/(1 − γ), so it is in `potential`, which is
            not fixed at 0 in any state.
        residual: e (S, A, S), orthogonal under D to all the other parts.
        shares: each part's share of the D-weighted variance of R̂, Cov(part, R̂)/Var(R̂), under the keys "scale",
            "potential", "redistribution", "residual". They sum to 1 (all are 0 for a constant R̂). Parts that cancel
            each other can have a negative share; the residual's is never negative and is 1 − R² of the fit.
    """

    scale: float
    potential: Floats
    redistribution: Floats
    constant: float
    residual: Floats
    shares: dict[str, float]


def decompose(
    recovered: ArrayLike,
    true: ArrayLike,
    transition: ArrayLike,
    gamma: float,
    *,
    coverage: ArrayLike | None = None,
) -> Decomposition:
    """The λ, Φ and X that minimise ‖e‖_D in R̂ = λR + (γΦ(s′) − Φ(s)) + X + c + e.

    Shaping and redistribution are projected out of both rewards (the Minimal form of STARC), λ is the regression of
    one residual on the other (Frisch–Waugh–Lovell), and Φ = Φ̂ − λΦ_R.

    Args:
        recovered: R̂, (S, A, S), (S, A) or (S,).
        true: R, in the same shapes.
        transition: P (S, A, S).
        gamma: in [0, 1).
        coverage: D (S, A, S); default uniform over (s, a) times P. States that it leaves out get Φ = 0.

    Raises ValueError for input that breaks the above.
    """
    p = check_transition(transition)
    gamma = check_gamma(gamma)
    weights = default_coverage(p) if coverage is None else check_distribution(coverage, p.shape, "coverage")
    states, actions, _ = p.shape
    target = check_reward(recovered, (states, actions, states), "recovered")
    truth = check_reward(true, (states, actions, states), "true")

    form, of_target = minimal_form(target, p, gamma, weights)
    residual, scale = form.values, 0.0
    form, of_truth = minimal_form(truth, p, gamma, weights)
    if not form.is_zero(weights):
        scale = float((weights * residual * form.values).sum()) / norm(form.values, weights) ** 2
        residual = residual - scale * form.values
    del form
    potential = Potential(of_target.drift - scale * of_truth.drift, of_target.rest - scale * of_truth.rest, gamma)
    shaping = np.broadcast_to(potential.shaping()[:, None, :], target.shape)
    redistribution = target - scale * truth - shaping - residual
    parts = {"scale": scale * truth, "potential": shaping, "redistribution": redistribution, "residual": residual}
    return Decomposition(scale, potential.total, redistribution, 0.0, residual, _shares(parts, target, weights))


def _shares(parts: dict[str, Floats], whole: Floats, weights: Floats) -> dict[str, float]:
    centred = Form(whole, whole).centred(weights)
    if centred.is_zero(weights):
        return dict.fromkeys(parts, 0.0)
    variance = norm(centred.values, weights) ** 2
    return {name: float((weights * centred.values * part).sum()) / variance for name, part in parts.items()}
