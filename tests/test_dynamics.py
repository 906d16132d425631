"""Learned dynamics as the expectation over s′, compared with known dynamics; and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.rewards import (
    DynamicsConfig,
    LearnedDynamics,
    LearnedSimulator,
    RewardError,
    fit_dynamics,
    load_reward,
    recover,
    save_reward,
)
from irl_probe.softq import ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec
from tests.fuzzing import tampered

BOX, PUSH = spaces.Box(-np.inf, np.inf, (2,), np.float64), spaces.Box(-1, 3, (1,), np.float32)
NOISE = 0.2
SMALL = DynamicsConfig(hidden=(32,), updates=600, learning_rate=3e-3)


def linear_steps(episodes=20, length=50, seed=0, ending=False):
    """s′ = .9 s + [0, (a − 1)/2] + N(0, .2²); with `ending` the MDP ends after a > 2."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(episodes):
        rows, s = [], rng.normal(size=2)
        for t in range(length):
            a = rng.uniform(-1, 3, 1)
            ended = bool(ending and a[0] > 2)
            s2 = expected(s, a) + NOISE * rng.normal(size=2)
            rows.append((s, a, s2, ended, t == length - 1 and not ended))
            if ended:
                break
            s = s2
        o, a, o2, terminated, truncated = (np.array(column) for column in zip(*rows, strict=True))
        parts.append(ip.Transitions(o, a, o2, terminated, truncated, np.zeros(len(rows))))
    return ip.Transitions.concatenate(parts)


def expected(s, a):
    return 0.9 * s + np.concatenate([0 * a, (a - 1) / 2], axis=-1)


def soft_q():
    torch.manual_seed(0)
    spec = NetworkSpec.of(BOX, PUSH, hidden=(8,))
    return ip.softq.ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.9, temperature=0.5)


@pytest.fixture(scope="module")
def learned():
    return fit_dynamics(linear_steps(), BOX, PUSH, config=SMALL)


def test_the_held_out_likelihood_is_nearly_that_of_the_truth_and_far_above_the_baseline(learned):
    entropy = 2 * (0.5 * np.log(2 * np.pi * np.e) + np.log(NOISE))  # of the true noise, nats a step
    assert -entropy - 0.25 < learned.log_likelihood < -entropy + 0.25
    assert learned.baseline < learned.log_likelihood - 0.5
    assert learned.held_out == 200


def test_the_expectation_is_that_of_the_known_dynamics(learned):
    steps = linear_steps(4, seed=1)
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    many = LearnedDynamics(learned.network, learned.log_likelihood, learned.baseline, learned.held_out, samples=300)
    found, error = many(lambda o, d: o @ [1.0, 2.0] + o[:, 0] ** 2, *batch)
    mean = expected(steps.observations, steps.actions)
    wanted = mean @ [1.0, 2.0] + mean[:, 0] ** 2 + NOISE**2
    assert np.abs(found - wanted).mean() < 0.1  # the values' own standard deviation is about 2
    assert np.corrcoef(found, wanted)[0, 1] > 0.99
    assert 0.5 < error.mean() / (NOISE * np.sqrt(5) / np.sqrt(300)) < 2
    few = many(lambda o, d: o[:, 0], *batch)[0]
    np.testing.assert_array_equal(few, many(lambda o, d: o[:, 0], *batch)[0])


def test_the_reward_is_marginal_and_results_name_the_expectation(learned):
    steps = linear_steps(4, seed=1)
    true = ip.Transitions(**{**vars(steps), "rewards": steps.observations[:, 0]})
    reward = recover(soft_q(), expectation=learned)
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    np.testing.assert_array_equal(reward(*batch), reward(*batch[:2], steps.next_observations + 5, steps.terminated))
    assert (reward.kind, reward.expectation.name) == ("marginal", "learned dynamics")
    assert (reward.standard_error(*batch) > 0).all()
    assert ip.compare({"sac": reward}, transitions=true).attrs["expectation"] == "learned dynamics"


def test_a_predicted_termination_pays_the_terminal_value():
    model = fit_dynamics(linear_steps(80, 20, ending=True), BOX, PUSH, config=SMALL)
    reward = recover(soft_q(), expectation=model, terminal=-50.0)
    o, ended = np.zeros((2, 2)), np.zeros(2, dtype=bool)
    a = np.array([[2.9], [0.0]])
    after = (reward.q(o, a) - reward(o, a, o, ended)) / 0.9
    assert after[0] == pytest.approx(-50, abs=5)  # the end is predicted with a probability near 1
    assert abs(after[1]) < 5


def test_without_a_termination_in_the_data_none_is_predicted(learned):
    ones = learned(lambda o, d: np.where(d, 1e9, 1.0), np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((3, 2)), None)
    np.testing.assert_array_equal(ones, [np.ones(3), np.zeros(3)])


def test_the_same_seed_gives_the_same_model_of_discrete_actions():
    steps = linear_steps(6)
    binary = ip.Transitions(**{**vars(steps), "actions": (steps.actions[:, 0] > 1).astype(np.int64)})
    quick = DynamicsConfig(hidden=(16,), updates=200, members=2)
    one, two = (fit_dynamics(binary, BOX, spaces.Discrete(2), config=quick) for _ in range(2))
    assert one.log_likelihood == two.log_likelihood > one.baseline
    q = ip.softq.DiscreteSoftQ(DiscreteQ(NetworkSpec.of(BOX, spaces.Discrete(2))), gamma=0.9, temperature=1.0)
    batch = (binary.observations, binary.actions, binary.next_observations, binary.terminated)
    rewards = [recover(q, expectation=model)(*batch) for model in (one, two)]
    np.testing.assert_array_equal(*rewards)


def test_it_is_saved_with_its_reward_and_comes_back_bit_for_bit(learned, tmp_path):
    reward = recover(soft_q(), expectation=learned, observation_space=BOX, action_space=PUSH)
    steps = linear_steps(1)
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    first = save_reward(reward, tmp_path / "a")
    loaded = load_reward(first)
    np.testing.assert_array_equal(loaded(*batch), reward(*batch))
    for name in ("name", "log_likelihood", "baseline", "held_out", "samples", "seed"):
        assert getattr(loaded.expectation, name) == getattr(learned, name)
    assert "E over s′: learned dynamics" in (first / "README.md").read_text()
    again = save_reward(loaded, tmp_path / "b")
    assert (first / "reward.json").read_bytes() == (again / "reward.json").read_bytes()


@pytest.fixture
def saved(learned, tmp_path):
    """The folder of a reward with learned dynamics."""
    reward = recover(soft_q(), expectation=learned, observation_space=BOX, action_space=PUSH)
    return save_reward(reward, tmp_path / "reward")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("samples", 1, "'samples' of reward.json.reward.expectation must be whole, from 2 to 4096; got 1"),
        ("held_out", 0, "'held_out' of reward.json.reward.expectation must be whole, from 1 to 46116860.*; got 0"),
        ("log_likelihood", "high", "'log_likelihood' of reward.json.reward.expectation must be a finite number"),
        ("env_id", "Pendulum-v1", "reward.json.reward.expectation has the unexpected field 'env_id'"),
        ("network", {}, "reward.json.reward.expectation.network must have the field"),
    ],
)
def test_a_wrong_field_of_a_saved_model_is_named(saved, field, value, message):
    with pytest.raises(RewardError, match=message):
        load_reward(tampered(saved, lambda content: content["reward"]["expectation"].update({field: value})))


def test_a_saved_model_with_a_scale_of_zero_is_refused(saved):
    tensors = safetensors.torch.load((saved / "reward.safetensors").read_bytes())
    assert {name for name in tensors if name.startswith("expectation.")} >= {"expectation.network.change_scale"}
    tensors["expectation.network.change_scale"] = torch.zeros(2)
    with pytest.raises(RewardError, match="scales of learned dynamics must be positive"):
        load_reward(tampered(saved, lambda content: None, weights=safetensors.torch.save(tensors)))


def test_as_a_simulator_it_draws_the_successors_and_ends_of_the_data():
    model = fit_dynamics(linear_steps(40, ending=True), BOX, PUSH, config=SMALL)
    rng = np.random.default_rng(3)
    s, a = rng.normal(size=(4000, 2)), rng.uniform(-1, 1.5, (4000, 1))
    found = LearnedSimulator(model).step(s, a)
    left = found.next_observations - expected(s, a)
    np.testing.assert_allclose(left.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(left.std(axis=0), NOISE, rtol=0.25)
    assert found.terminated.mean() < 0.1
    assert LearnedSimulator(model).step(s, np.full((4000, 1), 2.8)).terminated.mean() > 0.8
    assert np.isnan(found.rewards).all()


def test_compare_computes_every_distance_with_learned_dynamics_and_names_them(learned):
    steps = linear_steps(12, seed=5)

    def truth(s, a, s2, d):
        return s[:, 0] * a[:, 0]

    tree = ip.compare(
        {"twice": lambda *batch: 2 * truth(*batch)},
        reference=truth,
        transitions=steps,
        config=ip.CompareConfig(resamples=50),
        distances=ip.comparison.DistanceConfig(gamma=0.9, samples=200, states=32, resamples=50),
        dynamics=learned,
    )
    group = tree["distance"].to_dataset()
    assert group.attrs["expectation"].startswith("learned dynamics (held-out log likelihood")
    np.testing.assert_allclose(group["value"].sel(bound="estimate"), 0, atol=1e-6)
    assert float(group["random"].sel(metric="starc_minimal", bound="estimate").item()) > 0.5
    assert "stochastic" not in tree.attrs


def test_a_model_of_other_spaces_is_refused(learned):
    torch.manual_seed(0)
    spec = NetworkSpec.of(BOX, spaces.Box(-1, 1, (1,)))
    other = ip.softq.ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.9, temperature=0.5)
    with pytest.raises(RewardError, match="they must fit"):
        recover(other, expectation=learned)


def corrupted(steps, name):
    values = getattr(steps, name).copy()
    values[70] = np.nan
    return {**vars(steps), name: values}


@pytest.mark.parametrize("name", ["observations", "actions", "next_observations"])
def test_transitions_with_nan_never_reach_the_model(name):
    with pytest.raises(ValueError, match=rf"'{name}' must be finite; episode 1, step 20"):
        fit_dynamics(ip.Transitions(**corrupted(linear_steps(4), name)), BOX, PUSH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((linear_steps(1, 99), BOX, PUSH), r"at least 100 steps; got 99.*expectation='observed'"),
        ((linear_steps(4), spaces.Discrete(4), PUSH), r"Box of real numbers; got Discrete.*ExactExpectation"),
        ((linear_steps(4), spaces.Box(0, 255, (2,), np.uint8), PUSH), r"Box of real numbers"),
        ((linear_steps(4), spaces.Box(-1, 1, (3,)), PUSH), r"observations must be those of Box.*got shape \(200, 2\)"),
        ((linear_steps(4), BOX, spaces.Discrete(2)), r"actions must be those of Discrete\(2\).*\(200, 1\)"),
        ((linear_steps(4), BOX, spaces.Box(-np.inf, np.inf, (1,))), r"finite bounds"),
    ],
)
def test_steps_and_spaces_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(RewardError, match=message):
        fit_dynamics(*arguments)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples": 1}, "at least 2 successors"),
        ({"members": 0}, "members must be at least 1; got 0"),
        ({"hidden": ()}, "hidden must be one or more widths of at least 1"),
        ({"held_out": 1.0}, "held_out must lie between 0 and 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(RewardError, match=message):
        DynamicsConfig(**setting)
