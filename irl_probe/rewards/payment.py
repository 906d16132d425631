"""What a step is paid: the reward, the tail where the MDP ended, and the normalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gymnasium.spaces import Box

from irl_probe.rewards.distilled import DistilledReward
from irl_probe.rewards.errors import RewardError
from irl_probe.rewards.model import Bools, Floats, Reward, check_callable, check_values
from irl_probe.rewards.models_json import RewardModel
from irl_probe.rewards.normalisation import NORMALISE, Normalisation, Normalise
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.transitions import Array


class Payment:
    """The reward of each step, (N,), with γ·V_abs where the MDP ended and the convention is absorbing, normalised.

    A recovered or distilled reward is asked about Box actions cut to the bounds that it was learned with: beyond them
    its network extrapolates, and most environments make the step of the bound. A plain function gets them as they are.

    Attributes:
        normalisation: as it stands; None where there is none.

    Raises RewardError for an unknown `normalise`, and for "frozen" with a reward that holds no normalisation.
    """

    def __init__(self, reward: Reward, normalise: Normalise) -> None:
        check_callable(reward)
        if normalise not in NORMALISE:
            raise RewardError(f"'normalise' must be one of {', '.join(NORMALISE)}; got {normalise!r}.")
        model = reward if isinstance(reward, RecoveredReward | DistilledReward) else None
        kept = None if model is None else model.normalisation
        if normalise == "frozen" and kept is None:
            raise RewardError(
                "A frozen normalisation must be one that was saved with the reward; this reward has none. Train with "
                "normalise='running' first, and save env.paid_reward."
            )
        self.normalisation = None if normalise == "none" else kept or Normalisation()
        self._reward, self._model, self._running = reward, model, normalise == "running"
        space = None if model is None else model.action_space
        self._bounds = (space.low, space.high) if isinstance(space, Box) else None
        self._tail = 0.0 if model is None else model.tail
        self._name = type(reward).__name__

    def __call__(
        self,
        observations: Array,
        actions: Array,
        successors: Array,
        terminated: Bools,
        *,
        among: Bools | None = None,
    ) -> Floats:
        """What each step is paid; 0 where `among` says that it is no step of the MDP."""
        if self._bounds is not None and actions.shape[1:] == self._bounds[0].shape:  # else it is refused
            actions = actions.clip(*self._bounds)
        values = check_values(
            self._reward(observations, actions, successors, terminated), len(observations), name=self._name
        )
        if self._tail:
            values = values + self._tail * terminated
        if self.normalisation is not None:
            if self._running:
                self.normalisation = self.normalisation.updated(values if among is None else values[among])
            values = self.normalisation(values)
        return values if among is None else np.where(among, values, 0.0)

    @property
    def normalised_reward(self) -> RewardModel:
        """The reward with the normalisation as it stands. Raises RewardError for one that holds none."""
        if self._model is None:
            raise RewardError(
                "A normalisation is kept in a recovered or distilled reward; "
                f"a {self._name} has no place for it. Keep env.payment.normalisation yourself."
            )
        if self.normalisation is None:
            return self._model
        return replace(self._model, normalisation=self.normalisation)
