"""Tabular MDPs, their expert and occupancy, environments by name, and the spaces that they may have."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import DtypeObservation, TransformAction
from hypothesis import given, settings
from hypothesis import strategies as st
from mdps import GRID_STATE_REWARDS, grid

from irl_probe.envs import (
    TabularEnv,
    TabularMDP,
    TabularPolicy,
    check_spaces,
    gridworld,
    make_env,
    occupancy,
    soft_expert,
)

LEFT, RIGHT, UP, DOWN, STAY = range(5)


def two_states(**changes):
    arrays = {
        "transition": [[[1, 0], [0, 1]], [[0, 1], [1, 0]]],
        "reward": [[[0, 0], [0, 1]], [[0, 0], [0, 0]]],
        "gamma": 0.9,
        "initial": [1, 0],
    }
    return TabularMDP(**(arrays | changes))


# Tabular MDPs


def test_grid_numbers_states_by_rows_and_its_walls_block():
    mdp = gridworld(np.arange(6).reshape(2, 3))
    successor = mdp.transition.argmax(-1)
    assert mdp.shape == (2, 3)
    np.testing.assert_array_equal(successor[0], [0, 1, 0, 3, 0])
    np.testing.assert_array_equal(successor[5], [4, 5, 2, 5, 5])
    np.testing.assert_array_equal(mdp.reward[4], np.full((5, 6), 4.0))


def test_default_grid_is_five_by_five_with_uniform_start_and_its_reward_in_the_last_cell():
    mdp = gridworld()
    assert mdp.shape == (5, 5)
    np.testing.assert_array_equal(mdp.reward[:, 0, 0], np.eye(25)[24])
    np.testing.assert_allclose(mdp.initial, 1 / 25)


def test_slip_replaces_the_action_by_a_uniform_draw_from_all_actions():
    corner = gridworld(np.zeros((3, 3)), slip=0.2).transition[0]
    np.testing.assert_allclose(corner[RIGHT], [0.12, 0.84, 0, 0.04, 0, 0, 0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(corner[STAY], [0.92, 0.04, 0, 0.04, 0, 0, 0, 0, 0], atol=1e-15)


@pytest.mark.parametrize("slip", [0.0, 0.2])
@pytest.mark.parametrize("name", GRID_STATE_REWARDS)
def test_gridworld_makes_the_grids_whose_distances_are_known(name, slip):
    known, mdp = grid(name, slip), gridworld(np.reshape(GRID_STATE_REWARDS[name], (3, 3)), slip=slip)
    np.testing.assert_array_equal(mdp.transition, known.transition)
    np.testing.assert_array_equal(mdp.reward, known.reward)
    np.testing.assert_array_equal(mdp.initial, known.initial)
    assert mdp.gamma == known.gamma


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transition": np.ones((2, 3))}, r"'transition' must have shape \(S, A, S\)"),
        ({"reward": np.ones(2)}, r"'reward' must have the shape of 'transition'.*np\.broadcast_to"),
        ({"initial": [1.0]}, "one probability a state"),
        ({"initial": [0.5, 0.4]}, "Each row of 'initial' must be a distribution"),
        ({"transition": np.full((2, 2, 2), 0.4)}, "Each row of 'transition' must be a distribution"),
        ({"reward": np.full((2, 2, 2), np.nan)}, "'reward' must be finite; got 8 NaN"),
        ({"gamma": 1.0}, r"discount γ must be in \[0, 1\)"),
        ({"shape": (2, 2)}, "as many cells as there are states"),
    ],
)
def test_a_tabular_mdp_refuses_wrong_shapes_and_numbers(changes, message):
    with pytest.raises(ValueError, match=message):
        two_states(**changes)


def test_tabular_mdp_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        two_states().reward[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"rewards": [1, 2]}, r"shape \(rows, columns\)"), ({"slip": 1.5}, "slip must be a probability")],
)
def test_gridworld_refuses_wrong_rewards_and_slip(arguments, message):
    with pytest.raises(ValueError, match=message):
        gridworld(**arguments)


# Expert and occupancy


def test_the_soft_expert_of_two_states_switches_in_both():
    policy = soft_expert(two_states(), temperature=0.01)
    np.testing.assert_allclose(policy, [[0, 1], [0, 1]], atol=1e-12)


def test_soft_expert_at_high_temperature_is_nearly_uniform():
    np.testing.assert_allclose(soft_expert(gridworld(), temperature=1e4), 0.2, atol=1e-3)


def test_occupancy_of_a_cycle_is_geometric():
    # Start in 0 and always switch: 0, 1, 0, 1, ... so that state 0 has (1 - γ)/(1 - γ²) = 1/(1 + γ).
    rho = occupancy(two_states(), [[0, 1], [0, 1]])
    np.testing.assert_allclose(rho, [[0, 1 / 1.9], [0, 0.9 / 1.9]], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.99))
def test_occupancy_sums_to_one_and_obeys_the_bellman_flow(seed, gamma):
    rng = np.random.default_rng(seed)
    states, actions = rng.integers(1, 6), rng.integers(1, 4)
    transition = rng.dirichlet(np.ones(states), (states, actions))
    mdp = TabularMDP(transition, np.zeros_like(transition), gamma, rng.dirichlet(np.ones(states)))
    rho = occupancy(mdp, rng.dirichlet(np.ones(actions), states))
    assert rho.sum() == pytest.approx(1)
    inflow = (1 - gamma) * mdp.initial + gamma * np.einsum("sa,sat->t", rho, transition)
    np.testing.assert_allclose(rho.sum(1), inflow, atol=1e-12)


@pytest.mark.parametrize(
    ("policy", "message"),
    [(np.ones((2, 3)), r"shape \(S, A\) = \(2, 2\); got \(2, 3\)"), (np.ones((2, 2)), "distributions over actions")],
)
def test_occupancy_refuses_a_wrong_policy(policy, message):
    with pytest.raises(ValueError, match=message):
        occupancy(two_states(), policy)


def test_tabular_policy_draws_from_its_table():
    table = np.array([[0.2, 0.8], [1.0, 0.0]])
    states = np.repeat([0, 1], 5000)
    actions = TabularPolicy(table, seed=1)(states, deterministic=False)
    assert actions[:5000].mean() == pytest.approx(0.8, abs=0.03)
    assert not actions[5000:].any()
    np.testing.assert_array_equal(actions, TabularPolicy(table, seed=1)(states, deterministic=False))
    np.testing.assert_array_equal(TabularPolicy(table)(np.array([0, 1])), [1, 0])


def test_tabular_policy_refuses_rows_that_are_not_distributions():
    with pytest.raises(ValueError, match=r"rows are distributions over actions.*got shape \(2, 2\).* 2 to 2"):
        TabularPolicy(np.ones((2, 2)))


# The environment


def test_grid_environment_passes_gymnasiums_checker():
    check_env(make_env("GridWorld", slip=0.1))


def test_grid_environment_is_truncated_at_its_horizon_and_never_terminates():
    env = make_env("GridWorld", horizon=7)
    env.reset(seed=0)
    ends = [env.step(STAY)[2:4] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]


def test_grid_environment_is_the_same_from_the_same_seed():
    def rollout(seed):
        env = make_env("GridWorld", slip=0.5)
        return [env.reset(seed=seed)[0]] + [env.step(a % 5)[0] for a in range(40)]

    assert rollout(3) == rollout(3)
    assert rollout(3) != rollout(4)


def test_environment_draws_from_the_mdps_distributions():
    mdp = TabularMDP(
        np.broadcast_to([0.0, 0.3, 0.7, 0.0], (4, 1, 4)), np.arange(16.0).reshape(4, 1, 4), 0.9, [0.25, 0.75, 0, 0]
    )
    env = TabularEnv(mdp, horizon=4000)
    state, _ = env.reset(seed=0)
    visits = []
    for _ in range(4000):
        successor, reward, *_ = env.step(0)
        assert reward == 4 * state + successor
        visits.append(state := successor)
    assert np.mean(np.array(visits) == 1) == pytest.approx(0.3, abs=0.03)
    assert set(visits) == {1, 2}
    assert np.mean([env.reset()[0] for _ in range(4000)]) == pytest.approx(0.75, abs=0.03)


def test_environment_can_be_made_again_from_its_spec():
    env = make_env("GridWorld", horizon=3)
    again = gym.make(env.spec)
    assert again.unwrapped.horizon == 3
    assert env.spec.id == "GridWorld"


def test_an_environment_of_any_name_has_a_spec_that_gymnasium_accepts():
    env = TabularEnv(gridworld(np.eye(3), name="3×3, goal (2, 2)"))
    assert env.spec.id == "3-3-goal-2-2-"
    assert str(env.spec.kwargs["mdp"]) == "TabularMDP('3×3, goal (2, 2)', S=9, A=5, gamma=0.99)"


def test_horizon_must_be_positive():
    with pytest.raises(ValueError, match="horizon must be at least 1 step; got 0"):
        make_env("GridWorld", horizon=0)


# Environments by name


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("Cartpole-v1", "Did you mean 'CartPole-v1'"),
        ("gridworld", r"Did you mean 'GridWorld'\?"),
        ("LunarLander-v2", "Did you mean 'LunarLander-v3'"),
        ("zzzzzz", "pprint_registry"),
    ],
)
def test_an_unknown_environment_is_answered_with_the_nearest(env_id, message):
    with pytest.raises(ValueError, match=message):
        make_env(env_id)


@pytest.mark.parametrize(("env_id", "extra"), [("LunarLander-v3", "box2d"), ("Hopper-v5", "mujoco")])
def test_the_message_about_missing_packages_names_the_extra(monkeypatch, env_id, extra):
    def fail(*_, **__):
        raise gym.error.DependencyNotInstalled("no such module")

    monkeypatch.setattr(gym, "make", fail)
    with pytest.raises(ImportError, match=rf"pip install 'irl_probe\[{extra}\]'"):
        make_env(env_id)


def test_keyword_arguments_reach_the_environment():
    assert make_env("Pendulum-v1", g=3.0).unwrapped.g == 3.0


# Spaces


class Spaces(gym.Env):
    def __init__(self, observation, action):
        self.observation_space, self.action_space = observation, action


BOX = spaces.Box(-1, 1, (2,))


def test_ant_of_27_observations_is_ant_without_its_contact_forces():
    whole, ours = make_env("Ant-v5"), make_env("Ant27-v5")
    seen, expected = ours.reset(seed=3)[0], whole.reset(seed=3)[0]
    assert (whole.observation_space.shape, ours.observation_space.shape) == ((105,), (27,))
    for _ in range(20):
        np.testing.assert_array_equal(seen, expected[:27])
        action = whole.action_space.sample()
        (seen, reward, *_), (expected, wanted, *_) = ours.step(action), whole.step(action)
        assert reward == wanted


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1", "GridWorld"])
def test_supported_spaces_pass(env_id):
    check_spaces(make_env(env_id))


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (spaces.Dict(x=spaces.Text(3)), BOX, r"observation space of Spaces is not supported.*TransformObservation"),
        (spaces.Tuple([spaces.Sequence(BOX)]), BOX, "observation space of Spaces is not supported"),
        (BOX, spaces.MultiDiscrete([30, 30]), r"action space of Spaces is not supported.*at most 512.*TransformAction"),
        (BOX, spaces.Box(-np.inf, np.inf, (1,)), r"finite bounds; got .*TransformAction\(env, lambda a: a, .*\(1,\)"),
        (BOX, spaces.Box(0, 5, (1,), dtype=np.int64), r"must be floats.*got .*TransformAction.*rint\(a\).*int64"),
        (BOX, spaces.Box(-1, 1, (1,), dtype=np.longdouble), "must be floats of at most 64 bits; got .*TransformAction"),
        (BOX, spaces.Box(np.float32([-1, 0]), np.float32([1, 0])), "low < high in each .*component 1 cannot vary"),
        (BOX, spaces.Box(0, 0, (1, 2)), r"component \(0, 0\), \(0, 1\) cannot vary"),
        (BOX, spaces.Box(-1, 1, (0,)), r"action space of Spaces must hold at least one number; got .*Discrete\(1\)"),
        (spaces.Box(-1, 1, (2, 0)), BOX, "observation space of Spaces must hold at least one number"),
        (spaces.Box(0, 1, (3,), np.bool_), BOX, "whole numbers or floats of at most 64 bits; got .*DtypeObservation"),
        (spaces.Box(0, 1, (3,), np.longdouble), BOX, "whole numbers or floats of at most 64 bits"),
    ],
)
def test_unsupported_spaces_are_refused(observation, action, message):
    with pytest.raises(ValueError, match=message):
        check_spaces(Spaces(observation, action))


@pytest.mark.parametrize(
    ("action", "function", "instead"),
    [
        (spaces.Box(-np.inf, np.inf, (1,)), lambda a: a, spaces.Box(-1, 1, (1,))),
        (spaces.Box(0, 5, (1,), dtype=np.int64), lambda a: np.rint(a).astype(np.int64), spaces.Box(0, 5, (1,))),
        (spaces.MultiDiscrete([2, 3]), lambda a: np.array(np.unravel_index(a, (2, 3))), spaces.Discrete(6)),
        (spaces.Box(np.float32([-1, 0]), np.float32([1, 0])), lambda a: np.insert(a, 1, 0), spaces.Box(-1, 1, (1,))),
    ],
)
def test_following_the_messages_makes_the_spaces_fit(action, function, instead):
    env = TransformAction(Spaces(BOX, action), function, instead)
    check_spaces(env)
    assert action.contains(env.action(instead.sample()))


def test_the_advice_for_a_boolean_box_makes_it_fit():
    check_spaces(DtypeObservation(Spaces(spaces.Box(0, 1, (3,), np.bool_), BOX), np.float32))
