"""The lasso: least squares in which few features have a weight."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.model import Floats


def lasso_weights(features: Floats, values: Floats, *, share: float) -> tuple[Floats, float]:
    """The minimum of ½ mean (y − w·x − b)² + λ Σ σ_j |w_j| over w and b (Tibshirani 1996, features standardised).

    σ_j is the standard deviation of feature j, so that units do not matter. λ is `share` of the smallest penalty that
    leaves no weight, max_j |cov(x_j, y)|/σ_j; a feature that does not vary has none. Solved over w = w⁺ − w⁻, both at
    least 0, by L-BFGS-B (`scipy.optimize.minimize`), whose weights at that bound are exactly 0.

    Args:
        features: x, (N, D).
        values: y, (N,).
        share: between 0 (least squares) and 1 (no weights).

    Returns w (D,) in the features' own units, and b. Features that are copies of each other share their weight.

    Raises RewardError where the minimum is not reached: a very small share and features that nearly repeat each other.
    """
    centre, spread, mean = features.mean(axis=0), features.std(axis=0), float(values.mean())
    varying = spread > 1e-12 * np.abs(features).max(axis=0)
    weights = np.zeros(len(spread))
    if varying.any():
        standard = (features[:, varying] - centre[varying]) / spread[varying]
        gram, covariance = standard.T @ standard / len(values), standard.T @ (values - mean) / len(values)
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
    weights = found.x[:width] - found.x[width:]
    excess = float(np.abs(gram @ weights - target).max()) - level  # at most 0 at the minimum
    if excess > 1e-3 * max(level, 1e-3):
        raise RewardError(
            "The lasso was not solved: features nearly repeat each other, and its share is too small to choose among "
            f"them (a slope of {excess:.1g} is left, of 1 without weights). Give a larger lasso, or a ridge."
        )
    return np.asarray(scale * weights)
