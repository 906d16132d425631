"""Soft actor-critic with bounded continuous actions: one engine whose critic objective is a setting."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor, nn

from irl_probe.learn.config import ResolvedIQ, ResolvedRL
from irl_probe.learn.labels import StepRewards, value_bounds
from irl_probe.learn.objectives import (
    StepValues,
    bellman_target,
    inverse_soft_bellman,
    iq_loss,
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


class ActorCritic:
    """Q(s, a) by one or more critics, π(a|s), α, and V(s) = Q(s, ã) − α log π(ã|s) at one ã ~ π.

    With several critics the Q in V is their minimum or mean. States are encoded, actions in [−1, 1].
    `observations` (N, *shape) set the normalisation; None leaves them as they are.
    """

    def __init__(self, spec: NetworkSpec, config: ResolvedIQ | ResolvedRL, observations: np.ndarray | None) -> None:
        self.config = config
        self._bounds = value_bounds(config.reward_targets, config.gamma) if config.bound_values else None
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.critics, self.actor = ContinuousQ(spec), GaussianPolicy(spec)
        if config.precision == "float64":
            self.critics.double()
            self.actor.double()
        if config.normalise and observations is not None:
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
        """α as the losses read it: a tensor where it is learned, so that nothing waits for its value."""
        return self.config.temperature if self.config.entropy_target is None else self.log_temperature.detach().exp()

    def sample(self, states: Float[Tensor, "batch width"], generator: torch.Generator) -> Sampled:
        """ã ~ π(·|s) by reparameterisation, and log π(ã|s)."""
        mean, log_std = self.actor.of_encoded(states)
        return squashed_gaussian(mean, log_std, torch.randn(mean.shape, generator=generator, dtype=mean.dtype))

    def log_density(
        self, states: Float[Tensor, "batch width"], actions: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, " batch"]:
        """log π(a|s)."""
        return squashed_log_density(*self.actor.of_encoded(states), actions)

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
        """Polyak's step of the target network."""
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
        """Take a checkpoint's state back."""
        self.critics.load_state_dict(state["critics"])
        self.target.load_state_dict(state["target"])
        self.actor.load_state_dict(state["actor"])
        self.averaged.load_state_dict(state["averaged"])
        with torch.no_grad():
            self.log_temperature.copy_(state["log_temperature"])


def step_values(
    parts: ActorCritic,
    batches: list[Batch],
    own: Sampled,
    starts: Float[Tensor, "starts width"],
    generator: torch.Generator,
) -> tuple[list[list[StepValues]], Float[Tensor, " starts"]]:
    """Q and V wherever `iq_loss` asks for them, by batch and critic, and V of the initial states.

    `own` are the policy's actions in the batches' states. One pass through the critics, and one through the target
    network where there is one. V(s) is there only for the states that the value term reads; the others' is NaN.
    """
    term, observation_only = parts.config.value_term, parts.config.observation_only
    states = torch.cat([batch.states for batch in batches])
    taken = torch.cat([batch.actions for batch in batches])
    successors = torch.cat([batch.successors for batch in batches])
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
        steps.append([StepValues(one, value[rows], after, batch.terminated) for one in of_critics])
        row += len(batch)
    return steps, parts.value_from(q_starts, log_density[:first])


def regression_loss(
    parts: ActorCritic,
    batches: list[Batch],
    rewards: Float[Tensor, " batch"],
    terminal_value: Float[Tensor, ""] | None,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Q of all the batches' steps regressed on r + γ[(1 − d)·V̄(s′) + d·V_absorbing], averaged over the critics."""
    states, actions, successors, terminated = (
        torch.cat([getattr(batch, name) for batch in batches])
        for name in ("states", "actions", "successors", "terminated")
    )
    (q,) = parts.of_blocks([(states, actions)])
    with torch.no_grad():
        next_value = parts.target_value(successors, parts.sample(successors, generator))
        target = bellman_target(rewards, next_value, terminated, parts.config.gamma, terminal_value)
    return torch.stack([least_squares_loss(one, target) for one in q]).mean()


def lipschitz_loss(
    parts: ActorCritic,
    batches: list[Batch],
    own: Sampled,
    terminal_value: Float[Tensor, ""] | None,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """The penalty on ∇r(s, a, s′) by the encoded (s, a, s′), at the expert's steps mixed with the policy's."""
    expert, config = batches[0], parts.config
    taken = own[0][: len(expert)].detach() if config.observation_only else expert.actions
    points = torch.cat([expert.states, taken, expert.successors], dim=-1)
    if len(batches) > 1:
        policy = batches[1]
        share = torch.rand(len(points), 1, generator=generator, dtype=points.dtype)
        partner = torch.randint(len(policy), (len(points),), generator=generator)
        others = torch.cat([policy.states, policy.actions, policy.successors], dim=-1)[partner]
        points = share * points + (1 - share) * others
    points.requires_grad_()
    width = expert.states.shape[1]
    states, actions, successors = points[:, :width], points[:, width:-width], points[:, -width:]
    drawn, log_density = parts.sample(successors, generator)
    q, q_next = parts.of_blocks([(states, actions), (successors, drawn)])
    next_value = parts.value_from(q_next, log_density) * (1 - expert.terminated)
    steps = StepValues(parts.reduced(q), parts.reduced(q), next_value, expert.terminated)
    reward = inverse_soft_bellman(steps, config.gamma, terminal_value)
    (gradient,) = torch.autograd.grad(reward.sum(), points, create_graph=True)
    return lipschitz_penalty(gradient)


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
        self.rewards = StepRewards(config, self.parts.actor)
        inverse = config.objective in ("iq", "rize")
        self._settings = config.settings() if isinstance(config, ResolvedIQ) and inverse else None
        absorbing = inverse and config.terminal == "absorbing"
        self._absorbing_reward = nn.Parameter(torch.zeros((), dtype=self.parts.dtype)) if absorbing else None
        ends = [] if self._absorbing_reward is None else [self._absorbing_reward]
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
