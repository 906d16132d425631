"""Rewards as torch modules: differentiable, for use inside a training loop, under torch.compile and torch.vmap."""

from __future__ import annotations

import copy
from typing import TypeVar

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from irl_probe._plain import sizes_of, starts_of
from irl_probe._spaces import Space
from irl_probe.rewards.dynamics import GaussianDynamics, LearnedDynamics
from irl_probe.rewards.expectation import ExactExpectation, Expectation, ObservedSuccessor
from irl_probe.rewards.protocol import RewardError
from irl_probe.rewards.reward_network import RewardNetwork
from irl_probe.softq import ActionScale, NetworkSpec, squashed_gaussian
from irl_probe.softq.functions import ContinuousSoftQ, DiscreteSoftQ, SoftQ, soft_value

Module = TypeVar("Module", bound=nn.Module)


class RewardModule(nn.Module):
    """r(s, a, s′, d) of tensors: observations, actions, next observations and whether the MDP ended.

    They are in the units of the reward's spaces, as for the reward itself: Discrete, MultiDiscrete and MultiBinary
    actions, Discrete observations that do not count from 0, and flat observations of a Dict, Tuple, MultiDiscrete or
    MultiBinary space. Box actions are cut to their bounds, beyond which their gradient is 0.

    It takes one transition or any number of leading axes, (*batch, *shape) each and `terminated` (*batch,), and gives
    (*batch,) in the type of the weights. Gradients flow to observations and continuous actions. The weights are copies,
    frozen: `module.requires_grad_(True)` trains them, which does not change the reward.
    """

    __name__ = "reward"  # torch.vmap asks for it; without one torch.compile would have to trace the module's repr

    action_centre: Tensor
    action_half: Tensor
    action_low: Tensor
    action_high: Tensor
    action_start: Tensor
    action_stride: Tensor

    def __init__(self, spec: NetworkSpec, of: tuple[Space, Space]) -> None:
        super().__init__()
        self._shape = spec.observation_shape
        self._states, self._actions = spec.observation_count, spec.action_count
        self._first = int(of[0].start) if isinstance(of[0], spaces.Discrete) else 0
        if spec.action_count is not None:
            sizes = sizes_of(of[1])
            strides = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)  # the last component changes fastest
            self.register_buffer("action_start", torch.as_tensor(starts_of(of[1])))
            self.register_buffer("action_stride", torch.as_tensor(strides.astype(np.int64)))
        else:
            assert isinstance(of[1], spaces.Box)  # as `NetworkSpec.of` has it
            for name, bound in (("action_low", of[1].low), ("action_high", of[1].high)):
                self.register_buffer(name, torch.as_tensor(bound.ravel()))
            scale = ActionScale(spec)
            self.register_buffer("action_centre", torch.as_tensor(scale.centre))
            self.register_buffer("action_half", torch.as_tensor(scale.half))

    def forward(self, observations: Tensor, actions: Tensor, next_observations: Tensor, terminated: Tensor) -> Tensor:
        """The reward of each transition, (*batch,)."""
        batch = terminated.shape
        o, o2 = self._rows(observations), self._rows(next_observations)
        return self.rewards(o, self._unit(actions), o2, terminated.reshape(-1).bool()).reshape(batch)

    def rewards(self, o: Tensor, a: Tensor, o2: Tensor, d: Tensor) -> Tensor:
        """The same of rows: observations (N, width) or (N,), actions in [−1, 1] (N, dim) or (N,)."""
        raise NotImplementedError

    def _rows(self, observations: Tensor) -> Tensor:
        if not self._states:
            return observations.reshape(-1, *self._shape)
        return observations.reshape(-1) - self._first

    def _unit(self, actions: Tensor) -> Tensor:
        if self._actions is not None:
            index: Tensor = actions.reshape(-1, len(self.action_start)) - self.action_start
            return (index * self.action_stride).sum(-1)
        rows = actions.reshape(-1, self.action_centre.numel()).clamp(self.action_low, self.action_high)
        return (rows - self.action_centre) / self.action_half


class RecoveredModule(RewardModule):
    """r = Q(s, a) − γ[(1 − d)·E[V(s′)] + d·V_abs] as a torch module."""

    noise: Tensor
    transition: Tensor
    draws: Tensor
    dynamics: GaussianDynamics

    def __init__(self, soft_q: SoftQ, expectation: Expectation, terminal_value: float, of: tuple[Space, Space]) -> None:
        super().__init__(soft_q.spec, of)
        self.gamma, self.temperature, self.terminal_value = soft_q.gamma, soft_q.temperature, terminal_value
        if isinstance(soft_q, DiscreteSoftQ):
            self.q_network = _frozen(soft_q.network)
        elif isinstance(soft_q, ContinuousSoftQ):
            self.critic, self.actor, self._least = _frozen(soft_q.critic), _frozen(soft_q.actor), soft_q.reduce == "min"
            self.register_buffer("noise", torch.as_tensor(soft_q.noise))
        else:
            raise RewardError(
                "Only a DiscreteSoftQ or a ContinuousSoftQ can be a torch module; got " + type(soft_q).__name__ + "."
            )
        self._discrete = isinstance(soft_q, DiscreteSoftQ)
        self._expectation = expectation.name
        if isinstance(expectation, ExactExpectation):
            self.register_buffer("transition", torch.as_tensor(np.array(expectation.transition)))
        elif isinstance(expectation, LearnedDynamics):
            self.dynamics = _frozen(expectation.network)
            width = expectation.network.spec.input_width
            draws = np.random.default_rng(expectation.seed).standard_normal((expectation.samples, width))
            self.register_buffer("draws", torch.as_tensor(draws))
        elif not isinstance(expectation, ObservedSuccessor):
            raise RewardError(
                f"A reward with E over s′ by {expectation.name!r} steps a simulator, which has no gradient. Take the "
                "per-transition reward (recover without an expectation), or distil the reward."
            )

    def rewards(self, o: Tensor, a: Tensor, o2: Tensor, d: Tensor) -> Tensor:
        """As `RewardModule.rewards`."""
        return self.q(o, a) - self.gamma * self._after(o, a, o2, d)

    def q(self, o: Tensor, a: Tensor) -> Tensor:
        """Q(s, a), (N,)."""
        if self._discrete:
            taken: Tensor = self.q_network(o).gather(1, a.long()[:, None])[:, 0]
            return taken
        q: Tensor = self.critic(o, a.to(self.noise.dtype))
        return q.amin(0) if self._least else q.mean(0)

    def value(self, o: Tensor) -> Tensor:
        """V(s), (N,)."""
        if self._discrete:
            return soft_value(self.q_network(o), self.temperature)
        count, (mean, log_std) = len(self.noise), self.actor(o)
        rows = [each.repeat(count, *([1] * (each.ndim - 1))) for each in (o, mean, log_std)]
        noise = self.noise.repeat_interleave(len(o), dim=0)
        actions, log_density = squashed_gaussian(rows[1], rows[2], noise)
        return (self.q(rows[0], actions) - self.temperature * log_density).reshape(count, -1).mean(0)

    def _after(self, o: Tensor, a: Tensor, o2: Tensor, d: Tensor) -> Tensor:
        """E[(1 − d)·V(s′) + d·V_abs], (N,)."""
        if self._expectation == ExactExpectation.name:
            values = self.value(torch.arange(len(self.transition), device=o.device))
            return (self.transition[o.long(), a.long()] @ values.to(self.transition.dtype)).to(values.dtype)
        if self._expectation == LearnedDynamics.name:
            return self._drawn(o, a)
        return torch.where(d, self.terminal_value, self.value(o2))

    def _drawn(self, o: Tensor, a: Tensor) -> Tensor:
        """The mean over the draws of `LearnedDynamics`, with its standardisation in float64."""
        model = self.dynamics
        flat = o.reshape(len(o), -1).double()
        chosen = a if self._actions is None else nn.functional.one_hot(a.long(), self._actions)
        inputs = torch.cat([(flat - model.mean) / model.scale, chosen.double()], dim=-1).to(model.mean.dtype)
        members = model.spec.critics
        mean, log_std, logit = model(inputs.expand(members, *inputs.shape))
        mean = mean.double() * model.change_scale + model.change_mean
        deviation, ended = log_std.double().exp() * model.change_scale, model.ends * torch.sigmoid(logit)
        total = torch.zeros_like(flat[:, 0])
        for k in range(len(self.draws)):
            m = k % members
            successors = (flat + mean[m] + deviation[m] * self.draws[k]).reshape(o.shape).to(o.dtype)
            values = self.value(successors)
            total = total + values + ended[m] * (self.terminal_value - values)
        return (total / len(self.draws)).to(model.mean.dtype)


class DistilledModule(RewardModule):
    """r = g + γ(1 − d)·h(s′) − h(s), or g alone, as a torch module."""

    def __init__(self, g: RewardNetwork, h: RewardNetwork | None, gamma: float, of: tuple[Space, Space]) -> None:
        super().__init__(g.spec, of)
        self.g, self.h, self.gamma = _frozen(g), None if h is None else _frozen(h), gamma

    def rewards(self, o: Tensor, a: Tensor, o2: Tensor, d: Tensor) -> Tensor:
        """As `RewardModule.rewards`."""
        return shaped(self.g, self.h, self.gamma, o, a, o2, d)


def shaped(
    g: RewardNetwork, h: RewardNetwork | None, gamma: float, o: Tensor, a: Tensor, o2: Tensor, d: Tensor
) -> Tensor:
    """g + γ(1 − d)·h(s′) − h(s) of rows, (N,), with gradients."""
    values: Tensor = g(o, a, o2, d)
    if h is None:
        return values
    after, now = h(torch.cat([o2, o]), a, o2, d).chunk(2)
    return values + gamma * torch.where(d, 0.0, after) - now  # type: ignore[no-any-return]  # torch.where is untyped for a number


def _frozen(network: Module) -> Module:
    """A copy whose weights do not learn."""
    return copy.deepcopy(network).requires_grad_(False)
