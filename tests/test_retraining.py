"""Retraining learns from the reward that it is given, and from nothing else."""

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.envs import TabularEnv
from irl_probe.metrics import tabular
from irl_probe.networks import DiscreteQ

LEARNER = ip.IQConfig(
    objective="bellman",
    hidden=(),
    steps=4000,
    batch_size=256,
    precision="float64",
    learning_rate=0.1,
    target_rate=0.1,
    learning_starts=500,
    gamma=0.8,
    temperature=0.5,
)


@pytest.fixture
def mdp():
    return ip.gridworld([[0.0, 0.0], [0.0, 1.0]], gamma=0.8)


def table(run, mdp):
    states, actions, _ = mdp.transition.shape
    s, a = (index.ravel() for index in np.indices((states, actions)))
    return run.q(s, a).reshape(states, actions)


def test_retraining_on_a_table_reaches_its_soft_optimum(mdp):
    target = np.random.default_rng(0).normal(size=mdp.transition.shape[:2])
    run = ip.retrain(lambda o, a, o2, d: target[o, a], TabularEnv(mdp), ip.RetrainConfig(LEARNER), progress=False)
    exact = tabular.soft_q(target, mdp.transition, mdp.gamma, 0.5)
    np.testing.assert_allclose(table(run, mdp), exact, atol=0.02)


def test_the_environments_own_reward_is_never_read(mdp):
    other = ip.gridworld([[9.0, -9.0], [5.0, 0.0]], gamma=0.8)
    runs = [
        ip.retrain(
            lambda o, a, o2, d: np.asarray(o, dtype=float),
            TabularEnv(m),
            ip.RetrainConfig(ip.IQConfig.from_dict({**vars(LEARNER), "steps": 700})),
            progress=False,
        )
        for m in (mdp, other)
    ]
    np.testing.assert_array_equal(table(runs[0], mdp), table(runs[1], mdp))


def test_a_recovered_rewards_own_temperature_is_taken_where_none_is_given(mdp):
    q = ip.DiscreteSoftQ(DiscreteQ.from_table(np.zeros((4, 5))), gamma=0.7, temperature=3.0)
    learner = ip.IQConfig(objective="bellman", steps=10)
    run = ip.retrain(ip.recover(q), TabularEnv(mdp), ip.RetrainConfig(learner), progress=False)
    assert (run.config.temperature, run.config.gamma) == (3.0, 0.7)


def test_a_learner_of_another_objective_is_refused():
    with pytest.raises(ValueError, match="objective 'bellman'; got 'iq'"):
        ip.RetrainConfig(ip.IQConfig())
