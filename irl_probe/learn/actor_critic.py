"""Critics, their target, a squashed Gaussian policy and a temperature: what soft actor-critic computes losses from."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from irl_probe.learn.config import IQConfig
from irl_probe.learn.labels import value_bounds
from irl_probe.networks import ContinuousQ, GaussianPolicy, NetworkSpec, squashed_gaussian, squashed_log_density

Sampled = tuple[Tensor, Tensor]  # actions (batch, dim) in [−1, 1] and their log densities (batch,)


class ActorCritic:
    """Q(s, a) by one or more critics, π(a|s), α, and V(s) = Q(s, ã) − α log π(ã|s) at one ã ~ π.

    With several critics the Q in V is their minimum or mean. States are encoded, actions in [−1, 1].
    `observations` (N, *shape) set the normalisation; None leaves them as they are.
    """

    def __init__(self, spec: NetworkSpec, config: IQConfig, observations: np.ndarray | None) -> None:
        assert config.reward_targets is not None
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
        assert config.temperature is not None
        self.log_temperature = torch.tensor(math.log(config.temperature), dtype=self.dtype, requires_grad=True)
        self._weights: list[Tensor] = list(self.critics.parameters())
        self._target_weights: list[Tensor] = list(self.target.parameters())
        self._actor_weights: list[Tensor] = list(self.actor.parameters())
        self._averaged_weights: list[Tensor] = list(self.averaged.parameters())

    @property
    def alpha(self) -> float | Tensor:
        """α as the losses read it: a tensor where it is learned, so that nothing waits for its value."""
        assert self.config.temperature is not None
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
            assert self.config.target_rate is not None
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
