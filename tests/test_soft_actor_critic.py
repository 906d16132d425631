"""Continuous actions: densities, scaling, gradients, known optima, resuming, and bad input."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.integrate import trapezoid

import irl_probe as ip
from irl_probe.demos import DemoError
from irl_probe.learn import Replay, SoftActorCritic, TrainingInterrupted
from irl_probe.learn.continuous import Cloner
from irl_probe.learn.objectives import temperature_loss
from irl_probe.softq import ActionScale, NetworkSpec, squashed_gaussian, squashed_log_density

SMALL = ip.IQConfig(
    steps=60, learning_starts=10, batch_size=16, hidden=(16, 16), warm_start=5, log_every=10, checkpoint_every=20
)
LOPSIDED = spaces.Box(np.array([-1.0, 2.0], np.float32), np.array([5.0, 2.5], np.float32))


@pytest.fixture(scope="module")
def demos():
    env = ip.envs.make_env("Pendulum-v1")
    return ip.record_demos(ip.learn.random_policy(env.action_space), env, 2, seed=0)


def learner_of(action_space, transitions=None, **settings):
    """A small learner in float64 on two observed numbers."""
    objective = settings.get("objective", "iq")
    config = replace(SMALL, precision="float64", activation="tanh", **settings).resolve(
        discrete=False, online=objective != "bc"
    )
    return engine(config, action_space, transitions, Cloner if objective == "bc" else SoftActorCritic)


def engine(config, action_space, transitions=None, kind=SoftActorCritic):
    observations = spaces.Box(-1, 1, (2,))
    spec = NetworkSpec.of(observations, action_space, hidden=config.hidden, activation="tanh", critics=config.critics)
    return kind(spec, config, transitions, action_space)


def batch_of(learner, seed, count=12):
    rng = np.random.default_rng(seed)
    low, high = learner.action_space.low, learner.action_space.high
    replay = Replay(learner.network.spec, learner.network.encoder, count)
    replay.extend(
        rng.normal(size=(count, 2)),
        rng.uniform(low, high, (count, len(low))),
        rng.normal(size=(count, 2)),
        rng.random(count) < 0.3,
        rng.normal(size=count),
    )
    return replay.sample(0, torch.Generator())


def weights(run):
    modules = run.soft_q.modules.values()
    return b"".join(t.numpy().tobytes() for module in modules for t in module.state_dict().values())


def test_the_squashed_gaussian_is_a_density_and_its_two_forms_agree():
    mean, log_std = (torch.tensor([[value]], dtype=torch.float64) for value in (0.4, -0.3))
    u = torch.linspace(-14, 14, 200_001, dtype=torch.float64)[:, None]
    noise = (u - mean) / log_std.exp()
    actions, log_density = squashed_gaussian(mean.expand_as(u), log_std.expand_as(u), noise)
    inner = slice(50_000, 150_001)
    assert trapezoid(log_density[inner].exp(), actions[inner, 0]) == pytest.approx(1, abs=1e-5)
    density = log_density.exp()
    entropy = -trapezoid((density * log_density)[inner], actions[inner, 0])
    draws = squashed_gaussian(mean.expand_as(u), log_std.expand_as(u), torch.randn(u.shape, dtype=u.dtype))[1]
    assert entropy == pytest.approx(-draws.mean().item(), abs=5e-3)
    some = slice(90_000, 110_001)
    given = squashed_log_density(mean.expand_as(u)[some], log_std.expand_as(u)[some], actions[some])
    torch.testing.assert_close(given, log_density[some], rtol=1e-9, atol=1e-9)


def test_actions_are_scaled_dimension_by_dimension_and_stay_inside_lopsided_bounds():
    learner = learner_of(LOPSIDED)
    scale = ActionScale(learner.network.spec)
    corners = np.array([[-1.0, 2.0], [5.0, 2.5], [2.0, 2.25]])
    np.testing.assert_allclose(scale.to_unit(corners), [[-1, -1], [1, 1], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(scale.to_env(scale.to_unit(corners)), corners, atol=1e-6)
    rng = np.random.default_rng(0)
    for mean, bound in ((30.0, LOPSIDED.high), (-30.0, LOPSIDED.low)):
        torch.nn.init.constant_(learner.parts.actor.layers[-1].bias[:2], mean)
        action = learner.act(np.zeros(2), rng)
        assert action in LOPSIDED
        np.testing.assert_array_equal(action, bound)


def test_act_keeps_the_shape_and_type_of_the_action_space():
    space = spaces.Box(-2.0, 3.0, (2, 2), np.float64)
    action = learner_of(space).act(np.zeros(2), np.random.default_rng(0))
    assert action.dtype == np.float64
    assert action in space


class Bandit(gym.Env):
    """One step with reward −(a − 0.5)²·4, a in [−1, 3]: its best action and its soft-optimal policy are known."""

    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Box(-1.0, 3.0, (1,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), -4 * float(action[0] - 0.5) ** 2, True, False, {}


BANDIT = ip.RLConfig(
    gamma=0.0,
    temperature=0.2,
    steps=1000,
    learning_starts=200,
    hidden=(32, 32),
    activation="tanh",
    learning_rate=1e-2,
    actor_learning_rate=1e-2,
    batch_size=64,
    log_every=10,
)


def test_a_bandit_is_solved_to_its_best_action_and_its_soft_optimal_spread():
    run = ip.learn.train_on_reward(Bandit(), BANDIT, progress=False)
    observations = np.zeros((4000, 1), np.float32)
    assert run.policy(observations[:1])[0, 0] == pytest.approx(0.5, abs=0.08)
    draws = run.policy(observations, deterministic=False, rng=np.random.default_rng(0))[:, 0]
    # exp(Q/α) = exp(−20(a − 0.5)²) is N(0.5, 1/40): a standard deviation of 0.158
    assert draws.std() == pytest.approx(40**-0.5, rel=0.2)
    actions = np.linspace(-0.5, 1.5, 9)[:, None]
    np.testing.assert_allclose(run.q(np.zeros((9, 1), np.float32), actions), -4 * (actions[:, 0] - 0.5) ** 2, atol=0.4)


GIVEN = ip.RLConfig(precision="float64", activation="tanh", hidden=(16, 16), batch_size=16).resolve(discrete=False)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"value_term": "initial", "critics": 2, "reduction": "mean"},
        {"value_term": "expert", "critics": 2},
        {"value_term": "expert_states", "target_rate": 0.0, "terminal": "absorbing"},
        {"divergence": "w1"},
        {"divergence": "hellinger", "observation_only": True, "value_term": "initial", "warm_start": None},
        {"objective": "rize", "terminal": "absorbing", "target_step": 0.0},
        {"objective": "lsiq", "critics": 2},
        {"objective": "sqil"},
        {"objective": "csil"},
        {"objective": "csil", "clone": "plain"},
        {"objective": "lsiq", "expert_target": "bootstrapped"},
        {"objective": "bc"},
        GIVEN,
    ],
    ids=lambda settings: str(settings) if isinstance(settings, dict) else "given rewards",
)
def test_gradients_agree_with_finite_differences(settings):
    given = settings is GIVEN
    learner = engine(GIVEN, LOPSIDED) if given else learner_of(LOPSIDED, **settings)
    batches = {"expert": batch_of(learner, 1), "policy": batch_of(learner, 2)}
    if given:
        del batches["expert"]
    starts = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def loss():
        return learner.loss(batches, starts, torch.Generator().manual_seed(4))

    network = learner.parts.actor if isinstance(learner, Cloner) else learner.network
    parameters = [*network.parameters(), *learner.objective.parameters]
    draw = torch.Generator().manual_seed(5)
    direction = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in parameters]
    slope = sum((g * d).sum() for g, d in zip(torch.autograd.grad(loss(), parameters), direction, strict=True))
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=sign * 1e-5)
        values.append(loss().item())
        with torch.no_grad():
            torch._foreach_add_(parameters, direction, alpha=-sign * 1e-5)
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope.item(), rel=1e-4, abs=1e-7)


def test_an_update_of_the_actor_leaves_the_critic_alone_and_raises_the_value():
    learner = learner_of(LOPSIDED, learning_rate=1e-30, actor_learning_rate=1e-3)
    batch, generator = batch_of(learner, 1), torch.Generator()
    before = [p.clone() for p in learner.network.parameters()]
    first = learner.soft_q.value(batch.states.numpy()).mean()
    for _ in range(20):
        learner.update({"expert": batch, "policy": batch}, batch.states[:0], generator)
    assert learner.soft_q.value(batch.states.numpy()).mean() > first
    for old, new in zip(before, learner.network.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-20)


@pytest.mark.parametrize("objective", ["iq", "bc"])
@pytest.mark.parametrize(("least", "rates"), [(0.25, (1, 9 / 10, 9 / 11)), (0.85, (1, 9 / 10, 0.85))])
def test_the_returned_policy_is_the_average_of_the_policies(objective, least, rates):
    learner = learner_of(LOPSIDED, objective=objective, policy_average=least)
    batch, generator = batch_of(learner, 1), torch.Generator()
    expected = [p.detach().clone() for p in learner.parts.actor.parameters()]
    for rate in rates:
        learner.update({"expert": batch, "policy": batch}, batch.states[:0], generator)
        latest = list(learner.parts.actor.parameters())
        expected = [(1 - rate) * old + rate * new.detach() for old, new in zip(expected, latest, strict=True)]
    averaged = list(learner.soft_q.actor.parameters())
    for wanted, got, new in zip(expected, averaged, latest, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
        assert not torch.equal(got, new)


@pytest.mark.parametrize(("log_density", "grows"), [(3.0, True), (-0.5, False)])
def test_the_temperature_grows_while_the_entropy_is_below_its_target(log_density, grows):
    log_temperature = torch.zeros((), requires_grad=True)
    loss = temperature_loss(log_temperature, torch.full((4,), log_density), entropy_target=-1.0)
    (slope,) = torch.autograd.grad(loss, log_temperature)
    assert (slope < 0) == grows


@pytest.mark.parametrize("critics", [1, 2])
def test_large_errors_of_a_given_reward_count_by_their_squares(critics):
    learner = engine(replace(GIVEN, gamma=0.0, critics=critics), LOPSIDED)
    batch = batch_of(learner, 1)
    batch = replace(batch, rewards=100 * batch.rewards)
    with torch.no_grad():
        q = learner.network.of_inputs(torch.cat([batch.states, batch.actions], dim=-1))
    loss = learner.loss({"policy": batch}, batch.states[:0], torch.Generator())
    assert loss.item() == pytest.approx(0.5 * (q - batch.rewards).square().mean().item())


def test_a_learned_temperature_keeps_the_entropy_at_its_target():
    config = replace(BANDIT, temperature=0.4, entropy_target=-0.7, steps=2000)
    run = ip.learn.train_on_reward(Bandit(), config, progress=False)
    assert float(run.history["entropy"][-20:].mean()) == pytest.approx(-0.7, abs=0.2)
    # N(0.5, σ²) has the entropy −0.7 in units of 2 at σ = 2·exp(−0.7)/√(2πe), and it is soft-optimal at α = 8σ²
    assert run.soft_q.temperature == pytest.approx(32 * np.exp(-1.4) / (2 * np.pi * np.e), rel=0.2)


SETTINGS = [
    {"objective": "rize"},
    {"objective": "csil", "critic_warm_start": 5, "reward_learning_rate": 1e-3},
    {"objective": "csil", "critic_warm_start": 5, "clone": "plain"},
    {"objective": "lsiq"},
    {"critics": 2, "entropy_target": -1.0, "terminal": "absorbing"},
    {"value_term": "initial"},
    {"divergence": "w1"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_interrupted_run_ends_in_the_same_bytes(settings, demos, tmp_path, monkeypatch):
    config = replace(SMALL, **settings)
    whole = ip.train(demos, config, env="Pendulum-v1", out=tmp_path / "whole", progress=False)
    update, calls = SoftActorCritic.update, []

    def stop(self, *args):
        calls.append(1)
        if len(calls) == 37:
            raise TrainingInterrupted
        return update(self, *args)

    monkeypatch.setattr(SoftActorCritic, "update", stop)
    with pytest.raises(TrainingInterrupted):
        ip.train(demos, config, env="Pendulum-v1", out=tmp_path / "cut", progress=False)
    monkeypatch.undo()
    resumed = ip.train(demos, config, env="Pendulum-v1", out=tmp_path / "cut", resume=True, progress=False)
    assert weights(resumed) == weights(whole)
    assert resumed.soft_q.temperature == whole.soft_q.temperature
    assert resumed.terminal_value == whole.terminal_value
    assert resumed.history.identical(whole.history)
    loaded = ip.load_run(tmp_path / "cut")
    assert weights(loaded) == weights(whole)
    assert loaded.soft_q.temperature == whole.soft_q.temperature


def test_observation_only_ignores_the_demonstrated_actions(demos):
    rng = np.random.default_rng(1)
    steps = demos.transitions
    other = replace(demos, transitions=replace(steps, actions=rng.uniform(-2, 2, steps.actions.shape)))

    def trained(given, observation_only):
        config = replace(SMALL, observation_only=observation_only, warm_start=0, divergence="w1")
        return weights(ip.train(given, config, env="Pendulum-v1", progress=False))

    assert trained(demos, True) == trained(other, True)
    with pytest.warns(UserWarning, match="does not reproduce the demonstrations"):
        assert trained(demos, False) != trained(other, False)


def test_observation_only_has_no_warm_start_and_refuses_one():
    config = ip.IQConfig(observation_only=True)
    assert config.resolve(discrete=False, online=True).warm_start == 0
    with pytest.raises(ValueError, match=r"warm_start clones the demonstrated actions.*got 7 updates"):
        replace(config, warm_start=7).resolve(discrete=False, online=True)


def test_cloning_reaches_the_density_of_the_actions_it_clones():
    env = ip.envs.make_env("Pendulum-v1")
    rng = np.random.default_rng(0)

    def expert(observations, deterministic=True):
        return np.clip(observations[:, 1:2] + 0.2 * rng.normal(size=(len(observations), 1)), -2, 2).astype(np.float32)

    demos = ip.record_demos(expert, env, 4, seed=0)
    config = ip.IQConfig(objective="bc", steps=1500, hidden=(32, 32), batch_size=128, actor_learning_rate=3e-3)
    run = ip.train(demos, config, progress=False)
    seen = demos.transitions.observations
    assert np.abs(run.policy(seen)[:, 0] - seen[:, 1]).mean() < 0.06
    # log density of N(·, 0.2) in units of half the range 2, at its own draws: −log(0.1·√(2πe)) = 0.884
    assert float(-run.history["loss"][-1]) == pytest.approx(0.884, abs=0.25)


def test_infinite_bounds_are_refused():
    with pytest.raises(ValueError, match="finite bounds"):
        NetworkSpec.of(spaces.Box(-1, 1, (2,)), spaces.Box(-np.inf, np.inf, (1,)))

    class Unbounded(Bandit):
        action_space = spaces.Box(-np.inf, np.inf, (1,))

    with pytest.raises(ValueError, match=r"finite bounds.*TransformAction"):
        ip.learn.train_on_reward(Unbounded(), progress=False)


def test_a_component_that_cannot_vary_is_refused_before_anything_diverges():
    still = spaces.Box(np.float32([-1, 0]), np.float32([1, 0]))
    with pytest.raises(ValueError, match=r"low < high in each component; got \(-1.0, 0.0\) and \(1.0, 0.0\)"):
        NetworkSpec.of(spaces.Box(-1, 1, (2,)), still)

    class Still(Bandit):
        action_space = still

    with pytest.raises(ValueError, match="component 1 cannot vary"):
        ip.learn.train_on_reward(Still(), progress=False)


def test_observations_without_an_axis_are_learned_from_and_saved(tmp_path):
    class Scalar(Bandit):
        observation_space = spaces.Box(-1, 1, ())

        def reset(self, *, seed=None, options=None):
            return np.float32(0), {}

        def step(self, action):
            return np.float32(0), *super().step(action)[1:]

    config = ip.RLConfig(steps=60, learning_starts=40, hidden=(8,), batch_size=8)
    reward = ip.recover(ip.learn.train_on_reward(Scalar(), config, progress=False))
    steps = np.zeros(3, np.float32), np.zeros((3, 1), np.float32), np.zeros(3, np.float32), np.zeros(3, bool)
    again = ip.load_reward(ip.save_reward(reward, tmp_path / "reward"))
    np.testing.assert_array_equal(again(*steps), reward(*steps))


def test_a_space_without_numbers_of_one_shape_is_refused():
    class Parts(Bandit):
        observation_space = spaces.Sequence(spaces.Box(-1, 1, (1,)))

    with pytest.raises(ValueError, match=r"observation space of Parts is not supported.*Dict or Tuple of these"):
        ip.learn.train_on_reward(Parts(), progress=False)


def test_demonstrations_outside_the_action_bounds_are_refused(demos):
    steps = demos.transitions
    far = replace(demos, transitions=replace(steps, actions=3 * np.ones_like(steps.actions)))
    with pytest.raises(DemoError, match=r"actions must lie in.*400 of 400.*outside by 1"):
        ip.train(far, SMALL, env="Pendulum-v1", progress=False)


def test_a_mismatch_of_dimensions_names_both(demos):
    with pytest.raises(DemoError, match=r"\(3,\).*\(2,\)"):
        ip.train(demos, SMALL, env="MountainCarContinuous-v0", progress=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critics": 0}, "critics must be at least 1; got 0"),
        ({"reduction": "max"}, "reduction must be one of min, mean; got 'max'"),
        ({"entropy_target": 2.0}, "entropy_target must be at most log 2"),
        ({"actor_learning_rate": 0.0}, "actor_learning_rate must be positive"),
    ],
)
def test_config_values_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ip.IQConfig.from_dict(settings)


@pytest.mark.parametrize("settings", [{}, {"critics": 2, "entropy_target": -1.0}, {"target_rate": 0.0}], ids=str)
def test_the_critics_backward_pass_gives_the_actor_the_same_gradient_as_a_second_pass(settings, monkeypatch):
    moved = []
    for saddle in (True, False):
        learner = learner_of(LOPSIDED, learning_rate=1e-30, actor_learning_rate=1e-2, **settings)
        batches = {"expert": batch_of(learner, 1), "policy": batch_of(learner, 2)}
        assert learner.objective.is_saddle(list(batches.values()))
        if not saddle:
            monkeypatch.setattr(learner.objective, "is_saddle", lambda batches: False)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            learner.update(batches, batches["expert"].states[:0], generator)
        moved.append(torch.cat([p.detach().flatten() for p in learner.parts.actor.parameters()]))
    torch.testing.assert_close(*moved, rtol=1e-9, atol=1e-12)
