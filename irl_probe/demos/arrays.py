"""From arrays or a table of your own to Demonstrations: what `from_arrays` and `from_dataframe` do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from irl_probe._config import check_count
from irl_probe._types import Array, Bools, Ints
from irl_probe._words import did_you_mean
from irl_probe.demos.assembly import (
    ROUNDING,
    UNMARKED_NOTE,
    About,
    assemble_rows,
    check_about,
    check_lengths,
    column,
    flags,
    guarded,
    joined,
    last_marks,
    numbers,
    split_final,
)
from irl_probe.demos.checking import check_spaces
from irl_probe.demos.demonstrations import DemoError, Demonstrations

Episodes = ArrayLike | Sequence[ArrayLike]


def from_arrays(
    observations: Episodes,
    actions: Episodes,
    *,
    rewards: Episodes | None = None,
    next_observations: Episodes | None = None,
    terminated: Episodes | None = None,
    truncated: Episodes | None = None,
    lengths: ArrayLike | None = None,
    episode: ArrayLike | None = None,
    source: str = "arrays",
    **about: Unpack[About],
) -> Demonstrations:
    """See `Demonstrations.from_arrays`."""
    where = source
    check_about(where, about)
    listed = lengths is None and episode is None and _is_list(observations)
    columns = {"observations": observations, "actions": actions}
    optional = {"rewards": rewards, "next_observations": next_observations}
    columns |= {name: values for name, values in optional.items() if values is not None}
    if listed:
        arrays, sizes = _from_lists(columns, where)
    else:
        arrays = {name: np.array(numbers(values, where, name)) for name, values in columns.items()}  # type: ignore[arg-type]  # refuses others
        sizes = _sizes(arrays, lengths, episode, terminated, truncated, where)
    total = int(sizes.sum())
    if arrays["actions"].ndim == 0 or len(arrays["actions"]) != total:
        raise DemoError(
            f"{where}: the lengths of the episodes must sum to the number of actions; they sum to {total}, and "
            f"'actions' has shape {arrays['actions'].shape}. A length counts steps, so the actions of an episode."
        )
    ended, notes = _ends(terminated, truncated, sizes, where)
    final = _has_final(arrays["observations"], sizes, "next_observations" in arrays, where)
    before, after = arrays["observations"], arrays.get("next_observations")
    if final:
        before, after = split_final(before, sizes, where)
    elif after is not None:
        _check_order(before, after, sizes, where)
    demos = assemble_rows(
        where,
        observations=before,
        next_observations=after,
        actions=arrays["actions"],
        rewards=arrays.get("rewards"),
        lengths=sizes,
        terminated=ended,
        notes=notes,
        **about,
    )
    check_spaces(demos, demos.observation_space, demos.action_space)
    return demos


def from_dataframe(
    frame: Any,
    *,
    observations: str | Sequence[str],
    actions: str | Sequence[str],
    episode: str,
    time: str | None = None,
    rewards: str | None = None,
    next_observations: str | Sequence[str] | None = None,
    terminated: str | None = None,
    truncated: str | None = None,
    source: str = "a table",
    **about: Unpack[About],
) -> Demonstrations:
    """See `Demonstrations.from_dataframe`."""
    if not hasattr(frame, "columns") or hasattr(frame, "collect"):
        raise DemoError(
            f"from_dataframe takes a table of pandas or polars; got {type(frame).__name__}. Read a file first, for "
            "example with pandas.read_csv, and collect() a LazyFrame."
        )
    labels = _cells(frame, episode, source)
    order = _order(labels, None if time is None else _cells(frame, time, source), episode, time, source)
    labels = labels[order]
    acts = _columns(frame, actions, source)[order]
    missing = _gaps(acts).reshape(len(acts), -1).any(axis=1)
    ends = np.append(labels[1:] != labels[:-1], True)
    if missing.any() and not np.array_equal(missing, ends):
        row = int(np.argmax(missing & ~ends)) if (missing & ~ends).any() else int(np.argmax(ends & ~missing))
        raise DemoError(
            f"{source}: an action may be missing only in the last row of an episode, which then is its final "
            f"observation, and then in every episode; episode {labels[row]!r} has a row where that does not hold. "
            "Fill the gap, or leave that row or episode out."
        )
    step = ~missing

    def chosen(name: str | Sequence[str] | None) -> Array | None:
        return None if name is None else _numbers(_columns(frame, name, source)[order][step])

    return from_arrays(
        _numbers(_columns(frame, observations, source)[order]),
        _whole_again(frame, actions, _numbers(acts[step])),
        rewards=chosen(rewards),
        next_observations=chosen(next_observations),
        terminated=chosen(terminated),
        truncated=chosen(truncated),
        episode=labels,
        source=source,
        **about,
    )


def _is_list(values: object) -> bool:
    return isinstance(values, list | tuple) or (
        isinstance(values, np.ndarray) and values.dtype == object and values.ndim == 1
    )


def _from_lists(columns: dict[str, Any], where: str) -> tuple[dict[str, Array], Ints]:
    """The rows of all episodes and their numbers of steps, from one array for each episode."""
    parts: dict[str, list[Array]] = {}
    for name, values in columns.items():
        if not _is_list(values):
            raise DemoError(
                f"{where}: 'observations' is a list with one array for each episode, so '{name}' must be one too; got "
                f"{type(values).__name__}. For arrays with one row a step give lengths=, or episode=."
            )
        parts[name] = [numbers(value, where, name) for value in values]
        if len(parts[name]) != len(parts["observations"]):
            raise DemoError(
                f"{where}: '{name}' must have as many episodes as 'observations', {len(parts['observations'])}; it has "
                f"{len(parts[name])}."
            )
        if any(part.ndim == 0 for part in parts[name]):
            raise DemoError(
                f"{where}: '{name}' must be a list with one array for each episode; an entry is a single number. For "
                "arrays with one row a step give lengths= (steps of each episode) or episode= (a label a row)."
            )
    sizes = np.array([len(part) for part in parts["actions"]], dtype=np.int64)
    check_lengths(sizes, where)
    extra = np.array([len(part) for part in parts["observations"]]) - sizes
    if len(np.unique(extra)) > 1 or extra[0] not in (0, 1):
        odd = int(np.argmax(~np.isin(extra, (0, 1)))) if (~np.isin(extra, (0, 1))).any() else int(np.argmin(extra))
        raise DemoError(
            f"{where}: every episode must have one observation more than actions (the final one), or in every episode "
            f"as many; episode {odd} has {sizes[odd] + extra[odd]} observations and {sizes[odd]} actions. If the "
            "lists hold steps and not episodes, give arrays and lengths=."
        )
    for name in ("rewards", "next_observations"):
        for i, part in enumerate(parts.get(name, ())):
            if len(part) != sizes[i]:
                raise DemoError(
                    f"{where}: '{name}' must have one row for each action; in episode {i} it has {len(part)} and "
                    f"'actions' {sizes[i]}."
                )
    return {name: joined(part, where, name) for name, part in parts.items()}, sizes


def _sizes(
    arrays: dict[str, Array],
    lengths: ArrayLike | None,
    episode: ArrayLike | None,
    terminated: object,
    truncated: object,
    where: str,
) -> Ints:
    """(E,) steps of each episode, from lengths, from a label for each row, or from marks at the ends."""
    if lengths is not None and episode is not None:
        raise DemoError(f"{where}: give either lengths= or episode=, not both.")
    if lengths is not None:
        sizes = numbers(lengths, where, "lengths")
        if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
            raise DemoError(
                f"{where}: 'lengths' must be whole numbers, the steps of each episode; got {sizes.dtype} of shape "
                f"{sizes.shape}."
            )
        check_lengths(sizes.astype(np.int64), where)
        return sizes.astype(np.int64)
    if episode is not None:
        return _runs(np.asarray(episode), arrays, where)
    steps = np.shape(arrays["actions"])[:1]
    given: dict[str, Any] = {"terminated": terminated, "truncated": truncated}
    marks = [flags(mark, where, name) for name, mark in given.items() if mark is not None]
    if not any(mark.shape[:1] == steps and steps for mark in marks):
        raise DemoError(
            f"{where}: where one episode ends and the next begins must be known; got arrays of shape "
            f"{arrays['observations'].shape} and {arrays['actions'].shape}. Give lengths= (the steps of each episode), "
            "episode= (a label for each row), one mark a step in terminated= or truncated=, or lists with one array "
            "for each episode; a single episode is [observations], [actions]."
        )
    done = np.zeros(steps, dtype=bool)
    for mark in marks:
        if mark.shape[:1] == steps:
            done |= mark.reshape(steps[0], -1).any(axis=1)
    return np.diff(np.union1d(np.flatnonzero(done), [steps[0] - 1]), prepend=-1).astype(np.int64)


def _runs(labels: Array, arrays: dict[str, Array], where: str) -> Ints:
    rows, steps = len(arrays["observations"]), len(arrays["actions"])
    if labels.ndim != 1 or len(labels) not in (rows, steps):
        raise DemoError(
            f"{where}: 'episode' must be one label for each observation or action, shape ({rows},); got {labels.shape}."
        )
    starts = np.flatnonzero(np.append(True, labels[1:] != labels[:-1]))
    named = labels[starts]
    if len(np.unique(named)) != len(named):
        again = next(label for i, label in enumerate(named) if label in named[:i])
        raise DemoError(
            f"{where}: the rows of an episode must stand together, in time order; episode {again!r} begins again after "
            "another one. Sort the rows by episode and time, or give the parts labels of their own."
        )
    sizes = np.diff(np.append(starts, len(labels)))
    return sizes - 1 if len(labels) == rows == steps + len(sizes) else sizes


def _has_final(observations: Array, sizes: Ints, successors: bool, where: str) -> bool:
    """Whether the observations include the final one of each episode."""
    check_lengths(sizes, where)
    total, count = int(sizes.sum()), len(sizes)
    rows = len(observations) if observations.ndim else 0
    if rows == total + count and not successors:
        return True
    if rows != total:
        allowed = f"{total} (one a step)" if successors else f"{total} (one a step) or {total + count} (final ones too)"
        raise DemoError(
            f"{where}: for {count} episodes of {total} steps in all there must be {allowed} observations; got {rows}."
        )
    return False


def _ends(terminated: Any, truncated: Any, sizes: Ints, where: str) -> tuple[Bools, tuple[str, ...]]:
    """(E,) whether the MDP ended each episode, and a note if nothing says so."""
    task, clock = (_marks(m, sizes, name, where) for name, m in (("terminated", terminated), ("truncated", truncated)))
    if task is None and clock is None:
        return np.zeros(len(sizes), dtype=bool), (UNMARKED_NOTE,)
    if task is None:
        assert clock is not None
        if not clock.all():
            raise DemoError(
                f"{where}: 'truncated' says that the clock did not end episode {int(np.argmin(clock))}, and nothing "
                "says whether the task did; give terminated= as well, one mark for each episode or step."
            )
        return ~clock, ()
    if clock is not None and (task & clock).any():
        raise DemoError(
            f"{where}: an episode ends by termination (the task ended) or by truncation (the clock did), not by both; "
            f"episode {int(np.argmax(task & clock))} has both. Gymnasium's rule is that termination wins: give "
            "truncated=truncated & ~terminated."
        )
    return task, ()


def _marks(given: Any, sizes: Ints, name: str, where: str) -> Bools | None:
    """(E,) marks, from one for all, one for each episode, or one for each step."""
    if given is None:
        return None
    if isinstance(given, list | tuple) and len(given) == len(sizes) and any(np.ndim(part) for part in given):
        for i, part in enumerate(given):
            if np.shape(part)[:1] != (sizes[i],):
                raise DemoError(
                    f"{where}: '{name}' must have one mark for each action; in episode {i} its shape is "
                    f"{np.shape(part)} and there are {sizes[i]} actions."
                )
        given = np.concatenate([column(flags(part, where, name), where, name) for part in given])
    marks = flags(given, where, name)
    if marks.ndim == 0:
        return np.full(len(sizes), marks)
    marks = flags(column(marks, where, name), where, name)
    if len(marks) == len(sizes):
        return marks
    if len(marks) == sizes.sum():
        return last_marks(marks, sizes, where, name)
    raise DemoError(
        f"{where}: '{name}' must be one mark for each of the {len(sizes)} episodes or {sizes.sum()} steps; got "
        f"{len(marks)}."
    )


def _check_order(observations: Array, successors: Array, sizes: Ints, where: str) -> None:
    """Raise DemoError unless each successor is, up to rounding, the next row of its episode."""
    if observations.shape != successors.shape:
        return  # `assemble` has the message
    inner = np.ones(len(observations), dtype=bool)
    inner[np.cumsum(sizes) - 1] = False
    rows = np.flatnonzero(inner)
    same = np.isclose(successors[rows], observations[rows + 1], rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
    broken = rows[~same.reshape(len(rows), -1).all(axis=1)] if len(rows) else rows
    if len(broken):
        episode = int(np.searchsorted(np.cumsum(sizes), broken[0], side="right"))
        step = int(broken[0] - (np.cumsum(sizes)[episode] - sizes[episode]))
        raise DemoError(
            f"{where}: the steps of an episode must be in time order, each next observation the observation of the "
            f"next row; after step {step} of episode {episode} it is not ({len(broken)} such steps in all). Sort the "
            "rows by time, start a new episode there, or give each step as an episode of its own: "
            "lengths=np.ones(N, int)."
        )


# Tables of pandas and polars, read by what both have: frame.columns and frame[name].to_numpy()


def _cells(frame: Any, name: str, where: str) -> Array:
    known = [str(column) for column in frame.columns]
    if name not in known:
        raise DemoError(f"{where}: there is no column '{name}'.{did_you_mean(name, known)} It has: {', '.join(known)}.")
    if known.count(name) > 1:
        raise DemoError(f"{where}: the table has {known.count(name)} columns '{name}'. Give each a name of its own.")
    return np.asarray(frame[name].to_numpy())


def _columns(frame: Any, names: str | Sequence[str], where: str) -> Array:
    """One column as (N,), or (N, k) where its cells hold vectors; several as (N, k)."""
    if isinstance(names, str):
        cells = _cells(frame, names, where)
        if cells.dtype == object and len(cells) and isinstance(cells[0], list | np.ndarray):
            return numbers([np.asarray(cell) for cell in cells], where, names)
        return cells
    guarded(where, lambda: check_count(len(names), 1, "The number of columns"))
    if len(set(names)) < len(names):
        raise DemoError(f"{where}: a column may be named once; got {', '.join(names)}.")
    parts = [_cells(frame, name, where) for name in names]
    return np.column_stack([part if part.dtype.kind in "biuf" else part.astype(object) for part in parts])


def _numbers(cells: Array) -> Array:
    """Cells of a column that mixes numbers and gaps, now without the gaps, in the dtype of the numbers."""
    return np.array(cells.tolist()) if cells.dtype == object else cells


def _gaps(values: Array) -> Bools:
    """Which cells of a table hold nothing."""
    import pandas  # here, because every worker that loads a reward imports this file

    missing: Bools = pandas.isna(values)
    return missing


def _whole_again(frame: Any, names: str | Sequence[str], values: Array) -> Array:
    """Whole numbers that a gap in their column turned into floats, if the column says that they are whole."""
    kinds = [str(frame[name].dtype).lower() for name in ([names] if isinstance(names, str) else names)]
    return values.astype(np.int64) if all(kind.startswith(("int", "uint")) for kind in kinds) else values


def _order(labels: Array, times: Array | None, episode: str, time: str | None, where: str) -> Ints:
    """The rows by episode, in the order in which episodes first appear, and by time where that is given."""
    if not len(labels) or _gaps(labels).any():
        raise DemoError(f"{where}: the column '{episode}' must give every row, at least one, its episode.")
    if times is None:
        return np.arange(len(labels))
    if words := [each for each in times.tolist() if isinstance(each, str)]:
        raise DemoError(
            f"{where}: the column '{time}' must hold numbers or dates to sort by; got {words[0]!r}. Turn it into "
            "numbers: pandas.to_numeric."
        )
    _, first, which = np.unique(labels, return_index=True, return_inverse=True)
    order = np.lexsort((times, first[which]))
    same = (labels[order][1:] == labels[order][:-1]) & (times[order][1:] == times[order][:-1])
    if same.any() or _gaps(times).any():
        row = int(np.argmax(same))
        raise DemoError(
            f"{where}: the column '{time}' must differ from row to row of an episode, without gaps; episode "
            f"{labels[order][row]!r} has {times[order][row]!r} twice or a gap. Without time= the rows keep their order."
        )
    return order
