"""Stable-Baselines3 models as soft Q-functions: the same numbers as the model's, and no need of that library later."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.rewards import RewardError

sb3 = pytest.importorskip("stable_baselines3")


class Lopsided(gym.Env):
    """Bounds that differ by dimension and are not centred; observations of one matrix."""

    observation_space = spaces.Box(-3, 3, (2, 3), np.float32)
    action_space = spaces.Box(np.array([-1, 2], np.float32), np.array([3, 10], np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        return self.observation_space.sample(), 0.0, False, False, {}


class Numbered(gym.Env):
    """Discrete observations and actions."""

    observation_space, action_space = spaces.Discrete(5), spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return int(action), 1.0, False, False, {}


def sac(env=None, **kwargs):
    kwargs = {"policy_kwargs": {"net_arch": [12, 9]}, "ent_coef": "auto_0.3", "gamma": 0.9, **kwargs}
    return sb3.SAC("MlpPolicy", env or Lopsided(), seed=0, device="cpu", buffer_size=200, **kwargs)


def dqn(env=None, **kwargs):
    kwargs = {"policy_kwargs": {"net_arch": [12, 9]}, "gamma": 0.8, **kwargs}
    return sb3.DQN("MlpPolicy", env or Numbered(), seed=0, device="cpu", buffer_size=200, **kwargs)


def steps(model, count=50, seed=0):
    rng = np.random.default_rng(seed)
    for space in (model.observation_space, model.action_space):
        space.seed(int(rng.integers(1000)))
    o, o2 = (np.array([model.observation_space.sample() for _ in range(count)]) for _ in range(2))
    return o, np.array([model.action_space.sample() for _ in range(count)]), o2, rng.random(count) < 0.2


def their_q(model, observations, actions):
    scaled = torch.as_tensor(model.policy.scale_action(actions))
    with torch.no_grad():
        return torch.cat(model.critic(torch.as_tensor(observations), scaled), dim=1).min(dim=1).values.numpy()


def their_value(model, observations, noise):
    """The mean of Q − α log π over the actions that `noise` (K, dim) gives, with their densities and critics."""
    observations = torch.as_tensor(observations)
    alpha = float(model.log_ent_coef.detach().exp()) if model.ent_coef_optimizer else float(model.ent_coef_tensor)
    values = []
    with torch.no_grad():
        mean, log_std, _ = model.actor.get_action_dist_params(observations)
        for draw in torch.as_tensor(noise):
            u = mean + log_std.exp() * draw
            model.actor.action_dist.proba_distribution(mean, log_std)
            log_density = model.actor.action_dist.log_prob(torch.tanh(u), u)
            q = torch.cat(model.critic(observations, torch.tanh(u)), dim=1).min(dim=1).values
            values.append(q - alpha * log_density)
    return torch.stack(values).mean(0).numpy()


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"ent_coef": 0.05},
        {"policy_kwargs": {"net_arch": {"pi": [7], "qf": [6, 5]}, "n_critics": 3, "activation_fn": torch.nn.Tanh}},
        {"policy_kwargs": {"net_arch": [8], "n_critics": 1, "activation_fn": torch.nn.ELU}},
    ],
    ids=["twin", "fixed α", "three critics", "one critic"],
)
def test_q_value_and_policy_of_a_sac_are_its_own(kwargs):
    model = sac(**kwargs)
    reward = ip.recover(model)
    o, a, o2, ended = steps(model)
    soft_q = reward.soft_q
    assert (soft_q.gamma, soft_q.temperature) == pytest.approx((0.9, kwargs.get("ent_coef", 0.3)), rel=1e-6)
    np.testing.assert_allclose(soft_q.q(o, a), their_q(model, o, a), atol=1e-5)
    o2 = o2 / 5  # where no action is so near its bound that SB3's 1e-6 in log(1 − a²) matters
    value = their_value(model, o2, soft_q.noise)
    np.testing.assert_allclose(soft_q.value(o2), value, atol=2e-4)
    np.testing.assert_allclose(soft_q.policy(o), model.predict(o, deterministic=True)[0], atol=1e-5)
    np.testing.assert_allclose(reward(o, a, o2, ended), their_q(model, o, a) - 0.9 * ~ended * value, atol=2e-4)


def test_draws_from_a_sac_are_distributed_as_its_own():
    model = sac()
    o = np.repeat(steps(model, 1)[0], 4000, axis=0)
    ours = ip.recover(model).soft_q.policy(o, deterministic=False, rng=np.random.default_rng(0))
    theirs = model.predict(o)[0]
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.25)  # standard error .02 and .06
    np.testing.assert_allclose(ours.std(0), theirs.std(0), rtol=0.05)


def test_the_log_std_is_clipped_as_in_the_model():
    model = sac()
    with torch.no_grad():
        model.actor.log_std.weight.mul_(200)  # far beyond −20 and 2
    o = steps(model)[0]
    with torch.no_grad():
        _, wanted, _ = model.actor.get_action_dist_params(torch.as_tensor(o))
        _, found = ip.recover(model).soft_q.actor(torch.as_tensor(o))
    assert (wanted == -20).any()
    assert (wanted == 2).any()
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("env", [Numbered(), gym.make("CartPole-v1")], ids=["discrete", "box"])
def test_q_value_and_policy_of_a_dqn_are_its_own(env):
    model = dqn(env)
    reward = ip.recover(model, temperature=0.01)
    o, a, o2, ended = steps(model)
    with torch.no_grad():
        q, after = (model.q_net(torch.as_tensor(x)).double().numpy() for x in (o, o2))
    np.testing.assert_allclose(reward.soft_q.q(o, a), q[np.arange(50), a], atol=1e-6)
    np.testing.assert_allclose(reward.soft_q.policy(o), model.predict(o, deterministic=True)[0])
    value = 0.01 * np.log(np.exp(after / 0.01).sum(1))
    np.testing.assert_allclose(reward(o, a, o2, ended), q[np.arange(50), a] - 0.8 * ~ended * value, atol=1e-5)


def test_a_small_temperature_gives_the_reward_of_the_greedy_bellman_equation():
    model = dqn()
    o, a, o2, _ = steps(model)
    not_ended = np.zeros(50, dtype=bool)
    with torch.no_grad():
        greedy = model.q_net(torch.as_tensor(o2)).max(dim=1).values.numpy()
    reward = ip.recover(model, temperature=1e-6)
    np.testing.assert_allclose(reward(o, a, o2, not_ended), reward.q(o, a) - 0.8 * greedy, atol=1e-5)


@pytest.mark.parametrize("make", [sac, dqn])
def test_a_saved_reward_needs_no_stable_baselines(make, tmp_path):
    model = make()
    model.learn(120)
    reward = ip.recover(model, temperature=0.1 if make is dqn else None)
    batch = steps(model)
    np.savez(tmp_path / "batch.npz", *batch, reward(*batch))
    ip.save_reward(reward, tmp_path / "reward")
    script = f"""
import sys
sys.modules["stable_baselines3"] = None  # as if it were not installed: importing it raises
import numpy as np, irl_probe as ip
*batch, wanted = np.load(r"{tmp_path / "batch.npz"}").values()
reward = ip.load_reward(r"{tmp_path / "reward"}")
assert np.array_equal(reward(*batch), wanted)
print(reward.provenance["algorithm"], reward.provenance["steps"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[0] == f"{type(model).__name__} (Stable-Baselines3) 120", done.stderr


def test_later_training_does_not_change_the_reward():
    model = sac()
    reward = ip.recover(model)
    batch = steps(model)
    before = reward(*batch)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(reward(*batch), before)


def test_observation_statistics_of_vec_normalize_are_taken_over():
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    env = VecNormalize(DummyVecEnv([Lopsided]))
    env.obs_rms.mean[:], env.obs_rms.var[:] = 0.7, 4.0
    model = sac(env)
    o, a, _, _ = steps(model)
    np.testing.assert_allclose(ip.recover(model).q(o, a), their_q(model, env.normalize_obs(o), a), atol=1e-5)


def test_images_are_scaled_as_in_the_model():
    env = Numbered()
    env.observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)
    model = dqn(env)
    o, a, _, _ = steps(model, 10)
    with torch.no_grad():
        wanted = model.q_net(torch.as_tensor(o)).numpy()[np.arange(10), a]
    np.testing.assert_allclose(ip.recover(model, temperature=1.0).q(o, a), wanted, atol=1e-5)


def test_the_number_of_action_samples_is_a_setting_that_is_saved(tmp_path):
    model = sac()
    batch = steps(model)
    few, many = (ip.recover(model, action_samples=k) for k in (4, 256))
    assert (few.soft_q.samples, many.soft_q.samples) == (4, 256)
    ratio = many.standard_error(*batch).mean() / few.standard_error(*batch).mean()
    assert 0.08 < ratio < 0.2  # √(4/256) = .125, where four samples give a standard deviation 8 % too small
    assert ip.load_reward(ip.save_reward(many, tmp_path / "many")).soft_q.samples == 256


class Parts(Numbered):
    observation_space = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(2)})


def broken():
    model = sac()
    with torch.no_grad():
        model.critic.qf1[0].weight[3, 1] = float("nan")
    return model


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda: sb3.PPO("MlpPolicy", "CartPole-v1", device="cpu"), {}, r"SAC and DQN.*got PPO.*imitate the agent"),
        (lambda: sb3.TD3("MlpPolicy", "Pendulum-v1", device="cpu"), {}, r"SAC and DQN.*got TD3"),
        (dqn, {}, r"DQN learns a Q-function for greedy actions, without a temperature; state the α"),
        (dqn, {"temperature": 0.0}, r"positive, finite temperature α; got 0"),
        (dqn, {"temperature": float("nan")}, r"positive, finite temperature α; got nan"),
        (lambda: sac(ent_coef=0.0), {}, r"positive, finite temperature α; got 0"),
        (sac, {"temperature": 0.2}, r"SAC has a temperature of its own.*0\.3.*Got 0\.2"),
        (dqn, {"temperature": 1.0, "action_samples": 8}, r"'action_samples' is for continuous actions.*got 8"),
        (sac, {"action_samples": 1}, r"at least 2 action samples; got 1"),
        (
            lambda: sb3.DQN("MultiInputPolicy", Parts(), device="cpu"),
            {"temperature": 1.0},
            r"must be an MlpPolicy.*MultiInputPolicy with a CombinedExtractor.*FlattenObservation",
        ),
        (lambda: sac(use_sde=True), {}, r"use_sde=True"),
        (lambda: sac(policy_kwargs={"net_arch": []}), {}, r"hidden layer; got net_arch=\[\]"),
        (
            lambda: sac(policy_kwargs={"net_arch": [4], "activation_fn": torch.nn.SiLU}),
            {},
            r"activation must be one of ReLU, Tanh, ELU; got SiLU",
        ),
        (broken, {}, r"weights must be finite; 'critic.qf1.0.weight' is not"),
        (sac, {"observation_space": spaces.Box(-3, 3, (5,))}, r"observations of Box.*\(2, 3\).*they must fit"),
        (dqn, {"temperature": 1.0, "action_space": spaces.Discrete(4)}, r"actions of Discrete\(3\).*Discrete\(4\)"),
    ],
)
def test_models_without_a_reward_are_refused_with_the_remedy(make, arguments, message):
    with pytest.raises(RewardError, match=message):
        ip.recover(make(), **arguments)


def test_a_cnn_policy_is_refused():
    env = Numbered()
    env.observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)
    model = sb3.DQN("CnnPolicy", env, device="cpu", buffer_size=10)
    with pytest.raises(RewardError, match=r"must be an MlpPolicy.*CnnPolicy with a NatureCNN"):
        ip.recover(model, temperature=1.0)


def test_a_temperature_is_only_for_a_dqn():
    soft_q = ip.recover(sac()).soft_q
    with pytest.raises(RewardError, match="a ContinuousSoftQ has its own"):
        ip.recover(soft_q, temperature=1.0)
