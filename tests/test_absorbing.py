"""The absorbing state of the terminal convention `absorbing`, on cases whose value is known."""

import math

import numpy as np
import pytest
from gymnasium import spaces

import irl_probe as ip
from irl_probe.demos import Demonstrations


@pytest.mark.parametrize(
    ("settings", "reward"),
    [({"divergence": "chi2", "chi2_c": 1.0}, 1.0), ({"divergence": "kl", "value_term": "initial"}, math.log(2))],
)
def test_the_value_of_the_absorbing_state_is_that_of_its_reward_for_ever(settings, reward):
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
