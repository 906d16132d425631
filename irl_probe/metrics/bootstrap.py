"""The bootstrap: one way to put an interval beside a figure, over whole episodes or over seeds within tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t, trim_mean

from irl_probe._config import check_confidence
from irl_probe._types import Floats, Ints
from irl_probe.metrics.checks import check_numbers

Seed = int | np.random.Generator

# An interval is given when at least this share of the resamples has a defined figure.
DEFINED_SHARE = 0.5
# The jackknife leaves out at most so many parts, one at a time: enough for the one number that is taken from it.
JACKKNIFE_PARTS = 200
ROOM = 1e-9  # above 0: beyond it the BCa quantile is the last one


@dataclass(frozen=True)
class Estimate:
    """A figure with its bootstrap interval; NaN with the reason in words where it is undefined."""

    value: float
    low: float
    high: float
    reason: str = ""

    @property
    def array(self) -> Floats:
        """(value, low, high), the order of the results' `bound` axis."""
        return np.array([self.value, self.low, self.high])

    @staticmethod
    def undefined(reason: str) -> Estimate:
        """NaN three times, and why."""
        return Estimate(np.nan, np.nan, np.nan, reason)


def resample_counts(groups: int, resamples: int, seed: Seed) -> Floats:
    """How often each of `groups` is drawn in each resample, (1 + resamples, groups); row 0 is the sample itself."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return np.vstack([np.ones(groups), counts]).astype(np.float64)


def jackknife_counts(groups: int) -> Floats:
    """Row k draws everything but part k, once and scaled to `groups` in all, (K, groups).

    A part is one group; of more than 200 groups it is one of 200 runs of neighbours. One group has no row.
    """
    if groups == 1:
        return np.zeros((0, 1))
    count = min(groups, JACKKNIFE_PARTS)
    part = np.arange(groups) * count // groups
    kept = (part != np.arange(count)[:, None]).astype(np.float64)
    scaled: Floats = kept * (groups / kept.sum(axis=1, keepdims=True))
    return scaled


def percentile_interval(replicates: Floats, confidence: float, *, without: str = "") -> Estimate:
    """The estimate, replicates[0], with the percentile interval of the rest.

    Undefined replicates (NaN) are left out; with more than half of them undefined there is an estimate without an
    interval, and the reason says so. `without` is such a reason known beforehand: one episode, one seed.
    """
    tail = (1 - confidence) / 2
    return _interval(replicates, without, lambda _: (tail, 1 - tail))


def accelerated_interval(
    replicates: Floats, jackknife: Floats | Sequence[Floats], confidence: float, *, groups: int, without: str = ""
) -> Estimate:
    """As `percentile_interval`, by the BCa method (Efron 1987), widened for few groups (Hesterberg 2015).

    A distance is never negative, so noise can only lengthen it, and its spread grows with it. With z₀ = Φ⁻¹(share of
    replicates below the estimate) for the bias and a for the change of spread, the bounds are the quantiles
    Φ(z₀ + (z₀ ∓ z)/(1 − a(z₀ ∓ z))). In place of the normal z stands t·√(n/(n − 1)), Student's t with n − 1 degrees of
    freedom: resampling n groups understates their variance by (n − 1)/n, and takes it for known.

    Args:
        replicates: (1 + R,), the estimate first.
        jackknife: the estimate with each part of the sample left out once, in the order of `jackknife_counts`; where
            several independent samples were resampled, one such array each.
        confidence: of the interval.
        groups: n.
        without: as for `percentile_interval`.
    """
    acceleration = _acceleration([jackknife] if isinstance(jackknife, np.ndarray) else jackknife)

    def tails(defined: Floats) -> tuple[float, float]:
        value, count = replicates[0], len(defined)
        below = ((defined < value).sum() + 0.5 * (defined == value).sum()) / count
        bias = norm.ppf(np.clip(below, 0.5 / count, 1 - 0.5 / count))
        z = t.ppf((1 + confidence) / 2, groups - 1) * np.sqrt(groups / (groups - 1))
        at = bias + np.array([-z, z])
        low, high = norm.cdf(bias + at / np.maximum(1 - acceleration * at, ROOM))
        return float(low), float(high)

    return _interval(replicates, without, tails)


def _acceleration(jackknife: Sequence[Floats]) -> float:
    """a = Σ L³ / 6(Σ L²)^{3/2} of the parts' influences L on the estimate, each sample's divided by its size."""
    parts = [leave_out[np.isfinite(leave_out)] for leave_out in jackknife]
    influence = np.concatenate([(p.mean() - p) * (len(p) - 1) / len(p) for p in parts if len(p) > 1] or [np.zeros(1)])
    size = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * size**1.5) if size > 0 else 0.0


def _interval(replicates: Floats, without: str, tails: Callable[[Floats], tuple[float, float]]) -> Estimate:
    """The quantiles of the defined replicates at `tails(defined)`, beside the estimate."""
    value, rest = float(replicates[0]), replicates[1:]
    if without:
        return Estimate(value, np.nan, np.nan, without)
    defined = rest[np.isfinite(rest)]
    if defined.size < DEFINED_SHARE * rest.size:
        share = 1 - defined.size / rest.size
        return Estimate(value, np.nan, np.nan, f"The figure is undefined in {share:.0%} of the bootstrap resamples.")
    low, high = np.quantile(defined, tails(defined))
    return Estimate(value, float(low), float(high))


def iqm(scores: ArrayLike, axis: int | None = None) -> Floats:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021, "Deep RL at the Edge of the Precipice").

    Over all entries, or along `axis`. A quarter of the entries, rounded down, is dropped at either end.
    """
    mean: Floats = trim_mean(check_numbers(scores, "scores"), 0.25, axis=axis)
    return mean


def stratified_bootstrap(
    scores: ArrayLike,
    *,
    statistic: Callable[[Floats], Floats] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: Seed = 0,
) -> Estimate:
    """A statistic of scores (seeds, tasks) with its stratified bootstrap interval, as in rliable.

    In each resample the seeds are drawn anew within every task on its own (Agarwal et al. 2021, §4.1).

    Args:
        scores: (seeds, tasks), or (seeds,) for one task; for example normalised returns.
        statistic: maps (resamples, seeds·tasks) to (resamples,), default the interquartile mean.
        confidence: of the interval.
        resamples: how many.
        seed: an int or a Generator; the same seed gives the same interval.

    With one seed there is no interval. Raises ValueError where scores are not finite or of another shape.
    """
    check_confidence(confidence, resamples)
    table = check_numbers(scores, "scores")
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.size:
        raise ValueError(f"'scores' must have shape (seeds, tasks) or (seeds,); got {np.shape(scores)}.")
    seeds, tasks = table.shape
    figure = statistic if statistic is not None else lambda rows: iqm(rows, axis=1)
    rng = np.random.default_rng(seed)
    drawn = table[rng.integers(seeds, size=(resamples, seeds, tasks)), np.arange(tasks)]
    replicates = figure(np.concatenate([table[None], drawn]).reshape(resamples + 1, seeds * tasks))
    without = "There is one seed, so there is no interval over seeds." if seeds == 1 else ""
    return percentile_interval(replicates, confidence, without=without)


def episode_sums(rows: Floats, episode: Ints) -> Floats:
    """Σ over each episode's rows of (N, ...), (E, ...); equal labels are adjacent."""
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    total: Floats = np.add.reduceat(rows, starts, axis=0)
    return total


def paired(first: Floats, second: Floats) -> Floats:
    """An unbiased estimate of E[x]·E[y] for each row, (N, ...), from draws x and y (N, L, ...) that broadcast.

    With one draw it is x·y, exact where the draw is. With L draws it is the mean of x_l·y_m over l ≠ m, so that no
    product of one draw's noise with itself enters (double sampling).
    """
    draws = max(first.shape[1], second.shape[1])
    if draws == 1:
        single: Floats = first[:, 0] * second[:, 0]
        return single
    same: Floats = (first * second).sum(axis=1)
    crossed: Floats = (first.sum(axis=1) * second.sum(axis=1) - same) / (draws * (draws - 1))
    return crossed


def paired_products(first: Floats, second: Floats) -> Floats:
    """Σ over rows of the estimates of `paired` for each two columns: (N, L, j) and (N, L, k) to (j, k)."""
    draws = first.shape[1]
    total: Floats = first.sum(axis=1).T @ second.sum(axis=1)
    if draws == 1:
        return total
    same: Floats = first.reshape(-1, first.shape[2]).T @ second.reshape(-1, second.shape[2])
    crossed: Floats = (total - same) / (draws * (draws - 1))
    return crossed
