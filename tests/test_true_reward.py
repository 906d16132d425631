"""The true reward as a function: by formula or simulated, it is the environment's own."""

import gymnasium as gym
import numpy as np
import pytest
from rollouts import gentle, rollout

from irl_probe.envs import TrueReward, gridworld, make_env, true_reward
from irl_probe.envs.true_reward import _distinct


def rewards_of(reward, t):
    return reward(t.observations, t.actions, t.next_observations, t.terminated)


@pytest.mark.parametrize(
    ("env_id", "arguments", "tolerance"),
    [
        ("CartPole-v1", {}, 0),
        ("CartPole-v1", {"sutton_barto_reward": True}, 0),
        ("MountainCar-v0", {}, 0),
        ("Pendulum-v1", {}, 1e-5),
        ("GridWorld", {"slip": 0.3, "rewards": [[0, 1, 2], [3, 4, 5]]}, 0),
        ("LunarLander-v3", {}, 1e-4),
        ("LunarLander-v3", {"continuous": True}, 1e-4),
        ("LunarLander-v3", {"enable_wind": True}, 1e-4),
    ],
)
def test_formula_is_the_environments_reward_on_random_episodes(env_id, arguments, tolerance):
    env = make_env(env_id, **arguments)
    reward = true_reward(env_id, **arguments)
    assert reward.exact
    np.testing.assert_allclose(reward.discrepancy(rollout(env, 5)), 0, atol=tolerance)


def test_acrobot_pays_nothing_at_the_end_and_minus_one_before():
    env = make_env("Acrobot-v1")
    # Torque along the first joint's speed swings it up within the time limit.
    t = rollout(env, 3, policy=lambda s: 2 if s[4] < 0 else 0)
    assert t.terminated.sum() >= 1
    reward = true_reward(env)
    np.testing.assert_array_equal(reward.discrepancy(t), 0)
    unflagged = reward(t.observations, t.actions, t.next_observations, np.zeros(len(t)))
    np.testing.assert_array_equal(unflagged, t.rewards)  # the height of s′ is enough


def test_continuous_mountain_car_pays_for_the_goal():
    env = make_env("MountainCarContinuous-v0")
    t = rollout(env, 2, policy=lambda s: np.array([1.0 if s[1] > 0 else -1.0], dtype=np.float32))
    assert t.terminated.sum() == 2
    np.testing.assert_allclose(true_reward(env).discrepancy(t), 0, atol=1e-6)


def test_lunar_lander_pays_for_a_landing_and_not_for_a_crash():
    from gymnasium.envs.box2d.lunar_lander import heuristic

    env = make_env("LunarLander-v3")
    t = rollout(env, 3, policy=lambda s: heuristic(env.unwrapped, s))
    assert (t.rewards == 100).any()
    np.testing.assert_allclose(true_reward(env).discrepancy(t), 0, atol=1e-4)


@pytest.mark.parametrize(
    ("env_id", "tolerance"),
    [
        ("HalfCheetah-v5", 1e-9),
        ("Swimmer-v5", 1e-9),
        ("Hopper-v5", 1e-9),
        ("Walker2d-v5", 1e-9),
        ("InvertedPendulum-v5", 0),
        ("InvertedDoublePendulum-v5", 1e-9),
        ("Reacher-v5", 1e-9),
        ("HumanoidStandup-v5", 1e-5),  # contact forces depend on the warm start of the constraint solver
    ],
)
def test_the_simulated_reward_is_the_environments_if_no_velocity_is_clipped(env_id, tolerance):
    env = make_env(env_id)
    t = rollout(env, 3, steps=50, policy=gentle(env))
    np.testing.assert_allclose(true_reward(env).discrepancy(t), 0, atol=tolerance)


@pytest.mark.parametrize(
    ("env_id", "arguments"),
    [("Walker2d-v5", {}), ("Ant-v5", {}), ("Ant27-v5", {}), ("Humanoid-v5", {})],
)
def test_an_inexact_simulated_reward_says_so_and_has_a_small_error(env_id, arguments):
    reward = true_reward(env_id, **arguments)
    t = rollout(make_env(env_id, **arguments), 4, steps=50)
    gap = np.abs(reward.discrepancy(t))
    assert not reward.exact
    assert "on average" in reward.note
    assert 0 < gap.mean() < 0.04 * t.rewards.std()
    assert gap.max() < 0.25


def test_simulated_reward_does_not_depend_on_the_successor():
    t = rollout(make_env("HalfCheetah-v5"), 1, steps=20)
    reward = true_reward("HalfCheetah-v5")
    elsewhere = reward(t.observations, t.actions, t.next_observations[::-1], t.terminated)
    np.testing.assert_array_equal(elsewhere, rewards_of(reward, t))
    assert "does not depend on the s′" in reward.note


def test_simulated_reward_of_a_row_is_the_same_in_any_batch():
    t = rollout(make_env("Hopper-v5"), 1, steps=10)
    reward = true_reward("Hopper-v5")
    whole = rewards_of(reward, t)
    rows = np.array([3, 1, 3, 7])
    some = reward(t.observations[rows], t.actions[rows], t.next_observations[rows], t.terminated[rows])
    np.testing.assert_array_equal(some, whole[rows])


def test_tabular_reward_is_its_table():
    mdp = gridworld(np.arange(9.0).reshape(3, 3))
    s, a, t = np.array([4, 8]), np.array([0, 1]), np.array([3, 8])
    np.testing.assert_array_equal(true_reward(mdp)(s, a, t, np.zeros(2)), [4, 8])


def test_reward_reads_the_parameters_of_the_environment_given():
    env = make_env("HalfCheetah-v5", ctrl_cost_weight=0.0)
    t = rollout(env, 1, steps=20)
    np.testing.assert_allclose(true_reward(env).discrepancy(t), 0, atol=1e-6)
    assert np.abs(true_reward("HalfCheetah-v5").discrepancy(t)).max() > 1e-3


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            lambda: "Pusher-v5",
            "reward of Pusher-v5 is neither known as a formula.*Transitions.rewards.*Known: GridWorld",
        ),
        (lambda: "FrozenLake-v1", "reward of FrozenLake-v1 is neither known"),
        (lambda: "Cartpole-v1", "Did you mean 'CartPole-v1'"),
        (lambda: gym.wrappers.RescaleObservation(make_env("Pendulum-v1"), -1, 1), "wrapper of Pendulum-v1 changes its"),
    ],
)
def test_unknown_rewards_are_refused(env, message):
    with pytest.raises(ValueError, match=message):
        true_reward(env())


def test_reward_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match=r"got shapes \(3, 4\), \(2,\), \(3, 4\) and \(3,\)"):
        true_reward("CartPole-v1")(np.zeros((3, 4)), np.zeros(2), np.zeros((3, 4)), np.zeros(3))


def test_discrepancy_needs_recorded_rewards():
    t = rollout(make_env("CartPole-v1"), 1)
    bare = type(t)(t.observations, t.actions, t.next_observations, t.terminated, t.truncated, t.episode)
    with pytest.raises(ValueError, match="needs recorded rewards"):
        true_reward("CartPole-v1").discrepancy(bare)


def test_true_reward_is_frozen():
    reward = true_reward("CartPole-v1")
    assert isinstance(reward, TrueReward)
    with pytest.raises(AttributeError):
        reward.exact = False


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_distinct_rows_are_those_of_numpy(dtype):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(2000, 4)) * 100).astype(dtype)[rng.integers(2000, size=20_000)]
    rows[:50, 1:] = rows[0, 1:]  # rows that differ in one number
    first, inverse = _distinct(rows)
    np.testing.assert_array_equal(rows[first][inverse], rows)
    assert len(first) == len(np.unique(rows, axis=0))


def test_rows_with_the_same_number_are_still_told_apart(monkeypatch):
    monkeypatch.setattr(
        np.random,
        "default_rng",
        lambda seed: type("Zeros", (), {"integers": lambda *_, size, dtype: np.zeros(size, dtype)}),
    )
    first, inverse = _distinct(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert len(first) == 2
    assert inverse[0] == inverse[2] != inverse[1]
