"""The whole chain on small budgets, and bad input."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.judgement import answers, judge, read
from irl_probe.pipeline import environment, grid
from irl_probe.pipeline.coverages import off_data

SMALL = ip.pipeline.ProbeConfig(
    episodes=2,
    learner=ip.IQConfig(steps=400, log_every=200, evaluate_every=200, evaluate_episodes=2),
    retrain_steps=1200,
    retrain_seeds=2,
    evaluation_episodes=3,
    rollouts=2,
)


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory, small_comparisons):
    return ip.probe("CartPole-v1", SMALL, out=tmp_path_factory.mktemp("probe") / "cartpole")


@pytest.fixture(scope="module")
def gridworld(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid, "LEARNER", replace(grid.LEARNER, steps=300))
        return ip.probe("GridWorld", out=tmp_path_factory.mktemp("probe") / "grid")


def test_a_probe_leaves_run_reward_results_and_report(cartpole):
    names = {path.relative_to(cartpole.folder).as_posix() for path in cartpole.folder.rglob("*") if path.is_file()}
    assert {"probe.json", "run/run.json", "run/checkpoint.pt", "run/log.jsonl", "results.nc", "report.html"} <= names
    assert {"reward/reward.safetensors", "reward/reward.json", "reward/README.md"} <= names
    assert "CartPole-v1" in cartpole.report.read_text()


def test_its_results_hold_every_policy_and_coverage(cartpole):
    tree = ip.results.load_results(cartpole.folder / "results.nc")
    assert set(tree["returns"]["policy"].values) == {"expert", "learned", "retrained", "bc", "random"}
    assert set(tree["points"].children) == {"expert", "learned", "random", "mixture"}
    assert float(tree["returns"]["mean"].sel(policy="expert", bound="estimate")) == 500.0
    assert set(tree["correlation"]["control"].values) == {"none", "constant", "length"}


def test_retraining_is_judged_by_every_seed_and_two_have_no_interval(cartpole):
    group = cartpole.results["retraining"].to_dataset().isel(reward=0)
    assert list(group["seed"].values) == [1, 2]
    means = group["return_mean"].values
    assert group["mean"].sel(bound=["low", "high"]).isnull().all()
    assert float(group["mean"].sel(bound="estimate")) == pytest.approx(means.mean())
    together = cartpole.results["returns"]["mean"].sel(policy="retrained", bound="estimate")
    assert float(together) == pytest.approx(means.mean())


def test_the_grids_verdict_is_about_the_reward_that_was_saved_and_names_those_beside_it(gridworld):
    figures = read(gridworld.results)
    verdict = judge(figures)
    assert verdict.reward == "30 demonstrations"
    hashes = json.loads(gridworld.results.attrs["hashes"])["rewards"]
    assert hashes["30 demonstrations"] == ip.load_reward(gridworld.reward).reward_id
    first = answers(figures, verdict)[0]
    assert "“30 demonstrations, known grid”, learned from the same demonstrations" in first.sentence
    assert "“exact occupancy”, learned from the expert's exact occupancy" in first.sentence
    page = gridworld.report.read_text()
    assert "best of" not in page.partition("Each reward")[0]
    assert "leads" not in verdict.headline


def test_canonical_distances_come_with_their_calibration(cartpole):
    distance = cartpole.results["distance"].to_dataset().isel(reward=0, reference=0)
    assert distance.attrs["gamma"] == ip.load_reward(cartpole.reward).gamma
    assert distance.attrs["expectation"] == "simulator (CartPole-v1)"
    one = distance.sel(coverage="random", metric="starc_minimal")
    low, high = (float(one["value"].sel(bound=bound)) for bound in ("low", "high"))
    assert 0 <= low <= float(one["value"].sel(bound="estimate")) <= high <= 2
    assert low < high
    assert float(one["shaped"].sel(bound="estimate")) < 0.5 < float(one["random"].sel(bound="estimate"))
    assert 0 <= float(distance["off_support"].sel(coverage="random", metric="epic")) <= 1
    # CartPole pays 1 at every step: its canonical form in EPIC is 0, so the distance is undefined, with a reason.
    assert "reward is 0 on these steps" in str(distance["reason"].sel(coverage="random", metric="epic").item())
    assert "STARC (minimal)" in cartpole.report.read_text()
    assert cartpole.results.attrs["stochastic"] == 0


def test_unavailable_distances_have_a_reason(monkeypatch):
    steps = ip.load_demos("CartPole-v1", episodes=1).transitions
    assert "has observations of shape (6,); the data have (4,)" in off_data("Acrobot-v1", [], [steps]).reason
    assert "must be GridWorld or one that Gymnasium has registered" in off_data("hopper-medium-v2", []).reason
    assert "name an environment" in off_data(None, []).reason

    def missing(env_id):
        raise ImportError("MuJoCo is not installed")

    monkeypatch.setitem(off_data.__globals__, "make_env", missing)
    assert off_data("Hopper-v5", []).reason == "MuJoCo is not installed"


def test_its_warnings_name_the_undefined_step_level(cartpole):
    codes = {warning["code"] for warning in ip.judgement.warnings_of(cartpole.results)}
    assert "undefined-step" in codes  # CartPole pays 1 at every step


def test_the_saved_reward_is_the_one_of_the_saved_run(cartpole):
    steps = ip.load_demos("CartPole-v1", episodes=1).transitions
    arrays = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    saved = ip.load_reward(cartpole.reward)
    np.testing.assert_array_equal(saved(*arrays), ip.recover(ip.load_run(cartpole.folder / "run"))(*arrays))
    assert saved.observation_space == ip.envs.make_env("CartPole-v1").observation_space


def test_a_probe_that_was_never_begun_is_not_resumed(tmp_path):
    with pytest.raises(ValueError, match=r"must hold probe\.json"):
        ip.probe("CartPole-v1", out=tmp_path, resume=True)


def test_the_grid_refuses_settings_that_it_does_not_read(tmp_path):
    config = ip.pipeline.ProbeConfig(demos="nosuchfile.npz", retrain_seeds=5, seed=3)
    with pytest.raises(ValueError, match="takes only a seed; got demos, retrain_seeds"):
        ip.probe("GridWorld", config, out=tmp_path / "grid")


def test_the_curve_of_continuous_actions_has_ten_points_too():
    learner = environment._with_curve(ip.pipeline.ProbeConfig(learner=ip.IQConfig(objective="lsiq")), discrete=False)
    assert learner.evaluate_every == ip.IQConfig().resolve(discrete=False, online=True).steps // 10


def test_an_output_folder_with_content_is_refused(cartpole):
    with pytest.raises(ValueError, match="must be new or empty, so that nothing is overwritten"):
        ip.probe("CartPole-v1", SMALL, out=cartpole.folder)


def test_an_unknown_environment_is_refused_with_the_near_miss(tmp_path):
    with pytest.raises(ValueError, match="CartPole-v1"):
        ip.probe("CartPol-v1", SMALL, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_demonstrations_of_another_environment_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(4,\).*\(6,\)"):
        ip.probe("Acrobot-v1", replace(SMALL, demos="CartPole-v1"), out=tmp_path / "x")


def test_demonstrations_without_true_rewards_are_refused(tmp_path):
    demos = ip.load_demos("CartPole-v1", episodes=1)
    bare = replace(demos, transitions=replace(demos.transitions, rewards=None), kept=None)
    path = ip.save_demos(bare, tmp_path / "bare.npz")
    with pytest.raises(ValueError, match="compares with the true reward"):
        ip.probe("CartPole-v1", replace(SMALL, demos=str(path), episodes=None), out=tmp_path / "x")


def test_the_grids_soft_q_comes_back_from_its_reward(gridworld):
    """Lemma 3.1, on the learned table: T⁻¹ after T is the identity."""
    mdp = ip.envs.gridworld()
    reward = ip.load_reward(gridworld.reward)
    assert grid._round_trip(mdp, reward) < 1e-9


def test_at_the_exact_occupancy_the_grids_reward_is_nearly_the_truth(gridworld):
    value = gridworld.results["distance"]["value"].sel(bound="estimate").squeeze()
    exact = value.sel(reward="exact occupancy")
    assert float(exact.sel(metric="regret")) == pytest.approx(0.0, abs=1e-9)
    assert float(exact.sel(metric="starc_minimal")) < 0.05
    alone, known = (value.sel(reward=f"30 demonstrations{name}") for name in ("", ", known grid"))
    assert float(alone.sel(metric="starc_minimal")) > 0.9  # nothing constrains it at unvisited (s, a)
    assert float(known.sel(metric="starc_minimal")) < 0.7 * float(alone.sel(metric="starc_minimal"))
    assert float(known.sel(metric="regret")) < float(alone.sel(metric="regret"))


def test_the_measures_page_has_the_grids_figures(gridworld):
    page = (Path(__file__).parents[1] / "docs" / "measures.md").read_text(encoding="utf-8")
    told = re.search(r"occupancy, this gives EPIC (\.\d+) and Minimal (\.\d+)\.", page)
    exact = gridworld.results["distance"]["value"].sel(reward="exact occupancy", bound="estimate").squeeze()
    for figure, metric in zip(told.groups(), ("epic", "starc_minimal"), strict=True):
        assert round(float(exact.sel(metric=metric)), len(figure) - 1) == float(figure)


def test_the_grids_report_shows_both_heat_maps(gridworld):
    page = gridworld.report.read_text()
    assert "30 demonstrations" in page
    assert "exact occupancy" in page
