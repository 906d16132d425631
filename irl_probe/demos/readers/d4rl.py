"""D4RL's .hdf5 files: one row a step, one episode after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.assembly import SINGLE_FLAG_NOTE, assemble, column, flags, numbers, require
from irl_probe.demos.demonstrations import DemoError, Demonstrations

_NEEDED = ("observations", "actions", "terminals")
_OPTIONAL = ("next_observations", "rewards", "timeouts")
_WIDE = ("observations", "next_observations", "actions")
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)

LOST_SUCCESSOR_NOTE = (
    "The file has no next_observations: the successor of a terminal step is unknown and was replaced by its own "
    "observation (no value is taken there); the last step of a truncated episode was left out."
)


def read_d4rl(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from an HDF5 file with D4RL's keys.

    Keys: `observations`, `actions`, `terminals`, and if known `next_observations`, `rewards`, `timeouts`: (N, …). An
    episode ends at a terminal, at a timeout, after `time_limit` steps, or with the file (a truncation). A step that is
    marked as both counts as terminated, unless it is step `time_limit`. If the file has timeouts, they are the clock,
    and the limit does not start a new episode.

    Without `next_observations` the successor of a step is the observation of the next row. The file then has no
    successor for a terminal step, which gets its own observation, since no value is taken there. The last row of a
    truncated episode is used only as the successor of the row before; its reward still counts in the return of the
    whole episode.

    Raises DemoError if the file is damaged, keys are missing or lengths differ.
    """
    where = str(path)
    arrays = _arrays(path)
    terminals = flags(arrays["terminals"], where, "terminals")
    timeouts = flags(arrays["timeouts"], where, "timeouts") if "timeouts" in arrays else None
    last = _last_rows(terminals, timeouts, time_limit)
    whole = np.diff(last, prepend=-1)
    terminated = terminals[last] & (whole != time_limit)
    returns = np.add.reduceat(arrays["rewards"], last + 1 - whole, dtype=np.float64) if "rewards" in arrays else None
    notes = () if timeouts is not None or time_limit is not None or not terminated.any() else (SINGLE_FLAG_NOTE,)
    lengths = whole
    if "next_observations" not in arrays:
        following = np.roll(arrays["observations"], -1, axis=0)
        following[last] = arrays["observations"][last]
        held = np.ones(len(terminals), dtype=bool)
        held[last[~terminated]] = False
        arrays = {name: array[held] for name, array in (*arrays.items(), ("next_observations", following))}
        lengths = whole - ~terminated
        notes = (*notes, LOST_SUCCESSOR_NOTE)
    there = lengths > 0
    if not there.any():
        raise DemoError(f"{where}: one step without a next observation is not a transition; record at least two steps.")
    demos = assemble(
        where,
        observations=arrays["observations"],
        next_observations=arrays["next_observations"],
        actions=arrays["actions"],
        rewards=arrays.get("rewards"),
        lengths=lengths[there],
        terminated=terminated[there],
        truncated=~terminated[there],
        notes=notes,
    )
    facts = replace(demos.whole, lengths=whole[there], returns=None if returns is None else returns[there])
    return replace(demos, kept=facts)


def _last_rows(terminals: Bools, timeouts: Bools | None, time_limit: int | None) -> Ints:
    """Row of each episode's last step: at a mark, at the end of the file and, without timeouts, at the limit."""
    done = terminals if timeouts is None else terminals | timeouts
    ends = np.union1d(np.flatnonzero(done), [len(done) - 1])
    if timeouts is not None or time_limit is None or time_limit < 1:
        return ends
    starts = np.append(0, ends[:-1] + 1)
    clocked = [np.arange(start + time_limit - 1, end, time_limit) for start, end in zip(starts, ends, strict=True)]
    return np.union1d(ends, np.concatenate(clocked)).astype(np.int64)


def _arrays(path: Path) -> dict[str, Array]:
    """The known keys of the file as arrays of one length."""
    where = str(path)
    try:
        with h5py.File(path, "r") as file:
            require(where, file, _NEEDED, "a D4RL file")
            known = {name: file[name] for name in (*_NEEDED, *_OPTIONAL) if name in file}
            shapes = {
                name: (item.shape or ()) if isinstance(item, h5py.Dataset) else () for name, item in known.items()
            }
            if len({shape[:1] for shape in shapes.values()}) > 1 or shapes["terminals"][:1] in ((), (0,)):
                raise DemoError(f"{where}: each key must have one row a step, at least one; the shapes are {shapes}.")
            content = {name: item[()] for name, item in known.items()}
    except DemoError:
        raise
    except _BROKEN as error:
        raise DemoError(f"{where}: this is not a whole HDF5 file ({error}). Download it again.") from error
    arrays = {name: numbers(array, where, name) for name, array in content.items()}
    return {name: array if name in _WIDE else column(array, where, name) for name, array in arrays.items()}
