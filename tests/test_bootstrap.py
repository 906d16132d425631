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


def test_one_seed_has_no_interval():
    found = stratified_bootstrap([[0.5, 0.7]])
    assert found.value == pytest.approx(0.6)
    assert np.isnan(found.low)
    assert "one seed" in found.reason


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
