"""A vector environment of Stable-Baselines3 that pays a reward (the optional package stable-baselines3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from irl_probe._plain import many_observations, one_observation
from irl_probe._types import Array
from irl_probe.rewards.model import RewardModel
from irl_probe.rewards.protocol import Normalise, Reward, RewardError
from irl_probe.rewards.wrappers import Payment, check_fit, warn_of_another_env

try:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
except ImportError as error:
    raise ImportError("SB3RewardVecEnv needs Stable-Baselines3: pip install 'irl_probe[sb3]'.") from error


class SB3RewardVecEnv(VecEnvWrapper):
    """A VecEnv that pays `reward`, by one call for all of its environments; see `RewardWrapper`.

    A VecEnv resets by itself: the observation after an episode's last step belongs to the next episode, and the
    successor s′ is `infos[i]["terminal_observation"]`. An episode that the clock cut (`TimeLimit.truncated`) did not
    terminate, so it gets no γ·V_abs. Each `infos[i]["true_reward"]` holds the environment's own reward.

    Raises RewardError where the spaces do not fit the reward's (both are named). Warns as `RewardWrapper` does if
    the environments are in this process (DummyVecEnv); not all others can send their specification.
    """

    def __init__(self, venv: VecEnv, reward: Reward, *, normalise: Normalise = "none") -> None:
        super().__init__(venv)
        check_fit(reward, venv.observation_space, venv.action_space)
        inner = venv.unwrapped
        warn_of_another_env(reward, inner.envs[0].spec if isinstance(inner, DummyVecEnv) else None)
        self.reward = reward
        self.payment = Payment(reward, normalise, (venv.observation_space, venv.action_space))
        self._observations: Array | None = None
        self._actions: Array | None = None

    def reset(self) -> Any:
        """Reset all environments."""
        observations = self.venv.reset()
        self._observations = many_observations(self.venv.observation_space, observations)
        return observations

    def step_async(self, actions: Array) -> None:
        """Begin a step."""
        self._actions = np.array(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
        """Finish the step and pay r(s, a, s′), with the tail where an environment terminated."""
        if self._observations is None or self._actions is None:
            raise RewardError("An environment must be reset before its first step; call reset() first.")
        observations, true_rewards, dones, infos = self.venv.step_wait()
        after = many_observations(self.venv.observation_space, observations)
        successors = after.copy()
        terminated = np.array(dones, dtype=bool)
        for i in np.flatnonzero(dones):
            successors[i] = one_observation(self.venv.observation_space, infos[i]["terminal_observation"])
            terminated[i] = not infos[i].get("TimeLimit.truncated", False)
        paid = self.payment(self._observations, self._actions, successors, terminated)
        self._observations = after
        infos = [{"true_reward": float(own), **info} for info, own in zip(infos, true_rewards, strict=True)]
        return observations, paid.astype(np.float32), dones, infos

    @property
    def paid_reward(self) -> RewardModel:
        """The reward with its current normalisation."""
        return self.payment.normalised_reward
