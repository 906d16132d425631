"""The command line: each verb does its work; what a user can mend is a message and not a traceback."""

import re
import subprocess
import sys
from importlib.metadata import version

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip
from irl_probe import pipeline
from irl_probe.cli import VERBS, main
from irl_probe.results import load_results


@pytest.fixture
def run(monkeypatch, capsys, small_comparisons):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["irl-probe", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return call


def test_the_version_is_printed(run):
    code, out, _ = run("--version")
    assert (code, out) == (0, f"irl-probe {version('irl_probe')}\n")


def test_demos_are_described(run):
    code, out, _ = run("demos", "CartPole-v1", "--episodes", 2)
    assert code == 0
    assert re.search(r"episodes +2", out)


def test_train_export_distil_and_compare_make_a_report(run, tmp_path):
    short = ("--steps", 200, "--learner.log-every", 100)
    assert run("train", "CartPole-v1", "--episodes", 1, "--out", tmp_path / "run", *short)[0] == 0
    assert run("train", "--resume", tmp_path / "run")[0] == 0  # finished: nothing left to do, nothing lost
    assert run("export", tmp_path / "run", "--out", tmp_path / "reward")[0] == 0
    distilled = ("--out", tmp_path / "distilled", "--form", "state", "--steps", 20)
    code, out, _ = run("distil", tmp_path / "reward", "--demos", "CartPole-v1", *distilled)
    assert code == 0
    assert "explained on held-out episodes: {'CartPole-v1'" in out
    code, out, _ = run(
        "compare", tmp_path / "reward", tmp_path / "distilled", "--demos", "CartPole-v1", "--out", tmp_path / "compared"
    )
    assert code == 0
    assert "Which reward is best?" in out
    assert (tmp_path / "compared" / "report.html").exists()


def test_a_reward_is_distilled_on_rollouts_of_its_own_policy(run, tmp_path):
    out = ("--out", tmp_path / "sparse")
    fit = ("--env", "Pendulum-v1", "--episodes", 12, "--form", "state", "--hidden", "--lasso", 0.3)
    code, told, _ = run("distil", "Pendulum-v1/sqil", *out, *fit)
    assert code == 0
    assert "explained on held-out episodes: {'own policy in Pendulum-v1'" in told
    card = (tmp_path / "sparse" / "README.md").read_text()
    assert "| distilled_lasso | 0.3 |" in card
    for command, message in (
        (("Pendulum-v1/sqil",), "distilled on steps.*--env"),
        ((tmp_path / "sparse", "--env", "Pendulum-v1"), "Leave --env out"),
        (("Pendulum-v1/sqil", "--env", "Pendulum-v1", "--episodes", 0), "episodes must be a whole number"),
        (("Pendulum-v1/sqil", "--env", "Hopper-v5"), "reward of Pendulum-v1 takes observations of.*11"),
    ):
        code, _, err = run("distil", *command, "--out", tmp_path / "none")
        assert code == 2
        assert re.search(message, err, re.DOTALL), err


def test_train_continues_what_it_began_and_takes_nothing_else(run, tmp_path):
    begun = ("CartPole-v1", "--episodes", 1, "--learner.steps", 20, "--learner.hidden", 8, "--out", tmp_path / "run")
    assert run("train", *begun)[0] == 0
    assert run("train", *begun, "--resume", tmp_path / "run")[0] == 0
    others = ("Acrobot-v1", "--resume", tmp_path / "run", "--learner.seed", 5, "--out", tmp_path / "other")
    code, _, err = run("train", *others)
    assert code == 2
    said = " ".join(err.split())
    assert "source was 'CartPole-v1', now 'Acrobot-v1'; seed was 0, now 5; its folder is" in said
    assert "hidden" not in said
    code, _, err = run("train", "--resume", tmp_path / "none")
    assert code == 2
    assert "must hold a run.json" in " ".join(err.split())


def test_a_setting_typed_at_its_default_is_not_ignored_by_resume(run, tmp_path):
    begun = ("CartPole-v1", "--episodes", 1, "--steps", 20, "--learner.gamma", 0.9, "--out", tmp_path / "run")
    assert run("train", *begun)[0] == 0
    code, _, err = run("train", "--resume", tmp_path / "run", "--learner.gamma", 0.99)
    assert code == 2
    assert "gamma was 0.9, now 0.99" in err


def test_a_page_that_exists_is_refused_before_results_are_read(run, tmp_path):
    (tmp_path / "page.html").write_text("kept")
    code, _, err = run("report", tmp_path / "none.nc", "--out", tmp_path / "page.html")
    assert code == 2
    assert "page.html exists" in err


@pytest.mark.parametrize(("verb", "below"), [("retrain-study", "policies"), ("transfer", "cells")])
def test_a_study_is_not_begun_in_the_folder_of_something_else(run, tmp_path, verb, below):
    (tmp_path / "results.nc").write_text("kept")
    code, _, err = run(verb, "CartPole-v1/iq", "--env", "CartPole-v1", "--out", tmp_path)
    assert code == 2
    assert f"a study to continue, which has a folder {below}/" in err


def test_an_option_of_an_earlier_version_is_told_and_taken(run, quiet):
    code, _, err = run("retrain", REWARD, "--env", ENV, "--episodes", 3)
    assert code == 130
    assert "--episodes is called --evaluation-episodes here" in err


def test_train_does_not_continue_a_run_of_another_verb(run, tmp_path):
    ip.learn.train_on_reward("CartPole-v1", ip.RLConfig(steps=20), out=tmp_path, progress=False)
    code, _, err = run("train", "--resume", tmp_path)
    assert code == 2
    assert "was not begun by irl-probe train" in err


def test_what_is_there_is_not_replaced_and_the_option_that_would_is_named(run, tmp_path):
    short = ("--learner.steps", 20, "--learner.log-every", 10)
    train = ("train", "CartPole-v1", "--episodes", 1, "--out", tmp_path / "run", *short)
    export = ("export", tmp_path / "run", "--out", tmp_path / "reward")
    for command, option in ((train, "--resume"), (export, "--overwrite")):
        assert run(*command)[0] == 0
        code, _, err = run(*command)
        assert code == 2
        assert option in err
        assert "=True" not in err


def test_several_rewards_are_compared_in_one_table_and_reported_again(run, tmp_path):
    short = ("--learner.steps", 200, "--learner.log-every", 100)
    run("train", "CartPole-v1", "--episodes", 1, "--out", tmp_path / "run", *short)
    run("export", tmp_path / "run", "--out", tmp_path / "iq")
    compared = tmp_path / "compared"
    arguments = (tmp_path / "iq", "true", "constant", "--env", "CartPole-v1", "--episodes", 6, "--out", compared)
    code, out, _ = run("compare", *arguments)
    assert code == 0
    assert "Which reward is best?" in out
    tree = load_results(compared / "results.nc")
    assert tree["correlation"]["reward"].values.tolist() == ["iq", "true", "constant"]
    assert tree["correlation"]["coverage"].values.tolist() == ["expert", "random", "mixture"]
    assert tree.attrs["env_id"] == "CartPole-v1"
    code, _, err = run("compare", *arguments)
    assert code == 2
    assert "not overwritten unless asked" in err
    code, out, _ = run("report", compared, "--out", tmp_path / "again.html")
    assert code == 0
    assert (tmp_path / "again.html").read_text() == (compared / "report.html").read_text()
    code, out, _ = run("report", compared, compared, "--seeds", "--out", tmp_path / "seeds.html")
    assert code == 0
    assert "2 training runs" in " ".join(out.replace("│", " ").split())


def test_grid_rewards_are_compared_on_its_exact_expert(run, tmp_path):
    code, _, _ = run("compare", "true", "constant", "--env", "GridWorld", "--episodes", 6, "--out", tmp_path / "grid")
    assert code == 0
    tree = load_results(tmp_path / "grid" / "results.nc")
    value = tree["correlation"]["value"].sel(reward="true", level="step", metric="pearson", control="none")
    assert value.sel(coverage="mixture", bound="estimate").item() == pytest.approx(1)
    distance = tree["distance"].to_dataset().sel(coverage="mixture", reference="true")
    np.testing.assert_allclose(distance["value"].sel(reward="true", bound="estimate"), 0, atol=1e-6)
    assert distance.attrs["gamma"] == 0.99  # neither reward has one of its own
    ranking = tree["ranking"].to_dataset()
    assert ranking["policy"].values.tolist() == [f"noise {e:g}" for e in (1, 0.8, 0.6, 0.4, 0.2, 0)] + ["expert"]
    np.testing.assert_array_equal(ranking["value"].sel(reward="true", bound="estimate"), 1)
    assert "same mean return" in str(ranking["reason"].sel(reward="constant").item())  # episodes of one length
    assert np.isnan(ranking["constant"]).all()


def test_where_distances_cannot_be_had_the_results_say_why(run, tmp_path):
    class Pictures(gym.Env):
        observation_space = gym.spaces.Box(0, 255, (4, 4, 1), np.uint8)
        action_space = gym.spaces.Discrete(2)
        spec = None

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.left = 5
            return self.observation_space.sample(), {}

        def step(self, action):
            self.left -= 1
            return self.observation_space.sample(), float(action), not self.left, False, {}

    gym.register("Pictures-v0", Pictures)
    try:
        arguments = ("--env", "Pictures-v0", "--episodes", 6, "--out", tmp_path / "out")
        code, out, _ = run("compare", "constant", *arguments)
        assert code == 0
        assert "The observations of Pictures-v0 are images" in " ".join(out.split())
        assert "distance" not in load_results(tmp_path / "out" / "results.nc").children
        code, out, _ = run("compare", "constant", *arguments, "--no-distances", "--overwrite")
        assert code == 0
        assert "images" not in out
    finally:
        del gym.registry["Pictures-v0"]


def test_retrain_prints_the_true_return(run, tmp_path):
    run("train", "CartPole-v1", "--episodes", 1, "--out", tmp_path / "run", "--learner.steps", 100)
    run("export", tmp_path / "run", "--out", tmp_path / "reward")
    arguments = ("--out", tmp_path / "again", "--learner.steps", 1100, "--episodes", 2)
    code, out, err = run("retrain", tmp_path / "reward", "--env", "CartPole-v1", *arguments)
    assert code == 0
    assert "true return" in out
    assert "step 1000: return" in err


def test_rewards_are_judged_over_seeds_and_the_same_command_continues(run, tmp_path):
    small = ("--steps", 300, "--learner.hidden", "--learner.learning-starts", 50, "--episodes", 2)
    arguments = ("GridWorld/iq", "constant", "--env", "GridWorld", "--seeds", 0, 1, "--out", tmp_path / "out", *small)
    code, out, err = run("retrain-study", *arguments)
    assert code == 0, err
    assert "2 seed(s), 300 environment steps each, algorithm own" in out
    group = load_results(tmp_path / "out" / "results.nc")["retraining"].to_dataset()
    assert group["reward"].values.tolist() == ["iq", "constant", "true reward"]
    assert group["seed"].values.tolist() == [0, 1]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "policies").rglob("*.json")}
    assert sum(path.name == "cell.json" for path in kept) == 6
    code, again, _ = run("retrain-study", *arguments)
    assert (code, again) == (0, out)
    assert kept == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "policies").rglob("*.json")}
    code, _, err = run("retrain-study", *arguments, "--steps", 400)
    assert code == 2
    assert "settings.steps was 300, now 400" in " ".join(err.split())


def test_rewards_transfer_under_their_own_names_so_that_a_comparison_takes_them_in(run, tmp_path):
    small = ("--learner.steps", 30, "--learner.learning-starts", 10, "--learner.batch-size", 8, "--seeds", 0, 1)
    command = (
        "transfer",
        "CartPole-v1/iq",
        "CartPole-v1/iq-offline",
        "--env",
        "CartPole-v1",
        "--changes",
        "length=2",
    )
    code, out, err = run(*command, *small, "--episodes", 2, "--out", tmp_path, "--forms")
    assert code == 0, err
    policies = [str(p) for p in load_results(tmp_path / "results.nc")["transfer"]["policy"].values]
    assert {"iq", "iq-offline", "carried over", "true reward", "random"} == set(policies)
    assert "length=2" in out or "length ×2" in out


def test_stable_baselines_judges_rewards_from_the_command_line(run, tmp_path):
    pytest.importorskip("stable_baselines3")
    arguments = ("CartPole-v1/iq", "--env", "CartPole-v1", "--algorithm", "sb3-dqn", "--steps", 200, "--episodes", 1)
    code, out, err = run("retrain-study", *arguments, "--seeds", 3, "--no-true-reward", "--out", tmp_path / "out")
    assert code == 0, err
    assert "1 seed(s), 200 environment steps each, algorithm sb3-dqn" in out
    group = load_results(tmp_path / "out" / "results.nc")["retraining"]
    assert group["reward"].values.tolist() == ["iq"]
    assert group.attrs["learner"] == "sb3-dqn"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demos", "CartPol-v1"), "Did you mean 'CartPole-v1'?"),
        (("probe", "CartPol-v1"), "CartPole-v1"),
        (("train",), "Training needs demonstrations: irl-probe train DEMOS; or --resume DIR."),
        (("export", "nowhere", "--out", "x"), "must hold a run.json"),
        (("compare", "nowhere", "--demos", "CartPole-v1", "--out", "x"), "A reward is a folder or the id"),
        (
            ("compare", "true", "--demos", "CartPole-v1", "--out", "x"),
            "The true reward is an environment's: name it with --env",
        ),
        (("compare", "constant", "--out", "x"), "name an environment (--env) or demonstrations (--demos)"),
        (("compare", "constant", "constant", "--env", "GridWorld", "--out", "x"), "can be compared once"),
        (("compare", "CartPole-v1/iq", "--env", "Acrobot-v1", "--out", "x"), "takes observations of Box"),
        (("compare", "true", "--env", "CartPole-v1", "--out", "x", "--episodes", "0"), "at least 1; got 0"),
        (("report", "nowhere.nc", "--out", "x.html"), "There is no results file at"),
        (("retrain-study", "CartPole-v1/iqq", "--env", "CartPole-v1", "--out", "x"), "Did you mean"),
        (
            ("retrain-study", "constant", "--env", "CartPole-v1", "--out", "x", "--seeds", "1", "1"),
            "--seeds must be one or more different whole numbers from 0",
        ),
        (
            ("retrain-study", "constant", "--env", "CartPole-v1", "--out", "x", "--algorithm", "sb3-sac"),
            "SAC does not take discrete actions; use ppo or dqn",
        ),
        (("retrain-study", "constant", "--env", "CartPole-v1", "--out", "x", "--algorithm", "sb3-td3"), "sb3-ppo"),
        (("probe", "CartPole-v1", "--learner.divergence", "chi3"), "chi2"),
        (("probe", "CartPole-v1", "--learner.gamma", "1"), "--learner.gamma must be"),
    ],
)
def test_what_a_user_can_mend_is_a_message(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert message in err + out
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command",
    [
        ("probe", "CartPole-v1"),
        ("export", "nowhere"),
        ("distil", "CartPole-v1/iq", "--demos", "CartPole-v1"),
        ("forms", "CartPole-v1/iq", "--env", "CartPole-v1"),
        ("compare", "constant", "--env", "CartPole-v1"),
        ("zoo", "copy", "CartPole-v1/iq"),
    ],
)
@pytest.mark.parametrize("below", ["", "reward"])
def test_a_file_in_the_folders_place_is_refused_before_the_work(run, tmp_path, monkeypatch, command, below):
    for work in ("compare_named", "distil_named", "compare_forms"):
        monkeypatch.setattr(pipeline, work, None)
    for work in ("probe", "recover"):
        monkeypatch.setattr(ip, work, None)
    (tmp_path / "afile").write_text("kept")
    code, _, err = run(*command, "--out", tmp_path / "afile" / below)
    assert (code, (tmp_path / "afile").read_text()) == (2, "kept")
    assert "What --out names must be a folder" in err


@pytest.mark.parametrize(
    ("command", "there"),
    [
        (("compare", "constant", "--env", "CartPole-v1"), "results.nc"),
        (("forms", "CartPole-v1/iq", "--env", "CartPole-v1"), "report.html"),
        (("distil", "CartPole-v1/iq", "--demos", "CartPole-v1"), "reward.json"),
    ],
)
def test_what_would_be_overwritten_is_refused_before_the_work(run, tmp_path, monkeypatch, command, there):
    for work in ("compare_named", "distil_named", "compare_forms"):
        monkeypatch.setattr(pipeline, work, None)
    (tmp_path / there).write_text("kept")
    code, _, err = run(*command, "--out", tmp_path)
    assert code == 2
    assert "not overwritten unless asked to" in err
    assert "--overwrite" in err


def test_a_report_of_nothing_is_refused(run, tmp_path):
    code, _, err = run("report", "--out", tmp_path / "r.html")
    assert (code, list(tmp_path.iterdir())) == (2, [])
    assert "got none" in err


def test_the_zoo_is_listed_shown_and_copied(run, tmp_path):
    code, out, _ = run("zoo", "list")
    assert code == 0
    first = out.split()[0]
    assert first in run("zoo", "show", first)[1]
    assert run("zoo", "copy", first, "--out", tmp_path / "mine")[0] == 0
    assert (tmp_path / "mine" / "reward.json").exists()
    assert "Name a shipped reward" in run("zoo", "show")[2]
    assert "Did you mean" in run("zoo", "show", first[:-1])[2]
    assert "Did you mean" in run("zoo", "copy", first[:-1])[2]
    assert "--out DIR" in run("zoo", "copy", first)[2]
    assert "Shipped are" in run("zoo", "show", "Humanoid-v5/iq")[2]  # near to none of them


def test_a_reader_that_has_had_enough_stops_it_quietly():
    command = [sys.executable, "-c", "from irl_probe.cli import main; main()", "zoo", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.fixture
def quiet(monkeypatch):
    """What each verb of the library was called with, in place of its work."""
    calls = {}
    for room, verb in ((ip, "probe"), (ip, "train"), (ip, "retrain"), (ip.learn, "train_on_reward")):

        def note(*given, verb=verb, **named):
            calls[verb] = (given, named)
            raise KeyboardInterrupt  # what follows in the command needs a result

        monkeypatch.setattr(room, verb, note)
    return calls


REWARD, ENV = "CartPole-v1/iq", "CartPole-v1"


@pytest.mark.parametrize("steps", ["--steps", "--learner.steps"])
@pytest.mark.parametrize("seed", ["--seed", "--learner.seed"])
def test_steps_and_seed_have_a_short_and_a_dotted_form_in_every_verb(run, quiet, steps, seed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, verb, config in (
        (("train", ENV), "train", lambda given: given[1]),
        (("expert", ENV), "train_on_reward", lambda given: given[1]),
        (("retrain", REWARD, "--env", ENV), "retrain", lambda given: given[1].learner),
    ):
        assert run(*command, steps, 2000, f"{seed}=3")[0] == 130
        settings = config(quiet[verb][0])
        assert (settings.steps, settings.seed) == (2000, 3)
    assert run("probe", ENV, steps, 3000, seed, 2)[0] == 130
    probed = quiet["probe"][0][1]
    assert (probed.learner.steps, probed.seed) == (3000, 2)


def test_a_study_takes_the_short_and_the_dotted_form_too(run, tmp_path, monkeypatch):
    taken = {}

    def study(rewards, config, **named):
        taken["config"] = config
        raise KeyboardInterrupt

    monkeypatch.setattr(ip.retraining, "retrain_study", study)
    for steps, seeds in (("--steps", "--seeds"), ("--learner.steps", "--learner.seed")):
        assert run("retrain-study", REWARD, "--env", ENV, "--out", tmp_path, steps, 70, seeds, 5)[0] == 130
        assert (taken["config"].steps, taken["config"].seeds) == (70, (5,))


@pytest.mark.parametrize(
    "command", [("train", ENV), ("expert", ENV), ("probe", ENV), ("retrain", REWARD, "--env", ENV)]
)
def test_both_forms_with_different_values_are_refused_by_name_and_the_same_value_twice_is_taken(run, quiet, command):
    code, _, err = run(*command, "--steps", 5, "--learner.steps=6")
    assert code == 2
    assert "--steps 5 and --learner.steps 6 set the same thing" in err
    code, _, err = run(*command, "--learner.seed", 1, "--seed", 0)
    assert code == 2
    assert "--learner.seed 1 and --seed 0 set the same thing" in err
    assert not quiet
    assert run(*command, "--steps", 5, "--learner.steps", 5)[0] == 130


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("train", ENV, "--learner.objective", "iqq"),
            "one of iq, rize, lsiq, sqil, csil, bc; got 'iqq'. Did you mean 'iq'?",
        ),
        (("zoo", "shwo"), "one of list, show, copy; got 'shwo'. Did you mean 'show'?"),
        (("trian", ENV), "no verb 'trian'. Did you mean 'train'?"),
        (("train", ENV, "--steps", "abc"), "--steps/--learner.steps: it must be a whole number, such as 10; got 'abc'"),
        (("train", ENV, "--steps", "0"), "--steps must be at least 1; got 0"),
        (("train", ENV, "--learner.steps", "0"), "--learner.steps must be at least 1; got 0"),
        (("train", ENV, "--learner.chi2_c", "-1"), "--learner.chi2-c must be positive; got -1.0"),
        (("train", ENV, "--learner.hidden", "8", "x"), "--learner.hidden: it must be a whole number"),
        (("probe", ENV, "--rollouts", "0"), "--rollouts must be at least 1; got 0"),
        (("distil", REWARD, "--demos", ENV, "--out", "x", "--held-out", "2"), "--held-out must"),
        (
            ("transfer", REWARD, "--env", ENV, "--out", "x", "--seeds", "1", "1"),
            "--seeds must be one or more different whole numbers from 0",
        ),
        (("zoo", "load", REWARD), "it must be one of list, show, copy; got 'load'"),
        (("compare", "--env", ENV, "--out", "x"), "Name at least one reward: irl-probe compare REWARD..."),
        (("retrain-study", REWARD, "--env", ENV, "--out", "x", "--learner", "sb3-ppo"), "that trains is --algorithm"),
        (("retrain", REWARD), "--env ENV"),
        (("probe", "--env", ENV), "The environment is the subject of probe and needs no option: irl-probe probe ENV."),
    ],
)
def test_a_wrong_value_is_reported_with_its_option_as_typed(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*arguments)
    err = " ".join(err.replace("│", " ").split())
    assert code == 2
    assert message in err
    assert not re.search("tyro|Config|NoneType|Traceback", err)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "near", "far"),
    [
        (("train", ENV, "--stpes", "5"), "--steps", "--retrain-steps"),
        (
            ("retrain", REWARD, "--env", ENV, "--evaluation-episode", "5"),
            "--evaluation-episodes",
            "--coverage-episodes",
        ),
        (("train", ENV, "--learner.gama", "0.9"), "--learner.gamma", "--distil.gamma"),
        (("compare", REWARD, "--env", ENV, "--out", "x", "--distance"), "--distances", "--learner"),
    ],
)
def test_suggestions_name_options_of_that_verb_only(run, arguments, near, far):
    code, _, err = run(*arguments)
    assert code == 2
    assert "Perhaps you meant" in err
    assert near in err
    assert far not in err


def test_help_gives_every_option_a_description_and_the_default_that_is_used(run):
    for verb in VERBS:
        code, out, _ = run(verb, "--help")
        assert code == 0
        assert not re.search(r"tyro|\{None\}|default: None|\(default: \)", out), verb
    told = " ".join(run("train", "--help")[1].replace("│", " ").split())
    assert (
        "--steps INT, --learner.steps INT Gradient updates offline, environment steps online (default: offline" in told
    )
    for name in ip.IQConfig.__dataclass_fields__:
        assert f"--learner.{name.replace('_', '-')}" in told
    for verb, default in (("probe", "steps/10"), ("retrain-study", "0"), ("transfer", "0"), ("retrain", "steps/20")):
        told = " ".join(run(verb, "--help")[1].replace("│", " ").split())
        assert f"0 turns them off (default: {default}" in told, verb


def test_the_top_help_states_the_rule_and_lists_every_verb(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "The subject of a verb comes first, without an option." in out
    assert out.index("The subject") < out.index("Verbs:")
    for verb, function in VERBS.items():
        assert re.search(rf"^  {verb} ", out, flags=re.MULTILINE)
        assert function.__doc__.splitlines()[0] in out
    code, out, _ = run()
    assert (code, out.split()[0]) == (2, "usage:")


def test_evaluations_are_printed_without_asking(run, tmp_path):
    arguments = ("--env", ENV, "--steps", 1010, "--learner.learning-starts", 990, "--learner.evaluate-episodes", 2)
    code, out, err = run("train", ENV, "--episodes", 1, "--out", tmp_path / "run", *arguments)
    assert code == 0
    assert re.search(r"step 1000: return [\d.]+ ± ", err)
    assert re.search(r"return at step 1000: [\d.]+ ± ", out)


def test_an_interrupted_command_ends_with_130_and_says_so(run, quiet):
    code, _, err = run("probe", ENV, "--out", "nowhere")
    assert code == 130
    assert err.strip() == "Interrupted. Nothing was kept; begin again with: irl-probe probe CartPole-v1 --out nowhere"
