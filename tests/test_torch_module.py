"""`reward.torch()`: the reward's own numbers with gradients, compiled, under vmap, and inside training loops."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from test_values import NAMES, rewards  # noqa: F401 — the fixture of every kind of reward

import irl_probe as ip
from irl_probe.rewards import RewardError

TORCH = [name for name in NAMES if name != "simulated"]


def tensors(batch):
    return tuple(torch.as_tensor(column) for column in batch)


@pytest.mark.parametrize("name", TORCH)
def test_the_module_computes_the_rewards_own_numbers(rewards, name):  # noqa: F811
    reward, batch = rewards[name]
    module, given = reward.torch(), tensors(batch)
    own = reward(*batch)
    assert module(*given).numpy() == pytest.approx(own, abs=1e-5)
    assert module.state_dict() is not None
    ended = torch.ones(len(own), dtype=torch.bool)
    assert module(*given[:3], ended).numpy() == pytest.approx(reward(*batch[:3], ended.numpy()), abs=1e-5)
    folded = tuple(column.reshape(6, 10, *column.shape[1:]) for column in given)
    assert torch.allclose(module(*folded), module(*given).reshape(6, 10), atol=1e-5)
    assert torch.allclose(module(*(column[3] for column in given)), module(*given)[3], atol=1e-5)


ALONE = """
import pickle, sys
import torch
import irl_probe

torch._dynamo.config.cache_size_limit = 64
for name, module, given, wanted in pickle.load(open(sys.argv[1], "rb")):
    assert torch.allclose(torch.vmap(module)(*given), wanted, atol=1e-5), name
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(*given), wanted, atol=1e-5), name
    torch._dynamo.reset()
    if name == "continuous":  # torch.vmap asks the module for its __name__, or Dynamo would trace its repr and fail
        compiled = torch.compile(torch.vmap(module), backend="eager", fullgraph=True)
        assert torch.allclose(compiled(*given), wanted, atol=1e-5)
"""


def test_the_modules_under_vmap_and_compiled(rewards, tmp_path):  # noqa: F811
    """In a process of its own: here the tests' shape checker is around every call."""
    cases = []
    for name in TORCH:
        reward, batch = rewards[name]
        module, given = reward.torch(), tuple(column[:8] for column in tensors(batch))
        cases.append((name, module, given, module(*given)))
    (tmp_path / "cases").write_bytes(pickle.dumps(cases))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "cases")], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("name", ["discrete", "continuous", "learned", "distilled, continuous", "linear"])
def test_gradients_are_those_of_finite_differences(rewards, name):  # noqa: F811
    reward, batch = rewards[name]
    module = reward.torch().double()
    o, a, o2, d = (column[:4] for column in tensors(batch))
    inputs = [o.double(), a.double() if a.is_floating_point() else a, o2.double()]
    leaves = [each.requires_grad_() for each in inputs if each.is_floating_point()]
    module(*inputs, d).sum().backward()
    for leaf in leaves:
        if leaf.grad is None:
            assert leaf is inputs[2]  # only a marginal reward or one of (s, a) leaves s′ out
            continue
        step, place = 1e-6, (1, *([0] * (leaf.ndim - 1)))
        with torch.no_grad():
            leaf[place] += step
            up = module(*inputs, d).sum()
            leaf[place] -= 2 * step
            down = module(*inputs, d).sum()
            leaf[place] += step
        assert float((up - down) / (2 * step)) == pytest.approx(float(leaf.grad[place]), abs=1e-4)


def test_a_policy_learns_through_the_module_and_the_reward_does_not_change(rewards):  # noqa: F811
    reward, batch = rewards["continuous"]
    before, module = reward(*batch), reward.torch()
    o, _, o2, d = tensors(batch)
    policy = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
    optimiser = torch.optim.Adam(policy.parameters(), 0.03)
    paid = []
    for _ in range(40):
        loss = -module(o, 2 * torch.tanh(policy(o)), o2, d).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        paid.append(-float(loss.detach()))
    assert paid[-1] > paid[0] + 0.01
    assert np.array_equal(reward(*batch), before)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    tuned = copy.deepcopy(module).requires_grad_(True)
    assert tuned(o, torch.zeros(len(o), 1), o2, d).requires_grad
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.zero_()
    assert np.array_equal(reward(*batch), before)


def test_one_module_for_each_of_several_weights_under_vmap(rewards):  # noqa: F811
    reward, batch = rewards["distilled"]
    modules, given = [reward.torch(), reward.torch()], tensors(batch)
    with torch.no_grad():
        for parameter in modules[1].parameters():
            parameter.mul_(1.1)
    weights, buffers = torch.func.stack_module_state(modules)

    def one(weights, buffers):
        return torch.func.functional_call(modules[0], (weights, buffers), given)

    both = torch.vmap(one)(weights, buffers)
    assert all(torch.allclose(row, module(*given), atol=1e-5) for row, module in zip(both, modules, strict=True))


def test_a_reward_that_steps_a_simulator_has_no_module(rewards):  # noqa: F811
    with pytest.raises(RewardError, match=r"'simulator' steps a simulator, which has no gradient\. Take the"):
        rewards["simulated"][0].torch()


def test_shipped_rewards_have_modules():
    for name in ip.zoo.list_zoo():
        reward = ip.load_reward(name)
        o = np.stack([reward.observation_space.sample() for _ in range(5)])
        a = np.stack([reward.action_space.sample() for _ in range(5)])
        batch = (np.clip(o, -1, 1) if o.dtype.kind == "f" else o, a, np.clip(o, -2, 2) if o.dtype.kind == "f" else o)
        d = np.array([0, 1, 0, 0, 1], bool)
        own = reward(*batch, d)
        assert reward.torch()(*tensors((*batch, d))).numpy() == pytest.approx(own, abs=1e-5 + 1e-5 * abs(own).max())
