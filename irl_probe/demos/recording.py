"""`record_demos`: from a policy and an environment to Demonstrations."""

from __future__ import annotations

import copy
from functools import partial
from numbers import Real
from typing import Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from irl_probe._config import check_count
from irl_probe._plain import flattened, named, plain_actions
from irl_probe._spaces import Env, Space
from irl_probe._types import Array
from irl_probe.demos.assembly import assemble, guarded
from irl_probe.demos.demonstrations import DemoError, Demonstrations


class Policy(Protocol):
    """Actions for a batch of observations: (B, *obs_shape) to (B, *action_shape), or (B,) when discrete."""

    def __call__(self, observations: Array, /, *, deterministic: bool = True) -> ArrayLike: ...


def record_demos(
    policy: Policy,
    env: str | Env,
    episodes: int,
    *,
    seed: int = 0,
    epsilon: float = 0.0,
    deterministic: bool = True,
    time_limit: int | None = None,
) -> Demonstrations:
    """Run `policy` in `env` for whole episodes and record every step with its true successor and reward.

    Args:
        policy: `policy(observations, deterministic=True) -> actions`, with a batch axis of 1, in the environment's
            units. Observations of a Dict, Tuple, MultiDiscrete or MultiBinary space are flat, as
            gymnasium.wrappers.FlattenObservation makes them; the parts of a Dict are there by name too:
            observations["goal"].
        env: a Gymnasium id, which is made and closed here, or an environment, which stays open.
        episodes: the number of episodes, at least one.
        seed: the same seed gives the same demonstrations; the first episodes do not depend on how many follow.
        epsilon: probability of a uniformly random action at each step, in [0, 1]: a noisy expert.
        deterministic: passed to the policy.
        time_limit: truncate after this many steps, for an environment that has no limit of its own.

    Observations keep the environment's dtype. A step that is both terminated and truncated counts as terminated.

    Raises DemoError if `episodes`, `seed`, `epsilon` or `time_limit` is out of range, if a space of the environment is
    not supported, or if an action of the policy does not fit the action space.
    """
    limit = 1 if time_limit is None else time_limit
    for name, value, least in (("episodes", episodes, 1), ("seed", seed, 0), ("time_limit", limit, 1)):
        guarded("record_demos", partial(check_count, value, least, f"'{name}'"))
    if not isinstance(epsilon, Real) or not 0 <= epsilon <= 1:
        raise DemoError(f"record_demos: 'epsilon' must be a probability, from 0 to 1; got {epsilon!r}.")
    if not callable(policy):
        raise DemoError(
            f"record_demos: the policy must be a function policy(observations, deterministic=True); got {policy!r}. "
            "For a run, give run.policy."
        )
    if not isinstance(env, str | gymnasium.Env):
        raise DemoError(f"record_demos: 'env' must be a Gymnasium id or environment; got {env!r}.")
    if isinstance(env, str):
        made = gymnasium.make(env)
        try:
            return _record(policy, made, episodes, seed, epsilon, deterministic, time_limit)
        finally:
            made.close()
    return _record(policy, env, episodes, seed, epsilon, deterministic, time_limit)


def _record(
    policy: Policy,
    env: Env,
    episodes: int,
    seed: int,
    epsilon: float,
    deterministic: bool,
    time_limit: int | None,
) -> Demonstrations:
    own = env.observation_space
    env = masked = guarded("record_demos", partial(flattened, env))
    guarded("record_demos", partial(plain_actions, env.action_space))
    noise = np.random.default_rng([seed, 1])
    random_actions = copy.deepcopy(env.action_space)
    random_actions.seed(seed)
    observations: list[object] = []
    following: list[object] = []
    actions: list[object] = []
    rewards: list[float] = []
    lengths: list[int] = []
    ends: list[bool] = []
    for episode_seed in np.random.SeedSequence(seed).generate_state(episodes):
        observation, _ = env.reset(seed=int(episode_seed))
        steps, over, terminated = 0, False, False
        while not over:
            if epsilon and noise.random() < epsilon:
                action = random_actions.sample(masked.mask)
            else:
                batch = named(own, np.asarray(observation)[None])
                action = _action(policy(batch, deterministic=deterministic), env.action_space, len(lengths), steps)
            successor, reward, terminated, truncated, _ = env.step(action)
            observations.append(np.array(observation))
            following.append(np.array(successor))
            actions.append(np.array(action))
            rewards.append(float(reward))
            observation, steps = successor, steps + 1
            over = terminated or truncated or steps == time_limit
        lengths.append(steps)
        ends.append(bool(terminated))
    specification = env.spec
    env_id = None if specification is None else specification.id
    kwargs = {} if specification is None else specification.kwargs
    options = "".join(f", {k}={v!r}" for k, v in kwargs.items() if isinstance(v, str | bool | int | float))
    terminations = np.array(ends, dtype=np.bool_)
    return assemble(
        f"recorded in {env_id or 'an environment without an id'}{options}, seed {seed}, epsilon {epsilon:g}",
        observations=np.stack(observations),  # type: ignore[arg-type]  # arrays, as Box and Discrete observations are
        next_observations=np.stack(following),  # type: ignore[arg-type]  # arrays too
        actions=np.stack(actions),  # type: ignore[arg-type]  # arrays too
        rewards=np.array(rewards),
        lengths=np.array(lengths, dtype=np.int64),
        terminated=terminations,
        truncated=~terminations,
        env_id=env_id,
        observation_space=own,
        action_space=env.action_space,
    )


def _action(batch: ArrayLike, space: Space, episode: int, step: int) -> object:
    """The one action of the batch, in the dtype of the environment's action space."""
    given = np.asarray(batch)
    wanted = space.shape or ()
    if given.shape != (1, *wanted):
        raise DemoError(
            f"The policy must return one action for one observation, shape {(1, *wanted)}; got {given.shape} "
            f"in episode {episode}, step {step}."
        )
    if not isinstance(space, spaces.Box) and given.dtype.kind not in "biu":
        raise DemoError(f"The actions of {space} are whole numbers; the policy returned {given.dtype}.")
    action: object = np.int64(given[0]) if isinstance(space, spaces.Discrete) else given[0].astype(space.dtype)
    if not space.contains(action):
        raise DemoError(
            f"The policy's action must lie in {space}; got {given[0]} in episode {episode}, step {step}. "
            "Return actions in the environment's units, clipped to its bounds."
        )
    return action
