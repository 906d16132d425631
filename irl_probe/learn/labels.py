"""The rewards that Q is regressed on: given rewards, labels (SQIL, LS-IQ), or the clone's log density (CSIL)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from irl_probe.learn.config import ResolvedIQ
from irl_probe.learn.optimizer import AdamW
from irl_probe.learn.replay import Batch, Replay
from irl_probe.learn.stationary import StationaryPolicy
from irl_probe.softq import GaussianPolicy, squashed_log_density

TERMINATION_RATE = 1e-3  # of the running shares of steps that terminate
LOWEST_NATS = 5.0  # a dimension: e^{−x} is so large below −5 that one step would decide `refinement_loss`


def label_rewards(
    expert: int, policy: int, rewards: tuple[float, float], like: Float[Tensor, ...]
) -> Float[Tensor, " batch"]:
    """One reward for the expert's steps and another for the policy's, in that order; dtype of `like`.

    SQIL pays (1, 0)  (Reddy et al. 2020, Alg. 1); LS-IQ (1/c, −1/c).
    """
    return torch.cat([like.new_full((expert,), rewards[0]), like.new_full((policy,), rewards[1])])


def absorbing_value(ends: Float[Tensor, 2], rewards: tuple[float, float], gamma: float) -> Float[Tensor, ""]:
    """V_absorbing = r_absorbing/(1 − γ) in closed form  (after LS-IQ §3.3).

    r_absorbing is the least-squares estimate from the rewards of the steps that lead there: their mean, weighted by
    `ends`, the shares of the expert's and of the policy's steps that terminate; 0 as long as no step did.
    """
    mean = (ends[0] * rewards[0] + ends[1] * rewards[1]) / ends.sum().clamp(min=torch.finfo(ends.dtype).tiny)
    return mean / (1 - gamma)


def coherent_reward(
    log_density: Float[Tensor, " batch"], dimensions: int, temperature: float, *, nats: float = 10.0
) -> Float[Tensor, " batch"]:
    """r(s, a) = α(log π_BC(a|s) − log p₀(a|s)), p₀ uniform on [−1, 1]^dim  (Watson et al. 2023, CSIL).

    With the entropy coefficient α the soft-optimal policy is exp(r/α)·p₀ = π_BC, in any number of dimensions. Off the
    data no clone is calibrated in its tails, so the log ratio is clipped to ±`nats` a dimension. The clip is far out:
    with ±5, in one dimension, the soft optimum of a clone with σ = .05 has σ = .069; with ±10, .0501.

    Their code pays the log ratio divided by dim, beside an entropy coefficient of .01 relative to the clone: its
    optimum is sharper than the clone.
    """
    return temperature * dimensions * (log_density / dimensions + math.log(2)).clamp(-nats, nats)


def coherent_value(dimensions: int, temperature: float, gamma: float) -> float:
    """V of the clone under its own `coherent_reward`: α·dim·log 2/(1 − γ), the same in every state (without the clip).

    For E_{a~π_BC}[r − α log π_BC] = −α log p₀ = α·dim·log 2 at every step, the entropy bonus of the prior. So the
    clone's Q = r + γV needs no dynamics, and an absorbing state, where no action matters and r = 0, has this V too.
    """
    return temperature * dimensions * math.log(2) / (1 - gamma)


def refinement_loss(
    expert: Float[Tensor, " expert"], policy: Float[Tensor, " policy"], dimensions: int
) -> Float[Tensor, ""]:
    """−E_E[x] + E_π[e^{−x} − 1 + x], x = (log π_BC(a|s) − log p₀)/dim at log densities  (after Watson et al. 2023).

    The first term is the likelihood of the expert's actions. The second estimates the policy's divergence from p₀; it
    is never negative and has its minimum at x = 0, so it takes back rewards that only the clone's extrapolation pays.
    A policy step below x = −5 has no gradient. Theirs has none from e^{−x} there, but keeps that of x.
    """
    x_expert, x_policy = (each / dimensions + math.log(2) for each in (expert, policy))
    x_policy = x_policy.clamp(min=-LOWEST_NATS)
    return (torch.exp(-x_policy) - 1 + x_policy).mean() - x_expert.mean()


class Rewards(Protocol):
    """The rewards of batches of steps, with the state that they depend on."""

    def __call__(self, batches: Sequence[Batch]) -> Float[Tensor, " batch"]:
        """The rewards of the batches' steps, one batch after the other."""

    @property
    def terminal_value(self) -> Tensor | None:
        """V_absorbing; None with the convention `zero`."""

    def observe(self, batches: Sequence[Batch]) -> None:
        """Record the steps of an update."""

    def take_clone(self, actor: GaussianPolicy, expert: Replay, updates: int, generator: torch.Generator) -> None:
        """Copy the policy that was cloned from the expert, or clone another one by as many updates."""

    def clone_values(self, states: Tensor, actions: Tensor) -> Tensor | None:
        """Q of the cloned policy where it is known in closed form, else None."""

    def anneal(self, share: float) -> None:
        """Set its own learning rate to this share of the config's."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""


class Memoryless:
    """Has no state, and so nothing to record or to save; a subclass with state overrides these methods."""

    def observe(self, batches: Sequence[Batch]) -> None: ...
    def take_clone(self, actor: GaussianPolicy, expert: Replay, updates: int, generator: torch.Generator) -> None: ...
    def clone_values(self, states: Tensor, actions: Tensor) -> Tensor | None: ...
    def anneal(self, share: float) -> None: ...
    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: dict[str, Any]) -> None: ...


class GivenRewards(Memoryless):
    """The rewards that the steps came with; V = 0 after termination."""

    terminal_value = None

    def __call__(self, batches: Sequence[Batch]) -> Float[Tensor, " batch"]:
        return torch.cat([batch.rewards for batch in batches])


class LabelRewards(Memoryless):
    """One reward for the expert's steps and another for the policy's (`label_rewards`).

    With `absorbing` it tracks the shares of expert and policy steps that terminate, for `absorbing_value`.
    """

    def __init__(self, targets: tuple[float, float], gamma: float, *, absorbing: bool) -> None:
        self.targets, self.gamma, self.absorbing = targets, gamma, absorbing
        self._ends = torch.zeros(2, dtype=torch.float64)

    def __call__(self, batches: Sequence[Batch]) -> Float[Tensor, " batch"]:
        return label_rewards(len(batches[0]), sum(map(len, batches[1:])), self.targets, batches[0].states)

    @property
    def terminal_value(self) -> Tensor | None:
        """`absorbing_value`; None with the convention `zero`."""
        return absorbing_value(self._ends, self.targets, self.gamma).float() if self.absorbing else None

    def observe(self, batches: Sequence[Batch]) -> None:
        """Update the shares of steps that terminate."""
        if self.absorbing:
            for share, batch in zip(self._ends, batches, strict=False):
                share.lerp_(batch.terminated.double().mean(), TERMINATION_RATE)

    def state(self) -> dict[str, Any]:
        """The shares."""
        return {"ends": self._ends}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the shares."""
        self._ends.copy_(state["ends"])


class CloneRewards(Memoryless):
    """`coherent_reward` of π_BC, a clone of the expert: stationary, or a copy of `actor` at `take_clone`.

    With reward_learning_rate above 0 every update refines π_BC by `refinement_loss`. The reward stays a log density, so
    it stays coherent: its soft optimum is the refined clone.
    """

    def __init__(self, actor: GaussianPolicy, config: ResolvedIQ) -> None:
        self._config, self._dimensions = config, len(actor.spec.action_low or ())
        self._clone: GaussianPolicy | StationaryPolicy = copy.deepcopy(actor)
        if config.clone == "stationary":
            with torch.random.fork_rng():
                torch.manual_seed(config.seed)
                self._clone = StationaryPolicy(actor.spec).to(actor.encoder.mean.dtype)
        self._optimizer = AdamW(list(self._clone.parameters()), learning_rate=config.reward_learning_rate)

    def __call__(self, batches: Sequence[Batch]) -> Float[Tensor, " batch"]:
        states, actions = (torch.cat([getattr(b, name) for b in batches]) for name in ("states", "actions"))
        return self._reward(states, actions)

    @property
    def terminal_value(self) -> Tensor | None:
        """`coherent_value`; None with the convention `zero`, which pays for not terminating."""
        value = coherent_value(self._dimensions, self._config.temperature, self._config.gamma)
        return torch.tensor(value, dtype=torch.float32) if self._config.terminal == "absorbing" else None

    def clone_values(self, states: Tensor, actions: Tensor) -> Tensor:
        """Q = r + γV of the clone under its own reward, with V = `coherent_value`: no dynamics are needed."""
        value = coherent_value(self._dimensions, self._config.temperature, self._config.gamma)
        return self._reward(states, actions) + self._config.gamma * value

    def take_clone(self, actor: GaussianPolicy, expert: Replay, updates: int, generator: torch.Generator) -> None:
        """Fit the stationary clone to the expert's steps, or copy `actor`."""
        if isinstance(self._clone, StationaryPolicy):
            self._clone.fit(expert, updates, self._config.batch_size, generator)
        else:
            self._clone.load_state_dict(actor.state_dict())

    def observe(self, batches: Sequence[Batch]) -> None:
        """Refine the clone on the expert's steps (the first batch) and the policy's."""
        if self._config.reward_learning_rate and len(batches) > 1:
            expert, policy = (self._log_density(batch.states, batch.actions) for batch in batches)
            self._optimizer.step(refinement_loss(expert, policy, self._dimensions))

    def anneal(self, share: float) -> None:
        """Set the learning rate of the refinement to this share of the config's."""
        self._optimizer.learning_rate = share * self._config.reward_learning_rate

    def state(self) -> dict[str, Any]:
        """π_BC and the state of its refinement."""
        return {"clone": self._clone.state_dict(), "optimizer": self._optimizer.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore π_BC."""
        self._clone.load_state_dict(state["clone"])
        self._optimizer.restore(state["optimizer"])

    def _log_density(self, states: Tensor, actions: Tensor) -> Tensor:
        return squashed_log_density(*self._clone.of_encoded(states), actions)

    def _reward(self, states: Tensor, actions: Tensor) -> Tensor:
        with torch.no_grad():
            log_density = self._log_density(states, actions)
        return coherent_reward(log_density, self._dimensions, self._config.temperature)
