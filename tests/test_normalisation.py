"""Running normalisation: its moments are those of all rewards paid, and it is saved, loaded and continued."""

from __future__ import annotations

import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import irl_probe as ip
from irl_probe.rewards import Normalisation, RewardError
from tests.fuzzing import tampered
from tests.test_wrappers import Countdown, cartpole_reward, spelled_out

FLOATS = st.floats(-1e3, 1e3, width=32)


@given(arrays(np.float64, st.integers(0, 12), elements=FLOATS), arrays(np.float64, st.integers(1, 12), elements=FLOATS))
def test_the_moments_are_those_of_all_rewards_in_any_split(first, second):
    joined = np.concatenate([first, second])
    found = Normalisation().updated(first).updated(second)
    assert found.count == len(joined)
    assert found.mean == pytest.approx(joined.mean(), abs=1e-9)
    assert found.variance == pytest.approx(joined.var(), abs=1e-6)


def test_moments_far_from_zero_do_not_cancel():
    values = 1e9 + np.random.default_rng(0).standard_normal((50, 8))
    found = Normalisation()
    for row in values:
        found = found.updated(row)
    assert found.scale == pytest.approx(values.std(), rel=1e-6)


def test_constant_rewards_are_paid_unchanged():
    assert Normalisation().scale == Normalisation().updated(np.full(9, 0.3)).scale == 1.0
    assert Normalisation().updated(np.array([5.0])).scale == 1.0


def play(env, steps=30, seed=0):
    """Rewards of an environment with fixed actions, episode after episode."""
    env.reset(seed=seed)
    paid = []
    for step in range(steps):
        _, reward, terminated, truncated, _ = env.step(step % 2)
        paid.append(reward)
        if terminated or truncated:
            env.reset(seed=seed + step)
    return np.array(paid)


def test_a_running_normalisation_divides_by_the_deviation_so_far():
    reward = cartpole_reward()
    plain = play(ip.RewardWrapper(gym.make("CartPole-v1"), reward))
    paid = play(ip.RewardWrapper(gym.make("CartPole-v1"), reward, normalise="running"))
    so_far = np.array([plain[: i + 1].std() if i else 1.0 for i in range(len(plain))])
    assert np.allclose(paid, plain / so_far)


def test_it_is_saved_with_the_reward_loaded_frozen_and_continued(tmp_path):
    reward = cartpole_reward(terminal=-3.0)
    whole = ip.RewardWrapper(gym.make("CartPole-v1"), reward, normalise="running")
    together = np.concatenate([play(whole), play(whole, seed=1)])

    first = ip.RewardWrapper(gym.make("CartPole-v1"), reward, normalise="running")
    before = play(first)
    loaded = ip.load_reward(ip.save_reward(first.paid_reward, tmp_path / "reward"))
    assert loaded.normalisation == first.payment.normalisation
    assert loaded.normalisation.count == 30
    resumed = ip.RewardWrapper(gym.make("CartPole-v1"), loaded, normalise="running")
    assert np.array_equal(np.concatenate([before, play(resumed, seed=1)]), together)
    assert resumed.payment.normalisation == whole.payment.normalisation

    frozen = ip.RewardWrapper(gym.make("CartPole-v1"), loaded, normalise="frozen")
    plain = play(ip.RewardWrapper(gym.make("CartPole-v1"), loaded), seed=2)
    assert np.allclose(play(frozen, seed=2), plain / loaded.normalisation.scale)
    assert frozen.payment.normalisation == loaded.normalisation


def test_saving_again_gives_the_same_bytes_and_a_reward_without_it_has_none(tmp_path):
    reward = cartpole_reward()
    env = ip.RewardWrapper(gym.make("CartPole-v1"), reward, normalise="running")
    play(env)
    one, two = (ip.save_reward(env.paid_reward, tmp_path / name) / "reward.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    bare = json.loads((ip.save_reward(reward, tmp_path / "bare") / "reward.json").read_text())
    assert bare["reward"]["normalisation"] is None
    assert ip.load_reward(tmp_path / "bare").normalisation is None
    assert "rewards of standard deviation" in (tmp_path / "one" / "README.md").read_text()


def test_a_distilled_reward_keeps_it_too(tmp_path):
    env = gym.make("CartPole-v1")
    steps = ip.record_demos(ip.learn.random_policy(env.action_space), env, 6, seed=0).transitions
    reward = ip.distil(cartpole_reward(), ip.DistilConfig(form="state", hidden=(), steps=1), transitions=steps)
    wrapped = ip.RewardWrapper(env, reward, normalise="running")
    play(wrapped)
    loaded = ip.load_reward(ip.save_reward(wrapped.paid_reward, tmp_path / "reward"))
    assert loaded.normalisation == wrapped.payment.normalisation


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_reset_steps_do_not_count(mode):
    env = ip.rewards.VectorRewardWrapper(
        SyncVectorEnv([Countdown, lambda: Countdown(100)], autoreset_mode=mode), spelled_out, normalise="running"
    )
    env.reset()
    plain = ip.rewards.VectorRewardWrapper(
        SyncVectorEnv([Countdown, lambda: Countdown(100)], autoreset_mode=mode), spelled_out
    )
    plain.reset()
    seen = []
    for _ in range(12):
        actions = np.array([0, 1])
        paid, (_, rewards, _, _, infos) = env.step(actions)[1], plain.step(actions)
        mdp = ~infos["reset_step"]
        seen.extend(rewards[mdp])
        assert np.allclose(paid, np.where(mdp, rewards / (np.std(seen) or 1.0), 0))
    assert env.payment.normalisation.count == len(seen)


def test_stable_baselines_environments_normalise_in_the_same_way():
    dummy = pytest.importorskip("stable_baselines3.common.vec_env").DummyVecEnv
    reward = cartpole_reward()
    env = ip.rewards.SB3RewardVecEnv(dummy([lambda: gym.make("CartPole-v1")] * 2), reward, normalise="running")
    env.seed(0)
    env.reset()
    paid = [env.step(np.array([0, 1]))[1] for _ in range(3)]
    assert env.payment.normalisation.count == 6
    assert env.paid_reward.normalisation == env.payment.normalisation
    plain = ip.rewards.SB3RewardVecEnv(dummy([lambda: gym.make("CartPole-v1")] * 2), reward)
    plain.seed(0)
    plain.reset()
    rewards = [plain.step(np.array([0, 1]))[1] for _ in range(3)]
    assert np.allclose(paid[2], rewards[2] / np.std(rewards), rtol=1e-5)


def test_misuse_is_refused_with_the_remedy(tmp_path):
    env = gym.make("CartPole-v1")
    with pytest.raises(RewardError, match=r"'normalise' must be one of none, running, frozen; got 'runing'"):
        ip.RewardWrapper(env, cartpole_reward(), normalise="runing")
    with pytest.raises(RewardError, match=r"frozen normalisation must be one that was saved.*Train with"):
        ip.RewardWrapper(env, cartpole_reward(), normalise="frozen")
    with pytest.raises(RewardError, match=r"a function has no place for it"):
        _ = ip.RewardWrapper(Countdown(), spelled_out, normalise="running").paid_reward
    with pytest.raises(RewardError, match=r"finite variance and a count, neither below 0; got .*variance -1"):
        Normalisation(3, 0.0, -1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variance": -1.0}, "neither below 0"),
        ({"count": 1.5}, "'count' of reward.json.reward.normalisation must be whole, from 0 to 46116860.*; got 1.5"),
        ({"mean": "0"}, "'mean' of reward.json.reward.normalisation must be a finite number"),
        ({"std": 1.0}, "unexpected field 'std'"),
    ],
)
def test_a_wrong_field_of_a_saved_one_is_named(change, message, tmp_path):
    env = ip.RewardWrapper(gym.make("CartPole-v1"), cartpole_reward(), normalise="running")
    play(env)
    folder = ip.save_reward(env.paid_reward, tmp_path / "reward")
    with pytest.raises(RewardError, match=message):
        ip.load_reward(tampered(folder, lambda content: content["reward"]["normalisation"].update(change)))
