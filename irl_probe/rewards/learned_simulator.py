"""A learned model of the dynamics in a simulator's place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from irl_probe.envs import SimulatedStep
from irl_probe.inference import NumpyLayers, piece_rows, pieces
from irl_probe.rewards.dynamics import LearnedDynamics
from irl_probe.transitions import Array


@dataclass(frozen=True)
class LearnedSimulator:
    """Draws s′ ~ N(s + μ_m(s, a), σ_m(s, a)²) of a member m drawn uniformly, and an end with probability p_m(s, a).

    It stands where a `Simulator` does, and is only as good as the model. It knows no rewards: they are NaN.

    Attributes:
        model: what `fit_dynamics` gave.
        seed: of the draws; they differ from call to call.
    """

    model: LearnedDynamics
    seed: int = 0
    deterministic: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    _rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rng", np.random.default_rng(self.seed))

    @property
    def name(self) -> str:
        """What results call it."""
        return self.model.name

    @property
    def note(self) -> str:
        """How good the model is, in words."""
        return (
            f"held-out log likelihood {self.model.log_likelihood:.2f} nats a step, "
            f"one Gaussian for all steps {self.model.baseline:.2f}"
        )

    def step(self, observations: Array, actions: Array) -> SimulatedStep:
        """One draw from each row: observations (N, *obs_shape), actions in the environment's units."""
        spec, layers = self.model.network.spec, NumpyLayers(self.model.network.layers)
        successors, ended = np.empty_like(observations), np.zeros(len(observations), dtype=bool)
        for rows in pieces(len(observations), piece_rows(spec)):
            o = observations[rows]
            mean, deviation, ends = self.model.moments(layers, o, actions[rows])
            member, place = self._rng.integers(spec.critics, size=len(o)), np.arange(len(o))
            change = mean[member, place] + deviation[member, place] * self._rng.standard_normal(mean.shape[1:])
            successors[rows] = o.astype(np.float64) + change.reshape(o.shape)
            ended[rows] = self._rng.random(len(o)) < ends[member, place]
        return SimulatedStep(successors, np.full(len(observations), np.nan), ended)
