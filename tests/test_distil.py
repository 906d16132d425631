"""Distilled rewards on problems with known answers, their formulas and cards, and bad input."""

from __future__ import annotations

import re
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import irl_probe as ip
from irl_probe.envs import TabularEnv, TabularPolicy
from irl_probe.metrics import tabular
from irl_probe.rewards import ExactExpectation, RewardError, RewardNetwork, check_reward_model, reward_network
from irl_probe.rewards.fitting import lasso_weights
from irl_probe.softq import DiscreteQ, NetworkSpec
from tests.mdps import grid_transition, random_mdp

GAMMA = 0.9


def every_transition(transition, copies=2):
    """Each possible (s, a, s′), one step an episode, `copies` times: full coverage in both parts of the split."""
    s, a, s2 = np.nonzero(transition)
    s, a, s2 = (np.tile(index, copies) for index in (s, a, s2))
    none = np.zeros(len(s), dtype=bool)
    order = np.repeat(np.arange(copies), len(s) // copies)
    return ip.Transitions(s, a, s2, none, none, order)


def table_reward(values):
    """R (S, A, S) as a plain reward."""
    return lambda s, a, s2, d: values[s, a, s2].astype(float)


def spaces_of(transition):
    return spaces.Discrete(transition.shape[0]), spaces.Discrete(transition.shape[1])


def explained(distilled, coverage="data"):
    return distilled.figures["explained_variance"][coverage]["estimate"]


def fit(values, transition, **config):
    return ip.distil(
        table_reward(np.broadcast_to(values, transition.shape)),
        ip.DistilConfig(**{"gamma": GAMMA, "held_out": 0.5, **config}),
        transitions=every_transition(transition),
        spaces=spaces_of(transition),
    )


def everywhere(reward, transition):
    s, a, s2 = (index.ravel() for index in np.indices(transition.shape))
    return reward(s, a, s2, np.zeros(len(s), dtype=bool)).reshape(transition.shape)


@pytest.mark.parametrize(
    ("form", "shape"), [("state", (6, 1, 1)), ("state-action", (6, 3, 1)), ("transition", (6, 3, 6))]
)
def test_a_representable_reward_comes_back_exactly(form, shape):
    mdp = random_mdp(0)
    wanted = np.broadcast_to(np.random.default_rng(0).normal(size=shape), mdp.transition.shape)
    distilled = fit(wanted, mdp.transition, form=form)
    assert np.abs(everywhere(distilled, mdp.transition) - wanted).max() < 1e-12
    assert explained(distilled) == pytest.approx(1.0, abs=1e-12)


def test_the_disentangled_form_recovers_a_state_only_reward_from_its_soft_advantage():
    """f = α log π = R(s) + γV(s′) − V(s) in a deterministic grid: AIRL's theorem 5.1, g = R up to a constant."""
    transition, state_reward = grid_transition(), np.array([0, -1, -1, 0, 0, 0, -1, -1, 4.0])
    reward = np.broadcast_to(state_reward[:, None, None], transition.shape)
    q = tabular.soft_q(reward, transition, GAMMA, 0.5)
    advantage = q - tabular.soft_value(q, 0.5)[:, None]
    distilled = fit(advantage[:, :, None], transition, form="state", shaping=True)
    found = distilled.g.table.detach().numpy()
    assert explained(distilled) == pytest.approx(1.0, abs=1e-10)
    np.testing.assert_allclose(found - found.mean(), state_reward - state_reward.mean(), atol=1e-8)
    states = np.arange(9)
    value = tabular.soft_value(q, 0.5)
    np.testing.assert_allclose(distilled.potential(states), value - value.mean(), atol=1e-8)
    np.testing.assert_array_equal(everywhere(distilled.unshaped, transition)[:, 0, 0], found)
    without = fit(advantage[:, :, None], transition, form="state")
    assert explained(without) < 0.9


def test_a_marginal_reward_is_disentangled_in_expectation_where_the_dynamics_are_random():
    mdp = random_mdp(2, gamma=GAMMA)
    state_reward = np.random.default_rng(2).normal(size=6)
    potential = np.random.default_rng(3).normal(size=6)
    marginal = state_reward[:, None] + GAMMA * mdp.transition @ potential - potential[:, None]
    q = tabular.soft_q(np.repeat(marginal[:, :, None], 6, axis=2), mdp.transition, GAMMA, 0.5)
    soft_q = ip.softq.DiscreteSoftQ(DiscreteQ.from_table(q), gamma=GAMMA, temperature=0.5)
    reward = ip.recover(soft_q, expectation=ExactExpectation(mdp.transition))
    distilled = ip.distil(
        reward, ip.DistilConfig(form="state", shaping=True), transitions=every_transition(mdp.transition)
    )
    found = distilled.g.table.detach().numpy()
    np.testing.assert_allclose(found - found.mean(), state_reward - state_reward.mean(), atol=1e-8)
    assert explained(distilled) == pytest.approx(1.0, abs=1e-10)


def test_after_an_end_the_potential_is_zero_and_the_successor_is_not_read():
    transition = random_mdp(1).transition
    shaped = fit(np.random.default_rng(1).normal(size=(6, 3, 1)), transition, form="state-action", shaping=True)
    s, a, ended = np.array([1, 1]), np.array([2, 2]), np.array([True, True])
    first, second = shaped(s, a, np.array([0, 4]), ended)
    assert first == second == shaped.unshaped(s, a, s, ended)[0] - shaped.potential(s)[0]
    of_transitions = fit(np.random.default_rng(1).normal(size=(6, 3, 6)), transition, form="transition")
    first, second = of_transitions(s, a, np.array([0, 4]), ended)
    assert first == second


def test_the_terminal_convention_is_kept():
    mdp = random_mdp(4, gamma=GAMMA)
    q = np.random.default_rng(0).normal(size=(6, 3))
    reward = ip.recover(ip.softq.DiscreteSoftQ(DiscreteQ.from_table(q), gamma=GAMMA, temperature=0.5), terminal=-7.0)
    s, a, s2 = np.nonzero(mdp.transition)
    s, a, s2 = (np.tile(index, 2) for index in (s, a, s2))
    ended = np.arange(len(s)) % 2 == 0
    steps = ip.Transitions(s, a, s2, ended, np.zeros(len(s), bool), np.arange(len(s)))
    distilled = ip.distil(reward, ip.DistilConfig(form="transition", held_out=0.01), transitions=steps)
    assert (distilled.terminal, distilled.terminal_value, distilled.tail) == ("absorbing", -7.0, reward.tail)
    assert (distilled.gamma, distilled.temperature) == (GAMMA, 0.5)
    known = {(int(x), int(y)) for x, y, d in zip(s, a, ended, strict=True) if d}
    for x, y in list(known)[:3]:
        one = (np.array([x]), np.array([y]), np.array([0]), np.array([True]))
        assert distilled(*one)[0] == pytest.approx(q[x, y] + GAMMA * 7.0, abs=1e-9)


def test_entries_that_the_coverage_lacks_are_the_mean_reward():
    transition = grid_transition()
    steps = every_transition(transition)
    seen = steps.rows(steps.observations < 5)
    values = np.arange(9.0)[:, None, None]
    distilled = ip.distil(
        table_reward(np.broadcast_to(values, transition.shape)),
        ip.DistilConfig(form="state", gamma=GAMMA, held_out=0.5),
        transitions=seen,
        spaces=spaces_of(transition),
    )
    found = distilled.g.table.detach().numpy()
    np.testing.assert_allclose(found, [0, 1, 2, 3, 4, 2, 2, 2, 2], atol=1e-12)


@pytest.fixture(scope="module")
def cartpole():
    """A soft Q-network with random weights, and steps of a random policy."""
    torch.manual_seed(0)
    env = ip.envs.make_env("CartPole-v1")
    network = DiscreteQ(NetworkSpec.of(env.observation_space, env.action_space, hidden=(16,)))
    soft_q = ip.softq.DiscreteSoftQ(network, gamma=0.99, temperature=0.1)
    reward = ip.recover(soft_q, observation_space=env.observation_space, action_space=env.action_space)
    steps = ip.record_demos(ip.learn.random_policy(env.action_space), env, 60, seed=0).transitions
    env.close()
    return reward, steps


def test_networks_with_more_inputs_explain_more(cartpole):
    reward, steps = cartpole
    forms = ip.rewards.distil_forms(reward, ip.DistilConfig(steps=250, learning_rate=5e-3), transitions=steps)
    found = {name: explained(distilled) for name, distilled in forms.items()}
    assert found["state"] < found["state-action"] - 0.1
    assert found["state-action + shaping"] > 0.9
    assert found["transition"] > 0.9
    assert found["transition"] < 1


def test_a_linear_reward_of_continuous_observations_is_solved_exactly(cartpole):
    _, steps = cartpole
    weights = np.array([1.0, -2.0, 0.5, 3.0])
    spaces_ = (spaces.Box(-np.inf, np.inf, (4,), np.float32), spaces.Discrete(2))

    def linear(o, a, o2, d):
        return o.astype(float) @ weights + 2.0 * a + GAMMA * np.where(d, 0, o2 @ weights) - o @ weights

    distilled = ip.distil(
        linear, ip.DistilConfig(gamma=GAMMA, hidden=(), shaping=True), transitions=steps, spaces=spaces_
    )
    assert explained(distilled) == pytest.approx(1.0, abs=1e-6)


def test_a_ridge_gives_the_known_weights_and_leaves_the_constant_free(cartpole, tmp_path):
    _, steps = cartpole
    once = steps.episodes([0])
    twice = ip.Transitions.concatenate([once, once])  # one to fit, the other held out
    x = once.observations.astype(float)
    y = 5.0 + x @ [1.0, -2.0, 0.5, 3.0] + np.sin(np.arange(len(x)))
    spaces_ = (spaces.Box(-np.inf, np.inf, (4,), np.float32), spaces.Discrete(2))
    config = ip.DistilConfig(form="state", gamma=GAMMA, hidden=(), ridge=0.3)
    distilled = ip.distil(lambda o, a, o2, d: np.resize(y, len(o)), config, transitions=twice, spaces=spaces_)
    centred = x - x.mean(axis=0)
    weights = np.linalg.solve(centred.T @ centred / len(x) + 0.3 * np.eye(4), centred.T @ (y - y.mean()) / len(x))
    batch = (once.observations, once.actions, once.next_observations, once.terminated)
    np.testing.assert_allclose(distilled(*batch), y.mean() + centred @ weights, rtol=1e-9)
    card = (ip.save_reward(distilled, tmp_path / "linear") / "README.md").read_text()
    assert "| distilled; linear, float64 |" in card
    assert f"| g | `{distilled.formula()}` (weights" in card


@pytest.mark.parametrize("form", ["state", "state-action", "transition"])
@pytest.mark.parametrize("action_space", [spaces.Discrete(2), spaces.Box(0.0, 4.0, (2,), np.float32)])
def test_the_formula_of_a_linear_reward_is_the_reward(form, action_space):
    spaces_ = (spaces.Box(-np.inf, np.inf, (2,), np.float64), action_space)
    network = RewardNetwork(NetworkSpec.of(*spaces_, hidden=(), activation="relu"), form).double()
    with torch.no_grad():
        weights, constant = network.layers[-1].parameters()
        weights.copy_(torch.linspace(-2, 3, weights.numel()).round())
        constant.fill_(-0.5)
    network.encoder.fit(np.array([[1.0, 2.0], [3.0, -2.0]]))
    reward = ip.rewards.DistilledReward(network, None, GAMMA, None, *spaces_)
    action = np.array([1]) if action_space.shape == () else np.array([[3.0, 1.0]], np.float32)
    written = reward.formula().replace("·", "*").replace("−", "-").replace("s′", "after")
    for ended in (False, True):
        names = {"s": [0.5, -1.5], "after": [0.0, 0.0] if ended else [2.0, 4.0], "d": float(ended)}
        names["a"] = [0, 1] if action.ndim == 1 else action[0]
        paid = reward(np.array([names["s"]]), action, np.array([[2.0, 4.0]]), np.array([ended]))
        assert paid[0] == pytest.approx(eval(written, names))


def test_only_a_linear_reward_of_few_weights_has_a_formula():
    actions = spaces.Discrete(1)

    def of(states, hidden, weight):
        spaces_ = (spaces.Box(-np.inf, np.inf, (states,), np.float64), actions)
        network = RewardNetwork(NetworkSpec.of(*spaces_, hidden=hidden, activation="relu"), "state")
        for part in network.layers.parameters():
            torch.nn.init.constant_(part, weight)
        return ip.rewards.DistilledReward(network, None, GAMMA, None, *spaces_).formula()

    assert of(2, (), 0.25) == "0.25·s[0] + 0.25·s[1] + 0.25"
    assert of(2, (), 0.0) == "0"
    assert of(40, (), 0.0) == "0"
    assert of(40, (), 1.0) is None
    assert of(2, (8,), 1.0) is None


def test_a_weight_of_rounding_error_is_left_out_of_the_formula():
    spaces_ = (spaces.Box(-np.inf, np.inf, (2,), np.float64), spaces.Discrete(1))
    network = RewardNetwork(NetworkSpec.of(*spaces_, hidden=(), activation="relu"), "state").double()
    with torch.no_grad():
        network.layers[-1].weight.copy_(torch.tensor([[2.0, -7e-17]]))
        network.layers[-1].bias.zero_()
    assert ip.rewards.DistilledReward(network, None, GAMMA, None, *spaces_).formula() == "2·s[0]"


def test_a_ridge_shrinks_rare_table_entries_most_towards_the_mean():
    observations = np.tile([0, 0, 0, 1], 2)
    ends = np.tile([False, False, False, True], 2)
    steps = ip.Transitions(observations, np.zeros(8, int), observations, np.zeros(8, bool), ends, np.repeat([0, 1], 4))
    config = ip.DistilConfig(form="state", gamma=GAMMA, ridge=0.5)
    spaces_ = (spaces.Discrete(2), spaces.Discrete(1))
    distilled = ip.distil(lambda o, a, o2, d: 4.0 * o, config, transitions=steps, spaces=spaces_)
    values = distilled(np.array([0, 1]), np.zeros(2, int), np.zeros(2, int), np.zeros(2, bool))
    np.testing.assert_allclose(values, [1 - 0.75 / (0.75 + 0.5), 1 + 0.25 * 3 / (0.25 + 0.5)])


def test_a_ridge_penalises_a_tabular_potential_with_a_linear_reward():
    rng = np.random.default_rng(0)
    states, after = rng.integers(4, size=(2, 60))
    ends = np.arange(60) % 20 == 19
    steps = ip.Transitions(states, rng.uniform(-1, 1, (60, 1)), after, np.zeros(60, bool), ends, np.arange(60) // 20)
    potential = np.array([3.0, -3.0, 3.0, -3.0])
    config = ip.DistilConfig(gamma=GAMMA, hidden=(), shaping=True, ridge=100.0)
    spaces_ = (spaces.Discrete(4), spaces.Box(-1, 1, (1,), np.float32))
    shaping = ip.distil(
        lambda o, a, o2, d: GAMMA * potential[o2] - potential[o], config, transitions=steps, spaces=spaces_
    )
    assert np.ptp(shaping.potential(np.arange(4))) < 0.2


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_shaped_table_is_near_the_mean_reward_where_the_steps_do_not_determine_it(seed):
    rng = np.random.default_rng(seed)
    states, after, actions = rng.integers(4, size=200), rng.integers(4, size=200), rng.integers(2, size=200)
    terminated = rng.random(200) < 0.1
    ends = (np.arange(200) % 10 == 9) | terminated
    episodes = np.cumsum(np.append(0, ends[:-1]))
    steps = ip.Transitions(states, actions, after, terminated, ends & ~terminated, episodes)
    fitted = ip.distil(
        lambda o, a, o2, d: rng.normal(size=len(o)),
        ip.DistilConfig(form="transition", shaping=True, gamma=GAMMA),
        transitions=steps,
        spaces=(spaces.Discrete(4), spaces.Discrete(2)),
    )
    assert np.abs(fitted.g.table.detach().numpy()).max() < 100


@pytest.mark.parametrize("penalty", ["ridge", "lasso"])
def test_a_penalty_needs_a_linear_fit(cartpole, penalty):
    reward, steps = cartpole
    for hidden in ((8,), None):
        with pytest.raises(ValueError, match=rf"A {penalty} needs a linear fit.*(64|8)"):
            ip.distil(reward, ip.DistilConfig(hidden=hidden, **{penalty: 0.1}), transitions=steps)
    with pytest.raises(ValueError, match=rf"{penalty} must be .*-1"):
        ip.DistilConfig(hidden=(), **{penalty: -1.0})


def test_a_lasso_of_one_or_together_with_a_ridge_is_refused():
    with pytest.raises(ValueError, match=r"below 1.*got 1"):
        ip.DistilConfig(hidden=(), lasso=1.0)
    with pytest.raises(ValueError, match="not both"):
        ip.DistilConfig(hidden=(), lasso=0.1, ridge=0.1)


def test_a_lasso_thresholds_the_weights_of_uncorrelated_features():
    features = np.array([[x, 10 * y, 3.0] for x in (-1, 1) for y in (-1, 1)])  # the last does not vary
    values = 7.0 + features @ [2.0, 0.05, 0.0]  # covariances 2 and 0.5 with the standardised features
    weights, constant = lasso_weights(features, values, share=0.1)
    np.testing.assert_allclose(weights, [2.0 - 0.2, (0.5 - 0.2) / 10, 0.0], atol=1e-9)
    assert constant == pytest.approx(7.0)
    weights, _ = lasso_weights(features, values, share=0.3)
    assert weights[1] == 0


@given(seed=st.integers(0, 2**31), share=st.floats(0.01, 0.99))
@settings(max_examples=50, deadline=None)
def test_a_lasso_meets_the_conditions_of_its_minimum(seed, share):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) * 10.0 ** rng.integers(-15, 4, 6)
    values = 1e3 * rng.normal(size=40) + 50
    weights, constant = lasso_weights(features, values, share=share)
    standard = (features - features.mean(0)) / features.std(0)
    penalty = share * np.abs(standard.T @ (values - values.mean()) / 40).max()
    residual = values - features @ weights - constant
    pull = standard.T @ residual / 40 / penalty
    assert np.abs(pull).max() <= 1 + 1e-5
    np.testing.assert_allclose(pull[weights != 0], np.sign(weights[weights != 0]), atol=1e-5)
    assert residual.mean() == pytest.approx(0, abs=1e-6)


def test_a_lasso_finds_the_only_relevant_feature_in_any_units(cartpole):
    _, steps = cartpole
    rng = np.random.default_rng(0)
    noise = rng.normal(size=len(steps))

    def relevant(observations, *_):
        return observations[:, 2] + 0.01 * noise[: len(observations)]

    spaces_ = (spaces.Box(-np.inf, np.inf, (4,), np.float64), spaces.Discrete(2))
    config = ip.DistilConfig(form="state", gamma=GAMMA, hidden=(), lasso=0.5)
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    plain = ip.distil(relevant, config, transitions=steps, spaces=spaces_)
    weights = plain.g.layers[-1].weight.detach().numpy()[0]
    assert (weights != 0).tolist() == [False, False, True, False]
    assert plain.provenance["distilled_lasso"] == 0.5
    units = np.array([1e3, 1.0, 1e-2, 5.0])
    scaled = replace(steps, observations=steps.observations * units, next_observations=steps.next_observations * units)
    other = ip.distil(lambda o, *rest: relevant(o / units, *rest), config, transitions=scaled, spaces=spaces_)
    np.testing.assert_allclose(other(batch[0] * units, *batch[1:]), plain(*batch), atol=1e-6)


def test_a_lasso_that_cannot_choose_is_refused():
    rng = np.random.default_rng(0)
    powers = np.linspace(0.1, 1, 200)[:, None] ** np.arange(1, 12)
    values = powers.sum(axis=1) + 0.1 * rng.normal(size=200)
    assert (lasso_weights(powers, values, share=0.3)[0] != 0).sum() < 4
    with pytest.raises(RewardError, match="nearly repeat each other"):
        lasso_weights(powers, values, share=1e-6)
    states = every_transition(grid_transition())
    with pytest.raises(RewardError, match="discrete states have none"):
        ip.distil(
            lambda o, a, o2, d: 1.0 * o,
            ip.DistilConfig(gamma=GAMMA, lasso=0.1),
            transitions=states,
            spaces=(spaces.Discrete(25), spaces.Discrete(4)),
        )


def test_a_lasso_fits_a_reward_with_shaping(cartpole):
    _, steps = cartpole
    potential = np.array([0.0, 0.0, 3.0, 0.0])

    def shaped(o, a, o2, d):
        after = np.where(d, 0.0, GAMMA * (o2 @ potential))
        return 2.0 * o[:, 0] + after - o @ potential

    spaces_ = (spaces.Box(-np.inf, np.inf, (4,), np.float64), spaces.Discrete(2))
    config = ip.DistilConfig(form="state", gamma=GAMMA, hidden=(), shaping=True, lasso=1e-3)
    distilled = ip.distil(shaped, config, transitions=steps, spaces=spaces_)
    assert explained(distilled) > 0.99


def test_the_same_config_gives_the_same_networks_and_another_seed_different_ones(cartpole):
    reward, steps = cartpole
    made = [ip.distil(reward, ip.DistilConfig(steps=50, seed=seed), transitions=steps) for seed in (0, 0, 1)]
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    values = [distilled(*batch) for distilled in made]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_distilling_leaves_the_global_generator_alone(cartpole):
    reward, steps = cartpole
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    ip.distil(reward, ip.DistilConfig(steps=5), transitions=steps)
    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize("shaping", [False, True])
def test_a_distilled_reward_is_saved_loaded_checked_and_paid(cartpole, shaping, tmp_path):
    reward, steps = cartpole
    distilled = ip.distil(
        reward, ip.DistilConfig(form="transition", shaping=shaping, steps=50), transitions={"random": steps}
    )
    folder = ip.save_reward(distilled, tmp_path / "a")
    loaded = ip.load_reward(folder)
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    assert np.array_equal(loaded(*batch), distilled(*batch))
    assert loaded.provenance["distilled_on"] == "random"
    assert loaded.figures == distilled.figures
    card = (folder / "README.md").read_text()
    assert "# A distilled reward for" in card
    assert "| distilled; a network with hidden layers [64, 64], float32 |" in card
    assert ("g(s, a, s′) + γh(s′) − h(s)" in card) == shaping
    assert "### Explained_variance" in card
    assert re.search(r"\| random \| [0-9.e-]+ \[", card)
    env = ip.RewardWrapper(gym.make("CartPole-v1"), loaded)
    check_reward_model(loaded, env)
    first, _ = env.reset(seed=0)
    successor, paid, *_ = env.step(1)
    assert paid == loaded(first[None], np.array([1]), successor[None], np.array([False]))[0]


def test_every_coverage_is_judged_by_itself(cartpole):
    reward, steps = cartpole
    halves = {"early": steps.episodes(30), "late": steps.episodes(range(30, 60))}
    figures = ip.distil(reward, ip.DistilConfig(steps=100), transitions=halves).figures["explained_variance"]
    assert set(figures) == {"early", "late", "all"}
    for figure in figures.values():
        assert figure["low"] <= figure["estimate"] <= figure["high"]


def test_a_constant_reward_has_no_variance_to_explain():
    distilled = fit(np.full((6, 1, 1), 3.0), random_mdp(0).transition, form="state")
    figure = distilled.figures["explained_variance"]["data"]
    assert figure["estimate"] is None
    assert "constant on the held-out episodes" in figure["reason"]
    assert np.allclose(everywhere(distilled, random_mdp(0).transition), 3.0)


def test_the_grid_is_distilled_from_rollouts():
    mdp = ip.envs.gridworld([[0.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]], gamma=GAMMA)
    q = tabular.soft_q(mdp.reward, mdp.transition, GAMMA, 0.5)
    reward = ip.recover(ip.softq.DiscreteSoftQ(DiscreteQ.from_table(q), gamma=GAMMA, temperature=0.5))
    policy = TabularPolicy(np.full((9, 5), 0.2))
    steps = ip.record_demos(policy, TabularEnv(mdp), 20, seed=0, deterministic=False).transitions
    distilled = ip.distil(reward, ip.DistilConfig(form="state"), transitions=steps)
    np.testing.assert_allclose(distilled.g.table.detach().numpy(), mdp.reward[:, 0, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"form": "states"},
            "form must be one of state, state-action, transition; got 'states'. Did you mean 'state'?",
        ),
        ({"activation": "gelu"}, "activation must be one of relu, tanh, elu; got 'gelu'"),
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"held_out": 1.0}, "held_out must lie between 0 and 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
    ],
)
def test_config_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ip.DistilConfig(**values)


def test_missing_settings_and_steps_are_named():
    transition = random_mdp(0).transition
    steps, plain = every_transition(transition), table_reward(transition)
    for arguments, message in (
        ((plain,), "has no discount; give DistilConfig"),
        ((plain, ip.DistilConfig(gamma=0.9)), r"has no spaces; give spaces=\(env.observation_space"),
    ):
        with pytest.raises(RewardError, match=message):
            ip.distil(*arguments, transitions=steps)
    config, spaces_ = ip.DistilConfig(gamma=0.9), spaces_of(transition)
    with pytest.raises(RewardError, match="at least two episodes, one of them to judge the fit by; 'data' has 1"):
        ip.distil(plain, config, transitions=steps.episodes(1), spaces=spaces_)
    with pytest.raises(RewardError, match="at least one coverage; got an empty mapping"):
        ip.distil(plain, config, transitions={}, spaces=spaces_)
    with pytest.raises(RewardError, match="must be finite"):
        ip.distil(lambda s, a, s2, d: np.full(len(s), np.nan), config, transitions=steps, spaces=spaces_)


@pytest.mark.parametrize("name", ["all", 1, None])
def test_a_coverage_with_a_reserved_name_is_refused_before_the_reward_is_called(name):
    def never(*batch):
        raise AssertionError

    transition = random_mdp(0).transition
    steps, config = every_transition(transition), ip.DistilConfig(gamma=0.9)
    with pytest.raises(RewardError, match=f"name of a coverage must be a string other than 'all'.*got {name!r}"):
        ip.distil(never, config, transitions={name: steps, "rest": steps}, spaces=spaces_of(transition))


def box_and_discrete(name):
    spaces_by_name = {
        "box": (spaces.Box(-9, 9, (3,), np.float64), spaces.Box(np.array([-2, 0]), np.array([2, 5]), dtype=np.float64)),
        "image": (spaces.Box(0, 255, (2, 3), np.uint8), spaces.Discrete(3)),
        "discrete": (spaces.Discrete(5), spaces.Discrete(3)),
    }
    return spaces_by_name[name]


@pytest.mark.parametrize("name", ["box", "image", "discrete"])
@pytest.mark.parametrize("hidden", [(), (7, 5)])
@pytest.mark.parametrize("form", ["state", "state-action", "transition"])
def test_numpy_gives_what_torch_gives(name, hidden, form, monkeypatch):
    monkeypatch.setattr(reward_network, "piece_rows", lambda spec: 6)  # 20 rows in four pieces, the last one short
    observations, actions = box_and_discrete(name)
    spec = NetworkSpec.of(observations, actions, hidden=hidden)
    torch.manual_seed(0)
    g, h = RewardNetwork(spec, form).double(), RewardNetwork(spec, "state").double()
    rng = np.random.default_rng(0)
    observations.seed(0), actions.seed(0)
    o, a, o2 = (np.stack([space.sample() for _ in range(20)]) for space in (observations, actions, observations))
    d = rng.random(20) < 0.4
    for network in (g, h):
        network.encoder.fit(o)
        if network.tabular:
            network.table.data = torch.as_tensor(rng.standard_normal(network.table.shape))
    reward = ip.rewards.DistilledReward(g, h, 0.9, None, observations, actions)
    with torch.no_grad():
        rows = reward_network.as_tensors(spec, o, a, o2, d)
        rows = (rows[0], rows[1].double() if rows[1].is_floating_point() else rows[1], *rows[2:])
        now, after = h(*rows), h(rows[2], *rows[1:])
        wanted = g(*rows) + 0.9 * torch.where(rows[3], 0.0, after) - now
    assert np.allclose(reward(o, a, o2, d), wanted.numpy(), rtol=1e-6, atol=1e-6)
    assert np.allclose(reward.unshaped(o, a, o2, d), g(*rows).detach().numpy(), rtol=1e-6, atol=1e-6)
    assert reward(o[:0], a[:0], o2[:0], d[:0]).shape == (0,)


def test_the_successor_is_not_read_where_the_mdp_ended():
    observations, actions = box_and_discrete("box")
    g = RewardNetwork(NetworkSpec.of(observations, actions, hidden=(4,)), "transition")
    reward = ip.rewards.DistilledReward(g, None, 0.9, None, observations, actions)
    o, a, lost = np.ones((1, 3)), np.ones((1, 2)), np.full((1, 3), np.nan)
    ended = reward(o, a, lost, np.array([True]))
    assert ended == reward(o, a, o, np.array([True]))
    assert ended != reward(o, a, o, np.array([False]))
