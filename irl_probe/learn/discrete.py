"""Soft Q-learning with discrete actions: one engine whose critic objective is a setting."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from irl_probe.learn.config import ResolvedIQ, ResolvedRL, ValueTerm
from irl_probe.learn.losses import loss_of, second_of
from irl_probe.learn.objectives import (
    StepValues,
    bellman_target,
    cloning_loss,
    inverse_soft_bellman,
    least_squares_loss,
    lipschitz_penalty,
)
from irl_probe.learn.optimizer import AdamW, averaging_rate
from irl_probe.learn.replay import Batch
from irl_probe.softq import DiscreteQ, NetworkSpec
from irl_probe.softq.functions import DiscreteSoftQ, soft_value

ERROR_RATE = 1e-3  # of the running mean of the squared Bellman error


class SoftQLearner:
    """Q(s, ·) as a network with V = α logsumexp(Q/α) and π = softmax(Q/α); `update` is one gradient step.

    Where Q is regressed on rewards, a step of the output layer is `unit` times as long: the running root mean square of
    the Bellman error, and at least 1. Adam's steps do not depend on the scale of the error, so that values of hundreds
    would take very many of them.

    The config's objective is a `Loss`. `observations` (N, *shape) set the normalisation; with None there is no
    normalisation. All random numbers come from `generator` or from the config's seed. Batches have names, in this
    order: "expert" where there are demonstrations, "policy" where there are other steps.
    """

    def __init__(
        self, spec: NetworkSpec, config: ResolvedIQ | ResolvedRL, observations: np.ndarray | None = None
    ) -> None:
        self.config, self.temperature = config, config.temperature
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.network = DiscreteQ(spec)
        if config.precision == "float64":
            self.network.double()
        if observations is not None:
            self.network.encoder.fit(observations)
        self.target = copy.deepcopy(self.network).requires_grad_(False) if config.target_rate else self.network
        self.averaged = copy.deepcopy(self.network).requires_grad_(False) if config.policy_average else self.network
        self.objective = loss_of(config, next(self.network.parameters()).dtype)
        self.optimizer = AdamW(
            [*self.network.parameters(), *self.objective.parameters],
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self.squared_error = 0.0

    @property
    def unit(self) -> float:
        """How many times longer a step of the output layer is, in reward units: max(1, √E[error²])."""
        return max(1.0, math.sqrt(self.squared_error))

    @property
    def terminal_value(self) -> Tensor | None:
        """V of the absorbing state, learned or in closed form; None with the convention `zero`."""
        return self.objective.terminal_value

    @property
    def soft_q(self) -> DiscreteSoftQ:
        """The soft Q-function to evaluate and return; it shares its weights with the learner or with its average."""
        return DiscreteSoftQ(self.averaged, gamma=self.config.gamma, temperature=self.temperature)

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> int:
        """One draw from softmax(Q(s, ·)/α)."""
        with torch.no_grad():
            q = self.network(torch.as_tensor(np.asarray(observation)[None]))[0].numpy()
        return int(np.argmax(q / self.temperature + rng.gumbel(size=q.shape)))

    def anneal(self, share: float) -> None:
        """Set the learning rate to this share of the config's."""
        self.optimizer.learning_rate = share * self.config.learning_rate

    def update(
        self, batches: Mapping[str, Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """One gradient step on the objective; returns the loss as a tensor, so that no update waits for its value."""
        loss = self.loss(batches, starts, generator)
        self._step(loss)
        self._follow(self.target, self.config.target_rate)
        if self.averaged is not self.network:
            self._follow(self.averaged, averaging_rate(self.config.policy_average, self.optimizer.steps))
        self.objective.observe(list(batches.values()))
        return loss.detach()

    def loss(
        self, batches: Mapping[str, Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """The objective at batches of steps and (encoded) initial states."""
        return self.objective(self, list(batches.values()), starts, generator)

    def metrics(self, batches: Mapping[str, Batch], generator: torch.Generator) -> dict[str, float]:
        """Mean Q(s, a) and r(s, a, s′) of each batch, and the absorbing state's value where there is one."""
        given, end = list(batches.values()), self.terminal_value
        result: dict[str, float] = {}
        with torch.no_grad():
            steps, _ = self.step_values(
                given,
                given[0].states[:0],
                generator,
                term="expert",
                observation_only=self.objective.observation_only,
            )
            for name, (values,) in zip(batches, steps, strict=True):
                reward = inverse_soft_bellman(values, self.config.gamma, end)
                result |= {f"q_{name}": values.q.mean().item(), f"reward_{name}": reward.mean().item()}
        return result if end is None else {**result, "terminal_value": end.item()}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state(),
            "objective": self.objective.state(),
            "squared_error": self.squared_error,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.restore(state["optimizer"])
        self.objective.restore(state["objective"])
        self.squared_error = state.get("squared_error", 0.0)  # runs of earlier versions lack it

    def step_values(
        self,
        batches: Sequence[Batch],
        starts: Float[Tensor, "starts width"],
        generator: torch.Generator,
        *,
        term: ValueTerm,
        observation_only: bool,
    ) -> tuple[list[list[StepValues]], Float[Tensor, " starts"]]:
        """Q and V of every state that the objective asks for, in one forward pass (two with a target network)."""
        states = [batch.states for batch in batches]
        successors = [batch.successors for batch in batches]
        successors += [batch.second.states for batch in batches if batch.second is not None]
        if term == "initial":
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
        seconds = next_value[sum(map(len, batches)) :]
        for i, batch in enumerate(batches):
            own = slice(row, row + len(batch))
            actions = batch.actions
            if observation_only and i == 0:
                actions = _draw(q[own].detach() / self.temperature, generator)
            following = next_value[own] * (1 - batch.terminated)
            second = second_of(batch, seconds[own])
            taken = _taken(q[own], actions)
            steps.append([StepValues(taken, value[own], following, batch.terminated, second=second)])
            row += len(batch)
        return steps, value[row:]

    def bellman_error(
        self,
        batches: Sequence[Batch],
        rewards: Float[Tensor, " batch"],
        terminal_value: Float[Tensor, ""] | None,
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """`least_squares_loss` of Q(s, a) against r + γ[(1 − d)·V̄(s′) + d·V_absorbing]."""
        states, actions, successors, terminated = (
            torch.cat([getattr(batch, name) for batch in batches])
            for name in ("states", "actions", "successors", "terminated")
        )
        q = _taken(self.network.layers(states), actions)
        with torch.no_grad():
            next_value = self._value(self.target.layers(successors))
            target = bellman_target(rewards, next_value, terminated, self.config.gamma, terminal_value)
        loss = least_squares_loss(q, target)
        rate = averaging_rate(ERROR_RATE, self.optimizer.steps + 1)
        self.squared_error += rate * (2 * loss.item() - self.squared_error)
        return loss

    def cloning_loss(self, expert: Batch) -> Float[Tensor, ""]:
        """−E_{ρE}[log π(a|s)]."""
        q = self.network.layers(expert.states)
        return cloning_loss(_taken(q, expert.actions), self._value(q), self.temperature)

    def lipschitz_penalty(
        self,
        batches: Sequence[Batch],
        terminal_value: Float[Tensor, ""] | None,
        generator: torch.Generator,
        *,
        observation_only: bool,
    ) -> Float[Tensor, ""]:
        """The penalty on the gradient of r by the encoded (s, s′), at the expert's steps mixed with the policy's."""
        expert, *others = batches
        points = torch.cat([expert.states, expert.successors], dim=-1)
        for policy in others:
            share = torch.rand(len(points), 1, generator=generator, dtype=points.dtype)
            partner = torch.randint(len(policy), (len(points),), generator=generator)
            points = share * points + (1 - share) * torch.cat([policy.states, policy.successors], dim=-1)[partner]
        points.requires_grad_()
        state, successor = points.chunk(2, dim=-1)
        q = self.network.layers(state)
        next_value = self._value(self.network.layers(successor)) * (1 - expert.terminated)
        steps = StepValues(_taken(q, expert.actions), self._value(q), next_value, expert.terminated)
        reward = inverse_soft_bellman(steps, self.config.gamma, terminal_value)
        (gradient,) = torch.autograd.grad(reward.sum(), points, create_graph=True)
        return lipschitz_penalty(gradient)

    def _step(self, loss: Tensor) -> None:
        """One step down the gradient, `unit` times as long in the output layer."""
        output = list(self.network.layers[-1].parameters())
        before = [each.detach().clone() for each in output] if self.unit > 1 else []
        self.optimizer.step(loss)
        if before:
            with torch.no_grad():
                for now, was in zip(output, before, strict=True):
                    now.copy_(was + self.unit * (now - was))

    def _value(self, q: Float[Tensor, "batch actions"]) -> Float[Tensor, " batch"]:
        return soft_value(q, self.temperature)

    def _follow(self, copied: DiscreteQ, rate: float) -> None:
        """A Polyak step of a copy towards the network; does nothing where `copied` is the network itself."""
        if copied is not self.network:
            with torch.no_grad():
                torch._foreach_lerp_(list(copied.parameters()), list(self.network.parameters()), rate)


def _taken(q: Float[Tensor, "batch actions"], actions: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
    return q.gather(1, actions[:, None])[:, 0]


def _draw(logits: Float[Tensor, "batch actions"], generator: torch.Generator) -> Int[Tensor, " batch"]:
    """One action a row from softmax(logits), by the Gumbel trick."""
    uniform = torch.rand(logits.shape, generator=generator, dtype=logits.dtype)
    return (logits - torch.log(-torch.log(uniform))).argmax(dim=-1)
