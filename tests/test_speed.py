"""The memory that measures and rewards take; the time of measures is in benchmarks/tabular.py, for a quiet machine."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.metrics import tabular
from irl_probe.softq import ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec, in_numpy
from tests.mdps import random_mdp

LARGE = random_mdp(0, states=400, actions=5, gamma=0.99)
SPARSE = random_mdp(0, states=400, actions=5, gamma=0.99, successors=5)


@pytest.mark.parametrize("mdp", [LARGE, SPARSE], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    "measure",
    [
        lambda m, other: tabular.epic(m.reward, other, m.gamma, coverage=m.coverage),
        lambda m, other: tabular.dard(m.reward, other, m.transition, m.gamma),
        lambda m, other: tabular.starc(m.reward, other, m.transition, m.gamma),
        lambda m, other: tabular.starc(m.reward, other, m.transition, m.gamma, canonical="minimal"),
        lambda m, other: tabular.npec(m.reward, other, m.gamma, coverage=m.coverage),
        lambda m, other: tabular.regret(m.reward, other, m.transition, m.gamma, m.initial),
        lambda m, other: tabular.decompose(m.reward, other, m.transition, m.gamma).shares["residual"],
        lambda m, other: tabular.ambiguity_dimension([(m.transition, m.gamma), (m.transition[::-1], m.gamma)]),
        lambda m, other: tabular.soft_q(m.reward, m.transition, m.gamma).sum(),
    ],
    ids=["epic", "dard", "val", "minimal", "npec", "regret", "decompose", "ambiguity", "soft_q"],
)
def test_an_exact_measure_of_400_states_takes_at_most_the_memory_of_ten_rewards(measure, mdp):
    other = np.random.default_rng(1).normal(size=mdp.reward.shape)
    tracemalloc.start()
    found = measure(mdp, other)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(found)
    assert peak < 10 * mdp.reward.nbytes


def continuous_reward():
    bounds = ((-1.0,) * 6, (1.0,) * 6)
    spec = NetworkSpec((17,), None, None, *bounds, hidden=(256, 256), critics=2)
    soft_q = ip.softq.ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.99, temperature=0.1, samples=8)
    return ip.recover(soft_q, action_space=spaces.Box(-1, 1, (6,)))


def discrete_reward():
    return ip.recover(
        ip.softq.DiscreteSoftQ(DiscreteQ(NetworkSpec((17,), None, 6, None, None, (256,))), gamma=0.99, temperature=1.0)
    )


@pytest.mark.parametrize("make", [continuous_reward, discrete_reward])
def test_labelling_takes_the_stated_memory_whatever_the_number_of_steps(make):
    torch.manual_seed(0)
    reward, count, rng = make(), 20_000, np.random.default_rng(0)
    o, o2 = rng.normal(size=(2, count, 17)).astype(np.float32)
    a = rng.uniform(-1, 1, (count, 6)).astype(np.float32) if make is continuous_reward else rng.integers(6, size=count)
    tracemalloc.start()
    reward(o, a, o2, np.zeros(count, dtype=bool))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * in_numpy.PIECE + 8 * count * 8
