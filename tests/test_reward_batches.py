"""Reward models refuse values that their network does not take, and columns of different lengths."""

from __future__ import annotations

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.rewards import DistilledReward, RewardError, RewardNetwork
from irl_probe.softq import NetworkSpec

OBSERVATIONS = np.zeros((3, 4), np.float32)
ENDED = np.zeros(3, bool)


def distilled(env_id, form="state-action"):
    env = ip.envs.make_env(env_id)
    spec = NetworkSpec.of(env.observation_space, env.action_space, hidden=())
    g = RewardNetwork(spec, form).double()
    return DistilledReward(g, None, 0.9, None, env.observation_space, env.action_space)


@pytest.fixture(params=["recovered", "state", "state-action", "transition"])
def reward_of(request):
    """A function that makes a reward for an environment, of each type; all check the columns that they do not read."""
    if request.param == "recovered":
        return lambda env_id: ip.load_reward(f"{env_id}/iq")
    return lambda env_id: distilled(env_id, request.param)


@pytest.mark.parametrize(
    ("observations", "actions", "message"),
    [
        (np.zeros((3, 3)), np.zeros(3, int), r"observations.*rows of shape \(4,\).*got an array of shape \(3, 3\)"),
        (np.zeros((3, 8)), np.zeros(3, int), r"rows of shape \(4,\).*got an array of shape \(3, 8\)"),
        (OBSERVATIONS, np.zeros((3, 1)), r"actions.*whole numbers.*Discrete\(2\).*shape \(3, 1\)"),
        (OBSERVATIONS, np.array([0, 1, -1]), r"actions.*Discrete\(2\).*transition 2 it is -1"),
        (OBSERVATIONS, np.array([0, 2, 1]), r"actions.*Discrete\(2\).*transition 1 it is 2"),
        (OBSERVATIONS, np.array([0.7, 1, 1]), r"actions.*Discrete\(2\).*transition 0 it is 0\.7"),
    ],
)
def test_transitions_of_other_spaces_are_refused(reward_of, observations, actions, message):
    reward = reward_of("CartPole-v1")
    with pytest.raises(RewardError, match=f"(?s){message}"):
        reward(observations, actions, observations, ENDED)


@pytest.mark.parametrize("state", [-1, 25, 1.9])
def test_a_state_that_the_grid_does_not_have_is_refused(reward_of, state):
    reward = reward_of("GridWorld")
    states, none = np.array([0, state, 1]), np.zeros(3, int)
    with pytest.raises(RewardError, match=rf"The observations.*Discrete\(25\).*transition 1 it is {state}\."):
        reward(states, none, none, ENDED)
    with pytest.raises(RewardError, match=rf"The next observations.*Discrete\(25\).*transition 1 it is {state}\."):
        reward(none, none, states, ENDED)


def test_columns_of_other_lengths_are_refused(reward_of):
    reward, actions = reward_of("CartPole-v1"), np.zeros(3, int)
    for batch in (
        (OBSERVATIONS, np.zeros(1, int), OBSERVATIONS, ENDED),
        (OBSERVATIONS, actions, OBSERVATIONS[:1], ENDED),
        (OBSERVATIONS, actions, OBSERVATIONS, ENDED[:1]),
        (OBSERVATIONS, actions, OBSERVATIONS, False),
    ):
        with pytest.raises(RewardError, match="columns of the same transitions"):
            reward(*batch)


def test_a_potential_refuses_a_state_that_the_grid_does_not_have():
    with pytest.raises(RewardError, match=r"Discrete\(25\).*transition 0 it is -1"):
        distilled("GridWorld").potential(np.array([-1]))


def test_steps_of_another_environment_are_not_relabelled():
    with pytest.raises(RewardError, match=r"observations of a batch must be N rows of shape \(11,\).*\(\d+, 6\)"):
        ip.rewards.relabel(ip.load_demos("Acrobot-v1", episodes=1).transitions, ip.load_reward("Hopper-v5/sqil-linear"))
