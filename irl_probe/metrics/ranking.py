"""Does a reward order policies as the truth does?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from irl_probe.metrics.bootstrap import Estimate, Seed, check_confidence, percentile_interval, resample_counts
from irl_probe.metrics.checks import Array, check_numbers

# Means that agree to this share of the largest count as tied.
TIE = 1e-12


def ranking_agreement(
    true: Sequence[ArrayLike],
    recovered: Sequence[ArrayLike],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: Seed = 0,
) -> Estimate:
    """Kendall's τ_b, over a ladder of policies, between the mean true and the mean recovered return.

    1 where the recovered reward orders the policies (random … expert) as the truth does, −1 where it reverses them. The
    interval resamples the episodes of each policy. Give the episodes' lengths as `recovered` for the figure of a
    constant reward, which belongs beside it.

    Args:
        true: for each policy the true returns of its episodes, (E_p,).
        recovered: for each policy the recovered returns of the same episodes, (E_p,).
        confidence: of the interval.
        resamples: how many.
        seed: an int or a Generator.

    NaN with a reason where there is one policy, or where all true or all recovered means are tied.
    Raises ValueError where policies or episodes do not correspond, or a return is not finite.
    """
    check_confidence(confidence, resamples)
    if len(true) != len(recovered) or not true:
        raise ValueError(
            "Both rewards need the returns of the same policies, at least one; "
            f"got {len(true)} policies for the true reward and {len(recovered)} for the recovered one."
        )
    rng = np.random.default_rng(seed)
    means = [_means(t, r, p, resamples, rng) for p, (t, r) in enumerate(zip(true, recovered, strict=True))]
    if len(means) < 2:
        return Estimate.undefined("There is one policy, and an order needs at least two.")
    replicates = _tau(np.stack(means, axis=2))
    if np.isnan(replicates[0]):
        return Estimate.undefined("All policies have the same mean return under one of the rewards: there is no order.")
    single = all(np.size(returns) == 1 for returns in true)
    without = "Each policy has one episode, so there is no interval over episodes." if single else ""
    return percentile_interval(replicates, confidence, without=without)


def _means(true: ArrayLike, recovered: ArrayLike, policy: int, resamples: int, rng: np.random.Generator) -> Array:
    """Mean true and recovered return in each resample, (1 + resamples, 2)."""
    returns = [check_numbers(true, f"true[{policy}]"), check_numbers(recovered, f"recovered[{policy}]")]
    if returns[0].ndim != 1 or not returns[0].size or returns[0].shape != returns[1].shape:
        raise ValueError(
            "Each policy needs one true and one recovered return an episode, at least one; "
            f"policy {policy} has shapes {returns[0].shape} and {returns[1].shape}."
        )
    episodes = len(returns[0])
    means: Array = resample_counts(episodes, resamples, rng) @ np.stack(returns, axis=1) / episodes
    return means


def _tau(means: Array) -> Array:
    """τ_b between the two rows of each (2, policies) table, (B,); NaN where a row is all tied."""
    largest = np.maximum(np.abs(means).max(axis=2, keepdims=True), np.finfo(np.float64).tiny)
    level = np.round(means / largest / TIE)
    first, second = np.moveaxis(np.sign(level[..., :, None] - level[..., None, :]), 1, 0)
    pairs = [(a * b).sum(axis=(1, 2)) for a, b in ((first, second), (first, first), (second, second))]
    root = np.sqrt(pairs[1] * pairs[2])
    tau: Array = np.divide(pairs[0], root, out=np.full_like(root, np.nan), where=root > 0)
    return tau
