"""Does a reward rank policies, and episodes, as the true reward does?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._config import check_confidence
from irl_probe._types import Floats
from irl_probe.metrics.bootstrap import (
    Estimate,
    Seed,
    accelerated_interval,
    jackknife_counts,
    percentile_interval,
    resample_counts,
)
from irl_probe.metrics.checks import check_gamma, check_numbers

# Means that differ by less than this share of the largest mean are tied.
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

    It is 1 if the recovered reward ranks the policies (random … expert) as the true reward does, and −1 if it reverses
    them. The interval resamples the episodes of each policy. Compare it with the τ_b of a constant reward, which you
    get by giving the lengths of the episodes as `recovered`.

    Args:
        true: for each policy the true returns of its episodes, (E_p,).
        recovered: for each policy the recovered returns of the same episodes, (E_p,).
        confidence: the confidence level of the interval.
        resamples: the number of bootstrap resamples.
        seed: an int or a Generator.

    NaN with a reason if there is one policy, or if all true or all recovered means are tied.
    Raises ValueError if policies or episodes do not correspond, or if a return is not finite.
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


def episode_return_distance(
    recovered: ArrayLike,
    true: ArrayLike,
    lengths: ArrayLike,
    *,
    gamma: float = 1.0,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: Seed = 0,
) -> Estimate:
    """ERC: √((1 − ρ)/2), in [0, 1], of the two rewards' episode returns Σ γᵗ r_t (Gleave et al. 2021, §6).

    Invariant to a positive scale and, if all lengths are equal, to a constant; not to shaping, because the potentials
    of an episode's first and last state do not cancel. Like every correlation of episodes it depends on their lengths.

    Args:
        recovered: (N,) reward of each step, one episode after the other.
        true: (N,) true reward of each step, in the same order.
        lengths: (E,) number of steps of each episode.
        gamma: discount of the returns, in [0, 1].
        confidence: the confidence level of the BCa bootstrap interval over episodes.
        resamples: the number of bootstrap resamples.
        seed: an int or a Generator.

    NaN with a reason if there are fewer than two episodes, or if the returns of a reward do not vary. Raises ValueError
    if lengths do not fit or a reward is not finite.
    """
    check_confidence(confidence, resamples)
    gamma = check_gamma(gamma, one_allowed=True)
    rewards = np.stack([check_numbers(recovered, "recovered"), check_numbers(true, "true")])
    sizes = np.asarray(lengths)
    if rewards.ndim != 2 or sizes.ndim != 1 or not sizes.size or sizes.min() < 1 or sizes.sum() != rewards.shape[1]:
        raise ValueError(
            f"'lengths' must be the steps of each episode, at least 1, and sum to the {rewards.shape[-1]} steps; "
            f"got {sizes.tolist() if sizes.size < 10 else sizes.shape}."
        )
    if len(sizes) < 2:
        return Estimate.undefined("There is one episode, and a correlation of returns needs at least two.")
    starts = np.cumsum(sizes) - sizes
    discounts = gamma ** (np.arange(rewards.shape[1]) - np.repeat(starts, sizes))
    returns = np.add.reduceat(rewards * discounts, starts, axis=1)
    returns = returns - returns.mean(axis=1, keepdims=True)
    for name, row, size in zip(("recovered", "true"), returns, np.abs(rewards).max(axis=1), strict=True):
        if row.std() <= TIE * max(float(size), np.finfo(np.float64).tiny) * sizes.max():
            return Estimate.undefined(f"All episodes have the same {name} return, so it has no correlation.")
    counts = np.concatenate([resample_counts(len(sizes), resamples, seed), jackknife_counts(len(sizes))]) / len(sizes)
    first = counts @ returns.T
    second = counts @ (returns**2).T - first**2
    covariance = counts @ returns.prod(axis=0) - first.prod(axis=1)
    drawn, left_out = np.split(pearson_distance(covariance, second.prod(axis=1)), [resamples + 1])
    return accelerated_interval(drawn, left_out, confidence, groups=len(sizes))


def pearson_distance(covariance: Floats, variances: Floats) -> Floats:
    """√((1 − ρ)/2) of covariances and products of variances; NaN where the product is not above 0."""
    root = np.sqrt(np.maximum(variances, 0))
    rho = np.divide(covariance, root, out=np.full_like(covariance, np.nan), where=root > 0)
    distance: Floats = np.sqrt((1 - np.clip(rho, -1, 1)) / 2)
    return distance


def _means(true: ArrayLike, recovered: ArrayLike, policy: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Mean true and recovered return in each resample, (1 + resamples, 2)."""
    returns = [check_numbers(true, f"true[{policy}]"), check_numbers(recovered, f"recovered[{policy}]")]
    if returns[0].ndim != 1 or not returns[0].size or returns[0].shape != returns[1].shape:
        raise ValueError(
            "Each policy needs one true and one recovered return for each episode, and at least one episode; "
            f"policy {policy} has shapes {returns[0].shape} and {returns[1].shape}."
        )
    episodes = len(returns[0])
    means: Floats = resample_counts(episodes, resamples, rng) @ np.stack(returns, axis=1) / episodes
    return means


def _tau(means: Floats) -> Floats:
    """τ_b between the two rows of each (2, policies) table, (B,); NaN where all of a row is tied."""
    largest = np.maximum(np.abs(means).max(axis=2, keepdims=True), np.finfo(np.float64).tiny)
    level = np.round(means / largest / TIE)
    first, second = np.moveaxis(np.sign(level[..., :, None] - level[..., None, :]), 1, 0)
    pairs = [(a * b).sum(axis=(1, 2)) for a, b in ((first, second), (first, first), (second, second))]
    root = np.sqrt(pairs[1] * pairs[2])
    tau: Floats = np.divide(pairs[0], root, out=np.full_like(root, np.nan), where=root > 0)
    return tau
