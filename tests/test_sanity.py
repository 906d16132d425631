"""`check_demos` finds faults that shapes do not show, and raises no false alarm on real demonstrations."""

import re
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip
from irl_probe.demos import DemoError, bundled_demos, check_demos, load_demos
from irl_probe.demos.checking import checked
from irl_probe.envs import make_env


def changed(name, **columns):
    demos = load_demos(name, episodes=2)
    t = demos.transitions
    return replace(demos, transitions=replace(t, **{key: value(t) for key, value in columns.items()}))


def test_offline_learning_warns_of_other_dynamics_in_the_environment_that_is_named():
    heavy = make_env("Pendulum-v1", g=5.0)
    demos = ip.record_demos(lambda o: np.tanh(o[:, :1]), heavy, 1)
    with pytest.warns(UserWarning, match=r"Pendulum-v1 does not reproduce the demonstrations.*Learning goes on"):
        ip.train(demos, ip.IQConfig(steps=1, hidden=(4,)), progress=False)
    ip.train(replace(demos, env_id=None), ip.IQConfig(steps=1, hidden=(4,)), progress=False)
    ip.train(load_demos("Pendulum-v1", episodes=1), ip.IQConfig(steps=1, hidden=(4,)), progress=False)


def test_an_action_outside_the_bounds_is_named_by_the_episode_of_the_source():
    demos = load_demos("Pendulum-v1", episodes=[4, 7])
    actions = demos.transitions.actions.copy()
    actions[203] = 2.5  # of 200 steps an episode
    with pytest.raises(DemoError, match=r"The worst is 2.5, outside by 0.5: episode 7, step 3, component 0"):
        check_demos(replace(demos, transitions=replace(demos.transitions, actions=actions)), "Pendulum-v1")


@pytest.mark.parametrize("name", bundled_demos())
def test_bundled_demonstrations_raise_no_alarm(name):
    for every in (1, 20):
        assert f"no fault was found against {name}" in checked(load_demos(name, episodes=3, subsample=every))


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda t: np.roll(t.next_observations, 1, axis=0), r"\+0 steps from its own.*shifted"),
        (lambda t: np.roll(t.next_observations, -1, axis=0), r"\+2 steps from its own.*shifted"),
        (lambda t: np.random.default_rng(0).permutation(t.next_observations), "shuffled"),
    ],
)
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_successors_in_the_wrong_order_are_found(name, order, words):
    demos = changed(name, next_observations=order)
    steps = len(demos) - 2
    with pytest.raises(DemoError, match=rf"(?s)wrong order: \d+ of {steps} differ.*{words}.*Give next_obs"):
        check_demos(demos, (demos.observation_space, demos.action_space))
    with pytest.raises(DemoError, match="wrong order"):
        ip.train(demos, ip.IQConfig(steps=1), progress=False)


def test_a_few_swapped_successors_are_found_and_left_out_steps_are_not():
    def swapped(t):
        order = np.arange(len(t))
        order[[5, 9]] = [9, 5]
        return t.next_observations[order]

    with pytest.raises(DemoError, match="2 of"):
        check_demos(changed("CartPole-v1", next_observations=swapped), "CartPole-v1")
    check_demos(load_demos("CartPole-v1", subsample=7), "CartPole-v1")


def test_an_observation_after_a_reset_as_successor_is_found():
    demos = load_demos("Acrobot-v1", episodes=3)
    t = demos.transitions
    ends = t.starts[1:] - 1
    assert t.terminated[ends].all()
    successors = t.next_observations.copy()
    successors[ends] = t.observations[ends + 1]
    wrong = replace(demos, transitions=replace(t, next_observations=successors))
    with pytest.raises(DemoError, match=r"last successor of 2 of 2 terminated episodes.*final_obs"):
        check_demos(wrong, "Acrobot-v1")


@pytest.mark.parametrize(
    ("name", "actions", "words"),
    [
        ("Pendulum-v1", lambda t: t.actions / 2, "scaled from .*low"),
        ("Pendulum-v1", lambda t: -t.actions, "other sign"),
        ("Pendulum-v1", lambda t: t.actions / 10, r"times 10 .*environment's units"),
        ("Pendulum-v1", lambda t: np.roll(t.actions, 1, axis=0), "action of the next step.*shifted by one"),
        ("CartPole-v1", lambda t: 1 - t.actions, "0 acts as 1, 1 acts as 0"),
        ("Acrobot-v1", lambda t: (t.actions + 1) % 3, "1 acts as 0"),
    ],
)
def test_actions_that_the_environment_does_not_reproduce_are_named(name, actions, words):
    with pytest.raises(DemoError, match=rf"{name} does not reproduce .* off by [\d.e-]+ of a usual step.*{words}"):
        check_demos(changed(name, actions=actions), name)


@pytest.mark.parametrize(
    "other",
    ["CartPole-v1[length=0.5]", "CartPole-v1[gravity=2]", "Pendulum-v1[mass=2]", "HalfCheetah-v5[friction=0.5]"],
)
def test_another_environments_dynamics_are_found_and_training_there_is_told(other):
    demos = load_demos(other.partition("[")[0], episodes=2)
    with pytest.raises(DemoError, match=rf"{re.escape(other)} does not reproduce.*dynamics differ"):
        check_demos(demos, other)
    if "CartPole-v1[length" in other:
        with pytest.warns(UserWarning, match=r"does not reproduce.*Learning goes on"):
            ip.train(demos, ip.IQConfig(steps=2, learning_starts=1), env=other, progress=False)


class Walk(gym.Env):
    """A walk on a line from 0 that has no simulator; `step_size` is its dynamics."""

    observation_space = gym.spaces.Box(-100, 100, (1,), np.float64)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float64)

    def __init__(self, step_size=1.0, noise=0.0):
        self.step_size, self.noise, self.steps = step_size, noise, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = np.zeros(1), 0
        return self.place, {}

    def step(self, action):
        self.steps += 1
        self.place = self.place + self.step_size * action + self.noise * self.np_random.normal(size=1)
        return self.place, 0.0, False, self.steps == 20, {}


def test_an_environment_without_a_simulator_replays_an_episode():
    demos = ip.record_demos(lambda o, deterministic: np.full((1, 1), 0.5), Walk(), 2)
    env = Walk()
    check_demos(demos, env)
    assert env.steps == 0  # the environment itself is not stepped
    with pytest.raises(DemoError, match=r"off by 1 of a usual step after step 0"):
        check_demos(demos, Walk(step_size=2.0))
    noisy = ip.record_demos(lambda o, deterministic: np.full((1, 1), 0.5), Walk(noise=0.1), 2)
    check_demos(noisy, Walk(noise=0.1))  # by chance: it cannot be asked


def test_impossible_steps_of_a_tabular_environment_are_found():
    env = make_env("GridWorld")
    demos = ip.record_demos(ip.learn.random_policy(env.action_space), env, 3)
    check_demos(demos, env)
    t = demos.transitions
    far = (t.next_observations + len(env.unwrapped.mdp.transition) // 2) % len(env.unwrapped.mdp.transition)
    wrong = replace(demos, transitions=replace(t, next_observations=far))
    with pytest.raises(DemoError, match="are impossible in GridWorld, the first from state"):
        check_demos(wrong, env)
