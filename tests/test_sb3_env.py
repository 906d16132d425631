"""Stable-Baselines3 with a VecNormalize: observations are normalised once, and rewards keep their places."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

from irl_probe.rewards import SB3RewardVecEnv


def of_state(o, a, o2, d):
    return o[:, 2].astype(float) + 100.0 * o2[:, 2]


def normalised(count=1):
    return VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1", max_episode_steps=5)] * count), clip_obs=0.1)


def test_the_reward_gets_raw_observations_also_the_last_one_and_those_that_were_clipped():
    venv = normalised()
    env = SB3RewardVecEnv(venv, of_state)
    env.reset()
    raw = gym.make("Pendulum-v1", max_episode_steps=5)
    for _ in range(7):
        before = venv.get_original_obs()[0]
        seen, paid, dones, infos = env.step(np.ones((1, 1), np.float32))
        raw.reset()
        raw.unwrapped.state = np.array([np.arctan2(before[1], before[0]), before[2]])
        after, own, *_ = raw.step(np.float32([1.0]))
        assert paid[0] == pytest.approx(before[2] + 100 * after[2], abs=1e-3)
        assert infos[0]["true_reward"] == pytest.approx(own, abs=1e-4)
        assert infos[0]["true_reward"] == pytest.approx(float(venv.get_original_reward()[0]))
        assert np.abs(seen).max() <= 0.1
    del dones


def test_off_policy_learners_store_what_is_paid():
    model = SAC(
        "MlpPolicy", SB3RewardVecEnv(normalised(), of_state), learning_starts=100, buffer_size=50, device="cpu", seed=0
    )
    model.learn(12)
    buffer = model.replay_buffer
    o, o2 = buffer.observations[:12, 0], buffer.next_observations[:12, 0]
    same = buffer.dones[:12, 0] == 0  # SB3 stores the last observation of an episode as it was clipped
    np.testing.assert_allclose(buffer.rewards[:12, 0][same], of_state(o, None, o2, None)[same], rtol=1e-4, atol=1e-3)
    drawn = buffer.sample(8, env=model.get_vec_normalize_env())
    assert np.isin(drawn.rewards.numpy().ravel(), buffer.rewards[:12]).all()


def test_a_saved_vec_normalize_is_a_plain_one(tmp_path):
    env = SB3RewardVecEnv(normalised(), of_state)
    env.reset()
    env.venv.save(str(tmp_path / "statistics"))
    assert type(VecNormalize.load(str(tmp_path / "statistics"), normalised().venv)) is VecNormalize


def test_a_vec_normalize_inside_another_wrapper_is_refused():
    with pytest.raises(ip.RewardError, match=r"outermost.*VecFrameStack of VecNormalize"):
        SB3RewardVecEnv(VecFrameStack(normalised(), 2), of_state)


@pytest.mark.parametrize("give", ["environment", "VecNormalize"])
def test_a_model_records_raw_observations_and_acts_on_normalised_ones(give):
    venv = normalised()
    model = PPO("MlpPolicy", venv, n_steps=20, batch_size=20, device="cpu", seed=0)
    model.learn(20)
    count = venv.obs_rms.count
    env = gym.make("Pendulum-v1", max_episode_steps=5) if give == "environment" else venv
    steps = ip.record_demos(model, env, 2, seed=3).transitions
    np.testing.assert_allclose(steps.observations[:, :2].astype(float) ** 2 @ np.ones(2), 1, atol=1e-5)
    right, _ = model.predict(venv.normalize_obs(steps.observations), deterministic=True)
    np.testing.assert_allclose(steps.actions, right, atol=1e-6)
    assert venv.obs_rms.count == count
    assert ip.evaluate(model, env, episodes=2, seed=3).returns == pytest.approx(
        np.add.reduceat(steps.rewards, steps.starts), abs=1e-4
    )


def test_a_sampled_demonstration_of_a_model_repeats_with_its_seed():
    model = PPO("MlpPolicy", "Pendulum-v1", device="cpu", seed=0)
    env = gym.make("Pendulum-v1", max_episode_steps=5)
    hashes = [ip.record_demos(model, env, 1, seed=s, deterministic=False).content_hash() for s in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_several_environments_at_once_are_refused_where_episodes_run_in_one():
    model = PPO("MlpPolicy", "Pendulum-v1", device="cpu")
    with pytest.raises(ip.DemoError, match=r"one environment.*VecNormalize of 2"):
        ip.record_demos(model, normalised(2), 1)
