"""The rewards that Q is regressed on: given rewards, labels (SQIL, LS-IQ), or the clone's log density (CSIL)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from irl_probe.learn.replay import Batch
from irl_probe.softq import GaussianPolicy, squashed_log_density

TERMINATION_RATE = 1e-3  # of the running shares of steps that terminate


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
    log_density: Float[Tensor, " batch"], dimensions: int, temperature: float, *, nats: float = 5.0
) -> Float[Tensor, " batch"]:
    """r(s, a) = α(log π_BC(a|s) − log p₀(a|s))/dim A, p₀ uniform on [−1, 1]^dim  (Watson et al. 2023, CSIL).

    A policy cloned by a plain network is not calibrated off the data (theirs goes back to the prior there), so the
    log ratio per dimension is clipped to ±`nats`.
    """
    return temperature * (log_density / dimensions + math.log(2)).clamp(-nats, nats)


class Rewards(Protocol):
    """The rewards of batches of steps, with the state that they depend on."""

    def __call__(self, batches: Sequence[Batch]) -> Float[Tensor, " batch"]:
        """The rewards of the batches' steps, one batch after the other."""

    @property
    def terminal_value(self) -> Tensor | None:
        """V_absorbing; None with the convention `zero`."""

    def observe(self, batches: Sequence[Batch]) -> None:
        """Record the steps of an update."""

    def take_clone(self, actor: GaussianPolicy) -> None:
        """Copy the policy that was cloned from the expert."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint's state."""


class Memoryless:
    """Has no state, and so nothing to record or to save; a subclass with state overrides these methods."""

    def observe(self, batches: Sequence[Batch]) -> None: ...
    def take_clone(self, actor: GaussianPolicy) -> None: ...
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
    """`coherent_reward` of the policy π_BC that was cloned from the expert; of a copy of `actor` until `take_clone`."""

    terminal_value = None

    def __init__(self, actor: GaussianPolicy, temperature: float) -> None:
        self.temperature = temperature
        self._clone = copy.deepcopy(actor).requires_grad_(False)

    def __call__(self, batches: Sequence[Batch]) -> Float[Tensor, " batch"]:
        states, actions = (torch.cat([getattr(b, name) for b in batches]) for name in ("states", "actions"))
        with torch.no_grad():
            log_density = squashed_log_density(*self._clone.of_encoded(states), actions)
        return coherent_reward(log_density, actions.shape[1], self.temperature)

    def take_clone(self, actor: GaussianPolicy) -> None:
        """Use a copy of this policy as π_BC from now on."""
        self._clone.load_state_dict(actor.state_dict())

    def state(self) -> dict[str, Any]:
        """π_BC."""
        return {"clone": self._clone.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore π_BC."""
        self._clone.load_state_dict(state["clone"])
