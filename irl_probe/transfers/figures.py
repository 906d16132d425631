"""From the returns of every policy in every variant to the group `/transfer`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from irl_probe.envs import UNCHANGED, Variant
from irl_probe.metrics.bootstrap import percentile_interval, resample_counts, stratified_bootstrap
from irl_probe.results import transfer_group
from irl_probe.transfers.config import TransferConfig

Floats = NDArray[np.float64]

RANDOM, CARRIED, TRUE = "random", "carried over", "true reward"
NO_SCALE = "Trained on the true reward a policy is not better here than random actions: there is no scale."
ONE_SEED = "There is one seed, so there is no interval over seeds."


def group_of(
    returns: Floats,
    policies: Sequence[str],
    variants: Sequence[Variant],
    config: TransferConfig,
    *,
    regrets: Floats | None = None,
    exact: bool = False,
) -> xr.Dataset:
    """The group from returns (variant, policy, seed) and, of exact ones, regrets (2, variant, policy).

    The value of a policy is (mean − random)/(true − random), all three means over seeds, each resampled on its own for
    the interval; `overall` is the interquartile mean over changed variants and seeds, a policy's seeds resampled
    within variants; of one changed variant it is its `value`.
    """
    count = returns.shape[2]
    sure = exact and count == 1
    mean, value = (np.full((*returns.shape[:2], 3), np.nan) for _ in range(2))
    reason = np.full(returns.shape[:2], "", dtype=object)
    rng = np.random.default_rng(0)
    without = ONE_SEED if count == 1 else ""
    low, high = policies.index(RANDOM), policies.index(TRUE)
    for v in range(len(variants)):
        means = [resample_counts(count, config.resamples, rng) @ row / count for row in returns[v]]
        span = means[high] - means[low]
        for p in range(len(policies)):
            mean[v, p] = percentile_interval(means[p], config.confidence, without=without).array
            if span[0] <= 0:
                reason[v, p] = NO_SCALE
                continue
            scaled = (means[p] - means[low]) / np.where(span > 0, span, np.nan)
            value[v, p] = percentile_interval(scaled, config.confidence, without=without).array
    if sure:
        mean[:], value[:] = mean[..., :1], value[..., :1]
    return transfer_group(
        returns,
        variants=[v.name for v in variants],
        policies=policies,
        seeds=config.seeds[:count],
        mean=mean,
        value=value,
        reason=reason,
        parameter=[v.parameter for v in variants],
        factor=[v.factor for v in variants],
        overall=_overall(returns, value, low, high, variants, config, sure=sure),
        regret_greedy=None if regrets is None else regrets[0],
        regret_soft=None if regrets is None else regrets[1],
        exact=exact,
    )


def _overall(
    returns: Floats,
    value: Floats,
    low: int,
    high: int,
    variants: Sequence[Variant],
    config: TransferConfig,
    *,
    sure: bool,
) -> Floats | None:
    """(policy, 3) over the changed variants that have a scale; None where there is none."""
    chosen = [
        v for v, variant in enumerate(variants) if variant.parameter != UNCHANGED and np.isfinite(value[v, high, 0])
    ]
    if not chosen:
        return None
    if len(chosen) == 1:  # one figure, one interval
        only: Floats = value[chosen[0]]
        return only
    part = returns[chosen]
    zero, one = (part[:, p].mean(axis=-1)[:, None, None] for p in (low, high))
    scores = (part - zero) / (one - zero)  # (variant, policy, seed)
    rows = [
        stratified_bootstrap(scores[:, p].T, confidence=config.confidence, resamples=config.resamples, seed=0).array
        for p in range(returns.shape[1])
    ]
    overall = np.stack(rows)
    return np.repeat(overall[:, :1], 3, axis=1) if sure else overall
