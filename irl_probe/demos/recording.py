"""`record_demos`: from a policy and an environment to Demonstrations."""

from __future__ import annotations

import copy
from functools import partial
from numbers import Real
from typing import Any

import gymnasium
import numpy as np

from irl_probe._config import check_count
from irl_probe._plain import flattened, named, plain_actions
from irl_probe._policies import Act, Policy, acting, checked_actions, is_stable_baselines, one_environment
from irl_probe._spaces import Env
from irl_probe._steps import EpisodeLimit, copied, reset_copied, step_copied
from irl_probe.demos.assembly import assemble, guarded
from irl_probe.demos.demonstrations import DemoError, Demonstrations
from irl_probe.envs.make import make_env


def record_demos(
    policy: Policy,
    env: str | Env,
    episodes: int,
    *,
    seed: int = 0,
    epsilon: float = 0.0,
    deterministic: bool = True,
    max_steps: int | None = None,
    time_limit: int | None = None,
) -> Demonstrations:
    """Run `policy` in `env` for whole episodes and record every step with its true successor and true reward.

    Args:
        policy: `policy(observations, deterministic=True) -> actions`, with a batch axis of 1, in the environment's
            units; a plain function of observations; or a model with `predict`, such as one of Stable-Baselines3. One
            that was trained in a VecNormalize gets its observations normalised; the demonstrations hold raw ones.
            Observations of a Dict, Tuple, MultiDiscrete or MultiBinary space are flat, as
            gymnasium.wrappers.FlattenObservation makes them; the parts of a Dict are there by name too:
            observations["goal"].
        env: a Gymnasium id, which is made and closed here, or an environment, which stays open; also a DummyVecEnv of
            one environment, in a VecNormalize or none.
        episodes: the number of episodes, at least one.
        seed: the same seed gives the same demonstrations; the first episodes do not depend on how many follow.
        epsilon: probability of a uniformly random action at each step, in [0, 1]: a noisy expert.
        deterministic: passed to the policy, where it takes it. False draws with numbers from `seed`, if the policy
            takes a generator `rng` or has `predict`.
        max_steps: truncate an episode after this many steps. None leaves its end to the environment; one without a
            gymnasium.wrappers.TimeLimit is cut off after 10,000 steps, with a warning.
        time_limit: the same, by its older name.

    Observations keep the environment's dtype. A step that is both terminated and truncated counts as terminated. In a
    `RewardWrapper` the rewards are the environment's own, not the paid ones.

    Raises DemoError if `episodes`, `seed`, `epsilon` or `max_steps` is out of range, if a space of the environment is
    not supported, or if an action of the policy does not fit the action space.
    """
    limits = {
        name: value for name, value in (("max_steps", max_steps), ("time_limit", time_limit)) if value is not None
    }
    for name, value, least in (("episodes", episodes, 1), ("seed", seed, 0), *((n, v, 1) for n, v in limits.items())):
        guarded("record_demos", partial(check_count, value, least, f"'{name}'"))
    episodes, seed = int(episodes), int(seed)  # Gymnasium takes no seed of NumPy's types
    if not isinstance(epsilon, Real) or not 0 <= epsilon <= 1:
        raise DemoError(f"record_demos: 'epsilon' must be a probability, from 0 to 1; got {epsilon!r}.")
    live, normaliser = (
        guarded("record_demos", lambda: one_environment(env)) if is_stable_baselines(env) else (env, None)
    )
    if not isinstance(live, str | gymnasium.Env):
        raise DemoError(f"record_demos: 'env' must be a Gymnasium id or environment; got {env!r}.")
    act = guarded("record_demos", lambda: acting(policy, normaliser))
    made = guarded("record_demos", lambda: make_env(live)) if isinstance(live, str) else live
    try:
        return _record(act, made, episodes, seed, epsilon, deterministic, min(limits.values(), default=None))
    finally:
        if isinstance(live, str):
            made.close()


def _record(
    act: Act,
    env: Env,
    episodes: int,
    seed: int,
    epsilon: float,
    deterministic: bool,
    max_steps: int | None,
) -> Demonstrations:
    own = env.observation_space
    env = masked = guarded("record_demos", partial(flattened, env))
    guarded("record_demos", partial(plain_actions, env.action_space))
    noise, draws = (np.random.default_rng([seed, i]) for i in (1, 2))
    random_actions = copy.deepcopy(env.action_space)
    random_actions.seed(seed)
    limit = EpisodeLimit(env, max_steps)
    observations: list[object] = []
    following: list[object] = []
    actions: list[object] = []
    rewards: list[float] = []
    lengths: list[int] = []
    ends: list[bool] = []
    for episode_seed in np.random.SeedSequence(seed).generate_state(episodes):
        observation = reset_copied(env, seed=int(episode_seed))
        steps, over, terminated = 0, False, False
        while not over:
            if epsilon and noise.random() < epsilon:
                action = random_actions.sample(masked.mask)
            else:
                batch = named(own, copied(np.asarray(observation)[None]))
                given = act(batch, deterministic, None if deterministic else draws)
                action = _action(given, env, f" in episode {len(lengths)}, step {steps}")
            step = step_copied(env, action)
            observations.append(observation)
            following.append(step.observation)
            actions.append(step.action)
            rewards.append(step.true_reward)
            observation, terminated, steps = step.observation, step.terminated, steps + 1
            over = terminated or step.truncated or limit.reached(steps)
        lengths.append(steps)
        ends.append(terminated)
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


def _action(batch: Any, env: Env, where: str) -> Any:
    """The one action of the batch, in the dtype of the environment's action space."""
    try:
        action = checked_actions(batch, 1, env.action_space, where)[0]
    except ValueError as error:
        raise DemoError(str(error)) from error
    if not env.action_space.contains(action):
        raise DemoError(
            f"The policy's action must lie in {env.action_space}; got {np.asarray(batch)[0]}{where}. "
            "Return actions in the environment's units, clipped to its bounds."
        )
    return action
