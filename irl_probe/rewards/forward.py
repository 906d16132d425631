"""A `RewardNetwork` evaluated in NumPy: a few transitions at a time cost microseconds, not torch's dispatch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irl_probe.inference import Numbers, NumpyLayers, array_of, piece_rows, pieces
from irl_probe.networks import ActionScale, NetworkSpec, ObservationEncoder
from irl_probe.rewards.model import Bools, Floats
from irl_probe.rewards.network import RewardNetwork
from irl_probe.transitions import Array


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
