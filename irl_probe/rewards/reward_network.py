"""The networks and tables of distilled rewards: r(s), r(s, a) or r(s, a, s′), in torch and in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe._types import Array, Bools, Floats
from irl_probe.rewards.distil_config import FORMS, Form
from irl_probe.softq import ACTIVATIONS, ActionScale, Network, NetworkSpec, ObservationEncoder
from irl_probe.softq.in_numpy import Numbers, NumpyEncoder, NumpyLayers, array_of, piece_rows, pieces


class RewardNetwork(Network):
    """g(s), g(s, a) or g(s, a, s′, d), as `form` says; d is whether the MDP ended.

    Where it ended, the successor is the absorbing state, and the observed s′ is not read. Without hidden layers g is
    linear: on discrete states (and actions) a table with one entry for each s, (s, a) or (s, a, s′), with an extra s′
    for the end; elsewhere an affine function of observations and actions.

    Actions are indices when discrete, else scaled to [−1, 1].
    """

    def __init__(self, spec: NetworkSpec, form: Form) -> None:
        super().__init__()
        self.spec, self.form = spec, form
        self.encoder = ObservationEncoder(spec)
        self.layers = nn.Sequential()
        sizes = table_sizes(spec, form)
        if sizes is not None:
            self.table = nn.Parameter(torch.zeros(sizes, dtype=torch.float32))
            return
        width, actions = spec.input_width, spec.action_count or len(spec.action_low or ())
        width += {"state": 0, "state-action": actions, "transition": actions + width + 1}[form]
        for hidden in spec.hidden:
            self.layers.extend([nn.Linear(width, hidden, dtype=torch.float32), ACTIVATIONS[spec.activation]()])
            width = hidden
        self.layers.append(nn.Linear(width, 1, dtype=torch.float32))

    def arguments(self) -> tuple[object, ...]:
        """As `Network.arguments`."""
        return self.spec, self.form

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
        """The entry of the table that each transition reads: one index for each axis."""
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
    """Sizes of the table of a `RewardNetwork` of this shape, or None if it is not a table."""
    states, actions = spec.observation_count, spec.action_count
    if spec.hidden or states is None:
        return None
    if form == "state":
        return (states,)
    if actions is None:
        return None
    return (states, actions) if form == "state-action" else (states, actions, states + 1)


def as_tensors(
    spec: NetworkSpec, observations: Array, actions: Array, next_observations: Array, terminated: Bools
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch as a `RewardNetwork` takes it: actions in [−1, 1] where they are continuous."""
    a = np.asarray(actions) if spec.action_count is not None else ActionScale(spec).to_unit(np.asarray(actions))
    rows = (np.asarray(observations), a, np.asarray(next_observations), np.asarray(terminated, dtype=bool))
    o, a2, o2, d = (torch.as_tensor(part) for part in rows)
    return o, a2, o2, d


class NumpyRewardNetwork:
    """g of a batch of transitions, (N,) float64; actions in the environment's units, as rewards are called.

    s, a, s′ and d, normalised, go into one array in the type of the weights. The layers share torch's memory, so they
    follow later in-place changes of the weights.
    """

    def __init__(self, network: RewardNetwork) -> None:
        self._network, self._form, spec = network, network.form, network.spec
        self._table = array_of(network.table) if network.tabular else None
        self._layers = NumpyLayers(network.layers)
        self._states, self._actions = spec.observation_count, spec.action_count
        self._encode, self._rows = NumpyEncoder(network.encoder), piece_rows(spec)
        self._bounds = None if spec.action_count is not None else ActionScale(spec)
        self._dtype = array_of(network.encoder.mean).dtype
        state = spec.input_width
        action = state + (self._actions or len(spec.action_low or ()))
        self._after_state, self._after_action = state, action
        self._width = {"state": state, "state-action": action, "transition": action + state + 1}[self._form]

    def __reduce__(self) -> tuple[object, ...]:
        return NumpyRewardNetwork, (self._network,)

    def __call__(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Floats:
        if self._table is not None:
            entries = self._entries(observations, actions, next_observations, terminated)
            return np.asarray(self._table[entries], dtype=np.float64)
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

    def _entries(
        self, observations: Array, actions: Array, next_observations: Array, terminated: Bools
    ) -> tuple[Array, ...]:
        """One index for each axis of the table; the end of the MDP is an extra successor, the last."""
        entries: list[Array] = [observations.astype(np.int64)]
        if self._form != "state":
            entries.append(actions.astype(np.int64))
        if self._form == "transition":
            entries.append(np.where(terminated, self._states or 0, next_observations.astype(np.int64)))
        return tuple(entries)

    def _inputs(self, observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Numbers:
        """What the layers see, (N, width), as `RewardNetwork.inputs` has it."""
        x = np.empty((len(observations), self._width), self._dtype)
        state, action = self._after_state, self._after_action
        x[:, :state] = self._encode(observations)
        if self._form != "state":
            self._place_actions(x[:, state:action], actions)
        if self._form == "transition":
            x[:, action:-1] = self._encode(next_observations)
            x[:, -1] = terminated
            if np.count_nonzero(terminated):  # five times as fast as any() for a few rows
                x[terminated, action:-1] = 0
        return x

    def _place_actions(self, columns: Numbers, actions: Array) -> None:
        """Write actions into their columns: in [−1, 1], or one-hot where they are discrete."""
        if self._bounds is not None:
            columns[:] = (actions.reshape(columns.shape) - self._bounds.centre) / self._bounds.half
            return
        columns[:] = 0
        columns[np.arange(len(columns)), actions.astype(np.int64)] = 1


def moments(encoder: ObservationEncoder, spec: NetworkSpec, form: str) -> tuple[Floats, Floats]:
    """The shift that is subtracted from the inputs and the scale that they are then divided by, one number a column."""
    mean = array_of(encoder.mean).astype(np.float64) + array_of(encoder.rest)
    scale = array_of(encoder.scale).astype(np.float64)
    if spec.observation_count is not None:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    shifts, scales = [mean], [scale]
    if form != "state":
        bounds = None if spec.action_count is not None else ActionScale(spec)
        shifts.append(np.zeros(spec.action_count or 0) if bounds is None else bounds.centre)
        scales.append(np.ones(spec.action_count or 0) if bounds is None else bounds.half)
    if form == "transition":
        shifts += [mean, np.zeros(1)]
        scales += [scale, np.ones(1)]
    return np.concatenate(shifts), np.concatenate(scales)
