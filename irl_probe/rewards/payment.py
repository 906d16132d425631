"""What a reward pays for steps, and whether it fits the environment that pays it."""

from __future__ import annotations

import re
import warnings

import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box

from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Floats
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import (
    NORMALISE,
    Normalisation,
    Normalise,
    Reward,
    RewardError,
    check_callable,
    check_values,
)


class Payment:
    """The reward of each step, (N,), with γ·V_abs where the MDP ended and the convention is absorbing, normalised.

    A recovered or distilled reward is asked about Box actions clipped to the bounds that it was learned with: beyond
    them its network extrapolates, and most environments clip too. A plain function gets them unclipped.

    Attributes:
        normalisation: the current one, or None.

    Raises RewardError for an unknown `normalise`, and for "frozen" with a reward that holds no normalisation.
    """

    def __init__(self, reward: Reward, normalise: Normalise) -> None:
        check_callable(reward)
        if normalise not in NORMALISE:
            raise RewardError(f"'normalise' must be one of {', '.join(NORMALISE)}; got {normalise!r}.")
        model = reward if isinstance(reward, RewardModel) else None
        saved = None if model is None else model.normalisation
        if normalise == "frozen" and saved is None:
            raise RewardError(
                "A frozen normalisation must be one that was saved with the reward; this reward has none. Train with "
                "normalise='running' first, and save env.paid_reward."
            )
        self.normalisation = None if normalise == "none" else saved or Normalisation()
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
        """What each step is paid; 0 where `among` says that it is not a step of the MDP."""
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
        """The reward with the current normalisation. Raises RewardError for a reward that cannot hold one."""
        if self._model is None:
            raise RewardError(
                "Only a recovered or distilled reward can hold a normalisation; "
                f"a {self._name} has no place for it. Keep env.payment.normalisation yourself."
            )
        if self.normalisation is None:
            return self._model
        return self._model.normalised(self.normalisation)


def check_fit(reward: Reward, observation_space: Space, action_space: Space) -> None:
    """Raise RewardError where a reward that knows its spaces does not take these."""
    if isinstance(reward, RewardModel):
        reward.check_spaces(observation_space, action_space)


def warn_of_another_env(reward: Reward, spec: EnvSpec | None) -> None:
    """Warn where a reward that knows its environment pays in one of another name."""
    known = reward.provenance.get("env_id") if isinstance(reward, RewardModel) else None
    if isinstance(known, str) and spec is not None and _name(known) != _name(spec.id):
        warnings.warn(
            f"This reward was learned in {known} and pays in {spec.id}: the spaces fit, but what the observations "
            "and actions mean may differ. Check that they mean the same.",
            stacklevel=3,
        )


def _name(env_id: str) -> str:
    """An id without its version and without a change of dynamics: "Hopper" of "Hopper-v5[mass=2]"."""
    return re.sub(r"(-v\d+)?(\[.*\])?$", "", env_id)
