"""Steps, environments and policies as they are given: copies, limits, wrappers, true returns, the forms of a policy."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import irl_probe as ip
from irl_probe._policies import acting, checked_actions
from irl_probe.envs import simulator
from irl_probe.envs.copying import copy_env
from irl_probe.learn.replay import Interaction
from irl_probe.rewards import VectorRewardWrapper
from irl_probe.rewards.check import _random_steps


class Careless(gym.Env):
    """Counts steps in one buffer, which it returns every time, and multiplies the action that it gets by 10."""

    observation_space = spaces.Box(-100, 100, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, steps=4):
        self.buffer, self.steps = np.zeros(1, np.float32), steps

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.buffer[:] = 0
        return self.buffer, {}

    def step(self, action):
        action *= 10
        self.buffer += 1
        return self.buffer, float(action[0]), False, bool(self.buffer[0] == self.steps), {}


class Endless(Careless):
    def __init__(self):
        super().__init__(steps=-1)


def half(observations):
    return np.full((len(observations), 1), 0.5, np.float32)


def of_step(o, a, o2, d):
    return 100.0 * o[:, 0] + 10.0 * o2[:, 0] + a[:, 0]


def two(o, a, o2, d):
    return np.full(len(o), 2.0)


def left(observations):
    return np.zeros(len(observations), int)


def test_what_is_recorded_replayed_checked_and_paid_is_a_copy_made_before_the_step():
    steps = ip.record_demos(half, Careless(), 1).transitions
    assert steps.observations.ravel().tolist() == [0, 1, 2, 3]
    assert steps.next_observations.ravel().tolist() == [1, 2, 3, 4]
    assert steps.actions.ravel().tolist() == [0.5] * 4
    interaction = Interaction(Careless(), 0)
    taken = [interaction.step(np.float32([0.5])) for _ in range(2)]
    assert [(float(s.observation[0]), float(s.action[0]), float(s.successor[0])) for s in taken] == [
        (0, 0.5, 1),
        (1, 0.5, 2),
    ]
    observations, actions, successors, _ = _random_steps(Careless(), 4, 0)
    assert (observations.ravel().tolist(), successors.ravel().tolist()) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert np.abs(actions).max() <= 1
    env = ip.RewardWrapper(Careless(), of_step)
    env.reset()
    given = np.float32([0.5])
    assert [env.step(given)[1] for _ in range(2)] == [10.5, 120.5]
    assert given == 0.5
    vector = VectorRewardWrapper(gym.vector.SyncVectorEnv([Careless, Careless]), of_step)
    vector.reset()
    assert vector.step(np.full((2, 1), 0.5, np.float32))[1].tolist() == [10.5, 10.5]


def test_a_policy_that_writes_into_its_observations_changes_no_demonstration():
    def careless(observations):
        observations += 50
        return half(observations)

    assert ip.record_demos(careless, Careless(), 1).transitions.observations.ravel().tolist() == [0, 1, 2, 3]


def test_a_simulated_step_leaves_the_actions_and_the_environment():
    env = gym.make("Pendulum-v1")
    env.unwrapped.g = 3.0
    s, _ = env.reset(seed=0)
    action = np.float32([1.0])
    found = simulator(env).step(s[None], action[None])
    assert action == 1
    np.testing.assert_allclose(env.step(action)[0], found.next_observations[0], atol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: gym.wrappers.TransformAction(env, lambda a: -a, env.action_space),
        lambda env: gym.wrappers.TransformObservation(env, lambda o: -o, env.observation_space),
        gym.wrappers.NormalizeReward,
    ],
)
def test_a_simulator_and_a_true_reward_refuse_wrappers_that_may_change_a_step(wrap):
    for make in (simulator, ip.true_reward):
        with pytest.raises(ValueError, match="wrapper of Pendulum-v1 may change its observations, actions or rewards"):
            make(wrap(gym.make("Pendulum-v1")))
        make(ip.RewardWrapper(gym.wrappers.RecordEpisodeStatistics(gym.make("Pendulum-v1")), two))


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Hopper-v5", "GridWorld"])
def test_a_transformed_reward_is_the_true_reward_of_the_environment_that_was_given(env_id):
    env = ip.envs.make_env(env_id)
    env = gym.wrappers.ClipReward(gym.wrappers.TransformReward(env, lambda r: -10 * r), -1.5, 1.5)
    s, _ = env.reset(seed=0)
    env.action_space.seed(0)
    true, clipped = ip.true_reward(env), 0
    for _ in range(5):
        action = env.action_space.sample()
        after, paid, terminated, _, _ = env.step(action)
        found = true(np.array(s)[None], np.array(action)[None], np.array(after)[None], np.array([terminated]))
        np.testing.assert_allclose(found[0], paid, atol=1e-5)
        s, clipped = after, clipped + (abs(paid) == 1.5)
    assert env_id == "GridWorld" or clipped
    with pytest.raises(ValueError, match=r"TransformReward|ClipReward"):
        simulator(env)


def test_a_step_set_on_the_object_is_refused():
    env = gym.make("Pendulum-v1")
    env.unwrapped.step = lambda action: (np.zeros(3), 0.0, True, False, {})
    with pytest.raises(ValueError, match="'step' of its own"):
        simulator(env)


def attributes(env_id, **changed):
    env = gym.make(env_id, max_episode_steps=7)
    vars(env.unwrapped).update(changed)
    return env


def test_a_copy_keeps_limit_wrappers_and_attributes():
    env = gym.wrappers.TransformReward(attributes("CartPole-v1", force_mag=77.0), lambda r: 3 * r)
    env.reset(seed=0)
    twin = copy_env(env)
    assert (twin.unwrapped.force_mag, twin.unwrapped is env.unwrapped) == (77.0, False)
    assert ip.evaluate(left, twin, episodes=2).returns.max() <= 21
    env.unwrapped.force_mag = 1.0
    assert twin.unwrapped.force_mag == 77.0
    assert copy_env(ip.RewardWrapper(env, two)).unwrapped.force_mag == 1.0


def test_a_copy_of_an_environment_that_gymnasium_makes_anew_keeps_its_attributes():
    """EzPickle, of MuJoCo and Box2D environments, forgets them, in copies too."""
    pytest.importorskip("mujoco")
    env = gym.make("InvertedPendulum-v5")
    env.reset(seed=0)
    env.unwrapped.model.body_mass[:] *= 5
    env.unwrapped.frame_skip = 3
    twin = copy_env(env)
    assert twin.unwrapped.frame_skip == 3
    first, second = ([e.reset(seed=1), *(e.step(np.float32([1.0])) for _ in range(5))][-1][0] for e in (env, twin))
    np.testing.assert_array_equal(first, second)
    assert twin.unwrapped.data is not env.unwrapped.data
    pytest.importorskip("Box2D")
    lander = gym.make("LunarLander-v3")
    lander.reset(seed=0)
    lander.unwrapped.gravity = -3.0
    twin = copy_env(lander)
    assert twin.unwrapped.gravity == -3.0
    first, second = ([e.reset(seed=1), *(e.step(2) for _ in range(5))][-1][0] for e in (lander, twin))
    np.testing.assert_array_equal(first, second)


def test_evaluations_of_a_run_are_in_the_environment_that_was_given():
    env = attributes("CartPole-v1", theta_threshold_radians=10.0, x_threshold=1e6)
    config = ip.RLConfig(
        steps=40, learning_starts=30, evaluate_every=40, evaluate_episodes=2, hidden=(8,), batch_size=8
    )
    run = ip.learn.train_on_reward(env, config, progress=False)
    assert run.history["return_mean"].values[-1] == 7
    again = ip.retrain(two, ip.RetrainConfig(config), env=env, progress=False)
    assert again.history["return_mean"].values[-1] == 7, "the true return, not the paid one"


def test_evaluations_and_demonstrations_in_a_reward_wrapper_hold_the_true_reward():
    env = ip.RewardWrapper(Careless(), two)
    assert ip.evaluate(half, env, episodes=1).returns.tolist() == [20.0]
    assert ip.record_demos(half, env, 1).transitions.rewards.tolist() == [5.0] * 4


def test_offline_evaluations_in_an_environment_of_other_spaces_are_refused_before_learning():
    demos = ip.load_demos("CartPole-v1", episodes=1)
    wide = np.repeat(demos.transitions.observations, 2, axis=1)
    steps = ip.Transitions(
        wide,
        demos.transitions.actions,
        np.repeat(demos.transitions.next_observations, 2, axis=1),
        demos.transitions.terminated,
        demos.transitions.truncated,
        demos.transitions.episode,
        None,
    )
    from dataclasses import replace

    given = replace(demos, transitions=steps, observation_space=spaces.Box(-np.inf, np.inf, (8,), np.float32))
    with pytest.raises(ValueError, match="whose spaces are"):
        ip.train(given, ip.IQConfig(steps=10, evaluate_every=5), progress=False)


def test_an_environment_that_never_ends_is_cut_off_with_a_warning_or_at_max_steps():
    assert ip.evaluate(half, Endless(), episodes=1, max_steps=30).lengths.tolist() == [30]
    assert ip.record_demos(half, Endless(), 1, max_steps=30).transitions.truncated.sum() == 1
    for verb in (
        lambda: ip.evaluate(half, Endless(), episodes=1).lengths,
        lambda: ip.record_demos(half, Endless(), 1).whole.lengths,
    ):
        with pytest.warns(UserWarning, match=r"cut off after 10000 steps.*max_steps="):
            assert verb() == [10_000]
    limited = gym.wrappers.TimeLimit(Endless(), 10_001)
    assert ip.evaluate(half, limited, episodes=1).lengths.tolist() == [10_001]


def test_one_environment_handed_out_twice_is_noticed():
    one = Careless()
    for hand_out in (lambda: one, lambda: gym.wrappers.TimeLimit(one, 3)):
        with pytest.raises(ValueError, match="a new one at each call"):
            ip.evaluate(half, hand_out, episodes=2)
        with pytest.raises(ValueError, match="a new one at each call"):
            ip.retraining.retrain_study({"two": two}, env=hand_out)
        with pytest.raises(ValueError, match="a new one at each call"):
            VectorRewardWrapper(gym.vector.SyncVectorEnv([hand_out] * 2), two)


def test_the_step_that_only_resets_pays_nothing_and_is_marked():
    env = ip.RewardWrapper(gym.wrappers.Autoreset(Careless(2)), two, normalise="running")
    env.reset()
    seen = [env.step(np.float32([0.5])) for _ in range(4)]
    assert [paid != 0 for _, paid, *_ in seen] == [True, True, False, True]
    assert [info["reset_step"] for *_, info in seen] == [False, False, True, False]
    assert seen[2][4]["true_reward"] == 0
    assert env.payment.normalisation.count == 3


class Model:
    """As in Stable-Baselines3: predict gives (actions, state)."""

    def __init__(self, state=None):
        self.state = state

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full((len(observation), 1), 0.5 if deterministic else -0.5, np.float32), self.state


@pytest.mark.parametrize(
    ("policy", "sampled"),
    [
        (half, 0.5),
        (lambda o, deterministic: half(o) * (1 if deterministic else -1), -0.5),
        (lambda o, deterministic=True, *, rng=None: half(o) * (1 if deterministic else -1), -0.5),
        (lambda o, mode: half(o) * (1 if mode else -1), -0.5),
        (lambda o, **given: half(o) * (1 if given["deterministic"] else -1), -0.5),
        (Model(), -0.5),
    ],
)
def test_every_verb_takes_every_form_of_a_policy(policy, sampled):
    for deterministic, action in ((True, 0.5), (False, sampled)):
        found = ip.record_demos(policy, Careless(), 1, deterministic=deterministic).transitions
        assert found.actions.ravel().tolist() == [action] * 4
        assert (
            ip.evaluate(policy, Careless, episodes=2, deterministic=deterministic).returns.tolist() == [40 * action] * 2
        )


def test_a_policy_of_another_form_is_named():
    for wrong, message in ((3, "got 3"), (Model, "got the class Model")):
        with pytest.raises(TypeError, match=message):
            acting(wrong)
        with pytest.raises(ip.DemoError, match=message):
            ip.record_demos(wrong, Careless(), 1)
    with pytest.raises(TypeError, match=r"memory.*tuple"):
        ip.evaluate(Model(state=(1,)), Careless(), episodes=1)
    with pytest.raises(ValueError, match=r"shape \(2, 1\); got \(2,\)"):
        ip.evaluate(left, Careless, episodes=2)
    with pytest.raises(ValueError, match="whole numbers; the policy returned float64"):
        checked_actions(np.zeros(3), 3, spaces.Discrete(2))


def test_whole_observations_at_the_reset_do_not_cut_later_ones():
    class WholeAtReset(Careless):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            return np.array([0]), {}

        def step(self, action):
            _, _, *rest = super().step(action)
            return self.buffer * 0.4, float(action[0]), *rest

    def far(observations):
        return (observations > 0.5).astype(np.float32)

    assert ip.evaluate(far, WholeAtReset, episodes=2).returns.tolist() == [20.0, 20.0]


def test_a_sampled_demonstration_of_a_run_repeats_with_its_seed():
    run = ip.learn.train_on_reward(
        "CartPole-v1", ip.RLConfig(steps=20, learning_starts=10, hidden=(8,)), progress=False
    )
    first, again = (ip.record_demos(run.policy, "CartPole-v1", 2, deterministic=False).content_hash() for _ in range(2))
    assert first == again


def test_an_action_outside_a_finite_space_is_refused_before_the_environment_sees_it():
    with pytest.raises(ValueError, match=r"must lie in Discrete\(2\); got 7.*environment's units"):
        ip.evaluate(lambda o: np.full(len(o), 7), "CartPole-v1", episodes=1)
