"""A recovered reward is not called with what its Q-function does not take."""

from __future__ import annotations

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.rewards import RewardError

OBSERVATIONS = np.zeros((3, 4), np.float32)
ENDED = np.zeros(3, bool)


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
def test_transitions_of_other_spaces_are_refused(observations, actions, message):
    reward = ip.load_reward("CartPole-v1/iq")
    with pytest.raises(RewardError, match=f"(?s){message}"):
        reward(observations, actions, observations, ENDED)


@pytest.mark.parametrize("state", [-1, 25])
def test_a_state_that_the_grid_does_not_have_is_refused(state):
    reward = ip.load_reward("GridWorld/iq")
    states, actions = np.array([0, state, 1]), np.zeros(3, int)
    with pytest.raises(RewardError, match=rf"Discrete\(25\).*transition 1 it is {state}\."):
        reward(states, actions, np.zeros(3, int), ENDED)
