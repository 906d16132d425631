"""Probes and coverages that are stopped at any moment continue to the same results, and only as they were begun."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import irl_probe as ip
from irl_probe.cli import main
from irl_probe.learn import CheckpointError, TrainingInterrupted
from irl_probe.learn.loop import Loop
from irl_probe.learn.replay import Replay
from irl_probe.pipeline import environment, probing

ENV = "CartPole-v1"
LITTLE = {"hidden": (4,), "batch_size": 8, "log_every": 10}
SMALL = ip.pipeline.ProbeConfig(
    episodes=2,
    subsample=10,
    learner=ip.IQConfig(steps=30, learning_starts=5, evaluate_every=0, **LITTLE),
    retrain_steps=45,
    retrain_seeds=2,
    evaluation_episodes=2,
    rollouts=1,
    distances=False,
)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """A clone and retrained policies that learn little, and results and a page that are written at once."""

    def written(tree, path, overwrite):
        path.write_text("written")
        return path

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(environment, "IQConfig", lambda **given: ip.IQConfig(steps=20, **LITTLE, **given))
        patched.setattr(
            environment, "RLConfig", lambda **given: ip.RLConfig(learning_starts=9, update_every=3, **LITTLE, **given)
        )
        patched.setattr(probing, "save_results", written)
        patched.setattr(probing, "write_report", written)
        patched.setattr(probing, "print_report", lambda *given: None)
        yield


@pytest.fixture(scope="module")
def whole(quick, tmp_path_factory):
    return ip.probe(ENV, SMALL, out=tmp_path_factory.mktemp("whole") / "probe")


def at_call(monkeypatch, owner, name, number, kind):
    """Send a signal at the n-th call of a function."""
    calls, original = [], getattr(owner, name)

    def called(*given, **named):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), kind)
        return original(*given, **named)

    monkeypatch.setattr(owner, name, called)


def timeless(tree):
    """The results without the time at which they were written."""
    kept = tree.copy()
    del kept.attrs["created"]
    return kept


def logs(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("log.jsonl")}


@pytest.mark.parametrize(
    ("place", "call", "kind"),
    [
        pytest.param((environment, "load_demos"), 1, signal.SIGINT, id="before it learns"),
        pytest.param((Loop, "_advance"), 15, signal.SIGINT, id="learning"),
        pytest.param((Loop, "_advance"), 40, signal.SIGTERM, id="clone"),
        pytest.param((Loop, "_advance"), 70, signal.SIGINT, id="retraining"),
        pytest.param((Loop, "_advance"), 120, signal.SIGTERM, id="the second retrained policy"),
        pytest.param((environment, "record_demos"), 2, signal.SIGINT, id="rollouts"),
        pytest.param((probing, "save_results"), 1, signal.SIGINT, id="writing the results"),
        pytest.param((probing, "write_report"), 1, signal.SIGINT, id="writing the page"),
    ],
)
def test_a_probe_stopped_in_any_stage_continues_to_the_same_results(whole, tmp_path, monkeypatch, place, call, kind):
    folder = tmp_path / "probe"
    with monkeypatch.context() as patched:
        at_call(patched, *place, call, kind)
        with pytest.raises(TrainingInterrupted) as stopped:
            ip.probe(ENV, SMALL, out=folder)
    assert f"irl_probe.probe('CartPole-v1', config, out='{folder}', resume=True)" in str(stopped.value)
    resumed = ip.probe(ENV, SMALL, out=folder, resume=True)
    assert timeless(resumed.results).identical(timeless(whole.results))
    assert logs(folder) == logs(whole.folder)
    assert ip.load_reward(resumed.reward).reward_id == ip.load_reward(whole.reward).reward_id
    with pytest.raises(ValueError, match="is finished"):
        ip.probe(ENV, SMALL, out=folder, resume=True)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"retrain_steps": 46}, "retrain_steps was 45, now 46"),
        ({"rollouts": 2}, "rollouts was 1, now 2"),
        ({"learner": replace(SMALL.learner, gamma=0.9)}, r"learner.gamma was 0.99, now 0.9"),
    ],
)
def test_other_settings_are_refused_before_anything_runs(tmp_path, monkeypatch, other, words):
    with monkeypatch.context() as patched:
        at_call(patched, environment, "load_demos", 1, signal.SIGINT)
        with pytest.raises(TrainingInterrupted):
            ip.probe(ENV, SMALL, out=tmp_path / "probe")
    monkeypatch.setattr(probing, "probe_environment", None)
    with pytest.raises(CheckpointError, match=f"only be resumed as it was begun; these differ: {words}"):
        ip.probe(ENV, replace(SMALL, **other), out=tmp_path / "probe", resume=True)
    with pytest.raises(ValueError, match="environment was 'CartPole-v1', now 'Acrobot-v1'"):
        ip.probe("Acrobot-v1", SMALL, out=tmp_path / "probe", resume=True)


def test_an_error_before_anything_is_learned_leaves_the_folder_free(tmp_path):
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(ValueError, match="must be GridWorld or one that Gymnasium has"):
            ip.probe("CartPol-v1", SMALL, out=folder)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_names_the_command_that_continues_it(tmp_path, monkeypatch, capsys):
    folder = str(tmp_path / "a probe")
    words = ["irl-probe", "probe", ENV, "--out", folder, "--episodes", "1", "--subsample", "20", "--steps", "20"]
    words += ["--learner.learning-starts", "5", "--retrain-steps", "40", "--retrain-seeds", "1", "--rollouts", "1"]
    words += ["--evaluation-episodes", "1", "--no-distances", "--learner.batch-size", "8", "--learner.evaluate-every"]
    words += ["0"]
    with monkeypatch.context() as patched:
        at_call(patched, Replay, "sample", 10, signal.SIGTERM)
        patched.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 130
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told == f"Interrupted. Continue with: {' '.join(words).replace(folder, repr(folder))} --resume"
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    main()
    assert Path(folder, "results.nc").exists()


@pytest.fixture
def coverages_module(monkeypatch):
    """The module, with a clone that learns little; the package has a function of its name."""
    module = sys.modules["irl_probe.pipeline.coverages"]
    monkeypatch.setattr(module, "IQConfig", lambda **given: ip.IQConfig(steps=20, **LITTLE, **given))
    return module


def test_coverages_stopped_while_their_clone_learns_continue_to_the_same_steps(coverages_module, tmp_path, monkeypatch):
    demos = ip.load_demos(ENV, episodes=1)
    whole = ip.coverages(ENV, demos=demos, episodes=6)
    with monkeypatch.context() as patched:
        at_call(patched, Loop, "_advance", 10, signal.SIGTERM)
        with pytest.raises(TrainingInterrupted, match="resume=True"):
            ip.coverages(ENV, demos=demos, episodes=6, out=tmp_path)
    again = ip.coverages(ENV, demos=demos, episodes=6, out=tmp_path)
    assert {name: steps.content_hash() for name, steps in again.items()} == {
        name: steps.content_hash() for name, steps in whole.items()
    }
    monkeypatch.setattr(Loop, "_advance", None)  # a finished clone is read
    ip.coverages(ENV, demos=demos, episodes=6, out=tmp_path)
    with pytest.raises(CheckpointError, match="seed was 0, now 1"):
        ip.coverages(ENV, demos=demos, episodes=6, seed=1, out=tmp_path)


@pytest.mark.parametrize(("place", "call"), [((Loop, "_advance"), 10), ((ip.results, "save_results"), 1)])
def test_a_comparison_that_was_stopped_continues_with_the_same_command(
    coverages_module, tmp_path, monkeypatch, capsys, place, call
):
    words = ["irl-probe", "compare", "CartPole-v1/iq", "--env", ENV, "--rollouts", "6", "--no-distances", "--out"]
    words.append(str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(ip.report, "print_report", lambda *given: None)
    monkeypatch.setattr(ip, "write_report", lambda tree, path, overwrite: path.write_text("page"))
    with monkeypatch.context() as patched:
        at_call(patched, *place, call, signal.SIGTERM)
        with pytest.raises(SystemExit):
            main()
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"Interrupted. Continue with: {' '.join(words)}"
    main()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "results.nc"]
