"""Rewards and simulators read arrays of any kind alike, or refuse them; simulators are of the environment given."""

import copy

import numpy as np
import pytest
from gymnasium import spaces, wrappers

import irl_probe as ip
from irl_probe.envs import SimulatedStep, make_env, simulator
from irl_probe.rewards import RewardError, SimulatedExpectation

RNG = np.random.default_rng(0)
ANGLES = RNG.normal(size=8)
SWING = np.stack([np.cos(ANGLES), np.sin(ANGLES), ANGLES], axis=1).astype(np.float32)
POLE = RNG.normal(size=(8, 4)).astype(np.float32)
ENDS = np.arange(8) % 3 == 0
CELLS, MOVES = RNG.integers(25, size=8), RNG.integers(5, size=8)
BATCHES = {
    "Pendulum-v1": (SWING, RNG.uniform(-2, 2, (8, 1)).astype(np.float32), SWING[::-1].copy(), ENDS),
    "CartPole-v1": (POLE, RNG.integers(2, size=8), POLE[::-1].copy(), ENDS),
    "GridWorld": (CELLS, MOVES, CELLS[::-1].copy(), ENDS),
}
MODELS = {
    "recovered, continuous": ("Pendulum-v1", lambda: ip.load_reward("Pendulum-v1/sqil")),
    "distilled": ("Pendulum-v1", lambda: ip.load_reward("Pendulum-v1/sqil-linear")),
    "recovered, discrete": ("CartPole-v1", lambda: ip.load_reward("CartPole-v1/iq")),
    "true, by formula": ("Pendulum-v1", lambda: ip.true_reward("Pendulum-v1")),
    "true, of a table": ("GridWorld", lambda: ip.true_reward("GridWorld")),
}


def strided(array):
    wide = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    wide[::2] = array
    return wide[::2]


FORMS = {
    "lists": lambda x: x.tolist(),
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "strided": strided,
    "in Fortran's order": np.asfortranarray,
    "float64": lambda x: x.astype(np.float64),
    "nothing masked": lambda x: np.ma.array(x, mask=False),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_reward_is_the_same_for_every_form_of_its_arrays(name):
    env_id, make = MODELS[name]
    reward, batch = make(), BATCHES[env_id]
    wanted = reward(*batch)
    for form, change in FORMS.items():
        np.testing.assert_allclose(reward(*map(change, batch)), wanted, rtol=1e-9, err_msg=form)
    half = [x.astype(np.float16) if x.dtype.kind == "f" else x for x in batch]
    whole = [x.astype(y.dtype) for x, y in zip(half, batch, strict=True)]
    np.testing.assert_allclose(reward(*half), reward(*whole), rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("position", range(4))
def test_a_reward_does_not_read_through_a_mask(name, position):
    env_id, make = MODELS[name]
    batch = list(BATCHES[env_id])
    batch[position] = np.ma.array(batch[position])
    batch[position][2] = np.ma.masked
    with pytest.raises(ValueError, match="must have no masked entries"):
        make()(*batch)


def test_marks_of_termination_are_true_or_false():
    reward = ip.load_reward("CartPole-v1/iq")
    *steps, ended = BATCHES["CartPole-v1"]
    np.testing.assert_array_equal(reward(*steps, ended.astype(int)), reward(*steps, ended))
    for call in (
        lambda d: reward(*steps, d),
        lambda d: reward.value_after(steps[2], d),
        lambda d: reward.standard_error(*steps, d),
        lambda d: ip.true_reward("CartPole-v1")(*steps, d),
    ):
        with pytest.raises(ValueError, match="must hold true or false"):
            call(np.full(8, 0.5))
        with pytest.raises(ValueError, match="masked"):
            call(np.ma.array(ended, mask=~ended))


@pytest.mark.parametrize("bad", [-1, 25, 0.5])
def test_a_table_is_not_read_at_states_that_are_not_there(bad):
    s, a, t, d = BATCHES["GridWorld"]
    outside = np.where(np.arange(8) == 3, bad, s)
    for call in (
        lambda: ip.true_reward("GridWorld")(outside, a, t, d),
        lambda: simulator("GridWorld").step(outside, a),
    ):
        with pytest.raises(ValueError, match=f"whole numbers from 0 to 24; got {bad}"):
            call()


def pole(gravity=9.8):
    env = make_env("CartPole-v1", max_episode_steps=9)
    env.unwrapped.gravity = gravity
    return env


@pytest.mark.parametrize("how", ["environment", "function"])
def test_an_expectation_is_simulated_in_the_environment_that_was_given(how, tmp_path):
    """r(s, a) = Q(s, a) − γV(s′) with the s′ of the changed physics, by one step of that environment."""
    reward = ip.load_reward("CartPole-v1/iq")
    heavy = pole(40.0)
    given = SimulatedExpectation.of(heavy if how == "environment" else lambda: pole(40.0))
    marginal = ip.recover(
        reward.soft_q, expectation=given, observation_space=heavy.observation_space, action_space=heavy.action_space
    )
    a, o2, d = BATCHES["CartPole-v1"][1:]
    o, wanted = 0.1 * POLE, []
    for state, action in zip(o, a, strict=True):
        heavy.reset()
        heavy.unwrapped.state = state.astype(np.float64)
        after, _, ended, *_ = heavy.unwrapped.step(action)
        q = reward.q(state[None], action[None])[0]
        wanted.append(q - reward.gamma * reward.v(after[None])[0] * (not ended))
    np.testing.assert_allclose(marginal(o, a, o2, d), wanted, atol=1e-4)
    default = ip.recover(reward.soft_q, expectation=SimulatedExpectation.of("CartPole-v1"))
    assert np.abs(default(o, a, o2, d) - wanted).max() > 0.01
    np.testing.assert_array_equal(copy.deepcopy(marginal)(o, a, o2, d), marginal(o, a, o2, d))
    with pytest.raises(RewardError, match=r"default simulator of CartPole-v1, and this one steps otherwise"):
        ip.save_reward(marginal, tmp_path / "heavy")  # loading would build the usual physics
    usual = ip.recover(reward.soft_q, expectation=SimulatedExpectation.of(pole()))
    loaded = ip.load_reward(ip.save_reward(usual, tmp_path / "usual"))
    np.testing.assert_array_equal(loaded(o, a, o2, d), default(o, a, o2, d))


def test_an_expectation_refuses_wrappers_that_may_change_a_step():
    noisy = wrappers.TransformObservation(pole(), lambda o: o + 1, None)
    with pytest.raises(ValueError, match=r"Steps are computed without wrappers.*TransformObservation"):
        SimulatedExpectation.of(noisy)


class Coin:
    """A simulator of one's own, in an environment whose states count from 3 and actions from 1."""

    name, deterministic, exact, note = "coin", True, True, ""

    def __init__(self):
        self.asked = []

    def step(self, observations, actions):
        self.asked += [(set(observations.tolist()), set(actions.tolist()))]
        after = np.where(actions == 1, observations, 7 - observations)
        return SimulatedStep(after, np.zeros(len(after)), np.zeros(len(after), bool))


def test_a_simulator_of_ones_own_gets_the_units_of_the_spaces(tmp_path):
    of = spaces.Discrete(2, start=3), spaces.Discrete(2, start=1)
    o, a = np.array([3, 4, 3, 4]), np.array([1, 1, 2, 2])
    after = np.where(a == 1, o, 7 - o)
    end = np.array([False, False, False, True])
    demos = ip.Demonstrations(ip.Transitions(o, a, after, end & False, ~end & False, np.arange(4)), None, "a test", *of)
    reward = ip.recover(ip.train(demos, ip.IQConfig(steps=20), progress=False))
    coin = Coin()
    marginal = ip.recover(
        reward.soft_q,
        expectation=SimulatedExpectation("Coin-v0", coin),
        observation_space=of[0],
        action_space=of[1],
        terminal=reward.terminal_value,
    )
    nowhere = np.full(4, 3)
    np.testing.assert_allclose(marginal(o, a, nowhere, end), reward(o, a, after, end & False), atol=1e-6)
    assert {frozenset(s) <= {3, 4} and frozenset(m) <= {1, 2} for s, m in coin.asked} == {True}
    with pytest.raises(RewardError, match="default simulator of Coin-v0, and this one steps otherwise"):
        ip.save_reward(marginal, tmp_path / "coin")
