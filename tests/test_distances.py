"""Canonical distances by the verb compare: known figures, calibration, and messages about bad input."""

import numpy as np
import pytest
from rollouts import rollout

import irl_probe as ip
from irl_probe.softq import DiscreteQ, DiscreteSoftQ, NetworkSpec

QUICK = ip.comparison.DistanceConfig(samples=400, states=64, resamples=40, features=64, horizon=5)
FIGURES = ["epic", "dard", "starc_val", "starc_minimal", "erc"]


@pytest.fixture(scope="module")
def pendulum():
    env = ip.envs.make_env("Pendulum-v1")
    return env, rollout(env, 12, steps=60)


def pendulum_truth(o, a, o2, d):
    return -(np.arctan2(o[:, 1], o[:, 0]) ** 2 + 0.1 * o[:, 2] ** 2 + 0.001 * np.clip(a[:, 0], -2, 2) ** 2)


def shaped(o, a, o2, d):
    return 2 * pendulum_truth(o, a, o2, d) + 0.99 * o2[:, 0] - o[:, 0]


def compare(rewards, env, steps, **kwargs):
    options = {
        "reference": ip.true_reward(env),
        "distances": ip.comparison.DistanceConfig(**{**vars(QUICK), "gamma": 0.99}),
        "dynamics": ip.envs.simulator(env),
    }
    return ip.compare(
        rewards,
        transitions=steps,
        config=ip.CompareConfig(resamples=10),
        **options | kwargs,
    )


def test_a_shaped_truth_is_near_the_opposite_is_far_and_the_calibration_agrees(pendulum):
    tree = compare({"shaped": shaped, "opposite": lambda *b: -pendulum_truth(*b)}, *pendulum)
    value = tree["distance"]["value"].sel(bound="estimate").squeeze(drop=True).to_series().unstack("metric")
    assert (value.loc["shaped", ["epic", "dard", "starc_val", "starc_minimal"]] < 1e-3).all()
    assert value.loc["opposite", FIGURES].to_numpy() == pytest.approx([1, 1, 2, 2, 1], abs=1e-6)
    estimate = {"bound": "estimate", "reference": "true", "coverage": "data"}
    for times in ("shaped", "shaped_10"):
        assert (tree["distance"][times].sel(estimate).sel(metric=FIGURES[:4], reward="shaped") < 0.05).all()
    assert (tree["distance"]["random"].sel(estimate).sel(metric=FIGURES[:4]) > 0.4).all()
    assert 0 <= tree["distance"]["off_support"].min() <= tree["distance"]["off_support"].max() <= 1
    parts = tree["decomposition"]["value"].sel(reward="shaped", bound="estimate").squeeze()
    assert float(parts.sum()) == pytest.approx(1)
    assert float(parts.sel(part="residual")) < 1e-4
    assert float(tree["decomposition"]["scale"].sel(reward="shaped", bound="estimate").squeeze()) == pytest.approx(
        2, abs=1e-3
    )


def test_plain_functions_are_measured_over_the_action_space_of_the_simulator(pendulum):
    env, steps = pendulum
    said = {}
    for dynamics in (None, ip.envs.simulator(env)):
        tree = compare({"shaped": shaped}, env, steps, reference=pendulum_truth, dynamics=dynamics)
        said[dynamics is None] = tree["distance"].attrs["actions"]
    assert said[False] == "uniform over the action space"
    assert "range of the actions in the data" in said[True]


def test_no_figure_depends_on_what_else_is_compared(pendulum):
    def other(o, a, o2, d):
        return o2[:, 0] * a[:, 0]

    def unlike(o, a, o2, d):
        return 5 * np.sin(3 * o2[:, 2]) + o[:, 0]

    alone = compare({"other": other}, *pendulum)["distance"].to_dataset()
    beside = compare({"unlike": unlike, "other": other}, *pendulum)["distance"].to_dataset().sel(reward=["other"])
    for name in ("value", "shaped", "shaped_10", "random"):
        np.testing.assert_allclose(alone[name], beside[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_cartpole_with_a_recovered_reward(tmp_path):
    env = ip.envs.make_env("CartPole-v1")
    network = DiscreteQ(NetworkSpec.of(env.observation_space, env.action_space, hidden=(8,)))
    reward = ip.recover(DiscreteSoftQ(network, gamma=0.99, temperature=0.1))
    tree = ip.compare(
        {"iq": reward},
        reference=ip.true_reward(env),
        transitions=rollout(env, 12),
        config=ip.CompareConfig(resamples=10),
        distances=QUICK,
        dynamics=ip.envs.simulator(env),
    )
    figure = tree["distance"].to_dataset().sel(reward="iq", coverage="data", reference="true")
    # The true reward is 1 at every step: a constant to EPIC, but not to measures that see the end.
    assert np.isnan(figure["value"].sel(metric="epic", bound="estimate"))
    assert "'true (reference)' reward is 0 on these steps" in str(figure["reason"].sel(metric="epic").item())
    assert 0 < float(figure["value"].sel(metric="starc_minimal", bound="estimate")) <= 2
    xr_loaded = ip.results.load_results(ip.results.save_results(tree, tmp_path / "r.nc"))
    assert xr_loaded["distance"].attrs["gamma"] == 0.99


def test_without_dynamics_only_epic_and_erc_are_measured(pendulum):
    tree = compare({"shaped": shaped}, *pendulum, dynamics=None)
    defined = tree["distance"]["value"].sel(bound="estimate").squeeze().notnull()
    assert defined.to_series().to_dict() == dict(zip(FIGURES, [True, False, False, False, True], strict=True))
    assert "dynamics=simulator(env)" in str(tree["distance"]["reason"].squeeze().sel(metric="dard").item())


def test_the_message_about_a_missing_argument_says_what_to_pass(pendulum):
    env, steps = pendulum
    with pytest.raises(ValueError, match="Pass truth=true_reward"):
        ip.compare({"r": shaped}, transitions=steps, distances=QUICK)
    with pytest.raises(ValueError, match=r"none of these rewards has one. Pass distances=DistanceConfig\(gamma"):
        compare({"r": shaped}, env, steps, distances=QUICK)
    other = rollout(ip.envs.make_env("MountainCarContinuous-v0"), 2, steps=20)
    with pytest.raises(ValueError, match="'a' has observations of shape"):
        ip.compare(
            {"r": lambda o, a, o2, d: a[:, 0]},
            transitions={"a": steps, "b": other},
            truth=lambda o, a, o2, d: a[:, 0],
            distances=ip.comparison.DistanceConfig(gamma=0.9),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.0}, r"gamma must lie in \[0, 1\), such as 0.99; got 1.0"),
        ({"draws": 1}, "draws must be at least 2; got 1"),
    ],
)
def test_config_refuses_values_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ip.comparison.DistanceConfig(**options)


def test_rollouts_reach_a_share_of_the_discounted_future_unless_their_length_is_stated():
    config = ip.comparison.DistanceConfig()
    assert [ip.comparison.rolled_steps(gamma, config) for gamma in (0, 0.5, 0.9, 0.99)] == [1, 1, 2, 20]
    assert ip.comparison.rolled_steps(0.99, ip.comparison.DistanceConfig(horizon=7)) == 7


def test_a_truth_without_an_advantage_at_gamma_0_has_no_val_instead_of_noise(pendulum):
    env, steps = pendulum

    def of_state(o, a, o2, d):
        return o[:, 0]

    distances = ip.comparison.DistanceConfig(**{**vars(QUICK), "gamma": 0.0})
    tree = compare({"reward": pendulum_truth}, env, steps, reference=of_state, distances=distances)
    row = tree["distance"].to_dataset().squeeze().sel(metric="starc_val", bound="estimate")
    assert np.isnan(float(row["value"]))
    assert "is 0 on these steps" in str(row["reason"].values)
