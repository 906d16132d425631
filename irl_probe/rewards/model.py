"""The base of recovered and distilled rewards: everything needed to save and identify a reward."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict

import safetensors.torch
import torch
from torch import Tensor, nn

from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.rewards import schema
from irl_probe.rewards.expectation import Kind
from irl_probe.rewards.protocol import Normalisation, RewardError
from irl_probe.rewards.strict_json import plain
from irl_probe.rewards.torch_module import RewardModule

Provenance = Mapping[str, str | float | int]
Shapes = dict[str, tuple[torch.dtype, tuple[int, ...]]]
"""Type and shape of tensors by name."""
DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "float64": torch.float64}


class RewardModel(ABC):
    """A reward that knows its discount, its spaces and its origin, and that can be saved.

    `recover` and `distil` make them. A plain function is a reward, but not a RewardModel.
    """

    if TYPE_CHECKING:  # subclasses have them as fields; a dataclass would take an inherited property for a default

        @property
        def gamma(self) -> float: ...
        @property
        def temperature(self) -> float | None: ...
        @property
        def kind(self) -> Kind: ...
        @property
        def observation_space(self) -> Space: ...
        @property
        def action_space(self) -> Space: ...
        @property
        def terminal_value(self) -> float: ...
        @property
        def provenance(self) -> Provenance: ...
        @property
        def figures(self) -> Mapping[str, object]: ...
        @property
        def normalisation(self) -> Normalisation | None: ...

    @abstractmethod
    def __call__(
        self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /
    ) -> Floats: ...

    @abstractmethod
    def check_spaces(self, observation_space: Space, action_space: Space) -> None:
        """Raise RewardError unless the reward takes observations and actions of these spaces."""

    @abstractmethod
    def spec(self) -> schema.RewardSpec:
        """The reward without its weights, as reward.json holds it. Raises RewardError where it cannot be saved."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, as the weights file holds them. Raises RewardError where they cannot be saved."""

    @classmethod
    @abstractmethod
    def shapes(cls, spec: Any) -> Shapes:
        """Type and shape of the tensors that a reward of this description has; none is allocated."""

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Any, tensors: Mapping[str, Tensor], figures: Mapping[str, object]) -> Self:
        """The reward of this description that holds `tensors`, which must have the `shapes` of it."""

    @abstractmethod
    def torch(self) -> RewardModule:
        """The reward as a torch module of (observations, actions, next_observations, terminated), with gradients.

        It computes this reward's numbers, (*batch,) in the type of the weights, and works in a training loop, with
        `torch.compile` and under `torch.vmap`. It holds a frozen copy of the weights; `RewardModule` says more.
        """

    @property
    def terminal(self) -> Literal["zero", "absorbing"]:
        """The terminal convention: "zero" where V_abs = 0, otherwise "absorbing"."""
        return "zero" if self.terminal_value == 0 else "absorbing"

    @property
    def tail(self) -> float:
        """γ·V_abs: what a learner that stops at the end must be paid there on top of r to optimise the same return.

        After the end the absorbing state pays r_abs = (1 − γ)·V_abs for ever, whose value one step later is V_abs. The
        tail is 0 in the convention "zero".
        """
        return self.gamma * self.terminal_value

    @cached_property
    def reward_id(self) -> str:
        """SHA-256 of what makes the reward what it is: its description and weights, but not its figures.

        It stays the same after saving and loading, and under other versions of the libraries. It is computed once, so
        it does not follow later in-place changes of the weights; a loaded reward has the id of its files.

        Raises RewardError where the reward cannot be saved.
        """
        return schema.reward_id(self.spec(), hashlib.sha256(self.weights()).hexdigest())

    def remember_id(self, verified: str) -> None:
        """Store a `reward_id` that was verified when the reward was loaded, so that it is not computed again."""
        vars(self)["reward_id"] = verified

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # a reward is a value: no copy shares its weights

    def weights(self) -> bytes:
        """The safetensors file of the reward. Raises RewardError where a weight is not finite."""
        tensors = self.tensors()
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise RewardError(f"The weights must be finite; the tensor '{name}' is not. Did the training diverge?")
        return safetensors.torch.save(tensors)

    def formula(self) -> str | None:
        """The reward as a sum of a few terms, where it is one; else None."""
        return None

    def normalised(self, normalisation: Normalisation | None) -> Self:
        """The same reward with another normalisation."""
        return replace(self, normalisation=normalisation)  # type: ignore[type-var]  # each subclass is a dataclass

    def shared_spec(self) -> dict[str, object]:
        """The fields of reward.json that every reward has."""
        moments = self.normalisation
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "terminal": {"convention": self.terminal, "value": float(self.terminal_value)},
            "provenance": plain(self.provenance, "provenance"),
            "normalisation": None if moments is None else plain(asdict(moments), "normalisation"),
        }


class SharedFields(TypedDict):
    """The fields that every reward has, for its constructor."""

    observation_space: Space
    action_space: Space
    terminal_value: float
    provenance: Provenance
    figures: Mapping[str, object]
    normalisation: Normalisation | None


def shared_fields(spec: schema.RewardSpec, figures: Mapping[str, object]) -> SharedFields:
    """The fields that every reward has, from its description."""
    moments = spec.normalisation
    return SharedFields(
        observation_space=spec.observation_space,
        action_space=spec.action_space,
        terminal_value=spec.terminal.value,
        provenance=spec.provenance,
        figures=figures,
        normalisation=None if moments is None else Normalisation(**dict(moments)),
    )


def tensors_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The tensors of modules, under "<module>.<tensor>"."""
    return {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def shapes_of(modules: Mapping[str, nn.Module]) -> Shapes:
    """Type and shape of the tensors of modules, under the same names."""
    return {
        f"{name}.{key}": (tensor.dtype, tuple(tensor.shape))
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def fill(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Load tensors, named as by `tensors_of`, into modules, without a copy."""
    for name, module in modules.items():
        own = {key.removeprefix(f"{name}."): each for key, each in tensors.items() if key.startswith(f"{name}.")}
        module.load_state_dict(own, assign=True)


def dtype_name(modules: Mapping[str, nn.Module]) -> str:
    """The type that all weights share. Raises RewardError where they do not share one."""
    found = {dtype for dtype, _ in shapes_of(modules).values()}
    names = [name for name, dtype in DTYPES.items() if found == {dtype}]
    if not names:
        raise RewardError(f"All weights must be of one type, {' or '.join(DTYPES)}; got {sorted(map(str, found))}.")
    return names[0]
