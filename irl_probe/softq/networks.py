"""Networks: Q-functions of discrete and continuous actions, Gaussian policies, and the encoder of observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe._plain import plain_actions, plain_observations

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}
LogStd = Literal["squashed", "clipped"]

# Bounds of log σ, in units of an action's half-range. The lower bound of "squashed" was found by trial
# (analyses/one_demo): with −5 imitators lose the task again, and with −3 the imitator of Ant cannot match its expert.
LOG_STD_RANGES = {"squashed": (-4.0, 2.0), "clipped": (-20.0, 2.0)}


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a Q-function or policy: everything needed to build it again.

    Attributes:
        observation_shape: of one observation; () for a discrete observation space.
        observation_count: states of a discrete observation space (fed in as one-hot vectors), or None.
        action_count: actions of a discrete action space, or None.
        action_low, action_high: bounds of a continuous action space, one number a dimension, or None.
        hidden: widths of the hidden layers; () makes a discrete Q linear, which on one-hot states is a table.
        activation: relu, tanh or elu.
        layer_norm: LayerNorm before every activation.
        critics: how many Q-functions a continuous critic holds.
        log_std: how a policy bounds its log σ: "squashed" by tanh to [−4, 2], or "clipped" to [−20, 2], as
            Stable-Baselines3 does.
    """

    observation_shape: tuple[int, ...]
    observation_count: int | None
    action_count: int | None
    action_low: tuple[float, ...] | None
    action_high: tuple[float, ...] | None
    hidden: tuple[int, ...] = (64, 64)
    activation: Literal["relu", "tanh", "elu"] = "relu"
    layer_norm: bool = False
    critics: int = 1
    log_std: LogStd = "squashed"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"The activation must be one of {', '.join(ACTIVATIONS)}; got {self.activation!r}.")
        if self.log_std not in get_args(LogStd):
            raise ValueError(f"'log_std' must be one of {', '.join(get_args(LogStd))}; got {self.log_std!r}.")
        if (self.action_count is None) == (self.action_low is None or self.action_high is None):
            raise ValueError("Actions are either discrete (action_count) or bounded (action_low and action_high).")
        low, high = self.action_low or (), self.action_high or ()
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise ValueError(f"Bounds of actions must have low < high in each component; got {low} and {high}.")
        if any(width < 1 for width in self.hidden) or self.critics < 1:
            raise ValueError(f"Layer widths and critics must be at least 1; got {self.hidden} and {self.critics}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkSpec:
        """The spec with these fields, read from JSON, which has lists in place of tuples."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**fields)

    @classmethod
    def of(
        cls,
        observation_space: spaces.Space[object],
        action_space: spaces.Space[object],
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Literal["relu", "tanh", "elu"] = "relu",
        layer_norm: bool = False,
        critics: int = 1,
        log_std: LogStd = "squashed",
    ) -> NetworkSpec:
        """The spec for a pair of Gymnasium spaces, in the plain form that networks see (`irl_probe._plain`).

        Raises ValueError where a space has no plain form, and for a Box of actions without finite bounds.
        """
        shape: tuple[int, ...] = ()
        states = actions = low = high = None
        plain, chosen = plain_observations(observation_space), plain_actions(action_space)
        if isinstance(plain, spaces.Box):
            shape = plain.shape
        else:
            states = int(plain.n)
        if isinstance(chosen, spaces.Discrete):
            actions = int(chosen.n)
        elif chosen.is_bounded():
            low, high = (tuple(map(float, bound.ravel())) for bound in (chosen.low, chosen.high))
        else:
            raise ValueError(
                f"A Box of actions must have finite bounds; got {action_space}. Choose bounds: "
                "gymnasium.wrappers.TransformAction with the Box that has them."
            )
        return cls(shape, states, actions, low, high, tuple(hidden), activation, layer_norm, critics, log_std)

    @property
    def input_width(self) -> int:
        """Numbers in one encoded observation."""
        return self.observation_count or math.prod(self.observation_shape)


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

        A dimension that varies by less than `floor` is centred and keeps the scale 1, so that noise is not magnified.
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
        """A table (S, A) as a Q-function: linear on one-hot states, in double precision."""
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
        """Mean and log standard deviation of u, for encoded observations."""
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
