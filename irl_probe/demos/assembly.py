"""From the arrays of a file to Demonstrations, with the checks that all readers share: `assemble`, `assemble_rows`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypedDict, TypeVar, Unpack

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from irl_probe._config import check_count
from irl_probe._spaces import Space
from irl_probe._types import Array, Bools, Ints, plain
from irl_probe.demos.demonstrations import DemoError, Demonstrations, WholeEpisodes
from irl_probe.transitions import Transitions

Result = TypeVar("Result")

SINGLE_FLAG_NOTE = (
    "The file has one flag for both ends of an episode: each marked end was read as termination. "
    "If the environment has a time limit, load it with time_limit=<steps>."
)
LOST_SUCCESSOR_NOTE = (
    "There are no next_observations: the successor of a terminal step is unknown and was replaced by its own "
    "observation (no value is taken there); the last step of a truncated episode was left out."
)
PADDING_NOTE = "The last row of an episode has no reward (NaN): it was read as a final observation, not as a step."
ONE_EPISODE_NOTE = (
    "Only the last row ends an episode: all rows were read as one. If they are several, load them with "
    "time_limit=<steps>, or mark their ends (terminals, timeouts)."
)
UNMARKED_NOTE = (
    "Nothing says how the episodes ended: each end was read as a truncation, after which V(s') still counts. "
    "If the task ended there, mark it as terminated."
)


ROUNDING = 1e-6  # between a next observation and the next row, which may be stored in other dtypes


class About(TypedDict, total=False):
    """What a source states besides its arrays."""

    env_id: str | None
    observation_space: Space | None
    action_space: Space | None


def check_about(where: str, about: About) -> None:
    """Raise DemoError unless spaces are spaces and the id of the environment is a string."""
    kinds = {"observation_space": spaces.Space, "action_space": spaces.Space, "env_id": str}
    for name, value in about.items():
        if value is not None and not isinstance(value, kinds[name]):
            wanted = "a string" if kinds[name] is str else "a space of gymnasium.spaces"
            raise DemoError(f"{where}: '{name}' must be {wanted}; got {value!r}.")


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
    """`values` as real numbers; DemoError if they are strings, objects, masked, or rows of several lengths."""
    try:
        array = plain(values, name)
    except (ValueError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise DemoError(f"{where}: '{name}' must be an array of numbers, rows of one shape; {error}") from error
    if array.dtype.kind not in "biuf":
        raise DemoError(f"{where}: '{name}' must be an array of numbers; got dtype {array.dtype}.")
    return array


def joined(parts: Sequence[Array], where: str, name: str) -> Array:
    """The rows of all episodes one after the other; DemoError if they differ in shape."""
    if len({part.shape[1:] for part in parts}) > 1:
        raise DemoError(
            f"{where}: '{name}' must have rows of one shape; got {sorted({part.shape[1:] for part in parts})}."
        )
    return np.concatenate(parts)


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


def fitted(rows: Array, space: Space | None, where: str, name: str) -> Array:
    """`rows` in the kind (whole or not) and the shape, (N,) or (N, 1), of `space`, where that loses nothing.

    Raises DemoError for fractions in a Discrete space.
    """
    if isinstance(space, spaces.Discrete) and rows.dtype.kind == "f":
        if (rows != np.floor(rows)).any():
            raise DemoError(f"{where}: '{name}' of {space} must be whole numbers; got {rows.dtype} with fractions.")
        rows = column(rows, where, name).astype(np.int64)
    if isinstance(space, spaces.Box):
        wanted = (len(rows), *space.shape)
        if rows.ndim <= 2 and len(wanted) <= 2 and rows.size == np.prod(wanted):
            rows = rows.reshape(wanted)
        if rows.dtype.kind in "iu" and space.dtype.kind == "f":
            rows = rows.astype(space.dtype)
    return rows


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


def last_marks(marks: Bools, lengths: Ints, where: str, name: str) -> Bools:
    """(E,) the mark of each episode's last step, of (N,) marks; DemoError for a mark at an earlier step."""
    last = np.cumsum(lengths) - 1
    inner = marks.copy()
    inner[last] = False
    if inner.any():
        row = int(np.argmax(inner))
        episode = int(np.searchsorted(last, row))
        raise DemoError(
            f"{where}: an episode must stop where '{name}' is true; in episode {episode} it is true at step "
            f"{row - int(last[episode] + 1 - lengths[episode])}, and the episode has {lengths[episode]} steps. "
            "Split it after that step into two episodes, or mark its last step only."
        )
    return marks[last]


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
    notes: Sequence[str] = (),
    positions: Ints | None = None,
    **about: Unpack[About],
) -> Demonstrations:
    """Demonstrations of whole episodes from (N, …) steps and (E,) lengths and endings.

    An episode that is marked as both terminated and truncated counts as terminated. `positions` are the places of the
    episodes in their source, if some of its episodes are not here.
    Raises DemoError if shapes do not fit or a number is not finite (the episode and step are named).
    """
    lengths = np.asarray(lengths).astype(np.int64)
    steps = {"observations": observations, "next_observations": next_observations, "actions": actions}
    if rewards is not None:
        rewards = column(rewards, where, "rewards")
        steps["rewards"] = rewards
    _check_fit(where, steps, lengths, terminated, truncated)
    truncated = truncated & ~terminated
    last = np.cumsum(lengths) - 1
    rows = {name: np.zeros(int(lengths.sum()), dtype=bool) for name in ("terminated", "truncated")}
    rows["terminated"][last], rows["truncated"][last] = terminated, truncated
    places = np.arange(len(lengths)) if positions is None else positions
    seen, done = about.get("observation_space"), about.get("action_space")
    transitions = guarded(
        where,
        lambda: Transitions(
            observations=fitted(observation_rows(observations), seen, where, "observations"),
            actions=fitted(action_rows(actions), done, where, "actions"),
            next_observations=fitted(observation_rows(next_observations), seen, where, "next_observations"),
            terminated=rows["terminated"],
            truncated=rows["truncated"],
            episode=np.repeat(places, lengths),
            rewards=rewards,
        ),
    )
    returns = None if rewards is None else np.add.reduceat(rewards.astype(np.float64), last + 1 - lengths)
    return Demonstrations(
        transitions,
        env_id=about.get("env_id"),
        source=where,
        observation_space=seen,
        action_space=done,
        kept=WholeEpisodes(places, lengths, returns, terminated, truncated),
        notes=tuple(notes),
    )


def assemble_rows(
    where: str,
    *,
    observations: Array,
    actions: Array,
    rewards: Array | None,
    lengths: Ints,
    terminated: Bools,
    next_observations: Array | None = None,
    notes: Sequence[str] = (),
    **about: Unpack[About],
) -> Demonstrations:
    """Like `assemble`, for sources that may have one observation a step and no final ones.

    With `next_observations` it is `assemble`. Without them the successor of a step is the observation of the next row.
    A terminal step has none there and gets its own observation, since no value is taken there. The last row of a
    truncated episode is only the successor of the row before; its reward still counts in the return of the whole
    episode, unless it is NaN: then the row is not a step, but the final observation. An episode that has no step left
    is left out.

    Raises DemoError like `assemble`, or if nothing is left.
    """
    lengths = np.asarray(lengths).astype(np.int64)
    if next_observations is not None:
        return assemble(
            where,
            observations=observations,
            next_observations=next_observations,
            actions=actions,
            rewards=rewards,
            lengths=lengths,
            terminated=terminated,
            truncated=~terminated,
            notes=notes,
            **about,
        )
    steps = {"observations": observations, "actions": actions}
    if rewards is not None:
        steps["rewards"] = rewards = column(rewards, where, "rewards")
    _check_fit(where, steps, lengths, terminated, ~terminated)
    last = np.cumsum(lengths) - 1
    following = np.roll(observations, -1, axis=0)
    following[last] = observations[last]
    held = np.ones(len(observations), dtype=bool)
    held[last[~terminated]] = False
    kept = lengths - ~terminated
    there = kept > 0
    if not there.any():
        raise DemoError(f"{where}: one step without a next observation is not a transition; record at least two steps.")
    returns, whole = None, lengths
    if rewards is not None:
        padded = np.isnan(rewards[last]) & ~terminated
        counted = rewards.astype(np.float64)
        counted[last[padded]] = 0
        whole = lengths - padded
        returns = np.add.reduceat(counted, last + 1 - lengths)[there]
        _check_left_out(where, counted, last[there & ~terminated], np.flatnonzero(there & ~terminated))
        notes = (*notes, PADDING_NOTE) if (padded & there).any() else notes
    demos = assemble(
        where,
        observations=observations[held],
        next_observations=following[held],
        actions=actions[held],
        rewards=None if rewards is None else rewards[held],
        lengths=kept[there],
        terminated=terminated[there],
        truncated=~terminated[there],
        notes=(*notes, LOST_SUCCESSOR_NOTE),
        positions=np.flatnonzero(there),
        **about,
    )
    return replace(demos, kept=replace(demos.whole, lengths=whole[there], returns=returns))


def _check_fit(where: str, steps: dict[str, Array], lengths: Ints, terminated: Bools, truncated: Bools) -> None:
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


def _check_left_out(where: str, rewards: Array, rows: Ints, episodes: Ints) -> None:
    """The rewards of rows that are not steps here, but count in the returns of their episodes, must be finite."""
    bad = ~np.isfinite(rewards[rows])
    if bad.any():
        at = int(np.argmax(bad))
        raise DemoError(
            f"{where}: 'rewards' must be finite; the last step of episode {episodes[at]} holds {rewards[rows[at]]}. "
            "That step has no successor here, but its reward counts in the return of the episode. Repair it, or leave "
            "the rewards out."
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
            f"{demos.source}: an episode cannot be longer than time_limit={limit}; episode "
            f"{whole.positions[episode]} has {whole.lengths[episode]} steps. Give the true limit of the environment."
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
