"""Discrete soft Q-learning solves the soft Bellman equation, also where rewards, successors and ends are random."""

import copy

import numpy as np
import pytest
import torch
from mdps import grid_rewards, grid_transition

import irl_probe as ip
from irl_probe.envs import TabularEnv, TabularMDP, true_reward
from irl_probe.learn import Replay, SoftQLearner
from irl_probe.metrics import tabular
from irl_probe.softq import NetworkSpec

TABLE = {"hidden": (), "layer_norm": False, "batch_size": 0, "target_rate": 0.0, "precision": "float64"}


def every_step(counts, rewards):
    """Steps (s, a, s′) as often as `counts` says; the successor after the last state is the end of an episode."""
    states, actions, successors = np.indices(counts.shape).reshape(3, -1).repeat(counts.ravel(), axis=1)
    ended = successors == counts.shape[0]
    return states, actions, np.where(ended, 0, successors), ended, rewards.ravel().repeat(counts.ravel())


def table_of(config, *groups, updates=800):
    """Q after full-batch updates on the steps of each group, with a step size that falls to 0."""
    states, actions = groups[0][0].shape[:2]
    learner = SoftQLearner(NetworkSpec((), states, actions, None, None, hidden=()), config)
    batches = {}
    for name, (counts, rewards) in zip(("expert", "policy"), groups, strict=False):
        replay = Replay(learner.network.spec, learner.network.encoder, int(counts.sum()))
        replay.extend(*every_step(counts, rewards))
        batches[name] = replay.sample(0, None)
    for i in range(updates):
        learner.anneal(1 - i / updates)
        learner.update(batches, torch.empty(0, states), torch.Generator())
    return learner.network.layers[0].weight.detach().numpy().T


def given(gamma, temperature):
    settings = {**TABLE, "gamma": gamma, "temperature": temperature, "learning_rate": 0.05}
    return ip.RLConfig.from_dict(settings).resolve(discrete=True)


def gamble(size, probability, safe):
    """Two states alike but for their names: action 0 pays `safe`, action 1 `size` with `probability`."""
    transition, reward = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
    transition[:, 0], transition[:, 1] = (1, 0), (1 - probability, probability)
    reward[:, 0], reward[:, 1, 1] = safe, size
    return TabularMDP(transition, reward, 0.5, np.array([1.0, 0.0]))


@pytest.mark.parametrize("probability", [0.1, 0.01])
@pytest.mark.parametrize("size", [1.0, 100.0, 1000.0])
def test_a_gamble_is_worth_its_mean(size, probability):
    safe = 0.5 * size * probability
    mdp = gamble(size, probability, safe)
    want = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, 0.1)
    counts = np.rint(100 * mdp.transition).astype(int)
    found = table_of(given(0.5, 0.1), (counts, mdp.reward))
    np.testing.assert_allclose(found, want, atol=1e-3 * want.max())
    assert (found.argmax(axis=1) == want.argmax(axis=1)).all()


def with_end(transition, reward, temperature, end_reward=0.0):
    """Steps (S, A, S + 1), whose last successor is the end, as a problem where the end is a state of its own."""
    states, actions, _ = transition.shape
    closed, paid = np.zeros((2, states + 1, actions, states + 1))
    closed[:states], paid[:states] = transition, reward
    closed[states, :, states], paid[states] = 1, end_reward - temperature * np.log(actions)  # no entropy bonus there
    return paid, closed


def test_successors_and_ends_may_be_random():
    """A grid that slips, and whose steps end the episode with a probability that depends on the state."""
    ends = np.random.default_rng(0).integers(0, 5, size=(9, 5, 1)) / 10
    transition = np.concatenate([(1 - ends) * grid_transition(slip=0.5), ends], axis=2)
    reward = np.concatenate([100 * grid_rewards()["cliff"], np.full((9, 5, 1), -50.0)], axis=2)
    want = tabular.soft_q(*with_end(transition, reward, 0.3), 0.8, 0.3)[:9]
    found = table_of(given(0.8, 0.3), (np.rint(100 * transition).astype(int), reward))
    np.testing.assert_allclose(found, want, atol=1e-3 * np.abs(want).max())


@pytest.mark.parametrize("terminal", ["zero", "absorbing"])
def test_sqil_solves_the_soft_bellman_equation_of_its_labels(terminal):
    """Expert and policy take the same actions in the same states, so that the label of a step is random too."""
    rng, gamma, alpha, targets = np.random.default_rng(0), 0.9, 0.2, (4.0, -1.0)
    expert, policy = (rng.integers(1, 6, size=(4, 3, 5)) for _ in range(2))  # how often each (s, a, s′); 5th: the end
    config = ip.IQConfig.from_dict(
        {**TABLE, "objective": "sqil", "gamma": gamma, "temperature": alpha, "reward_targets": targets}
        | {"terminal": terminal, "learning_rate": 0.05, "weight_decay": 0.0}
    ).resolve(discrete=True, online=True)
    found = table_of(config, (expert, np.zeros(expert.shape)), (policy, np.zeros(policy.shape)))
    together = expert + policy
    label = (targets[0] * expert + targets[1] * policy) / together
    ended = np.array([group[:, :, 4].sum() / group.sum() for group in (expert, policy)])
    end = 0.0 if terminal == "zero" else ended @ targets / ended.sum()
    problem = with_end(together / together.sum(axis=2, keepdims=True), label, alpha, end)
    want = tabular.soft_q(*problem, gamma, alpha)[:4]
    np.testing.assert_allclose(found, want, atol=1e-3 * np.abs(want).max())


def test_a_policy_trained_on_a_gamble_takes_it():
    """In both states, also in the second, where the first eight gambles of seed 0 lose."""
    mdp = gamble(100.0, 0.1, 5.0)
    learner = ip.RLConfig(
        gamma=0.5,
        temperature=0.1,
        steps=6000,
        learning_starts=500,
        hidden=(),
        layer_norm=False,
        learning_rate=0.02,
        update_every=50,
        evaluate_every=0,
    )
    run = ip.retrain(true_reward(mdp), ip.RetrainConfig(learner), env=TabularEnv(mdp), progress=False)
    want = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, learner.temperature)
    found = run.soft_q.table(np.arange(2))
    assert (found.argmax(axis=1) == want.argmax(axis=1)).all()
    np.testing.assert_allclose(found[0], want[0], rtol=0.15)  # the share of prizes in the replay is not exactly .1


def test_only_errors_beyond_one_unit_lengthen_the_steps_of_the_output_layer():
    config = given(0.5, 0.1)
    learner = SoftQLearner(NetworkSpec((), 2, 2, None, None, hidden=()), config)
    assert learner.unit == 1
    counts = np.ones((2, 2, 2), dtype=int)
    before = learner.network.layers[0].weight.detach().clone()
    for rewards, unit in ((np.full(counts.shape, 0.1), 1.0), (np.full(counts.shape, 300.0), 300.0)):
        learner = SoftQLearner(learner.network.spec, config)
        replay = Replay(learner.network.spec, learner.network.encoder, 8)
        replay.extend(*every_step(counts, rewards))
        learner.update({"policy": replay.sample(0, None)}, torch.empty(0, 2), torch.Generator())
        assert learner.unit == pytest.approx(unit, rel=0.01)
        moved = (learner.network.layers[0].weight.detach() - before).abs()
        torch.testing.assert_close(
            moved, torch.full_like(moved, learner.unit * config.learning_rate), rtol=1e-5, atol=0
        )


def test_the_running_error_is_part_of_a_checkpoint():
    config, counts = given(0.5, 0.1), np.ones((2, 2, 2), dtype=int)
    first, second = (SoftQLearner(NetworkSpec((), 2, 2, None, None, hidden=()), config) for _ in range(2))
    replay = Replay(first.network.spec, first.network.encoder, 8)
    replay.extend(*every_step(counts, np.full(counts.shape, 300.0)))
    learned = {"policy": replay.sample(0, None)}, torch.empty(0, 2), torch.Generator()
    first.update(*learned)
    second.restore(copy.deepcopy(first.state()))
    assert second.unit == first.unit > 100
    for learner in (first, second):
        learner.update(*learned)
    torch.testing.assert_close(*(each.network.layers[0].weight for each in (first, second)), rtol=0, atol=0)
