"""A squashed Gaussian policy, and the scale of its actions."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe.networks.q_functions import ObservationEncoder, mlp
from irl_probe.networks.spec import NetworkSpec

# The squashed floor is by trial (analyses/one_demo): at e⁻⁵ of an action's half-range imitators drift off again, at e⁻³
# Ant's cannot match its expert.
LOG_STD_RANGES = {"squashed": (-4.0, 2.0), "clipped": (-20.0, 2.0)}


class ActionScale:
    """The affine map between an action space's own units and [−1, 1], dimension by dimension."""

    def __init__(self, spec: NetworkSpec) -> None:
        if spec.action_low is None or spec.action_high is None:
            raise ValueError("Only a Box action space has bounds to scale by.")
        low, high = np.array(spec.action_low), np.array(spec.action_high)
        self.centre, self.half = (high + low) / 2, (high - low) / 2

    def to_unit(self, actions: np.ndarray) -> np.ndarray:
        """Environment units (N, …) to [−1, 1], flat (N, dim) float32."""
        return np.asarray((actions.reshape(len(actions), len(self.half)) - self.centre) / self.half, dtype=np.float32)

    def to_env(self, actions: np.ndarray) -> np.ndarray:
        """[−1, 1] (N, dim) to environment units, float32."""
        return np.asarray(actions * self.half + self.centre, dtype=np.float32)


class GaussianPolicy(nn.Module):
    """π(a|s): a = tanh(u), u ~ N(μ(s), σ(s)²), actions in [−1, 1]  (Haarnoja et al. 2018, App. C)."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.action_low is None:
            raise ValueError("A GaussianPolicy needs a Box action space.")
        self.spec = spec
        self.encoder = ObservationEncoder(spec)
        self.layers = mlp(spec.input_width, 2 * len(spec.action_low), spec)

    def forward(
        self, observations: Shaped[Tensor, " batch *shape"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"]]:
        """Mean and log standard deviation of u."""
        return self.of_encoded(self.encoder(observations))

    def of_encoded(
        self, states: Float[Tensor, "batch width"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"]]:
        """The same for observations that the encoder has been through."""
        mean, raw = self.layers(states).chunk(2, dim=-1)
        low, high = LOG_STD_RANGES[self.spec.log_std]
        if self.spec.log_std == "clipped":
            return mean, raw.clamp(low, high)
        return mean, low + 0.5 * (high - low) * (torch.tanh(raw) + 1)

    def sample(
        self, observations: Shaped[Tensor, " batch *shape"], noise: Float[Tensor, "batch dim"]
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " batch"]]:
        """The action for standard normal `noise`, and its log density."""
        mean, log_std = self(observations)
        return squashed_gaussian(mean, log_std, noise)

    def log_density(
        self,
        observations: Shaped[Tensor, " batch *shape"],
        actions: Float[Tensor, "batch dim"],
        *,
        margin: float = 1e-3,
    ) -> Float[Tensor, " batch"]:
        """log π(a|s) of given actions, which are pulled `margin` inside the open interval (−1, 1) first."""
        mean, log_std = self(observations)
        return squashed_log_density(mean, log_std, actions, margin=margin)


def squashed_gaussian(
    mean: Float[Tensor, "batch dim"], log_std: Float[Tensor, "batch dim"], noise: Float[Tensor, "batch dim"]
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, " batch"]]:
    """tanh(μ + σ·noise) and its log density."""
    u = mean + log_std.exp() * noise
    return torch.tanh(u), _log_density(u, noise, log_std)


def squashed_log_density(
    mean: Float[Tensor, "batch dim"],
    log_std: Float[Tensor, "batch dim"],
    actions: Float[Tensor, "batch dim"],
    *,
    margin: float = 1e-3,
) -> Float[Tensor, " batch"]:
    """log density of given actions, which are pulled `margin` inside the open interval (−1, 1) first."""
    u = torch.atanh(actions.clamp(-1 + margin, 1 - margin))
    return _log_density(u, (u - mean) / log_std.exp(), log_std)


def _log_density(
    u: Float[Tensor, "batch dim"], noise: Float[Tensor, "batch dim"], log_std: Float[Tensor, "batch dim"]
) -> Float[Tensor, " batch"]:
    """log N(u; μ, σ²) − Σ log(1 − tanh²u), the latter as 2(log 2 − u − softplus(−2u)), which never overflows."""
    normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    return (normal - 2 * (math.log(2) - u - functional.softplus(-2 * u))).sum(-1)
