"""The shape of a network, from a pair of Gymnasium spaces."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gymnasium import spaces
from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "elu": nn.ELU}
LogStd = Literal["squashed", "clipped"]


@dataclass(frozen=True)
class NetworkSpec:
    """The shape of a Q-function or policy: all that is needed to build it again.

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
        """The spec of these fields, as JSON hands them back: lists for tuples."""
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
        """The spec for a pair of Gymnasium spaces.

        Raises ValueError unless observations are Box or Discrete and actions are Discrete or a Box with finite bounds.
        """
        shape: tuple[int, ...] = ()
        states = actions = low = high = None
        if isinstance(observation_space, spaces.Box):
            shape = observation_space.shape
        elif isinstance(observation_space, spaces.Discrete):
            states = int(observation_space.n)
        else:
            raise ValueError(
                f"The observation space must be Box or Discrete; got {observation_space}. "
                "Flatten it first, for example with gymnasium.wrappers.FlattenObservation."
            )
        if isinstance(action_space, spaces.Discrete):
            actions = int(action_space.n)
        elif isinstance(action_space, spaces.Box) and action_space.is_bounded():
            low, high = (tuple(map(float, bound.ravel())) for bound in (action_space.low, action_space.high))
        else:
            raise ValueError(
                f"The action space must be Discrete or a Box with finite bounds; got {action_space}. "
                "For an unbounded Box choose bounds: gymnasium.wrappers.TransformAction with the Box that has them."
            )
        return cls(shape, states, actions, low, high, tuple(hidden), activation, layer_norm, critics, log_std)

    @property
    def input_width(self) -> int:
        """Numbers in one encoded observation."""
        return self.observation_count or math.prod(self.observation_shape)
