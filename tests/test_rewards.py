"""Recovered rewards on problems with known answers, the protocol, and bad input."""

from __future__ import annotations

from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings

from irl_probe import envs
from irl_probe.metrics import tabular
from irl_probe.rewards import (
    ExactExpectation,
    RewardError,
    SimulatedExpectation,
    check_reward_model,
    evaluate_reward,
    recover,
)
from irl_probe.softq import ContinuousQ, ContinuousSoftQ, DiscreteQ, DiscreteSoftQ, GaussianPolicy, NetworkSpec
from irl_probe.softq.functions import SoftQ
from irl_probe.transitions import Transitions
from tests.mdps import TabularMDP, grid, mdps, random_mdp


@dataclass
class Run:
    """The smallest object that a reward can be recovered from."""

    soft_q: SoftQ
    terminal_value: float = 0.0
    provenance: dict[str, str | float | int] = field(default_factory=dict)

    @property
    def observation_space(self):
        return spaces.Discrete(self.soft_q.spec.observation_count)

    @property
    def action_space(self):
        return spaces.Discrete(self.soft_q.spec.action_count)


def table_q(q, gamma, temperature=1.0):
    return DiscreteSoftQ(DiscreteQ.from_table(q), gamma=gamma, temperature=temperature)


def everything(mdp: TabularMDP):
    """All (s, a, s′) of a tabular MDP as a batch."""
    s, a, s2 = (index.ravel() for index in np.indices(mdp.transition.shape))
    return s, a, s2, np.zeros(len(s), dtype=bool)


def continuous_q(env: gym.Env, seed=0, **kwargs):
    torch.manual_seed(seed)
    spec = NetworkSpec.of(env.observation_space, env.action_space, hidden=(16,))
    return ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.9, temperature=0.5, **kwargs)


@settings(max_examples=30, deadline=None)
@given(mdps())
def test_the_exact_marginal_reward_is_the_inverse_soft_bellman_operator(mdp):
    q = np.random.default_rng(0).normal(size=mdp.transition.shape[:2]) * 5
    reward = recover(table_q(q, mdp.gamma, 0.7), expectation=ExactExpectation(mdp.transition))
    wanted = tabular.recovered_reward(q, mdp.transition, mdp.gamma, 0.7)
    found = reward(*everything(mdp)).reshape(mdp.transition.shape)
    assert np.abs(found - wanted[:, :, None]).max() < 1e-12


@settings(max_examples=30, deadline=None)
@given(mdps())
def test_the_per_transition_reward_is_q_minus_discounted_soft_value(mdp):
    q = np.random.default_rng(0).normal(size=mdp.transition.shape[:2]) * 5
    found = recover(table_q(q, mdp.gamma, 0.7))(*everything(mdp)).reshape(mdp.transition.shape)
    assert np.abs(found - tabular.recovered_reward_per_transition(q, mdp.gamma, 0.7)).max() < 1e-12


@pytest.mark.parametrize("mdp", [grid("cliff"), grid("path", slip=0.2), random_mdp(3, gamma=0.99)])
def test_lemma_3_1_holds_both_ways(mdp):
    q = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, 0.3)
    reward = recover(table_q(q, mdp.gamma, 0.3), expectation=ExactExpectation(mdp.transition))
    table = reward(*everything(mdp)).reshape(mdp.transition.shape)
    true = (mdp.transition * mdp.reward).sum(axis=2)
    assert np.abs(table[:, :, 0] - true).max() < 1e-10
    assert np.abs(tabular.soft_q(table, mdp.transition, mdp.gamma, 0.3) - q).max() < 1e-9


def test_q_and_v_add_up_to_the_reward_where_the_mdp_does_not_end():
    mdp = random_mdp(1)
    reward = recover(table_q(np.random.default_rng(1).normal(size=(6, 3)), 0.9))
    s, a, s2, ended = everything(mdp)
    assert np.array_equal(reward(s, a, s2, ended), reward.q(s, a) - 0.9 * reward.v(s2))


def test_after_an_end_only_the_terminal_value_counts():
    q = np.arange(6.0).reshape(3, 2)
    s, a = np.array([0, 1]), np.array([1, 0])
    ended = np.array([True, True])
    for terminal, convention in ((None, "absorbing"), (-4.0, "absorbing"), ("zero", "zero"), (0.0, "zero")):
        reward = recover(Run(table_q(q, 0.9), terminal_value=-7.0), terminal=terminal)
        value = {None: -7.0, "zero": 0.0}.get(terminal, terminal)
        assert reward.terminal == convention
        assert reward.terminal_value == value
        for successors in (np.array([0, 0]), np.array([2, 1])):
            assert np.allclose(reward(s, a, successors, ended), q[s, a] - 0.9 * value, atol=1e-12)


def test_the_tail_is_the_value_of_all_payments_in_the_absorbing_state():
    reward = recover(table_q(np.zeros((2, 2)), 0.9), terminal=5.0)
    each_step = (1 - 0.9) * 5.0
    assert reward.tail == pytest.approx(sum(each_step * 0.9**k for k in range(1, 500)))


def test_the_terminal_value_and_provenance_come_from_the_run():
    reward = recover(Run(table_q(np.zeros((2, 2)), 0.9), -3.0, {"algorithm": "iq"}))
    assert (reward.terminal_value, reward.provenance) == (-3.0, {"algorithm": "iq"})


def test_the_simulated_expectation_of_a_deterministic_environment_is_the_observed_one():
    env = gym.make("Pendulum-v1")
    soft_q = continuous_q(env)
    batch = rollout(env, 30)
    simulated = recover(soft_q, expectation=SimulatedExpectation.of("Pendulum-v1"))
    # The observation is float32, so the simulator starts within 1e-7 of the true state.
    assert np.allclose(simulated(*batch), recover(soft_q)(*batch), atol=1e-4)
    assert (simulated.kind, simulated.expectation.name) == ("marginal", "simulator")


def test_simulated_termination_pays_the_terminal_value():
    env = gym.make("CartPole-v1")
    torch.manual_seed(0)
    soft_q = DiscreteSoftQ(
        DiscreteQ(NetworkSpec.of(env.observation_space, env.action_space)), gamma=0.9, temperature=1.0
    )
    reward = recover(soft_q, expectation=SimulatedExpectation.of("CartPole-v1"), terminal=-50.0)
    falling = np.array([[0.0, 0.0, 0.2, 3.0]], dtype=np.float32)
    upright = np.zeros((1, 4), dtype=np.float32)
    action, not_ended = np.array([1]), np.array([False])
    assert reward(falling, action, falling, not_ended) == pytest.approx(reward.q(falling, action) + 0.9 * 50)
    assert reward(upright, action, upright, not_ended) < reward.q(upright, action) + 5


def test_sampled_successors_have_the_exact_mean_within_their_standard_error():
    mdp = random_mdp(5, states=4, actions=2)
    env = envs.TabularEnv(envs.TabularMDP(mdp.transition, mdp.reward, mdp.gamma, mdp.initial))
    soft_q = table_q(np.random.default_rng(2).normal(size=(4, 2)) * 3, mdp.gamma)
    sampled = recover(soft_q, expectation=SimulatedExpectation("random", envs.simulator(env), samples=400))
    batch = everything(mdp)
    exact = recover(soft_q, expectation=ExactExpectation(mdp.transition))(*batch)
    scaled = (sampled(*batch) - exact) / sampled.standard_error(*batch)
    assert 0.5 < np.sqrt(np.mean(scaled**2)) < 2
    assert np.abs(scaled).max() < 5
    with pytest.raises(RewardError, match="at least 2 successors"):
        SimulatedExpectation("random", envs.simulator(env), samples=1)


def test_the_standard_error_of_a_continuous_reward_shrinks_with_the_action_samples():
    env = gym.make("Pendulum-v1")
    batch = rollout(env, 50)
    few, many = (recover(continuous_q(env, samples=k)).standard_error(*batch).mean() for k in (16, 1024))
    assert 0.06 < many / few < 0.25  # √(16/1024) = .125
    assert not recover(table_q(np.zeros((2, 2)), 0.9)).standard_error([0], [1], [1], [False]).any()


def rollout(env, steps):
    env.action_space.seed(0)
    o, _ = env.reset(seed=0)
    rows = []
    for _ in range(steps):
        a = env.action_space.sample()
        o2, _, terminated, _, _ = env.step(a)
        rows.append((o, a, o2, terminated))
        o = o2
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def transitions(count=4):
    zeros = np.zeros(count, dtype=bool)
    return Transitions(
        np.zeros((count, 2)), np.zeros(count, np.int64), np.zeros((count, 2)), zeros, zeros, np.zeros(count, int)
    )


def test_a_plain_function_is_a_reward():
    values = evaluate_reward(lambda o, a, o2, d: np.ones(len(o), np.float32), transitions(), name="one")
    assert values.dtype == np.float64
    assert values.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda o, a, o2, d: np.ones((len(o), 1)), r"'mine' must give one number a transition, shape \(4,\).*reshape"),
        (lambda o, a, o2, d: 1.0, r"'mine' must give one number a transition, shape \(4,\); got shape \(\)"),
        (
            lambda o, a, o2, d: np.array([0, 1, np.nan, np.inf]),
            r"'mine' must be finite; at transition 2 it is nan \(2 of",
        ),
        (lambda o, a, o2, d: np.ones(len(o), complex), "'mine' must give real numbers; got dtype complex128"),
    ],
)
def test_a_reward_that_breaks_the_protocol_is_named(function, message):
    with pytest.raises(RewardError, match=message):
        evaluate_reward(function, transitions(), name="mine")


def test_other_sources_are_refused_with_the_remedy():
    soft_q = table_q(np.zeros((3, 2)), 0.9)
    with pytest.raises(RewardError, match=r"a training run, a soft Q-function .* or a SAC or DQN model .* got dict"):
        recover({"q": 1})
    with pytest.raises(RewardError, match=r"'expectation' must be 'observed', or an expectation .* got 'exact'"):
        recover(soft_q, expectation="exact")
    with pytest.raises(RewardError, match=r"'terminal' must be a number .* got 'absorbing'"):
        recover(soft_q, terminal="absorbing")
    with pytest.raises(RewardError, match="after the end must be finite; got nan"):
        recover(soft_q, terminal=float("nan"))
    with pytest.raises(RewardError, match=r"takes observations of Discrete\(3\), and .* space is Discrete\(4\)"):
        recover(soft_q, observation_space=spaces.Discrete(4))
    assert set(recover(soft_q, action_space=spaces.Discrete(2, start=1)).policy(np.arange(3))) <= {1, 2}
    with pytest.raises(RewardError, match="must be a Box, Discrete"):
        recover(soft_q, observation_space=spaces.Text(3))


@pytest.mark.parametrize("transition", [np.ones((2, 2)), np.full((2, 1, 2), 0.4), np.full((2, 1, 2), np.nan)])
def test_an_exact_expectation_takes_distributions(transition):
    with pytest.raises(RewardError, match="'transition'"):
        ExactExpectation(transition)


def test_the_checker_accepts_recovered_rewards():
    cartpole, pendulum = gym.make("CartPole-v1"), gym.make("Pendulum-v1")
    torch.manual_seed(0)
    spec = NetworkSpec.of(cartpole.observation_space, cartpole.action_space)
    check_reward_model(recover(DiscreteSoftQ(DiscreteQ(spec), gamma=0.9, temperature=1.0), terminal=-2.0), cartpole)
    for expectation in ("observed", SimulatedExpectation.of("Pendulum-v1")):
        check_reward_model(recover(continuous_q(pendulum), expectation=expectation), pendulum)
    with pytest.raises(RewardError, match="takes observations of Box"):
        check_reward_model(recover(continuous_q(pendulum)), cartpole)


class _Drifting:
    def __init__(self):
        self.calls = 0

    def __call__(self, o, a, o2, d):
        self.calls += 1
        return np.full(len(o), float(self.calls))


def _writing(o, a, o2, d):
    o[:] = 0
    return np.zeros(len(o))


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda o, a, o2, d: np.zeros(len(o), np.float32), "NumPy array of float64; got float32"),
        (lambda o, a, o2, d: [0.0] * len(o), "NumPy array of float64; got list"),
        (lambda o, a, o2, d: o[:, 0] - o[:, 0].mean(dtype=float), "the same in a batch as alone; .* Does it normalise"),
        (lambda o, a, o2, d: np.where(d, np.nan, 0.0), "must be finite"),
        (_Drifting(), "the same answer for the same transitions"),
        (_writing, "must not change its inputs"),
    ],
)
def test_the_checker_names_the_check_that_failed(reward, message):
    with pytest.raises(RewardError, match=message):
        check_reward_model(reward, gym.make("CartPole-v1"))
