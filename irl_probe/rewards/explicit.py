"""Explicit reward models: r(s), r(s, a) or r(s, a, s′) by a network or table of its own, with no Q and no V."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.rewards.distil_config import FORMS, Form
from irl_probe.rewards.expectation import Kind
from irl_probe.rewards.protocol import Normalisation, RewardError, check_batch, check_observations
from irl_probe.rewards.recovered import Provenance, check_spaces_fit
from irl_probe.softq import ACTIVATIONS, ActionScale, NetworkSpec, ObservationEncoder
from irl_probe.softq.in_numpy import Numbers, NumpyLayers, array_of, piece_rows, pieces


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


def tensors(
    spec: NetworkSpec, observations: Array, actions: Array, next_observations: Array, terminated: Bools
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch as a `RewardNetwork` takes it: actions in [−1, 1] where they are continuous."""
    a = np.asarray(actions) if spec.action_count is not None else ActionScale(spec).to_unit(np.asarray(actions))
    rows = (np.asarray(observations), a, np.asarray(next_observations), np.asarray(terminated, dtype=bool))
    o, a2, o2, d = (torch.as_tensor(part) for part in rows)
    return o, a2, o2, d


class NumpyRewardNetwork:
    """g of a batch of transitions, (N,) float64; actions in the environment's units, as rewards are called.

    s, a, s′ and d are laid side by side in one array in the type of the weights, which is normalised at once and
    passed through the layers. Layers are on torch's own memory, so that a later change of them in place is seen; the
    encoder's moments are taken as they are now.
    """

    def __init__(self, network: RewardNetwork) -> None:
        self._network, self._form, spec = network, network.form, network.spec
        self._table = array_of(network.table) if network.tabular else None
        self._layers = NumpyLayers(network.layers)
        self._states, self._actions = spec.observation_count, spec.action_count
        self._rows = piece_rows(spec)
        shift, scale = moments(network.encoder, spec, network.form)
        self._shift, self._scale = shift, scale
        self._after_state = spec.input_width
        self._after_action = self._after_state + (self._actions or len(spec.action_low or ()))

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Floats:
        if self._table is not None:
            return self._read(observations, actions, next_observations, terminated)
        if len(observations) <= self._rows:
            inputs = self._inputs(observations, actions, next_observations, terminated)
            return self._layers(inputs)[:, 0].astype(np.float64)
        values = np.empty(len(observations))
        for rows in pieces(len(observations), self._rows):
            inputs = self._inputs(observations[rows], actions[rows], next_observations[rows], terminated[rows])
            values[rows] = self._layers(inputs)[:, 0]
        return values

    def of_states(self, observations: Array) -> Floats:
        """The same for a network of the form "state"."""
        none = np.empty(len(observations), dtype=bool)
        return self(observations, none, none, none)

    def _read(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Floats:
        """The table's entries; the end of the MDP is a successor of its own, the last."""
        assert self._table is not None
        entries: list[Array] = [observations.astype(np.int64)]
        if self._form != "state":
            entries.append(actions.astype(np.int64))
        if self._form == "transition":
            entries.append(np.where(terminated, self._states or 0, next_observations.astype(np.int64)))
        return np.asarray(self._table[tuple(entries)], dtype=np.float64)

    def _inputs(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Numbers:
        """What the layers see, (N, width), as `RewardNetwork.inputs` has it."""
        x = np.empty((len(observations), len(self._shift)), self._shift.dtype)
        state, action = self._after_state, self._after_action
        _place(x[:, :state], observations, self._states)
        if self._form != "state":
            _place(x[:, state:action], actions, self._actions)
        if self._form == "transition":
            _place(x[:, action:-1], next_observations, self._states)
            x[:, -1] = terminated
        x -= self._shift
        x /= self._scale
        if self._form == "transition" and np.count_nonzero(terminated):  # any() takes five times as long for a few
            x[terminated, action:-1] = 0
        return x


def _place(columns: Numbers, values: Array, count: int | None) -> None:
    """Write values into their columns: flat, or one-hot where they are discrete."""
    if count is None:
        columns[:] = values.reshape(columns.shape)
        return
    columns[:] = 0
    columns[np.arange(len(columns)), values.astype(np.int64)] = 1


def moments(encoder: ObservationEncoder, spec: NetworkSpec, form: str) -> tuple[Numbers, Numbers]:
    """What is taken from the inputs, and what they are then divided by: one number a column."""
    mean, scale = array_of(encoder.mean), array_of(encoder.scale)
    if spec.observation_count is not None:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    shifts: list[NDArray[np.generic]] = [mean]
    scales: list[NDArray[np.generic]] = [scale]
    if form != "state":
        bounds = None if spec.action_count is not None else ActionScale(spec)
        shifts.append(np.zeros(spec.action_count or 0) if bounds is None else bounds.centre)
        scales.append(np.ones(spec.action_count or 0) if bounds is None else bounds.half)
    if form == "transition":
        shifts += [mean, np.zeros(1)]
        scales += [scale, np.ones(1)]
    dtype = mean.dtype
    return np.concatenate(shifts).astype(dtype), np.concatenate(scales).astype(dtype)


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


MOST_TERMS = 30
ROUNDING = 1e-12  # share of the largest weight below which one is what rounding left of 0


def formula(reward: DistilledReward) -> str | None:
    """A linear reward's terms, such as "0.126·s[8] − 0.2"; those without a weight are left out.

    s[i] and a[i] count from 0: entries of a vector, or 1 where a discrete one is i. d is 1 at an end, where s′ counts
    as 0. Of a shaped reward it is g.

    Returns None for tables and networks, and where more than `MOST_TERMS` weights are left.
    """
    g = reward.g
    if g.spec.hidden or g.tabular:
        return None
    weights, constant = _affine(g)
    left = np.flatnonzero(np.abs(weights) > ROUNDING * np.abs(weights).max())
    if len(left) > MOST_TERMS:
        return None
    names = _names(g)
    terms = [(weights[i], f"·{names[i]}") for i in left] + ([(constant, "")] if constant or not len(left) else [])
    text = " ".join(f"{'−' if value < 0 else '+'} {abs(value):.3g}{name}" for value, name in terms)
    return text.removeprefix("+ ") if text.startswith("+") else "−" + text.removeprefix("− ")


def _names(g: RewardNetwork) -> list[str]:
    """What each input of the linear layer is called."""
    states, actions = g.spec.input_width, g.spec.action_count or len(g.spec.action_low or ())
    names = [f"s[{i}]" for i in range(states)]
    if g.form != "state":
        names += [f"a[{i}]" for i in range(actions)]
    return names + ([f"s′[{i}]" for i in range(states)] + ["d"] if g.form == "transition" else [])


def _affine(g: RewardNetwork) -> tuple[Floats, float]:
    """Weights and constant on inputs as rewards take them, of which the linear layer sees (x − shift)/scale."""
    weight, bias = (part.detach().double().numpy() for part in g.layers[-1].parameters())
    shift, scale = moments(g.encoder, g.spec, g.form)
    weights = weight[0] / scale
    constant = float(bias[0] - weights @ shift)
    if g.form == "transition":  # at an end it is the normalised s′ that is 0
        after = slice(-1 - g.spec.input_width, -1)
        weights[-1] += weights[after] @ shift[after]
    return weights, constant
