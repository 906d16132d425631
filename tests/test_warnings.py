"""The warnings: each rule on figures that should raise it, and on figures that should not."""

import numpy as np
import pytest
import xarray as xr

from irl_probe.judgement import warnings_of
from irl_probe.judgement.grades import with_interval
from irl_probe.results import (
    average_runs,
    correlation_group,
    coverages_group,
    distance_group,
    merge_results,
    new_results,
    points_group,
    retraining_group,
    returns_group,
    stack_runs,
)

LEVELS, CONTROLS = ["step", "partial", "episode"], ["none", "constant", "length"]


def correlation(figures: dict[tuple[str, str], float | tuple[float, float, float]]) -> xr.Dataset:
    """Two coverages: "expert" with `figures` (level, control) → value, "random" that raises no warning."""
    value = np.full((1, 1, 2, 1, 3, 3, 3), 0.8)
    value[..., CONTROLS.index("constant"), :] = 0.1
    for (level, control), figure in figures.items():
        value[0, 0, 0, 0, LEVELS.index(level), CONTROLS.index(control)] = figure
    return correlation_group(
        value,
        np.where(np.isnan(value[..., 0]), "The true reward does not vary at step level.", ""),
        rewards=["iq"],
        references=["true"],
        coverages=["expert", "random"],
        metrics=["pearson"],
        levels=LEVELS,
        controls=CONTROLS,
    )


def of_correlation(figures):
    return warnings_of(new_results({"correlation": correlation(figures)}))


def returns(expert: float, learned: float, random: float) -> xr.Dataset:
    figures = {"expert": [expert], "learned": [learned], "random": [random]}
    return returns_group(figures, figures, resamples=2)


def test_good_figures_raise_no_warning():
    points = {
        f"points/{name}": points_group(range(10), np.ones(10), {"iq": np.ones(10)}) for name in ("expert", "random")
    }
    tree = new_results(
        {
            "correlation": correlation({}),
            "returns": returns(500, 490, 20),
            "retraining": retraining_group([[480]], rewards=["iq"], seeds=[0], normalised=[[0.96]]),
            **points,
        }
    )
    assert warnings_of(tree) == []
    assert warnings_of(new_results({})) == []


@pytest.mark.parametrize(("reward", "constant"), [(0.97, 0.999), (0.96, -1.0), (-0.99, 0.99), (0.951, 1.0)])
def test_length_confound_if_a_constant_reward_does_as_well(reward, constant):
    found = of_correlation({("episode", "none"): reward, ("episode", "constant"): constant})
    assert [v["code"] for v in found] == ["length-confound"]
    assert "the episode correlation is no higher than a constant reward's on expert" in found[0]["text"]
    figures = f"({reward:.2f}; a constant reward reaches {constant:.2f}; with length partialled out 0.80)"
    assert figures.replace("-", "−") in found[0]["text"]


@pytest.mark.parametrize("controlled", [(0.3, -0.1, 0.6), (np.nan,) * 3])
def test_length_confound_if_nothing_is_known_to_be_left_without_length(controlled):
    raw = {("episode", "none"): (0.99, 0.98, 0.995), ("episode", "constant"): 0.98, ("episode", "length"): controlled}
    found = [v["text"] for v in of_correlation(raw) if v["code"] == "length-confound"]
    assert len(found) == 1
    assert "is not known to say anything beyond episode length on expert (0.99 [0.98, 0.99]" in found[0]
    far = raw | {("episode", "none"): (0.8, 0.7, 0.9)}  # not near the constant's: only the controlled figure tells
    codes = [v["code"] for v in of_correlation(far)]
    assert ("length-confound" in codes) is bool(np.isfinite(controlled[0]))


@pytest.mark.parametrize(("reward", "constant"), [(0.76, 0.999), (0.12, 0.1), (0.9, np.nan)])
def test_no_length_confound_if_the_constant_reward_differs_or_explains_nothing(reward, constant):
    assert of_correlation({("episode", "none"): reward, ("episode", "constant"): constant}) == []


def test_negative_correlation_uses_the_figure_with_length_partialled_out():
    (found,) = of_correlation({("episode", "none"): 0.8, ("episode", "length"): (-0.3, -0.5, -0.1)})
    assert found["code"] == "negative-correlation"
    assert "with the truth at episode level on expert (−0.30 [−0.50, −0.10], length partialled out)" in found["text"]
    assert of_correlation({("episode", "none"): -0.3, ("episode", "length"): 0.5}) == []


def test_a_correlation_is_called_negative_only_if_its_whole_interval_is():
    found = of_correlation({("episode", "length"): (-0.56, -0.75, 0.07)})
    assert [v["code"] for v in found] == ["includes-zero"]
    assert "includes 0 on expert (episode level with length partialled out)" in found[0]["text"]


def test_negative_correlation_uses_the_plain_figure_if_the_controlled_one_is_undefined():
    (found,) = of_correlation({("partial", "none"): (-0.4, np.nan, np.nan), ("partial", "length"): np.nan})
    assert found["code"] == "negative-correlation"
    assert "may be negatively correlated with the truth at partial level on expert (−0.40, without" in found["text"]


def test_the_warning_about_an_undefined_step_level_gives_the_reason():
    (found,) = of_correlation({("step", "none"): np.nan})
    assert found["code"] == "undefined-step"
    assert (
        found["text"]
        == "Reward “iq” has no step-level correlation on expert: The true reward does not vary at step level."
    )


def test_the_warning_about_an_interval_that_includes_zero_names_the_levels():
    wide = (0.2, -0.1, 0.5)
    (found,) = of_correlation({("step", "none"): wide, ("episode", "none"): wide})
    assert found["code"] == "includes-zero"
    assert "includes 0 on expert (step and episode level)" in found["text"]
    assert of_correlation({("step", "none"): (0.2, 0.1, 0.5), ("step", "length"): wide}) == []


def test_imitation_below_nine_tenths_of_the_expert():
    (found,) = warnings_of(new_results({"returns": returns(100, 80, 0)}))
    assert found["code"] == "imitation"
    assert "reaches 0.80 of the expert's return" in found["text"]
    spread = {"expert": [100.0] * 4, "learned": [20.0, 100.0, 100.0, 100.0], "random": [0.0] * 4}
    (found,) = warnings_of(new_results({"returns": returns_group(spread, spread, resamples=200)}))
    assert "this policy is not shown to imitate" in found["text"]
    assert warnings_of(new_results({"returns": returns(100, 90, 0)})) == []


def test_retraining_below_nine_tenths_names_the_reward():
    group = retraining_group(
        [[54, 55, 56], [95, 97, 99]],
        rewards=["iq", "bc"],
        seeds=[0, 1, 2],
        normalised=[[0.54, 0.55, 0.56], [0.95, 0.97, 0.99]],
    )
    (found,) = warnings_of(new_results({"retraining": group}))
    assert found["code"] == "retraining"
    assert "reward “iq” alone reach 0.55 [0.51, 0.59] of the expert's true return" in found["text"]
    assert "does not bring back the expert's behaviour" in found["text"]


def test_retraining_is_called_a_failure_only_if_its_whole_interval_is():
    named = {"rewards": ["wide", "alone"], "seeds": [0, 1]}
    group = retraining_group([[20, 99], [50, np.nan]], **named, normalised=[[0.2, 0.99], [0.5, np.nan]])
    found = [v["text"] for v in warnings_of(new_results({"retraining": group}))]
    assert len(found) == 2
    assert all("this reward is not shown to bring back the expert's behaviour" in text for text in found)
    assert "“alone” alone reach 0.50 of" in found[1]


def test_few_episodes_are_counted_for_each_coverage():
    few, enough = (points_group(range(n), np.ones(n), {"iq": np.ones(n)}) for n in (9, 10))
    (found,) = warnings_of(new_results({"points/expert": few, "points/random": enough}))
    assert found["code"] == "few-episodes"
    assert "on expert (9)" in found["text"]


def distance(metrics: list[str]) -> xr.Dataset:
    shape = (1, 1, 1, len(metrics))
    labels = {"rewards": ["iq"], "references": ["true"], "coverages": ["uniform"], "metrics": metrics}
    return distance_group(np.zeros((*shape, 3)), np.full(shape, ""), **labels, exact=True)


def test_the_warning_about_next_state_noise_names_the_measures_that_see_it():
    group = {"distance": distance(["dard", "epic", "starc_val"])}
    (found,) = warnings_of(new_results(group, reward_kind="per-transition", stochastic=True))
    assert found["code"] == "next-state-noise"
    assert found["text"].startswith("Measured by dard and epic, the chance part of s′")
    (found,) = warnings_of(new_results(group, reward_kind="per-transition"))
    assert "unless this environment is deterministic" in found["text"]
    assert warnings_of(new_results(group, reward_kind="per-transition", stochastic=False)) == []
    assert warnings_of(new_results(group, reward_kind="marginal", stochastic=True)) == []
    invariant = {"distance": distance(["starc_val", "starc_minimal"])}
    assert warnings_of(new_results(invariant, reward_kind="per-transition", stochastic=True)) == []


def test_baselines_beside_the_rewards_raise_no_warning():
    group = correlation({("step", "none"): np.nan})
    assert warnings_of(new_results({"correlation": group.assign_coords(reward=["constant"])})) == []
    assert warnings_of(new_results({"correlation": group.assign_coords(reward=["true"])})) == []
    assert len(warnings_of(new_results({"correlation": group}))) == 1


def test_few_episodes_are_known_if_the_points_were_left_out():
    few, enough = (points_group(range(n), np.ones(n), {"iq": np.ones(n)}) for n in (9, 10))
    counted = new_results({"points/expert": few, "points/random": enough})
    stored = new_results({"coverages": coverages_group({"expert": 9, "random": 10})})
    assert warnings_of(stored) == warnings_of(counted)
    assert [warning["code"] for warning in warnings_of(stored)] == ["few-episodes"]


def test_merged_results_have_the_fewest_episodes_of_their_parts():
    parts = [coverages_group({"expert": 30, "random": 4}), coverages_group({"expert": 7})]
    (found,) = warnings_of(merge_results(*(new_results({"coverages": part}) for part in parts)))
    assert "on expert (7) and random (4)" in found["text"]


def test_intervals_over_runs_do_not_come_from_few_episodes():
    tree = new_results({"coverages": coverages_group({"expert": 3}), "correlation": correlation({})})
    assert [warning["code"] for warning in warnings_of(tree)] == ["few-episodes"]
    assert warnings_of(average_runs(stack_runs({0: tree, 1: tree}, "seed"))) == []


def test_warnings_are_computed_from_the_figures_and_never_stored():
    tree = new_results({"correlation": correlation({("step", "none"): (0.2, -0.1, 0.5)})})
    assert "warnings" not in tree.attrs
    tree.attrs["warnings"] = '[{"code": "length-confound", "text": "old"}]'
    assert [warning["code"] for warning in warnings_of(tree)] == ["includes-zero"]


@pytest.mark.parametrize(
    ("bounds", "text"),
    [((-0.001, -0.01, 0.004), "0.00 [−0.01, 0.00]"), ((-0.25, -0.26, -0.24), "−0.25 [−0.26, −0.24]")],
)
def test_figures_in_sentences_have_a_true_minus_and_no_minus_zero(bounds, text):
    assert with_interval(bounds) == text


def test_rewards_without_a_step_level_correlation_for_one_reason_share_a_warning():
    one = correlation({("step", "none"): np.nan})
    both = xr.concat([one, one.assign_coords(reward=["bc"])], "reward")
    (found,) = warnings_of(new_results({"correlation": both}))
    assert found["text"].startswith("Rewards “iq” and “bc” have no step-level correlation on expert: The true reward")
    assert "reward" not in found
    (alone,) = warnings_of(new_results({"correlation": one}))
    assert alone["reward"] == "iq"
