"""Distilled rewards: explicit models of a reward, with no Q and no V."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.rewards import schema
from irl_probe.rewards.distil_config import Form
from irl_probe.rewards.expectation import Kind
from irl_probe.rewards.model import (
    DTYPES,
    Provenance,
    RewardModel,
    Shapes,
    dtype_name,
    fill,
    shapes_of,
    shared_fields,
    tensors_of,
)
from irl_probe.rewards.protocol import (
    Normalisation,
    RewardError,
    check_observations,
    check_same_units,
    check_spaces_fit,
    plain_batch,
    plain_rows,
)
from irl_probe.rewards.reward_network import NumpyRewardNetwork, RewardNetwork, moments
from irl_probe.rewards.strict_json import validated
from irl_probe.rewards.torch_module import DistilledModule

MOST_TERMS = 30
ROUNDING = 1e-12  # a weight below this share of the largest is a rounding error of 0


@dataclass(frozen=True, eq=False)
class DistilledReward(RewardModel):
    """r(s, a, s′, d) = g + γ(1 − d)·h(s′) − h(s), or g alone without h  (Fu et al. 2018, eq. 4: AIRL's form).

    An explicit model of a reward: it needs neither the value function nor a simulator. h is a potential, whose value
    after the end is 0, so g alone (`unshaped`) has the same optimal policies as the whole; g is the part that
    can carry over to other dynamics. In the units of the reward that it was fitted to.

    Attributes:
        g: the reward part, of one of the forms "state", "state-action", "transition".
        h: the potential h(s), or None.
        gamma: discount γ of the shaping, and of the reward that it was fitted to.
        temperature: α of that reward, at which a policy is retrained; None where it has none.
        observation_space, action_space: the spaces of its arguments.
        terminal_value: V_abs, as for `RecoveredReward`: 0 is the convention "zero", anything else "absorbing".
        provenance: where it comes from.
        figures: measured figures: the share of variance that it explains on held-out episodes.
        normalisation: as for `RecoveredReward`.

    Raises RewardError where γ is not in [0, 1], α is not positive, V_abs is not finite, h does not depend on the
    state alone, or spaces do not fit.
    """

    g: RewardNetwork
    h: RewardNetwork | None
    gamma: float
    temperature: float | None
    observation_space: Space
    action_space: Space
    terminal_value: float = 0.0
    provenance: Provenance = field(default_factory=dict)
    figures: Mapping[str, object] = field(default_factory=dict)
    normalisation: Normalisation | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise RewardError(f"The discount γ must lie between 0 and 1; got {self.gamma}.")
        if self.temperature is not None and not self.temperature > 0:
            raise RewardError(f"The temperature must be positive, or None; got {self.temperature}.")
        if not np.isfinite(self.terminal_value):
            raise RewardError(f"The value after the end must be finite; got {self.terminal_value}.")
        if self.h is not None and self.h.form != "state":
            raise RewardError(f"The potential h must be a function of the state; got one of the form {self.h.form!r}.")
        self.check_spaces(self.observation_space, self.action_space)

    @property
    def form(self) -> Form:
        """What g depends on."""
        return self.g.form

    @property
    def kind(self) -> Kind:
        """Whether it depends on s′ ("per-transition") or not ("marginal")."""
        return "per-transition" if self.form == "transition" or self.h is not None else "marginal"

    @property
    def unshaped(self) -> DistilledReward:
        """g alone: the same reward without its shaping, for other dynamics."""
        return replace(self, h=None)

    @property
    def networks(self) -> dict[str, RewardNetwork]:
        """g, and h if there is one, by the names under which they are saved."""
        return {"g": self.g} if self.h is None else {"g": self.g, "h": self.h}

    def check_spaces(self, observation_space: Space, action_space: Space) -> None:
        """Raise RewardError unless the reward takes observations and actions of these spaces."""
        for network in self.networks.values():
            check_spaces_fit(network.spec, observation_space, action_space, self.provenance.get("env_id"))
        check_same_units((self.observation_space, self.action_space), (observation_space, action_space))

    def spec(self) -> schema.Distilled:
        """As `RewardModel.spec`."""
        content = {
            **self.shared_spec(),
            "kind": "distilled",
            "form": self.form,
            "shaping": self.h is not None,
            "dtype": dtype_name(self.networks),
            "gamma": float(self.gamma),
            "temperature": None if self.temperature is None else float(self.temperature),
            "networks": {"h": None, **{name: asdict(network.spec) for name, network in self.networks.items()}},
        }
        return validated(schema.Distilled, content, "the reward")

    def tensors(self) -> dict[str, Tensor]:
        """As `RewardModel.tensors`: those of g, and of h if there is one."""
        return tensors_of(self.networks)

    @classmethod
    def shapes(cls, spec: schema.Distilled) -> Shapes:
        """As `RewardModel.shapes`."""
        return shapes_of(_blank(spec))

    @classmethod
    def from_spec(cls, spec: schema.Distilled, tensors: Mapping[str, Tensor], figures: Mapping[str, object]) -> Self:
        """As `RewardModel.from_spec`."""
        networks = _blank(spec)
        fill(networks, tensors)
        return cls(
            networks["g"],
            networks.get("h"),
            gamma=spec.gamma,
            temperature=spec.temperature,
            **shared_fields(spec, figures),
        )

    @cached_property
    def _forward(self) -> tuple[NumpyRewardNetwork, NumpyRewardNetwork | None]:
        """g and h in NumPy, made at the first call."""
        return NumpyRewardNetwork(self.g), None if self.h is None else NumpyRewardNetwork(self.h)

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /) -> Floats:
        own = self.observation_space, self.action_space
        o, a, o2, d = plain_batch(own, self.g.spec, (observations, actions, next_observations, terminated))
        g, h = self._forward
        values = g(o, a, o2, d)
        if h is None:
            return values
        after, now = np.split(h.of_states(np.concatenate([o2, o])), 2)
        return values + self.gamma * np.where(d, 0.0, after) - now

    def torch(self) -> DistilledModule:
        """As `RewardModel.torch`."""
        return DistilledModule(self.g, self.h, self.gamma, (self.observation_space, self.action_space))

    def potential(self, observations: Array) -> Floats:
        """h(s), (N,); 0 without h."""
        o = plain_rows(self.observation_space, observations)
        check_observations(self.g.spec, o)
        _, h = self._forward
        return np.zeros(len(o)) if h is None else h.of_states(o)

    def formula(self) -> str | None:
        """A linear reward's terms, such as "0.126·s[8] − 0.2"; terms with weight 0 are left out.

        s[i] and a[i] count from 0: entries of a vector, or 1 where a discrete one is i. d is 1 at an end, where s′
        counts as 0. Of a shaped reward it is g.

        None for tables and networks, and where more than `MOST_TERMS` weights are not 0.
        """
        g = self.g
        if g.spec.hidden or g.tabular:
            return None
        weights, constant = _affine(g)
        left = np.flatnonzero(np.abs(weights) > ROUNDING * np.abs(weights).max())
        if len(left) > MOST_TERMS:
            return None
        names = _names(g)
        terms = [(weights[i], f"·{names[i]}") for i in left] + ([(constant, "")] if constant or not len(left) else [])
        written = " ".join(f"{'−' if value < 0 else '+'} {abs(value):.3g}{name}" for value, name in terms)
        return written.removeprefix("+ ") if written.startswith("+") else "−" + written.removeprefix("− ")


def _blank(spec: schema.Distilled) -> dict[str, RewardNetwork]:
    """g, and h if there is one, on torch's meta device: their tensors have shapes but no memory."""
    forms: dict[str, tuple[schema.Network | None, Form]]
    forms = {"g": (spec.networks.g, spec.form), "h": (spec.networks.h, "state")}
    with torch.device("meta"):
        return {
            name: RewardNetwork(network.shape(), form).to(DTYPES[spec.dtype])
            for name, (network, form) in forms.items()
            if network is not None
        }


def _names(g: RewardNetwork) -> list[str]:
    """The name of each input of the linear layer."""
    states, actions = g.spec.input_width, g.spec.action_count or len(g.spec.action_low or ())
    names = [f"s[{i}]" for i in range(states)]
    if g.form != "state":
        names += [f"a[{i}]" for i in range(actions)]
    return names + ([f"s′[{i}]" for i in range(states)] + ["d"] if g.form == "transition" else [])


def _affine(g: RewardNetwork) -> tuple[Floats, float]:
    """Weights and constant for inputs x in the units that rewards take; the linear layer takes (x − shift)/scale."""
    weight, bias = (part.detach().double().numpy() for part in g.layers[-1].parameters())
    shift, scale = moments(g.encoder, g.spec, g.form)
    weights = weight[0] / scale
    constant = float(bias[0] - weights @ shift)
    if g.form == "transition":  # at an end it is the normalised s′ that is 0
        after = slice(-1 - g.spec.input_width, -1)
        weights[-1] += weights[after] @ shift[after]
    return weights, constant
