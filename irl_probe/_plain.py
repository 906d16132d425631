"""Spaces as networks see them: observations flat or counted from 0, actions real or one index counted from 0.

Everywhere else observations and actions are in the environment's own units. This is the one place that maps between
the two. Dict, Tuple, MultiDiscrete and MultiBinary observations are flat vectors in the order of
`gymnasium.spaces.flatten`, which `gymnasium.wrappers.FlattenObservation` uses. A MultiDiscrete or MultiBinary action is
the index of its components, of which the last changes fastest.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers

from irl_probe._spaces import Env, Space
from irl_probe._types import Array, Bools, Floats, Ints, plain

S = TypeVar("S")
MOST_ACTIONS = 512  # of a MultiDiscrete or MultiBinary space, which is counted out as one Discrete
PARTS = (spaces.Dict, spaces.Tuple, spaces.MultiDiscrete, spaces.MultiBinary)
"""Observation spaces that are flattened."""


# Observations


def plain_observations(space: Space) -> spaces.Box[Any] | spaces.Discrete:
    """The space of `to_plain_observations`: a Box, or a Discrete that counts from 0.

    Raises ValueError where the space cannot be flattened to numbers.
    """
    if isinstance(space, spaces.Box):
        return space
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    flat = spaces.flatten_space(space) if isinstance(space, PARTS) and _of_numbers(space) else None
    if isinstance(flat, spaces.Box):
        return flat
    raise ValueError(
        "Observations must be a Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these; got "
        f"{space}. Turn them into numbers: gymnasium.wrappers.TransformObservation(env, function, "
        "gymnasium.spaces.Box(low, high, shape))."
    )


def _of_numbers(space: Space) -> bool:
    """Whether a space, and every part of it, holds numbers in fixed places."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return bool(space.spaces) and all(_of_numbers(part) for _, part in _named_parts(space))
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def to_plain_observations(space: Space, observations: Any) -> Array:
    """N observations as networks see them: (N, *shape) of a Box, (N,) counted from 0, or flat (N, width).

    Args:
        space: the environment's.
        observations: N of its observations, or for a space of parts N flat ones. Those of a Dict are a mapping from
            each name to N rows, those of a Tuple a tuple of N rows each.

    Raises ValueError where they are of another shape, or a part is missing.
    """
    if isinstance(space, spaces.Box):
        return plain(observations, "observations")
    if isinstance(space, spaces.Discrete):
        return _shifted(space, observations)
    flat = plain_observations(space)
    if isinstance(observations, Mapping | tuple):
        return _flat(space, observations).astype(flat.dtype, copy=False)
    rows = plain(observations, "observations")
    if rows.shape[1:] == flat.shape and rows.ndim:
        return rows
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) and rows.ndim and rows.shape[1:] == space.shape:
        return _flat(space, rows).astype(flat.dtype, copy=False)
    raise ValueError(
        f"Observations of {_short(space)} must be N rows of each part, or flat rows as gymnasium.spaces.flatten makes "
        f"them, (N, {math.prod(flat.shape or ())}); got an array of shape {rows.shape}. The flat order is "
        f"{flat_order(space)}."
    )


def to_own_observations(space: Space, observations: Array) -> Array:
    """Discrete observations in the environment's units; others are flat arrays already."""
    return np.asarray(observations) + int(space.start) if isinstance(space, spaces.Discrete) else observations


def parts_of(space: Space, flat: Array) -> Any:
    """N flat observations (N, width) in the space's own form: the inverse of `to_plain_observations`."""
    if not isinstance(space, PARTS):
        return flat
    return _parts(space, np.asarray(flat))


def one_observation(space: Space, observation: Any) -> Array:
    """One observation as an array, always a copy: that of a space of parts is flat."""
    return np.array(spaces.flatten(space, observation) if isinstance(space, PARTS) else observation)


def many_observations(space: Space, observations: Any) -> Array:
    """The observations of N environments as an array, always a copy: those of a space of parts are flat."""
    return np.array(to_plain_observations(space, observations) if isinstance(space, PARTS) else observations)


def flat_order(space: Space) -> str:
    """Which columns of a flat observation are which part: "goal 0:2, position 2:4"."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return f"0:{math.prod(plain_observations(space).shape or (1,))}"
    said, start = [], 0
    for name, part in _named_parts(space):
        width = spaces.flatdim(part)
        said.append(f"{name} {start}:{start + width}")
        start += width
    return ", ".join(said)


class NamedObservations(np.ndarray[Any, Any]):
    """Flat observations (N, width) of a Dict space, whose parts are also there by name: `observations["goal"]`."""

    space: spaces.Dict | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.space = getattr(source, "space", None)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if self.space is None or self.ndim != 2 or self.shape[1] != spaces.flatdim(self.space):
            raise KeyError(f"Only whole rows of Dict observations have parts by name; asked for {key!r}.")
        return parts_of(self.space, np.asarray(self))[key]


def named(space: Space, observations: Array) -> Array:
    """Flat observations as a policy sees them: those of a Dict have their parts by name."""
    if not isinstance(space, spaces.Dict):
        return observations
    view = np.asarray(observations).view(NamedObservations)
    view.space = space
    return view


def flattened(env: Env) -> ActionMasks:
    """The environment with Box or Discrete observations, whose action masks are read (`ActionMasks`).

    Other observations are flattened by Gymnasium's own wrapper.
    """
    if isinstance(env, ActionMasks):
        return env
    plain_observations(env.observation_space)  # says why a space cannot be flattened
    return ActionMasks(wrappers.FlattenObservation(env) if isinstance(env.observation_space, PARTS) else env)


class ActionMasks(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose `info["action_mask"]` is read: the first action that it forbids is taken with a warning.

    Masks are not honoured by policies: a soft value V = α log Σ exp(Q/α) sums over all actions, so that a learner
    cannot leave some out.

    Attributes:
        mask: of the present state, as `action_space.sample(mask)` takes it; None where there is none of that form.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self.mask: Any = None
        self._warned = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and keep its mask."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.mask = _mask(self.env.action_space, info.get("action_mask"))
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment; warn the first time that its mask forbids the action."""
        if self.mask is not None and not self._warned and not _allows(self.env.action_space, self.mask, action):
            self._warned = True
            warnings.warn(
                f"Action masks are not honoured: {self.env} forbids the action {action} in this state "
                "(info['action_mask']), and it is taken. If a forbidden action only does nothing, as in Taxi, that is "
                "right; take the mask away to hear no more of it: irl_probe.envs.WithoutActionMask(env).",
                stacklevel=3,
            )
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.mask = _mask(self.env.action_space, info.get("action_mask"))
        return observation, reward, terminated, truncated, info


class WithoutActionMask(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment without `info["action_mask"]`, for one in which every action may be taken in every state."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {name: value for name, value in info.items() if name != "action_mask"}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment."""
        *step, info = self.env.step(action)
        return *step, {name: value for name, value in info.items() if name != "action_mask"}


def _mask(space: Space, given: Any) -> Any:
    """A mask in the form that `space.sample` takes; None for one of another form, and for other spaces."""
    if isinstance(space, spaces.Discrete) and np.shape(given) == (space.n,):
        return np.asarray(given).astype(np.int8)
    if isinstance(space, spaces.MultiDiscrete) and isinstance(given, tuple) and len(space.shape) == 1:
        parts = tuple(np.asarray(part).astype(np.int8) for part in given)
        if [part.shape for part in parts] == [(n,) for n in space.nvec.tolist()]:
            return parts
    return None


def _allows(space: Space, mask: Any, action: Any) -> bool:
    """Whether a mask that `_mask` returned allows an action."""
    parts = mask if isinstance(mask, tuple) else (mask,)
    chosen = np.ravel(np.asarray(action) - np.asarray(space.start))  # type: ignore[attr-defined]  # Discrete or MultiDiscrete
    return all(0 <= a < len(part) and bool(part[a]) for part, a in zip(parts, chosen, strict=True))


# Actions


def plain_actions(space: Space) -> spaces.Box[Any] | spaces.Discrete:
    """The space of `to_plain_actions`: a Box of floats, or a Discrete that counts from 0.

    Raises ValueError for other spaces, and for more than `MOST_ACTIONS` combinations, with the wrapper that helps.
    """
    if isinstance(space, spaces.Box):
        if space.dtype.kind != "f" or space.dtype.itemsize > 8:
            raise ValueError(
                f"Continuous actions must be floats of at most 64 bits; got {space}. Cast them: {_cast_call(space)}."
            )
        return space
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        count = math.prod(sizes_of(space).tolist())
        if count <= MOST_ACTIONS:
            return spaces.Discrete(count)
        raise ValueError(
            f"All actions of a MultiDiscrete or MultiBinary space are counted out, at most {MOST_ACTIONS}; {space} has "
            f"{count}. Take numbers and round them: {_cast_call(space)}."
        )
    raise ValueError(
        f"Actions must be Discrete, MultiDiscrete, MultiBinary or a bounded Box; got {_short(space)}. "
        f"{_of_parts(space)}"
    )


def to_plain_actions(space: Space, actions: Array) -> Array:
    """N actions as networks see them: (N, *shape) of a Box, else their indices (N,), counted from 0.

    Raises ValueError where a MultiDiscrete or MultiBinary action, or a Discrete one that does not count from 0, is not
    in the space.
    """
    if isinstance(space, spaces.Box):
        return plain(actions, "actions")
    if isinstance(space, spaces.Discrete):
        return _shifted(space, actions)
    plain_actions(space)
    rows = plain(actions, "actions")
    if not rows.ndim or rows.size != len(rows) * len(sizes_of(space)):
        raise ValueError(f"Actions of {space} must have shape (N, {_sizes_in_words(space)}); got {rows.shape}.")
    index = rows.reshape(len(rows), -1).astype(np.float64) - starts_of(space)
    inside = (index >= 0) & (index < sizes_of(space)) & (index == np.floor(index))
    _refuse_outside(space, rows, inside.all(axis=1))
    found: Ints = np.ravel_multi_index(tuple(index.astype(np.int64).T), tuple(sizes_of(space).tolist())).astype(
        np.int64
    )
    return found


def to_own_actions(space: Space, actions: Array) -> Array:
    """N actions in the environment's units: the inverse of `to_plain_actions`."""
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return np.asarray(actions) + int(space.start)
    if not isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        return actions
    parts = np.stack(np.unravel_index(np.asarray(actions), tuple(sizes_of(space).tolist())), axis=-1) + starts_of(space)
    return np.asarray(parts.reshape(len(parts), *space.shape).astype(space.dtype))


def every_action(space: Space) -> Array | None:
    """All actions of a finite space in the environment's units, (A, *shape); None for a Box."""
    found = plain_actions(space)
    return to_own_actions(space, np.arange(int(found.n))) if isinstance(found, spaces.Discrete) else None


def uniform_actions(space: Space, count: int, rng: np.random.Generator) -> Array:
    """`count` random actions (count, *shape) of the whole space and of nothing else, in the environment's units.

    They are uniform where the space is bounded. Where a Box has no bound they are drawn as Gymnasium draws them:
    normal, or a bound plus or minus an exponential number.

    Raises ValueError for a space that is not Discrete, MultiDiscrete, MultiBinary or a Box.
    """
    if isinstance(space, spaces.Discrete):
        return to_own_actions(space, rng.integers(int(space.n), size=count))
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        parts = rng.integers(sizes_of(space), size=(count, len(sizes_of(space)))) + starts_of(space)
        return np.asarray(parts.reshape(count, *space.shape).astype(space.dtype))
    if not isinstance(space, spaces.Box):
        raise ValueError(
            f"Random actions are drawn from a Discrete, MultiDiscrete, MultiBinary or Box space; got {_short(space)}. "
            f"{_of_parts(space)}"
        )
    shape, whole = (count, *space.shape), space.dtype.kind != "f"
    if space.is_bounded():
        if whole and space.dtype.kind != "b":
            return rng.integers(space.low, space.high, size=shape, dtype=space.dtype.type, endpoint=True)
        if whole:
            return rng.integers(space.low.astype(int), space.high.astype(int), size=shape, endpoint=True).astype(bool)
        return rng.uniform(space.low, space.high, size=shape).astype(space.dtype)
    below, above = space.bounded_below, space.bounded_above
    low, high = np.where(below, space.low, 0.0), np.where(above, space.high, 0.0)
    between = low + (high - low) * rng.random(shape)
    if whole:
        between = low + np.floor((high - low + 1) * rng.random(shape))
    beyond = rng.exponential(size=shape)
    one_sided = np.where(below, low + beyond, high - beyond)
    drawn = np.where(below & above, between, np.where(below | above, one_sided, rng.normal(size=shape)))
    return np.asarray((np.floor(drawn) if whole else drawn).astype(space.dtype))


def action_rows(space: Space, actions: Array) -> Array:
    """N actions of a Box with the space's own shape, (N, *shape), also where they were given flat or as numbers."""
    rows = plain(actions, "actions")
    if isinstance(space, spaces.Box) and rows.ndim and rows.size == len(rows) * math.prod(space.shape):
        return rows.reshape(len(rows), *space.shape)
    return rows


def bounded_actions(space: Space, actions: Array) -> Array:
    """`action_rows`, cut to the bounds of a Box, as most environments cut them."""
    rows = action_rows(space, actions)
    if isinstance(space, spaces.Box) and rows.shape[1:] == space.shape:
        return rows.clip(space.low, space.high)
    return rows


def plain_env(env: Env) -> Env:
    """The environment with the plain spaces, for a learner."""
    env = flattened(env)
    observations, actions = env.observation_space, env.action_space
    if isinstance(observations, spaces.Discrete) and observations.start != 0:
        shift = partial(_one, to_plain_observations, observations)
        env = wrappers.TransformObservation(env, shift, plain_observations(observations))
    indices = plain_actions(actions)
    if indices == actions:
        return env
    return wrappers.TransformAction(env, partial(_one, to_own_actions, actions), indices)


def plain_steps(of: tuple[Space, Space], steps: S) -> S:
    """Steps with observations and actions as networks see them; those of plain spaces are returned as they are.

    Args:
        of: observation and action space.
        steps: `Transitions`.

    Raises ValueError where they do not lie in the spaces.
    """
    if plain_observations(of[0]) == of[0] and plain_actions(of[1]) == of[1]:
        return steps
    own: Any = steps  # `Transitions` are on a higher floor, and cannot be named here
    changed: S = replace(
        own,
        observations=to_plain_observations(of[0], own.observations),
        actions=to_plain_actions(of[1], own.actions),
        next_observations=to_plain_observations(of[0], own.next_observations),
    )
    return changed


def plain_step(
    of: tuple[Space, Space], simulator: Any, observations: Array, actions: Array
) -> tuple[Array, Floats, Bools]:
    """One step from each row by a simulator that takes the environment's units: s′, rewards and whether it ended.

    Args:
        of: observation and action space of the environment.
        simulator: anything with `step(observations, actions)`; those of a Dict or Tuple space are flat.
        observations: as networks see them; so are the successors that are returned.
        actions: as networks see them.
    """
    own = to_own_observations(of[0], observations), to_own_actions(of[1], actions)
    successors, rewards, ended = simulator.step(*own)
    return to_plain_observations(of[0], successors), rewards, ended


def same_units(one: Space, other: Space) -> bool:
    """Whether the same numbers mean the same in two spaces that fit one network: starts, sizes and names agree."""
    finite = spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary
    if isinstance(one, finite) or isinstance(other, finite):
        return type(one) is type(other) and bool(
            np.array_equal(sizes_of(one), sizes_of(other)) and np.array_equal(starts_of(one), starts_of(other))
        )
    if isinstance(one, spaces.Dict | spaces.Tuple) and isinstance(other, spaces.Dict | spaces.Tuple):
        return flat_order(one) == flat_order(other)
    return True  # a Box, whose bounds the networks compare, or a flat form of a Dict or Tuple


def _one(function: Any, space: Space, value: Any) -> Any:
    """A function of batches at one value."""
    return function(space, np.asarray(value)[None])[0]


def _shifted(space: spaces.Discrete, values: Any) -> Array:
    """Whole numbers counted from 0."""
    rows = plain(values, "a discrete array")
    if space.start == 0:
        return rows
    moved = (rows.astype(np.int64) if rows.dtype.kind in "iu" else rows.astype(np.float64)) - int(space.start)
    if rows.ndim == 1:  # other shapes are refused, with their names, by whoever asked
        _refuse_outside(space, rows, (moved >= 0) & (moved < space.n) & (moved == np.floor(moved)))
    return np.asarray(moved)


def _refuse_outside(space: Space, rows: Array, inside: Bools) -> None:
    if not inside.all():
        row = int(np.argmin(inside))
        raise ValueError(
            f"Values of {space} must lie in it; row {row} is {rows[row]} ({int((~inside).sum())} of {len(rows)} do "
            "not). Give them in the environment's units."
        )


def sizes_of(space: Any) -> Ints:
    """How many values each component has."""
    if isinstance(space, spaces.Discrete):
        return np.array([space.n])
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(space.nvec).ravel().astype(np.int64)
    return np.full(math.prod(space.shape), 2)


def starts_of(space: Any) -> Ints:
    """The least value of each component."""
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(math.prod(space.shape), dtype=np.int64)
    return np.atleast_1d(np.asarray(space.start)).ravel().astype(np.int64)


def _sizes_in_words(space: Space) -> str:
    return ", ".join(map(str, space.shape or ()))


def _named_parts(space: spaces.Dict | spaces.Tuple[Any]) -> list[tuple[Any, Space]]:
    return list(space.spaces.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))


def _flat(space: Space, values: Any) -> Array:
    """N observations of a space of parts, (N, width)."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return np.concatenate([_flat(part, _part(space, values, name)) for name, part in _named_parts(space)], axis=1)
    rows = plain(values, "observations")
    if not rows.ndim or rows.shape[1:] != space.shape:
        raise ValueError(f"A part of {_short(space)} must be N rows of shape {space.shape}; got {rows.shape}.")
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return rows.reshape(len(rows), -1)
    index = rows.reshape(len(rows), -1).astype(np.float64) - starts_of(space)
    sizes = sizes_of(space)
    _refuse_outside(space, rows, ((index >= 0) & (index < sizes) & (index == np.floor(index))).all(axis=1))
    marks = np.zeros((len(rows), int(sizes.sum())), dtype=space.dtype)
    marks[np.arange(len(rows))[:, None], index.astype(np.int64) + np.cumsum(sizes) - sizes] = 1
    return marks


def _part(space: spaces.Dict | spaces.Tuple[Any], values: Any, name: Any) -> Any:
    wanted, held = [key for key, _ in _named_parts(space)], values
    if isinstance(space, spaces.Dict) and isinstance(held, Mapping) and set(held) == set(wanted):
        return held[name]
    if isinstance(space, spaces.Tuple) and isinstance(held, tuple) and len(held) == len(wanted):
        return held[name]
    got = sorted(map(str, held)) if isinstance(held, Mapping) else type(held).__name__
    raise ValueError(f"Observations of {_short(space)} must have the parts {wanted}, N rows each; got {got}.")


def _parts(space: Space, flat: Array) -> Any:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        widths = [spaces.flatdim(part) for _, part in _named_parts(space)]
        pieces = np.split(flat, np.cumsum(widths)[:-1], axis=1)
        found = {name: _parts(part, piece) for (name, part), piece in zip(_named_parts(space), pieces, strict=True)}
        return found if isinstance(space, spaces.Dict) else tuple(found.values())
    shape = (len(flat), *(space.shape or ()))
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return flat.reshape(shape).astype(space.dtype)
    pieces = np.split(flat, np.cumsum(sizes_of(space))[:-1], axis=1)
    chosen = np.stack([piece.argmax(axis=1) for piece in pieces], axis=1) + starts_of(space)
    return chosen.reshape(shape).astype(space.dtype)


def _short(space: Space) -> str:
    return " ".join(str(space).split())


def _cast_call(space: Any) -> str:
    """The wrapper that takes floats for actions of whole numbers, of true and false, or of another width."""
    low, high = (-np.ones(math.prod(space.shape)), np.ones(math.prod(space.shape)))  # a choice, where there are none
    if not isinstance(space, spaces.Box):
        low, high = starts_of(space).astype(np.float64), (starts_of(space) + sizes_of(space) - 1).astype(np.float64)
    elif space.is_bounded():
        low, high = space.low.ravel().astype(np.float64), space.high.ravel().astype(np.float64)
    rounded = "np.asarray(a)" if space.dtype.kind == "f" else "np.rint(a)"
    bounds = f"np.float32({low.tolist()}), np.float32({high.tolist()})"
    if len(set(low.tolist())) == len(set(high.tolist())) == 1:
        bounds = f"{low[0]}, {high[0]}, ({len(low)},)"
    return (
        f"gymnasium.wrappers.TransformAction(env, lambda a: {rounded}.astype('{space.dtype.name}').reshape("
        f"{space.shape}), gymnasium.spaces.Box({bounds}))"
    )


def _of_parts(space: Space) -> str:
    """The wrapper that turns Dict or Tuple actions into ones that are supported."""
    if isinstance(space, spaces.Dict | spaces.Tuple) and space.spaces:
        parts = _named_parts(space)
        if all(isinstance(part, spaces.Discrete) for _, part in parts):
            inner = [f"a[{i}]" for i in range(len(parts))]
            sizes = [int(part.n) for _, part in parts]  # type: ignore[attr-defined]  # all are Discrete
            starts = [int(part.start) for _, part in parts]  # type: ignore[attr-defined]  # all are Discrete
            form = (
                "{" + ", ".join(f"{name!r}: {at}" for (name, _), at in zip(parts, inner, strict=True)) + "}"
                if isinstance(space, spaces.Dict)
                else "(" + ", ".join(inner) + ",)"
            )
            return (
                f"Make them one MultiDiscrete: gymnasium.wrappers.TransformAction(env, lambda a: {form}, "
                f"gymnasium.spaces.MultiDiscrete({sizes}, start={starts}))."
            )
        if all(isinstance(part, spaces.Box) for _, part in parts):
            return (
                "Make them one Box: gymnasium.wrappers.TransformAction(env, lambda a, s=env.action_space: "
                "gymnasium.spaces.unflatten(s, a), gymnasium.spaces.flatten_space(env.action_space))."
            )
    return (
        "Choose actions that are enough for the task, and let gymnasium.wrappers.TransformAction(env, lambda i: "
        "choices[i], gymnasium.spaces.Discrete(len(choices))) put them in."
    )
