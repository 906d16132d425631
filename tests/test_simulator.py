"""Simulators start from any observation, take the environment's own step, and leave the environment unchanged."""

import gymnasium as gym
import numpy as np
import pytest
from rollouts import gentle, rollout

from irl_probe.envs import gridworld, make_env, simulator


@pytest.mark.parametrize(
    ("env_id", "tolerance"),
    [
        ("CartPole-v1", 1e-6),
        ("Acrobot-v1", 1e-5),
        ("Pendulum-v1", 1e-5),
        ("MountainCar-v0", 1e-6),
        ("MountainCarContinuous-v0", 1e-6),
        ("HalfCheetah-v5", 1e-6),
        ("Swimmer-v5", 1e-6),
        ("InvertedPendulum-v5", 1e-6),
        ("Reacher-v5", 1e-6),
    ],
)
def test_a_step_from_a_recorded_observation_is_the_recorded_step(env_id, tolerance):
    env = make_env(env_id)
    t = rollout(env, 3, steps=50)
    source = simulator(env)
    step = source.step(t.observations, t.actions)
    assert source.deterministic
    assert source.exact
    assert source.name == env_id
    assert step.next_observations.dtype == env.observation_space.dtype
    np.testing.assert_allclose(step.next_observations, t.next_observations, atol=tolerance)
    np.testing.assert_allclose(step.rewards, t.rewards, atol=1e-5)
    np.testing.assert_array_equal(step.terminated, t.terminated)


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Walker2d-v5"])
def test_the_step_is_exact_if_no_velocity_is_clipped(env_id):
    env = make_env(env_id)
    t = rollout(env, 3, steps=50, policy=gentle(env))
    source = simulator(env_id)
    step = source.step(t.observations, t.actions)
    assert not source.exact
    assert "clips velocities" in source.note
    np.testing.assert_allclose(step.next_observations, t.next_observations, atol=1e-9)
    np.testing.assert_array_equal(step.terminated, t.terminated)


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Acrobot-v1", "Hopper-v5", "Humanoid-v5"])
def test_a_simulator_does_not_change_the_environment(env_id):
    def play(disturb):
        env = make_env(env_id)
        observation, _ = env.reset(seed=0)
        env.action_space.seed(0)
        seen = [observation]
        for _ in range(8):
            action = env.action_space.sample()
            if disturb:
                simulator(env).step(seen[-1][None], np.asarray(action)[None])
            seen.append(env.step(action)[0])
        return np.array(seen)

    np.testing.assert_array_equal(play(disturb=True), play(disturb=False))


@pytest.mark.parametrize("env_id", ["Hopper-v5", "HalfCheetah-v5", "Reacher-v5"])
def test_a_simulator_does_not_change_the_state_of_mujoco(env_id):
    env = make_env(env_id)
    t = rollout(env, 1, steps=7)
    data = env.unwrapped.data
    names = ("qpos", "qvel", "time", "qacc_warmstart", "qacc", "ctrl", "act", "xpos", "cfrc_ext")
    before = {name: np.copy(getattr(data, name)) for name in names}
    assert before["qacc_warmstart"].any()
    assert before["time"] > 0
    simulator(env).step(t.observations, t.actions)
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(data, name), values, err_msg=name)


def test_a_simulator_uses_changed_physics():
    env = make_env("Hopper-v5")
    t = rollout(env, 1, steps=5)
    usual = simulator(env).step(t.observations, t.actions)
    env.unwrapped.model.body_mass[:] *= 2
    heavy = simulator(env).step(t.observations, t.actions)
    assert np.abs(heavy.next_observations - usual.next_observations).max() > 0.01


def test_rows_depend_neither_on_their_batch_nor_on_the_threads():
    t = rollout(make_env("Hopper-v5"), 1, steps=12)
    one = simulator("Hopper-v5", workers=1).step(t.observations, t.actions)
    three = simulator("Hopper-v5", workers=3).step(t.observations, t.actions)
    backwards = simulator("Hopper-v5", workers=1).step(t.observations[::-1], t.actions[::-1])
    np.testing.assert_array_equal(one.next_observations, three.next_observations)
    np.testing.assert_array_equal(one.rewards, backwards.rewards[::-1])


def test_no_rows_give_no_steps():
    step = simulator("Hopper-v5").step(np.zeros((0, 11)), np.zeros((0, 3)))
    assert step.next_observations.shape == (0, 11)
    assert step.rewards.shape == step.terminated.shape == (0,)


def test_tabular_simulator_draws_from_p():
    mdp = gridworld(np.arange(9.0).reshape(3, 3), slip=0.5)
    source = simulator(make_env("GridWorld", rewards=np.arange(9.0).reshape(3, 3), slip=0.5), seed=1)
    step = source.step(np.full(20_000, 4), np.full(20_000, 1))
    assert not source.deterministic
    assert source.exact
    np.testing.assert_allclose(
        np.bincount(step.next_observations, minlength=9) / 20_000, mdp.transition[4, 1], atol=0.02
    )
    np.testing.assert_array_equal(step.rewards, 4)
    assert not step.terminated.any()


def test_tabular_simulator_without_slip_is_deterministic():
    source = simulator(gridworld())
    assert source.deterministic
    assert source.step(np.array([0]), np.array([1])).next_observations == [1]


def test_noisy_acrobot_is_not_deterministic_and_the_same_seed_gives_the_same_steps():
    env = make_env("Acrobot-v1")
    env.unwrapped.torque_noise_max = 1.0
    t = rollout(env, 1, steps=5)
    steps = [simulator(env, seed=seed).step(t.observations, t.actions).next_observations for seed in (0, 0, 1)]
    assert not simulator(env).deterministic
    np.testing.assert_array_equal(steps[0], steps[1])
    assert not np.array_equal(steps[0], steps[2])


@pytest.mark.parametrize("env_id", ["LunarLander-v3", "Pusher-v5", "FrozenLake-v1"])
def test_an_environment_whose_state_cannot_be_set_is_refused_with_alternatives(env_id):
    with pytest.raises(ValueError, match=f"state of {env_id} cannot be set from an observation.*observed successor"):
        simulator(env_id)


def test_wrapper_that_changes_observations_is_refused():
    with pytest.raises(ValueError, match="wrapper of Pendulum-v1 changes its observations"):
        simulator(gym.wrappers.RescaleObservation(make_env("Pendulum-v1"), -1, 1))


@pytest.mark.parametrize(
    ("observations", "actions", "message"),
    [
        (
            np.zeros((2, 3)),
            np.zeros(2, dtype=int),
            r"observations of CartPole-v1 must have shape \(2, 4\); got \(2, 3\)",
        ),
        (np.zeros((2, 4)), np.zeros(3, dtype=int), r"actions of CartPole-v1 must have shape \(2,\); got \(3,\)"),
    ],
)
def test_simulator_refuses_wrong_shapes(observations, actions, message):
    with pytest.raises(ValueError, match=message):
        simulator("CartPole-v1").step(observations, actions)
