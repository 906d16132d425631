"""Retraining learns from the given reward alone; studies reuse only their own results."""

from dataclasses import replace
from unittest.mock import Mock

import gymnasium as gym
import numpy as np
import pytest

import irl_probe as ip
from irl_probe.envs import TabularEnv
from irl_probe.learn import CheckpointError, TrainingInterrupted
from irl_probe.metrics import tabular
from irl_probe.softq import DiscreteQ, NetworkSpec

LEARNER = ip.RLConfig(
    hidden=(),
    steps=4000,
    batch_size=256,
    precision="float64",
    learning_rate=0.1,
    target_rate=0.1,
    learning_starts=500,
    gamma=0.8,
    temperature=0.5,
)


@pytest.fixture
def mdp():
    return ip.envs.gridworld([[0.0, 0.0], [0.0, 1.0]], gamma=0.8)


def table(run, mdp):
    states, actions, _ = mdp.transition.shape
    s, a = (index.ravel() for index in np.indices((states, actions)))
    return run.q(s, a).reshape(states, actions)


def test_retraining_on_a_table_reaches_its_soft_optimum(mdp):
    target = np.random.default_rng(0).normal(size=mdp.transition.shape[:2])
    run = ip.retrain(lambda o, a, o2, d: target[o, a], ip.RetrainConfig(LEARNER), env=TabularEnv(mdp), progress=False)
    exact = tabular.soft_q(target, mdp.transition, mdp.gamma, 0.5)
    np.testing.assert_allclose(table(run, mdp), exact, atol=0.02)


def test_the_environments_own_reward_is_never_read(mdp):
    other = ip.envs.gridworld([[9.0, -9.0], [5.0, 0.0]], gamma=0.8)
    runs = [
        ip.retrain(
            lambda o, a, o2, d: np.asarray(o, dtype=float),
            ip.RetrainConfig(replace(LEARNER, steps=700)),
            env=TabularEnv(m),
            progress=False,
        )
        for m in (mdp, other)
    ]
    np.testing.assert_array_equal(table(runs[0], mdp), table(runs[1], mdp))


def test_a_recovered_rewards_own_temperature_is_taken_where_none_is_given(mdp):
    q = ip.softq.DiscreteSoftQ(DiscreteQ.from_table(np.zeros((4, 5))), gamma=0.7, temperature=3.0)
    learner = ip.RLConfig(steps=10)
    run = ip.retrain(ip.recover(q), ip.RetrainConfig(learner), env=TabularEnv(mdp), progress=False)
    assert (run.config.temperature, run.config.gamma) == (3.0, 0.7)


def test_the_config_of_learning_from_demonstrations_is_refused():
    with pytest.raises(ValueError, match=r"learner must be of type RLConfig; got IQConfig\("):
        ip.RetrainConfig(ip.IQConfig())


STUDY = ip.retraining.RetrainStudyConfig(
    learner=replace(LEARNER, steps=700, learning_starts=200), seeds=(0, 1), episodes=5
)


def maker(mdp):
    return lambda: TabularEnv(mdp, horizon=20)


def good(o, a, o2, d):
    return (np.asarray(o) == 3).astype(float)


def bad(o, a, o2, d):
    return -good(o, a, o2, d)


def upright(o, a, o2, d):
    return np.where(d, -10.0, np.cos(o2[:, 2]))


def test_a_study_distinguishes_a_good_reward_from_a_bad_one(mdp, tmp_path):
    tree = ip.retraining.retrain_study({"good": good, "bad": bad}, STUDY, env=maker(mdp), expert=20.0, progress=False)
    group = tree["retraining"].to_dataset()
    assert group["return_mean"].dims == ("reward", "seed")
    assert group["return_mean"].shape == (3, 2)
    normalised = group["normalised_mean"].sel(bound="estimate")
    assert normalised.sel(reward="good") > 0.9
    assert normalised.sel(reward="bad") < 0
    assert normalised.sel(reward="true reward") == pytest.approx(float(normalised.sel(reward="good")), abs=0.1)
    spread = group["mean"].sel(reward="good")
    assert np.isnan(spread.sel(bound="low"))  # two seeds have no interval
    random, value = group.attrs["random_return"], float(group["mean"].sel(reward="good", bound="estimate"))
    assert float(normalised.sel(reward="good")) == pytest.approx((value - random) / (20.0 - random))
    assert group.attrs["steps"] == 700
    ip.results.save_results(tree, tmp_path / "results.nc")
    frame = ip.results.to_dataframe(ip.results.load_results(tmp_path / "results.nc"))
    assert "retraining" in set(frame["group"])


def test_a_study_continues_where_it_stopped(mdp, tmp_path):
    calls = []

    def counting(o, a, o2, d):
        calls.append(len(o) == 1)  # training asks for single steps, fingerprints for many at once
        return good(o, a, o2, d)

    def study(seeds, **changes):
        config = ip.retraining.RetrainStudyConfig(**{**vars(STUDY), "seeds": seeds, "on_true_reward": False, **changes})
        tree = ip.retraining.retrain_study({"mine": counting}, config, env=maker(mdp), out=tmp_path, progress=False)
        return tree["retraining"]["return_mean"].values[0].tolist()

    first = study((0,))
    stepped = sum(calls)
    assert stepped > 500
    (tmp_path / "mine" / "seed-1" / "run").mkdir(parents=True)  # killed before its first checkpoint
    both = study((0, 1))
    assert both[0] == first[0]
    assert sum(calls) == 2 * stepped
    assert study((1, 0)) == both[::-1]
    assert sum(calls) == 2 * stepped
    with pytest.raises(ValueError, match="made from something else: episodes was 5, now 6"):
        study((0,), episodes=6)
    (tmp_path / "mine" / "seed-0" / "cell.json").write_text("{}")
    with pytest.raises(ValueError, match=r"cell\.json must hold a cell's result"):
        study((0,))


@pytest.mark.parametrize("finished", [True, False])
def test_a_study_with_other_options_is_refused_before_anything_is_trained(mdp, tmp_path, monkeypatch, finished):
    def study(seeds, episodes):
        config = replace(STUDY, seeds=seeds, steps=300, on_true_reward=False, episodes=episodes)
        ip.retraining.retrain_study({"good": good}, config, env=maker(mdp), out=tmp_path, progress=False)

    if finished:
        study((0,), episodes=1)
    else:
        with monkeypatch.context() as patched:
            patched.setattr("irl_probe.retraining.study.evaluate", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(TrainingInterrupted):
                study((0,), episodes=1)
    monkeypatch.setattr("irl_probe.retraining.study.retrain", None)
    with pytest.raises(CheckpointError, match="seed-0 was made from something else: episodes was 1, now 2"):
        study((1, 0), episodes=2)


def test_an_interrupted_study_continues_and_one_with_an_error_takes_other_options(mdp, tmp_path, monkeypatch):
    def study(steps):
        config = replace(STUDY, seeds=(0,), steps=steps, on_true_reward=False, episodes=1)
        return ip.retraining.retrain_study({"good": good}, config, env=maker(mdp), out=tmp_path, progress=False)

    for error, raised in ((ValueError, ValueError), (KeyboardInterrupt, TrainingInterrupted)):
        with monkeypatch.context() as patched:
            patched.setattr("irl_probe.retraining.study.retrain", Mock(side_effect=error))
            with pytest.raises(raised):
                study(200 if error is ValueError else 300)
    assert np.isfinite(study(300)["retraining"]["return_mean"]).all()


def test_policies_of_another_time_limit_are_not_reused(mdp, tmp_path):
    config = replace(STUDY, seeds=(0,), steps=300, episodes=1)

    def within(steps):
        def make():
            env = TabularEnv(mdp, horizon=1000)
            env.spec = None  # as an environment that was not registered
            return gym.wrappers.TimeLimit(env, steps)

        return make

    ip.retraining.retrain_study({}, config, env=within(50), out=tmp_path, progress=False)
    with pytest.raises(ValueError, match="time limit was 50, now 60"):
        ip.retraining.retrain_study({}, config, env=within(60), out=tmp_path, progress=False)


def test_results_of_another_reward_with_the_same_name_are_not_reused(mdp, tmp_path):
    config = ip.retraining.RetrainStudyConfig(
        learner=replace(LEARNER, steps=300, learning_starts=100), seeds=(0,), on_true_reward=False, episodes=1
    )
    rewards = [
        ip.recover(ip.softq.DiscreteSoftQ(DiscreteQ.from_table(np.full((4, 5), x)), gamma=0.8, temperature=0.5))
        for x in (0, 1)
    ]
    ip.retraining.retrain_study({"r": rewards[0]}, config, env=maker(mdp), out=tmp_path, progress=False)
    with pytest.raises(ValueError, match="made from something else: reward was"):
        ip.retraining.retrain_study({"r": rewards[1]}, config, env=maker(mdp), out=tmp_path, progress=False)


def test_results_of_another_function_with_the_same_name_are_not_reused(mdp, tmp_path):
    config = replace(STUDY, seeds=(0,), steps=300, on_true_reward=False, episodes=1)
    ip.retraining.retrain_study({"r": good}, config, env=maker(mdp), out=tmp_path, progress=False)
    for other in (bad, lambda o, a, o2, d: 2 * good(o, a, o2, d)):
        with pytest.raises(ValueError, match="made from something else: reward was"):
            ip.retraining.retrain_study({"r": other}, config, env=maker(mdp), out=tmp_path, progress=False)


def test_policies_of_another_environment_are_not_reused(tmp_path):
    config = replace(STUDY, seeds=(0,), steps=300, on_true_reward=False, episodes=1)
    ip.retraining.retrain_study({"r": upright}, config, env="CartPole-v1", out=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"env was 'CartPole-v1', now 'CartPole-v1\[length=5\]'"):
        ip.retraining.retrain_study({"r": upright}, config, env="CartPole-v1[length=5]", out=tmp_path, progress=False)


def test_policies_of_another_mdp_with_the_same_name_are_not_reused(mdp, tmp_path):
    config = replace(STUDY, seeds=(0,), steps=300, episodes=1)
    ip.retraining.retrain_study({}, config, env=maker(mdp), out=tmp_path, progress=False)
    other = replace(mdp, reward=-mdp.reward)
    with pytest.raises(ValueError, match=r"made from something else: environment\.rewards was"):
        ip.retraining.retrain_study({}, config, env=maker(other), out=tmp_path, progress=False)


def test_results_of_an_environment_that_does_not_repeat_itself_are_reused(tmp_path):
    chance = np.random.default_rng(0)

    class Unseeded(gym.RewardWrapper):
        def reward(self, reward):
            return float(reward) + chance.random()

    config, make = replace(STUDY, seeds=(0,), steps=300, episodes=1), lambda: Unseeded(ip.envs.make_env("CartPole-v1"))
    first = ip.retraining.retrain_study({}, config, env=make, out=tmp_path, progress=False)["retraining"]["return_mean"]
    again = ip.retraining.retrain_study({}, config, env=make, out=tmp_path, progress=False)["retraining"]["return_mean"]
    assert first.values.tolist() == again.values.tolist()


def test_a_run_is_not_resumed_on_another_reward(tmp_path):
    config = ip.RetrainConfig(replace(STUDY.learner, steps=300))
    ip.retrain(upright, config, env="CartPole-v1", out=tmp_path, progress=False)
    ip.retrain(upright, config, env="CartPole-v1", out=tmp_path, resume=True, progress=False)
    with pytest.raises(ValueError, match=r"can only be resumed as it was begun; these differ: reward was"):
        ip.retrain(lambda o, a, o2, d: -upright(o, a, o2, d), config, env="CartPole-v1", out=tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"reward was .* now None"):
        ip.learn.train_on_reward("CartPole-v1", config.learner, out=tmp_path, resume=True)


def test_names_that_would_share_a_folder_and_a_file_for_a_folder_are_refused(mdp, tmp_path):
    with pytest.raises(TypeError, match="name of a reward"):
        ip.retraining.retrain_study({1: good}, STUDY, env=maker(mdp))
    with pytest.raises(ValueError, match="got 'a b' and 'a-b'"):
        ip.retraining.retrain_study({"a b": good, "a-b": bad}, STUDY, env=maker(mdp), out=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file"):
        ip.retraining.retrain_study({"good": good}, STUDY, env=maker(mdp), out=tmp_path / "file")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"algorithm": "sb3-td3"}, "must be one of own, sb3-sac, sb3-ppo, sb3-dqn; got 'sb3-td3'"),
        ({"seeds": ()}, "one or more different whole numbers"),
        ({"seeds": (1, 1)}, r"different whole numbers from 0; got \(1, 1\)"),
        ({"episodes": 0}, "must be at least 1"),
        ({"learner": ip.IQConfig()}, r"learner must be of type RLConfig; got IQConfig\("),
    ],
)
def test_study_settings_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ip.retraining.RetrainStudyConfig(**values)


def test_a_study_needs_rewards_with_names_of_their_own(mdp):
    with pytest.raises(ValueError, match="at least one reward"):
        ip.retraining.retrain_study({}, replace(STUDY, on_true_reward=False), env=maker(mdp))
    with pytest.raises(ValueError, match="is the name of the environment's own reward"):
        ip.retraining.retrain_study({"true reward": good}, env=maker(mdp))


def test_the_true_reward_alone_makes_a_study(mdp):
    tree = ip.retraining.retrain_study({}, replace(STUDY, seeds=(0,)), env=maker(mdp), expert=20.0, progress=False)
    group = tree["retraining"].to_dataset()
    assert group["reward"].values.tolist() == ["true reward"]
    assert float(group["normalised"][0, 0]) > 0.9
    assert set(ip.results.reward_figures(tree, "mine")["retraining"]) == {
        "mean (true reward)",
        "normalised_mean (true reward)",
    }


def test_stable_baselines_gives_a_second_opinion():
    pytest.importorskip("stable_baselines3")
    config = ip.retraining.RetrainStudyConfig(
        algorithm="sb3-ppo", steps=4096, seeds=(0,), episodes=3, on_true_reward=False
    )
    tree = ip.retraining.retrain_study({"upright": upright}, config, env="CartPole-v1", progress=False)
    assert float(tree["retraining"]["return_mean"][0, 0]) > 50  # random gets about 22
    assert tree["retraining"].attrs["learner"] == "sb3-ppo"
    run = ip.retraining.retrain_sb3(upright, "dqn", env="CartPole-v1", steps=200, settings={"learning_starts": 100})
    assert run.policy(np.zeros((3, 4), np.float32)).shape == (3,)
    with pytest.raises(ValueError, match="SAC does not take discrete actions; use ppo or dqn"):
        ip.retraining.retrain_sb3(upright, "sac", env="CartPole-v1")
    with pytest.raises(ValueError, match="must be one of sac, ppo, dqn; got 'td3'"):
        ip.retraining.retrain_sb3(upright, "td3", env="CartPole-v1")
    with pytest.raises(ValueError, match="The steps must be a whole number, at least 1; got -5"):
        ip.retraining.retrain_sb3(upright, "ppo", env="CartPole-v1", steps=-5)


def test_stable_baselines_takes_the_rewards_own_discount():
    pytest.importorskip("stable_baselines3")
    env = ip.envs.make_env("CartPole-v1")
    network = DiscreteQ(NetworkSpec.of(env.observation_space, env.action_space))
    reward = ip.recover(ip.softq.DiscreteSoftQ(network, gamma=0.7, temperature=1.0))
    assert ip.retraining.retrain_sb3(reward, "dqn", env="CartPole-v1", steps=10).model.gamma == 0.7
    given = {"gamma": 0.9, "seed": 3, "policy": "MlpPolicy", "device": "auto"}
    run = ip.retraining.retrain_sb3(reward, "dqn", env="CartPole-v1", steps=10, settings=given)
    assert (run.model.gamma, run.model.seed, run.seed) == (0.9, 3, 3)  # the given settings win
