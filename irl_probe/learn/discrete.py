"""Soft Q-learning with discrete actions: one engine whose critic objective is a setting."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from irl_probe.learn.config import ResolvedIQ, ResolvedRL
from irl_probe.learn.labels import StepRewards
from irl_probe.learn.objectives import (
    StepValues,
    bellman_target,
    cloning_loss,
    huber_loss,
    inverse_soft_bellman,
    iq_loss,
    lipschitz_penalty,
)
from irl_probe.learn.optimizer import AdamW, averaging_rate
from irl_probe.learn.replay import Batch
from irl_probe.softq import DiscreteQ, NetworkSpec
from irl_probe.softq.functions import DiscreteSoftQ, soft_value


class SoftQLearner:
    """Q(s, ·) as a network with V = α logsumexp(Q/α) and π = softmax(Q/α); `update` is one gradient step.

    `observations` (N, *shape) set the normalisation; None leaves them as they are. All random numbers come from
    `generator` or from the config's seed.
    """

    def __init__(self, spec: NetworkSpec, config: ResolvedIQ | ResolvedRL, observations: np.ndarray | None) -> None:
        self.config = config
        self.temperature = config.temperature
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.network = DiscreteQ(spec)
        if config.precision == "float64":
            self.network.double()
        if config.normalise and observations is not None:
            self.network.encoder.fit(observations)
        self.target = copy.deepcopy(self.network).requires_grad_(False) if config.target_rate else self.network
        self.averaged = copy.deepcopy(self.network).requires_grad_(False) if config.policy_average else self.network
        dtype = next(self.network.parameters()).dtype
        absorbing = config.objective == "iq" and config.terminal == "absorbing"
        self._absorbing_reward = nn.Parameter(torch.zeros((), dtype=dtype)) if absorbing else None
        ends = [] if self._absorbing_reward is None else [self._absorbing_reward]
        self.optimizer = AdamW(
            [*self.network.parameters(), *ends], learning_rate=config.learning_rate, weight_decay=config.weight_decay
        )
        self.rewards = StepRewards(config)
        self._settings = config.settings() if isinstance(config, ResolvedIQ) and config.objective == "iq" else None

    @property
    def terminal_value(self) -> Tensor | None:
        """V_absorbing = r_absorbing/(1 − γ): `iq` learns it by gradient on the scale of a reward, `sqil` has it in
        closed form. None with the convention `zero`.
        """
        if self._absorbing_reward is not None:
            return self._absorbing_reward / (1 - self.config.gamma)
        return self.rewards.terminal_value

    @property
    def soft_q(self) -> DiscreteSoftQ:
        """The soft Q-function to evaluate and hand over; it shares its weights with the learner or with its average."""
        return DiscreteSoftQ(self.averaged, gamma=self.config.gamma, temperature=self.temperature)

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        """One draw from softmax(Q(s, ·)/α)."""
        with torch.no_grad():
            q = self.network(torch.as_tensor(np.asarray(observation)[None]))[0].numpy()
        return int(np.argmax(q / self.temperature + rng.gumbel(size=q.shape)))

    def anneal(self, share: float) -> None:
        """Let the learning rate be this share of the config's from now on."""
        self.optimizer.learning_rate = share * self.config.learning_rate

    def update(
        self,
        expert: Batch | None,
        policy: Batch | None,
        starts: Float[Tensor, "starts width"],
        generator: torch.Generator,
    ) -> Tensor:
        """One gradient step on the objective; returns the loss as a tensor, so that nothing waits for it."""
        loss = self.loss(expert, policy, starts, generator)
        self.optimizer.step(loss)
        if self.target is not self.network:
            self._follow(self.target, self.config.target_rate)
        if self.averaged is not self.network:
            self._follow(self.averaged, averaging_rate(self.config.policy_average, self.optimizer.steps))
        self.rewards.observe([batch for batch in (expert, policy) if batch is not None])
        return loss.detach()

    def loss(
        self,
        expert: Batch | None,
        policy: Batch | None,
        starts: Float[Tensor, "starts width"],
        generator: torch.Generator,
    ) -> Tensor:
        """The config's objective at batches of expert and policy steps and (encoded) initial states."""
        if self.config.objective == "bellman":
            assert policy is not None
            return self._bellman([policy])
        assert expert is not None
        if self.config.objective == "sqil":
            return self._bellman([expert] if policy is None else [expert, policy])
        if self.config.objective == "bc":
            q = self.network.layers(expert.states)
            return cloning_loss(_taken(q, expert.actions), self._value(q), self.temperature)
        assert self._settings is not None
        steps, initial_value = self._step_values([b for b in (expert, policy) if b is not None], starts, generator)
        policy_steps = steps[1] if policy is not None else None
        loss = iq_loss(steps[0], policy_steps, initial_value, self.terminal_value, self._settings)
        if self.config.divergence == "w1":
            loss = loss + self.config.gradient_penalty * self._lipschitz(expert, policy, generator)
        return loss

    def metrics(self, expert: Batch | None, policy: Batch | None, generator: torch.Generator) -> dict[str, float]:
        """Mean Q(s, a) and r(s, a, s′) of each batch, and the absorbing state's value where it is learned."""
        batches = {name: batch for name, batch in (("expert", expert), ("policy", policy)) if batch is not None}
        with torch.no_grad():
            steps, _ = self._step_values(list(batches.values()), next(iter(batches.values())).states[:0], generator)
            result: dict[str, float] = {}
            for name, values in zip(batches, steps, strict=True):
                reward = inverse_soft_bellman(values, self.config.gamma, self.terminal_value)
                result |= {f"q_{name}": values.q.mean().item(), f"reward_{name}": reward.mean().item()}
        end = self.terminal_value
        return result if end is None else {**result, "terminal_value": end.item()}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state(),
            "rewards": self.rewards.state(),
            "absorbing_reward": None if self._absorbing_reward is None else self._absorbing_reward.detach(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take a checkpoint's state back."""
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.restore(state["optimizer"])
        self.rewards.restore(state["rewards"])
        if self._absorbing_reward is not None:
            with torch.no_grad():
                self._absorbing_reward.copy_(state["absorbing_reward"])

    def _value(self, q: Float[Tensor, "batch actions"]) -> Float[Tensor, " batch"]:
        return soft_value(q, self.temperature)

    def _step_values(
        self, batches: list[Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> tuple[list[StepValues], Float[Tensor, " starts"]]:
        """Q and V of every state the objective asks for, in one forward pass (two with a target network)."""
        states = [batch.states for batch in batches]
        successors = [batch.successors for batch in batches]
        if self.config.value_term == "initial":
            states.append(starts)
        if self.target is self.network:
            q = self.network.layers(torch.cat([*states, *successors]))
            value, next_value = torch.tensor_split(self._value(q), [sum(map(len, states))])
        else:
            q = self.network.layers(torch.cat(states))
            value = self._value(q)
            with torch.no_grad():
                next_value = self._value(self.target.layers(torch.cat(successors)))
        steps, row = [], 0
        for i, batch in enumerate(batches):
            own = slice(row, row + len(batch))
            actions = batch.actions
            if self.config.observation_only and i == 0:
                actions = _draw(q[own].detach() / self.temperature, generator)
            steps.append(
                StepValues(
                    _taken(q[own], actions), value[own], next_value[own] * (1 - batch.terminated), batch.terminated
                )
            )
            row += len(batch)
        return steps, value[row:]

    def _bellman(self, batches: list[Batch]) -> Tensor:
        states, actions, successors, terminated = (
            torch.cat([getattr(batch, name) for batch in batches])
            for name in ("states", "actions", "successors", "terminated")
        )
        q = _taken(self.network.layers(states), actions)
        with torch.no_grad():
            next_value = self._value(self.target.layers(successors))
            target = bellman_target(
                self.rewards(batches), next_value, terminated, self.config.gamma, self.terminal_value
            )
        return huber_loss(q, target)

    def _lipschitz(self, expert: Batch, policy: Batch | None, generator: torch.Generator) -> Tensor:
        """The penalty on ∇r(s, a, s′) by the encoded (s, s′), at the expert's steps mixed with the policy's."""
        points = torch.cat([expert.states, expert.successors], dim=-1)
        if policy is not None:
            share = torch.rand(len(points), 1, generator=generator, dtype=points.dtype)
            partner = torch.randint(len(policy), (len(points),), generator=generator)
            others = torch.cat([policy.states, policy.successors], dim=-1)[partner]
            points = share * points + (1 - share) * others
        points.requires_grad_()
        state, successor = points.chunk(2, dim=-1)
        q = self.network.layers(state)
        next_value = self._value(self.network.layers(successor)) * (1 - expert.terminated)
        steps = StepValues(_taken(q, expert.actions), self._value(q), next_value, expert.terminated)
        reward = inverse_soft_bellman(steps, self.config.gamma, self.terminal_value)
        (gradient,) = torch.autograd.grad(reward.sum(), points, create_graph=True)
        return lipschitz_penalty(gradient)

    def _follow(self, copied: DiscreteQ, rate: float) -> None:
        """Polyak's step of a copy of the network."""
        with torch.no_grad():
            torch._foreach_lerp_(list(copied.parameters()), list(self.network.parameters()), rate)


def _taken(q: Float[Tensor, "batch actions"], actions: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return q.gather(1, actions[:, None])[:, 0]


def _draw(logits: Float[Tensor, "batch actions"], generator: torch.Generator) -> Int[Tensor, " batch"]:
    """One action a row from softmax(logits), by the Gumbel trick."""
    uniform = torch.rand(logits.shape, generator=generator, dtype=logits.dtype)
    return (logits - torch.log(-torch.log(uniform))).argmax(dim=-1)
