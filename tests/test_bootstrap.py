"""Bootstrap intervals against theory and SciPy."""

import numpy as np
import pytest
from scipy import stats

from irl_probe.metrics import (
    Estimate,
    accelerated_interval,
    iqm,
    jackknife_counts,
    percentile_interval,
    resample_counts,
    stratified_bootstrap,
)


def test_counts_draw_every_episode_with_replacement_and_begin_with_the_sample():
    counts = resample_counts(10, 500, 0)
    np.testing.assert_array_equal(counts[0], 1)
    np.testing.assert_array_equal(counts.sum(axis=1), 10)
    assert counts[1:].mean() == pytest.approx(1)
    assert counts[1:].var() == pytest.approx(0.9, abs=0.05)  # multinomial: p(1 − p)·n


def test_iqm_is_the_mean_of_the_middle_half():
    assert iqm([0, 1, 2, 3, 4, 5, 6, 100]) == pytest.approx(3.5)
    assert iqm([[0.0, 1.0], [2.0, 100.0]]) == pytest.approx(1.5)


def test_the_interval_of_a_mean_is_that_of_theory():
    scores = np.random.default_rng(0).normal(size=400)
    found = stratified_bootstrap(scores, statistic=lambda rows: rows.mean(axis=1), resamples=4000)
    half = 1.96 * scores.std() / 20
    assert found.value == pytest.approx(scores.mean())
    assert found.low == pytest.approx(scores.mean() - half, abs=0.01)
    assert found.high == pytest.approx(scores.mean() + half, abs=0.01)


def test_strata_keep_differences_between_tasks_out_of_the_interval():
    rng = np.random.default_rng(0)
    scores = rng.normal(scale=0.01, size=(10, 4)) + np.array([0.0, 1.0, 2.0, 3.0])
    stratified = stratified_bootstrap(scores)
    pooled = stratified_bootstrap(scores.ravel())
    assert stratified.value == pytest.approx(pooled.value)
    assert stratified.high - stratified.low < 0.05 < pooled.high - pooled.low


@pytest.mark.parametrize(("scores", "why"), [([[0.5, 0.7]], "one seed"), ([[0.5, 0.7], [0.6, 0.6]], "two seeds")])
def test_one_or_two_seeds_have_no_interval(scores, why):
    found = stratified_bootstrap(scores)
    assert found.value == pytest.approx(0.6)
    assert np.isnan([found.low, found.high]).all()
    assert f"There {'is' if 'one' in why else 'are'} {why}" in found.reason


def test_equal_seeds_do_not_show_their_spread():
    """If 3 of 10 runs failed, three runs would all succeed with probability .34."""
    found = stratified_bootstrap([500.0, 500.0, 500.0])
    assert found.value == 500
    assert np.isnan([found.low, found.high]).all()
    assert "equal figures" in found.reason
    assert np.isnan(stratified_bootstrap([0.1 + 0.2, 0.3, 0.3]).low)  # equal but for rounding


def test_an_interval_over_seeds_is_students_t_lengthened_on_the_side_of_the_long_tail():
    def mean(rows):
        return rows.mean(axis=1)

    even = stratified_bootstrap([-1.0, 0.0, 1.0], statistic=mean, resamples=20_000)
    half = stats.t.ppf(1 - 0.05 / 6, 2) / np.sqrt(3)
    assert even.low == pytest.approx(-half, rel=0.02)
    assert even.high == pytest.approx(half, rel=0.02)
    tail, q = stratified_bootstrap([0.0, 0.0, 3.0], statistic=mean, resamples=20_000), stats.t.ppf(1 - 0.05 / 6, 2)
    skewness = stats.skew([0.0, 0.0, 3.0]) / np.sqrt(3)
    assert 1 - tail.low == pytest.approx(q, rel=0.02)  # the standard error is 1
    assert tail.high - 1 == pytest.approx(q * (1 + skewness * (2 * 4**2 + 1) / 6 / 4), rel=0.02)  # q is above 4


COVERED = {
    "normal": (lambda rng, size: rng.normal(size=size), 0.0, 0.0, 0.93),
    "lognormal": (lambda rng, size: rng.lognormal(size=size), np.exp(0.5), None, 0.90),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0, None, 0.90),
    # half of the runs at the ceiling of 500, the others from 200 to 500
    "ceiling": (lambda rng, size: 500 - rng.integers(0, 2, size) * rng.uniform(0, 300, size), 425.0, None, 0.90),
}


@pytest.mark.parametrize(("seeds", "tasks"), [(3, 1), (5, 1), (10, 1), (3, 3)])
@pytest.mark.parametrize("name", COVERED)
def test_intervals_over_seeds_cover(name, seeds, tasks):
    """Mean and interquartile mean; a bound fails if the coverage of 200 replications is 3 standard errors too low.

    Samples of equal seeds have no interval and do not count. `analyses/seed_intervals` has the figures.
    """
    draw, mean, middle, least = COVERED[name]
    rng = np.random.default_rng(seeds)
    if middle is None:
        middle = iqm(draw(rng, (20_000, seeds * tasks)), axis=1).mean()
    held = []
    for _ in range(200):
        scores = draw(rng, (seeds, tasks))
        by_mean = stratified_bootstrap(scores, statistic=lambda rows: rows.mean(axis=1), resamples=200)
        by_middle = stratified_bootstrap(scores, resamples=200)
        held.append(
            [
                np.nan if np.isnan(e.low) else e.low <= truth <= e.high
                for e, truth in ((by_mean, mean), (by_middle, middle))
            ]
        )
    bound = least - 3 * np.sqrt(least * (1 - least) / np.isfinite(held).sum(axis=0).min())
    assert (np.nanmean(held, axis=0) >= bound).all()


def test_the_old_percentile_intervals_fail_this_bound():
    rng, held = np.random.default_rng(0), []
    for seed in range(300):
        scores = rng.normal(size=3)
        found = percentile_interval(resample_counts(3, 200, seed) @ scores / 3, 0.95)
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) < 0.93 - 3 * np.sqrt(0.93 * 0.07 / 300)


def test_the_jackknife_leaves_each_group_out_once_and_many_groups_in_200_parts():
    counts = jackknife_counts(4)
    np.testing.assert_allclose(counts, (1 - np.eye(4)) * 4 / 3)
    many = jackknife_counts(1000)
    assert many.shape == (200, 1000)
    np.testing.assert_allclose(many.sum(axis=1), 1000)
    np.testing.assert_array_equal((many == 0).sum(axis=0), 1)
    assert jackknife_counts(1).shape == (0, 1)


@pytest.mark.parametrize("skewed", [False, True])
def test_the_accelerated_interval_is_scipys_bca_at_students_quantiles(skewed):
    rng = np.random.default_rng(0)
    sample, confidence = rng.exponential(size=20) if skewed else rng.normal(size=20), 0.95
    counts = resample_counts(20, 20_000, 1)
    found = accelerated_interval(counts @ sample / 20, jackknife_counts(20) @ sample / 20, confidence, groups=20)
    quantile = stats.t.ppf(0.975, 19) * np.sqrt(20 / 19)
    theirs = stats.bootstrap(
        (sample,), np.mean, confidence_level=2 * stats.norm.cdf(quantile) - 1, n_resamples=20_000, method="BCa", rng=2
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found.value == pytest.approx(sample.mean())
    assert found.low == pytest.approx(theirs.low, abs=0.04 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.04 * width)


def test_a_figure_that_never_changes_has_a_point_for_its_interval():
    found = accelerated_interval(np.full(101, 0.3), [np.full(5, 0.3), np.full(3, 0.3)], 0.95, groups=5)
    assert (found.low, found.high) == (0.3, 0.3)


def test_there_is_no_interval_if_most_resamples_are_undefined():
    assert percentile_interval(np.array([0.5, np.nan, np.nan, 0.4]), 0.95).reason == (
        "The figure is undefined in 67% of the bootstrap resamples."
    )
    assert percentile_interval(np.array([0.5, 0.3, np.nan, 0.4]), 0.95).reason == ""


def test_an_undefined_estimate_is_nan_with_its_reason():
    assert np.isnan(Estimate.undefined("why").array).all()


def test_scores_must_be_a_table_of_finite_numbers():
    with pytest.raises(ValueError, match=r"'scores' must be finite; got nan at index \(1,\)"):
        stratified_bootstrap([0.0, np.nan])
    with pytest.raises(ValueError, match=r"must have shape \(seeds, tasks\) or \(seeds,\); got \(1, 1, 1\)"):
        stratified_bootstrap([[[1.0]]])
