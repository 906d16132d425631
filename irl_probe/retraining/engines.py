"""The verbs retrain (our own learner) and retrain_sb3 (Stable-Baselines3's): one fresh policy on one reward."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np

from irl_probe._config import as_seed, check_count, check_kind, takes_config
from irl_probe._plain import plain_actions, plain_env, to_own_actions, to_plain_observations
from irl_probe._policies import acting
from irl_probe._spaces import Env, Space
from irl_probe._types import Array
from irl_probe.envs import check_spaces, env_name, make_env
from irl_probe.learn import Run, train_on_reward
from irl_probe.learn.logs import progress_bar
from irl_probe.learn.resume import check_folder
from irl_probe.retraining.cells import reward_fingerprint
from irl_probe.retraining.config import RetrainConfig
from irl_probe.rewards import Reward, RewardModel, RewardWrapper

Algorithm = Literal["sac", "ppo", "dqn"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_CONTINUOUS, _DISCRETE = ("sac", "ppo"), ("ppo", "dqn")
SB3_STEPS = 100_000  # environment steps of a policy, unless the caller says otherwise


@takes_config(RetrainConfig, "irl_probe.retrain(reward, RetrainConfig(RLConfig(steps=10_000)), env='CartPole-v1')")
def retrain(
    reward: Reward,
    config: RetrainConfig | None = None,
    *,
    env: str | Env,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
) -> Run:
    """Train a fresh policy in `env` on `reward` alone, paid by a `RewardWrapper`; the true reward is not read.

    Args:
        reward: any reward (observations, actions, next_observations, terminated) → (N,).
        config: see `RetrainConfig`.
        env: the environment, or its id.
        out: folder for checkpoints and logs.
        resume: continue the run in `out`, which must be of this reward.
        progress: show a bar.

    Raises as `irl_probe.train` does.
    """
    check_folder(out, resume=resume)
    learner = (config or RetrainConfig()).learner
    model = reward if isinstance(reward, RewardModel) else None
    if model is not None and model.temperature is not None and learner.temperature is None:
        learner = replace(learner, temperature=model.temperature, gamma=model.gamma)
    live = make_env(env) if isinstance(env, str) else env
    check_kind(live, gym.Env, "The environment", "Give one, or an id such as 'CartPole-v1'.")
    note = None if out is None else {"reward": reward_fingerprint(reward, live)}
    wrapped = RewardWrapper(live, reward)
    return train_on_reward(wrapped, learner, out=out, resume=resume, progress=progress, note=note)


@dataclass(frozen=True, eq=False)
class SB3Run:
    """A policy trained by Stable-Baselines3.

    Attributes:
        model: the algorithm after training.
        algorithm: "sac", "ppo" or "dqn".
        steps: environment steps.
        seed: the seed of all random numbers.
        observation_space, action_space: the environment's; the model itself sees flat observations, and actions of a
            finite space as indices counted from 0.
    """

    model: Any
    algorithm: Algorithm
    steps: int
    seed: int
    observation_space: Space
    action_space: Space

    def policy(
        self, observations: Array, deterministic: bool = True, *, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions (N, …) in the environment's units; draws have a seed from `rng`, else torch's global generator."""
        plain = to_plain_observations(self.observation_space, observations)
        return to_own_actions(self.action_space, acting(self.model)(plain, deterministic, rng))


def retrain_sb3(
    reward: Reward | None,
    algorithm: Algorithm,
    *,
    env: str | Env | Callable[[], Env],
    steps: int = SB3_STEPS,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    progress: bool | None = False,
) -> SB3Run:
    """Train a fresh policy by Stable-Baselines3 on `reward` alone, paid by a `RewardWrapper`.

    The settings are SB3's defaults, except γ, which is the reward's if it has one. SAC learns its temperature by its
    own rule and does not use the reward's α.

    Args:
        reward: any reward; None trains on the environment's own.
        algorithm: "sac" (continuous actions), "dqn" (discrete ones) or "ppo" (either).
        env: the environment, its id, or a function that makes it.
        steps: environment steps, at least 1; PPO rounds them up to whole rollouts.
        seed: of the algorithm and the environment.
        settings: more arguments of the algorithm, which replace those chosen here.
        progress: show a bar, or without a terminal a line a minute; False shows nothing.

    Raises ImportError where Stable-Baselines3 is not installed, ValueError for an unknown algorithm, one that does
    not take these actions, or steps that are not a whole number, RewardError where the reward does not fit the
    environment.
    """
    check_count(steps, 1, "The steps")
    seed = as_seed(seed)
    if algorithm not in ALGORITHMS:
        raise ValueError(f"The algorithm must be one of {', '.join(ALGORITHMS)}; got {algorithm!r}.")
    try:
        import stable_baselines3 as sb3
    except ImportError as error:
        raise ImportError("This needs Stable-Baselines3: pip install 'irl_probe[sb3]'.") from error
    live = make_env(env) if isinstance(env, str) else env() if not isinstance(env, gym.Env) and callable(env) else env
    check_spaces(live)
    discrete = isinstance(plain_actions(live.action_space), gym.spaces.Discrete)
    fitting = _DISCRETE if discrete else _CONTINUOUS
    if algorithm not in fitting:
        actions = "discrete" if discrete else "continuous"
        raise ValueError(f"{algorithm.upper()} does not take {actions} actions; use {' or '.join(fitting)}.")
    gamma = {"gamma": reward.gamma} if isinstance(reward, RewardModel) else {}
    chosen: dict[str, Any] = {"policy": "MlpPolicy", "seed": seed, "device": "cpu"} | gamma | (settings or {})
    paid = plain_env(live if reward is None else RewardWrapper(live, reward))
    kind = {"sac": sb3.SAC, "ppo": sb3.PPO, "dqn": sb3.DQN}[algorithm]
    model = kind(env=paid, **chosen)
    with progress_bar(f"{algorithm} {env_name(live)} seed {seed}", steps, start=0, progress=progress) as bar:

        def told(*_: Any) -> bool:
            bar.move(model.num_timesteps)
            return True  # go on

        model.learn(steps, callback=told)
    own = live.observation_space, live.action_space
    return SB3Run(model, algorithm, int(model.num_timesteps), chosen["seed"], *own)
