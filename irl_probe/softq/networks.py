"""Networks: Q-functions of discrete and continuous actions, Gaussian policies, and the encoder of observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import safetensors.torch
import torch
from gymnasium import spaces
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe._plain import plain_actions, plain_observations
from irl_probe._types import Floats

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}
LogStd = Literal["squashed", "clipped"]

# Bounds of log σ, in units of an action's half-range. The lower bound of "squashed" was found by trial
# (analyses/one_demo): with −5 imitators lose the task again, and with −3 the imitator of Ant cannot match its expert.
LOG_STD_RANGES = {"squashed": (-4.0, 2.0), "clipped": (-20.0, 2.0)}

FAR = 1 << 20  # a mean of this many standard deviations loses digits in float32: half a unit in its last place is 3 %
ROUNDING, TINY = 32, 1e-12  # see `standardisation`
NARROW = (torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int8, torch.int16, torch.bool)
"""Types whose every number is one of float32."""


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


class Network(nn.Module):
    """A torch module that is built from its spec, and a value: its copies and pickles hold weights of their own.

    They carry the bytes of a safetensors file. Tensors would be sent between processes as shared memory: a worker that
    trained would change its parent's weights, and arrays on the old memory of the weights would read freed pages.
    New weights are float32, whatever torch's default type is.
    """

    spec: NetworkSpec

    def arguments(self) -> tuple[Any, ...]:
        """What builds a network of this shape."""
        return (self.spec,)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        with torch.inference_mode(False):
            tensors = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
            weights = safetensors.torch.save(tensors)
        frozen = [name for name, parameter in self.named_parameters() if not parameter.requires_grad]
        device = next((str(tensor.device) for tensor in tensors.values()), "cpu")
        return _rebuilt, (type(self), self.arguments(), weights, frozen, device, self.training)


def _rebuilt(
    kind: type[Network], arguments: tuple[Any, ...], weights: bytes, frozen: list[str], device: str, training: bool
) -> Network:
    """The network that `Network.__reduce_ex__` described; no random number is drawn."""
    with torch.inference_mode(False):  # tensors made in inference mode could never be trained
        with torch.device("meta"):
            network = kind(*arguments)
        network.load_state_dict(safetensors.torch.load(weights), assign=True)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name not in frozen)
        return network.train(training).to(device)


class ObservationEncoder(nn.Module):
    """Observations to network input: one-hot for discrete spaces, otherwise flat and (o − mean)/scale.

    The mean is taken off before observations are rounded to the type of the weights, so that an offset (a clock, a
    position on a map) costs no digits. `rest` holds the digits of a far mean that its own type cannot hold; else it is
    0, and `state_dict` leaves it out.
    """

    mean: Tensor
    rest: Tensor
    scale: Tensor

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.count, self._shape = spec.observation_count, spec.observation_shape
        self.register_buffer("mean", torch.zeros(spec.input_width, dtype=torch.float32))
        self.register_buffer("rest", torch.zeros(spec.input_width, dtype=torch.float32), persistent=False)
        self.register_buffer("scale", torch.ones(spec.input_width, dtype=torch.float32))

    def fit(self, observations: np.ndarray) -> None:
        """Take `standardisation` of observations (N, *shape); a no-op for discrete spaces."""
        if self.count is None:
            self.set(*standardisation(observations))

    def centre_far(self, observations: np.ndarray) -> None:
        """Take only the means that are `FAR` from 0, next to which the differences between observations are small."""
        if self.count is None:
            mean, scale = standardisation(observations)
            self.set(np.where(np.abs(mean) > FAR * scale, mean, 0.0), np.ones_like(scale))

    def set(self, mean: Floats, scale: Floats) -> None:
        """Take a mean and a scale, (width,) each."""
        self.mean.copy_(torch.as_tensor(mean))
        left = mean - self.mean.double().numpy()
        self.rest.copy_(torch.as_tensor(np.where(np.abs(mean) > FAR * scale, left, 0.0)))
        self.scale.copy_(torch.as_tensor(scale))

    def forward(self, observations: Shaped[Tensor, " batch *shape"]) -> Float[Tensor, "batch width"]:
        if self.count is not None:
            return functional.one_hot(observations.long(), self.count).to(self.mean.dtype)
        flat = observations.reshape(len(observations), len(self.mean))
        if flat.dtype in NARROW:
            return (flat.to(self.mean.dtype) - self.mean - self.rest) / self.scale
        return (flat.double() - self.mean - self.rest).to(self.mean.dtype) / self.scale

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if not self.rest.is_meta and bool(self.rest.any()):
            destination[f"{prefix}rest"] = self.rest if keep_vars else self.rest.detach()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        rest, mean = state_dict.pop(f"{prefix}rest", None), state_dict.get(f"{prefix}mean")
        super()._load_from_state_dict(state_dict, prefix, *args)
        if mean is not None:
            self.rest = torch.zeros_like(mean) if rest is None else rest.to(mean.dtype).clone()


def standardisation(values: np.ndarray, *, magnitude: np.ndarray | None = None) -> tuple[Floats, Floats]:
    """Mean and scale of each column of values (N, *shape), in float64: (width,) each; (x − mean)/scale has variance 1.

    A column whose standard deviation is no more than rounding is centred and keeps the scale 1, so that noise is not
    magnified. Rounding is `ROUNDING` units in the last place of the largest number, in the values' own type.
    `magnitude` (width,) is that number in place of the values' own, where they are differences of larger numbers.
    """
    flat = values.reshape(len(values), -1)
    wide = flat.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    unit = np.finfo(flat.dtype).eps if flat.dtype.kind == "f" else np.finfo(np.float64).eps
    rounding = ROUNDING * unit * (np.abs(wide).max(axis=0) if magnitude is None else magnitude)
    return mean, np.where(deviation <= np.maximum(rounding, TINY), 1.0, deviation)


def mlp(width: int, outputs: int, spec: NetworkSpec) -> nn.Sequential:
    """A multilayer perceptron of the spec's hidden layers; without any it is linear and has no bias."""
    layers: list[nn.Module] = []
    for hidden in spec.hidden:
        layers.append(nn.Linear(width, hidden, dtype=torch.float32))
        if spec.layer_norm:
            layers.append(nn.LayerNorm(hidden, dtype=torch.float32))
        layers.append(ACTIVATIONS[spec.activation]())
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, outputs, bias=bool(spec.hidden), dtype=torch.float32))


class DiscreteQ(Network):
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
        self.weight = nn.Parameter(torch.empty(count, inputs, outputs, dtype=torch.float32).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, 1, outputs, dtype=torch.float32).uniform_(-bound, bound))

    def forward(self, inputs: Float[Tensor, "count batch in"]) -> Float[Tensor, "count batch out"]:
        return torch.baddbmm(self.bias, inputs, self.weight)


class ContinuousQ(Network):
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
                layers.append(nn.LayerNorm(hidden, dtype=torch.float32))
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


class GaussianPolicy(Network):
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
