"""The verb retrain_study: true returns of policies trained on each reward alone, over several seeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import xarray as xr

from irl_probe._config import check_kind, takes_config
from irl_probe._names import TRUE_REWARD
from irl_probe._plain import plain_actions
from irl_probe._spaces import Env
from irl_probe._steps import time_limit
from irl_probe.demos import DemoError, load_demos
from irl_probe.envs import env_name
from irl_probe.envs.copying import env_maker
from irl_probe.learn import Policy, RLConfig, TrainingInterrupted, evaluate, random_policy, train_on_reward
from irl_probe.metrics.bootstrap import stratified_bootstrap
from irl_probe.results import new_results, retraining_group
from irl_probe.retraining.cells import (
    Cell,
    cell_folder,
    check_cells,
    environment_fingerprint,
    how_to_go_on,
    reward_fingerprint,
)
from irl_probe.retraining.config import RetrainConfig, RetrainStudyConfig
from irl_probe.retraining.engines import SB3_STEPS, retrain, retrain_sb3
from irl_probe.rewards import Reward

EVALUATION_SEED = 10_000
RANDOM_EPISODES = 100


@takes_config(RetrainStudyConfig, "retrain_study(rewards, RetrainStudyConfig(seeds=(0, 1)), env='CartPole-v1')")
def retrain_study(
    rewards: Mapping[str, Reward],
    config: RetrainStudyConfig | None = None,
    *,
    env: str | Env | Callable[[], Env],
    expert: float | None = None,
    out: str | Path | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """The true return of fresh policies trained on each reward alone, one for each seed.

    The centre over seeds is the interquartile mean (Agarwal et al. 2021) with an interval over seeds
    (`metrics.stratified_bootstrap`), which takes three; `normalised` puts a random policy at 0 and the expert at 1. The
    interval covers the retraining alone: the returns of random and expert are taken as exact.

    Args:
        rewards: name → reward. The name "true reward" is reserved for the environment's own reward; an empty mapping
            trains on that one alone.
        config: see `RetrainStudyConfig`.
        env: the environment, of which each policy gets a copy; its id; or a function that makes it.
        expert: the expert's mean true return; None takes that of the bundled demonstrations, where there are any.
        out: folder for results and runs. A policy that is finished there is not trained again. An interrupted one
            continues at its last checkpoint, or starts again with Stable-Baselines3. None writes nothing.
        progress: show a bar.

    Returns results with the group /retraining, (reward, seed); the returns of random and expert are attributes of it.

    Raises ValueError where there is no reward, a name is reserved, or `env` returns one environment twice;
    CheckpointError, before anything is trained, where `out` holds policies of another study (of another reward,
    environment, learner or budget), finished or not; TrainingDiverged where the learning of a policy diverges, which
    ends the study; TrainingInterrupted after Ctrl-C or SIGTERM.
    """
    config = config or RetrainStudyConfig()
    check_kind(rewards, Mapping, "The rewards of a study", "Name each: {'iq': reward}.")
    if not rewards and not config.on_true_reward:
        raise ValueError("A study takes at least one reward, as a mapping name → reward, or the true one; got none.")
    if TRUE_REWARD in rewards:
        raise ValueError(f"{TRUE_REWARD!r} is the name of the environment's own reward; give yours another name.")
    maker = env_maker(env)
    example = maker()
    taught: dict[str, Reward | None] = dict(rewards)
    if config.on_true_reward:
        taught[TRUE_REWARD] = None
    folder = None if out is None else Path(out)
    check_cells(folder, list(taught))
    env_id = env_name(example)

    def cells_of(name: str, reward: Reward | None) -> list[Cell]:
        source = {} if folder is None else _fingerprints(reward, maker)
        folders = {seed: cell_folder(folder, name, seed=seed) for seed in config.seeds}
        return [Cell(place, source | _budget(reward, seed, config)) for seed, place in folders.items()]

    try:
        planned = {name: cells_of(name, reward) for name, reward in taught.items()}
        for several in planned.values():
            for cell in several:
                cell.check()
        cells = np.array(
            [
                [
                    _return(reward, seed, maker, config, cell, progress)
                    for seed, cell in zip(config.seeds, planned[name], strict=True)
                ]
                for name, reward in taught.items()
            ]
        )
    except KeyboardInterrupt as error:
        raise TrainingInterrupted(how_to_go_on(folder)) from error
    random = evaluate(
        random_policy(example.action_space), maker, episodes=RANDOM_EPISODES, seed=EVALUATION_SEED
    ).returns.mean()
    example.close()
    best = _expert(env_id) if expert is None else expert
    steps = _steps(config, example.action_space)
    return new_results(
        {"retraining": _group(cells, list(taught), config, steps=steps, random=random, expert=best)},
        title=f"{env_id}: true return of policies trained on each reward alone",
        env_id=env_id,
        true_reward="as the environment paid it",
        config={"retrain_study": _plain(config)},
    )


def _group(
    cells: np.ndarray[Any, Any],
    rewards: list[str],
    config: RetrainStudyConfig,
    *,
    steps: int,
    random: float,
    expert: float | None,
) -> xr.Dataset:
    """The group /retraining from returns (reward, seed), normalised by random at 0 and the expert at 1 if known."""
    span = None if expert is None or expert == random else expert - random
    group = retraining_group(
        cells,
        rewards=rewards,
        seeds=config.seeds,
        normalised=None if span is None else (cells - random) / span,
        mean=_centres(cells, config),
        normalised_mean=None if span is None else (_centres(cells, config) - random) / span,
    )
    return group.assign_attrs(
        centre="interquartile mean over seeds",
        confidence=config.confidence,
        steps=steps,
        learner=config.algorithm,
        random_return=float(random),
        **({} if expert is None else {"expert_return": float(expert)}),
    )


def _fingerprints(reward: Reward | None, maker: Callable[[], Env]) -> dict[str, Any]:
    """The environment and the reward that policies learn from, as plain values."""
    env = maker()
    try:
        return {
            "env": env_name(env),
            "environment": environment_fingerprint(env),
            "time limit": time_limit(env),
            "reward": TRUE_REWARD if reward is None else reward_fingerprint(reward, env),
        }
    finally:
        env.close()


def _budget(reward: Reward | None, seed: int, config: RetrainStudyConfig) -> dict[str, Any]:
    """The other settings that the return of a policy depends on, as plain values."""
    settings = asdict(_own(reward is None, seed, config)) if config.algorithm == "own" else {"steps": config.steps}
    return {"algorithm": config.algorithm, "seed": seed, "episodes": config.episodes, "settings": settings}


def _return(
    reward: Reward | None,
    seed: int,
    maker: Callable[[], Env],
    config: RetrainStudyConfig,
    cell: Cell,
    progress: bool | None,
) -> float:
    """Mean true return of the policy of one reward and seed; read from the cell if it is there."""

    def compute() -> dict[str, float]:
        policy = _policy(reward, seed, maker, config, cell, progress)
        found = evaluate(policy, maker, episodes=config.episodes, seed=EVALUATION_SEED)
        return {"return_mean": float(found.returns.mean())}

    return float(cell.result(compute)["return_mean"])


def _policy(
    reward: Reward | None,
    seed: int,
    maker: Callable[[], Env],
    config: RetrainStudyConfig,
    cell: Cell,
    progress: bool | None,
) -> Policy:
    if config.algorithm != "own":
        algorithm = config.algorithm.removeprefix("sb3-")
        steps = config.steps or SB3_STEPS
        return retrain_sb3(reward, algorithm, env=maker, steps=steps, seed=seed, progress=progress).policy  # type: ignore[arg-type]  # one of its literals
    learner = _own(reward is None, seed, config)
    settings: dict[str, Any] = {"out": cell.run, "resume": cell.resume(), "progress": progress}
    if reward is None:
        return train_on_reward(maker(), learner, **settings).policy
    return retrain(reward, RetrainConfig(learner), env=maker(), **settings).policy


def _centres(cells: np.ndarray[Any, Any], config: RetrainStudyConfig) -> np.ndarray[Any, Any]:
    """IQM over seeds with its interval, (reward, 3)."""
    return np.stack(
        [stratified_bootstrap(row, confidence=config.confidence, resamples=config.resamples).array for row in cells]
    )


def _expert(env_id: str) -> float | None:
    """Mean true return of the bundled demonstrations, or None where there are none."""
    try:
        returns = load_demos(env_id).whole.returns
    except DemoError:
        return None
    return None if returns is None else float(returns.mean())


def _steps(config: RetrainStudyConfig, action_space: gym.Space[Any]) -> int:
    if config.algorithm != "own":
        return config.steps or SB3_STEPS
    discrete = isinstance(plain_actions(action_space), gym.spaces.Discrete)
    return config.steps or config.learner.resolve(discrete=discrete).steps


def _own(on_true_reward: bool, seed: int, config: RetrainStudyConfig) -> RLConfig:
    """The settings of our own learner, without evaluations during training unless they are set."""
    chosen = (config.true_learner or config.learner) if on_true_reward else config.learner
    steps = config.steps or config.learner.steps
    return replace(chosen, seed=seed, steps=steps, evaluate_every=chosen.evaluate_every or 0)


def _plain(config: RetrainStudyConfig) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain
