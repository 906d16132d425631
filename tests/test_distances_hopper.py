"""On Hopper's transitions: the true reward shaped by a random network is the true reward, to EPIC and to Minimal."""

import pytest
from rollouts import rollout

import irl_probe as ip

pytest.importorskip("mujoco")


def test_shaping_by_a_random_network_is_at_most_a_twentieth_away():
    env = ip.make_env("Hopper-v5")
    tree = ip.compare(
        {"true": ip.true_reward(env)},
        reference=ip.true_reward(env),
        transitions=rollout(env, 155),
        config=ip.CompareConfig(resamples=2),
        distances=ip.DistanceConfig(gamma=0.99, samples=1024, actions=2, draws=2, states=8, resamples=20),
        dynamics=ip.simulator(env),
    )
    figures = tree["distance"].to_dataset().squeeze().sel(bound="estimate")
    assert float(figures["shaped"].sel(metric="epic")) <= 0.05
    assert float(figures["shaped"].sel(metric="starc_minimal")) <= 0.05
    assert float(figures["random"].sel(metric="starc_minimal")) > 0.5
