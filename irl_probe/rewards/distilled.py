"""Explicit reward models: r(s), r(s, a) or r(s, a, s′) by a network or table of its own, with no Q and no V."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe.networks import ACTIVATIONS, ActionScale, NetworkSpec, ObservationEncoder
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.expectation import Kind
from irl_probe.rewards.model import Bools, Floats
from irl_probe.rewards.recovered import Provenance, Space, check_spaces_fit
from irl_probe.transitions import Array

Form = Literal["state", "state-action", "transition"]
FORMS: tuple[Form, ...] = get_args(Form)
CHUNK = 16_384  # rows evaluated at once, so that a million of them fit in memory


class RewardNetwork(nn.Module):
    """g(s), g(s, a) or g(s, a, s′, d), as `form` says; d is whether the MDP ended.

    Where it ended, the successor is the absorbing state whatever s′ was observed: s′ is not read then. Without hidden
    layers g is linear: on discrete states (and actions) a table with one entry for each s, (s, a) or (s, a, s′) and a
    further s′ for the end; elsewhere an affine function of the observations and actions side by side.

    Actions are indices when discrete, else scaled to [−1, 1].
    """

    def __init__(self, spec: NetworkSpec, form: Form) -> None:
        super().__init__()
        self.spec, self.form = spec, form
        self.encoder = ObservationEncoder(spec)
        self.layers = nn.Sequential()
        sizes = table_sizes(spec, form)
        if sizes is not None:
            self.table = nn.Parameter(torch.zeros(sizes))
            return
        width, actions = spec.input_width, spec.action_count or len(spec.action_low or ())
        width += {"state": 0, "state-action": actions, "transition": actions + width + 1}[form]
        for hidden in spec.hidden:
            self.layers.extend([nn.Linear(width, hidden), ACTIVATIONS[spec.activation]()])
            width = hidden
        self.layers.append(nn.Linear(width, 1))

    @property
    def tabular(self) -> bool:
        """Whether g is a table."""
        return table_sizes(self.spec, self.form) is not None

    def forward(
        self,
        observations: Shaped[Tensor, " batch *shape"],
        actions: Shaped[Tensor, " batch *dim"],
        next_observations: Shaped[Tensor, " batch *shape"],
        terminated: Bool[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        if self.tabular:
            return self.table[self.entries(observations, actions, next_observations, terminated)]
        inputs = self.inputs(observations, actions, next_observations, terminated)
        return self.layers(inputs).squeeze(-1)  # type: ignore[no-any-return]  # nn.Module calls are untyped

    def entries(
        self, observations: Tensor, actions: Tensor, next_observations: Tensor, terminated: Tensor
    ) -> tuple[Tensor, ...]:
        """Which entry of the table each transition reads: one index an axis."""
        end = self.spec.observation_count or 0
        successor = torch.where(terminated, end, next_observations.long())
        return (observations.long(), actions.long(), successor)[: 1 + FORMS.index(self.form)]

    def inputs(
        self, observations: Tensor, actions: Tensor, next_observations: Tensor, terminated: Tensor
    ) -> Float[Tensor, "batch width"]:
        """What the layers see: encoded s; then a; then encoded s′ (0 where the MDP ended) and d."""
        parts = [self.encoder(observations)]
        if self.form != "state":
            count = self.spec.action_count
            parts.append((functional.one_hot(actions.long(), count) if count else actions).to(parts[0].dtype))
        if self.form == "transition":
            ended = terminated[:, None].to(parts[0].dtype)
            parts += [self.encoder(next_observations) * (1 - ended), ended]
        return torch.cat(parts, dim=-1)


def table_sizes(spec: NetworkSpec, form: Form) -> tuple[int, ...] | None:
    """Sizes of the table that a `RewardNetwork` of this shape is, or None where it is none."""
    states, actions = spec.observation_count, spec.action_count
    if spec.hidden or states is None:
        return None
    if form == "state":
        return (states,)
    if actions is None:
        return None
    return (states, actions) if form == "state-action" else (states, actions, states + 1)


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
            check_spaces_fit(network.spec, observation_space, action_space)

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools, /) -> Floats:
        values = _chunked(self.g, tensors(self.g.spec, observations, actions, next_observations, terminated))
        if self.h is None:
            return values
        ended = np.asarray(terminated, dtype=bool)
        after = np.where(ended, 0.0, self.potential(next_observations))
        return values + self.gamma * after - self.potential(observations)

    def potential(self, observations: Array) -> Floats:
        """h(s), (N,); 0 where there is no h."""
        o = torch.as_tensor(np.asarray(observations))
        if self.h is None:
            return np.zeros(len(o))
        return _chunked(self.h, (o, o, o, torch.zeros(len(o), dtype=torch.bool)))


def tensors(
    spec: NetworkSpec, observations: Array, actions: Array, next_observations: Array, terminated: Bools
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch as a `RewardNetwork` takes it: actions in [−1, 1] where they are continuous."""
    a = np.asarray(actions) if spec.action_count is not None else ActionScale(spec).to_unit(np.asarray(actions))
    rows = (np.asarray(observations), a, np.asarray(next_observations), np.asarray(terminated, dtype=bool))
    o, a2, o2, d = (torch.as_tensor(part) for part in rows)
    return o, a2, o2, d


def _chunked(function: Callable[..., Tensor], rows: tuple[Tensor, ...]) -> Floats:
    """`function` on chunks of rows, without gradients, in float64."""
    with torch.no_grad():
        parts = [
            function(*(part[i : i + CHUNK] for part in rows)).double().numpy()
            for i in range(0, max(len(rows[0]), 1), CHUNK)
        ]
    return np.concatenate(parts)
