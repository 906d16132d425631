"""On Hopper's transitions EPIC and Minimal take the true reward shaped by a random network for the true reward."""

from pathlib import Path

import numpy as np
import pytest
from rollouts import rollout

import irl_probe as ip
from irl_probe.metrics import Dynamics, RewardTerms, draw, evaluate_on_draws, starc_forms, state_features

pytest.importorskip("mujoco")

GAMMA = 0.99
EXPERT = Path(__file__).parents[2] / "shared" / "demos" / "Hopper-v5.npz"


@pytest.fixture(scope="module")
def env():
    return ip.envs.make_env("Hopper-v5")


@pytest.fixture(scope="module", params=["random actions", "expert"])
def steps(request, env):
    if request.param == "random actions":
        return rollout(env, 155)
    if not EXPERT.exists():
        pytest.skip(f"The expert's demonstrations are not there ({EXPERT}).")
    return ip.load_demos(str(EXPERT)).transitions.episodes(10)


def test_shaping_by_a_random_network_is_at_most_a_twentieth_away(env, steps):
    tree = ip.compare(
        {"true": ip.true_reward(env)},
        reference=ip.true_reward(env),
        transitions=steps,
        config=ip.CompareConfig(resamples=2),
        distances=ip.comparison.DistanceConfig(gamma=GAMMA, samples=1024, actions=2, draws=2, states=8, resamples=20),
        dynamics=ip.envs.simulator(env),
    )
    figures = tree["distance"].to_dataset().squeeze().sel(bound="estimate")
    assert float(figures["shaped"].sel(metric="epic")) <= 0.05
    assert float(figures["shaped"].sel(metric="starc_minimal")) <= 0.05
    assert float(figures["random"].sel(metric="starc_minimal")) > 0.5


def test_minimal_ignores_shaping_in_the_span_of_the_features(env, steps):
    kept = steps.rows(np.sort(np.random.default_rng(0).choice(len(steps), 600, replace=False)))
    phi = state_features(kept.observations, size=128, seed=3)
    weights = np.random.default_rng(1).normal(size=phi(kept.observations[:1]).shape[1])
    true = ip.true_reward(env)

    def pair(s, a):
        return true(s, a, s, np.zeros(len(s), dtype=bool))

    rewards = {
        "true": RewardTerms("true", pair=pair),
        "shaped": RewardTerms(
            "shaped",
            state=lambda s: -(phi(s) @ weights),
            pair=pair,
            successor=lambda s: GAMMA * (phi(s) @ weights),
        ),
    }
    simulator = ip.envs.simulator(env)

    def step(observations, actions):
        found = simulator.step(observations, actions)
        return found.next_observations, found.terminated

    low, high = env.action_space.low, env.action_space.high

    def actions(n, rng):
        return rng.uniform(low, high, (n, len(low))).astype(np.float32)

    draws = draw(kept, Dynamics("simulator", step, True), actions=actions, draws=2)
    forms = starc_forms(evaluate_on_draws(rewards, draws, GAMMA), draws, GAMMA, phi)
    assert forms.distance("starc_minimal", "true", "shaped", resamples=20).value <= 1e-6
