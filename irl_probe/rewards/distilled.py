"""Explicit reward models: r(s), r(s, a) or r(s, a, s′) by a network or table of its own, with no Q and no V."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from irl_probe.rewards.batches import check_batch, check_observations
from irl_probe.rewards.distil_config import Form
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.expectation import Kind
from irl_probe.rewards.forward import NumpyRewardNetwork
from irl_probe.rewards.model import Bools, Floats
from irl_probe.rewards.network import RewardNetwork
from irl_probe.rewards.normalisation import Normalisation
from irl_probe.rewards.recovered import Provenance, Space, check_spaces_fit
from irl_probe.transitions import Array


@dataclass(frozen=True, eq=False)
class DistilledReward:
    """r(s, a, s′, d) = g + γ(1 − d)·h(s′) − h(s), or g alone where there is no h  (Fu et al. 2018, eq. 4: AIRL's form).

    An explicit model of a reward: it needs neither the value function nor a simulator. h is a potential, whose value
    after the end is 0, so that g alone (`unshaped`) has the same optimal policies as the whole; g is the part that
    can carry over to other dynamics. In the units of the reward that it was fitted to.

    Attributes:
        g: the reward part, of one of the forms "state", "state-action", "transition".
        h: the potential h(s), or None.
        gamma: discount γ of the shaping, and of the reward that it was fitted to.
        temperature: α of that reward, at which a policy is retrained; None where it has none.
        observation_space, action_space: what it takes.
        terminal_value: V_abs, as for `RecoveredReward`: 0 is the convention "zero", anything else "absorbing".
        provenance: where it comes from.
        figures: what was measured of it: the share of variance that it explains on held-out episodes.
        normalisation: as for `RecoveredReward`.

    Raises RewardError where γ is not in [0, 1], α is not positive, V_abs is not finite, h is no function of s, or
    spaces do not fit.
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
    def terminal(self) -> Literal["zero", "absorbing"]:
        """The terminal convention: "zero" where V_abs = 0, otherwise "absorbing"."""
        return "zero" if self.terminal_value == 0 else "absorbing"

    @property
    def kind(self) -> Kind:
        """Whether it depends on s′ ("per-transition") or not ("marginal")."""
        return "per-transition" if self.form == "transition" or self.h is not None else "marginal"

    @property
    def tail(self) -> float:
        """γ·V_abs: what a learner that stops at the end must be paid there on top; see `RecoveredReward.tail`."""
        return self.gamma * self.terminal_value

    @property
    def unshaped(self) -> DistilledReward:
        """g alone: the same reward without its shaping, for other dynamics."""
        return replace(self, h=None)

    @property
    def networks(self) -> dict[str, RewardNetwork]:
        """g, and h where there is one, by the names under which they are saved."""
        return {"g": self.g} if self.h is None else {"g": self.g, "h": self.h}

    def check_spaces(self, observation_space: Space, action_space: Space) -> None:
        """Raise RewardError unless the reward takes observations and actions of these spaces."""
        for network in self.networks.values():
            check_spaces_fit(network.spec, observation_space, action_space, self.provenance.get("env_id"))

    @cached_property
    def _forward(self) -> tuple[NumpyRewardNetwork, NumpyRewardNetwork | None]:
        """g and h in NumPy, made at the first call."""
        return NumpyRewardNetwork(self.g), None if self.h is None else NumpyRewardNetwork(self.h)

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /) -> Floats:
        o, a, o2 = np.asarray(observations), np.asarray(actions), np.asarray(next_observations)
        d = np.asarray(terminated, dtype=bool)
        check_batch(self.g.spec, o, a, o2, d)
        g, h = self._forward
        values = g(o, a, o2, d)
        if h is None:
            return values
        after, now = np.split(h.of_states(np.concatenate([o2, o])), 2)
        return values + self.gamma * np.where(d, 0.0, after) - now

    def potential(self, observations: Array) -> Floats:
        """h(s), (N,); 0 where there is no h."""
        o = np.asarray(observations)
        check_observations(self.g.spec, o)
        _, h = self._forward
        return np.zeros(len(o)) if h is None else h.of_states(o)
