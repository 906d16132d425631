"""Steps relabelled with a reward are paid what a wrapped environment pays; so are Stable-Baselines3's environments."""

from __future__ import annotations

import time
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip
from irl_probe.rewards import RewardError, check_reward_model
from tests.test_demos_readers import create_minari
from tests.test_wrappers import Countdown, cartpole_reward, spelled_out


def test_relabelled_steps_have_what_the_wrapper_pays():
    reward = cartpole_reward(terminal=-3.0)
    env = ip.RewardWrapper(gym.make("CartPole-v1"), reward)
    observation, _ = env.reset(seed=0)
    env.action_space.seed(0)
    rows = []
    for episode in range(5):
        terminated = False
        while not terminated:
            action = env.action_space.sample()
            after, paid, terminated, _, _ = env.step(action)
            rows.append((observation, action, after, terminated, False, episode, paid))
            observation = after
        observation, _ = env.reset()
    steps = ip.Transitions(*map(np.array, zip(*rows, strict=True)))
    np.testing.assert_allclose(ip.rewards.relabel(steps, reward).rewards, steps.rewards, atol=1e-6)


def test_actions_beyond_their_bounds_are_relabelled_as_the_bounds():
    reward = ip.load_reward("Pendulum-v1/sqil")
    steps = ip.load_demos("Pendulum-v1", episodes=1).transitions
    at, beyond = (replace(steps, actions=np.full_like(steps.actions, torque)) for torque in (2.0, 50.0))
    assert np.array_equal(ip.rewards.relabel(beyond, reward).rewards, ip.rewards.relabel(at, reward).rewards)


def test_a_stream_is_relabelled_piece_by_piece():
    env = gym.make("CartPole-v1")
    steps = ip.record_demos(ip.learn.random_policy(env.action_space), env, 3, seed=0).transitions
    taken = []

    def stream():
        for i in range(3):
            taken.append(i)
            yield steps.episodes([i])

    parts = ip.rewards.relabel(stream(), spelled_out)
    assert taken == []
    next(parts)
    assert taken == [0]
    whole = np.concatenate([next(iter([part])).rewards for part in parts])
    assert np.array_equal(whole, ip.rewards.relabel(steps.episodes([1, 2]), spelled_out).rewards)


def test_a_minari_dataset_is_copied_with_other_rewards(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari", reason="the optional package minari is not installed")
    create_minari(minari, tmp_path, monkeypatch)

    def reward(o, a, o2, d):
        return 100.0 * o2[:, 1] + d

    before = ip.load_demos("minari:toy/walk/test-v0").transitions
    assert ip.rewards.relabel_minari("toy/walk/test-v0", "toy/walk/relabelled-v0", reward) == "toy/walk/relabelled-v0"
    after = ip.load_demos("minari:toy/walk/relabelled-v0").transitions
    assert np.array_equal(after.rewards, ip.rewards.relabel(before, reward).rewards)
    for name in ("observations", "actions", "next_observations", "terminated", "truncated"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    with pytest.raises(RewardError, match="exists already; choose another id"):
        ip.rewards.relabel_minari("toy/walk/test-v0", "toy/walk/relabelled-v0", reward)
    with pytest.raises(RewardError, match="Download it with: minari download toy/none-v0"):
        ip.rewards.relabel_minari("toy/none-v0", "toy/x-v0", reward)


@pytest.fixture
def minari_folder(tmp_path, monkeypatch):
    """Minari's folder with one dataset, whose episodes have infos, a seed and options."""
    minari = pytest.importorskip("minari", reason="the optional package minari is not installed")
    folder = tmp_path / "datasets"
    buffers = [
        minari.data_collector.EpisodeBuffer(
            seed=seed,
            options={"start": "left", "pole": {"length": 0.5}},
            observations=np.full((4, 2), seed, np.float32),
            actions=np.array([0, 1, 0]),
            rewards=np.arange(3.0),
            terminations=np.array([False, False, True]),
            truncations=np.zeros(3, bool),
            infos={"qpos": np.arange(8.0).reshape(4, 2), "why": list("abcd"), "deep": {"x": np.arange(4)}},
        )
        for seed in (5, 6)
    ]
    create_minari(minari, folder, monkeypatch, buffer=buffers)
    return folder


def test_the_infos_seed_and_options_of_an_episode_are_copied_to_minari(minari_folder):
    import minari

    ip.rewards.relabel_minari("toy/walk/test-v0", "toy/once-v0", spelled_out)
    ip.rewards.relabel_minari("toy/once-v0", "toy/twice-v1", spelled_out)
    source, copies = minari.load_dataset("toy/walk/test-v0"), ("toy/once-v0", "toy/twice-v1")
    assert set(copies) < minari.list_local_datasets().keys()
    for copy in map(minari.load_dataset, copies):
        metadata = [list(dataset.storage.get_episode_metadata([0, 1])) for dataset in (source, copy)]
        assert metadata[0] == metadata[1]
        for before, after in zip(source.iterate_episodes(), copy.iterate_episodes(), strict=True):
            assert after.infos.keys() == {"qpos", "why", "deep", "true_reward"}
            assert np.array_equal(after.infos["qpos"], before.infos["qpos"])
            assert np.array_equal(after.infos["why"], before.infos["why"])
            assert np.array_equal(after.infos["deep"]["x"], before.infos["deep"]["x"])
            assert np.array_equal(after.infos["true_reward"], [0, 1, 2, 0])


@pytest.mark.parametrize("target", ["../evil-v0", "{0}/evil-v0", "foo bar", "toy/walk/unversioned", ""])
def test_a_dataset_is_not_copied_under_an_invalid_id(minari_folder, target):
    before = everything_in(minari_folder.parent)
    with pytest.raises(RewardError, match="a name with a version, such as"):
        ip.rewards.relabel_minari("toy/walk/test-v0", target.format(minari_folder.parent), spelled_out)
    assert everything_in(minari_folder.parent) == before


def test_a_copy_that_fails_half_way_leaves_nothing(minari_folder):
    def of_the_first_episode(o, a, o2, d):
        return np.where(o[:, 0] == 5, 1.0, np.nan)

    before = everything_in(minari_folder.parent)
    with pytest.raises(RewardError, match="must be finite"):
        ip.rewards.relabel_minari("toy/walk/test-v0", "new/space/half-v0", of_the_first_episode)
    assert everything_in(minari_folder.parent) == before
    ip.rewards.relabel_minari("toy/walk/test-v0", "new/space/half-v0", spelled_out)


def everything_in(folder):
    return sorted(folder.rglob("*"))


class TestStableBaselines:
    @pytest.fixture
    def make(self):
        vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
        return lambda reward, *envs: ip.rewards.SB3RewardVecEnv(vec_env.DummyVecEnv(list(envs)), reward)

    def test_the_final_observation_is_the_successor(self, make):
        env = make(spelled_out, lambda: Countdown(clock=2), lambda: Countdown(100, clock=9))
        env.reset()
        _, paid, _, infos = env.step(np.array([0, 0]))
        np.testing.assert_allclose(paid, [10e6 + 9e3, 110e6 + 109e3], rtol=1e-7)
        assert [info["true_reward"] for info in infos] == [0.5, 0.5]
        observations, paid, dones, _ = env.step(np.array([0, 1]))  # the clock; an end
        assert dones.tolist() == [True, True]
        np.testing.assert_allclose(paid, [9e6 + 8e3, 109e6 + 108e3 + 11], rtol=1e-7)
        assert observations[:, 0].tolist() == [20.0, 120.0]
        _, paid, _, _ = env.step(np.array([0, 0]))
        np.testing.assert_allclose(paid, [20e6 + 19e3, 120e6 + 119e3], rtol=1e-7)

    def test_a_wrapper_around_a_wrapper_leaves_the_true_reward(self, make):
        paid = make(spelled_out, lambda: ip.RewardWrapper(Countdown(clock=1), spelled_out))
        env = ip.rewards.SB3RewardVecEnv(paid, spelled_out)
        env.reset()
        _, _, dones, infos = env.step(np.array([0]))
        assert dones.tolist() == [True]
        assert infos[0]["true_reward"] == 0.5

    def test_an_algorithm_trains_on_it(self, make):
        from stable_baselines3 import PPO

        env = make(cartpole_reward(), lambda: gym.make("CartPole-v1"))
        model = PPO("MlpPolicy", env, n_steps=64, device="cpu").learn(128)
        assert model.num_timesteps == 128

    def test_another_environment_of_the_same_spaces_is_warned_of(self, make):
        reward = ip.load_reward("HalfCheetah-v5/sqil-linear")
        with pytest.warns(UserWarning, match="learned in HalfCheetah-v5 and pays in Walker2d-v5") as warned:
            make(reward, lambda: ip.envs.make_env("Walker2d-v5"))
        assert warned[0].filename == __file__
        make(reward, lambda: ip.envs.make_env("HalfCheetah-v5"))  # a warning would be an error here

    def test_what_does_not_fit_is_refused(self, make):
        with pytest.raises(RewardError, match="they must fit"):
            make(cartpole_reward(), lambda: gym.make("Acrobot-v1"))
        with pytest.raises(RewardError, match="call reset"):
            make(spelled_out, Countdown).step_wait()


def test_the_checker_takes_the_id_of_an_environment():
    reward = ip.load_reward("CartPole-v1/iq")
    check_reward_model(reward, "CartPole-v1", steps=1)
    with pytest.raises(RewardError, match="they must fit"):
        check_reward_model(reward, "Acrobot-v1")


def test_a_slow_reward_is_warned_of():
    def slow(o, a, o2, d):
        time.sleep(0.15 if len(o) > 1 else 0)
        return np.zeros(len(o))

    with pytest.warns(UserWarning, match="a learner that trains on it will wait"):
        check_reward_model(slow, gym.make("CartPole-v1"), steps=16)
