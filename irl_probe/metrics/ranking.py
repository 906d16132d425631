"""Does a reward rank policies, and episodes, as the true reward does?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from irl_probe._config import check_confidence
from irl_probe._types import Bools, Floats, Ints
from irl_probe.metrics.bootstrap import (
    Estimate,
    Seed,
    accelerated_interval,
    jackknife_counts,
    resample_counts,
)
from irl_probe.metrics.checks import check_gamma, check_numbers

# Two means that differ by less than this share of the larger mean of absolute returns are tied: it is rounding error.
TIE = 1e-12


def discounted_returns(
    rewards: ArrayLike,
    lengths: ArrayLike,
    gamma: float,
    *,
    terminated: ArrayLike,
    tail: float = 0.0,
    closed: ArrayLike | None = None,
) -> Floats:
    """G = Σ_{t<T} γᵗ r_t + γ^{T−1}·tail where the MDP ended; where only the clock did, (Σ_{t<T} γᵗ r_t)/(1 − γᵀ). (E,).

    A time limit is not the end of the MDP. So an episode that it cut off counts as one that is repeated for ever: its
    last step leads back to its first state. With `closed`, the rewards of these last steps, shaping γΦ(s′) − Φ(s) with
    Φ = 0 after an end changes every G by exactly −Φ(s₀). Without it, it leaves γᵀ(Φ(s_T) − Φ(s₀))/(1 − γᵀ) as well.

    Args:
        rewards: (N,) reward of each step, one episode after the other.
        lengths: (E,) number of steps of each episode.
        gamma: discount γ, in [0, 1]. With 1 a sum over repeated episodes has no limit, so nothing is repeated.
        terminated: (E,) whether the MDP ended after the episode's last step.
        tail: γ·V_abs, paid with the last step where the MDP ended: V_abs is the value after the end.
        closed: (E,) reward of each episode's last step if that leads to the episode's first state; read only where the
            MDP did not end. None takes the reward as it was.

    Raises ValueError if shapes or lengths do not fit or a number is not finite.
    """
    gamma = check_gamma(gamma, one_allowed=True)
    values, sizes, ended = check_numbers(rewards, "rewards"), np.asarray(lengths), np.asarray(terminated, dtype=bool)
    if values.ndim != 1 or sizes.ndim != 1 or not sizes.size or sizes.min() < 1 or sizes.sum() != len(values):
        raise ValueError(
            f"'lengths' must be the steps of each episode, at least 1, and sum to the {values.size} steps; "
            f"got {sizes.tolist() if sizes.size < 10 else sizes.shape}."
        )
    if ended.shape != sizes.shape:
        raise ValueError(f"'terminated' must be one mark an episode, shape {sizes.shape}; got {ended.shape}.")
    starts = np.cumsum(sizes) - sizes
    last = np.where(ended, values[starts + sizes - 1] + tail, values[starts + sizes - 1])
    if closed is not None:
        back = check_numbers(closed, "closed")
        if back.shape != sizes.shape:
            raise ValueError(f"'closed' must be one reward an episode, shape {sizes.shape}; got {back.shape}.")
        last = np.where(ended, last, back)
    values = values.copy()
    values[starts + sizes - 1] = last
    discounts = gamma ** (np.arange(len(values)) - np.repeat(starts, sizes))
    returns: Floats = np.add.reduceat(values * discounts, starts)
    return returns if gamma == 1 else np.where(ended, returns, returns / (1 - gamma**sizes))


def ranking_agreement(
    true: Sequence[ArrayLike],
    recovered: Sequence[ArrayLike],
    *,
    paired: bool = False,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: Seed = 0,
) -> Estimate:
    """Kendall's τ_b, over a ladder of policies, between the mean true and the mean recovered return.

    It is 1 if the recovered reward ranks the policies (random … expert) as the true reward does, and −1 if it reverses
    them. Two policies are tied under a reward if their means differ by less than the standard error of this difference:
    τ_b = Σ ab/√(Σ a²·Σ b²) over pairs, with a and b the signs of the two differences and 0 for ties (Kendall 1945).

    The interval is that of the τ_b of the means over endless episodes, for these policies and no others. Whether
    the rewards agree on a pair is known if they do, or do not, in a share `confidence` of the resamples, whose
    differences are spread by t/z·√(n/(n − 1)), with n the fewer episodes of the two. The bounds let all other pairs
    agree, or all disagree. Percentile and BCa intervals of τ_b itself do not cover if policies are close
    (tests/test_ranking.py measures all three).

    Compare the figure with that of a constant reward, whose returns follow the lengths of the episodes.

    Args:
        true: for each policy the true returns of its episodes, (E_p,).
        recovered: for each policy the recovered returns of the same episodes, (E_p,).
        paired: whether the k-th episodes of all policies belong together, as if they start in the same state.
        confidence: the confidence level of the interval.
        resamples: the number of bootstrap resamples of whole episodes.
        seed: an int or a Generator.

    NaN with a reason if there is one policy, or if all true or all recovered means are tied. No interval if a policy
    has one episode; then only equal means are tied.
    Raises ValueError if policies or episodes do not correspond, or if a return is not finite.
    """
    check_confidence(confidence, resamples)
    if len(true) != len(recovered) or not true:
        raise ValueError(
            "Both rewards need the returns of the same policies, at least one; "
            f"got {len(true)} policies for the true reward and {len(recovered)} for the recovered one."
        )
    samples = [_returns(t, r, p) for p, (t, r) in enumerate(zip(true, recovered, strict=True))]
    episodes = np.array([len(returns) for returns in samples])
    if paired and np.ptp(episodes):
        raise ValueError(
            f"Paired policies must have the same number of episodes; got {episodes.tolist()}. Pass paired=False."
        )
    if len(samples) < 2:
        return Estimate.undefined("There is one policy, and an order needs at least two.")
    pairs = np.triu_indices(len(samples), 1)
    difference, error = (every[:, *pairs] for every in _differences(samples, paired))
    # The scale of each pair, not of all policies: one of them may be an outlier.
    scale = np.array([np.abs(returns).mean(axis=0) for returns in samples]).T
    least = TIE * np.maximum(scale[:, pairs[0]], scale[:, pairs[1]])
    equal = np.abs(difference) <= least
    signs = np.where(equal | (np.abs(difference) < error), 0, np.sign(difference))
    untied = np.abs(signs).sum(axis=1)
    if not untied.all():
        return Estimate.undefined(
            "All policies have the same mean return under one of the rewards, to within a standard error: "
            "there is no order."
        )
    tau = float(signs.prod(axis=0).sum() / np.sqrt(untied.prod()))
    if episodes.min() < 2:
        return Estimate(tau, np.nan, np.nan, "A policy has one episode, so there is no interval over episodes.")
    same = equal & (error <= least)  # means that do not vary, and are equal
    known = _known(samples, difference, pairs, paired, confidence, resamples, seed) | same.any(axis=0)
    sure = np.where(same, 0, np.sign(difference)).prod(axis=0)[known].sum()
    size = np.sqrt((~same).sum(axis=1).prod())
    low, high = np.clip((sure + np.array([-1, 1]) * (~known).sum()) / size, -1, 1)
    return Estimate(tau, min(float(low), tau), max(float(high), tau))


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


def _returns(true: ArrayLike, recovered: ArrayLike, policy: int) -> Floats:
    """A policy's true and recovered returns, (E, 2)."""
    returns = [check_numbers(true, f"true[{policy}]"), check_numbers(recovered, f"recovered[{policy}]")]
    if returns[0].ndim != 1 or not returns[0].size or returns[0].shape != returns[1].shape:
        raise ValueError(
            "Each policy needs one true and one recovered return for each episode, and at least one episode; "
            f"policy {policy} has shapes {returns[0].shape} and {returns[1].shape}."
        )
    return np.stack(returns, axis=1)


def _differences(samples: Sequence[Floats], paired: bool) -> tuple[Floats, Floats]:
    """Differences of the means of every two policies and their standard errors, (2, P, P); 0 for single episodes."""
    means = np.stack([returns.mean(axis=0) for returns in samples], axis=1)
    difference = means[:, :, None] - means[:, None, :]
    sizes = np.array([len(returns) for returns in samples])
    if paired:
        rows = np.stack(samples, axis=2)
        spread = (rows[:, :, :, None] - rows[:, :, None, :]).var(axis=0) / max(sizes[0] - 1, 1)
    else:
        variances = np.stack([returns.var(axis=0) for returns in samples], axis=1) / np.maximum(sizes - 1, 1)
        spread = variances[:, :, None] + variances[:, None, :]
    return difference, np.sqrt(spread)


def _known(
    samples: Sequence[Floats],
    difference: Floats,
    pairs: tuple[Ints, ...],
    paired: bool,
    confidence: float,
    resamples: int,
    seed: Seed,
) -> Bools:
    """Whether the rewards agree on each pair, or disagree, in a share `confidence` of the resamples, (pairs,)."""
    rng = np.random.default_rng(seed)
    sizes: Ints = np.array([len(returns) for returns in samples])
    shared = resample_counts(int(sizes[0]), resamples, rng)[1:]
    means = np.stack(
        [
            (shared if paired else resample_counts(len(x), resamples, rng)[1:]) @ (x - x.mean(axis=0)) / len(x)
            for x in samples
        ],
        axis=2,
    )
    noise = means[:, :, pairs[0]] - means[:, :, pairs[1]]
    fewest = np.minimum(sizes[pairs[0]], sizes[pairs[1]])
    wider = stdtrit(fewest - 1, confidence) / ndtri(confidence) * np.sqrt(fewest / (fewest - 1))
    kept = (np.sign(difference) * np.sign(difference + wider * noise)).prod(axis=1) > 0
    known: Bools = kept.mean(axis=0) >= confidence
    return known
