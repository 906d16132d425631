"""Policies: the three forms in which one may be given, and the one form in which the library calls it."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from irl_probe._plain import parts_of
from irl_probe._spaces import Space
from irl_probe._types import Array


@runtime_checkable
class Predictor(Protocol):
    """A model whose `predict(observations, deterministic=…)` gives (actions, state), as in Stable-Baselines3."""

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> Any: ...


Policy = Callable[..., ArrayLike] | Predictor
"""Actions for a batch of observations: (N, *obs_shape) to (N, *action_shape), or (N,) when discrete, in the
environment's units. It is one of

- a function `policy(observations, deterministic=True)`; one that also takes `rng`, a NumPy generator, draws with it
- a plain function `policy(observations)`
- an object with `predict(observations, deterministic=True)`, such as a Stable-Baselines3 model
"""


class Act(Protocol):
    """How the library calls every policy."""

    def __call__(self, observations: Array, deterministic: bool, rng: np.random.Generator | None, /) -> Array: ...


def acting(policy: Policy, normaliser: Any = None) -> Act:
    """The policy, whatever its form, as `act(observations, deterministic, rng)`.

    A Stable-Baselines3 model whose environment is a VecNormalize gets its observations normalised by that one, or else
    by `normaliser`, whose statistics do not change. One of a Dict or Tuple space gets the parts of flat observations.
    It draws with a seed from `rng`.

    Raises TypeError for anything that is not a `Policy`; the returned function does for a model with a memory.
    """
    if isinstance(policy, type):
        raise TypeError(f"A policy must be an object that acts; got the class {policy.__name__}. Make one: it(...).")
    if isinstance(policy, Predictor):
        return _predicting(policy, normaliser)
    if not callable(policy):
        raise TypeError(
            "A policy must be a function policy(observations, deterministic=True), a model with predict(observations, "
            "deterministic=True), such as one of Stable-Baselines3, or just a function of observations; got "
            f"{reprlib.repr(policy)}. For a run, give run.policy."
        )
    return _calling(policy)


def _calling(function: Callable[..., ArrayLike]) -> Act:
    names, second = _parameters(function)

    def alone(found: object) -> Array:
        if isinstance(found, tuple) and len(found) == 2 and np.ndim(found[0]) and found[1] is None:
            raise TypeError(
                "A policy must return actions alone; this function returned (actions, None), as the predict of a model "
                "does. Give the model itself."
            )
        return _array(found)

    def act(observations: Array, deterministic: bool, rng: np.random.Generator | None, /) -> Array:
        named = {"deterministic": deterministic} if "deterministic" in names else {}
        if "rng" in names and rng is not None:
            return alone(function(observations, **named, rng=rng))
        return alone(function(observations, *([deterministic] if second else []), **named))

    return act


def _predicting(model: Predictor, normaliser: Any) -> Act:
    names, _ = _parameters(model.predict)
    own = getattr(model, "get_vec_normalize_env", lambda: None)()  # only Stable-Baselines3 has it
    normaliser = normaliser if own is None else own
    space = getattr(model, "observation_space", None)

    def act(observations: Array, deterministic: bool, rng: np.random.Generator | None, /) -> Array:
        given = parts_of(space, observations) if isinstance(space, spaces.Dict | spaces.Tuple) else observations
        given = given if normaliser is None else normaliser.normalize_obs(given)
        named = {"deterministic": deterministic} if "deterministic" in names else {}
        if deterministic or rng is None:
            found = model.predict(given, **named)
        else:
            import torch  # a model that draws does so with torch's global generator

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(rng.integers(2**63)))
                found = model.predict(given, **named)
        actions, state = found if isinstance(found, tuple) else (found, None)
        if state is not None:
            raise TypeError(
                "A policy must be a function of the observation alone; this model has a memory (predict returned a "
                f"state of type {type(state).__name__}). Wrap it in a function that keeps the state between calls."
            )
        return _array(actions)

    return act


def is_stable_baselines(thing: object) -> bool:
    """Whether its class is of Stable-Baselines3, or derived from one; found without importing that library."""
    return any(base.__module__.split(".")[0] == "stable_baselines3" for base in type(thing).__mro__)


def one_environment(env: Any) -> tuple[Any, Any]:
    """The Gymnasium environment inside a VecEnv of Stable-Baselines3, with its VecNormalize; else (env, None).

    It gives raw observations, as demonstrations hold them. Raises ValueError unless it is one environment in this
    process, in no wrapper that changes observations other than VecNormalize.
    """
    from stable_baselines3.common import vec_env

    normaliser, layer, same = None, env, True
    while isinstance(layer, vec_env.VecEnvWrapper):
        if isinstance(layer, vec_env.VecNormalize) and normaliser is None:
            normaliser = layer
        else:
            same = same and layer.observation_space == layer.venv.observation_space
        layer = layer.venv
    if not isinstance(layer, vec_env.DummyVecEnv) or layer.num_envs != 1 or not same:
        raise ValueError(
            "Episodes run in one environment: a Gymnasium environment, its id, or a DummyVecEnv of one, in a "
            f"VecNormalize or none; got {type(env).__name__} of {env.num_envs}. Give the Gymnasium environment."
        )
    return layer.envs[0], normaliser


def _parameters(function: Callable[..., Any]) -> tuple[set[str], bool]:
    """The names by which it takes `deterministic` and `rng`; and whether it needs a second argument of another name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a function in C does not say
        return set(), False
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} & {
        "deterministic",
        "rng",
    }
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        names |= {"deterministic"}
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional[1:] if p.default is p.empty and p.name not in names]
    return names, bool(required) and "deterministic" not in names


def _array(actions: Any) -> Array:
    """Actions as an array; those of torch leave its graph."""
    if type(actions).__module__ == "torch":
        actions = actions.detach().cpu().numpy()
    return np.asarray(actions)


def checked_actions(given: ArrayLike, count: int, space: Space, where: str = "") -> Array:
    """What a policy returned for `count` observations, (count, *action_shape), in the dtype of the action space.

    Raises ValueError for another shape, and where actions are whole numbers for fractions and for numbers outside the
    space; `where` ends the message.
    """
    actions, wanted = np.asarray(given), (count, *(space.shape or ()))
    if actions.shape != wanted:
        one = "one action for one observation" if count == 1 else f"one action for each of {count} observations"
        raise ValueError(f"The policy must return {one}, shape {wanted}; got {actions.shape}{where}.")
    if not isinstance(space, spaces.Box) and actions.dtype.kind not in "biu":
        raise ValueError(f"The actions of {space} are whole numbers; the policy returned {actions.dtype}{where}.")
    if actions.dtype.kind == "f" and np.isnan(actions).any():
        bad = actions[np.isnan(actions).reshape(count, -1).any(axis=1)][0]
        raise ValueError(f"The policy's action must lie in {space}; got {bad}{where}.")
    cast = actions.astype(space.dtype or actions.dtype)
    if isinstance(space, spaces.Box) and space.dtype.kind in "iub" and not np.array_equal(cast, actions):
        raise ValueError(
            f"The actions of {space} are whole numbers; the policy returned fractions{where}. Round them, or learn in "
            "an environment of floats: gymnasium.wrappers.TransformAction."
        )
    if not isinstance(space, spaces.Box):
        for action in cast:
            if not space.contains(action):
                raise ValueError(
                    f"The policy's action must lie in {space}; got {action}{where}. Return actions in the "
                    "environment's units."
                )
    return cast
