"""Environments that pay a recovered reward: with the true successor, γ·V_abs at the end, and nothing at resets."""

from __future__ import annotations

from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from irl_probe.envs import make_env
from irl_probe.rewards import (
    DistilledReward,
    RewardError,
    RewardNetwork,
    RewardWrapper,
    VectorRewardWrapper,
    load_reward,
    recover,
)
from irl_probe.softq import ContinuousQ, ContinuousSoftQ, DiscreteQ, DiscreteSoftQ, GaussianPolicy, NetworkSpec


class Countdown(gym.Env):
    """Counts s down from `start`, which rises by 10 at each reset; ends by action 1 or by the clock.

    Every observation tells which episode it belongs to, so that a wrong successor shows.
    """

    metadata: ClassVar[dict[str, object]] = {"render_modes": []}
    observation_space = spaces.Box(-1e3, 1e3, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, start=0, clock=4):
        self.start, self.clock = start, clock

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.start += 10
        self.state, self.time = float(self.start), 0
        return np.array([self.state], np.float32), {}

    def step(self, action):
        self.state, self.time = self.state - 1, self.time + 1
        terminated = bool(action == 1)
        truncated = not terminated and self.time >= self.clock
        return np.array([self.state], np.float32), 0.5, terminated, truncated, {"time": self.time}


def spelled_out(o, a, o2, d):
    """Each part of the transition has its own digits: 10⁶·s + 10³·s′ + 10·a + d, exact in float64."""
    return 1e6 * o[:, 0].astype(float) + 1e3 * o2[:, 0].astype(float) + 10.0 * a + d


def cartpole_reward(terminal=0.0):
    torch.manual_seed(0)
    env = gym.make("CartPole-v1")
    network = DiscreteQ(NetworkSpec.of(env.observation_space, env.action_space)).double()
    return recover(DiscreteSoftQ(network, gamma=0.9, temperature=1.0), terminal=terminal)


def test_a_step_pays_the_recovered_reward_and_keeps_the_true_one():
    env = RewardWrapper(Countdown(), spelled_out)
    env.reset()
    _, reward, terminated, _, info = env.step(0)
    assert (reward, terminated, info) == (10e6 + 9e3, False, {"time": 1, "true_reward": 0.5})
    _, reward, terminated, _, _ = env.step(1)
    assert (reward, terminated) == (9e6 + 8e3 + 11, True)


def test_an_environment_that_reuses_its_observation_array_pays_the_right_reward():
    class Reusing(Countdown):
        held = np.zeros(1, np.float32)

        def reset(self, **kwargs):
            self.held[:] = super().reset(**kwargs)[0]
            return self.held, {}

        def step(self, action):
            observation, *rest = super().step(action)
            self.held[:] = observation
            return (self.held, *rest)

    env = RewardWrapper(Reusing(), spelled_out)
    env.reset()
    assert env.step(0)[1] == 10e6 + 9e3


@pytest.mark.parametrize("terminal", [0.0, -30.0])
def test_q_is_the_fixed_point_of_a_learner_that_has_no_value_after_the_end(terminal):
    """Q = r_paid + γ(1 − d)V(s′) at every step, so that Q is the learner's own fixed point whatever V_abs is."""
    reward = cartpole_reward(terminal)
    env = RewardWrapper(gym.make("CartPole-v1"), reward)
    before, _ = env.reset(seed=0)
    terminated = False
    while not terminated:
        after, paid, terminated, _, _ = env.step(1)
        q = reward.q(before[None], np.array([1]))[0]
        if not terminated:
            assert paid == pytest.approx(q - 0.9 * reward.v(after[None])[0], abs=1e-9)
        before = after
    assert paid == pytest.approx(q, abs=1e-9)


def test_truncation_pays_no_tail():
    reward = cartpole_reward(-30.0)
    env = RewardWrapper(gym.make("CartPole-v1", max_episode_steps=1), reward)
    before, _ = env.reset(seed=0)
    after, paid, terminated, truncated, _ = env.step(0)
    assert (terminated, truncated) == (False, True)
    assert paid == pytest.approx(reward(before[None], np.array([0]), after[None], np.array([False]))[0], abs=1e-12)


def vector(mode, make=SyncVectorEnv, **kwargs):
    starts = (0, 100, 200)
    return make([lambda start=start: Countdown(start) for start in starts], autoreset_mode=mode, **kwargs)


ACTIONS = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]])


def played_alone(mode):
    """What three separate environments pay for ACTIONS: (T, 3) rewards, and which steps only reset."""
    rewards, resets = np.zeros(ACTIONS.shape), np.zeros(ACTIONS.shape, dtype=bool)
    for column, start in enumerate((0, 100, 200)):
        env = RewardWrapper(Countdown(start), spelled_out)
        env.reset()
        over = False
        for row, action in enumerate(ACTIONS[:, column]):
            if over and mode is AutoresetMode.NEXT_STEP:
                env.reset()
                over, resets[row, column] = False, True
                continue
            if over:
                env.reset()
            _, rewards[row, column], terminated, truncated, _ = env.step(action)
            over = terminated or truncated
    return rewards, resets


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("copy", [True, False])
def test_a_vector_environment_pays_what_its_environments_pay_alone(mode, copy):
    calls = []

    def counted(*batch):
        calls.append(len(batch[0]))
        return spelled_out(*batch)

    env = VectorRewardWrapper(vector(mode, copy=copy), counted)
    env.reset()
    steps = [env.step(actions) for actions in ACTIONS]
    wanted, resets = played_alone(mode)
    assert np.array_equal([step[1] for step in steps], wanted)
    for step, reset in zip(steps, resets, strict=True):
        assert np.array_equal(step[4]["reset_step"], reset)
        assert np.array_equal(step[4]["_true_reward"], ~reset)
        assert np.array_equal(step[4]["true_reward"], np.where(reset, 0, 0.5))
    assert calls == [3] * len(ACTIONS)
    assert resets.any() == (mode is AutoresetMode.NEXT_STEP)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_environments_in_other_processes_are_paid_the_same(mode):
    env = VectorRewardWrapper(vector(mode, AsyncVectorEnv), spelled_out)
    try:
        env.reset()
        assert np.array_equal([env.step(actions)[1] for actions in ACTIONS], played_alone(mode)[0])
    finally:
        env.close()


def test_a_wrapper_around_a_wrapper_leaves_the_true_reward():
    env = RewardWrapper(RewardWrapper(Countdown(), spelled_out), lambda o, a, o2, d: np.full(len(o), 7.0))
    env.reset()
    _, paid, _, _, info = env.step(0)
    assert (paid, info["true_reward"]) == (7.0, 0.5)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("inner", ["around the vector environment", "around its parts", "both"])
def test_a_vector_wrapper_around_a_wrapper_leaves_the_true_rewards(mode, inner):
    def part(start):
        env = Countdown(start)
        return env if inner == "around the vector environment" else RewardWrapper(env, spelled_out)

    env = SyncVectorEnv([lambda start=start: part(start) for start in (0, 100, 200)], autoreset_mode=mode)
    env = env if inner == "around its parts" else VectorRewardWrapper(env, spelled_out)
    env = VectorRewardWrapper(env, spelled_out)
    env.reset()
    _, resets = played_alone(mode)
    steps = [env.step(actions)[4] for actions in ACTIONS]
    env.reset()
    steps.append(env.step(np.ones(3, dtype=np.int64))[4])  # all end at once
    for infos, reset in zip(steps, [*resets, np.zeros(3, bool)], strict=True):
        assert np.array_equal(infos["true_reward"], np.where(reset, 0, 0.5))
        assert np.array_equal(infos["_true_reward"], ~reset)


def test_a_masked_reset_starts_new_episodes_only_where_asked():
    for mode in (AutoresetMode.DISABLED, AutoresetMode.NEXT_STEP):
        env = VectorRewardWrapper(vector(mode), spelled_out)
        env.reset()
        env.step(np.array([1, 0, 0]))
        env.reset(options={"reset_mask": np.array([True, False, False])})
        _, rewards, _, _, infos = env.step(np.zeros(3, dtype=np.int64))
        assert rewards.tolist() == [20e6 + 19e3, 109e6 + 108e3, 209e6 + 208e3]
        assert not infos["reset_step"].any()


def test_gymnasiums_own_vectorised_cartpole_pays_no_reset_step():
    reward = cartpole_reward()
    env = VectorRewardWrapper(gym.make_vec("CartPole-v1", num_envs=4, vectorization_mode="vector_entry_point"), reward)
    before, _ = env.reset(seed=0)
    seen = 0
    for _ in range(40):
        actions = np.ones(4, dtype=np.int64)
        after, rewards, terminated, _, infos = env.step(actions)
        assert np.allclose(rewards, np.where(infos["reset_step"], 0, reward(before, actions, after, terminated)))
        before, seen = after.copy(), seen + infos["reset_step"].sum()
    assert seen >= 8
    env.close()


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_the_tail_is_paid_in_vector_environments_too(mode):
    make = [lambda: gym.make("CartPole-v1")] * 2
    rewards = {}
    for terminal in (0.0, -30.0):
        env = VectorRewardWrapper(SyncVectorEnv(make, autoreset_mode=mode), cartpole_reward(terminal))
        env.reset(seed=0)
        steps = [env.step(np.ones(2, dtype=np.int64)) for _ in range(30)]
        rewards[terminal] = np.array([step[1] for step in steps])
    assert np.array([step[2] for step in steps]).any()
    assert np.allclose(rewards[0.0], rewards[-30.0], atol=1e-9)  # r + tail = Q, whatever V_abs


def test_continuous_actions_and_discrete_observations_work_too():
    torch.manual_seed(0)
    env = gym.make("Pendulum-v1")
    spec = NetworkSpec.of(env.observation_space, env.action_space)
    reward = recover(ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.9, temperature=0.1))
    env = RewardWrapper(env, reward)
    before, _ = env.reset(seed=0)
    action = np.array([0.5], np.float32)
    after, paid, *_ = env.step(action)
    assert paid == pytest.approx(reward(before[None], action[None], after[None], np.array([False]))[0], abs=1e-6)

    table = recover(DiscreteSoftQ(DiscreteQ.from_table(np.arange(64.0).reshape(16, 4)), gamma=0.9, temperature=1.0))
    make = [lambda: gym.make("FrozenLake-v1", is_slippery=False)] * 2
    lakes = VectorRewardWrapper(SyncVectorEnv(make, autoreset_mode=AutoresetMode.SAME_STEP), table)
    lakes.reset(seed=0)
    _, rewards, terminated, _, _ = lakes.step(np.array([1, 2]))
    assert np.allclose(rewards, [1 - 0.9 * table.v(np.array([4]))[0], 2 - 0.9 * table.v(np.array([1]))[0]])
    _, rewards, terminated, _, _ = lakes.step(np.array([2, 2]))  # the first falls into the hole at 5
    assert terminated.tolist() == [True, False]
    assert rewards[0] == pytest.approx(4 * 4 + 2)


def linear_in_the_action():
    """A distilled reward r(s, a) = a, actions in units of their bounds."""
    env = gym.make("Pendulum-v1")
    g = RewardNetwork(NetworkSpec.of(env.observation_space, env.action_space, hidden=()), "state-action")
    torch.nn.init.zeros_(g.layers[-1].bias)
    g.layers[-1].weight.data = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    return DistilledReward(g, None, 0.9, None, env.observation_space, env.action_space)


@pytest.mark.parametrize("make", [lambda: load_reward("Pendulum-v1/sqil"), linear_in_the_action])
def test_an_action_beyond_its_bounds_is_paid_as_the_bound(make):
    reward, paid = make(), {}
    for action in (-50, -2, 1, 2, 50):
        env = RewardWrapper(gym.make("Pendulum-v1"), reward)
        env.reset(seed=0)
        paid[action] = env.step(np.array([action], np.float32))[1]
    assert paid[-50] == paid[-2] != paid[2] == paid[50]
    assert paid[1] not in (paid[-2], paid[2])


def test_a_plain_function_gets_the_action_unclipped():
    env = RewardWrapper(gym.make("Pendulum-v1"), lambda o, a, o2, d: a[:, 0])
    env.reset(seed=0)
    assert env.step(np.array([50.0], np.float32))[1] == 50.0


def test_spaces_that_do_not_fit_are_both_named():
    reward = cartpole_reward()
    message = r"reward takes observations of Box.*\(4,\).*the observation space is Box.*\(3,\)"
    with pytest.raises(RewardError, match=message):
        RewardWrapper(gym.make("Pendulum-v1"), reward)
    with pytest.raises(RewardError, match=message):
        VectorRewardWrapper(gym.make_vec("Pendulum-v1", num_envs=2), reward)


def test_a_reward_of_another_environment_of_the_same_shape_warns():
    reward = load_reward("HalfCheetah-v5/sqil-linear")
    with pytest.warns(UserWarning, match=r"learned in HalfCheetah-v5 and pays in Walker2d-v5"):
        RewardWrapper(make_env("Walker2d-v5"), reward)
    with pytest.warns(UserWarning, match=r"learned in HalfCheetah-v5 and pays in Walker2d-v5"):
        VectorRewardWrapper(gym.make_vec("Walker2d-v5", num_envs=2), reward)
    for same in ("HalfCheetah-v5", "HalfCheetah-v5[mass=2]"):
        RewardWrapper(make_env(same), reward)  # a warning would be an error here


def test_the_error_for_spaces_that_do_not_fit_names_the_environment_of_the_reward():
    with pytest.raises(RewardError, match=r"reward of HalfCheetah-v5 takes observations of Box.*\(17,\).*\(11,\)"):
        RewardWrapper(make_env("Hopper-v5"), load_reward("HalfCheetah-v5/sqil-linear"))


def test_misuse_is_refused_with_the_remedy():
    with pytest.raises(RewardError, match="reset before its first step"):
        RewardWrapper(Countdown(), spelled_out).step(0)
    with pytest.raises(RewardError, match="reset before its first step"):
        VectorRewardWrapper(vector(AutoresetMode.SAME_STEP), spelled_out).step(ACTIONS[0])
    env = RewardWrapper(Countdown(), lambda o, a, o2, d: np.full(1, np.nan))
    env.reset()
    with pytest.raises(RewardError, match="must be finite"):
        env.step(0)

    class Silent(VectorEnv):
        metadata: ClassVar[dict[str, object]] = {}
        num_envs = 2
        single_observation_space, single_action_space = Countdown.observation_space, Countdown.action_space

    with pytest.raises(RewardError, match=r"metadata\['autoreset_mode'\]; got None"):
        VectorRewardWrapper(Silent(), spelled_out)
