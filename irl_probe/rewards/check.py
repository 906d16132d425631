"""Check that a reward follows the protocol, on steps of an environment."""

from __future__ import annotations

import time
import warnings

import gymnasium as gym
import numpy as np

from irl_probe._config import as_seed, check_count, check_kind
from irl_probe._plain import flattened, named
from irl_probe._spaces import Env
from irl_probe._steps import reset_copied, step_copied
from irl_probe._types import Array, Bools
from irl_probe.envs import make_env
from irl_probe.rewards.protocol import Reward, RewardError, check_callable, check_values
from irl_probe.rewards.recovered import RecoveredReward
from irl_probe.rewards.wrappers import check_fit

SLOWEST = 0.1  # seconds for a batch of 128 steps; a learner asks for a batch every few milliseconds


def check_reward_model(
    reward: Reward, env: str | Env, *, steps: int = 128, seed: int = 0, tolerance: float = 1e-4
) -> None:
    """Check a reward on `steps` random steps of `env`, as Gymnasium's `check_env` checks an environment.

    The reward must give one finite float64 number a transition, for both values of `terminated`; leave its inputs
    unchanged; give the same answer twice, and the same in a batch as row by row; and be fast enough to train on (else
    a warning). A recovered reward must also fit the spaces, and after the end only V_abs may count, for any s′:
    r(s, a, s′, True) = Q(s, a) − γV_abs.

    Args:
        reward: what to check.
        env: the environment to take the steps in, after a reset with `seed`; or its id, as `make_env` takes it.
        steps: the number of steps, at least one.
        seed: seed of the environment and the actions.
        tolerance: how far a batch may be from its rows, relative to the largest |r| or |Q| (networks in float32 round
            differently for other batch sizes).

    Raises RewardError that says which check failed, ValueError if `steps` or `seed` is out of range, and TypeError if
    `env` is not an environment.
    """
    check_callable(reward)
    check_count(steps, 1, "The steps of check_reward_model")
    seed = as_seed(seed, "The seed of check_reward_model")
    name = type(reward).__name__
    batch = _batch(reward, env, steps, seed)
    copies = [array.copy() for array in batch]
    values = reward(*batch)
    if not isinstance(values, np.ndarray) or values.dtype != np.float64:
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise RewardError(f"The reward {name!r} must give a NumPy array of float64; got {kind}.")
    values = check_values(values, steps, name=name)
    if any(not np.array_equal(array, copy) for array, copy in zip(batch, copies, strict=True)):
        raise RewardError(f"The reward {name!r} must not change its inputs; it wrote into one of them.")
    began = time.perf_counter()
    again = reward(*batch)
    seconds = time.perf_counter() - began
    if seconds > SLOWEST * max(steps, 128) / 128:
        warnings.warn(
            f"The reward {name!r} takes {seconds:.2g} s for a batch of {steps} steps: a learner that trains on it will "
            "wait for it at every step.",
            stacklevel=2,
        )
    if not np.array_equal(values, again):
        raise RewardError(f"The reward {name!r} must give the same answer for the same transitions; it did not.")
    scale = np.abs(values).max()
    if isinstance(reward, RecoveredReward):
        scale = max(scale, np.abs(reward.q(*batch[:2])).max())
    o, a, o2, d = batch
    alone = [reward(o[i : i + 1], a[i : i + 1], o2[i : i + 1], d[i : i + 1]) for i in range(steps)]
    rows = np.concatenate([check_values(value, 1, name=name) for value in alone])
    if not np.allclose(values, rows, rtol=0, atol=tolerance * max(scale, 1e-12)):
        row = int(np.abs(values - rows).argmax())
        raise RewardError(
            f"The reward {name!r} must be the same in a batch as alone; transition {row} has {values[row]} in a "
            f"batch of {steps} and {rows[row]} alone. Does it normalise over the batch?"
        )
    for ended in (np.zeros(steps, dtype=bool), np.ones(steps, dtype=bool)):
        values = check_values(reward(o, a, o2, ended), steps, name=name)
    if isinstance(reward, RecoveredReward) and reward.kind == "per-transition":
        wanted = reward.q(o, a) - reward.tail
        if not np.allclose(values, wanted, rtol=0, atol=tolerance * max(scale, 1e-12)):
            raise RewardError(f"The reward {name!r} must be Q(s, a) − γV_abs where the MDP ended; it is not.")


def _batch(reward: Reward, env: str | Env, steps: int, seed: int) -> tuple[Array, Array, Array, Bools]:
    """Random steps of the environment, whose spaces must fit; an environment made here is closed again."""
    live = make_env(env) if isinstance(env, str) else env
    check_kind(live, gym.Env, "The environment of check_reward_model", "Give one, or an id such as 'CartPole-v1'.")
    try:
        check_fit(reward, live.observation_space, live.action_space)
        return _random_steps(live, steps, seed)
    finally:
        if live is not env:
            live.close()


def _random_steps(env: Env, steps: int, seed: int) -> tuple[Array, Array, Array, Bools]:
    env.action_space.seed(seed)
    own, env, rows = env.observation_space, flattened(env), []
    observation = reset_copied(env, seed=seed)
    for _ in range(steps):
        step = step_copied(env, env.action_space.sample(env.mask))
        rows.append((observation, step.action, step.observation, step.terminated))
        observation = reset_copied(env) if step.terminated or step.truncated else step.observation
    observations, actions, successors, ended = zip(*rows, strict=True)
    before, after = (named(own, np.stack(each)) for each in (observations, successors))
    return before, np.stack(actions), after, np.array(ended)
