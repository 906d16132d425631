"""A vector environment of Stable-Baselines3 that pays a reward (the optional package stable-baselines3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from irl_probe._plain import many_observations, one_observation
from irl_probe._types import Array
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import Normalise, Reward, RewardError
from irl_probe.rewards.wrappers import Payment, check_fit, warn_of_another_env

try:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecNormalize
except ImportError as error:
    raise ImportError("SB3RewardVecEnv needs Stable-Baselines3: pip install 'irl_probe[sb3]'.") from error


class SB3RewardVecEnv(VecEnvWrapper):
    """A VecEnv that pays `reward`, by one call for all of its environments; see `RewardWrapper`.

    A VecEnv resets by itself: the observation after an episode's last step belongs to the next episode, and the
    successor s′ is `infos[i]["terminal_observation"]`. An episode that the clock cut (`TimeLimit.truncated`) did not
    terminate, so it gets no γ·V_abs. Each `infos[i]["true_reward"]` holds the environment's own reward.

    Around a VecNormalize the learner gets the normalised observations, and the reward, as everywhere, the raw ones: a
    reward that was recovered in a VecNormalize holds its statistics. What is paid is not normalised; `true_reward` is
    the environment's own reward before normalisation.

    Raises RewardError where the spaces do not fit the reward's (both are named), and where a VecNormalize is inside
    another wrapper. Warns as `RewardWrapper` does if the environments are in this process (DummyVecEnv); not all others
    can send their specification.
    """

    def __init__(self, venv: VecEnv, reward: Reward, *, normalise: Normalise = "none") -> None:
        check_fit(reward, venv.observation_space, venv.action_space)
        inner = venv.unwrapped
        warn_of_another_env(reward, inner.envs[0].spec if isinstance(inner, DummyVecEnv) else None)
        self.reward = reward
        self.payment = Payment(reward, normalise, (venv.observation_space, venv.action_space))
        self._raw: _Raw | None = None
        if isinstance(venv, VecNormalize):
            self._raw = venv.venv = _Raw(venv.venv)
            venv = _PaidNormalize.of(venv)
        if any(isinstance(layer, VecNormalize) for layer in _inside(venv)):
            raise RewardError(
                "A VecNormalize must be the outermost wrapper, so that the reward gets the observations before it; got "
                f"{' of '.join(type(layer).__name__ for layer in (venv, *_inside(venv)))}. Put the others inside it."
            )
        super().__init__(venv)
        self._observations: Array | None = None
        self._actions: Array | None = None

    def reset(self) -> Any:
        """Reset all environments."""
        observations = self.venv.reset()
        self._observations = _flat(self.venv, observations) if self._raw is None else self._raw.observations
        return observations

    def step_async(self, actions: Array) -> None:
        """Begin a step."""
        self._actions = np.array(actions)
        self.venv.step_async(np.array(actions))

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Finish the step and pay r(s, a, s′), with the tail where an environment terminated."""
        if self._observations is None or self._actions is None:
            raise RewardError("An environment must be reset before its first step; call reset() first.")
        observations, true_rewards, dones, infos = self.venv.step_wait()
        after = _flat(self.venv, observations) if self._raw is None else self._raw.observations
        last: Mapping[int, Array] = _last(self.venv, dones, infos) if self._raw is None else self._raw.last
        true_rewards = true_rewards if self._raw is None else self._raw.rewards
        successors = after.copy()
        terminated = np.array(dones, dtype=bool)
        for i, observation in last.items():
            successors[i] = observation
            terminated[i] = not infos[i].get("TimeLimit.truncated", False)
        paid = self.payment(self._observations, self._actions, successors, terminated)
        self._observations, paid = after, paid.astype(np.float32)
        if self._raw is not None:
            self._raw.paid = paid
        infos = [{"true_reward": float(own), **info} for info, own in zip(infos, true_rewards, strict=True)]
        return observations, paid, dones, infos

    @property
    def paid_reward(self) -> RewardModel:
        """The reward with its current normalisation."""
        return self.payment.normalised_reward


def _inside(venv: VecEnv) -> list[VecEnv]:
    """What a VecEnv wraps, from the outside in."""
    found = []
    while isinstance(venv, VecEnvWrapper):
        venv = venv.venv
        found.append(venv)
    return found


def _flat(venv: VecEnv, observations: Any) -> Array:
    """A copy of the observations as a reward gets them."""
    return many_observations(venv.observation_space, observations)


def _last(venv: VecEnv, dones: Any, infos: list[dict[str, Any]]) -> dict[int, Array]:
    """The last observations of the episodes that ended, by the environment's index, as a reward gets them."""
    ended = [int(i) for i in np.flatnonzero(dones)]
    return {i: one_observation(venv.observation_space, infos[i]["terminal_observation"]) for i in ended}


class _Raw(VecEnvWrapper):
    """What a VecNormalize gets: raw observations, rewards, and the last observations of episodes that ended."""

    observations: Array
    rewards: Array
    last: Mapping[int, Array]
    paid: Array  # in place of `rewards`, by the SB3RewardVecEnv around it

    def reset(self) -> Any:
        observations = self.venv.reset()
        self.observations = _flat(self.venv, observations)
        return observations

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        observations, rewards, dones, infos = self.venv.step_wait()
        self.observations, self.rewards = _flat(self.venv, observations), np.array(rewards)
        self.last = _last(self.venv, dones, infos)
        return observations, rewards, dones, infos


class _PaidNormalize(VecNormalize):
    """The same VecNormalize, statistics included, whose original reward is the paid one.

    SAC, DQN and TD3 look for a VecNormalize and store its original reward, not the one that a step returned. Later they
    normalise what they stored by its statistics, which are those of the true reward.
    """

    venv: _Raw

    @classmethod
    def of(cls, normalised: VecNormalize) -> _PaidNormalize:
        same = object.__new__(cls)
        same.__dict__ = normalised.__dict__
        return same

    def get_original_reward(self) -> Any:
        return self.venv.paid.copy()

    def normalize_reward(self, reward: Any) -> Any:
        return reward

    def unnormalize_reward(self, reward: Any) -> Any:
        return reward

    def __reduce__(self) -> Any:
        return object.__new__, (VecNormalize,), self.__getstate__()
