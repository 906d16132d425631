"""Own environments of every kind of space in the verbs that measure, transfer and probe, and on the command line."""

import importlib
import re
import sys
import textwrap
import warnings
from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces, wrappers

import irl_probe as ip
from irl_probe._plain import parts_of
from irl_probe.cli.main import main
from irl_probe.comparison import DistanceConfig
from irl_probe.envs import SimulatedStep, TabularSimulator, Variant, check_spaces, gridworld
from irl_probe.envs.true_reward import TrueReward
from irl_probe.learn import random_policy
from irl_probe.metrics import tabular
from irl_probe.rewards import DynamicsConfig, RewardError, fit_dynamics

MODULE = '''
import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Base(gym.Env):
    """A point in the plane; it takes no action, and returns no observation, that is not in its space."""

    size = 0.2

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.x = np.clip(self.x + self.size * self.move(action), -2, 2).astype(np.float32)
        assert self.observation_space.contains(self.seen())
        return self.seen(), -float(np.abs(self.x).sum()), False, False, {}


class Nav(Base):
    observation_space = spaces.Dict(place=spaces.Box(-2, 2, (2,), np.float32), side=spaces.Discrete(2, start=1))
    action_space = spaces.MultiDiscrete([3, 3], start=[1, -1])

    def move(self, action):
        return np.asarray(action) - [2, 0]

    def seen(self):
        return {"place": self.x.copy(), "side": np.int64(1 + (self.x[0] > 0))}


class Pair(Base):
    observation_space = spaces.Tuple((spaces.Box(-2, 2, (2,), np.float32), spaces.MultiBinary(2)))
    action_space = spaces.MultiBinary(2)

    def move(self, action):
        return np.asarray(action) - 0.5

    def seen(self):
        return self.x.copy(), (self.x > 0).astype(np.int8)


class Line(gym.Env):
    observation_space = spaces.Discrete(7, start=1)
    action_space = spaces.Discrete(3, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = int(self.np_random.integers(1, 8))
        return np.int64(self.s), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.s = int(np.clip(self.s + int(action) - 2, 1, 7))
        return np.int64(self.s), -float(abs(self.s - 5)), False, False, {}


class Whole(gym.Env):
    observation_space = spaces.Box(-20, 20, (2,), np.int64)
    action_space = spaces.Box(-2, 3, (2,), np.int64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = self.np_random.integers(-5, 6, 2)
        return self.s.copy(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.s = np.clip(self.s + action, -20, 20)
        return self.s.copy(), -float(np.abs(self.s).sum()), False, False, {}


class Counts(Whole):
    action_space = spaces.Box(-2, 3, (2,), np.float32)

    def step(self, action):
        assert self.action_space.contains(action), action
        self.s = np.clip(self.s + np.rint(action).astype(int), -20, 20)
        return self.s.copy(), -float(np.abs(self.s).sum()), False, False, {}


for each in (Nav, Pair, Line, Whole, Counts):
    gym.register(each.__name__ + "-v0", entry_point=each, max_episode_steps=10)
'''
KINDS = ("Nav", "Pair", "Line", "Counts")
TINY = {"learning_starts": 10, "hidden": (8,)}
SHORT = ip.RLConfig(steps=20, **TINY)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A module of one's own, which lies beside the data."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_envs.py").write_text(textwrap.dedent(MODULE))
    sys.path.insert(0, str(folder))
    before = dict(gym.registry)  # other files of tests have a Nav-v0 too
    for kind in (*KINDS, "Whole"):
        gym.registry.pop(f"{kind}-v0", None)
    try:
        yield importlib.import_module("own_envs")
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("own_envs", None)
        gym.registry.clear()
        gym.registry.update(before)


@pytest.fixture(autouse=True)
def short_clones(monkeypatch):
    """The clone that plays the expert of a mixture learns for 20 steps."""

    def short(demos, config, **rest):
        tiny = replace(config, steps=20, hidden=(8,)) if config.objective == "bc" else config
        return ip.train(demos, tiny, **rest)

    for module in ("coverages", "environment"):
        monkeypatch.setattr(importlib.import_module(f"irl_probe.pipeline.{module}"), "train", short)


@pytest.fixture(scope="module")
def of(module):
    """Demonstrations and a recovered reward of each kind."""
    found = {}
    for kind in KINDS:
        env = gym.make(f"{kind}-v0")
        demos = ip.record_demos(random_policy(env.action_space, 0), env, 12, seed=0)
        run = ip.train(demos, ip.IQConfig(steps=5, hidden=(8,)), progress=False)
        found[kind] = demos, ip.recover(run)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_coverages_take_an_id_an_environment_or_a_function(kind, of):
    demos, _ = of[kind]
    env, given = gym.make(f"{kind}-v0"), of[kind][0].transitions
    found = [
        ip.coverages(each, demos=demos, episodes=6) for each in (f"own_envs:{kind}-v0", env, lambda: gym.make(env.spec))
    ]
    for steps in found:
        assert set(steps) == {"expert", "random", "mixture"}
        assert steps["expert"] is given
        for name in ("random", "mixture"):
            assert steps[name].content_hash() == found[0][name].content_hash()
            assert all(env.action_space.contains(a) for a in steps[name].actions)
            assert steps[name].observations.dtype == given.observations.dtype
    assert set(ip.coverages(env, episodes=1)) == {"random"}
    assert env.reset(seed=0) is not None  # it stays open
    with pytest.raises(ValueError, match=r"do not fit the environment|are continuous|have shape|are discrete"):
        ip.coverages(env, demos=of["Line" if kind != "Line" else "Nav"][0])


def test_coverages_happen_in_the_environment_that_was_given(of):
    env = gym.make("Nav-v0", max_episode_steps=4)
    env.unwrapped.size = 0.0
    steps = ip.coverages(env, demos=of["Nav"][0], episodes=6)["mixture"]
    assert set(steps.lengths.tolist()) == {4}
    np.testing.assert_array_equal(steps.observations[:, :2], steps.next_observations[:, :2])
    with pytest.raises(TypeError, match="environment, its id, or a function that makes it; got 3"):
        ip.coverages(3)


def test_demonstrations_that_were_given_are_used_in_a_tabular_environment_too():
    env = ip.envs.make_env("GridWorld")
    demos = ip.record_demos(lambda o: np.full(len(o), 1), env, 3)
    assert ip.coverages(env, demos=demos, episodes=6)["expert"] is demos.transitions
    wrapped = ip.coverages(wrappers.FlattenObservation(env), episodes=6)  # the exact expert reads no flat observations
    assert set(wrapped) == {"random"}


@pytest.mark.parametrize("kind", ["Nav", "Pair"])
def test_learned_dynamics_of_parts_are_right_and_measure_distances(kind, of):
    """The position moves by the action alone, which a model of 2 members learns to a few percent of a step."""
    demos, reward = of[kind]
    env = gym.make(f"{kind}-v0")
    steps = ip.record_demos(random_policy(env.action_space, 1), env, 60, seed=1).transitions
    config = DynamicsConfig(hidden=(32,), updates=300, members=2)
    model = fit_dynamics(steps, env.observation_space, env.action_space, config=config)
    assert model.log_likelihood > model.baseline + 1
    marginal = ip.recover(reward.soft_q, expectation=model, **spaces_of(env))
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    seen, mean = reward(*batch), marginal(*batch)
    assert np.sqrt(((seen - mean) ** 2).mean()) < 0.2 * seen.std()
    tree = ip.compare(
        {"r": reward, "true": place},
        transitions={"demonstrations": demos.transitions},
        reference=place,
        dynamics=model,
        distances=DistanceConfig(samples=40, states=16, resamples=3, steps=60, simulated=200, features=32),
    )
    found = tree["distance"].to_dataset()["value"].sel(bound="estimate").squeeze()
    assert found.sel(reward="true", metric=["epic", "dard"]).values == pytest.approx(0, abs=1e-6)
    assert 0 < float(found.sel(reward="r", metric="dard")) < 1


def spaces_of(env):
    return {"observation_space": env.observation_space, "action_space": env.action_space}


def place(observations, actions, successors, terminated):
    """A reward of the successor's first number."""
    return np.asarray(successors)[:, 0].astype(float)


def test_learned_dynamics_take_actions_in_the_units_of_their_steps(of):
    """Plain functions have no spaces: the model knows those of its steps."""
    env = gym.make("Nav-v0")
    steps = of["Nav"][0].transitions
    model = fit_dynamics(steps, *spaces_of(env).values(), config=DynamicsConfig(hidden=(8,), updates=20, members=2))
    config = DistanceConfig(gamma=0.9, samples=20, states=8, resamples=3, steps=40, simulated=100, features=8)
    tree = ip.compare({"f": place}, transitions=steps, reference=place, dynamics=model, distances=config)
    assert float(tree["distance"]["value"].sel(metric="dard", bound="estimate").squeeze()) == pytest.approx(0, abs=1e-6)


def test_whole_numbers_are_not_a_space_of_gaussian_dynamics_and_the_wrapper_in_the_message_makes_them_one(of):
    env, steps = gym.make("Counts-v0"), of["Counts"][0].transitions
    with pytest.raises(RewardError, match=r"DtypeObservation\(env, np.float32\)"):
        fit_dynamics(steps, *spaces_of(env).values())
    wrapped = wrappers.DtypeObservation(env, np.float32)
    floats = ip.record_demos(random_policy(env.action_space, 0), wrapped, 12, seed=0).transitions
    model = fit_dynamics(floats, *spaces_of(wrapped).values(), config=DynamicsConfig(hidden=(8,), updates=20))
    marginal = ip.recover(of["Counts"][1].soft_q, expectation=model, **spaces_of(env))
    batch = (steps.actions, steps.next_observations, steps.terminated)
    np.testing.assert_allclose(
        marginal(steps.observations, *batch), marginal(steps.observations.astype(np.float32), *batch), atol=1e-5
    )  # successors were cut to whole numbers


def test_whole_number_actions_are_refused_early_and_the_wrapper_in_the_message_makes_them_work(module):
    env = gym.make("Whole-v0")
    policy = random_policy(env.action_space, 0)
    assert len(ip.evaluate(policy, env, episodes=1).returns) == 1
    with pytest.raises(ValueError, match="are whole numbers; the policy returned fractions"):
        ip.evaluate(lambda o: np.full((len(o), 2), 0.7), env, episodes=1)
    steps = ip.Transitions(*(np.zeros((2, 2), int) for _ in range(3)), [False] * 2, [False, True], [0, 0])
    offline = ip.Demonstrations(steps, None, "a test", env.observation_space, env.action_space)
    for call in (
        lambda: check_spaces(env),
        lambda: ip.record_demos(policy, env, 1),
        lambda: ip.train(offline, progress=False),
        lambda: fit_dynamics(steps, spaces.Box(-9, 9, (2,)), env.action_space),
    ):
        with pytest.raises(ValueError, match=r"must be floats of at most 64 bits.*TransformAction") as error:
            call()
        wrapper = re.search(r"gymnasium\.wrappers\.TransformAction\(.*\)", str(error.value))[0]
    wrapped = eval(wrapper, {"gymnasium": gym, "np": np, "env": env})
    assert wrapped.action_space == spaces.Box(-2, 3, (2,), np.float32)
    demos = ip.record_demos(random_policy(wrapped.action_space, 0), wrapped, 2)
    config = ip.IQConfig(steps=12, warm_start=0, critic_warm_start=0, evaluate_every=12, evaluate_episodes=1, **TINY)
    assert ip.train(demos, config, env=wrapped, progress=False).history["return_mean"].notnull().any()


CELL = spaces.Dict(row=spaces.Discrete(3), column=spaces.Discrete(3, start=1))
STEP = spaces.MultiDiscrete([5], start=[1])


class Cells:
    """A simulator of one's own: a grid of 3×3 cells, seen as a Dict, whose actions count from 1."""

    name, deterministic, exact, note = "cells", True, True, ""

    def __init__(self, mdp):
        self.inner = TabularSimulator(mdp)

    def step(self, observations, actions):
        found = self.inner.step(cell(observations), np.asarray(actions)[:, 0] - 1)
        return SimulatedStep(flat(found.next_observations), found.rewards, found.terminated)


def cell(observations):
    parts = parts_of(CELL, np.asarray(observations))
    return parts["row"] * 3 + parts["column"] - 1


def flat(states):
    return np.stack([spaces.flatten(CELL, {"row": i // 3, "column": 1 + i % 3}) for i in states.astype(np.int64)])


def test_distances_of_a_dict_environment_are_those_of_the_tabular_problem_inside():
    """On every transition of a deterministic MDP DARD is exact, and EPIC but for the drawn states of d_S."""
    rng = np.random.default_rng(0)
    mdp = gridworld(rng.normal(size=(3, 3)), gamma=0.9)
    states, actions = (index.ravel() for index in np.indices((9, 5)))
    after = mdp.transition[states, actions].argmax(-1)
    ends = np.ones(45, bool)
    steps = ip.Transitions(flat(states), actions[:, None] + 1, flat(after), ~ends, ends, np.arange(45))
    potential = rng.normal(size=9)
    tables = {
        "itself": np.array(mdp.reward),
        "shaped": 2 * mdp.reward + 0.9 * potential - potential[:, None, None],
        "other": rng.normal(size=(9, 5, 9)),
        "opposite": -mdp.reward,
    }

    def function(table):
        return lambda o, a, o2, d: table[cell(o), np.asarray(a)[:, 0] - 1, cell(o2)]

    truth = TrueReward("cells", True, "", function(mdp.reward), action_space=STEP)
    tree = ip.compare(
        {name: function(table) for name, table in tables.items()},
        transitions=steps,
        reference=truth,
        dynamics=Cells(mdp),
        distances=DistanceConfig(gamma=0.9, states=2048, resamples=3, features=64, simulated=4000, rollouts=64),
    )
    found = tree["distance"].to_dataset()["value"].sel(bound="estimate").squeeze()
    coverage = np.zeros((9, 5, 9))
    coverage[states, actions, after] = 1 / 45
    pair = {name: (table, mdp.reward) for name, table in tables.items()}
    for name in tables:
        exact = tabular.dard(*pair[name], mdp.transition, 0.9, coverage=coverage)
        assert float(found.sel(reward=name, metric="dard")) == pytest.approx(exact, abs=1e-7)
        exact = tabular.epic(*pair[name], 0.9, coverage=coverage)
        assert float(found.sel(reward=name, metric="epic")) == pytest.approx(exact, abs=0.02)
        exact = tabular.starc(*pair[name], mdp.transition, 0.9)
        assert float(found.sel(reward=name, metric="starc_val")) == pytest.approx(exact, abs=0.1)
    assert float(found.sel(reward="itself", metric="erc")) == 0
    assert float(found.sel(reward="shaped", metric="erc")) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_transfer_to_changed_copies_of_ones_own_environment(kind, of, tmp_path):
    _, reward = of[kind]
    env = gym.make(f"{kind}-v0")
    with pytest.raises(ValueError, match=rf"Variant\('{kind}-v0', function=make\), Variant\('{kind}-v0', 'wind', 2.0"):
        ip.transfer(reward, env=env)

    def made(size):
        one = gym.make(f"{kind}-v0")
        one.unwrapped.size = size
        return one

    def variants(size):
        return [
            Variant(f"{kind}-v0", function=lambda: made(0.2)),
            Variant(f"{kind}-v0", "size", 2.0, function=lambda: made(size)),
        ]

    config = ip.transfers.TransferConfig(
        learner=SHORT,
        seeds=(0,),
        episodes=2,
        coverage_episodes=2,
        forms=("r(s)", "disentangled"),
        distil=ip.DistilConfig(steps=5, hidden=(4,)),
    )
    group = ip.transfer(reward, config, env=variants(0.4), out=tmp_path)["transfer"].to_dataset()
    assert np.isfinite(group["return_mean"].values).all()
    carried = group["return_mean"].sel(policy="carried over").values.ravel()
    for size, found in zip((0.2, 0.4), carried, strict=True):
        evaluation = ip.evaluate(reward.policy, partial(made, size), episodes=2, seed=10_000)
        assert found == pytest.approx(evaluation.returns.mean())
    if kind == "Nav":
        with pytest.raises(ip.learn.folder.CheckpointError, match="made from something else"):
            ip.transfer(reward, config, env=variants(0.0), out=tmp_path)  # the same names, another environment


@pytest.mark.filterwarnings("ignore:CartPole-v1 does not reproduce")  # its gravity is another
@pytest.mark.parametrize("how", ["environment", "function"])
def test_transfer_changes_copies_of_the_environment_that_was_given(how):
    """Its time limit, gravity and reward wrapper are kept, the change comes on top, and it stays as it is."""

    def make():
        env = wrappers.TransformReward(gym.make("CartPole-v1", max_episode_steps=7), lambda r: 10 * r)
        env.unwrapped.gravity = 5.0
        return env

    env = make()
    given = env if how == "environment" else make
    unchanged, longer = ip.envs.variants(given, ["length=2"])
    assert (unchanged.name, longer.id) == ("unchanged", "CartPole-v1[length=2]")
    assert (longer.make().unwrapped.length, longer.make().unwrapped.gravity) == (1.0, 5.0)
    assert (unchanged.make().unwrapped.length, env.unwrapped.length) == (0.5, 0.5)
    demos = ip.record_demos(random_policy(env.action_space), make(), 4)
    reward = ip.recover(ip.train(demos, ip.IQConfig(steps=5, hidden=(8,)), progress=False))
    config = ip.transfers.TransferConfig(learner=SHORT, seeds=(0,), episodes=2, forms=())
    group = ip.transfer(reward, config, env=given)["transfer"].to_dataset()
    assert group["return_mean"].sel(variant="unchanged").max() <= 70
    assert len(group["variant"]) == 11
    assert len(ip.transfer(reward, config, env=[unchanged, longer])["transfer"]["variant"]) == 2


def test_transfer_refuses_environments_that_it_cannot_copy_or_change(of):
    one = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match="must make a new one at each call"):
        ip.transfer(place, env=lambda: one)
    noisy = wrappers.TransformObservation(ip.envs.make_env("GridWorld"), lambda o: o, spaces.Discrete(25))
    with pytest.raises(ValueError, match=r"Steps are computed without wrappers.*TransformObservation"):
        ip.transfer(place, env=noisy)
    exact = ip.transfer(lambda s, a, t, d: s * 1.0, env=ip.envs.make_env("GridWorld"))["transfer"]
    wanted = ip.transfer(lambda s, a, t, d: s * 1.0, env="GridWorld")["transfer"]
    np.testing.assert_array_equal(exact["mean"].values, wanted["mean"].values)


def test_a_study_of_retraining_takes_the_environment_that_was_given(of):
    env = gym.make("Pair-v0", max_episode_steps=3)
    config = ip.retraining.RetrainStudyConfig(learner=SHORT, seeds=(0,), episodes=1, on_true_reward=False)
    tree = ip.retraining.retrain_study({"r": of["Pair"][1]}, config, env=env, progress=False)
    assert np.isfinite(tree["retraining"]["return_mean"].values).all()
    assert float(tree["retraining"]["return_mean"].squeeze()) > -3 * 4


@pytest.mark.parametrize("kind", ["Nav", "Line"])
def test_a_probe_runs_the_whole_chain_in_an_environment_of_ones_own(kind, of, tmp_path):
    ip.save_demos(of[kind][0], tmp_path / "demos.npz")
    config = ip.pipeline.ProbeConfig(
        demos=str(tmp_path / "demos.npz"),
        learner=ip.IQConfig(steps=20, evaluate_every=20, evaluate_episodes=1, **TINY),
        retrain_steps=20,
        retrain_seeds=1,
        evaluation_episodes=1,
        rollouts=1,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "This reward was learned in")  # own_envs:Nav-v0 is Nav-v0
        done = ip.probe(f"own_envs:{kind}-v0", config, out=tmp_path / "probe")
    assert done.report.exists()
    assert ip.load_reward(done.reward).action_space == gym.make(f"{kind}-v0").action_space
    assert "neither known as a formula" in done.results.attrs["no_distances"]


def test_the_command_line_finds_a_module_beside_the_data(of, tmp_path, monkeypatch, capsys):
    """Every verb of the chain with own_cli:Nav-v0, as the installed command, whose path has no working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    (tmp_path / "own_cli.py").write_text("from own_envs import Nav\nimport gymnasium\n" + REGISTERED)
    ip.save_demos(of["Nav"][0], "demos.npz")
    learner = ["--steps", "20", "--learner.learning-starts", "10", "--learner.hidden", "8"]
    env = ["--env", "own_cli:Mine-v0"]
    told = ""
    one = ["--evaluation-episodes", "1"]
    for words in (
        ["demos", "demos.npz", *env],
        ["train", "demos.npz", *env, *learner, "--out", "run"],
        ["export", "run", "--out", "reward"],
        ["distil", "reward", *env, "--rollouts", "6", "--steps", "5", "--out", "short"],
        ["compare", "reward", "short", *env, "--demos", "demos.npz", "--rollouts", "6", "--out", "compared"],
        ["retrain", "reward", *env, *learner, *one, "--out", "again"],
        ["retrain-study", "reward", *env, *learner, *one, "--seeds", "0", "--out", "study"],
    ):
        monkeypatch.setattr(sys, "argv", ["irl-probe", *words])
        main()
        told += capsys.readouterr().out
    assert "not checked" not in told
    monkeypatch.setattr(sys, "argv", ["irl-probe", "transfer", "reward", *env, "--out", "moved"])
    with pytest.raises(SystemExit):
        main()
    assert "Make the changed environment yourself" in " ".join(capsys.readouterr().err.split())
    for name in ("Mine-v0", "Nowhere-v0"):
        gym.registry.pop(name, None)
    with pytest.raises(ValueError, match=r"import it first, or name it too: 'module:Mine-v0'"):
        ip.envs.make_env("Mine-v0")


REGISTERED = "gymnasium.register('Mine-v0', entry_point=Nav, max_episode_steps=10)\n"
