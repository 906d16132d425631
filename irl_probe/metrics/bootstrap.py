"""Intervals over whole episodes, and over seeds within tasks.

Every interval over episodes is made in three steps. `resample_counts` says how often each resample draws each episode;
`jackknife_counts` does so for the sample with one part left out. The measure computes its figure for each row of
counts. `percentile_interval` or `accelerated_interval` makes an `Estimate` of these figures.

Seeds are few, so intervals over seeds are made otherwise: `seed_interval`, which `stratified_bootstrap` calls for
scores of seeds. Every interval over seeds in this library is one of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtrit

from irl_probe._config import check_confidence
from irl_probe._types import Floats, Ints
from irl_probe.metrics.checks import check_numbers

Seed = int | np.random.Generator

# An estimate has an interval if the figure is defined in at least this share of the resamples.
DEFINED_SHARE = 0.5
# The jackknife leaves out at most this many parts, one at a time: enough for the one number that BCa takes from it.
JACKKNIFE_PARTS = 200
# The least denominator 1 − a(z₀ ∓ z) of BCa; if it would be less, the bound is the largest or smallest replicate.
LEAST_DENOMINATOR = 1e-9
# An interval over seeds takes at least this many. From two, no method covers unless it is far too long to be of use.
LEAST_SEEDS = 3
# The share of the error that Student's t gets is FEW/MANY up to FEW seeds, and all of it from MANY on.
FEW, MANY = 10, 30
# From this quantile on, an interval is lengthened for skewness by the same share.
LARGE_QUANTILE = 4.0
# Replicates whose spread is below this share of their size are equal, up to rounding.
EQUAL = 1e-12
# How intervals over seeds are made, for the attributes of results.
OVER_SEEDS = "over seeds: Student's t, lengthened for skewness"
# Why one episode has no interval.
ONE_EPISODE = "There is one episode, so there is no interval over episodes."


@dataclass(frozen=True)
class Estimate:
    """A figure with its bootstrap interval. An undefined number is NaN, and `reason` says why."""

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
        """An estimate of NaN without an interval, for this reason."""
        return Estimate(np.nan, np.nan, np.nan, reason)


def stratified_bootstrap(
    scores: ArrayLike,
    *,
    statistic: Callable[[Floats], Floats] | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: Seed = 0,
) -> Estimate:
    """A statistic of scores (seeds, tasks) with an interval over seeds: `seed_interval` of a stratified bootstrap.

    Each resample draws the seeds of every task independently of the other tasks (Agarwal et al. 2021, §4.1). Other than
    theirs, the interval is not the percentiles of the resamples, which cover far too seldom for few seeds.

    Args:
        scores: (seeds, tasks), or (seeds,) for one task; for example normalised returns.
        statistic: maps (resamples, seeds·tasks) to (resamples,), default the interquartile mean.
        confidence: the confidence level of the interval.
        resamples: the number of bootstrap resamples.
        seed: an int or a Generator; the same seed gives the same interval.

    One or two seeds have no interval, and neither have seeds with equal scores. Raises ValueError if scores are not
    finite or have another shape.
    """
    check_confidence(confidence, resamples)
    table = check_numbers(scores, "scores")
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not table.size:
        raise ValueError(f"'scores' must have shape (seeds, tasks) or (seeds,); got {np.shape(scores)}.")
    seeds, tasks = table.shape
    figure = statistic if statistic is not None else lambda rows: iqm(rows, axis=1)
    rng = np.random.default_rng(seed)
    places = rng.integers(seeds, size=(resamples, tasks, seeds))
    drawn = table.T[np.arange(tasks)[:, None], places]  # (resamples, tasks, seeds)
    rows = np.concatenate([table.T[None], drawn]).swapaxes(1, 2).reshape(resamples + 1, seeds * tasks)
    return seed_interval(figure(rows), draw_counts(places), confidence, seeds=seeds)


def seed_interval(replicates: Floats, counts: Floats, confidence: float, *, seeds: int) -> Estimate:
    """An estimate with its interval over few seeds: Student's t, lengthened for skewness (Johnson 1978).

    Half of a symmetric interval is q·s. Here s² = Var(replicates)·n/(n − 1), because resampling n seeds understates the
    variance by (n − 1)/n, and q is the quantile of Student's t with ν degrees of freedom. On the side of the longer
    tail q grows by |γ|(2q² + 1)/6, the first term of the Edgeworth expansion, with γ the skewness; beyond q = 4, too
    far out for the expansion, it grows by the same share of q as there. On the other side it would shrink, and is left.

    Few seeds seldom show how skewed their distribution is: up to 10 seeds q is taken at a third of the error
    1 − confidence, at n/30 of it up to 30 seeds, and at all of it beyond. `analyses/seed_intervals` has the coverage
    for 3, 5 and 10 seeds: at least .93 of normal and .90 of skewed data.

    The influence L of each score, from a regression of the replicates on how often they drew it, gives
    γ = ΣL³/(ΣL²)^{3/2}, and ν = (n − 1)(Σv)²/Σv² with v = ΣL² of each stratum (Welch 1947; Satterthwaite 1946).

    Args:
        replicates: (1 + R,), the estimate first, then its values for resamples of the seeds.
        counts: (R, strata, scores), how often each resample draws each score. Strata are independent samples, such as
            tasks; several samples of n scores in one stratum count as n seeds, which is on the safe side.
        confidence: the confidence level of the interval.
        seeds: n, the number of seeds of each sample.

    Undefined replicates (NaN) are left out; if more than half are, there is no interval. Nor is there one of fewer than
    `LEAST_SEEDS` seeds, or of replicates that are all equal: seeds with equal figures do not show how others differ.
    """
    value, rest = float(replicates[0]), replicates[1:]
    if few_seeds(seeds):
        return Estimate(value, np.nan, np.nan, few_seeds(seeds))
    defined = np.isfinite(rest)
    if defined.sum() < max(2, DEFINED_SHARE * rest.size):
        share = 1 - defined.mean()
        return Estimate(value, np.nan, np.nan, f"The figure is undefined in {share:.0%} of the bootstrap resamples.")
    rest, counts = rest[defined], counts[defined]
    error = float(rest.std() * np.sqrt(seeds / (seeds - 1)))
    if error <= EQUAL * max(abs(value), np.abs(rest).max()):
        reason = f"All {seeds} seeds have equal figures, so how much seeds differ is not known."
        return Estimate(value, np.nan, np.nan, reason)
    drawn = counts.reshape(len(rest), -1) - counts.reshape(len(rest), -1).mean(axis=0)
    influence = np.linalg.pinv(drawn.T @ drawn, rcond=1e-9, hermitian=True) @ (drawn.T @ (rest - rest.mean()))
    variances = (influence.reshape(counts.shape[1:]) ** 2).sum(axis=1)
    linear = float(variances.sum())  # 0 if the figure does not follow any score to first order
    freedom = (seeds - 1) * (linear**2 / (variances**2).sum() if linear > 0 else 1.0)
    error_share = min(max(seeds, FEW) / MANY, 1.0)
    q = float(stdtrit(freedom, 1 - error_share * (1 - confidence) / 2))
    skewness, inner = float((influence**3).sum()) / linear**1.5 if linear > 0 else 0.0, min(q, LARGE_QUANTILE)
    longer = skewness * (2 * inner**2 + 1) / 6 * q / inner
    return Estimate(value, value - error * (q + max(-longer, 0.0)), value + error * (q + max(longer, 0.0)))


def draw_counts(places: Ints) -> Floats:
    """How often each score is drawn, from the places (..., draws) of as many scores: (..., scores)."""
    scores = np.arange(places.shape[-1])
    counts: Floats = (places[..., None] == scores).sum(axis=-2).astype(np.float64)
    return counts


def few_seeds(seeds: int) -> str:
    """Why this number of seeds has no interval; "" if it may have one."""
    if seeds >= LEAST_SEEDS:
        return ""
    counted = {1: "is one seed", 2: "are two seeds"}.get(seeds, f"are {seeds} seeds")
    return f"There {counted}, so there is no interval over seeds: it takes {LEAST_SEEDS}."


def iqm(scores: ArrayLike, axis: int | None = None) -> Floats:
    """Interquartile mean: the mean of the middle half (Agarwal et al. 2021, "Deep RL at the Edge of the Precipice").

    Over all entries, or along `axis`. At each end a quarter of the entries, rounded down, is left out.
    """
    values = check_numbers(scores, "scores")
    values = values.ravel() if axis is None else np.moveaxis(values, axis, -1)
    count, cut = values.shape[-1], values.shape[-1] // 4
    middle: Floats = np.partition(values, (cut, count - cut - 1), axis=-1)[..., cut : count - cut].mean(axis=-1)
    return middle


def percentile_interval(replicates: Floats, confidence: float, *, without: str = "") -> Estimate:
    """The estimate, replicates[0], with the percentile interval of the rest.

    Undefined replicates (NaN) are left out. If more than half are undefined, the estimate has no interval and a reason.
    `without` is a reason for no interval that is known beforehand: one episode.
    """
    tail = (1 - confidence) / 2
    return _interval(replicates, without, lambda _: (tail, 1 - tail))


def accelerated_interval(
    replicates: Floats, jackknife: Floats | Sequence[Floats], confidence: float, *, groups: int, without: str = ""
) -> Estimate:
    """Like `percentile_interval`, by the BCa method (Efron 1987), widened for few groups (Hesterberg 2015).

    A distance is never negative, so noise can only make it larger, and its spread grows with it. The bounds are the
    quantiles Φ(z₀ + (z₀ ∓ z)/(1 − a(z₀ ∓ z))). Here z₀ = Φ⁻¹(share of replicates below the estimate) corrects the bias,
    and a corrects the change of spread. The normal z is replaced by t·√(n/(n − 1)), with Student's t of n − 1 degrees
    of freedom, because resampling n groups understates their variance by (n − 1)/n and treats it as known.

    Args:
        replicates: (1 + R,), the estimate first.
        jackknife: the estimate with each part of the sample left out once, in the order of `jackknife_counts`. If
            several independent samples were resampled, one such array for each.
        confidence: the confidence level of the interval.
        groups: n, the number of groups that were resampled.
        without: as for `percentile_interval`.
    """
    acceleration = _acceleration([jackknife] if isinstance(jackknife, np.ndarray) else jackknife)

    def tails(defined: Floats) -> tuple[float, float]:
        value, count = replicates[0], len(defined)
        below = ((defined < value).sum() + 0.5 * (defined == value).sum()) / count
        bias = ndtri(np.clip(below, 0.5 / count, 1 - 0.5 / count))
        z = stdtrit(groups - 1, (1 + confidence) / 2) * np.sqrt(groups / (groups - 1))
        at = bias + np.array([-z, z])
        low, high = ndtr(bias + at / np.maximum(1 - acceleration * at, LEAST_DENOMINATOR))
        return float(low), float(high)

    return _interval(replicates, without, tails)


def _acceleration(jackknife: Sequence[Floats]) -> float:
    """a = Σ L³ / 6(Σ L²)^{3/2}, with L the influence of each part on the estimate, divided by its sample's size."""
    parts = [leave_out[np.isfinite(leave_out)] for leave_out in jackknife]
    influence = np.concatenate([(p.mean() - p) * (len(p) - 1) / len(p) for p in parts if len(p) > 1] or [np.zeros(1)])
    size = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * size**1.5) if size > 0 else 0.0


def _interval(replicates: Floats, without: str, tails: Callable[[Floats], tuple[float, float]]) -> Estimate:
    """The estimate, replicates[0], with the quantiles `tails(defined)` of the replicates that are defined."""
    value, rest = float(replicates[0]), replicates[1:]
    if without:
        return Estimate(value, np.nan, np.nan, without)
    defined = rest[np.isfinite(rest)]
    if defined.size < DEFINED_SHARE * rest.size:
        share = 1 - defined.size / rest.size
        return Estimate(value, np.nan, np.nan, f"The figure is undefined in {share:.0%} of the bootstrap resamples.")
    low, high = np.quantile(defined, tails(defined))
    return Estimate(value, float(low), float(high))


def resample_counts(groups: int, resamples: int, seed: Seed) -> Floats:
    """How often each resample draws each of `groups`, (1 + resamples, groups); row 0 is the sample itself, all ones."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return np.vstack([np.ones(groups), counts]).astype(np.float64)


def jackknife_counts(groups: int) -> Floats:
    """Counts that leave out one part each, (K, groups): row k draws all other groups equally, `groups` draws in all.

    A part is one group. More than 200 groups are divided into 200 parts of neighbours. One group has no row.
    """
    if groups == 1:
        return np.zeros((0, 1))
    count = min(groups, JACKKNIFE_PARTS)
    part = np.arange(groups) * count // groups
    kept = (part != np.arange(count)[:, None]).astype(np.float64)
    scaled: Floats = kept * (groups / kept.sum(axis=1, keepdims=True))
    return scaled


def episode_sums(rows: Floats, episode: Ints) -> Floats:
    """The sum of each episode's rows: (N, ...) to (E, ...). Rows of one episode are adjacent."""
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    total: Floats = np.add.reduceat(rows, starts, axis=0)
    return total
