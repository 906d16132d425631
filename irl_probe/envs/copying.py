"""Copies of an environment as it is now: wrappers, time limit, and attributes set on the environment inside them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.utils import EzPickle

from irl_probe._plain import plain_env
from irl_probe._spaces import Env, Space
from irl_probe._steps import check_distinct
from irl_probe.envs.make import PAYS_ANOTHER, SHOWS_ONLY, make_env, path_of


def copy_env(env: Env) -> Env:
    """A copy that steps as `env` does from its next reset on, and shares nothing with it.

    Wrappers that only draw or record pictures are left out, and so are those around all others that pay another reward
    (`RewardWrapper`): the copy pays the true one. Attributes that cannot be copied (windows, engines) are those of an
    environment made again with the same arguments.

    Raises what copying raises, where the environment can be neither copied nor made again; ValueError where copying
    returns the environment itself.
    """
    while path_of(env) == PAYS_ANOTHER and isinstance(env, gym.Wrapper):
        env = env.env
    twin = _copied(env, {})
    if twin.unwrapped is env.unwrapped:
        raise ValueError(f"The copy of an environment must be another one; copy.deepcopy({env}) returned it itself.")
    return twin


def env_maker(env: Any, **options: Any) -> Callable[[], Env]:
    """A function that makes a new environment at each call: copies of an environment, or those of an id or a function.

    Args:
        env: the environment, of which copies are made as it is at each call (`copy_env`); its id; or a function that
            makes it.
        **options: for `make_env`, if `env` is an id.

    Raises TypeError for anything else, and for a function that returns something else; ValueError for a function that
    returns the same environment twice, and for options beside what is not an id.
    """
    if isinstance(env, str):
        return partial(make_env, env, **options)
    if options:
        raise ValueError(f"Options are for an environment's id; got {', '.join(options)} beside {env!r}.")
    if isinstance(env, gym.Env):
        return partial(copy_env, env)
    if not callable(env):
        raise TypeError(
            f"An environment must be a gymnasium.Env, its id, or a function that makes it; got {env!r}. "
            "Give one, such as 'CartPole-v1'."
        )
    made = [env() for _ in range(2)]
    for each in made:
        if not isinstance(each, gym.Env):
            raise TypeError(
                f"A function given as an environment must return a gymnasium.Env; {env!r} returned {each!r}. Give "
                "lambda: gymnasium.make(...)."
            )
    check_distinct(made)
    for each in made:
        each.close()
    return env  # type: ignore[no-any-return]  # a function that makes environments


def _copied(env: Env, memo: dict[int, Any]) -> Env:
    """The copy of a layer and all inside it; `memo` maps what was copied to its copy, as in the module copy."""
    if isinstance(env, gym.Wrapper):
        inner = _copied(env.env, memo)
        memo[id(env.env)] = inner
        if path_of(env) in SHOWS_ONLY:
            return inner
    if not isinstance(env, EzPickle):  # such a class is copied by being made again, which forgets its attributes
        try:
            return _quiet(_deepcopy(env, memo))
        except Exception:
            if isinstance(env, gym.Wrapper) or env.spec is None or env.spec.entry_point is None:
                raise
    return _made_anew(env, memo)


def _deepcopy(value: Any, memo: dict[int, Any]) -> Any:
    """copy.deepcopy; where it fails, `memo` does not get the parts that it had copied so far."""
    trial = dict(memo)
    twin = copy.deepcopy(value, trial)
    kept = trial.pop(id(trial), [])  # what deepcopy keeps alive, so that no id in the memo becomes another object's
    memo |= trial
    memo.setdefault(id(memo), []).append(kept)
    return twin


def _made_anew(env: Env, memo: dict[int, Any]) -> Env:
    """An environment made with the same arguments, and each attribute of `env` that can be copied."""
    if isinstance(env, EzPickle):
        arguments: dict[str, Any] = {**env._ezpickle_kwargs}
        inner = [memo.get(id(each), each) for each in env._ezpickle_args]
        if "render_mode" in arguments:
            arguments["render_mode"] = _drawn(arguments["render_mode"])
        twin: Env = type(env)(*inner, **arguments)
    else:
        assert env.spec is not None
        twin = gym.make(env.spec, render_mode=_drawn(env.render_mode)).unwrapped
    memo[id(env)] = twin
    for name, value in env.__dict__.items():
        try:
            twin.__dict__[name] = _deepcopy(value, memo)
        except Exception:  # what cannot be copied is that of the new one
            continue
    return _quiet(twin)


def _quiet(env: Env) -> Env:
    """Without a window, in which copies have nothing to show."""
    if not isinstance(env, gym.Wrapper):
        env.render_mode = _drawn(env.render_mode)
    return env


def _drawn(mode: str | None) -> str | None:
    return None if mode == "human" else mode


def alike(one: Space, other: Space) -> bool:
    """Whether two spaces are of one kind and shape; bounds and precision may differ."""
    return one == other or (isinstance(one, gym.spaces.Box) and type(one) is type(other) and one.shape == other.shape)


def evaluation_env(
    env: str | Env | None, env_id: str | None, spaces: tuple[Space, Space], *, asked: bool
) -> Callable[[], Env] | None:
    """A function that makes the environment of a run's evaluations: copies of `env`, or those of an id.

    They have the spaces that networks see (`plain_env`).

    Without an environment it is the one that the demonstrations name, `env_id`. Where there is none, where the one of
    that name has other spaces, or where `env` cannot be copied, returns None if there need be no evaluations; if they
    were `asked` for, raises.
    """
    named = env if isinstance(env, str) else env_id if env is None else None
    try:
        if env is not None and not isinstance(env, str):
            copy_env(env).close()
            return partial(_plain_copy, env)
        if named is None:
            return None
        made = make_env(named)
        made.close()
        if not all(map(alike, (made.observation_space, made.action_space), spaces)):
            raise ValueError(
                f"Evaluations run in the environment that the demonstrations name, {named}, whose spaces are "
                f"{made.observation_space} and {made.action_space}; the run's are {spaces[0]} and {spaces[1]}. Set "
                "evaluate_every=0, and evaluate in the right environment: irl_probe.evaluate(run.policy, env)."
            )
    except Exception:  # a user's environment may raise anything
        if asked:
            raise
        return None
    return partial(_plain_named, named)


def _plain_copy(env: Env) -> Env:
    return plain_env(copy_env(env))


def _plain_named(env_id: str) -> Env:
    return plain_env(make_env(env_id))
