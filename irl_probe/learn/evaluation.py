"""The true return of a policy, for evaluation only; it draws its own random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from irl_probe._config import as_seed, check_count
from irl_probe._plain import flattened, named, uniform_actions
from irl_probe._policies import Act, acting, checked_actions, is_stable_baselines, one_environment
from irl_probe._policies import Policy as Policy  # a public name of irl_probe.learn
from irl_probe._spaces import Env
from irl_probe._steps import EpisodeLimit, check_distinct, reset_copied, step_copied
from irl_probe._types import Array
from irl_probe.envs import make_env


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted true returns and lengths of episodes, (E,) each; not what a `RewardWrapper` pays."""

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def __str__(self) -> str:
        return f"{self.returns.mean():.2f} ± {self.returns.std():.2f} over {len(self.returns)} episodes"


def random_policy(action_space: gym.Space[Any], seed: int = 0) -> Callable[..., Array]:
    """Random actions of a whole space and of nothing else, as a policy; `_plain.uniform_actions` says how."""
    default = np.random.default_rng(seed)

    def act(observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None) -> Array:
        return uniform_actions(action_space, len(observations), rng or default)

    return act


def evaluate(
    policy: Policy,
    env: str | Env | Callable[[], Env],
    *,
    episodes: int = 20,
    seed: int = 0,
    deterministic: bool = True,
    max_steps: int | None = None,
) -> Evaluation:
    """Run a policy for whole episodes; the i-th starts from the i-th seed drawn from `seed`.

    From an id or a function one environment is made for each episode, and all run side by side, so that the policy is
    called once a step. An environment object runs its episodes one after the other and stays open.

    Args:
        policy: as in `record_demos`.
        env: the environment, its id, or a function that makes it; also a DummyVecEnv of one environment, in a
            VecNormalize or none. In a `RewardWrapper` the returns are the true ones, not the paid ones.
        episodes: their number.
        seed: of the first states, and of the policy's draws if it takes a generator `rng`.
        deterministic: passed to the policy, where it takes it.
        max_steps: cut an episode off after this many steps. None leaves its end to the environment; one without a
            gymnasium.wrappers.TimeLimit is cut off after 10,000 steps, with a warning.

    Raises ValueError unless `episodes` and `max_steps` are at least 1 and `seed` at least 0, where the policy's actions
    do not have the shape of the environment's, and where the function returns the same environment twice; TypeError for
    a policy or an environment of another type.
    """
    check_count(episodes, 1, "The episodes of an evaluation")
    seed = as_seed(seed, "The seed of an evaluation")
    if max_steps is not None:
        check_count(max_steps, 1, "'max_steps'")
    live, normaliser = one_environment(env) if is_stable_baselines(env) else (env, None)
    act = acting(policy, normaliser)
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(episodes)]
    rng = np.random.default_rng([seed, 1])

    def run(envs: list[Env], seeds: list[int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        limits = [EpisodeLimit(env, max_steps) for env in envs]
        return _side_by_side(act, envs, seeds, deterministic, rng, limits)

    if isinstance(live, gym.Env):
        results = [run([live], [s]) for s in seeds]
        return Evaluation(*(np.concatenate(parts) for parts in zip(*results, strict=True)))
    if not isinstance(live, str) and not callable(live):
        raise TypeError(f"'env' must be a Gymnasium environment, its id, or a function that makes it; got {live!r}.")
    copies = [make_env(live) if isinstance(live, str) else live() for _ in seeds]
    try:
        check_distinct(copies)
        return Evaluation(*run(copies, seeds))
    finally:
        for copy in copies:
            copy.close()


def _side_by_side(
    act: Act,
    envs: list[Env],
    seeds: list[int],
    deterministic: bool,
    rng: np.random.Generator,
    limits: list[EpisodeLimit],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One episode in each environment, in lockstep."""
    own = envs[0].observation_space
    envs = [flattened(env) for env in envs]
    observations = [reset_copied(env, seed=s) for env, s in zip(envs, seeds, strict=True)]
    returns, lengths = np.zeros(len(envs)), np.zeros(len(envs), dtype=np.int64)
    running = list(range(len(envs)))
    while running:
        batch = named(own, np.stack([observations[i] for i in running]))
        actions = checked_actions(act(batch, deterministic, rng), len(running), envs[0].action_space)
        left = []
        for i, action in zip(running, actions, strict=True):
            step = step_copied(envs[i], action)
            observations[i] = step.observation
            returns[i] += step.true_reward
            lengths[i] += 1
            if not (step.terminated or step.truncated or limits[i].reached(int(lengths[i]))):
                left.append(i)
        running = left
    return returns, lengths
