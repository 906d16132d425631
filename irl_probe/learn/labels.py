"""The rewards that an objective itself pays for a step (SQIL, LS-IQ, CSIL), and the targets that RIZE moves."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from irl_probe.learn.config import ResolvedIQ, ResolvedRL
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

    r_absorbing is what least squares makes of the rewards of the steps that lead there: their mean, weighted by the
    shares `ends` of the expert's and of the policy's steps that terminate; 0 as long as none did.
    """
    mean = (ends[0] * rewards[0] + ends[1] * rewards[1]) / ends.sum().clamp(min=torch.finfo(ends.dtype).tiny)
    return mean / (1 - gamma)


def value_bounds(rewards: tuple[float, float], gamma: float) -> tuple[float, float]:
    """What the lower and the higher reward are worth for ever: without the entropy bonus no V lies outside them."""
    return min(rewards) / (1 - gamma), max(rewards) / (1 - gamma)


def coherent_reward(
    log_density: Float[Tensor, " batch"], dimensions: int, temperature: float, *, nats: float = 5.0
) -> Float[Tensor, " batch"]:
    """r(s, a) = α(log π_BC(a|s) − log p₀(a|s))/dim A, p₀ uniform on [−1, 1]^dim  (Watson et al. 2023, CSIL).

    A policy cloned by a plain network is not calibrated off the data (theirs goes back to the prior there), so the
    log ratio per dimension is clipped to ±`nats`.
    """
    return temperature * (log_density / dimensions + math.log(2)).clamp(-nats, nats)


class StepRewards:
    """What an objective pays for the steps of its batches, with all that it must remember for that.

    `targets` are the rewards of expert and policy steps: the config's, which `rize` moves.
    """

    def __init__(self, config: ResolvedIQ | ResolvedRL, actor: GaussianPolicy | None = None) -> None:
        self.config, self.targets = config, config.reward_targets
        self._closed_form = config.terminal == "absorbing" and config.objective in ("sqil", "lsiq")
        self._ends = torch.zeros(2, dtype=torch.float64)
        self._prior = copy.deepcopy(actor).requires_grad_(False) if config.objective == "csil" and actor else None

    def __call__(self, batches: list[Batch]) -> Float[Tensor, " batch"]:
        """The rewards of the batches' steps, one after the other."""
        if self.config.objective == "bellman":
            return batches[0].rewards
        if self._prior is None:
            return label_rewards(len(batches[0]), sum(map(len, batches[1:])), self.targets, batches[0].states)
        states, actions = (torch.cat([getattr(b, name) for b in batches]) for name in ("states", "actions"))
        with torch.no_grad():
            log_density = squashed_log_density(*self._prior.of_encoded(states), actions)
        return coherent_reward(log_density, actions.shape[1], self.config.temperature)

    @property
    def terminal_value(self) -> Tensor | None:
        """`absorbing_value`; None with the convention `zero`, and where the objective has no labels."""
        if not self._closed_form:
            return None
        return absorbing_value(self._ends, self.targets, self.config.gamma).float()

    def observe(self, batches: list[Batch]) -> None:
        """Take note of how many of the batches' steps terminate."""
        if self._closed_form:
            for share, batch in zip(self._ends, batches, strict=False):
                share.lerp_(batch.terminated.double().mean(), TERMINATION_RATE)

    def move_targets(self, rewards: list[Float[Tensor, " batch"]]) -> None:
        """λ ← λ + η(E[r] − λ) for expert and policy: RIZE's own targets of the regulariser E[(r − λ)²]."""
        means = [reward.mean().item() for reward in rewards]
        if len(means) == 2:
            expert, policy = (t + self.config.target_step * (m - t) for t, m in zip(self.targets, means, strict=True))
            self.targets = expert, policy

    def take_prior(self, actor: GaussianPolicy) -> None:
        """Let this be π_BC from now on."""
        if self._prior is not None:
            self._prior.load_state_dict(actor.state_dict())

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        prior = None if self._prior is None else self._prior.state_dict()
        return {"targets": self.targets, "ends": self._ends, "prior": prior}

    def restore(self, state: dict[str, Any]) -> None:
        """Take a checkpoint's state back."""
        self.targets = state["targets"]
        self._ends.copy_(state["ends"])
        if self._prior is not None:
            self._prior.load_state_dict(state["prior"])
