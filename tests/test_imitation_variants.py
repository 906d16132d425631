"""csil, lsiq and rize against closed forms on bandits and small problems."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe.learn import Batch, Replay, SoftActorCritic
from irl_probe.learn.labels import CloneRewards, coherent_reward, coherent_value, refinement_loss
from irl_probe.learn.losses import FixedExpert, loss_of
from irl_probe.learn.objectives import StepValues, iq_loss
from irl_probe.learn.stationary import PRIOR_STD, StationaryPolicy
from irl_probe.softq import GaussianPolicy, NetworkSpec, ObservationEncoder, squashed_log_density

SMALL = ip.IQConfig(steps=100, hidden=(32, 32), activation="tanh", batch_size=64, precision="float64", weight_decay=0.0)


def resolved(**settings):
    return replace(SMALL, **settings).resolve(discrete=False, online=True)


def spec_of(config, dimensions=1):
    boxes = spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (dimensions,))
    return NetworkSpec.of(*boxes, hidden=config.hidden, activation=config.activation)


def learner_of(config, dimensions=1):
    return SoftActorCritic(spec_of(config, dimensions), config, None, spaces.Box(-1, 1, (dimensions,)))


def replay_of(learner, observations, actions, successors, terminated=None):
    replay = Replay(learner.network.spec, learner.network.encoder, len(observations))
    ends = np.zeros(len(observations), bool) if terminated is None else terminated
    replay.extend(observations, actions, successors, ends, np.zeros(len(observations)))
    return replay


# csil -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nats", [1e9, 10.0])
@pytest.mark.parametrize("dimensions", [1, 2, 6, 17])
def test_the_soft_optimum_of_a_coherent_reward_is_the_clone(dimensions, nats):
    alpha, sd = 0.03, 0.05
    x = torch.linspace(-1, 1, 4001, dtype=torch.float64)  # one coordinate; the others at the mode
    normal = -math.log(sd * math.sqrt(2 * math.pi))
    log_density = -0.5 * (x / sd) ** 2 + dimensions * normal
    p = torch.softmax(coherent_reward(log_density, dimensions, alpha, nats=nats) / alpha, 0)
    assert (p @ x**2).sqrt().item() == pytest.approx(sd, rel=4e-3 if nats == 10 else 1e-9)


def test_the_clip_of_a_coherent_reward_counts_nats_a_dimension():
    at = torch.tensor([-3e6, 3e6], dtype=torch.float64)
    assert coherent_reward(at, 3, 0.2, nats=4.0).tolist() == pytest.approx([-0.2 * 3 * 4, 0.2 * 3 * 4])


def test_the_clone_is_soft_optimal_in_a_problem_with_ends_only_if_the_absorbing_state_has_its_value():
    """Two states, three actions (p₀ uniform), one of which ends: soft value iteration on the coherent reward."""
    alpha, gamma = 0.2, 0.9
    clone = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    reward = alpha * (np.log(clone) + math.log(3))
    successor = np.array([[0, 1, -1], [0, 1, -1]])  # −1: the end

    def optimum(end):
        value = np.zeros(2)
        for _ in range(2000):
            q = reward + gamma * np.append(value, end)[successor]
            value = alpha * np.log(np.exp(q / alpha).sum(1))
        return np.exp((q - value[:, None]) / alpha), value

    constant = alpha * math.log(3) / (1 - gamma)
    policy, value = optimum(constant)
    np.testing.assert_allclose(policy, clone, atol=1e-9)
    np.testing.assert_allclose(value, constant, atol=1e-9)
    assert np.abs(optimum(0.0)[0] - clone).max() > 0.05  # V = 0 after the end pays for staying alive
    assert coherent_value(1, alpha, gamma) == pytest.approx(constant * math.log(2) / math.log(3))  # p₀ on [−1, 1]
    rewards = loss_of(
        resolved(objective="csil", temperature=alpha, gamma=gamma), torch.float64, GaussianPolicy(spec_of(SMALL_CSIL))
    )
    assert rewards.terminal_value.item() == pytest.approx(coherent_value(1, alpha, gamma))
    zero = loss_of(resolved(objective="csil", terminal="zero"), torch.float64, GaussianPolicy(spec_of(SMALL_CSIL)))
    assert zero.terminal_value is None


SMALL_CSIL = resolved(
    objective="csil", temperature=0.2, gamma=0.9, warm_start=300, critic_warm_start=600, clone="plain"
)


def noisy_expert(learner, dimensions, count=512):
    rng = np.random.default_rng(0)
    observations = rng.uniform(-1, 1, (count, 2))
    actions = np.tanh(0.5 * observations[:, :1] + 0.3 * rng.normal(size=(count, dimensions)))
    return replay_of(learner, observations, actions, rng.uniform(-1, 1, (count, 2)))


def test_critics_fitted_before_learning_keep_the_clone_optimal():
    """Q = α(log π_BC − log p₀) + γV with V known, so V − V_known = 0, and the policy's gradient nearly vanishes."""
    dimensions, config = 2, replace(SMALL_CSIL, learning_rate=1e-2)
    learner = learner_of(config, dimensions)
    expert, generator = noisy_expert(learner, dimensions), torch.Generator().manual_seed(1)
    learner.warm_start(expert, config.warm_start, config.critic_warm_start)
    batch = expert.sample(0, generator)
    constant = coherent_value(dimensions, config.temperature, config.gamma)
    with torch.no_grad():
        drawn, log_density = learner.parts.sample(batch.states, generator)
        value = learner.parts.q(batch.states, drawn) - config.temperature * log_density
        mean, log_std = learner.parts.actor.of_encoded(batch.states)
    assert value.mean().item() == pytest.approx(constant, rel=0.01)
    assert value.std().item() < 0.5 * config.temperature * dimensions  # half a nat a dimension
    learner.config = learner.parts.config = replace(config, learning_rate=1e-30)
    for _ in range(100):  # with Q as it is the policy stays
        learner._optimizers["critic"].learning_rate = 0.0
        learner.update({"expert": expert.sample(64, generator)}, torch.zeros(0, 2), generator)
    with torch.no_grad():
        after, after_log_std = learner.parts.actor.of_encoded(batch.states)
    assert (after - mean).abs().mean() < 0.06
    assert (after_log_std - log_std).abs().mean() < 0.15


def test_the_stationary_clone_is_the_prior_off_the_data_and_a_plain_one_is_not(monkeypatch):
    monkeypatch.setattr("irl_probe.learn.stationary.LEARNING_RATE", 1e-2)
    learner = learner_of(replace(SMALL_CSIL, learning_rate=1e-2), 2)
    expert, generator = noisy_expert(learner, 2), torch.Generator().manual_seed(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stationary = StationaryPolicy(learner.network.spec).double()
        fresh = StationaryPolicy(learner.network.spec).double()
    states = expert.sample(0, generator).states
    mean, log_std = fresh.of_encoded(states)
    assert mean.abs().max() == 0
    torch.testing.assert_close(log_std.exp(), torch.full_like(log_std, PRIOR_STD), rtol=1e-6, atol=0)
    stationary.fit(expert, 250, 64, generator)
    learner.warm_start(expert, 250)
    on = stationary.of_encoded(states)
    assert (torch.tanh(on[0]) - torch.tanh(0.5 * states[:, :1])).abs().mean() < 0.06
    assert on[1].exp().mean().item() == pytest.approx(0.3, rel=0.2)
    far = states + 30 * torch.nn.functional.normalize(states, dim=1)
    uniform = 2 * torch.rand(len(far), 2, generator=generator, dtype=torch.float64) - 1

    def ratio(policy, at):  # nats a dimension over the uniform prior
        return (squashed_log_density(*policy.of_encoded(at), uniform) / 2 + math.log(2)).detach()

    assert ratio(stationary, states).mean() < -1  # on the data a uniform action is unlikely
    assert ratio(stationary, far).abs().mean() < 0.2
    assert ratio(learner.parts.actor, far).mean() < -1


def test_states_far_apart_share_no_stationary_feature_whatever_the_network_makes_of_them():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        policy = StationaryPolicy(spec_of(SMALL_CSIL))
    torch.nn.init.zeros_(policy.trunk[-1].weight)  # a network that cannot tell states apart
    at = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0]])
    features = policy.features(at).detach()
    kernel = features @ features.T
    assert kernel[0].tolist() == pytest.approx([1, math.exp(-0.25), 0], abs=0.15)  # exp(−‖z − z′‖²/2), z = s/√2


def test_refinement_is_likelihood_on_the_expert_and_has_its_minimum_at_the_prior_on_the_policy():
    x = torch.tensor([-6.0, -1.0, 0.0, 1.0], dtype=torch.float64)
    dimensions = 3
    densities = (dimensions * (x - math.log(2))).requires_grad_()
    zero = torch.full((1,), -dimensions * math.log(2), dtype=torch.float64)
    for i, wanted in enumerate([math.exp(5) - 6, math.e - 2, 0.0, math.exp(-1)]):
        assert refinement_loss(zero, densities[i : i + 1], dimensions).item() == pytest.approx(wanted, abs=1e-12)
    (slope,) = torch.autograd.grad(refinement_loss(zero, densities, dimensions), densities)
    assert slope.mul(4 * dimensions).tolist() == pytest.approx([0, 1 - math.e, 0, 1 - math.exp(-1)])
    (slope,) = torch.autograd.grad(refinement_loss(densities, zero, dimensions), densities)
    assert slope.tolist() == pytest.approx([-1 / (4 * dimensions)] * 4)


def test_a_refined_reward_falls_to_zero_where_only_the_policy_goes_and_stays_where_the_expert_is(monkeypatch):
    monkeypatch.setattr("irl_probe.learn.stationary.LEARNING_RATE", 1e-2)
    config = resolved(objective="csil", clone="stationary", reward_learning_rate=1e-2)
    learner = learner_of(config)
    expert = noisy_expert(learner, 1)
    rewards = CloneRewards(learner.parts.actor, config)
    generator = torch.Generator().manual_seed(0)
    rewards.take_clone(learner.parts.actor, expert, 250, generator)
    batch = expert.sample(0, generator)
    with torch.no_grad():
        near = batch.states + 0.7 * torch.tensor([1.0, 1.0], dtype=torch.float64)  # off the data, within reach
        actions = torch.tanh(rewards._clone.of_encoded(near)[0])  # what the clone extrapolates to
    policy = replace(batch, states=near, actions=actions)
    before = [rewards([each]).mean().item() / config.temperature for each in (batch, policy)]
    for _ in range(100):
        rewards.observe([batch, policy])
    after = [rewards([each]).mean().item() / config.temperature for each in (batch, policy)]
    assert before[1] > 0.3
    assert abs(after[1]) < 0.3 * before[1]
    assert after[0] > before[0] - 0.1


def test_csil_refuses_what_has_no_meaning_for_it():
    with pytest.raises(ValueError, match=r"no α has the policy keep an entropy; got entropy_target -1\.0"):
        resolved(objective="csil", entropy_target=-1.0)
    for settings in ({"observation_only": True}, {"warm_start": 0}):
        with pytest.raises(ValueError, match="it needs a warm start, and none with observation_only"):
            resolved(objective="csil", **settings)
    for settings in ({"critic_warm_start": 10}, {"reward_learning_rate": 1e-3}):
        with pytest.raises(ValueError, match="are options of the objective 'csil'; got the objective 'sqil'"):
            resolved(objective="sqil", **settings)


# lsiq -----------------------------------------------------------------------------------------------------------------


def test_the_rewards_of_lsiq_follow_c():
    assert resolved(objective="lsiq").reward_targets == (2.0, -2.0)
    assert resolved(objective="lsiq", chi2_c=0.25).reward_targets == (4.0, -4.0)
    assert resolved(objective="lsiq", chi2_c=0.25, reward_targets=(1.0, 0.0)).reward_targets == (1.0, 0.0)


def two_states(learner, count=64):
    """In state 0 the expert takes a > 0 and stays, or ends; the policy takes a < 0 and comes to state 1, or ends."""
    rng = np.random.default_rng(0)
    home, away = np.tile([1.0, 0.0], (count, 1)), np.tile([0.0, 1.0], (count, 1))
    action = rng.uniform(0.5, 0.9, (count, 1))
    ends = np.arange(count) % 4 == 0
    return replay_of(learner, home, action, home, ends), replay_of(learner, home, -action, away, ends)


@pytest.mark.parametrize("expert_target", ["fixed", "bootstrapped"])
def test_the_fixed_points_of_lsiq(expert_target):
    """Fixed: Q_E = (1/c)/(1 − γ), also where the expert's step ends. Both: Q_π = −1/c + γV̄(s′) within the bounds."""
    gamma, learning = 0.5, 1e-2
    config = resolved(
        objective="lsiq", gamma=gamma, learning_rate=learning, actor_learning_rate=1e-9, target_rate=0.05,
        expert_target=expert_target, temperature=1e-6, batch_size=0, warm_start=0,
    )  # fmt: skip
    learner = learner_of(config)
    expert, policy = two_states(learner)
    batches = {"expert": expert.sample(0, torch.Generator()), "policy": policy.sample(0, torch.Generator())}
    generator = torch.Generator().manual_seed(0)
    for step in range(500):
        learner.anneal(1 - step / 500)
        learner.update(batches, torch.zeros(0, 2), generator)
    end = learner.terminal_value.item()
    assert end == pytest.approx(0.0, abs=1e-6)  # as many ends of each kind: (2 − 2)/2
    bound = 2 / (1 - gamma)
    with torch.no_grad():
        q = {name: learner.parts.q(b.states, b.actions) for name, b in batches.items()}
        following = {
            name: learner.parts.target_value(b.successors, learner.parts.sample(b.successors, generator))
            for name, b in batches.items()
        }
    lasting = batches["policy"].terminated == 0
    assert all(v.abs().max() <= bound for v in following.values())
    wanted = -2 + gamma * torch.where(lasting, following["policy"].mean(), torch.tensor(end))
    # the ends are drawn at random from the same actions, so Q is the mean of both kinds of step
    assert q["policy"].mean().item() == pytest.approx(wanted.mean().item(), abs=0.2)
    if expert_target == "fixed":
        assert q["expert"].sub(bound).abs().max() < 0.4
    else:
        back = 2 + gamma * torch.where(lasting, following["expert"].mean(), torch.tensor(end))
        assert q["expert"].mean().item() == pytest.approx(back.mean().item(), abs=0.2)
        assert q["expert"].max() < bound - 0.5


def test_the_fixed_target_weighs_every_step_alike_and_needs_no_policy_steps():
    class Squares:
        """A critic whose Q is 1 and V̄ is 3 everywhere."""

        def bellman_error(self, batches, rewards, terminal_value, generator):
            ends = torch.cat([batch.terminated for batch in batches])
            target = rewards + 0.9 * ((1 - ends) * 3 + ends * (0 if terminal_value is None else terminal_value))
            return 0.5 * (1 - target).square().mean()

    loss = loss_of(resolved(objective="lsiq", gamma=0.9, warm_start=0), torch.float64)
    assert isinstance(loss, FixedExpert)
    ends = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    states = torch.zeros(3, 2, dtype=torch.float64)
    expert = Batch(states, states[:, :1], states, ends, ends)
    policy = Batch(states[:1], states[:1, :1], states[:1], ends[:1], ends[:1])
    fixed, bootstrapped = 0.5 * (1 - 20) ** 2, 0.5 * (1 - (-2 + 0.9 * 3)) ** 2
    assert loss(Squares(), [expert], states[:0], torch.Generator()).item() == pytest.approx(fixed)
    both = loss(Squares(), [expert, policy], states[:0], torch.Generator()).item()
    assert both == pytest.approx(0.75 * fixed + 0.25 * bootstrapped)


# rize -----------------------------------------------------------------------------------------------------------------


def test_rize_on_a_bandit_ends_at_the_optimum_of_its_quadratic_with_targets_at_the_mean_rewards():
    """One state, γ = 0, replay as the expert: −p + π + p(Q − λ̄)/2c = 0, so Q = λ̄ + 2c(1 − π/p); λ_E = λ_π = E[Q]."""
    alpha, c = 1.0, 0.5
    config = replace(
        resolved(objective="rize", terminal="zero", target_step=0.2), gamma=0.0, temperature=alpha, chi2_c=c
    )
    loss = loss_of(config, torch.float64)
    p = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    q = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    zeros = torch.zeros(3, dtype=torch.float64)
    for _ in range(120):
        value = (alpha * torch.logsumexp(q / alpha, 0)).expand(3)
        steps = [StepValues(q, value, zeros, zeros, p) for _ in range(2)]
        (slope,) = torch.autograd.grad(iq_loss(steps[0], steps[1], value[:0], None, loss.settings), q)
        with torch.no_grad():
            q -= 0.5 * slope / p
        mean = (p @ q.detach()).expand(1)
        loss.move_targets([mean, mean])
    pi = torch.softmax(q.detach() / alpha, 0)
    level = loss.targets[0]
    assert loss.targets[1] == pytest.approx(level, abs=1e-6)
    torch.testing.assert_close(q.detach(), level + 2 * c * (1 - pi / p), atol=1e-6, rtol=0)
    assert (p @ q.detach()).item() == pytest.approx(level, abs=1e-6)


def test_the_targets_of_rize_end_at_the_mean_rewards():
    loss = loss_of(resolved(objective="rize", target_step=0.1), torch.float64)
    for _ in range(300):
        loss.move_targets([torch.tensor([1.0, 3.0]), torch.tensor([-4.0, 0.0])])
    assert loss.targets == pytest.approx((2.0, -2.0), abs=1e-9)


def test_clones_in_both_forms_read_encoded_states():
    encoder = ObservationEncoder(spec_of(SMALL_CSIL))
    encoder.fit(np.random.default_rng(0).normal(3, 2, (50, 2)))
    states = encoder(torch.zeros(4, 2))
    for policy in (StationaryPolicy(spec_of(SMALL_CSIL)), GaussianPolicy(spec_of(SMALL_CSIL))):
        mean, log_std = policy.of_encoded(states)
        assert mean.shape == log_std.shape == (4, 1)
        assert log_std.min() >= -4
        assert log_std.max() <= 2
