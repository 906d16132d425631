"""Comparing rewards: known figures, the length confound, and the errors for bad input."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch
import xarray as xr
from rollouts import rollout

from irl_probe.comparison import CompareConfig, compare
from irl_probe.demos import load_demos
from irl_probe.envs import true_reward
from irl_probe.judgement import warnings_of
from irl_probe.results import load_results, save_results, to_dataframe
from irl_probe.rewards import ExactExpectation, load_reward, recover, save_reward
from irl_probe.softq import DiscreteQ, DiscreteSoftQ, NetworkSpec
from irl_probe.transitions import Transitions

QUICK = CompareConfig(resamples=100)


def episodes(lengths, rewards, *, recorded=True) -> Transitions:
    """Whole episodes whose observation is (step number, true reward)."""
    steps = np.concatenate([np.arange(n + 1) for n in lengths])
    observations = np.column_stack([steps, np.zeros(len(steps))]).astype(float)
    last = np.cumsum(np.array(lengths) + 1) - 1
    rows = np.setdiff1d(np.arange(len(steps)), last)
    observations[rows, 1] = rewards
    terminated = np.zeros(len(rows), dtype=bool)
    terminated[np.cumsum(lengths) - 1] = True
    return Transitions(
        observations=observations[rows],
        actions=np.zeros(len(rows), dtype=np.int64),
        next_observations=observations[rows + 1],
        terminated=terminated,
        truncated=np.zeros(len(rows), dtype=bool),
        episode=np.repeat(np.arange(len(lengths)), lengths),
        rewards=rewards if recorded else None,
    )


@pytest.fixture
def noisy() -> Transitions:
    """Twenty episodes of 10 to 500 steps with a true reward of mean 1 and standard deviation 1."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 501, size=20)
    return episodes(lengths, 1 + rng.normal(size=lengths.sum()))


def truth(observations, actions, next_observations, terminated):
    return observations[:, 1]


def affine(observations, actions, next_observations, terminated):
    return 3 * observations[:, 1] + 2


def negated(observations, actions, next_observations, terminated):
    return -observations[:, 1]


def unrelated(observations, actions, next_observations, terminated):
    """Positive noise, independent of the truth."""
    return np.random.default_rng(1).uniform(0.5, 1.5, size=len(observations))


def figure(tree, reward, level, *, metric="pearson", control="none", coverage="data", bound="estimate"):
    labels = {"reward": reward, "level": level, "metric": metric, "control": control, "coverage": coverage}
    return tree["correlation"]["value"].sel(labels | {"reference": "true", "bound": bound}).item()


def codes(tree):
    return [warning["code"] for warning in warnings_of(tree)]


def test_the_truth_itself_correlates_perfectly_and_its_negative_inversely(noisy):
    tree = compare({"truth": truth, "negated": negated}, transitions=noisy, config=QUICK)
    for level in ("step", "partial", "episode"):
        for metric in ("pearson", "spearman", "kendall"):
            for bound in ("estimate", "low", "high"):
                assert figure(tree, "truth", level, metric=metric, bound=bound) == pytest.approx(1)
                assert figure(tree, "negated", level, metric=metric, bound=bound) == pytest.approx(-1)
    assert "Reward “negated” is negatively correlated with the truth at episode level on data (−1.00, " in (
        " ".join(w["text"] for w in warnings_of(tree))
    )


def test_scale_and_offset_do_not_matter_at_step_level(noisy):
    assert figure(compare({"affine": affine}, transitions=noisy, config=QUICK), "affine", "step") == pytest.approx(1)


def test_controls_reveal_a_reward_that_is_independent_of_the_truth(noisy):
    tree = compare({"unrelated": unrelated}, transitions=noisy, config=QUICK)
    assert figure(tree, "unrelated", "episode") > 0.97
    assert figure(tree, "unrelated", "episode", control="constant") > 0.97
    assert abs(figure(tree, "unrelated", "step")) < 0.05
    assert "length-confound" in codes(tree)


def test_pearson_is_numpys_on_every_coverage(noisy):
    other = episodes([5, 6, 7], np.random.default_rng(3).normal(size=18))
    tree = compare({"unrelated": unrelated}, transitions={"expert": noisy, "random": other}, config=QUICK)
    for coverage, steps in (("expert", noisy), ("random", other)):
        recovered = unrelated(steps.observations, None, None, None)
        sums = [np.add.reduceat(r, steps.starts) for r in (recovered, steps.rewards)]
        assert figure(tree, "unrelated", "step", coverage=coverage) == pytest.approx(
            np.corrcoef(recovered, steps.rewards)[0, 1]
        )
        assert figure(tree, "unrelated", "episode", coverage=coverage) == pytest.approx(np.corrcoef(*sums)[0, 1])
        points = tree[f"points/{coverage}"]
        np.testing.assert_array_equal(points["recovered"].sel(reward="unrelated"), recovered)
        np.testing.assert_array_equal(points["true"], steps.rewards)
        np.testing.assert_array_equal(points["episode"], steps.episode)


def test_a_given_reference_replaces_the_recorded_rewards(noisy):
    unrecorded = episodes(noisy.lengths, noisy.rewards, recorded=False)
    given = compare({"unrelated": unrelated}, reference=truth, transitions=unrecorded, config=QUICK)
    recorded = compare({"unrelated": unrelated}, transitions=noisy, config=QUICK)
    xr.testing.assert_identical(given["correlation"].to_dataset(), recorded["correlation"].to_dataset())
    assert recorded.attrs["true_reward"] == "Recorded with the transitions."
    assert given.attrs["true_reward"] == "A given function."
    against_negated = compare({"truth": truth}, reference=negated, transitions=noisy, config=QUICK)
    assert figure(against_negated, "truth", "step") == pytest.approx(-1)


def test_the_same_seed_gives_the_same_intervals_and_another_does_not(noisy):
    def low(seed):
        tree = compare({"unrelated": unrelated}, transitions=noisy, config=CompareConfig(resamples=50, seed=seed))
        return figure(tree, "unrelated", "step", bound="low")

    assert low(0) == low(0) != low(1)


def test_config_reaches_the_results(noisy):
    config = CompareConfig(resamples=20, confidence=0.8, seed=4, window=7)
    tree = compare({"unrelated": unrelated}, transitions=noisy, config=config)
    recorded = {"resamples": 20, "confidence": 0.8, "seed": 4, "window": 7, "gamma": None}
    assert json.loads(tree.attrs["config"]) == {"compare": recorded}
    interval = "over episodes: percentile bootstrap"
    assert tree["correlation"].attrs == {"window": 7, "confidence": 0.8, "resamples": 20, "interval": interval}
    recovered = unrelated(noisy.observations, None, None, None)
    starts = np.concatenate([np.arange(s, s + n, 7) for s, n in zip(noisy.starts, noisy.lengths, strict=True)])
    sums = [np.add.reduceat(r, starts) for r in (recovered, noisy.rewards)]
    assert figure(tree, "unrelated", "partial") == pytest.approx(np.corrcoef(*sums)[0, 1])


def test_cartpoles_step_level_is_undefined_with_a_reason(tmp_path):
    env = gym.make("CartPole-v1")
    torch.manual_seed(0)
    network = DiscreteQ(NetworkSpec.of(env.observation_space, env.action_space, hidden=(8,)))
    reward = recover(DiscreteSoftQ(network, gamma=0.99, temperature=0.1))
    steps = rollout(env, 12)
    tree = compare({"iq": reward}, reference=true_reward(env), transitions={"random": steps}, config=QUICK)
    assert np.isnan(figure(tree, "iq", "step", coverage="random"))
    assert figure(tree, "iq", "episode", coverage="random", control="constant") == pytest.approx(1)
    assert "undefined-step" in codes(tree)
    assert (tree.attrs["gamma"], tree.attrs["temperature"], tree.attrs["terminal"]) == (0.99, 0.1, "zero")
    assert tree.attrs["reward_kind"] == "per-transition"
    loaded = load_results(save_results(tree, tmp_path / "results.nc"))
    xr.testing.assert_identical(loaded, tree)
    table = to_dataframe(loaded).query("level == 'step' and control == 'none'")
    assert table.reason.str.contains("does not vary at step level").all()


def test_kinds_of_all_rewards_are_named_and_a_differing_discount_is_left_out():
    network = DiscreteQ(NetworkSpec((), 2, 2, None, None, hidden=()))
    uniform = ExactExpectation(np.full((2, 2, 2), 0.5))
    rewards = {
        "observed": recover(DiscreteSoftQ(network, gamma=0.9, temperature=1.0)),
        "marginal": recover(DiscreteSoftQ(network, gamma=0.99, temperature=1.0), expectation=uniform),
    }
    steps = Transitions(
        observations=np.array([0, 1, 0]),
        actions=np.array([1, 1, 0]),
        next_observations=np.array([1, 0, 0]),
        terminated=np.zeros(3, dtype=bool),
        truncated=np.zeros(3, dtype=bool),
        episode=np.zeros(3),
        rewards=np.array([1.0, 2.0, 4.0]),
    )
    tree = compare(rewards, transitions=steps, config=QUICK)
    assert tree.attrs["reward_kind"] == "marginal, per-transition"
    assert tree.attrs["expectation"] == f"{uniform.name}, {rewards['observed'].expectation.name}"
    assert "gamma" not in tree.attrs
    assert tree.attrs["temperature"] == 1.0


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda o, a, n, t: np.ones((len(o), 1)), r"'wrong on expert' must give one number a transition.*\(18, 1\)"),
        (
            lambda o, a, n, t: np.where(np.arange(len(o)) == 7, np.nan, 1.0),
            r"'wrong on expert'.*transition 7 it is nan",
        ),
        (lambda o, a, n, t: np.full(len(o), "high"), "'wrong on expert' must give real numbers; got dtype"),
    ],
)
def test_a_reward_that_returns_something_else_is_named(returned, message):
    steps = episodes([5, 6, 7], np.arange(18.0))
    with pytest.raises(ValueError, match=message):
        compare({"fine": truth, "wrong": returned}, transitions={"expert": steps})
    with pytest.raises(ValueError, match=message.replace("wrong on", "the reference on")):
        compare({"fine": truth}, reference=returned, transitions={"expert": steps})


def test_missing_true_rewards_are_asked_for():
    steps = episodes([5, 6], np.arange(11.0), recorded=False)
    with pytest.raises(ValueError, match=r"coverage 'random' has none. Pass reference=true_reward"):
        compare({"truth": truth}, transitions={"random": steps})


def test_subsampled_transitions_are_refused(noisy):
    with pytest.raises(ValueError, match=r"left out of coverage 'data' \(subsample\). Compare before subsampling"):
        compare({"truth": truth}, transitions=noisy.subsample(5))


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ({}, "mapping name → reward.*got an empty one"),
        (truth, "mapping name → reward.*got function"),
        ({"": truth}, "must have a name"),
        ({"iq": "out/hopper"}, r"'iq' is str. Load a saved one with load_reward"),
    ],
)
def test_rewards_of_the_wrong_kind_are_refused(noisy, rewards, message):
    with pytest.raises(ValueError, match=message):
        compare(rewards, transitions=noisy)


@pytest.mark.parametrize(
    ("name", "message"), [("a/b", "without '/'.*got 'a/b'"), ("", "got ''"), (3, "got 3"), ("..", r"got '\.\.'")]
)
def test_coverages_need_a_name_that_can_be_a_group(noisy, name, message):
    with pytest.raises(ValueError, match=message):
        compare({"truth": truth}, transitions={name: noisy})


def test_coverages_must_be_transitions(noisy):
    with pytest.raises(ValueError, match="got an empty mapping"):
        compare({"truth": truth}, transitions={})
    with pytest.raises(ValueError, match="got list"):
        compare({"truth": truth}, transitions=[noisy])
    with pytest.raises(ValueError, match="Coverage 'expert' must be Transitions; got ndarray"):
        compare({"truth": truth}, transitions={"expert": noisy.rewards})


def test_a_ladder_of_policies_is_ordered_by_each_reward_beside_a_constant_one(noisy):
    ladder = {"bad": episodes([4, 4], np.ones(8)), "good": episodes([2, 2], np.full(4, 3.0))}
    rewards = {"truth": truth, "negated": negated}
    tree = compare(rewards, transitions=noisy, ladder=ladder, config=CompareConfig(resamples=50))
    group = tree["ranking"].to_dataset()
    discounted = [1 + 0.99 + 0.99**2 + 0.99**3, 3 + 3 * 0.99]
    np.testing.assert_allclose(group["true"].sel(reward="truth"), discounted, rtol=1e-12)
    np.testing.assert_allclose(group["recovered"].sel(reward="negated"), np.negative(discounted), rtol=1e-12)
    np.testing.assert_array_equal(group["undiscounted_true"], [4, 6])
    np.testing.assert_array_equal(group["undiscounted_recovered"].sel(reward="negated"), [-4, -6])
    for name in ("value", "undiscounted_value"):
        np.testing.assert_array_equal(group[name], [[1, 1, 1], [-1, -1, -1]])
    for name in ("constant", "undiscounted_constant"):  # the good policy's episodes are the shorter ones
        assert (group[name] == -1).all()
    assert set(json.loads(tree.attrs["hashes"])["ladder"]) == {"bad", "good"}


def test_results_name_each_shipped_reward_by_an_id_that_a_copy_shares(tmp_path):
    reward = load_reward("CartPole-v1/iq")
    save_reward(reward, tmp_path / "copy", figures={"measured": 1})
    steps = load_demos("CartPole-v1", episodes=2).transitions
    named = {"iq": reward, "copy": load_reward(tmp_path / "copy"), "plain": lambda o, a, o2, d: np.ones(len(o))}
    ids = json.loads(compare(named, transitions=steps, config=CompareConfig(resamples=5)).attrs["hashes"])["rewards"]
    assert set(ids) == {"iq", "copy"}
    assert ids["iq"] == ids["copy"] == reward.reward_id


def test_a_ladder_must_be_policies_with_whole_episodes(noisy):
    with pytest.raises(ValueError, match="A ladder must be a mapping policy → Transitions; got Transitions"):
        compare({"truth": truth}, transitions=noisy, ladder=noisy)
    with pytest.raises(ValueError, match="steps were left out of policy 'bad'"):
        compare({"truth": truth}, transitions=noisy, ladder={"bad": noisy.rows(np.arange(0, len(noisy), 2))})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 0}, "resamples must be at least 1; got 0"),
        ({"resamples": 10.0}, r"resamples must be a whole number \(such as 10\); got 10.0"),
        ({"seed": -1}, "seed must be between 0 and 2³² − 1; got -1"),
        ({"window": True}, r"window must be a whole number \(such as 10\); got True"),
        ({"confidence": 95}, "confidence must be between 0 and 1, for example 0.95; got 95"),
        ({"confidence": float("nan")}, "confidence must be between 0 and 1"),
    ],
)
def test_config_refuses_values_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        CompareConfig(**options)
