"""Soft actor-critic with bounded continuous actions: one engine whose critic objective is a setting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from irl_probe.learn.actor_critic import ActorCritic, Sampled
from irl_probe.learn.averaging import averaging_rate
from irl_probe.learn.config import IQConfig
from irl_probe.learn.critic_losses import lipschitz_loss, regression_loss, step_values
from irl_probe.learn.labels import StepRewards
from irl_probe.learn.objectives import StepValues, inverse_soft_bellman, iq_loss, policy_loss, temperature_loss
from irl_probe.learn.optimizer import AdamW
from irl_probe.learn.replay import Batch, Replay
from irl_probe.networks import ActionScale, ContinuousQ, NetworkSpec
from irl_probe.softq import ContinuousSoftQ

# glibc gives freed blocks back to the system, which zeroes them at every update, unless it has seen a larger one freed.
_KEPT = 31 << 20


class SoftActorCritic:
    """Critics, a squashed Gaussian policy and a temperature (`ActorCritic`), learned by the config's objective.

    Each critic has its own loss, and their mean is minimised. `iq` and `rize` are functions of r = Q − γV(s′) and V;
    the other objectives regress Q on rewards (`StepRewards`). With `bc` only the policy is learned: Q stays as it was.

    `observations` (N, *shape) set the normalisation; None leaves them as they are. `action_space` says what `act`
    returns. All random numbers come from `generator` or from the config's seed.
    """

    def __init__(
        self, spec: NetworkSpec, config: IQConfig, observations: np.ndarray | None, action_space: spaces.Box
    ) -> None:
        torch.empty(_KEPT, dtype=torch.uint8)
        self.config, self.action_space = config, action_space
        self._scale = ActionScale(spec)
        self.parts = ActorCritic(spec, config, observations)
        self.rewards = StepRewards(config, self.parts.actor)
        inverse = config.objective in ("iq", "rize")
        self._settings = config.settings() if inverse else None
        absorbing = inverse and config.terminal == "absorbing"
        self._absorbing_reward = nn.Parameter(torch.zeros((), dtype=self.parts.dtype)) if absorbing else None
        ends = [] if self._absorbing_reward is None else [self._absorbing_reward]
        assert config.learning_rate is not None
        assert config.actor_learning_rate is not None
        self._rates = {
            "critic": config.learning_rate,
            "actor": config.actor_learning_rate,
            "temperature": config.learning_rate,
        }
        self._optimizers = {
            "critic": self._optimizer("critic", [*self.parts.critics.parameters(), *ends]),
            "actor": self._optimizer("actor", list(self.parts.actor.parameters())),
            "temperature": self._optimizer("temperature", [self.parts.log_temperature]),
        }

    def _optimizer(self, name: str, parameters: list[Tensor]) -> AdamW:
        rate, decay = self._rates[name], self.config.weight_decay
        assert decay is not None
        return AdamW(parameters, learning_rate=rate, weight_decay=0.0 if name == "temperature" else decay)

    @property
    def network(self) -> ContinuousQ:
        """The critics."""
        return self.parts.critics

    @property
    def terminal_value(self) -> Tensor | None:
        """V_absorbing = r_absorbing/(1 − γ); None with the convention `zero`.

        `iq` and `rize` learn r_absorbing by gradient, on the scale of a reward: V itself would take 1/(1 − γ) times as
        many steps. The others have it in closed form.
        """
        if self._absorbing_reward is not None:
            return self._absorbing_reward / (1 - self.config.gamma)
        return self.rewards.terminal_value

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
        return np.clip(units.astype(space.dtype), space.low, space.high)  # rounding can step over a bound

    def anneal(self, share: float) -> None:
        """Let the learning rates be this share of the config's from now on."""
        for name, optimizer in self._optimizers.items():
            optimizer.learning_rate = share * self._rates[name]

    def warm_start(self, expert: Replay) -> None:
        """Clone the expert, `config.warm_start` updates at the critics' rate, before anything else is learned."""
        assert self.config.warm_start is not None
        assert self.config.batch_size is not None
        generator = torch.Generator().manual_seed(self.config.seed)
        optimizer = AdamW(list(self.parts.actor.parameters()), learning_rate=self._rates["critic"])
        for _ in range(self.config.warm_start):
            optimizer.step(self._cloning_loss(expert.sample(self.config.batch_size, generator)))
        self.parts.move_average(1.0)
        self.rewards.take_prior(self.parts.actor)

    def update(
        self,
        expert: Batch | None,
        policy: Batch | None,
        starts: Float[Tensor, "starts width"],
        generator: torch.Generator,
    ) -> Tensor:
        """One gradient step of the critics, and one of the policy (and of α) on the states of both batches.

        Returns the critics' loss (the policy's with `bc`) as a tensor, so that nothing waits for it.
        """
        parts = self.parts
        if self.config.objective == "bc":
            assert expert is not None
            loss = self._cloning_loss(expert)
            self._optimizers["actor"].step(loss)
            self._average()
            return loss.detach()
        batches = self._batches(expert, policy)
        states = torch.cat([batch.states for batch in batches])
        drawn, log_density = parts.sample(states, generator)
        actions = drawn.detach().requires_grad_()
        loss = self._critic_loss(batches, (actions, log_density.detach()), starts, generator)
        if self._is_saddle(batches):  # the value term's gradient by ã is that of the mean of Q(s, ã)
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
        self.rewards.observe(batches)
        return loss.detach()

    def _average(self) -> None:
        """A step of the averaged policy."""
        assert self.config.policy_average is not None
        self.parts.move_average(averaging_rate(self.config.policy_average, self._optimizers["actor"].steps))

    def _is_saddle(self, batches: list[Batch]) -> bool:
        """Whether the objective reads the policy's actions as the mean of V(s) over all the batches' states alone.

        Then J(Q, π) is minimised by the critics and maximised by the policy (IQ-Learn eq. 8), and one backward pass
        gives both gradients: the policy's step needs no pass of its own through the critics.
        """
        config = self.config
        everywhere = config.value_term == "mixture" or (config.value_term == "expert" and len(batches) == 1)
        alike = len({len(batch) for batch in batches}) == 1
        return self._settings is not None and everywhere and alike and not config.observation_only

    def loss(
        self,
        expert: Batch | None,
        policy: Batch | None,
        starts: Float[Tensor, "starts width"],
        generator: torch.Generator,
    ) -> Tensor:
        """The critics' objective (the policy's with `bc`) at batches of steps and (encoded) initial states."""
        if self.config.objective == "bc":
            assert expert is not None
            return self._cloning_loss(expert)
        batches = self._batches(expert, policy)
        with torch.no_grad():
            own = self.parts.sample(torch.cat([batch.states for batch in batches]), generator)
        return self._critic_loss(batches, own, starts, generator)

    def metrics(self, expert: Batch | None, policy: Batch | None, generator: torch.Generator) -> dict[str, float]:
        """The policy's entropy and α; of each batch mean Q(s, a) and r(s, a, s′); the absorbing state's value."""
        batches = {name: batch for name, batch in (("expert", expert), ("policy", policy)) if batch is not None}
        parts, end = self.parts, self.terminal_value
        with torch.no_grad():
            _, log_density = parts.sample(torch.cat([b.states for b in batches.values()]), generator)
            result = {"entropy": -log_density.mean().item(), "temperature": self.soft_q.temperature}
            if self.config.objective == "bc":
                return result
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
            "rewards": self.rewards.state(),
            "absorbing_reward": None if self._absorbing_reward is None else self._absorbing_reward.detach(),
            "optimizers": {name: optimizer.state() for name, optimizer in self._optimizers.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take a checkpoint's state back."""
        self.parts.restore(state["parts"])
        self.rewards.restore(state["rewards"])
        for name, optimizer in self._optimizers.items():
            optimizer.restore(state["optimizers"][name])
        if self._absorbing_reward is not None:
            with torch.no_grad():
                self._absorbing_reward.copy_(state["absorbing_reward"])

    def _batches(self, expert: Batch | None, policy: Batch | None) -> list[Batch]:
        """The batches that the objective reads: `bellman` has no use for the expert's."""
        if self.config.objective == "bellman":
            assert policy is not None
            return [policy]
        assert expert is not None
        return [expert] if policy is None else [expert, policy]

    def _cloning_loss(self, expert: Batch) -> Tensor:
        """−E_{ρE}[log π(a|s)]."""
        return -self.parts.log_density(expert.states, expert.actions).mean()

    def _critic_loss(
        self, batches: list[Batch], own: Sampled, starts: Float[Tensor, "starts width"], generator: torch.Generator
    ) -> Tensor:
        """The objective, averaged over the critics; `own` are the policy's actions in the batches' states."""
        config, end = self.config, self.terminal_value
        if self._settings is None:
            return regression_loss(self.parts, batches, self.rewards(batches), end, generator)
        steps, initial_value = step_values(self.parts, batches, own, starts, generator)
        policy_steps = steps[1] if len(steps) > 1 else [None] * len(steps[0])
        settings = self._settings
        if config.objective == "rize":
            settings = replace(settings, reward_targets=self.rewards.targets)
            self.rewards.move_targets([inverse_soft_bellman(of[0], config.gamma, end).detach() for of in steps])
        losses = [
            iq_loss(of_expert, of_policy, initial_value, end, settings)
            for of_expert, of_policy in zip(steps[0], policy_steps, strict=True)
        ]
        loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean()
        if config.divergence == "w1":
            loss = loss + config.gradient_penalty * lipschitz_loss(self.parts, batches, own, end, generator)
        return loss
