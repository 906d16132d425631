"""From the arrays of a file to Demonstrations, with the checks that all readers share: `assemble`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._config import check_count
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.demonstrations import DemoError, Demonstrations, WholeEpisodes
from irl_probe.transitions import Transitions

Result = TypeVar("Result")

SINGLE_FLAG_NOTE = (
    "The file has one flag for both ends of an episode: each marked end was read as termination. "
    "If the environment has a time limit, load it with time_limit=<steps>."
)


def guarded(where: str, build: Callable[[], Result]) -> Result:
    """The value of `build()`; an error of Transitions or NumPy becomes a DemoError that names `where`."""
    try:
        return build()
    except DemoError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DemoError(f"{where}: {error or type(error).__name__}") from error


def require(where: str, found: Iterable[str], needed: Collection[str], form: str) -> None:
    """Raise DemoError, naming the needed keys and those found, unless every needed key is there."""
    present = list(found)
    if missing := [key for key in needed if key not in present]:
        raise DemoError(
            f"{where}: {form} needs the keys {', '.join(needed)}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing. The file has: {', '.join(sorted(present)) or 'no keys'}."
        )


def numbers(values: ArrayLike, where: str, name: str) -> Array:
    """`values` as an array of real numbers; DemoError if they are strings, objects, or rows of several lengths."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise DemoError(f"{where}: '{name}' must be an array of numbers, rows of one shape; {error}") from error
    if array.dtype.kind not in "biuf":
        raise DemoError(f"{where}: '{name}' must be an array of numbers; got dtype {array.dtype}.")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def flags(values: ArrayLike, where: str, name: str) -> Bools:
    """`values` as booleans; DemoError if a number is neither 0 nor 1."""
    array = numbers(values, where, name)
    if not np.isin(array, (0, 1)).all():
        raise DemoError(f"{where}: '{name}' must hold true or false (1 or 0); it holds other numbers.")
    return array.astype(np.bool_)


def column(values: Array, where: str, name: str) -> Array:
    """(N,) or (N, 1) values as (N,); DemoError for any other shape."""
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim != 1:
        raise DemoError(f"{where}: '{name}' must be one number a step; its shape is {values.shape}.")
    return values


def action_rows(actions: Array) -> Array:
    """Discrete actions as (N,) int64, continuous ones as (N, k)."""
    if actions.dtype.kind == "f":
        return actions[:, None] if actions.ndim == 1 else actions
    whole = actions.astype(np.int64)
    return whole[:, 0] if whole.ndim == 2 and whole.shape[1] == 1 else whole


def observation_rows(observations: Array) -> Array:
    """Discrete observations as (N,) int64, vectors as (N, k); arrays of more dimensions are not changed."""
    if observations.ndim > 1:
        return observations
    return observations[:, None] if observations.dtype.kind == "f" else observations.astype(np.int64)


def split_final(observations: Array, lengths: Ints, where: str) -> tuple[Array, Array]:
    """(observations, next_observations) of episodes that include their final observation (length + 1 rows each)."""
    ends = np.cumsum(lengths + 1)
    if len(observations) != ends[-1]:
        raise DemoError(
            f"{where}: the observations must be one more than the actions in each episode, {ends[-1]} rows in all "
            f"for {len(lengths)} episodes of {lengths.sum()} steps; got {len(observations)}."
        )
    return np.delete(observations, ends - 1, axis=0), np.delete(observations, ends - 1 - lengths, axis=0)


def check_lengths(lengths: Ints, where: str) -> None:
    """Raise DemoError unless there is an episode and each (E,) has at least one step."""
    if not len(lengths) or lengths.min() < 1:
        raise DemoError(f"{where}: there must be at least one episode, each of at least one step; lengths: {lengths}.")


def assemble(
    where: str,
    *,
    observations: Array,
    next_observations: Array,
    actions: Array,
    rewards: Array | None,
    lengths: Ints,
    terminated: Bools,
    truncated: Bools,
    env_id: str | None = None,
    observation_space: Space | None = None,
    action_space: Space | None = None,
    notes: Sequence[str] = (),
) -> Demonstrations:
    """Demonstrations of whole episodes from (N, …) steps and (E,) lengths and endings.

    An episode that is marked as both terminated and truncated counts as terminated.
    Raises DemoError if shapes do not fit or a number is not finite (the episode and step are named).
    """
    lengths = np.asarray(lengths).astype(np.int64)
    steps = {"observations": observations, "next_observations": next_observations, "actions": actions}
    if rewards is not None:
        rewards = column(rewards, where, "rewards")
        steps["rewards"] = rewards
    for name, array in steps.items():
        if array.ndim == 0 or len(array) != lengths.sum():
            raise DemoError(
                f"{where}: '{name}' must have one row a step, {lengths.sum()} for the {len(lengths)} episodes; "
                f"its shape is {array.shape}."
            )
    for name, ends in (("terminated", terminated), ("truncated", truncated)):
        if ends.shape != lengths.shape:
            raise DemoError(
                f"{where}: '{name}' must say how each of the {len(lengths)} episodes ended; got {ends.shape}."
            )
    check_lengths(lengths, where)
    truncated = truncated & ~terminated
    last = np.cumsum(lengths) - 1
    rows = {name: np.zeros(int(lengths.sum()), dtype=bool) for name in ("terminated", "truncated")}
    rows["terminated"][last], rows["truncated"][last] = terminated, truncated
    transitions = guarded(
        where,
        lambda: Transitions(
            observations=observation_rows(observations),
            actions=action_rows(actions),
            next_observations=observation_rows(next_observations),
            terminated=rows["terminated"],
            truncated=rows["truncated"],
            episode=np.repeat(np.arange(len(lengths)), lengths),
            rewards=rewards,
        ),
    )
    returns = None if rewards is None else np.add.reduceat(rewards.astype(np.float64), last + 1 - lengths)
    return Demonstrations(
        transitions,
        env_id=env_id,
        source=where,
        observation_space=observation_space,
        action_space=action_space,
        kept=WholeEpisodes(np.arange(len(lengths)), lengths, returns, terminated, truncated),
        notes=tuple(notes),
    )


def with_time_limit(demos: Demonstrations, limit: int) -> Demonstrations:
    """The demonstrations with each termination at step `limit` of its episode as a truncation (V(s′) still counts).

    Raises DemoError if an episode is longer than the limit, so that it cannot be the limit of the environment.
    """
    whole = demos.whole
    guarded(demos.source, partial(check_count, limit, 1, "The time limit in steps"))
    if (whole.lengths > limit).any():
        episode = int(np.argmax(whole.lengths > limit))
        raise DemoError(
            f"{demos.source}: an episode cannot be longer than time_limit={limit}; episode {episode} has "
            f"{whole.lengths[episode]} steps. Give the true limit of the environment."
        )
    clocked = whole.terminated & (whole.lengths == limit)
    t = demos.transitions
    stopped = t.terminated & np.repeat(clocked, t.lengths)
    return replace(
        demos,
        transitions=replace(t, terminated=t.terminated & ~stopped, truncated=t.truncated | stopped),
        kept=replace(whole, terminated=whole.terminated & ~clocked, truncated=whole.truncated | clocked),
        notes=tuple(n for n in demos.notes if n != SINGLE_FLAG_NOTE),
    )
