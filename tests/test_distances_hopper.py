"""Sampled distances on Hopper's transitions, where values are much larger than rewards."""

from pathlib import Path

import numpy as np
import pytest
from rollouts import rollout

import irl_probe as ip
from irl_probe.metrics import (
    Dynamics,
    RewardTerms,
    draw_successors,
    follow,
    random_network,
    roll_out,
    starc_forms,
    state_features,
)

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


def test_shaping_a_hundred_times_the_reward_is_seen_through_where_it_is_shown_and_condemned_where_it_is_hidden(
    env, steps
):
    true, network = ip.true_reward(env), random_network(steps.observations, seed=3, deviation=100 * steps.rewards.std())

    def shaped(s, a, s2, d):
        return true(s, a, s2, d) + GAMMA * network(s2) * (1 - d) - network(s)

    tree = ip.compare(
        {"true": true, "shaped": shaped},
        reference=true,
        transitions=steps,
        config=ip.CompareConfig(resamples=2),
        distances=ip.comparison.DistanceConfig(
            gamma=GAMMA, samples=128, actions=2, draws=2, states=8, resamples=20, simulated=4000, features=64, horizon=5
        ),
        dynamics=ip.envs.simulator(env),
    )
    figures = tree["distance"].to_dataset().squeeze().sel(bound="estimate")
    measures = ["epic", "dard", "starc_val", "starc_minimal"]
    for name in ("value", "shaped", "shaped_10"):
        assert (figures[name].sel(metric=measures, reward="shaped") < 1e-4).all()
    # The true reward shows no potential. Hidden shaping as large as its value is not small to features.
    assert float(figures["shaped"].sel(metric="starc_minimal", reward="true")) > 0.1
    assert float(figures["random"].sel(metric="starc_minimal")) > 0.5
    table = ip.results.to_dataframe(tree).set_index(["reward", "metric"])
    assert "Not measured: on these steps the measure finds the truth" in table.loc[("true", "starc_minimal"), "reason"]
    assert np.isnan(table.loc[("true", "starc_minimal"), "estimate"])
    assert table.loc[("shaped", "starc_minimal"), "estimate"] < 1e-4


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
            hidden=True,
        ),
    }
    simulator = ip.envs.simulator(env)

    def step(observations, actions):
        found = simulator.step(observations, actions)
        return found.next_observations, found.terminated

    low, high = env.action_space.low, env.action_space.high

    def actions(n, rng):
        return rng.uniform(low, high, (n, len(low))).astype(np.float32)

    dynamics = Dynamics("simulator", step, True)
    policy = follow(kept, dynamics, GAMMA, actions=actions, count=500, seed=0)
    rolled = roll_out(rewards, kept, GAMMA, dynamics, actions=actions, horizon=1, rollouts=2)
    hidden = {"shaped": rewards.pop("shaped")}
    forms = starc_forms(rewards, draw_successors(kept, dynamics), policy, rolled, GAMMA, phi, extra=hidden)
    assert forms.distance("starc_minimal", "true", "shaped", resamples=20).value <= 1e-6
