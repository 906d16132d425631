"""The network or table of an explicit reward: g(s), g(s, a) or g(s, a, s′)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from irl_probe.networks import ACTIVATIONS, ActionScale, NetworkSpec, ObservationEncoder
from irl_probe.rewards.distil_config import FORMS, Form
from irl_probe.rewards.model import Bools
from irl_probe.transitions import Array


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
