"""The default coverages, on which rewards are compared: demonstrations, and rollouts from bad to good."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import xarray as xr

from irl_probe._config import as_seed, check_count, check_kind
from irl_probe._names import BASELINES, CONSTANT, EXPERT, LEARNED, MIXTURE, RANDOM, TRUE, UNNAMED
from irl_probe._plain import plain_observations
from irl_probe._spaces import Env
from irl_probe._types import Array, Bools, Floats
from irl_probe.comparison import CompareConfig, DistanceConfig, compare
from irl_probe.demos import DemoError, Demonstrations, check_demos, load_demos, record_demos
from irl_probe.demos.sanity import dynamics_fault
from irl_probe.envs import Simulator, TabularEnv, make_env, simulator, soft_expert, true_reward
from irl_probe.envs.changes import env_name
from irl_probe.envs.make import env_record
from irl_probe.envs.tabular import TabularPolicy
from irl_probe.envs.true_reward import TrueReward
from irl_probe.learn import IQConfig, Policy, random_policy, train
from irl_probe.retraining.cells import Cell
from irl_probe.rewards import RecoveredReward, Reward, load_reward
from irl_probe.rewards.wrappers import check_fit
from irl_probe.transitions import Transitions

NOISE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # shares of random actions, from good to bad
GRID_TEMPERATURE = 0.5  # of the grid's soft expert
GAMMA = 0.99  # of the canonical distances, where the rewards do not share one γ


def coverages(
    env: str | Env | Callable[[], Env],
    *,
    demos: Demonstrations | None = None,
    episodes: int = 20,
    seed: int = 0,
    out: str | Path | None = None,
    progress: bool | None = False,
) -> dict[str, Transitions]:
    """Whole episodes with true rewards under several distributions, for `compare`.

    - expert: the demonstrations, where they hold true rewards
    - random: rollouts of random actions
    - mixture: rollouts of a noisy expert, with each share of random actions in `NOISE`. A clone of the demonstrations
      (bc) plays the expert, because it does not depend on any of the compared rewards.

    Without demonstrations there is only random. GridWorld needs none: its expert is exact.

    Args:
        env: the environment, its id, or a function that makes it. An environment stays open.
        demos: demonstrations; None takes the bundled ones of the environment, if there are any.
        episodes: number of random rollouts, and of mixture rollouts in all (at least one for each share).
        seed: seed of the rollouts and the clone.
        out: folder for the clone's run, which takes nearly all of the time: one that is finished there is not trained
            again, and an interrupted one continues. None writes nothing.
        progress: of the clone, as in `train`.

    Raises as `make_env`, `record_demos` and `train` do, ValueError where the demonstrations have other spaces, and
    CheckpointError where `out` holds another clone.
    """
    check_count(episodes, 1, "episodes")
    seed = as_seed(seed)
    if demos is not None:
        how = "Read them with load_demos, or make them with record_demos."
        check_kind(demos, Demonstrations, "The demonstrations", how)
    with _open(env) as live:
        expert: Policy | TabularPolicy
        found: dict[str, Transitions] = {}
        if demos is None and isinstance(live.unwrapped, TabularEnv) and _same_spaces(live, live.unwrapped):
            probabilities = soft_expert(live.unwrapped.mdp, GRID_TEMPERATURE)
            expert = TabularPolicy(probabilities, seed=seed)
            found[EXPERT] = record_demos(expert, live, episodes, seed=seed, deterministic=False).transitions
        else:
            demos = _bundled(live) if demos is None else demos
            if demos is None:
                return {RANDOM: _roll(random_policy(live.action_space, seed), live, episodes, seed)}
            check_demos(demos, (live.observation_space, live.action_space))
            if demos.transitions.rewards is not None:
                found[EXPERT] = demos.transitions
            cell = Cell(None if out is None else Path(out), {})
            clone = IQConfig(objective="bc", seed=seed)
            expert = train(demos, clone, out=cell.run, resume=cell.resume(), progress=progress).policy
        found[RANDOM] = _roll(random_policy(live.action_space, seed), live, episodes, seed)
        return found | {MIXTURE: noisy_rollouts(expert, live, episodes=episodes, seed=seed)}


def noisy_rollouts(
    policy: Policy | TabularPolicy, env: str | Env | Callable[[], Env], *, episodes: int = 30, seed: int = 0
) -> Transitions:
    """Whole episodes of a policy with a share of 0, .2, .4, .6, .8 and 1 of random actions: from good to bad.

    Compare or distil a reward on these if it must rank policies of every quality.

    Args:
        policy: the policy; its most likely actions are taken.
        env: the environment, its id, or a function that makes it. An environment stays open.
        episodes: their total number, rounded down to a multiple of six; at least one for each share.
        seed: seed of the initial states and the random actions.

    Raises ValueError for fewer than one episode, and as `make_env` and `record_demos` do.
    """
    check_count(episodes, 1, "The number of episodes")
    seed = as_seed(seed)
    each = max(1, episodes // len(NOISE))
    with _open(env) as live:
        rolled = [_roll(policy, live, each, seed + i, epsilon) for i, epsilon in enumerate(NOISE)]
        return Transitions.concatenate(rolled)


@contextmanager
def _open(env: str | Env | Callable[[], Env]) -> Iterator[Env]:
    """The environment that was given, which stays open, or one made here, which is closed.

    Raises TypeError for anything that is not an environment, its id, or a function that makes one.
    """
    if isinstance(env, gym.Env):
        yield env
        return
    live = make_env(env) if isinstance(env, str) else env() if callable(env) else env
    if not isinstance(live, gym.Env):
        raise TypeError(f"'env' must be a Gymnasium environment, its id, or a function that makes it; got {live!r}.")
    try:
        yield live
    finally:
        live.close()


def _same_spaces(one: Env, other: Env) -> bool:
    return (one.observation_space, one.action_space) == (other.observation_space, other.action_space)


def ladder(coverages: Mapping[str, Transitions]) -> dict[str, Transitions] | None:
    """Policies from bad to good, each with its whole episodes: those of the mixture by noise, then learned, expert.

    None if `coverages` has no mixture.
    """
    if MIXTURE not in coverages:
        return None
    mixture, last = coverages[MIXTURE], {n: coverages[n] for n in (LEARNED, EXPERT) if n in coverages}
    each = len(mixture.lengths) // len(NOISE)
    rungs = {f"noise {noise:g}": mixture.episodes(range(i * each, (i + 1) * each)) for i, noise in enumerate(NOISE)}
    return dict(reversed(rungs.items())) | last


def _bundled(env: Env) -> Demonstrations | None:
    """The bundled demonstrations of an environment, which must be as its id makes it."""
    name = env_name(env)
    try:
        demos = load_demos(name)
    except DemoError:
        return None
    with _open(name) as made:
        same = env_record(made) == env_record(env)
    if same and not dynamics_fault(demos, env):
        return demos
    warnings.warn(
        f"The bundled demonstrations are of {name} as its id makes it, and this environment has another time limit, "
        "other arguments, wrappers or dynamics; so they are left out. Give demos= for the coverages 'expert' and "
        "'mixture'.",
        stacklevel=4,
    )
    return None


def _roll(policy: Policy | TabularPolicy, env: Env, episodes: int, seed: int, epsilon: float = 0.0) -> Transitions:
    return record_demos(policy, env, episodes, seed=seed, epsilon=epsilon).transitions


@dataclass(frozen=True)
class OffData:
    """The arguments of `compare` for canonical distances; where these are not available, None and the reason."""

    truth: TrueReward | None = None
    dynamics: Simulator | None = None
    distances: DistanceConfig | None = None
    reason: str = ""


def off_data(
    env_id: str | None, rewards: Iterable[Reward], coverages: Iterable[Transitions] = (), *, seed: int = 0
) -> OffData:
    """The true reward and the simulator of an environment, with the default `DistanceConfig`.

    Without a simulator `compare` computes only EPIC and ERC. γ is the one that all recovered rewards share, else 0.99;
    the results record it.

    Args:
        env_id: the environment; None gives no distances.
        rewards: the rewards to compare.
        coverages: the data to compare on; data of another version of the environment may not fit.
        seed: seed of all draws.
    """
    if env_id is None:
        return OffData(reason="Canonical distances need the true reward outside the data: name an environment (--env).")
    try:
        env = make_env(env_id)
    except (ValueError, ImportError, gym.error.Error) as error:
        return OffData(reason=str(error))
    try:
        shape = plain_observations(env.observation_space).shape or ()
        for steps in coverages:
            if steps.observations.shape[1:] != shape:
                return OffData(
                    reason=f"{env_id} has observations of shape {shape}; the data have {steps.observations.shape[1:]}."
                )
        if len(shape) > 1:
            return OffData(reason=f"The observations of {env_id} are images; canonical distances are for vectors.")
        try:
            truth = true_reward(env)
        except ValueError as error:
            return OffData(reason=str(error))
        shared = {reward.gamma for reward in rewards if isinstance(reward, RecoveredReward)}
        gamma = None if len(shared) == 1 else GAMMA
        return OffData(truth, _simulator(env_id, seed), DistanceConfig(gamma=gamma, seed=seed))
    finally:
        env.close()


def _simulator(env_id: str, seed: int) -> Simulator | None:
    try:
        return simulator(env_id, seed=seed)
    except ValueError:
        return None  # the results give the reason for each figure that is then undefined


def compare_named(
    names: Sequence[str],
    env_id: str | None,
    demos: str | None,
    *,
    episodes: int = 30,
    seed: int = 0,
    distances: bool = True,
    out: Path | None = None,
    progress: bool | None = False,
) -> xr.DataTree:
    """`compare` rewards by name, on the `coverages` of an environment or on demonstrations alone.

    `out` and `progress` are those of `coverages`.

    Computes canonical distances if `off_data` has what they need; else the attribute `no_distances` says why not.

    Raises ValueError if neither an environment nor demonstrations are given, and as the verbs do.
    """
    if env_id is None and demos is None:
        raise ValueError("Rewards are compared on data: name an environment (--env) or demonstrations (--demos).")
    rewards = named_rewards(names, env_id)
    given = None if demos is None else load_demos(demos, env_id=env_id)
    if env_id is None:
        assert given is not None
        found = {UNNAMED: given.transitions}
    else:
        _check_spaces(rewards.values(), env_id)
        found = coverages(env_id, demos=given, episodes=episodes, seed=seed, out=out, progress=progress)
    where = env_id or (given.env_id if given is not None else None)
    off = off_data(where, rewards.values(), found.values(), seed=seed) if distances else OffData()
    tree = compare(
        rewards,
        transitions=found,
        config=CompareConfig(seed=seed),
        distances=off.distances,
        truth=off.truth,
        ladder=ladder(found),
        dynamics=off.dynamics,
    )
    known = {"title": f"{where}: {_counted(rewards)}" if where else None, "env_id": where, "seed": seed}
    known |= {"no_distances": off.reason or None}
    tree.attrs |= {name: value for name, value in known.items() if value is not None}
    return tree


def _check_spaces(rewards: Iterable[Reward], env_id: str) -> None:
    """Raises RewardError where a reward does not take the spaces of the environment: before minutes of rollouts."""
    env = make_env(env_id)
    try:
        for reward in rewards:
            check_fit(reward, env.observation_space, env.action_space)
    finally:
        env.close()


def named_rewards(names: Sequence[str], env_id: str | None) -> dict[str, Reward]:
    """Label → reward, by the names of the command line: a folder, a shipped reward's id, `true` or `constant`.

    A label is the last part of the name ("iq" of "CartPole-v1/iq"), or the whole name if two last parts are the same.

    Raises RewardError for an unknown reward, and ValueError for a name given twice, or `true` without an environment.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"Each reward can be compared once; got {', '.join(names)}.")
    last = [Path(name).name for name in names]
    labels = last if len(set(last)) == len(last) else list(names)
    return {label: _reward(name, env_id) for label, name in zip(labels, names, strict=True)}


def constant_reward(observations: Array, actions: Array, next_observations: Array, terminated: Bools) -> Floats:
    """1 at every step, (N,). Its return is the length of the episode; a useful reward must do better than that."""
    return np.ones(len(observations))


def _reward(name: str, env_id: str | None) -> Reward:
    if name == CONSTANT:
        return constant_reward
    if name == TRUE:
        if env_id is None:
            raise ValueError("The true reward is an environment's: name it with --env.")
        return true_reward(env_id)
    return load_reward(name)


def _counted(rewards: Mapping[str, Reward]) -> str:
    beside = [name for name in rewards if name in BASELINES]
    count = len(rewards) - len(beside)
    text = "one reward" if count == 1 else f"{count} rewards compared"
    return text + (f", beside {' and '.join(beside)}" if beside else "")
