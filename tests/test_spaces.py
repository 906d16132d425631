"""Spaces that people have: every kind is right, or refused with a wrapper that helps, in every verb."""

import math
import re

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces, wrappers

import irl_probe as ip
from irl_probe._plain import (
    every_action,
    flat_order,
    named,
    parts_of,
    plain_actions,
    plain_env,
    plain_observations,
    to_own_actions,
    to_plain_actions,
    to_plain_observations,
    uniform_actions,
)
from irl_probe.comparison import DistanceConfig
from irl_probe.envs import check_spaces
from irl_probe.learn import random_policy
from irl_probe.rewards import RewardError, VectorRewardWrapper

NAV = spaces.Dict(
    {
        "position": spaces.Box(-2, 2, (2,), np.float32),
        "goal": spaces.Box(-1, 1, (2,), np.float32),
        "mode": spaces.Discrete(2, start=1),
    }
)
MOVES = spaces.MultiDiscrete([3, 3], start=[1, -1])
FINITE = [
    spaces.Discrete(3),
    spaces.Discrete(3, start=5),
    spaces.Discrete(2, start=-1),
    spaces.MultiDiscrete([2, 3]),
    MOVES,
    spaces.MultiDiscrete([[2, 2], [3, 1]], start=[[1, 0], [0, -4]]),
    spaces.MultiBinary(3),
    spaces.MultiBinary((2, 2)),
]


class Nav(gym.Env):
    """A point goes to a goal; it takes no action that is not in its space."""

    observation_space, action_space = NAV, MOVES

    def __init__(self, action_space=MOVES, observation_space=NAV):
        self.action_space, self.observation_space = action_space, observation_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.position = np.clip(self.position + 0.1 * self.move(action), -2, 2)
        return self.seen(), -float(np.abs(self.position - self.goal).sum()), False, False, {}

    def move(self, action):
        if isinstance(self.action_space, spaces.Discrete):
            return np.array([int(action) - int(self.action_space.start) - 1, 0])
        if isinstance(self.action_space, spaces.MultiBinary):
            return np.asarray(action, float) - 0.5
        return np.asarray(action) - self.action_space.start - 1

    def seen(self):
        whole = {
            "position": self.position.astype(np.float32),
            "goal": self.goal.astype(np.float32),
            "mode": np.int64(1 + (self.position[0] > 0)),
        }
        space = self.observation_space
        if isinstance(space, spaces.Dict):
            return whole
        if isinstance(space, spaces.Tuple):
            return whole["position"], whole["goal"]
        if isinstance(space, spaces.Discrete):
            return np.int64(space.start + (self.position[0] > self.goal[0]))
        return np.array([self.position[0] > self.goal[0], self.position[1] > self.goal[1]]).astype(space.dtype)


gym.register("Nav-v0", entry_point=Nav, max_episode_steps=10)

OBSERVATIONS = [
    NAV,
    spaces.Tuple((NAV["position"], NAV["goal"])),
    spaces.Discrete(2, start=3),
    spaces.MultiDiscrete([2, 2]),
    spaces.MultiBinary(2),
]
ACTIONS = [spaces.Discrete(3, start=1), MOVES, spaces.MultiBinary(2)]


def made(action_space=MOVES, observation_space=NAV):
    return wrappers.TimeLimit(Nav(action_space, observation_space), 10)


def recorded(env, episodes=4, seed=0):
    return ip.record_demos(random_policy(env.action_space, seed), env, episodes, seed=seed)


def batch_of(space, samples):
    """N samples of a space as a batch: parts side by side."""
    if isinstance(space, spaces.Dict):
        return {name: batch_of(part, [s[name] for s in samples]) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(batch_of(part, [s[i] for s in samples]) for i, part in enumerate(space.spaces))
    return np.stack([np.asarray(s) for s in samples])


def equal(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return np.array_equal(one, other)


@pytest.mark.parametrize("space", FINITE, ids=str)
def test_every_action_has_one_index_and_comes_back(space):
    every = every_action(space)
    assert len(every) == len(np.unique(every.reshape(len(every), -1), axis=0)) == plain_actions(space).n
    assert all(space.contains(action) for action in every)
    index = to_plain_actions(space, every)
    assert index.tolist() == list(range(len(every)))
    np.testing.assert_array_equal(to_own_actions(space, index), every)


def test_the_last_component_of_an_action_changes_fastest():
    assert to_plain_actions(MOVES, np.array([[1, -1], [1, 0], [2, -1]])).tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    "space",
    [
        NAV,
        spaces.Tuple((spaces.MultiDiscrete([2, 3], start=[1, 0]), spaces.MultiBinary(3), spaces.Discrete(3, start=-1))),
        spaces.Dict({"b": spaces.Dict({"y": spaces.Box(0, 255, (2, 2), np.uint8)}), "a": spaces.MultiBinary((2, 2))}),
        spaces.MultiDiscrete([[2, 2], [3, 1]]),
    ],
    ids=["Dict", "Tuple", "nested", "MultiDiscrete"],
)
def test_observations_are_flat_as_gymnasium_flattens_them_and_come_back(space):
    space.seed(0)
    samples = [space.sample() for _ in range(20)]
    batch = batch_of(space, samples)
    flat = to_plain_observations(space, batch)
    wanted = np.stack([spaces.flatten(space, sample) for sample in samples])
    np.testing.assert_array_equal(flat, wanted)
    assert flat.dtype == wanted.dtype == plain_observations(space).dtype
    assert equal(parts_of(space, flat), batch)
    np.testing.assert_array_equal(to_plain_observations(space, flat), flat)


def test_a_policy_reads_the_parts_of_a_dict_by_name():
    flat = np.arange(12, dtype=float).reshape(2, 6)
    flat[:, 2:4] = [[1, 0], [0, 1]]
    seen = named(NAV, flat)
    assert flat_order(NAV) == "goal 0:2, mode 2:4, position 4:6"
    np.testing.assert_array_equal(seen["goal"], np.float32(flat[:, :2]))
    np.testing.assert_array_equal(seen[1:]["mode"], [2])
    np.testing.assert_array_equal(seen[:, 4:], flat[:, 4:])
    with pytest.raises(KeyError, match="whole rows"):
        seen[:, 1:]["goal"]


@pytest.mark.parametrize(
    "space",
    [*FINITE, spaces.Box(0, 3, (1,), np.int64), spaces.Box(250, 255, (2,), np.uint8), spaces.Box(-1, 0, (2,), np.int8)],
    ids=str,
)
def test_random_actions_are_all_of_a_finite_space_and_nothing_else(space):
    drawn = random_policy(space)(np.zeros((3000, 1)))
    assert drawn.shape == (3000, *space.shape)
    assert all(space.contains(action) for action in drawn)
    count = (
        plain_actions(space).n if not isinstance(space, spaces.Box) else math.prod((space.high - space.low + 1).ravel())
    )
    _, times = np.unique(drawn.reshape(3000, -1), axis=0, return_counts=True)
    assert len(times) == count
    assert times.min() > 0.5 * 3000 / count


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
        spaces.Box(1, np.inf, (2,), np.float64),
        spaces.Box(-np.inf, -1, (1,), np.float32),
        spaces.Box(np.float32([-1, -np.inf, 2]), np.float32([1, np.inf, np.inf])),
        spaces.Box(-1, 1, (2, 2), np.float32),
    ],
    ids=str,
)
def test_random_actions_of_an_unbounded_box_are_drawn_as_gymnasium_draws_them(space):
    drawn = uniform_actions(space, 4000, np.random.default_rng(0)).reshape(4000, -1)
    assert all(space.contains(action.reshape(space.shape)) for action in drawn)
    space.seed(0)
    theirs = np.stack([space.sample() for _ in range(4000)]).reshape(4000, -1)
    np.testing.assert_allclose(np.median(drawn, axis=0), np.median(theirs, axis=0), atol=0.06)
    np.testing.assert_allclose(drawn.std(axis=0), theirs.std(axis=0), rtol=0.1)


@pytest.mark.parametrize(
    ("observation_space", "action_space"),
    list(zip(OBSERVATIONS, [MOVES, *ACTIONS, MOVES], strict=True)),
    ids=lambda space: type(space).__name__,
)
def test_every_verb_takes_these_spaces(action_space, observation_space, tmp_path):
    """The environment refuses actions that are not in its space, so any verb that leaves it fails."""
    env = made(action_space, observation_space)
    check_spaces(env)
    demos = recorded(env)
    ip.save_demos(demos, tmp_path / "demos.npz")
    demos = ip.load_demos(tmp_path / "demos.npz")
    assert (demos.observation_space, demos.action_space) == (observation_space, action_space)
    offline = ip.train(demos, ip.IQConfig(steps=5, hidden=(8,)), progress=False)
    short = ip.IQConfig(steps=30, learning_starts=10, hidden=(8,), evaluate_every=15, evaluate_episodes=1)
    run = ip.train(demos, short, env=env, out=tmp_path / "run", progress=False)
    assert "return_mean" in run.history
    run = ip.load_run(tmp_path / "run")
    t = demos.transitions
    for one in (offline, run):
        assert all(action_space.contains(a) for a in one.policy(t.observations, False))
        assert one.q(t.observations, t.actions).shape == one.value(t.observations).shape == (len(t),)
        assert len(ip.evaluate(one.policy, env, episodes=1).returns) == 1
    reward = ip.recover(run)
    np.testing.assert_allclose(reward.q(t.observations, t.actions), run.q(t.observations, t.actions))
    ip.rewards.check_reward_model(reward, env)
    ip.save_reward(reward, tmp_path / "reward")
    loaded = ip.load_reward(tmp_path / "reward")
    batch = (t.observations, t.actions, t.next_observations, t.terminated)
    np.testing.assert_array_equal(loaded(*batch), reward(*batch))
    by_hand = run.q(t.observations, t.actions) - run.config.gamma * run.value(t.next_observations)
    np.testing.assert_allclose(reward(*batch), by_hand, atol=1e-5)
    in_torch = reward.torch()(*map(torch.as_tensor, batch))
    np.testing.assert_allclose(in_torch.numpy(), reward(*batch), atol=1e-5)
    paid = ip.RewardWrapper(made(action_space, observation_space), loaded)
    rerun = ip.record_demos(random_policy(action_space), paid, 4, seed=0).transitions
    np.testing.assert_allclose(
        loaded(rerun.observations, rerun.actions, rerun.next_observations, rerun.terminated), by_hand, atol=1e-5
    )
    again = ip.retrain(
        loaded, ip.RetrainConfig(ip.RLConfig(steps=20, learning_starts=10, hidden=(8,))), env=env, progress=False
    )
    assert all(action_space.contains(a) for a in again.policy(t.observations, False))


@pytest.mark.parametrize("action_space", ACTIONS, ids=lambda space: type(space).__name__)
def test_distances_do_not_depend_on_how_actions_are_counted(action_space):
    """EPIC, DARD and ERC of a reward are those of the same task with the actions as one Discrete from 0."""
    own = made(action_space, spaces.Tuple((NAV["position"], NAV["goal"])))
    t = recorded(own, episodes=6).transitions
    plain = ip.Transitions(
        t.observations,
        to_plain_actions(action_space, t.actions),
        t.next_observations,
        t.terminated,
        t.truncated,
        t.episode,
    )
    index = plain_actions(action_space)
    weights = np.random.default_rng(1).normal(size=(int(index.n), 2))

    def value(o, i, o2, d):
        return (np.asarray(o)[:, :1] * weights[i]).sum(axis=1) + np.asarray(o2)[:, 1]

    box = plain_observations(own.observation_space)
    found = []
    for steps, space, truth in (
        (t, action_space, lambda o, a, o2, d: value(o, to_plain_actions(action_space, a), o2, d)),
        (plain, index, value),
    ):
        demos = ip.Demonstrations(steps, None, "a test", box, space)
        run = ip.train(demos, ip.IQConfig(steps=5, hidden=(8,), seed=0), progress=False)
        reward = ip.recover(run)
        distilled = ip.distil(reward, ip.DistilConfig(form="state-action", steps=5, hidden=(8,)), transitions=steps)
        batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
        in_torch = distilled.torch()(*map(torch.as_tensor, batch))
        np.testing.assert_allclose(in_torch.numpy(), distilled(*batch), atol=1e-5)
        config = DistanceConfig(gamma=0.9, samples=40, states=16, resamples=5)
        tree = ip.compare(
            {"r": reward, "d": distilled}, transitions=steps, distances=config, truth=truth, reference=truth
        )
        found.append(tree["distance"]["value"].values)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert np.isfinite(found[0][..., 0]).any()


def test_a_figure_does_not_depend_on_what_else_is_compared():
    """d_A is the action space of the rewards, else of the truth, else the range of the data, and results say which."""
    rng = np.random.default_rng(0)
    t = ip.record_demos(
        lambda o, deterministic=True: np.clip(rng.normal(0, 0.05, (len(o), 1)), -0.1, 0.1), "Pendulum-v1", 1
    ).transitions
    distilled, recovered = ip.load_reward("Pendulum-v1/sqil-linear"), ip.load_reward("Pendulum-v1/sqil")
    true, asked = ip.true_reward("Pendulum-v1"), []

    def function(o, a, o2, d):
        asked.append(np.abs(a).max())
        return o[:, 2] * a[:, 0] ** 2

    config = DistanceConfig(gamma=0.99, samples=32, states=16, resamples=5)
    found = []
    for rewards in ({"f": function}, {"f": function, "d": distilled}, {"f": function, "d": distilled, "r": recovered}):
        tree = ip.compare(rewards, transitions=t, distances=config, truth=true)
        assert tree["distance"].attrs["actions"] == "uniform over the action space"
        found.append(tree["distance"]["value"].sel(metric="epic", bound="estimate").values.ravel())
    assert len({round(float(figures[0]), 12) for figures in found}) == 1
    np.testing.assert_allclose(found[1][1], found[2][1], rtol=1e-12)
    assert max(asked) > 1
    asked.clear()
    tree = ip.compare({"f": function}, transitions=t, distances=config, truth=lambda o, a, o2, d: o2[:, 2] + a[:, 0])
    assert "range of the actions in the data" in tree["distance"].attrs["actions"]
    assert max(asked) <= 0.1


def test_rewards_of_two_action_spaces_are_not_measured_with_one():
    t = recorded(made(spaces.Discrete(3, start=1), spaces.Tuple((NAV["position"], NAV["goal"])))).transitions
    box = plain_observations(spaces.Tuple((NAV["position"], NAV["goal"])))
    rewards = {
        f"from {start}": ip.recover(
            ip.train(
                ip.Demonstrations(
                    ip.Transitions(
                        t.observations, t.actions - 1 + start, t.next_observations, t.terminated, t.truncated, t.episode
                    ),
                    None,
                    "a test",
                    box,
                    spaces.Discrete(3, start=start),
                ),
                ip.IQConfig(steps=2, hidden=(4,)),
                progress=False,
            )
        )
        for start in (0, 1)
    }
    with pytest.raises(ValueError, match=r"counted|one action space|must lie in"):
        ip.compare(
            rewards,
            transitions=t,
            distances=DistanceConfig(gamma=0.9, samples=16, states=8),
            truth=lambda *b: b[0][:, 0],
            reference=lambda *b: b[0][:, 0],
        )


@pytest.fixture(scope="module")
def nav_reward():
    env = made()
    run = ip.train(recorded(env), ip.IQConfig(steps=5, hidden=(8,)), progress=False)
    return ip.recover(run)


def test_a_reward_and_its_run_take_dict_observations_and_flat_ones(nav_reward):
    t = recorded(made()).transitions
    parts, after = parts_of(NAV, t.observations), parts_of(NAV, t.next_observations)
    flat = nav_reward(t.observations, t.actions, t.next_observations, t.terminated)
    np.testing.assert_array_equal(nav_reward(parts, t.actions, after, t.terminated), flat)
    np.testing.assert_array_equal(nav_reward.policy(parts), nav_reward.policy(t.observations))
    with pytest.raises(RewardError, match=r"must have the parts \['goal', 'mode', 'position'\]"):
        nav_reward({"position": parts["position"]}, t.actions, after, t.terminated)
    with pytest.raises(RewardError, match="flat order is goal 0:2, mode 2:4, position 4:6"):
        nav_reward(t.observations[:, :4], t.actions, t.next_observations[:, :4], t.terminated)


def test_actions_that_are_not_in_the_space_are_refused_by_name(nav_reward):
    t = recorded(made()).transitions
    outside = t.actions.copy()
    outside[3] = [0, 0]
    with pytest.raises(RewardError, match=r"row 3 is \[0 0\] \(1 of 40"):
        nav_reward(t.observations, outside, t.next_observations, t.terminated)
    demos = ip.Demonstrations(
        ip.Transitions(t.observations, outside, t.next_observations, t.terminated, t.truncated, t.episode),
        None,
        "a file",
        NAV,
        MOVES,
    )
    with pytest.raises(ValueError, match=r"row 3 is \[0 0\]"):
        ip.train(demos, progress=False)


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode)[:2])
def test_vector_environments_pay_dict_observations_as_one_environment_does(mode, nav_reward):
    vector = gym.vector.SyncVectorEnv(2 * [made], autoreset_mode=mode)
    paid = VectorRewardWrapper(vector, nav_reward)
    paid.reset(seed=[3, 4])
    single = ip.RewardWrapper(made(), nav_reward)
    single.reset(seed=3)
    MOVES.seed(0)
    for _ in range(10):
        actions = np.stack([MOVES.sample(), MOVES.sample()])
        rewards = paid.step(actions)[1]
        assert rewards[0] == pytest.approx(single.step(actions[0])[1], abs=1e-5)


def test_sb3_trains_on_dict_observations_and_two_part_actions(nav_reward):
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.vec_env import DummyVecEnv

    paid = ip.rewards.SB3RewardVecEnv(DummyVecEnv([made, made]), nav_reward)
    paid.reset()
    _, rewards, _, _ = paid.step(np.array([[1, -1], [3, 1]]))
    assert np.isfinite(rewards).all()
    run = ip.retraining.retrain_sb3(nav_reward, "dqn", env=made(), steps=20, settings={"learning_starts": 10})
    assert all(MOVES.contains(a) for a in run.policy(recorded(made()).transitions.observations))
    assert sb3 is not None


def test_a_reward_does_not_pay_actions_that_are_counted_otherwise(nav_reward):
    """The same network fits Discrete(9), MultiDiscrete([3, 3]) and one that starts elsewhere; their actions differ."""
    for space in (spaces.Discrete(9), spaces.MultiDiscrete([3, 3]), spaces.MultiDiscrete([9], start=[1])):
        with pytest.raises(RewardError, match="count alike"):
            nav_reward.check_spaces(NAV, space)
    other = spaces.Dict({"target": NAV["goal"], **{k: NAV[k] for k in ("mode", "position")}})
    with pytest.raises(RewardError, match="have the same parts"):
        nav_reward.check_spaces(other, MOVES)
    nav_reward.check_spaces(plain_observations(NAV), MOVES)  # the flat form of the same


def test_discrete_states_that_do_not_count_from_zero_are_those_that_do():
    """The rewards of a run on Discrete(3, start=4) are those of the same steps on Discrete(3)."""
    rng = np.random.default_rng(0)
    o = rng.integers(3, size=40)
    last = np.arange(40) % 10 == 9
    found = []
    for start in (0, 4, -2):
        steps = ip.Transitions(o + start, o % 2, np.roll(o, -1) + start, last, last & False, np.arange(40) // 10)
        demos = ip.Demonstrations(steps, None, "a test", spaces.Discrete(3, start=start), spaces.Discrete(2))
        run = ip.train(demos, ip.IQConfig(steps=20, seed=0), progress=False)
        reward = ip.recover(run)
        distilled = ip.distil(reward, ip.DistilConfig(form="state-action"), transitions=steps)
        batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
        found.append((reward(*batch), distilled(*batch)))
        if start == 4:
            with pytest.raises(RewardError, match=r"row 0 is 3 "):
                reward(np.array([3]), np.array([0]), np.array([4]), np.array([False]))
    np.testing.assert_allclose(found[1], found[0], atol=1e-7)
    np.testing.assert_allclose(found[2], found[0], atol=1e-7)


REFUSED = [
    spaces.MultiDiscrete([30, 30], start=[1, 0]),
    spaces.MultiBinary(10),
    spaces.Dict({"move": spaces.Discrete(3, start=1), "turn": spaces.Discrete(2)}),
    spaces.Tuple((spaces.Discrete(3), spaces.Discrete(2))),
    spaces.Dict({"b": spaces.Box(-1, 1, (2,)), "a": spaces.Box(0, 2, (1,))}),
]


@pytest.mark.parametrize("space", REFUSED, ids=str)
def test_the_wrapper_that_a_message_names_makes_it_work(space):
    class Takes(Nav):
        def move(self, action):
            return np.zeros(2)

    env = wrappers.TimeLimit(Takes(space), 5)
    with pytest.raises(ValueError, match="TransformAction") as error:
        check_spaces(env)
    call = re.search(r"gymnasium\.wrappers\.TransformAction\(.*\)", str(error.value))[0]
    wrapped = eval(call, {"gymnasium": gym, "np": np, "env": env})
    check_spaces(wrapped)
    demos = recorded(wrapped)
    config = ip.IQConfig(steps=8, learning_starts=5, hidden=(8,), warm_start=0, critic_warm_start=0)
    ip.train(demos, config, env=wrapped, progress=False)


def test_observations_that_cannot_be_numbers_are_refused_with_a_wrapper():
    env = Nav(observation_space=spaces.Dict({"words": spaces.Text(5)}))
    with pytest.raises(ValueError, match=r"gymnasium.wrappers.TransformObservation"):
        check_spaces(env)


def test_a_learner_sees_indices_and_states_from_zero():
    inside = plain_env(made(spaces.Discrete(3, start=1), spaces.Discrete(2, start=3)))
    assert inside.observation_space == spaces.Discrete(2)
    assert inside.action_space == spaces.Discrete(3)
    assert inside.reset(seed=0)[0] in (0, 1)


def test_numbers_as_actions_are_cut_to_the_bounds_by_every_wrapper_and_evaluator():
    reward = ip.load_reward("Pendulum-v1/sqil")
    o, d = np.float32([[1, 0, 0]]), np.array([False])
    bound = reward(o, np.float32([[2]]), o, d)
    for action in (np.float32([[5]]), np.float32([5]), np.float64([2])):
        np.testing.assert_array_equal(reward(o, action, o, d), bound)
        np.testing.assert_array_equal(reward.q(o, action), reward.q(o, np.float32([[2]])))
    steps = ip.Transitions(o, np.float32([5]), o, d, ~d, np.zeros(1, int))
    np.testing.assert_allclose(ip.rewards.relabel(steps, reward).rewards, bound)
    seen = []

    def function(observations, actions, successors, terminated):
        seen.append(actions.shape)
        return np.zeros(len(actions))

    env = ip.RewardWrapper(gym.make("Pendulum-v1"), function)
    env.reset(seed=0)
    env.unwrapped.step = lambda a: (np.float32([1, 0, 0]), 0.0, False, False, {})
    env.step(np.float32(5))
    assert seen == [(1, 1)]


def test_masked_numbers_are_refused_by_rewards_and_by_those_who_read_their_values():
    reward = ip.load_reward("Pendulum-v1/sqil")
    o, a, d = np.zeros((2, 3)), np.zeros((2, 1)), np.zeros(2, bool)
    with pytest.raises(RewardError, match="masked"):
        reward(np.ma.array(o, mask=[[0, 0, 1], [0, 0, 0]]), a, o, d)
    with pytest.raises(RewardError, match="masked"):
        reward(o, np.ma.array(a, mask=[[1], [0]]), o, d)
    steps = ip.Transitions(o, a, o, d, np.array([False, True]), np.zeros(2, int), np.zeros(2))
    with pytest.raises(ValueError, match="masked"):
        ip.compare({"f": lambda *b: np.ma.array([1.0, 2.0], mask=[0, 1])}, transitions=steps)


def test_a_torch_module_cuts_box_actions_as_the_reward_does():
    reward = ip.load_reward("Pendulum-v1/sqil")
    o, d = np.float32([[1, 0, 0]] * 3), np.zeros(3, bool)
    a = np.float32([[2], [5], [-9]])
    in_torch = reward.torch()(*map(torch.as_tensor, (o, a, o, d)))
    np.testing.assert_allclose(in_torch.numpy(), reward(o, a, o, d), atol=1e-4)  # Q − γV, rounded at the size of Q
    np.testing.assert_allclose(in_torch.numpy()[0], in_torch.numpy()[1], atol=1e-4)


def test_a_simulator_given_to_train_gets_actions_and_observations_in_the_units_of_the_environment():
    of = spaces.Discrete(2, start=3), spaces.Discrete(3, start=1)
    demos = recorded(made(of[1], of[0]))

    class Coin:
        def __init__(self):
            self.asked = []

        def reseed(self, seed):
            self.rng = np.random.default_rng(seed)

        def step(self, observations, actions):
            self.asked.append((set(observations.tolist()), set(actions.tolist())))
            after = self.rng.integers(3, 5, size=len(observations))
            return ip.envs.SimulatedStep(after, np.zeros(len(after)), np.zeros(len(after), bool))

    coin = Coin()
    config = ip.IQConfig(steps=5, hidden=(8,), chi2_square="double")
    ip.train(demos, config, simulator=coin, progress=False)
    assert {frozenset(o) <= {3, 4} and frozenset(a) <= {1, 2, 3} for o, a in coin.asked} == {True}


def test_a_replayed_episode_of_a_dict_environment_is_checked():
    class Line(gym.Env):
        observation_space = spaces.Dict(x=spaces.Box(-99, 99, (1,), np.float32))
        action_space = spaces.Discrete(2, start=1)

        def __init__(self, size=1.0):
            self.size = size

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.x = 0.0
            return {"x": np.float32([self.x])}, {}

        def step(self, action):
            self.x += self.size * (1 if action == 2 else -1)
            return {"x": np.float32([self.x])}, 0.0, False, False, {}

    env = wrappers.TimeLimit(Line(), 10)
    demos = recorded(env)
    ip.demos.check_demos(demos, env)
    with pytest.raises(ip.DemoError, match="does not reproduce the demonstrations"):
        ip.demos.check_demos(demos, wrappers.TimeLimit(Line(2.0), 10))


def test_a_model_of_stable_baselines_gets_the_parts_of_a_dict():
    sb3 = pytest.importorskip("stable_baselines3")
    env = made(spaces.Discrete(3), spaces.Dict(position=NAV["position"], goal=NAV["goal"], at=spaces.Discrete(2)))
    env.unwrapped.seen = lambda: {**{k: v for k, v in Nav.seen(whole).items() if k != "mode"}, "at": np.int64(1)}
    whole = env.unwrapped
    model = sb3.PPO("MultiInputPolicy", env, n_steps=8, batch_size=8, device="cpu")
    steps = ip.record_demos(model, env, 1).transitions
    parts = parts_of(env.observation_space, steps.observations)
    wanted, _ = model.predict(parts, deterministic=True)
    np.testing.assert_array_equal(steps.actions, wanted)
    assert len(ip.evaluate(model, env, episodes=1).returns) == 1


class Masked(gym.Env):
    """Two of four actions are forbidden, which ones the state says; a forbidden one is an error."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)

    def __init__(self, start=1):
        self.action_space = spaces.Discrete(4, start=start)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return np.float32([0]), {"action_mask": self.mask()}

    def mask(self):
        return np.array([self.state, 1 - self.state, 1, 0], np.int8)

    def step(self, action):
        assert self.mask()[action - self.action_space.start], "a forbidden action"
        self.state = 1 - self.state
        return np.float32([self.state]), 1.0, False, False, {"action_mask": self.mask()}


def test_random_actions_of_recorded_episodes_honour_the_action_mask():
    env = wrappers.TimeLimit(Masked(), 20)
    allowed = lambda o, deterministic=True: np.array([3])  # noqa: E731
    actions = ip.record_demos(allowed, env, 5, epsilon=1.0).transitions.actions
    assert set(actions.tolist()) == {1, 2, 3}
    assert ip.evaluate(lambda o, deterministic=True, rng=None: np.full(len(o), 3), env, episodes=1).returns == [20]


def test_an_action_that_a_mask_forbids_is_taken_with_a_warning():
    """Learners cannot honour masks, so that online learning on Taxi takes forbidden actions, which do nothing there."""
    taxi = gym.make("Taxi-v4", max_episode_steps=10)
    forbidden = lambda o, deterministic=True, rng=None: np.full(len(o), 5)  # noqa: E731  # no passenger to drop off
    for verb in (ip.record_demos, ip.evaluate):
        with pytest.warns(UserWarning, match=r"Action masks are not honoured: .*WithoutActionMask") as warned:
            verb(forbidden, taxi, episodes=1)
        assert len(warned) == 1  # once, not once a step
    quiet = ip.envs.WithoutActionMask(taxi)
    demos = ip.record_demos(random_policy(quiet.action_space), quiet, 2)
    short = ip.IQConfig(steps=20, learning_starts=10, evaluate_every=20, evaluate_episodes=1)
    ip.train(demos, short, env=quiet, progress=False)
    with pytest.warns(UserWarning, match="Action masks are not honoured"):
        ip.train(demos, short, env=taxi, progress=False)


def test_masks_of_a_form_that_gymnasium_does_not_sample_by_are_left_alone():
    env = Masked(start=0)
    env.mask = lambda: [True] * 9
    env = wrappers.TimeLimit(env, 5)
    random = random_policy(env.action_space)
    assert len(ip.record_demos(random, env, 1, epsilon=1.0).transitions) == 5
