"""Runs: the same seed gives the same bytes, also after a kill; and bad input is refused."""

import errno
import json
import os
import signal
import time
from contextlib import nullcontext
from dataclasses import replace
from multiprocessing import get_context
from unittest.mock import Mock

import gymnasium as gym
import numpy as np
import pytest
import torch
import worker
from gymnasium import spaces
from scipy.special import comb

import irl_probe as ip
from irl_probe.demos import DemoError, Demonstrations
from irl_probe.envs import TabularEnv, TabularPolicy, gridworld, soft_expert
from irl_probe.learn import (
    CheckpointError,
    Replay,
    ResolvedIQ,
    ResolvedRL,
    SoftActorCritic,
    SoftQLearner,
    TrainingDiverged,
    TrainingInterrupted,
    train_on_reward,
)
from irl_probe.learn.folder import alone_in, load_checkpoint, save_checkpoint
from irl_probe.learn.optimizer import RECENCY
from irl_probe.learn.replay import Interaction
from irl_probe.softq import DiscreteQ, NetworkSpec

ONLINE = ip.IQConfig(
    steps=900, learning_starts=50, log_every=100, checkpoint_every=100, evaluate_every=300, evaluate_episodes=2
)


@pytest.fixture(scope="module")
def demos():
    return ip.load_demos("CartPole-v1", episodes=1)


def weights(run):
    modules = run.soft_q.modules.values()
    return b"".join(t.numpy().tobytes() for module in modules for t in module.state_dict().values())


def start(mode, folder, resume, config):
    """From a server that has imported torch already (conftest), because each of these processes needs it."""
    process = get_context("forkserver").Process(target=worker.train, args=(mode, str(folder), resume, vars(config)))
    process.start()
    return process


def ended(process):
    process.join()
    return process.exitcode


@pytest.mark.parametrize("mode", ["offline", "online", "rounds", "mujoco"])
def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(mode, tmp_path):
    config = replace(ONLINE, steps=1500)
    if mode == "mujoco":
        config = replace(config, hidden=(16, 16), batch_size=32, warm_start=20)
    if mode == "rounds":
        config = replace(config, update_every=30, updates_per_step=0.5, policy_average=0.01)
    assert ended(start(mode, tmp_path / "whole", False, config)) == 0
    rng, kills, killed = np.random.default_rng(0), 0, tmp_path / "killed"
    process = start(mode, killed, False, config)
    while not (killed / "checkpoint.pt").exists():
        time.sleep(0.01)
    while process.is_alive() and kills < 3:
        time.sleep(rng.uniform(0.0, 0.4))
        process.kill()
        process.join()
        kills += 1
        process = start(mode, killed, True, config)
        before = (killed / "checkpoint.pt").stat().st_mtime_ns
        while process.is_alive() and (killed / "checkpoint.pt").stat().st_mtime_ns == before:
            time.sleep(0.01)
    assert ended(process) == 0
    assert kills >= 1
    assert (killed / "log.jsonl").read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()
    assert weights(ip.load_run(killed)) == weights(ip.load_run(tmp_path / "whole"))


def test_a_second_run_in_a_folder_is_refused(demos, tmp_path):
    config = replace(ONLINE, steps=200)
    ip.train(demos, config, out=tmp_path / "run", progress=False)
    (tmp_path / "new").mkdir()
    for folder, resume in (("run", True), ("new", False)):
        with alone_in(tmp_path / folder), pytest.raises(CheckpointError, match="another process is at work"):
            ip.train(demos, config, out=tmp_path / folder, resume=resume, progress=False)
        ip.train(demos, config, out=tmp_path / folder, resume=resume, progress=False)


def test_a_killed_process_leaves_its_folder_free(tmp_path):
    process = start("online", tmp_path / "run", False, replace(ONLINE, steps=10**6))
    while not (tmp_path / "run" / "checkpoint.pt").exists():
        time.sleep(0.01)
    try:
        with pytest.raises(CheckpointError, match="another process"), alone_in(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.join()
    with alone_in(tmp_path / "run"):
        pass


def test_a_damaged_description_of_a_run_is_named_as_damaged(tmp_path):
    (tmp_path / "run.json").write_text('{"config_type": ')
    with pytest.raises(CheckpointError, match=r"run\.json must be valid JSON; .*damaged"):
        ip.load_run(tmp_path)


def test_resuming_without_a_folder_makes_none(demos, tmp_path):
    with pytest.raises(CheckpointError, match=r"must hold a run\.json"):
        ip.train(demos, ONLINE, out=tmp_path / "absent", resume=True, progress=False)
    assert not (tmp_path / "absent").exists()


def test_sigint_finishes_the_step_checkpoints_and_says_how_to_resume(demos, tmp_path, monkeypatch):
    calls = []
    original = Replay.sample

    def sample(self, size, generator):
        calls.append(1)
        if len(calls) == 230:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, size, generator)

    config = replace(ONLINE, evaluate_every=0)
    monkeypatch.setattr(Replay, "sample", sample)
    with pytest.raises(TrainingInterrupted, match=r"checkpointed in .*Repeat the call with resume=True to continue"):
        ip.train(demos, config, out=tmp_path / "run", progress=False)
    monkeypatch.setattr(Replay, "sample", original)
    resumed = ip.train(demos, config, out=tmp_path / "run", resume=True, progress=False)
    assert weights(resumed) == weights(ip.train(demos, config, progress=False))


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_run_killed_before_its_first_checkpoint_starts_again(env_id, tmp_path, monkeypatch):
    demos = ip.load_demos(env_id, episodes=1)
    config = replace(ONLINE, steps=150, hidden=(8,), batch_size=8, warm_start=5, evaluate_every=0)
    whole, killed = (tmp_path / name for name in ("whole", "killed"))
    ip.train(demos, config, env=env_id, out=whole, progress=False)
    with monkeypatch.context() as patched:
        patched.setattr("irl_probe.learn.loop.save_checkpoint", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ip.train(demos, config, env=env_id, out=killed, progress=False)
    assert not (killed / "checkpoint.pt").exists()
    resumed = ip.train(demos, config, env=env_id, out=killed, resume=True, progress=False)
    assert weights(resumed) == weights(ip.load_run(whole))
    assert (killed / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    (whole / "checkpoint.pt").unlink()  # lost: the log shows that there was one
    with pytest.raises(CheckpointError, match="must be a checkpoint"):
        ip.train(demos, config, env=env_id, out=whole, resume=True, progress=False)


def test_a_run_is_not_resumed_in_another_environment(demos, tmp_path):
    config = replace(ONLINE, steps=100, evaluate_every=0)
    ip.train(demos, config, env="CartPole-v1", out=tmp_path, progress=False)
    with pytest.raises(CheckpointError, match=r"env_id was 'CartPole-v1', now 'CartPole-v1\[length=5\]'"):
        ip.train(demos, config, env="CartPole-v1[length=5]", out=tmp_path, resume=True, progress=False)


@pytest.mark.parametrize(
    ("begun", "now", "words"),
    [
        ({"max_episode_steps": 50}, {"max_episode_steps": 60}, "environment.time limit was 50, now 60"),
        ({}, {"sutton_barto_reward": True}, "environment.arguments.sutton_barto_reward was None, now True"),
    ],
)
def test_a_run_is_not_resumed_with_another_time_limit_or_argument(demos, tmp_path, begun, now, words):
    config = replace(ONLINE, steps=60, evaluate_every=0)
    ip.train(demos, config, env=gym.make("CartPole-v1", **begun), out=tmp_path, progress=False)
    ip.train(demos, config, env=gym.make("CartPole-v1", **begun), out=tmp_path, resume=True, progress=False)
    with pytest.raises(CheckpointError, match=words):
        ip.train(demos, config, env=gym.make("CartPole-v1", **now), out=tmp_path, resume=True, progress=False)


def test_a_run_is_not_resumed_in_other_wrappers_but_pictures_do_not_matter(demos, tmp_path):
    config, env = replace(ONLINE, steps=60, evaluate_every=0), gym.make("CartPole-v1")
    ip.train(demos, config, env=env, out=tmp_path, progress=False)
    shown = gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1", render_mode="rgb_array"))
    ip.train(demos, config, env=shown, out=tmp_path, resume=True, progress=False)
    other = gym.wrappers.TransformReward(env, lambda r: 2 * r)
    with pytest.raises(CheckpointError, match=r"wrappers was .*now \['TransformReward', 'TimeLimit'\]"):
        ip.train(demos, config, env=other, out=tmp_path, resume=True, progress=False)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(demos):
    first, second, other = (
        ip.train(demos, replace(ONLINE, steps=300, seed=seed), env="CartPole-v1", progress=False) for seed in (3, 3, 4)
    )
    assert weights(first) == weights(second) != weights(other)


def test_updates_come_in_rounds_and_the_losses_between_them_are_logged(demos, monkeypatch):
    after = []
    update = SoftQLearner.update
    monkeypatch.setattr(SoftQLearner, "update", lambda self, *batches: after.append(1) or update(self, *batches))
    config = replace(ONLINE, steps=300, update_every=40, updates_per_step=0.25, log_every=50)
    run = ip.train(demos, config, env="CartPole-v1", progress=False)
    assert len(after) == 10 * 6  # at steps 80, 120, ..., 280; before 50 the steps are random
    assert run.history["loss"].dropna("step")["step"].values.tolist() == [100, 150, 200, 250, 300]


def test_the_returned_q_is_the_average_with_the_weights_of_polynomial_decay(demos, monkeypatch):
    seen = []
    update = SoftQLearner.update

    def recorded(self, *batches):
        loss = update(self, *batches)
        seen.append([p.detach().clone() for p in self.network.parameters()])
        return loss

    monkeypatch.setattr(SoftQLearner, "update", recorded)
    run = ip.train(demos, ip.IQConfig(steps=40, policy_average=0.01), progress=False)
    weights = comb(np.arange(40) + RECENCY, RECENCY)  # in closed form: Shamir and Zhang 2013, Section 3
    for returned, iterates in zip(run.soft_q.network.parameters(), zip(*seen, strict=True), strict=True):
        mean = np.average(torch.stack(iterates).numpy(), axis=0, weights=weights)
        np.testing.assert_allclose(returned.numpy(), mean, rtol=1e-4, atol=1e-6)


def test_episodes_are_cut_off_as_by_a_time_limit():
    online = Interaction(ip.envs.make_env("Pendulum-v1"), seed=3, episode_steps=7)
    steps = [online.step(np.array([0.5], np.float32)) for _ in range(16)]
    assert [step.over for step in steps] == [i % 7 == 6 for i in range(16)]
    assert not any(step.terminated for step in steps)
    again = Interaction(ip.envs.make_env("Pendulum-v1"), seed=3, episode_steps=7)
    again.restore(online.state())
    assert (again.episode, len(again.actions)) == (2, 2)
    config = replace(ONLINE, steps=60, episode_steps=7, evaluate_every=60, evaluate_episodes=2)
    run = ip.train(ip.load_demos("CartPole-v1", episodes=1), config, env="CartPole-v1", progress=False)
    assert float(run.history["return_mean"].dropna("step")[-1]) > 7  # CartPole pays 1 a step


def test_evaluations_do_not_disturb_training(demos):
    often, never = (
        ip.train(demos, replace(ONLINE, steps=300, evaluate_every=every), env="CartPole-v1", progress=False)
        for every in (50, 0)
    )
    assert weights(often) == weights(never)
    assert "return_mean" in often.history
    assert "return_mean" not in never.history


def test_no_learner_reads_the_true_rewards(demos):
    lied = replace(demos, transitions=replace(demos.transitions, rewards=-7.0 * demos.transitions.rewards))
    config = replace(ONLINE, steps=200, evaluate_every=0)
    assert weights(ip.train(demos, config, progress=False)) == weights(ip.train(lied, config, progress=False))


def test_observation_only_ignores_the_demonstrated_actions(demos):
    turned = replace(demos, transitions=replace(demos.transitions, actions=1 - demos.transitions.actions))
    config = replace(ONLINE, steps=200, evaluate_every=0, observation_only=True)
    assert weights(ip.train(demos, config, progress=False)) == weights(ip.train(turned, config, progress=False))


def test_the_successor_counts_after_a_truncation_and_not_after_a_termination():
    """One state, one action, γ = .5, r_target 1: V = 2 where the clock ended it, V = 1 where the MDP did."""

    def value(terminated):
        ends = np.full(4, terminated)
        steps = ip.Transitions(np.zeros(4, int), np.zeros(4, int), np.zeros(4, int), ends, ~ends, np.arange(4))
        config = ip.IQConfig(
            gamma=0.5, hidden=(), batch_size=0, learning_rate=0.1, weight_decay=0.0, steps=600, chi2_c=1.0
        )
        box = spaces.Discrete(1), spaces.Discrete(1)
        return ip.train(Demonstrations(steps, None, "one state", *box), config, progress=False).value(np.zeros(1, int))

    assert value(terminated=False)[0] == pytest.approx(2.0, abs=1e-3)
    assert value(terminated=True)[0] == pytest.approx(1.0, abs=1e-3)


def test_replay_keeps_the_latest_steps_and_samples_them_all():
    spec = NetworkSpec((1,), None, 3, None, None)
    replay = Replay(spec, DiscreteQ(spec).encoder, capacity=5)
    for i in range(8):
        one = np.array([[float(i)]])
        replay.extend(one, np.array([i % 3]), one + 0.5, np.array([i % 2 == 0]), np.array([10.0 * i]))
    batch = replay.sample(0, torch.Generator())
    assert sorted(batch.states[:, 0].tolist()) == [3, 4, 5, 6, 7]
    np.testing.assert_array_equal(batch.successors, batch.states + 0.5)
    np.testing.assert_array_equal(batch.rewards, 10 * batch.states[:, 0])
    np.testing.assert_array_equal(batch.actions, batch.states[:, 0].long() % 3)
    np.testing.assert_array_equal(batch.terminated, (batch.states[:, 0] % 2 == 0).float())
    drawn = replay.sample(500, torch.Generator().manual_seed(0)).states[:, 0]
    assert set(drawn.tolist()) == {3, 4, 5, 6, 7}


def test_divergence_stops_with_a_reason_and_keeps_the_checkpoint(demos, tmp_path):
    config = replace(ONLINE, learning_rate=1e30, steps=500, checkpoint_every=1, log_every=10, evaluate_every=0)
    with pytest.raises(TrainingDiverged, match=r"diverged at step .* last good checkpoint is in .* Lower the learning"):
        ip.train(demos, config, out=tmp_path / "run", progress=False)
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] >= 1


@pytest.mark.parametrize(("q", "stops"), [(2900.0, False), (3400.0, True)])
def test_q_beyond_the_limit_from_the_rewards_is_divergence(monkeypatch, tmp_path, q, stops):
    metrics = {"q_policy": q, "entropy": -2.0, "temperature": 0.5}
    monkeypatch.setattr(SoftActorCritic, "metrics", lambda *_: metrics)
    env = gym.wrappers.TransformReward(ip.envs.make_env("Pendulum-v1"), lambda reward: -10.0)
    config = ip.RLConfig(steps=60, learning_starts=10, hidden=(8,), batch_size=8, log_every=20)
    with pytest.raises(TrainingDiverged, match=r"\(limit 3300\)") if stops else nullcontext():
        ip.learn.train_on_reward(env, config, out=tmp_path / "run", progress=False)


def test_the_limit_of_q_includes_rewards_that_have_left_the_replay(monkeypatch):
    entropies = iter([-200.0, -2.0, -2.0])
    monkeypatch.setattr(
        SoftActorCritic,
        "metrics",
        lambda *_: {"q_policy": 5000.0, "entropy": next(entropies), "temperature": 0.5},
    )
    rewards = iter([50.0] + [0.0] * 100)
    env = gym.wrappers.TransformReward(ip.envs.make_env("Pendulum-v1"), lambda reward: next(rewards))
    config = ip.RLConfig(steps=60, learning_starts=10, hidden=(8,), batch_size=8, log_every=20)
    ip.learn.train_on_reward(env, replace(config, replay_capacity=15), progress=False)


def test_divergence_after_the_last_log_is_noticed_too(demos):
    with pytest.raises(TrainingDiverged, match="diverged at step 20"):
        ip.train(demos, ip.IQConfig(steps=20, learning_rate=1e30), progress=False)


def test_no_checkpoint_is_written_of_a_run_that_diverged(demos, tmp_path):
    config = ip.IQConfig(steps=400, learning_rate=1e30, checkpoint_every=20)
    with pytest.raises(TrainingDiverged, match="diverged at step 20"):
        ip.train(demos, config, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"step": 1})

    def full(state, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match=r"No space left.*what it held before is intact.*resume"):
        save_checkpoint(path, {"step": 2})
    assert load_checkpoint(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_what_is_not_a_checkpoint_is_refused(tmp_path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(CheckpointError, match="found none"):
        load_checkpoint(path)
    save_checkpoint(path, {"tensor": torch.zeros(100)})
    whole = path.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="must be a whole file"):
            load_checkpoint(path)


def test_a_checkpoint_that_asks_to_run_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"bomb": Bomb()}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "checkpoint.pt")
    assert not (tmp_path / "ran").exists()


def test_resuming_another_run_lists_the_differences(demos, tmp_path):
    config = replace(ONLINE, steps=100, evaluate_every=0)
    ip.train(demos, config, out=tmp_path / "run", progress=False)
    with pytest.raises(CheckpointError, match=r"gamma was 0\.99, now 0\.5; seed was 0, now 1"):
        ip.train(demos, replace(config, gamma=0.5, seed=1), out=tmp_path / "run", resume=True, progress=False)
    with pytest.raises(CheckpointError, match="demonstrations was"):
        ip.train(demos.subsample(2), config, out=tmp_path / "run", resume=True, progress=False)


def test_an_option_that_is_newer_than_the_run_does_not_prevent_resuming_while_it_is_off(demos, tmp_path):
    config, folder = replace(ONLINE, steps=100, evaluate_every=0), tmp_path / "run"
    ip.train(demos, config, out=folder, progress=False)
    description = json.loads((folder / "run.json").read_text())
    del description["config"]["observation_only"]
    (folder / "run.json").write_text(json.dumps(description))
    ip.train(demos, config, out=folder, resume=True, progress=False)
    with pytest.raises(CheckpointError, match="observation_only was None, now True"):
        ip.train(demos, replace(config, observation_only=True), out=folder, resume=True, progress=False)


@pytest.mark.parametrize("factor", [1, 2])
def test_evaluations_are_in_the_environment_that_was_given(factor):
    """A user's tabular MDP, which its id does not fully describe; also inside a wrapper."""
    mdp = replace(gridworld(), reward=np.full_like(gridworld().reward, 7.0), name="mine")
    env = TabularEnv(mdp, horizon=10)
    if factor > 1:
        env = gym.wrappers.TransformReward(env, lambda reward: factor * reward)
    demos = ip.record_demos(TabularPolicy(soft_expert(mdp)), env, 3)
    config = replace(ONLINE, steps=20, learning_starts=0, evaluate_every=20)
    run = ip.train(demos, config, env=env, progress=False)
    assert float(run.history["return_mean"][-1]) == 70 * factor


def test_an_output_folder_with_content_is_refused(demos, tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(CheckpointError, match="must be new or empty"):
        ip.train(demos, replace(ONLINE, steps=10), out=tmp_path, progress=False)
    assert (tmp_path / "mine.txt").read_text() == "keep me"


def test_run_json_holds_the_config_and_the_hash_of_the_demonstrations(demos, tmp_path):
    ip.train(demos, replace(ONLINE, steps=100, evaluate_every=0), out=tmp_path / "run", progress=False)
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["demonstrations"] == demos.content_hash()
    assert described["config"]["steps"] == 100


def test_a_run_says_which_config_it_was_learned_by(demos, tmp_path):
    ip.train(demos, replace(ONLINE, steps=20, evaluate_every=0), out=tmp_path / "iq", progress=False)
    rl = ip.RLConfig(steps=20, learning_starts=5, hidden=(8,), batch_size=8)
    train_on_reward("CartPole-v1", rl, out=tmp_path / "rl", progress=False)
    for name, kind, resolved in (("iq", "IQConfig", ResolvedIQ), ("rl", "RLConfig", ResolvedRL)):
        assert json.loads((tmp_path / name / "run.json").read_text())["config_type"] == kind
        assert type(ip.load_run(tmp_path / name).config) is resolved


def test_a_run_of_an_earlier_version_is_refused_with_what_to_do(demos, tmp_path):
    ip.train(demos, replace(ONLINE, steps=20, evaluate_every=0), out=tmp_path, progress=False)
    described = json.loads((tmp_path / "run.json").read_text())
    del described["config_type"]
    (tmp_path / "run.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"must say in config_type.*IQConfig or an RLConfig.*Train it again"):
        ip.load_run(tmp_path)


def test_an_environment_that_cannot_be_copied_has_no_evaluations_unless_asked_for(demos):
    class Single(gym.Wrapper):
        def __deepcopy__(self, memo):
            raise TypeError("there is one of these")

    config = ip.IQConfig(steps=1000, learning_starts=995, hidden=(8,), batch_size=8)
    run = ip.train(demos, config, env=Single(ip.envs.make_env("CartPole-v1")), progress=False)
    assert "return_mean" not in run.history
    with pytest.raises(TypeError, match="there is one of these"):
        ip.train(
            demos, replace(config, evaluate_every=500), env=Single(ip.envs.make_env("CartPole-v1")), progress=False
        )


def test_a_single_transition_is_too_little_to_learn_from(demos):
    one = replace(demos, transitions=demos.transitions.rows(np.arange(1)))
    with pytest.raises(ValueError, match="at least two demonstrated steps; got 1"):
        ip.train(one, progress=False)


def test_demonstrations_that_do_not_fit_the_environment_are_refused(demos):
    with pytest.raises(DemoError, match=r"\(4,\).*\(6,\)"):
        ip.train(demos, env="Acrobot-v1", progress=False)


def test_mixture_offline_asks_for_an_environment(demos):
    with pytest.raises(ValueError, match="give an env"):
        ip.train(demos, ip.IQConfig(value_term="mixture", steps=5), progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"divergance": "kl"}, "Did you mean 'divergence'"),
        ({"divergence": "helinger"}, "Did you mean 'hellinger'"),
        ({"value_term": "initail"}, "Did you mean 'initial'"),
        ({"objective": "iqlearn"}, "objective must be one of"),
        ({"gamma": 1.0}, "gamma must be at least 0 and below 1; got 1.0"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"batch_size": -1}, "batch_size must be zero"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"seed": 2**70}, "seed must be between 0"),
        ({"updates_per_step": 0}, "updates_per_step must be positive"),
        ({"max_weight": 0.5}, "max_weight must be at least 1"),
    ],
)
def test_config_values_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ip.IQConfig.from_dict(settings)


def test_online_the_replay_begins_with_the_steps_of_others(tmp_path, demos):
    others = ip.load_demos("CartPole-v1").episodes([4]).transitions
    config = ip.IQConfig(steps=20, learning_starts=5, replay_capacity=1000)
    ip.train(demos, config, env="CartPole-v1", others=others, out=tmp_path / "run", progress=False)
    kept = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["policy"]
    spec = ip.load_run(tmp_path / "run").soft_q.spec
    assert kept["added"] == len(others) + 20
    with pytest.raises(CheckpointError, match="others was"):
        ip.train(demos, config, env="CartPole-v1", out=tmp_path / "run", resume=True, progress=False)
    assert torch.equal(kept["rows"][: len(others)], Replay.of(spec, DiscreteQ(spec).encoder, others).rows)


def test_others_are_checked_like_demonstrations(demos):
    config = ip.IQConfig(steps=20, replay_capacity=10)
    with pytest.raises(DemoError, match=r"argument others.*shape"):
        ip.train(demos, config, others=ip.load_demos("Acrobot-v1", episodes=1).transitions, progress=False)
    with pytest.raises(TypeError, match=r"others.*demos\.transitions"):
        ip.train(demos, config, others=demos, progress=False)
    with pytest.raises(ValueError, match="replay_capacity is 10"):
        ip.train(demos, config, env="CartPole-v1", others=demos.transitions, progress=False)
