"""The lasso: least squares in which few features have a weight."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from irl_probe.rewards.model import Floats


def lasso_weights(features: Floats, values: Floats, counts: Floats, *, share: float) -> tuple[Floats, float]:
    """The minimum of ½ mean (y − w·x − b)² + λ Σ σ_j |w_j| over w and b (Tibshirani 1996, features standardised).

    σ_j is the standard deviation of feature j, so that units do not matter. λ is `share` of the smallest penalty that
    leaves no weight, max_j |cov(x_j, y)|/σ_j; a feature that does not vary has none. Solved over w = w⁺ − w⁻, both at
    least 0, by L-BFGS-B (`scipy.optimize.minimize`), whose weights at that bound are exactly 0.

    Args:
        features: x, (N, D).
        values: y, (N,).
        counts: how often each row came, (N,).
        share: between 0 (least squares) and 1 (no weights).

    Returns w (D,) in the features' own units, and b.
    """
    chance = counts / counts.sum()
    centre, mean = chance @ features, float(chance @ values)
    offset = features - centre
    spread = np.sqrt(chance @ offset**2)
    varying = spread > 1e-12 * np.abs(features).max(axis=0)
    weights = np.zeros(len(spread))
    if varying.any():
        standard = offset[:, varying] / spread[varying]
        gram = standard.T @ (chance[:, None] * standard)
        covariance = standard.T @ (chance * (values - mean))
        weights[varying] = _solve(gram, covariance, share * float(np.abs(covariance).max())) / spread[varying]
    return weights, mean - float(weights @ centre)


def _solve(gram: Floats, covariance: Floats, penalty: float) -> Floats:
    """argmin ½ wᵀGw − cᵀw + λ‖w‖₁, for values of unit scale: c is divided by its largest entry."""
    width, scale = len(covariance), float(np.abs(covariance).max()) or 1.0
    target, level = covariance / scale, penalty / scale

    def loss(parts: Floats) -> tuple[float, Floats]:
        w = parts[:width] - parts[width:]
        slope = gram @ w - target
        value = 0.5 * w @ (slope - target) + level * parts.sum()
        return float(value), np.concatenate([slope + level, level - slope])

    found = minimize(
        loss,
        np.zeros(2 * width),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * (2 * width),
        options={"maxiter": 100_000, "maxfun": 1_000_000, "ftol": 0.0, "gtol": 1e-10},
    )
    return np.asarray(scale * (found.x[:width] - found.x[width:]))
