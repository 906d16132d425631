"""The variance that each distilled form explains, and what it loses, on the grid, where the answer is known."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.cli import main
from irl_probe.pipeline import distil_named
from irl_probe.rewards import RewardError

FORMS = ["state", "state-action", "transition", "state + shaping", "state-action + shaping", "transition + shaping"]


@pytest.fixture(scope="module")
def tree():
    return ip.pipeline.compare_forms(ip.load_reward("GridWorld/iq"), "GridWorld", episodes=8)


def test_every_form_is_compared_together_with_the_recovered_reward(tree, tmp_path):
    assert tree["correlation"]["reward"].values.tolist() == ["recovered", *FORMS]
    ip.results.save_results(tree, tmp_path / "results.nc")
    assert ip.pipeline.forms_table(ip.results.load_results(tmp_path / "results.nc")) == ip.pipeline.forms_table(tree)


def test_a_marginal_reward_of_the_grid_is_a_table_of_states_and_actions(tree):
    """The recovered reward is r(s, a): this form misses only the (s, a) that no training episode visits."""
    shares = {form: share["all"]["estimate"] for form, share in json.loads(tree.attrs["explained_variance"]).items()}
    assert shares["state"] < 0.5 < 0.9 < shares["state-action"]
    assert shares["state"] < shares["state + shaping"]
    value = tree["distance"]["value"].sel(coverage="random", bound="estimate", reference="true")
    for metric in ("epic", "starc_val", "starc_minimal"):
        both = value.sel(metric=metric)
        assert float(both.sel(reward="state-action")) == pytest.approx(float(both.sel(reward="recovered")), abs=0.05)


def test_the_table_has_a_line_for_each_form_and_no_empty_column(tree):
    lines = ip.pipeline.forms_table(tree, "random").splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == ["recovered", *FORMS]
    cells = np.array([line.strip("| ").split(" | ")[1:] for line in lines[2:]])
    assert (cells != "–").any(axis=0).all()
    bare = tree.copy()
    del bare.attrs["explained_variance"]
    with pytest.raises(ValueError, match="results of compare_forms"):
        ip.pipeline.forms_table(bare)


def test_the_command_prints_the_table_and_refuses_distilled_rewards(tmp_path, monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["irl-probe", *map(str, arguments)])
        main()

    grid = ("--env", "GridWorld", "--episodes", 6, "--no-distances", "--out")
    call("forms", "GridWorld/iq", *grid, tmp_path / "out")
    assert "| state + shaping |" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").exists()
    steps = ip.coverages("GridWorld", episodes=6)["random"]
    ip.save_reward(ip.distil(ip.load_reward("GridWorld/iq"), transitions=steps), tmp_path / "distilled")
    with pytest.raises(SystemExit):
        call("forms", tmp_path / "distilled", *grid, tmp_path / "other")
    assert "is distilled already" in " ".join(capsys.readouterr().err.split())


def test_noisy_rollouts_are_episodes_at_each_share_of_random_actions():
    env = ip.envs.make_env("CartPole-v1")

    def leftwards(observations, deterministic=True, *, rng=None):
        return np.zeros(len(observations), dtype=np.int64)

    steps = ip.pipeline.noisy_rollouts(leftwards, "CartPole-v1", episodes=13, seed=7)
    shares = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    expected = [ip.record_demos(leftwards, env, 2, seed=7 + i, epsilon=e).transitions for i, e in enumerate(shares)]
    assert steps.content_hash() == ip.Transitions.concatenate(expected).content_hash()
    right = [steps.episodes([2 * i, 2 * i + 1]).actions.mean() for i in (0, 5)]
    assert right[0] == 0
    assert right[1] > 0.3
    assert len(ip.pipeline.noisy_rollouts(leftwards, env, episodes=1).lengths) == 6
    with pytest.raises(ValueError, match="at least 1; got 0"):
        ip.pipeline.noisy_rollouts(leftwards, env, episodes=0)


@pytest.mark.parametrize(
    ("name", "env_id"),
    [("GridWorld/iq", "FrozenLake-v1"), ("GridWorld/iq", "Taxi-v4"), ("CartPole-v1/iq", "GridWorld")],
)
def test_rollouts_in_another_environment_are_refused(name, env_id):
    with pytest.raises(RewardError, match=r"of (GridWorld|CartPole-v1) takes (observation|action)s of"):
        distil_named(name, [], env_id, ip.DistilConfig())
