"""Correlation of a recovered reward with the true one on observed episodes, controlled for their lengths.

Rewards are summed at three levels. "step": each step. "partial": each run of `window` consecutive steps of an episode
(the last one of an episode may be shorter). "episode": whole episodes, undiscounted as in IQ-Learn §7.4, so that
shaping changes them. Partial sums are over windows of one length, because sums from an episode's start to each step
grow with the step for any reward.

If episodes differ in length, sums grow with length for any reward. So each correlation is given under three controls.
"none": the correlation itself. "constant": the same for the reward 1 at every step, whose sum is the length. "length":
the partial correlation given length, (r_xy − r_xl·r_yl)/√((1 − r_xl²)(1 − r_yl²)), from Pearson's r, from Spearman's ρ
(linear in ranks), or from Kendall's τ_b (Kendall 1942). If all lengths are equal, as at step level, "length" equals
"none" and "constant" is undefined.

Intervals are made here: `correlations` draws episodes (`resample_counts`), `_replicates` computes the correlation of
every resample, and `_controlled` makes the interval of these by `percentile_interval` (metrics/bootstrap.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from irl_probe._config import check_confidence
from irl_probe._types import Floats, Ints
from irl_probe.metrics.bootstrap import (
    ONE_EPISODE,
    Estimate,
    Seed,
    percentile_interval,
    resample_counts,
)
from irl_probe.metrics.checks import check_choice, check_numbers

METRICS = ("pearson", "spearman", "kendall")
LEVELS = ("step", "partial", "episode")
CONTROLS = ("none", "constant", "length")

# Variances, and 1 − r², below this share count as zero: what is left is rounding error.
ZERO = 1e-12
# Sums that differ by less than this share of the sum of their absolute terms are equal up to rounding.
ROUNDING = 1e-12
# To rank every resample costs O(M) for Spearman, and all pairs O(M²) for Kendall. With more items than this the
# interval is made from that many evenly spaced ones and shifted to the estimate, which always uses all.
INTERVAL_ITEMS = {"spearman": 16384, "kendall": 4096}
# The largest size (resamples × steps) of an array in Spearman's ranking, which holds a few such arrays at once.
CHUNK = 2_000_000


@dataclass(frozen=True)
class Correlations:
    """All correlations: `value` (metric, level, control, bound) and `reason` (metric, level, control).

    Axes are METRICS, LEVELS, CONTROLS and (estimate, low, high). If an estimate or its interval is NaN, the reason says
    why, in words; otherwise it is the empty string.
    """

    value: Floats
    reason: NDArray[np.str_]

    def at(self, metric: str, level: str, control: str = "none") -> Estimate:
        """One correlation with its interval. Raises ValueError for an unknown name."""
        index = (
            METRICS.index(check_choice(metric, METRICS, "metric")),
            LEVELS.index(check_choice(level, LEVELS, "level")),
            CONTROLS.index(check_choice(control, CONTROLS, "control")),
        )
        estimate, low, high = self.value[index]
        return Estimate(float(estimate), float(low), float(high), str(self.reason[index]))


def correlations(
    recovered: ArrayLike,
    true: ArrayLike,
    lengths: ArrayLike,
    *,
    window: int = 20,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: Seed = 0,
) -> Correlations:
    """Pearson, Spearman and Kendall τ_b of two rewards at every level, under every control, with intervals.

    Intervals are percentile bootstrap intervals over episodes; every resample has ranks of its own. The estimate always
    uses all items. The interval of Spearman uses at most 16,384 and that of Kendall at most 4,096 evenly spaced items,
    which can only widen it, and is shifted to the estimate.

    Args:
        recovered: (N,) recovered reward of each step, in time order, one episode after the other.
        true: (N,) true reward of each step.
        lengths: (E,) number of steps of each episode; they sum to N.
        window: number of steps of a partial return.
        confidence: the confidence level of the intervals.
        resamples: the number of bootstrap resamples.
        seed: an int or a Generator; the same seed gives the same intervals.

    All are invariant to a positive scale of a reward, and at step level to a constant added to it. None is invariant to
    potential shaping: a reward that is right up to shaping can correlate badly at step level.
    Raises ValueError if lengths do not fit or are below 1, if a reward is not finite (the index is named), or if window
    or resamples is below 1.
    """
    check_confidence(confidence, resamples)
    if window < 1:
        raise ValueError(f"A partial return needs a window of at least one step; got {window}.")
    rewards = _check_rewards(recovered, true)
    steps = _check_lengths(lengths, len(rewards))
    counts = resample_counts(len(steps), resamples, seed)

    value = np.full((len(METRICS), len(LEVELS), len(CONTROLS), 3), np.nan)
    reason = np.full(value.shape[:3], "", dtype=object)
    for column, level in enumerate(LEVELS):
        items = _sums(rewards, steps, level, window)
        for row, metric in enumerate(METRICS):
            for layer, estimate in enumerate(_controlled(items, counts, metric, level, confidence)):
                value[row, column, layer] = estimate.array
                reason[row, column, layer] = estimate.reason
    return Correlations(value, reason.astype(np.str_))


@dataclass(frozen=True)
class _Items:
    """What is correlated at one level.

    Attributes:
        sums: (M, 3) recovered, true and length, scaled so that each column's largest is 1.
        ranks: (M, 3) the order of each column's sums, as whole numbers; equal sums have equal numbers.
        episode: (M,) the episode of each item.
    """

    sums: Floats
    ranks: Floats
    episode: Ints


def _sums(rewards: Floats, lengths: Ints, level: str, window: int) -> _Items:
    """(recovered, true, length) of each item."""
    window = {"step": 1, "partial": window, "episode": int(lengths.max())}[level]
    pieces = -(-lengths // window)
    episode = np.repeat(np.arange(len(lengths)), pieces)
    place = np.arange(len(episode)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.repeat(np.cumsum(lengths) - lengths, pieces) + window * place
    sizes = np.diff(np.append(starts, len(rewards)))
    sums = np.column_stack([np.add.reduceat(rewards, starts, axis=0), sizes])
    added = 0.0 if level == "step" else np.add.reduceat(np.abs(rewards), starts, axis=0)
    error = ROUNDING * np.column_stack([np.broadcast_to(added, (len(sums), 2)), np.zeros(len(sums))])
    largest = np.abs(sums).max(axis=0)
    ranks = np.column_stack([_order(column, slack) for column, slack in zip(sums.T, error.T, strict=True)])
    return _Items(sums / np.where(largest > 0, largest, 1.0), ranks, episode)


def _order(values: Floats, error: Floats) -> Floats:
    """The dense rank of each value; neighbours that differ by no more than the rounding error of either are tied.

    Equal sums may differ in their last bits by the order of addition. The error is that of the sum itself, Σ|r| times
    `ROUNDING`, and not of the largest sum: one outlier must not tie all others.
    """
    order = np.argsort(values, kind="stable")
    sorted_values, slack = values[order], error[order]
    apart = np.diff(sorted_values) > np.maximum(slack[1:], slack[:-1])
    ranks = np.empty(len(values))
    ranks[order] = np.concatenate([[0], np.cumsum(apart)])
    return ranks


def _controlled(items: _Items, counts: Floats, metric: str, level: str, confidence: float) -> list[Estimate]:
    """The correlation under each of CONTROLS, with its interval: none, of the constant reward, given length."""
    varies = np.ptp(items.sums, axis=0) > ZERO
    if len(items.sums) < 2 or not varies[1]:
        what = f"There is one {level}" if len(items.sums) < 2 else f"The true reward does not vary at {level} level"
        return [Estimate.undefined(f"{what}, so no reward has a correlation with it.")] * len(CONTROLS)
    xy, xl, yl = _replicates(items, counts, metric).T
    without = ONE_EPISODE if counts.shape[1] == 1 else ""

    def with_interval(replicates: Floats) -> Estimate:
        return percentile_interval(replicates, confidence, without=without)

    constant = (
        with_interval(yl)
        if varies[2]
        else Estimate.undefined(f"A constant reward does not vary at {level} level, so it has no correlation.")
    )
    if not varies[0]:
        flat = Estimate.undefined(f"The recovered reward does not vary at {level} level, so it has no correlation.")
        return [flat, constant, flat]
    if not varies[2]:
        return [with_interval(xy), constant, with_interval(xy)]
    left = (1 - xl**2) * (1 - yl**2)
    partial = np.divide(xy - xl * yl, np.sqrt(np.maximum(left, 0)), out=np.full_like(xy, np.nan), where=left > ZERO)
    if np.isfinite(partial[0]):
        return [with_interval(xy), constant, with_interval(np.clip(partial, -1, 1))]
    follower = "true" if 1 - yl[0] ** 2 <= 1 - xl[0] ** 2 else "recovered"
    why = f"The {follower} return is a function of length, so nothing of it is left when length is partialled out."
    return [with_interval(xy), constant, Estimate.undefined(why)]


def _replicates(level: _Items, counts: Floats, metric: str) -> Floats:
    """r_xy, r_xl, r_yl of each resample, (B, 3); row 0 is the sample itself."""
    items, episode = level.ranks, level.episode
    if metric == "pearson":
        return _pearson(level.sums, episode, counts)
    rank = _spearman if metric == "spearman" else _kendall
    limit = INTERVAL_ITEMS[metric]
    if len(items) <= limit:
        return rank(items, episode, counts)
    kept = np.linspace(0, len(items) - 1, limit).astype(np.int64)
    thinned = rank(items[kept], episode[kept], counts)
    exact = _spearman(items, episode, counts[:1])[0] if metric == "spearman" else _exact_kendall(items)
    return np.vstack([exact, np.clip(thinned[1:] + (exact - thinned[0]), -1, 1)])


def _exact_kendall(items: Floats) -> Floats:
    """Kendall's τ of each pair of the columns x, y and length, in O(N log N), (3,)."""
    from scipy.stats import kendalltau  # scipy.stats takes half a second to load, so only what needs it does

    x, y, length = items.T
    return np.array([kendalltau(*pair).statistic for pair in ((x, y), (x, length), (y, length))])


def _pearson(items: Floats, episode: Ints, counts: Floats) -> Floats:
    """r_xy, r_xl, r_yl of each resample, (B, 3), from the first and second moments of each episode."""
    z = items - items.mean(axis=0)
    z = z / np.maximum(z.std(axis=0), ZERO)
    x, y, length = z.T
    moments = np.column_stack([np.ones(len(z)), z, z**2, x * y, x * length, y * length])
    starts = np.flatnonzero(np.diff(episode, prepend=-1))
    total = counts @ np.add.reduceat(moments, starts, axis=0)
    mean = total[:, 1:] / total[:, :1]
    first, second, cross = mean[:, :3], mean[:, 3:6], mean[:, 6:]
    variance = second - first**2
    left, right = [0, 0, 1], [1, 2, 2]
    return _ratio(cross - first[:, left] * first[:, right], variance[:, left] * variance[:, right])


def _spearman(items: Floats, episode: Ints, counts: Floats) -> Floats:
    """ρ of each resample (B, 3): Pearson's r of the mid-ranks within that resample.

    A resample only weights the values, so a value's mid-rank is the weight below it plus half its own weight. Thus no
    resample has to be sorted.
    """
    order = np.argsort(items[:, 0], kind="stable")
    items, episode = items[order], episode[order]
    positions, tables = [], []
    for column in items.T:
        values, position = np.unique(column, return_inverse=True)
        shape = (counts.shape[1], len(values))
        tables.append(sparse.csr_array((np.ones(len(items)), (episode, position)), shape=shape))
        positions.append(position)
    size = max(1, CHUNK // len(items))
    return np.concatenate(
        [_rank_correlation(c, positions, tables, episode) for c in np.split(counts, range(size, len(counts), size))]
    )


def _rank_correlation(counts: Floats, positions: list[Ints], tables: list[sparse.csr_array], episode: Ints) -> Floats:
    weights = counts[:, episode]
    total = weights.sum(axis=1, keepdims=True)
    ranks, variances = [], []
    for position, table in zip(positions, tables, strict=True):
        tied = counts @ table
        middle = (np.cumsum(tied, axis=1) - tied / 2) / total - 0.5  # weighted mean 0 by construction
        variances.append((tied * middle**2).sum(axis=1))
        ranks.append(middle[:, position])
    columns = []
    for i, j in ((0, 1), (0, 2), (1, 2)):
        covariance = np.einsum("bn,bn,bn->b", weights, ranks[i], ranks[j])
        columns.append(_ratio(covariance / total[:, 0], variances[i] * variances[j] / total[:, 0] ** 2))
    return np.stack(columns, axis=1)


def _kendall(items: Floats, episode: Ints, counts: Floats) -> Floats:
    """τ_b of each resample (B, 3), from the concordant minus the discordant pairs between every two episodes.

    With K[e, f] = Σ sign(x_i − x_j)·sign(y_i − y_j) over i in e and j in f, a resample that draws episode e w_e times
    has wᵀKw: copies of one step are tied with each other, as they are in the resample itself.
    """
    kept, drawn = np.unique(episode, return_inverse=True)
    starts = np.flatnonzero(np.diff(drawn, prepend=-1))
    weights = counts[:, kept]
    pairs = ((0, 1), (0, 2), (1, 2), (0, 0), (1, 1), (2, 2))
    between = np.zeros((len(pairs), len(kept), len(kept)))
    for e, rows in enumerate(np.split(items, starts[1:])):
        signs = np.sign(rows[:, None, :] - items[None, :, :]).astype(np.int8)
        for k, (i, j) in enumerate(pairs):
            between[k, e] = np.add.reduceat((signs[..., i] * signs[..., j]).sum(axis=0, dtype=np.int64), starts)
    xy, xl, yl, xx, yy, ll = (((weights @ matrix) * weights).sum(axis=1) for matrix in between)
    return np.stack([_ratio(xy, xx * yy), _ratio(xl, xx * ll), _ratio(yl, yy * ll)], axis=1)


def _ratio(covariance: Floats, variances: Floats) -> Floats:
    """covariance/√variances, NaN where a variance is zero."""
    root = np.sqrt(np.maximum(variances, 0))
    ratio: Floats = np.divide(covariance, root, out=np.full_like(covariance, np.nan), where=root > ZERO)
    return np.clip(ratio, -1, 1)


def _check_rewards(recovered: ArrayLike, true: ArrayLike) -> Floats:
    columns = {"recovered": check_numbers(recovered, "recovered"), "true": check_numbers(true, "true")}
    for name, array in columns.items():
        if array.ndim != 1 or not array.size:
            raise ValueError(
                f"'{name}' must be one number a step, shape (N,) with N at least 1; got shape {array.shape}."
            )
    if len(columns["recovered"]) != len(columns["true"]):
        raise ValueError(
            "Both rewards must be those of the same steps; "
            f"'recovered' has {len(columns['recovered'])} steps and 'true' has {len(columns['true'])}."
        )
    return np.column_stack(list(columns.values()))


def _check_lengths(lengths: ArrayLike, steps: int) -> Ints:
    array = np.asarray(lengths)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer) or not array.size or array.min() < 1:
        raise ValueError(
            "'lengths' must be whole numbers, at least 1 each, one an episode; "
            f"got {array.dtype} of shape {array.shape}."
        )
    if array.sum() != steps:
        raise ValueError(f"'lengths' must sum to the number of steps, {steps}; they sum to {int(array.sum())}.")
    return array.astype(np.int64)
