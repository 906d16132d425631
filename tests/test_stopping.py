"""Runs that stop at any moment: Ctrl-C and SIGTERM leave a folder that continues in the same bytes; logs say how."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.cli import main
from irl_probe.learn import CheckpointError, TrainingInterrupted, train_on_reward
from irl_probe.learn.logs import progress_bar
from irl_probe.learn.loop import Loop
from irl_probe.learn.replay import Replay
from irl_probe.learn.stopping import Stop, stoppable

SMALL = ip.IQConfig(
    steps=60,
    hidden=(8,),
    batch_size=8,
    log_every=20,
    learning_starts=10,
    warm_start=10,
    evaluate_every=30,
    evaluate_episodes=1,
)


@pytest.fixture(scope="module")
def demos():
    return ip.load_demos("Pendulum-v1", episodes=1)


@pytest.fixture(scope="module")
def whole(demos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    ip.train(demos, SMALL, env="Pendulum-v1", out=folder, progress=False)
    return folder


def weights(run):
    modules = run.soft_q.modules.values()
    return b"".join(t.numpy().tobytes() for module in modules for t in module.state_dict().values())


def at_call(monkeypatch, owner, name, number, kind):
    """Send a signal at the n-th call of a function."""
    calls, original = [], getattr(owner, name)

    def called(*given, **named):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), kind)
        return original(*given, **named)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("place", "call"), [("warm start", 4), ("first step", 11), ("step", 50), ("evaluation", 1), ("last step", 60)]
)
def test_a_signal_at_any_moment_leaves_a_folder_that_resumes_to_the_same_bytes(
    demos, whole, tmp_path, monkeypatch, kind, place, call
):
    owner, name = {
        "evaluation": (sys.modules["irl_probe.learn.evaluation"], "_side_by_side"),
        "last step": (Loop, "_advance"),
    }.get(place, (Replay, "sample"))
    settings = {"env": "Pendulum-v1", "out": tmp_path / "run", "progress": False}
    with monkeypatch.context() as patched:
        at_call(patched, owner, name, call, kind)
        with pytest.raises(TrainingInterrupted, match="resume=True"):
            ip.train(demos, SMALL, **settings)
    resumed = ip.train(demos, SMALL, **settings, resume=True)
    assert weights(resumed) == weights(ip.load_run(whole))
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


def test_a_second_signal_acts_at_once():
    stop = Stop()
    stop.note(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        stop.note(signal.SIGTERM, None)
    with pytest.raises(TrainingInterrupted), stop.acts_at_once():
        pytest.fail("the block must not begin")


def test_the_handlers_of_before_are_put_back_and_other_threads_have_none():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before[1]
        found = []
        thread = threading.Thread(target=lambda: found.append(stoppable().__enter__().came))
        thread.start()
        thread.join()
        assert found == [False]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_error_before_the_first_step_leaves_the_folder_free(demos, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("irl_probe.learn.training.Loop", None)
        with pytest.raises(TypeError):
            ip.train(demos, SMALL, out=tmp_path / "run", progress=False)
    ip.train(demos, replace(SMALL, steps=10, warm_start=0, evaluate_every=0), out=tmp_path / "run", progress=False)


@pytest.mark.parametrize("verb", ["train", "train_on_reward", "retrain"])
def test_a_folder_with_content_is_refused_before_anything_runs(demos, tmp_path, monkeypatch, verb):
    (tmp_path / "results.nc").write_text("kept")
    for work in ("learn.training._learner", "learn.training.make_env", "retraining.engines.make_env"):
        monkeypatch.setattr(f"irl_probe.{work}", None)
    begin = {
        "train": lambda: ip.train(demos, SMALL, env="Pendulum-v1", out=tmp_path),
        "retrain": lambda: ip.retrain(lambda *given: np.zeros(1), env="Pendulum-v1", out=tmp_path),
        "train_on_reward": lambda: train_on_reward("Pendulum-v1", out=tmp_path),
    }
    with pytest.raises(CheckpointError, match="must be new or empty"):
        begin[verb]()


def test_without_a_terminal_there_is_one_line_a_minute(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("irl_probe.learn.logs.clock", lambda: now[0])
    with progress_bar("iq CartPole-v1 seed 0", 1000, start=100, progress=None) as bar:
        for step in range(101, 401):
            now[0] += 0.5
            bar.move(step)
            if step == 250:
                bar.show({"step": 250, "return_mean": 123.4, "return_sd": 5.0})
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "iq CartPole-v1 seed 0: step 220 of 1000 (22 %), 0:06:30 left",
        "iq CartPole-v1 seed 0: step 340 of 1000 (34 %), 0:05:30 left, return 123.4 ± 5",
    ]


@pytest.mark.parametrize(("objective", "total"), [("iq", 40), ("csil", 90)])
def test_the_warm_start_has_a_line_a_minute_too(demos, capsys, monkeypatch, objective, total):
    now = [0.0]

    def clock():
        now[0] += 7.0
        return now[0]

    monkeypatch.setattr("irl_probe.learn.logs.clock", clock)
    config = replace(SMALL, objective=objective, steps=1, learning_starts=0, warm_start=40)
    config = replace(config, evaluate_every=0)
    ip.train(demos, replace(config, critic_warm_start=10 if objective == "csil" else None), env="Pendulum-v1")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"warm start of {objective} Pendulum-v1 seed 0: step 9 of {total} (")
    assert len(lines) == total // 9


def test_how_to_open_tensorboard_is_told_once_for_a_run_with_a_folder(demos, tmp_path, capsys):
    short = replace(SMALL, steps=5, warm_start=0, evaluate_every=0)
    ip.train(demos, short, out=tmp_path / "my run")
    told = capsys.readouterr().err
    assert told.count("tensorboard --logdir") == 1
    assert f"'{tmp_path}/my run'" in told
    ip.train(demos, short)
    ip.train(demos, short, out=tmp_path / "quiet", progress=False)
    assert "tensorboard" not in capsys.readouterr().err


def test_the_command_line_ends_at_sigterm_and_continues_with_resume(tmp_path, monkeypatch, capsys):
    words = ["irl-probe", "train", "Pendulum-v1", "--episodes", "1", "--steps", "30", "--out", str(tmp_path / "run")]
    small = ["--learner.warm-start", "20", "--learner.hidden", "8", "--learner.batch-size", "8"]
    with monkeypatch.context() as patched:
        at_call(patched, Replay, "sample", 10, signal.SIGTERM)
        patched.setattr(sys, "argv", [*words, *small])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 130
    assert "irl-probe train --resume" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr(sys, "argv", ["irl-probe", "train", "--resume", str(tmp_path / "run")])
    main()
    assert ip.load_run(tmp_path / "run").provenance["steps"] == 30


def test_sigterm_outside_learning_ends_the_command_line_like_ctrl_c():
    code = (
        "import os, signal, sys, irl_probe.cli; m = sys.modules['irl_probe.cli.main']\n"
        "m.call = lambda *given: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.argv = ['irl-probe', 'zoo', 'list']\n"
        "m.main()"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert "Interrupted." in ended.stderr


@pytest.mark.parametrize("objective", ["sqil", "lsiq", "bc"])
def test_observation_only_is_refused_where_the_objective_reads_actions(objective):
    with pytest.raises(ValueError, match=f"observation_only is an option of 'iq' and 'rize'.*{objective}"):
        ip.IQConfig(objective=objective, observation_only=True).resolve(discrete=False, online=True)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_no_reward_is_recovered_from_a_clone(name):
    settings = {"objective": "bc", "steps": 2, "hidden": (4,), "batch_size": 4}
    run = ip.train(ip.load_demos(name, episodes=1), ip.IQConfig(**settings), progress=False)
    with pytest.raises(ip.rewards.RewardError, match=r"a clone.*'iq' or 'sqil'"):
        ip.recover(run)
