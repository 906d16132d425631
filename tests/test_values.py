"""A reward, a run, a policy and a wrapper are values: copies, pickles and other processes compute the same numbers."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.rewards import DynamicsConfig, ExactExpectation, SimulatedExpectation, fit_dynamics
from irl_probe.softq import ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec, standardisation
from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ

ROWS = 60


def steps_of(env_id, episodes=3):
    space = ip.envs.make_env(env_id).action_space
    rng = np.random.default_rng(0)

    def policy(observations, deterministic=True):
        if isinstance(space, spaces.Discrete):
            return rng.integers(space.n, size=len(observations))
        return rng.uniform(space.low, space.high, (len(observations), *space.shape)).astype(space.dtype)

    return ip.record_demos(policy, env_id, episodes).transitions


def batch_of(steps, rows=ROWS):
    return tuple(getattr(steps, name)[:rows] for name in ("observations", "actions", "next_observations", "terminated"))


def spec_of(env_id, **shape):
    env = ip.envs.make_env(env_id)
    return NetworkSpec.of(env.observation_space, env.action_space, hidden=(16, 16), **shape)


def discrete(spec=None):
    torch.manual_seed(1)
    return DiscreteSoftQ(DiscreteQ(spec or spec_of("CartPole-v1")), gamma=0.9, temperature=0.5)


def continuous(env_id="Pendulum-v1"):
    torch.manual_seed(1)
    spec = spec_of(env_id, critics=2, layer_norm=True, activation="elu")
    return ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.9, temperature=0.2)


def recovered(env_id, soft_q, expectation="observed"):
    env = ip.envs.make_env(env_id)
    return ip.recover(
        soft_q, expectation=expectation, observation_space=env.observation_space, action_space=env.action_space
    )


GRID = NetworkSpec((), 25, 4, None, None, hidden=(16, 16))


def grid_steps():
    rng = np.random.default_rng(0)
    states, last = rng.integers(25, size=200), np.arange(200) % 20 == 19
    return ip.Transitions(
        states, rng.integers(4, size=200), np.roll(states, -1), ~last & last, last, np.arange(200) // 20
    )


@pytest.fixture(scope="module")
def rewards():
    """Name → a reward and a batch for it: every class of reward, expectation and network."""
    cartpole, pendulum, world = steps_of("CartPole-v1", 8), steps_of("Pendulum-v1", 2), grid_steps()
    env = ip.envs.make_env("Pendulum-v1")
    learned = fit_dynamics(
        pendulum, env.observation_space, env.action_space, config=DynamicsConfig(updates=5, hidden=(8,), members=2)
    )
    first = recovered("CartPole-v1", discrete())
    config = ip.DistilConfig(form="transition", shaping=True, steps=5, hidden=(8,))
    second = recovered("Pendulum-v1", continuous())
    p = np.random.default_rng(0).dirichlet(np.ones(25), (25, 4))
    table = ip.recover(discrete(GRID), expectation=ExactExpectation(p))
    return {
        "discrete": (first, batch_of(cartpole)),
        "continuous": (second, batch_of(pendulum)),
        "exact": (table, batch_of(world)),
        "simulated": (
            recovered("CartPole-v1", discrete(), SimulatedExpectation.of("CartPole-v1")),
            batch_of(cartpole),
        ),
        "learned": (recovered("Pendulum-v1", continuous(), learned), batch_of(pendulum)),
        "distilled": (ip.distil(first, config, transitions=cartpole), batch_of(cartpole)),
        "distilled, continuous": (ip.distil(second, config, transitions=pendulum), batch_of(pendulum)),
        "linear": (ip.distil(second, ip.DistilConfig(hidden=()), transitions=pendulum), batch_of(pendulum)),
        "table": (ip.distil(table, transitions=world), batch_of(world)),
    }


NAMES = (
    "discrete",
    "continuous",
    "exact",
    "simulated",
    "learned",
    "distilled",
    "distilled, continuous",
    "linear",
    "table",
)


def through_torch(value):
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_multiprocessing(value):
    """As multiprocessing sends it: its pickler shares the memory of torch's tensors."""
    from multiprocessing.reduction import ForkingPickler

    return pickle.loads(ForkingPickler.dumps(value))


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "torch": through_torch,
    "multiprocessing": through_multiprocessing,
}


def networks_of(reward):
    return reward.networks.values()


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_of_a_reward_has_the_same_numbers_and_weights_of_its_own(rewards, name, how):
    reward, batch = rewards[name]
    before, its_id = reward(*batch), reward.reward_id
    twin = COPIES[how](reward)
    assert np.array_equal(twin(*batch), before)
    assert twin.reward_id == its_id
    with torch.no_grad():
        for network in networks_of(twin):
            for parameter in network.parameters():
                parameter.mul_(1.5).add_(0.25)
    assert not np.allclose(twin(*batch), before)  # its own forward pass follows its own weights
    assert np.array_equal(reward(*batch), before)
    assert all(p.requires_grad for network in networks_of(twin) for p in network.parameters())


def test_a_simulator_keeps_changed_physics_when_it_is_pickled():
    env = ip.envs.make_env("CartPole-v1")
    env.unwrapped.gravity = 3.0
    steps = batch_of(steps_of("CartPole-v1"), 5)
    own = ip.envs.simulator(env)
    for twin in (pickle.loads(pickle.dumps(own)), copy.deepcopy(own)):
        assert np.array_equal(twin.step(*steps[:2]).next_observations, own.step(*steps[:2]).next_observations)
    assert not np.array_equal(
        ip.envs.simulator("CartPole-v1").step(*steps[:2]).next_observations, own.step(*steps[:2]).next_observations
    )


def test_a_mujoco_simulator_keeps_changed_physics_when_it_is_pickled():
    pytest.importorskip("mujoco")
    env = ip.envs.make_env("InvertedPendulum-v5")
    env.unwrapped.model.body_mass[:] *= 3
    steps = batch_of(steps_of("InvertedPendulum-v5"), 5)
    own = ip.envs.simulator(env, workers=2)
    after = own.step(*steps[:2]).next_observations
    for twin in (pickle.loads(pickle.dumps(own)), copy.deepcopy(own)):
        assert np.array_equal(twin.step(*steps[:2]).next_observations, after)
    plain = ip.envs.simulator("InvertedPendulum-v5").step(*steps[:2]).next_observations
    assert not np.allclose(plain, after)


@pytest.fixture(scope="module")
def run():
    demos = ip.load_demos("CartPole-v1", episodes=1)
    return ip.train(demos, ip.IQConfig(steps=5, hidden=(8,), seed=0), progress=False)


@pytest.mark.parametrize("how", COPIES)
def test_a_run_and_its_policy_are_values(run, how):
    observations = steps_of("CartPole-v1").observations
    twin, policy = COPIES[how](run), COPIES[how](run.policy)
    assert np.array_equal(twin.value(observations), run.value(observations))
    assert np.array_equal(policy(observations), run.policy(observations))
    assert twin.config == run.config
    assert twin.history.equals(run.history)
    with torch.no_grad():
        next(twin.soft_q.network.parameters()).zero_()
    assert not np.array_equal(twin.value(observations), run.value(observations))


def play(env, steps=20):
    env.reset(seed=0)
    env.action_space.seed(0)
    paid = []
    for _ in range(steps):
        _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        paid.append(reward)
        if np.any(terminated) or np.any(truncated):
            break
    return np.array(paid)


@pytest.mark.parametrize("how", COPIES)
def test_a_wrapper_is_a_value(how):
    env = ip.RewardWrapper(gym.make("CartPole-v1"), ip.load_reward("CartPole-v1/iq"), normalise="running")
    twin = COPIES[how](env)
    if how == "copy":  # shares the environment, as copies of environments do
        return
    assert np.array_equal(play(twin), play(env))


def test_vector_workers_carry_a_wrapper():
    make = partial(_wrapped, ip.load_reward("CartPole-v1/iq"))
    vector = gym.vector.AsyncVectorEnv([make, make], context="forkserver")  # which pickles it, as spawn does
    try:
        paid = play(vector, 3)
    finally:
        vector.close()
    assert paid.shape == (3, 2)


def _wrapped(reward):
    return ip.RewardWrapper(gym.make("CartPole-v1"), reward)


def test_a_pickle_of_a_network_holds_no_tensor_that_processes_would_share():
    network = DiscreteQ(spec_of("CartPole-v1"))
    through_multiprocessing(network)
    assert not any(parameter.is_shared() for parameter in network.parameters())


def test_making_and_copying_networks_draws_no_random_numbers_on_the_way():
    network = DiscreteQ(spec_of("CartPole-v1"))
    before = torch.get_rng_state()
    pickle.loads(pickle.dumps(network))
    assert torch.equal(torch.get_rng_state(), before)


def test_frozen_networks_stay_frozen_and_train_mode_stays():
    network = DiscreteQ(spec_of("CartPole-v1")).requires_grad_(False).eval().double()
    twin = copy.deepcopy(network)
    assert not any(p.requires_grad for p in twin.parameters())
    assert not twin.training
    assert next(twin.parameters()).dtype == torch.float64


# Processes and threads

FORKED = """
import multiprocessing, sys
import numpy as np, torch
import irl_probe as ip

assert torch.get_num_threads() == 2
demos = ip.load_demos("CartPole-v1", episodes=2)
reward = ip.load_reward("CartPole-v1/iq")
n = 20_000
batch = (np.zeros((n, 4), np.float32), np.zeros(n, int), np.zeros((n, 4), np.float32), np.zeros(n, bool))
before = reward(*batch)
torch.randn(600, 600) @ torch.randn(600, 600)  # starts torch's threads
torch.randn(1_000_000).relu_()

def work():
    assert np.array_equal(reward(*batch), before)
    ip.distil(reward, ip.DistilConfig(hidden=(64,), steps=2, batch_size=4096), transitions=demos.transitions)
    ip.train(demos, ip.IQConfig(steps=2, hidden=(64, 64), batch_size=2048), progress=False)
    torch.randn(1_000_000).relu_()

worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join(200)  # many times what it takes
hung = worker.is_alive()
worker.kill()
worker.join()
sys.exit(7 if hung else worker.exitcode)
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system cannot fork")
def test_a_forked_worker_evaluates_distils_and_trains_after_its_parent_used_torchs_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr


def test_a_spawned_worker_computes_the_same_numbers(rewards):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for name in ("continuous", "distilled", "learned", "simulated"):
            reward, batch = rewards[name]
            assert np.array_equal(pool.apply(reward, batch), reward(*batch)), name
            assert not any(p.is_shared() for network in networks_of(reward) for p in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_threads_compute_the_same_numbers(rewards, name):
    reward, batch = rewards[name]
    parts = [tuple(column[i::6] for column in batch) for i in range(6)] * 4
    alone = [reward(*part) for part in parts]
    twin = copy.deepcopy(reward)  # has not been called before: its first calls race
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda part: twin(*part), parts))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


# torch's modes


@pytest.fixture
def wide():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def learned(kind):
    """The weights and the numbers of a small run, distilled reward or dynamics."""
    if kind == "dynamics":
        steps, env = steps_of("Pendulum-v1", 2), ip.envs.make_env("Pendulum-v1")
        config = DynamicsConfig(updates=3, hidden=(8,), members=2)
        return fit_dynamics(steps, env.observation_space, env.action_space, config=config).tensors()
    if kind == "distil":
        reward, steps = ip.load_reward("CartPole-v1/iq"), steps_of("CartPole-v1", 6)
        config = ip.DistilConfig(form="transition", shaping=True, hidden=(8,), steps=5)
        return ip.distil(reward, config, transitions=steps).tensors()
    env_id = "Pendulum-v1" if kind in ("iq, continuous", "csil", "lsiq") else "CartPole-v1"
    demos = ip.Demonstrations(
        steps_of(env_id, 2),
        None,
        "x",
        ip.envs.make_env(env_id).observation_space,
        ip.envs.make_env(env_id).action_space,
    )
    extra = {
        "csil": {"objective": "csil", "critic_warm_start": 2},
        "lsiq": {"objective": "lsiq"},
    }.get(kind, {})
    if env_id == "Pendulum-v1":
        extra |= {"warm_start": 3}
    config = ip.IQConfig(steps=4, hidden=(8,), seed=0, **extra)
    found = ip.train(demos, config, progress=False)
    return ip.recover(found).tensors() | {"V_abs": torch.tensor(found.terminal_value, dtype=torch.float64)}


KINDS = ("iq", "iq, continuous", "csil", "lsiq", "distil", "dynamics")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learned_does_not_depend_on_torchs_default_type(kind):
    before = learned(kind)
    torch.set_default_dtype(torch.float64)
    try:
        after = learned(kind)
    finally:
        torch.set_default_dtype(torch.float32)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert tensor.dtype == after[name].dtype, name
        assert torch.equal(tensor, after[name]), name


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["iq", "iq, continuous", "distil", "dynamics"])
def test_learning_works_under_modes_without_gradients(kind, mode):
    before = learned(kind)
    with mode():
        after = learned(kind)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.parametrize("name", NAMES)
def test_rewards_do_not_depend_on_torchs_default_type_or_mode(rewards, name, tmp_path, wide):
    reward, batch = rewards[name]
    before = reward(*batch)
    data, folder = pickle.dumps(reward), ip.save_reward(reward, tmp_path / "r")
    with torch.inference_mode():
        assert np.array_equal(reward(*batch), before)
        for twin in (pickle.loads(data), ip.load_reward(folder)):
            assert np.array_equal(twin(*batch), before)
    for network in networks_of(twin):  # a reward that was loaded in inference mode can still be trained
        assert not any(p.is_inference() for p in network.parameters())


# Numbers far from zero, and tiny ones


@pytest.mark.parametrize("offset", [0.0, 1e8, 123_456_789.3, -3.7e9])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_an_offset_of_the_observations_does_not_change_what_is_learned(offset, precision):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 2))
    last = np.arange(400) % 100 == 99
    o = x + offset
    steps = ip.Transitions(o, (x[:, 0] > 0).astype(int), np.roll(o, -1, 0), ~last & last, last, np.arange(400) // 100)
    demos = ip.Demonstrations(steps, None, "x", spaces.Box(-np.inf, np.inf, (2,), np.float64), spaces.Discrete(2))
    run = ip.train(demos, ip.IQConfig(objective="bc", steps=400, seed=0, precision=precision), progress=False)
    assert (run.policy(o) == (x[:, 0] > 0)).mean() > 0.93


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 1.0])
def test_features_of_tiny_scale_are_learned_from(scale):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 2))
    last = np.arange(400) % 100 == 99
    o = x * [scale, 1.0]
    steps = ip.Transitions(o, (x[:, 0] > 0).astype(int), np.roll(o, -1, 0), ~last & last, last, np.arange(400) // 100)
    demos = ip.Demonstrations(steps, None, "x", spaces.Box(-np.inf, np.inf, (2,), np.float64), spaces.Discrete(2))
    run = ip.train(demos, ip.IQConfig(objective="bc", steps=400, seed=0), progress=False)
    assert (run.policy(o) == (x[:, 0] > 0)).mean() > 0.93


def test_rounding_is_not_magnified():
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(200)
    columns = np.stack([0.3 + 1e-16 * noise, 1e-17 * noise, np.zeros(200), 8.9 + 0 * noise, noise], axis=1)
    assert standardisation(columns)[1].tolist() == pytest.approx([1, 1, 1, 1, noise.std()], rel=1e-12)
    single = (8.9 + 3e-7 * noise).astype(np.float32)[:, None]
    assert standardisation(single)[1].tolist() == [1]
    assert standardisation(np.ones((5, 1), np.float32) * 1e-3)[1].tolist() == [1]


@pytest.mark.parametrize("hidden", [(), (32,)])
@pytest.mark.parametrize("form", ["state", "state-action", "transition"])
def test_a_reward_of_far_observations_is_distilled_saved_and_read_back(hidden, form, tmp_path):
    """r = x₀ (of s, or s′ in the form "transition"), with observations at an offset of 1e8 and more."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (600, 2))
    offset = np.array([123_456_789.3, 1e8])
    last = np.arange(600) % 100 == 99
    o, o2 = x + offset, np.roll(x, -1, 0) + offset
    steps = ip.Transitions(o, rng.integers(2, size=600), o2, ~last & last, last, np.arange(600) // 100)

    def reward(observations, actions, successors, terminated):
        return (successors if form == "transition" else observations)[:, 0] - offset[0]

    box = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    found = ip.distil(
        reward,
        ip.DistilConfig(form=form, gamma=0.9, hidden=hidden, steps=600),
        transitions=steps,
        spaces=(box, spaces.Discrete(2)),
    )
    batch = batch_of(steps, 600)
    error = found(*batch) - reward(*batch)
    assert np.abs(error).max() < (1e-6 if not hidden else 0.3)
    assert found.figures["explained_variance"]["data"]["estimate"] > (1 - 1e-9 if not hidden else 0.98)
    loaded = ip.load_reward(ip.save_reward(found, tmp_path / "r"))
    assert np.array_equal(loaded(*batch), found(*batch))
    assert loaded.reward_id == found.reward_id
    assert np.array_equal(copy.deepcopy(found)(*batch), found(*batch))


def test_dynamics_of_far_observations_are_those_of_near_ones():
    """s′ = s + 0.1 in one dimension: the learned mean change is right at any offset."""
    rng = np.random.default_rng(0)
    x, last = rng.uniform(-1, 1, (400, 1)), np.arange(400) % 100 == 99
    for offset in (0.0, 1e8):
        o = x + offset
        steps = ip.Transitions(o, rng.integers(2, size=400), o + 0.3 * x, ~last & last, last, np.arange(400) // 100)
        box = spaces.Box(-np.inf, np.inf, (1,), np.float64)
        model = fit_dynamics(steps, box, spaces.Discrete(2), config=DynamicsConfig(updates=300, hidden=(32,)))
        drawn, _ = model(lambda s, _, at=offset: s[:, 0] - at, o, steps.actions, o, steps.terminated)
        assert np.abs(drawn - 1.3 * x[:, 0]).mean() < 0.1, offset
