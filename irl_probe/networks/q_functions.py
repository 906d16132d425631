"""Q-functions of discrete and of continuous actions, and what encodes their observations."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe.networks.spec import ACTIVATIONS, NetworkSpec


class ObservationEncoder(nn.Module):
    """Observations to network input: one-hot for discrete spaces, otherwise flat and (o − mean)/scale."""

    mean: Tensor
    scale: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.count = spec.observation_count
        self.register_buffer("mean", torch.zeros(spec.input_width))
        self.register_buffer("scale", torch.ones(spec.input_width))

    def fit(self, observations: np.ndarray, *, floor: float = 1e-3) -> None:
        """Take mean and standard deviation from observations (N, *shape); a no-op for discrete spaces.

        A dimension that varies by less than `floor` is centred and keeps the scale 1, so that it is not blown up.
        """
        if self.count is None:
            flat = observations.reshape(len(observations), -1).astype(np.float64)
            deviation = flat.std(axis=0)
            self.mean.copy_(torch.as_tensor(flat.mean(axis=0)))
            self.scale.copy_(torch.as_tensor(np.where(deviation < floor, 1.0, deviation)))

    def forward(self, observations: Shaped[Tensor, " batch *shape"]) -> Float[Tensor, "batch width"]:
        if self.count is not None:
            return functional.one_hot(observations.long(), self.count).to(self.mean.dtype)
        return (observations.reshape(len(observations), -1).to(self.mean.dtype) - self.mean) / self.scale


def mlp(width: int, outputs: int, spec: NetworkSpec) -> nn.Sequential:
    """A multilayer perceptron of the spec's hidden layers; without any it is linear and has no bias."""
    layers: list[nn.Module] = []
    for hidden in spec.hidden:
        layers.append(nn.Linear(width, hidden))
        if spec.layer_norm:
            layers.append(nn.LayerNorm(hidden))
        layers.append(ACTIVATIONS[spec.activation]())
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs, bias=bool(spec.hidden)))


class DiscreteQ(nn.Module):
    """Q(s, ·) for every discrete action."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.action_count is None:
            raise ValueError("A DiscreteQ needs a discrete action space; use ContinuousQ for a Box.")
        self.spec = spec
        self.encoder = ObservationEncoder(spec)
        self.layers = mlp(spec.input_width, spec.action_count, spec)

    @classmethod
    def from_table(cls, table: np.ndarray) -> DiscreteQ:
        """The Q-function that a table (S, A) is: linear on one-hot states, in double precision."""
        states, actions = table.shape
        network = cls(NetworkSpec((), states, actions, None, None, hidden=())).double()
        with torch.no_grad():
            next(network.layers.parameters()).copy_(torch.as_tensor(table).T)
        return network

    def forward(self, observations: Shaped[Tensor, " batch *shape"]) -> Float[Tensor, "batch actions"]:
        q: Tensor = self.layers(self.encoder(observations))
        return q


class EnsembleLinear(nn.Module):
    """`count` linear layers side by side, each with its own input: (count, batch, in) → (count, batch, out)."""

    def __init__(self, count: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)  # torch.nn.Linear's own initial range
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, 1, outputs).uniform_(-bound, bound))

    def forward(self, inputs: Float[Tensor, "count batch in"]) -> Float[Tensor, "count batch out"]:
        return torch.baddbmm(self.bias, inputs, self.weight)


class ContinuousQ(nn.Module):
    """`spec.critics` Q-functions of state and action; actions in [−1, 1] (see `ActionScale`)."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        if spec.action_low is None:
            raise ValueError("A ContinuousQ needs a Box action space; use DiscreteQ for a Discrete one.")
        self.spec = spec
        self.encoder = ObservationEncoder(spec)
        width = spec.input_width + len(spec.action_low)
        if spec.critics == 1:
            self.layers = mlp(width, 1, spec)
            return
        layers: list[nn.Module] = []
        for hidden in spec.hidden:
            layers.append(EnsembleLinear(spec.critics, width, hidden))
            if spec.layer_norm:
                layers.append(nn.LayerNorm(hidden))
            layers.append(ACTIVATIONS[spec.activation]())
            width = hidden
        self.layers = nn.Sequential(*layers, EnsembleLinear(spec.critics, width, 1))

    def forward(
        self, observations: Shaped[Tensor, " batch *shape"], actions: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "critics batch"]:
        return self.of_inputs(torch.cat([self.encoder(observations), actions], dim=-1))

    def of_inputs(self, inputs: Float[Tensor, "batch width"]) -> Float[Tensor, "critics batch"]:
        """Q of rows [encoded observation, action]."""
        one = self.spec.critics == 1
        q: Tensor = self.layers(inputs if one else inputs.expand(self.spec.critics, -1, -1))
        return q.T if one else q.squeeze(-1)
