"""The rewards of objectives, on cases whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import irl_probe as ip
from irl_probe.learn import Batch
from irl_probe.learn.labels import absorbing_value, coherent_reward, label_rewards
from irl_probe.learn.losses import loss_of


def some_batch(count, terminated):
    zeros = torch.zeros(count)
    ends = torch.zeros(count)
    ends[:terminated] = 1
    return Batch(torch.zeros(count, 2), torch.zeros(count, 1), torch.zeros(count, 2), ends, zeros)


def objective(**settings):
    return loss_of(ip.IQConfig(**settings).resolve(discrete=False, online=True), torch.float32)


def test_expert_and_policy_steps_are_paid_their_labels_in_order():
    paid = label_rewards(2, 3, (1.0, -1.0), torch.zeros(1, dtype=torch.float64))
    assert paid.tolist() == [1, 1, -1, -1, -1]
    assert paid.dtype == torch.float64
    assert objective(objective="sqil").rewards([some_batch(1, 0), some_batch(2, 0)]).tolist() == [1, 0, 0]
    assert objective(objective="lsiq").rewards([some_batch(1, 0), some_batch(2, 0)]).tolist() == [2, -2, -2]


@pytest.mark.parametrize(
    ("ends", "reward"), [((0.0, 0.0), 0.0), ((0.1, 0.0), 2.0), ((0.0, 0.3), -2.0), ((0.1, 0.3), -1.0)]
)
def test_the_absorbing_value_is_that_of_the_labels_of_terminating_steps_for_ever(ends, reward):
    value = absorbing_value(torch.tensor(ends), (2.0, -2.0), 0.9)
    assert value.item() == pytest.approx(reward / (1 - 0.9), rel=1e-5)


def test_lsiq_gives_the_lowest_value_to_a_policy_that_terminates_and_bounds_all_values():
    rewards = objective(objective="lsiq", gamma=0.9)
    rewards.observe([some_batch(10, 0), some_batch(10, 4)])
    assert rewards.terminal_value is not None
    assert rewards.terminal_value.item() == pytest.approx(-20.0, rel=1e-5)
    config = ip.IQConfig(objective="lsiq", gamma=0.9).resolve(discrete=False, online=True)
    assert config.value_bounds == pytest.approx((-20, 20))


def test_rize_moves_its_targets_a_share_of_the_way_to_the_mean_rewards():
    rewards = objective(objective="rize", target_step=0.5)
    assert rewards.targets == (10.0, 5.0)
    rewards.move_targets([torch.tensor([4.0, 8.0]), torch.tensor([-1.0, 0.0])])
    assert rewards.targets == pytest.approx((8.0, 2.25))
    again = objective(objective="rize")
    again.restore(rewards.state())
    assert again.targets == rewards.targets


def test_a_coherent_reward_is_zero_for_the_uniform_policy_and_bounded():
    dimensions, alpha = 3, 0.2
    uniform = torch.full((1,), -dimensions * float(np.log(2)))
    assert coherent_reward(uniform, dimensions, alpha).item() == pytest.approx(0, abs=1e-7)
    assert coherent_reward(uniform + 1.5, dimensions, alpha).item() == pytest.approx(alpha * 1.5)
    assert coherent_reward(uniform - 1e6, dimensions, alpha, nats=5.0).item() == pytest.approx(-alpha * dimensions * 5)


@pytest.mark.parametrize("name", ["rize", "lsiq", "csil"])
def test_objectives_for_continuous_actions_refuse_discrete_ones(name):
    with pytest.raises(ValueError, match=f"{name}' takes continuous actions"):
        ip.IQConfig(objective=name).resolve(discrete=True, online=True)


def test_sqil_with_discrete_actions_prefers_the_experts_actions():
    demos = ip.load_demos("CartPole-v1", episodes=1)
    steps = demos.transitions
    others = ip.Transitions(
        steps.observations,
        1 - steps.actions,
        steps.next_observations,
        steps.terminated,
        steps.truncated,
        steps.episode,
    )
    config = ip.IQConfig(objective="sqil", steps=1500, gamma=0.5, hidden=(32,))
    run = ip.train(demos, config, others=others, progress=False)
    agreement = np.mean(run.policy(steps.observations) == steps.actions)
    assert agreement > 0.8  # not 1: where both actions are equally good, the expert's own choice varies


def test_sqil_gives_the_absorbing_state_the_reward_of_the_steps_that_lead_there():
    demos = ip.load_demos("CartPole-v1", episodes=1)
    steps = demos.transitions
    kept = np.arange(len(steps)) % 10 > 0  # without the first of ten steps, which is the successor of an end
    terminated, episodes = (np.arange(len(steps)) % 10 == 9)[kept], (np.arange(len(steps)) // 10)[kept]
    others = steps.rows(kept)
    others = replace(others, terminated=terminated, truncated=others.truncated & ~terminated, episode=episodes)
    demos = replace(demos, transitions=replace(steps, terminated=np.zeros(len(steps), bool)))
    config = ip.IQConfig(
        objective="sqil", terminal="absorbing", reward_targets=(1.0, -1.0), steps=1500, gamma=0.5, log_every=1500
    )
    run = ip.train(demos, config, others=others, progress=False)
    assert float(run.history["terminal_value"][-1]) == pytest.approx(-1 / (1 - 0.5))
