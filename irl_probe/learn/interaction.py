"""An environment that can be put back where a checkpoint left it, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

Env = gym.Env[Any, Any]


@dataclass(frozen=True)
class Step:
    """One step (s, a, s′) as it happened; `over` when the episode ended here, for whatever reason."""

    observation: np.ndarray
    action: Any
    successor: np.ndarray
    reward: float
    terminated: bool
    over: bool


class Interaction:
    """Episodes one after the other; episode i is reset with a seed drawn from (seed, i).

    Its state is therefore the number of the episode and the actions taken in it: `restore` resets the environment and
    takes them again. That is exact for every environment that honours its reset seed, whatever it is made of.

    An episode of `episode_steps` steps is cut off there; None leaves its length to the environment.
    """

    observation: np.ndarray

    def __init__(self, env: Env, seed: int, episode_steps: int | None = None) -> None:
        self.env, self.seed, self.episode_steps = env, seed, episode_steps
        self._begin(0)

    def step(self, action: Any) -> Step:
        """Take an action; after the end of an episode the next one has already begun."""
        before = self.observation
        successor, reward, terminated, truncated, _ = self.env.step(action)
        self.actions.append(action)
        over = bool(terminated or truncated) or len(self.actions) == self.episode_steps
        self.observation = np.array(successor)
        step = Step(before, action, self.observation, float(reward), bool(terminated), over)
        if over:
            self._begin(self.episode + 1)
        return step

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs: plain numbers."""
        return {
            "episode": self.episode,
            "actions": [np.asarray(a).tolist() for a in self.actions],
            "observation": self.observation.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a checkpoint's state.

        Raises ValueError where the environment does not come back to the same observation.
        """
        self._begin(state["episode"])
        dtype = self.env.action_space.dtype
        for action in state["actions"]:
            self.step(np.asarray(action, dtype=dtype)[()])
        if not np.array_equal(self.observation, np.array(state["observation"], dtype=self.observation.dtype)):
            raise ValueError(
                "A run can be resumed where the environment repeats itself given its reset seed and the same actions; "
                f"{self.env} came to another observation. Start anew, or make the environment honour reset(seed=)."
            )

    def _begin(self, episode: int) -> None:
        self.episode = episode
        self.actions: list[Any] = []
        seed = int(np.random.SeedSequence([self.seed, episode]).generate_state(1)[0])
        observation, _ = self.env.reset(seed=seed)
        self.observation = np.array(observation)
