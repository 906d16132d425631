"""The true return of a policy, for evaluation only; it draws its own random numbers."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from irl_probe._config import check_count
from irl_probe._plain import flattened, named, uniform_actions
from irl_probe._spaces import Env
from irl_probe._types import Array
from irl_probe.envs import make_env


class Policy(Protocol):
    """Actions (N, …) in the environment's units for observations (N, …)."""

    def __call__(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array: ...


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted true returns and lengths of episodes, (E,) each."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def __str__(self) -> str:
        return f"{self.returns.mean():.2f} ± {self.returns.std():.2f} over {len(self.returns)} episodes"


def random_policy(action_space: gym.Space[Any], seed: int = 0) -> Policy:
    """Random actions of a whole space and of nothing else, as a policy; `_plain.uniform_actions` says how."""
    default = np.random.default_rng(seed)

    def act(observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None) -> Array:
        return uniform_actions(action_space, len(observations), rng or default)

    return act


def evaluate(
    policy: Policy, env: str | Env | Callable[[], Env], *, episodes: int = 20, seed: int = 0, deterministic: bool = True
) -> Evaluation:
    """Run a policy for whole episodes; the i-th starts from the i-th seed drawn from `seed`.

    From an id or a function one environment is made for each episode, and all run side by side, so that the policy is
    called once a step. An environment object runs its episodes one after the other and stays open.

    Raises ValueError unless `episodes` is at least 1 and `seed` at least 0; TypeError for a policy that is not a
    function.
    """
    check_count(episodes, 1, "The episodes of an evaluation")
    check_count(seed, 0, "The seed of an evaluation")
    if not callable(policy):
        raise TypeError(
            f"A policy must be a function of observations; got {reprlib.repr(policy)}. For a run give run.policy."
        )
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(episodes)]
    rng = np.random.default_rng([seed, 1])
    if isinstance(env, gym.Env):
        results = [_side_by_side(policy, [env], [s], deterministic, rng) for s in seeds]
        return Evaluation(*(np.concatenate(parts) for parts in zip(*results, strict=True)))
    copies = [make_env(env) if isinstance(env, str) else env() for _ in seeds]
    try:
        return Evaluation(*_side_by_side(policy, copies, seeds, deterministic, rng))
    finally:
        for copy in copies:
            copy.close()


def _side_by_side(
    policy: Policy, envs: list[Env], seeds: list[int], deterministic: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One episode in each environment, in lockstep."""
    own = envs[0].observation_space
    envs = [flattened(env) for env in envs]
    observations = np.stack([env.reset(seed=s)[0] for env, s in zip(envs, seeds, strict=True)])
    returns, lengths = np.zeros(len(envs)), np.zeros(len(envs), dtype=np.int64)
    running = np.arange(len(envs))
    while len(running):
        actions = policy(named(own, observations[running]), deterministic, rng=rng)
        over = []
        for i, action in zip(running, actions, strict=True):
            observations[i], reward, terminated, truncated, _ = envs[i].step(action)
            returns[i] += float(reward)
            lengths[i] += 1
            over.append(terminated or truncated)
        running = running[~np.array(over)]
    return returns, lengths
