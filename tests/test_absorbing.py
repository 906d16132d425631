"""The absorbing state is worth what those are paid who end there."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.demos import Demonstrations
from irl_probe.learn.absorbing import AbsorbingState
from irl_probe.learn.replay import Batch


def some_batch(count, terminated):
    ends = torch.zeros(count)
    ends[:terminated] = 1
    return Batch(torch.zeros(count, 2), torch.zeros(count, dtype=torch.int64), torch.zeros(count, 2), ends, ends)


def state_of(**settings):
    config = ip.IQConfig(terminal="absorbing", gamma=0.9, **settings).resolve(discrete=True, online=True)
    return AbsorbingState(config, torch.float32)


@pytest.mark.parametrize(
    ("expert_ends", "policy_ends", "reward"),
    [(0, 0, 0.0), (2, 0, 1.0), (0, 3, -0.5), (1, 1, 0.25), (1, 2, 0.0)],
)
def test_under_chi2_it_pays_the_targets_of_those_who_end_weighted_by_how_many_do(expert_ends, policy_ends, reward):
    """Goal tasks, where experts end: the expert's target. Survival tasks, where only others do: the policy's."""
    state = state_of(reward_targets=(1.0, -0.5))
    for _ in range(3):
        state.observe(some_batch(10, expert_ends), some_batch(10, policy_ends))
    assert state.parameters == []
    assert state.value.item() == pytest.approx(reward / (1 - 0.9), rel=1e-5, abs=1e-6)


def test_only_steps_that_the_regulariser_averages_over_count():
    state = state_of(reward_targets=(1.0, -0.5), chi2_on="expert")
    state.observe(some_batch(10, 1), some_batch(10, 9))
    assert state.value.item() == pytest.approx(10.0, rel=1e-5)


def test_it_comes_back_from_a_checkpoint():
    first, again = (state_of(reward_targets=(1.0, 0.0)) for _ in range(2))
    first.observe(some_batch(10, 3), some_batch(10, 1))
    again.restore(first.state())
    assert again.value == first.value > 0


@pytest.mark.parametrize(
    ("settings", "reward"),
    [({"divergence": "chi2", "chi2_c": 1.0}, 1.0), ({"divergence": "kl", "value_term": "initial"}, math.log(2))],
)
def test_the_end_is_worth_its_reward_for_ever(settings, reward):
    """One state, one action, every step ends, γ = ½: V_abs = 2r and V = r + V_abs/2, r the same in both states.

    χ² pulls r to the expert's target; for kl with (1 − γ)V at the start, φ′(r) = e^{−r} = 1 − γ at the optimum.
    """
    ends = np.ones(4, dtype=bool)
    steps = ip.Transitions(np.zeros(4, int), np.zeros(4, int), np.zeros(4, int), ends, ~ends, np.arange(4))
    shape = {"hidden": (), "batch_size": 0, "learning_rate": 0.1, "weight_decay": 0.0, "steps": 300, "gamma": 0.5}
    config = ip.IQConfig.from_dict({"terminal": "absorbing", **shape, **settings})
    demos = Demonstrations(steps, None, "one state", spaces.Discrete(1), spaces.Discrete(1))
    run = ip.train(demos, config, progress=False)
    assert run.terminal_value == pytest.approx(2 * reward, abs=1e-3)
    assert run.value(np.zeros(1, int))[0] == pytest.approx(2 * reward, abs=1e-3)
