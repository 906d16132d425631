"""Correlations against SciPy, their intervals, what they ignore, and the reasons for undefined ones."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from irl_probe.metrics import CONTROLS, LEVELS, METRICS, correlations, resample_counts
from irl_probe.metrics.correlation import _kendall, _pearson, _spearman

BY_SCIPY = {
    "pearson": lambda x, y: stats.pearsonr(x, y).statistic,
    "spearman": lambda x, y: stats.spearmanr(x, y).statistic,
    "kendall": lambda x, y: stats.kendalltau(x, y).statistic,
}


def episodes(seed, count=40, low=3, high=60, noise=1.0, effect=1.0):
    """True and recovered rewards that share step noise and an effect of each episode."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(low, high, count)
    true = rng.normal(size=lengths.sum()) + effect * np.repeat(rng.normal(size=count), lengths)
    return true + noise * rng.normal(size=len(true)), true, lengths


def sums(values, lengths, window):
    out = []
    for part in np.split(values, np.cumsum(lengths)[:-1]):
        out += [part[i : i + window].sum() for i in range(0, len(part), window)]
    return np.array(out)


@pytest.mark.parametrize("metric", METRICS)
def test_every_level_and_control_agrees_with_scipy(metric):
    recovered, true, lengths = episodes(0)
    found = correlations(recovered, true, lengths, window=7, resamples=10)
    for level, window in (("step", 1), ("partial", 7), ("episode", 10**6)):
        x, y, n = (sums(v, lengths, window) for v in (recovered, true, np.ones_like(true)))
        r = BY_SCIPY[metric]
        assert found.at(metric, level).value == pytest.approx(r(x, y), abs=1e-9)
        if level == "step":
            assert found.at(metric, level, "length").value == pytest.approx(r(x, y), abs=1e-9)
            continue
        xy, xl, yl = r(x, y), r(x, n), r(y, n)
        partial = (xy - xl * yl) / np.sqrt((1 - xl**2) * (1 - yl**2))
        assert found.at(metric, level, "constant").value == pytest.approx(yl, abs=1e-9)
        assert found.at(metric, level, "length").value == pytest.approx(partial, abs=1e-9)


def test_the_partial_pearson_figure_is_the_correlation_of_regression_residuals():
    recovered, true, lengths = episodes(1)
    x, y = (sums(v, lengths, 10**6) for v in (recovered, true))
    design = np.column_stack([np.ones(len(lengths)), lengths])
    residuals = [v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (x, y)]
    found = correlations(recovered, true, lengths, resamples=1).at("pearson", "episode", "length")
    assert found.value == pytest.approx(stats.pearsonr(*residuals).statistic, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_the_length_control_shows_that_a_reward_ignores_the_truth(metric):
    rng = np.random.default_rng(2)
    lengths = rng.integers(10, 500, 100)
    true, blind = 1 + 0.3 * rng.normal(size=(2, lengths.sum()))
    found = correlations(blind, true, lengths, resamples=300)
    assert found.at(metric, "episode").value > 0.95
    assert found.at(metric, "episode", "constant").value > 0.95
    controlled = found.at(metric, "episode", "length")
    assert abs(controlled.value) < 0.25
    assert controlled.low < 0 < controlled.high or metric == "kendall"
    assert abs(found.at(metric, "step").value) < 0.02


@pytest.mark.parametrize(
    ("metric", "replicate"), [("pearson", _pearson), ("spearman", _spearman), ("kendall", _kendall)]
)
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), ties=st.booleans())
def test_the_correlation_of_a_resample_is_that_of_its_episodes_one_after_the_other(metric, replicate, seed, ties):
    recovered, true, lengths = episodes(seed, count=6, high=9)
    items = np.column_stack([recovered, true, np.random.default_rng(seed).normal(size=len(true))])
    items = np.round(items) if ties else items
    episode = np.repeat(np.arange(6), lengths)
    counts = resample_counts(6, 5, seed)
    figures = replicate(items, episode, counts)
    for drawn, figure in zip(counts, figures, strict=True):
        x, y, z = np.concatenate([items[episode == e] for e in range(6) for _ in range(int(drawn[e]))]).T
        if min(np.ptp(x), np.ptp(y), np.ptp(z)) == 0:
            continue
        r = BY_SCIPY[metric]
        np.testing.assert_allclose(figure, [r(x, y), r(x, z), r(y, z)], atol=1e-9)


def test_intervals_cover_the_true_correlation_as_often_as_they_say():
    """Step correlation 1/√2 in every episode; 200 data sets, nominal 90 %."""
    hits = 0
    for seed in range(200):
        recovered, true, lengths = episodes(seed, count=40, low=10, high=30, effect=0.0)
        counts = resample_counts(40, 300, seed)
        items = np.column_stack([recovered, true, np.ones_like(true)])
        replicates = _pearson(items, np.repeat(np.arange(40), lengths), counts)[1:, 0]
        low, high = np.quantile(replicates, [0.05, 0.95])
        hits += low < np.sqrt(0.5) < high
    assert 0.82 <= hits / 200 <= 0.97


def test_the_interval_resamples_episodes_not_steps():
    """Repeated steps of an episode add no information: the interval stays as wide as with one step in each episode."""
    rng = np.random.default_rng(0)
    true, recovered = rng.normal(size=(2, 50))
    once = correlations(recovered, true, np.ones(50, dtype=int), resamples=500, seed=1).at("pearson", "step")
    often = correlations(np.repeat(recovered, 30), np.repeat(true, 30), np.full(50, 30), resamples=500, seed=1).at(
        "pearson", "step"
    )
    assert often.array == pytest.approx(once.array, abs=1e-9)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    data = episodes(3)
    first, again, other = (correlations(*data, resamples=50, seed=s).value.tobytes() for s in (7, 7, 8))
    assert first == again != other


def test_positive_scale_and_step_offset_change_nothing():
    recovered, true, lengths = episodes(4)
    plain = correlations(recovered, true, lengths, resamples=20)
    scaled = correlations(1e-3 * recovered, 1e4 * true, lengths, resamples=20)
    np.testing.assert_allclose(plain.value, scaled.value, atol=1e-9)
    offset = correlations(recovered + 5, true - 3, lengths, resamples=20)
    np.testing.assert_allclose(plain.value[:, 0], offset.value[:, 0], atol=1e-9)


def test_with_more_items_than_the_limit_the_estimate_still_uses_every_step():
    recovered, true, lengths = episodes(5, count=60, low=300, high=400)
    assert len(true) > 16384
    found = correlations(recovered, true, lengths, resamples=100)
    for metric in METRICS:
        estimate = found.at(metric, "step")
        assert estimate.value == pytest.approx(BY_SCIPY[metric](recovered, true), abs=1e-9)
        assert estimate.low < estimate.value < estimate.high


def test_equal_sums_that_differ_by_rounding_are_tied():
    true = np.array([0.1, 0.2, 0.3, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1])
    lengths = np.array([3, 3, 3])
    found = correlations(np.arange(9.0), true, lengths, resamples=5)
    assert found.at("kendall", "episode").value == pytest.approx(stats.kendalltau([0, 1, 2], [1, 1, 0]).statistic)


# Undefined figures


def reasons_match_nans(found):
    for metric in METRICS:
        for level in LEVELS:
            for control in CONTROLS:
                estimate = found.at(metric, level, control)
                assert np.isnan(estimate.array).any() == bool(estimate.reason), (metric, level, control)


def test_a_constant_reward_is_undefined_at_step_level_and_is_length_at_episode_level():
    _, true, lengths = episodes(6)
    found = correlations(np.full(len(true), 2.0), true, lengths, resamples=50)
    reasons_match_nans(found)
    assert found.at("pearson", "step").reason == (
        "The recovered reward does not vary at step level, so it has no correlation."
    )
    alone, beside = found.at("pearson", "episode").value, found.at("pearson", "episode", "constant").value
    assert alone == pytest.approx(beside, rel=1e-12)  # the last digit is the processor's
    assert found.at("pearson", "episode", "length").reason.startswith("The recovered return is a function of length")


def test_a_true_reward_of_one_at_each_step_is_undefined_once_length_is_partialled_out():
    recovered, true, lengths = episodes(7)
    found = correlations(recovered, np.ones_like(true), lengths, resamples=50)
    reasons_match_nans(found)
    for metric in METRICS:
        assert "The true reward does not vary at step level" in found.at(metric, "step").reason
        assert found.at(metric, "episode", "constant").value == pytest.approx(1)
        assert found.at(metric, "episode", "length").reason.startswith("The true return is a function of length")


def test_if_all_lengths_are_equal_there_is_nothing_to_partial_out():
    rng = np.random.default_rng(8)
    true, recovered = rng.normal(size=(2, 200))
    found = correlations(recovered, true, np.full(20, 10), resamples=50)
    reasons_match_nans(found)
    assert "A constant reward does not vary at episode level" in found.at("kendall", "episode", "constant").reason
    np.testing.assert_array_equal(found.value[:, :, 0], found.value[:, :, 2])


def test_one_episode_has_step_figures_without_interval_and_no_episode_figure():
    recovered, true, _ = episodes(9)
    found = correlations(recovered, true, [len(true)], resamples=50)
    reasons_match_nans(found)
    step = found.at("spearman", "step")
    assert np.isfinite(step.value)
    assert np.isnan(step.low)
    assert step.reason == "There is one episode, so there is no interval over episodes."
    assert found.at("pearson", "episode").reason.startswith("There is one episode")


def test_one_step_is_undefined_with_a_reason():
    found = correlations([1.0], [2.0], [1], resamples=5)
    reasons_match_nans(found)
    assert np.isnan(found.value).all()


# Bad input


def test_the_message_about_nan_names_its_index():
    with pytest.raises(ValueError, match=r"'recovered' must be finite; got nan at index \(2,\)"):
        correlations([0.0, 1.0, np.nan], np.zeros(3), [3])


def test_lengths_must_fit():
    with pytest.raises(ValueError, match="'lengths' must sum to the number of steps, 3; they sum to 4"):
        correlations(np.zeros(3), np.zeros(3), [2, 2])
    with pytest.raises(ValueError, match="'lengths' must be whole numbers, at least 1 each"):
        correlations(np.zeros(3), np.zeros(3), [3, 0])
    with pytest.raises(ValueError, match="'lengths' must be whole numbers"):
        correlations(np.zeros(3), np.zeros(3), [1.5, 1.5])


def test_rewards_must_be_one_number_a_step():
    with pytest.raises(ValueError, match=r"'true' must be one number a step, .*got shape \(3, 1\)"):
        correlations(np.zeros(3), np.zeros((3, 1)), [3])
    with pytest.raises(ValueError, match="'recovered' has 2 steps and 'true' has 3"):
        correlations(np.zeros(2), np.zeros(3), [3])


def test_settings_are_checked():
    with pytest.raises(ValueError, match="window of at least one step; got 0"):
        correlations(np.zeros(3), np.zeros(3), [3], window=0)
    with pytest.raises(ValueError, match=r"confidence must lie between 0 and 1, for example 0\.95; got 95"):
        correlations(np.zeros(3), np.zeros(3), [3], confidence=95)
    with pytest.raises(ValueError, match="at least one resample"):
        correlations(np.zeros(3), np.zeros(3), [3], resamples=0)
    found = correlations(*episodes(0), resamples=2)
    with pytest.raises(ValueError, match=r"'metric' must be one of .*Did you mean 'pearson'"):
        found.at("person", "step")


def test_a_hundred_episodes_of_a_thousand_steps_take_less_than_15_seconds_of_cpu_time():
    recovered, true, lengths = episodes(0, count=100, low=1000, high=1001)
    began = time.process_time()
    correlations(recovered, true, lengths, resamples=1000)
    assert time.process_time() - began < 15
