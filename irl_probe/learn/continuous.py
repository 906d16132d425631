"""Soft actor-critic with bounded continuous actions: one engine whose critic objective is a setting."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from irl_probe.learn.config import Resolved, ResolvedIQ, ResolvedRL, ValueTerm
from irl_probe.learn.losses import loss_of, second_of
from irl_probe.learn.objectives import (
    StepValues,
    bellman_target,
    inverse_soft_bellman,
    least_squares_loss,
    lipschitz_penalty,
    policy_loss,
    temperature_loss,
)
from irl_probe.learn.optimizer import AdamW, averaging_rate
from irl_probe.learn.replay import Batch, Replay
from irl_probe.softq import (
    ActionScale,
    ContinuousQ,
    GaussianPolicy,
    NetworkSpec,
    squashed_gaussian,
    squashed_log_density,
)
from irl_probe.softq.functions import ContinuousSoftQ

Sampled = tuple[Tensor, Tensor]  # actions (batch, dim) in [−1, 1] and their log densities (batch,)
# Bytes to allocate and free once. Otherwise glibc returns freed blocks to the system, which zeroes new ones, at every
# update; once a larger block was freed, it keeps them.
_KEPT = 31 << 20


class ActorCritic:
    """Q(s, a) by one or more critics, π(a|s), α, and V(s) = Q(s, ã) − α log π(ã|s) at one ã ~ π.

    With several critics the Q in V is their minimum or mean. States are encoded, actions in [−1, 1].
    `observations` (N, *shape) set the normalisation; with None there is no normalisation.
    """

    def __init__(self, spec: NetworkSpec, config: Resolved, observations: np.ndarray | None) -> None:
        self.config, self._bounds = config, config.value_bounds
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.critics, self.actor = ContinuousQ(spec), GaussianPolicy(spec)
        if config.precision == "float64":
            self.critics.double()
            self.actor.double()
        if observations is not None:
            self.critics.encoder.fit(observations)
            self.actor.encoder.fit(observations)
        self.target = copy.deepcopy(self.critics).requires_grad_(False) if config.target_rate else self.critics
        self.averaged = copy.deepcopy(self.actor).requires_grad_(False) if config.policy_average else self.actor
        self.dtype = next(self.critics.parameters()).dtype
        self.log_temperature = torch.tensor(math.log(config.temperature), dtype=self.dtype, requires_grad=True)
        self._weights: list[Tensor] = list(self.critics.parameters())
        self._target_weights: list[Tensor] = list(self.target.parameters())
        self._actor_weights: list[Tensor] = list(self.actor.parameters())
        self._averaged_weights: list[Tensor] = list(self.averaged.parameters())

    @property
    def alpha(self) -> float | Tensor:
        """α for the losses: a tensor where it is learned, so that no update waits for its value."""
        return self.config.temperature if self.config.entropy_target is None else self.log_temperature.detach().exp()

    def sample(self, states: Float[Tensor, "batch width"], generator: torch.Generator) -> Sampled:
        """ã ~ π(·|s) by reparameterisation, and log π(ã|s)."""
        mean, log_std = self.actor.of_encoded(states)
        return squashed_gaussian(mean, log_std, torch.randn(mean.shape, generator=generator, dtype=mean.dtype))

    def cloning_loss(self, expert: Batch) -> Float[Tensor, ""]:
        """−E_{ρE}[log π(a|s)]."""
        return -squashed_log_density(*self.actor.of_encoded(expert.states), expert.actions).mean()

    def reduced(self, q: Float[Tensor, "critics batch"]) -> Float[Tensor, " batch"]:
        """The minimum or mean over the critics."""
        if len(q) == 1:
            return q[0]
        return q.amin(0) if self.config.reduction == "min" else q.mean(0)

    def q(self, states: Float[Tensor, "batch width"], actions: Float[Tensor, "batch dim"]) -> Float[Tensor, " batch"]:
        """Q(s, a), reduced over the critics."""
        return self.reduced(self.critics.of_inputs(torch.cat([states, actions], dim=-1)))

    def of_blocks(self, blocks: list[Sampled]) -> list[Float[Tensor, "critics batch"]]:
        """Q of several blocks (states, actions), critic by critic, in one pass."""
        inputs = torch.cat([torch.cat(block, dim=-1) for block in blocks])
        return list(torch.split(self.critics.of_inputs(inputs), [len(states) for states, _ in blocks], dim=1))

    def value_from(self, q: Float[Tensor, "critics batch"], log_density: Tensor) -> Float[Tensor, " batch"]:
        """V(s) from Q(s, ã) and log π(ã|s)."""
        return self.reduced(q) - self.alpha * log_density

    def bounded(self, value: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """V̄(s′) within its bounds."""
        return value if self._bounds is None else value.clamp(*self._bounds)

    def target_value(self, states: Float[Tensor, "batch width"], drawn: Sampled) -> Float[Tensor, " batch"]:
        """V̄(s) of the target network, within its bounds, not differentiated."""
        actions, log_density = drawn
        with torch.no_grad():
            q = self.target.of_inputs(torch.cat([states, actions], dim=-1))
            return self.bounded(self.value_from(q, log_density))

    def move_target(self) -> None:
        """A Polyak step of the target network towards the critics."""
        if self.target is not self.critics:
            with torch.no_grad():
                torch._foreach_lerp_(self._target_weights, self._weights, self.config.target_rate)

    def move_average(self, rate: float) -> None:
        """A step of the averaged policy towards the policy."""
        if self.averaged is not self.actor:
            with torch.no_grad():
                torch._foreach_lerp_(self._averaged_weights, self._actor_weights, rate)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {
            "critics": self.critics.state_dict(),
            "target": self.target.state_dict(),
            "actor": self.actor.state_dict(),
            "averaged": self.averaged.state_dict(),
            "log_temperature": self.log_temperature.detach(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        self.critics.load_state_dict(state["critics"])
        self.target.load_state_dict(state["target"])
        self.actor.load_state_dict(state["actor"])
        self.averaged.load_state_dict(state["averaged"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])


@dataclass(frozen=True)
class AtDraws:
    """The critics with the policy's actions (`own`) in the states of the batches: a `Critic`, as a `Loss` needs it."""

    parts: ActorCritic
    own: Sampled

    def step_values(
        self,
        batches: Sequence[Batch],
        starts: Float[Tensor, "starts width"],
        generator: torch.Generator,
        *,
        term: ValueTerm,
        observation_only: bool,
    ) -> tuple[list[list[StepValues]], Float[Tensor, " starts"]]:
        """Q and V wherever `iq_loss` asks for them, by batch and critic, and V of the initial states.

        One pass through the critics, and one through the target network if there is one. V(s) is computed only for the
        states that the value term reads; elsewhere it is NaN.
        """
        parts, own = self.parts, self.own
        states = torch.cat([batch.states for batch in batches])
        taken = torch.cat([batch.actions for batch in batches])
        seconds = [batch.second.states for batch in batches if batch.second is not None]
        successors = torch.cat([*(batch.successors for batch in batches), *seconds])
        starts = starts if term == "initial" else starts[:0]
        with torch.no_grad():
            actions, log_density = parts.sample(torch.cat([starts, successors]), generator)
        first = len(starts)
        valued = len(states) if term == "mixture" else 0 if term == "initial" else len(batches[0])
        drawn = max(valued, len(batches[0])) if observation_only else valued
        blocks = [(states, taken), (states[:drawn], own[0][:drawn]), (starts, actions[:first])]
        following = successors, actions[first:]
        if parts.target is parts.critics:
            q, q_drawn, q_starts, q_next = parts.of_blocks([*blocks, following])
            next_value = parts.bounded(parts.value_from(q_next, log_density[first:]))
        else:
            q, q_drawn, q_starts = parts.of_blocks(blocks)
            next_value = parts.target_value(successors, (actions[first:], log_density[first:]))
        unread = states.new_full((len(states) - valued,), math.nan)
        value = torch.cat([parts.value_from(q_drawn[:, :valued], own[1][:valued]), unread])
        steps, row = [], 0
        for batch in batches:
            rows = slice(row, row + len(batch))
            of_critics = q_drawn[:, rows] if observation_only and row == 0 else q[:, rows]
            after = next_value[rows] * (1 - batch.terminated)
            second = second_of(batch, next_value[len(states) :][rows])
            steps.append([StepValues(one, value[rows], after, batch.terminated, second=second) for one in of_critics])
            row += len(batch)
        return steps, parts.value_from(q_starts, log_density[:first])

    def bellman_error(
        self,
        batches: Sequence[Batch],
        rewards: Float[Tensor, " batch"],
        terminal_value: Float[Tensor, ""] | None,
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """`least_squares_loss` of Q against r + γ[(1 − d)·V̄(s′) + d·V_absorbing], averaged over the critics."""
        parts = self.parts
        states, actions, successors, terminated = (
            torch.cat([getattr(batch, name) for batch in batches])
            for name in ("states", "actions", "successors", "terminated")
        )
        (q,) = parts.of_blocks([(states, actions)])
        with torch.no_grad():
            next_value = parts.target_value(successors, parts.sample(successors, generator))
            target = bellman_target(rewards, next_value, terminated, parts.config.gamma, terminal_value)
        return torch.stack([least_squares_loss(one, target) for one in q]).mean()

    def cloning_loss(self, expert: Batch) -> Float[Tensor, ""]:
        """−E_{ρE}[log π(a|s)]."""
        return self.parts.cloning_loss(expert)

    def lipschitz_penalty(
        self,
        batches: Sequence[Batch],
        terminal_value: Float[Tensor, ""] | None,
        generator: torch.Generator,
        *,
        observation_only: bool,
    ) -> Float[Tensor, ""]:
        """The penalty on the gradient of r by the encoded (s, a, s′), at the expert's steps mixed with the policy's."""
        parts, (expert, *others) = self.parts, batches
        taken = self.own[0][: len(expert)].detach() if observation_only else expert.actions
        points = torch.cat([expert.states, taken, expert.successors], dim=-1)
        for policy in others:
            share = torch.rand(len(points), 1, generator=generator, dtype=points.dtype)
            partner = torch.randint(len(policy), (len(points),), generator=generator)
            mixed_in = torch.cat([policy.states, policy.actions, policy.successors], dim=-1)[partner]
            points = share * points + (1 - share) * mixed_in
        points.requires_grad_()
        width = expert.states.shape[1]
        states, actions, successors = points[:, :width], points[:, width:-width], points[:, -width:]
        drawn, log_density = parts.sample(successors, generator)
        q, q_next = parts.of_blocks([(states, actions), (successors, drawn)])
        next_value = parts.value_from(q_next, log_density) * (1 - expert.terminated)
        steps = StepValues(parts.reduced(q), parts.reduced(q), next_value, expert.terminated)
        reward = inverse_soft_bellman(steps, parts.config.gamma, terminal_value)
        (gradient,) = torch.autograd.grad(reward.sum(), points, create_graph=True)
        return lipschitz_penalty(gradient)


class SoftActorCritic:
    """Critics, a squashed Gaussian policy and a temperature (`ActorCritic`), learned by the config's objective.

    The objective is a `Loss`: each critic has its own, and their mean is minimised. `observations` (N, *shape) set the
    normalisation; with None there is no normalisation. `action_space` is the space of the actions that `act` returns.
    All random numbers come from `generator` or from the config's seed. Batches have names, in this order: "expert"
    where there are demonstrations, "policy" where there are other steps.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        config: ResolvedIQ | ResolvedRL,
        observations: np.ndarray | None,
        action_space: spaces.Box,
    ) -> None:
        torch.empty(_KEPT, dtype=torch.uint8)
        self.config, self.action_space = config, action_space
        self._scale = ActionScale(spec)
        self.parts = ActorCritic(spec, config, observations)
        self.objective = loss_of(config, self.parts.dtype, self.parts.actor)
        self._rates = {
            "critic": config.learning_rate,
            "actor": config.actor_learning_rate,
            "temperature": config.learning_rate,
        }
        self._optimizers = {
            "critic": self._optimizer("critic", [*self.parts.critics.parameters(), *self.objective.parameters]),
            "actor": self._optimizer("actor", list(self.parts.actor.parameters())),
            "temperature": self._optimizer("temperature", [self.parts.log_temperature]),
        }

    def _optimizer(self, name: str, parameters: list[Tensor]) -> AdamW:
        decay = 0.0 if name == "temperature" else self.config.weight_decay
        return AdamW(parameters, learning_rate=self._rates[name], weight_decay=decay)

    @property
    def network(self) -> ContinuousQ:
        """The critics."""
        return self.parts.critics

    @property
    def terminal_value(self) -> Tensor | None:
        """V of the absorbing state, learned or in closed form; None with the convention `zero`."""
        return self.objective.terminal_value

    @property
    def soft_q(self) -> ContinuousSoftQ:
        """The learned soft Q-function, with the averaged policy; it shares its weights with the learner."""
        alpha, config = self.parts.alpha, self.config
        temperature = alpha.item() if isinstance(alpha, Tensor) else alpha
        critics, policy = self.parts.critics, self.parts.averaged
        return ContinuousSoftQ(critics, policy, gamma=config.gamma, temperature=temperature, reduce=config.reduction)

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One draw from π(·|s), in the action space's units, shape and dtype."""
        noise = torch.as_tensor(rng.standard_normal((1, len(self._scale.half))), dtype=self.parts.dtype)
        with torch.no_grad():
            action, _ = self.parts.actor.sample(torch.as_tensor(np.asarray(observation)[None]), noise)
        space = self.action_space
        units = self._scale.to_env(action.numpy()).reshape(space.shape)
        return np.clip(units.astype(space.dtype), space.low, space.high)  # rounding can exceed a bound

    def anneal(self, share: float) -> None:
        """Set the learning rates to this share of the config's."""
        for name, optimizer in self._optimizers.items():
            optimizer.learning_rate = share * self._rates[name]
        self.objective.anneal(share)

    def warm_start(self, expert: Replay, updates: int, critic_updates: int = 0) -> None:
        """Clone the expert's actions into the policy, by `updates` updates at the critics' learning rate.

        Then `critic_updates` fit the critics to the clone's own Q where the objective knows it (csil).
        """
        generator = torch.Generator().manual_seed(self.config.seed)
        optimizer = AdamW(list(self.parts.actor.parameters()), learning_rate=self._rates["critic"])
        for _ in range(updates):
            optimizer.step(self.parts.cloning_loss(expert.sample(self.config.batch_size, generator)))
        self.parts.move_average(1.0)
        self.objective.take_clone(self.parts.actor, expert, updates, generator)
        self._fit_critics(expert, critic_updates, generator)

    def _fit_critics(self, expert: Replay, updates: int, generator: torch.Generator) -> None:
        """Regress Q on `clone_values` in the expert's states, at its actions, the policy's, and uniform ones.

        Q is then right around the clone's actions too, so that the clone stays where Q is highest. Watson et al. 2023
        bootstrap Q at the expert's actions alone (SARSA), and penalise its gradient by the action there.
        """
        optimizer = AdamW(list(self.parts.critics.parameters()), learning_rate=self._rates["critic"])
        for update in range(updates):
            optimizer.learning_rate = (1 - update / updates) * self._rates["critic"]
            batch = expert.sample(self.config.batch_size, generator)
            with torch.no_grad():
                drawn, _ = self.parts.sample(batch.states, generator)
            uniform = 2 * torch.rand(drawn.shape, generator=generator, dtype=drawn.dtype) - 1
            states, actions = batch.states.repeat(3, 1), torch.cat([batch.actions, drawn, uniform])
            known = self.objective.clone_values(states, actions)
            if known is None:
                raise ValueError("Only the objective 'csil' knows Q of the clone; set critic_warm_start to 0.")
            (q,) = self.parts.of_blocks([(states, actions)])
            optimizer.step(torch.stack([least_squares_loss(one, known) for one in q]).mean())
        if updates and self.parts.target is not self.parts.critics:
            self.parts.target.load_state_dict(self.parts.critics.state_dict())

    def update(
        self, batches: Mapping[str, Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """One gradient step of the critics, and one of the policy (and of α) on the states of all batches.

        Returns the critics' loss as a tensor, so that no update waits for its value.
        """
        parts, steps = self.parts, list(batches.values())
        states = torch.cat([batch.states for batch in steps])
        drawn, log_density = parts.sample(states, generator)
        actions = drawn.detach().requires_grad_()
        loss = self.objective(AtDraws(parts, (actions, log_density.detach())), steps, starts, generator)
        if self.objective.is_saddle(steps):  # the loss depends on ã through the mean of Q(s, ã)
            (by_action,) = self._optimizers["critic"].step(loss, [actions])
            by_action = by_action * len(states)
        else:
            self._optimizers["critic"].step(loss)
            (by_action,) = torch.autograd.grad(parts.q(states, actions).sum(), [actions])
        gain = (by_action * drawn).sum(-1)  # Q(s, ã) to first order in ã
        self._optimizers["actor"].step(policy_loss(log_density, gain, parts.alpha))
        self._average()
        if self.config.entropy_target is not None:
            target = self.config.entropy_target * actions.shape[1]
            self._optimizers["temperature"].step(temperature_loss(parts.log_temperature, log_density, target))
        parts.move_target()
        self.objective.observe(steps)
        return loss.detach()

    def loss(
        self, batches: Mapping[str, Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """The critics' objective at batches of steps and (encoded) initial states."""
        steps = list(batches.values())
        with torch.no_grad():
            own = self.parts.sample(torch.cat([batch.states for batch in steps]), generator)
        return self.objective(AtDraws(self.parts, own), steps, starts, generator)

    def metrics(self, batches: Mapping[str, Batch], generator: torch.Generator) -> dict[str, float]:
        """The policy's entropy and α; of each batch mean Q(s, a) and r(s, a, s′); the absorbing state's value."""
        parts, end = self.parts, self.terminal_value
        result = self._spread(batches, generator)
        with torch.no_grad():
            for name, batch in batches.items():
                q = parts.q(batch.states, batch.actions)
                next_value = parts.target_value(batch.successors, parts.sample(batch.successors, generator))
                values = StepValues(q, q, next_value * (1 - batch.terminated), batch.terminated)
                reward = inverse_soft_bellman(values, self.config.gamma, end)
                result |= {f"q_{name}": q.mean().item(), f"reward_{name}": reward.mean().item()}
        return result if end is None else {**result, "terminal_value": end.item()}

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {
            "parts": self.parts.state(),
            "objective": self.objective.state(),
            "optimizers": {name: optimizer.state() for name, optimizer in self._optimizers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""
        self.parts.restore(state["parts"])
        self.objective.restore(state["objective"])
        for name, optimizer in self._optimizers.items():
            optimizer.restore(state["optimizers"][name])

    def _spread(self, batches: Mapping[str, Batch], generator: torch.Generator) -> dict[str, float]:
        """The policy's entropy on the batches' states, and α."""
        with torch.no_grad():
            _, log_density = self.parts.sample(torch.cat([batch.states for batch in batches.values()]), generator)
        return {"entropy": -log_density.mean().item(), "temperature": self.soft_q.temperature}

    def _average(self) -> None:
        """A step of the averaged policy."""
        self.parts.move_average(averaging_rate(self.config.policy_average, self._optimizers["actor"].steps))


class Cloner(SoftActorCritic):
    """The engine of `bc`: only the policy is learned, cloned from the expert; Q stays as it was."""

    def update(
        self, batches: Mapping[str, Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """One gradient step of the policy; returns its loss as a tensor."""
        loss = self.loss(batches, starts, generator)
        self._optimizers["actor"].step(loss)
        self._average()
        return loss.detach()

    def loss(
        self, batches: Mapping[str, Batch], starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """−E_{ρE}[log π(a|s)]."""
        return self.parts.cloning_loss(batches["expert"])

    def metrics(self, batches: Mapping[str, Batch], generator: torch.Generator) -> dict[str, float]:
        """The policy's entropy and α."""
        return self._spread(batches, generator)
