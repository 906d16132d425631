"""D4RL's keys: one row a step, one episode after the other, in an .hdf5 or .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.archive import Archive
from irl_probe.demos.assembly import SINGLE_FLAG_NOTE, assemble_rows, column, flags, numbers, require
from irl_probe.demos.demonstrations import DemoError, Demonstrations

_NEEDED = ("observations", "actions", "terminals")
_OPTIONAL = ("next_observations", "rewards", "timeouts")
_WIDE = ("observations", "next_observations", "actions")
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


def read_d4rl(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from an HDF5 file with D4RL's keys; see `from_d4rl`.

    Raises DemoError if the file is damaged, keys are missing or lengths differ.
    """
    where = str(path)
    try:
        with h5py.File(path, "r") as file:
            require(where, file, _NEEDED, "a D4RL file")
            known = {name: file[name] for name in (*_NEEDED, *_OPTIONAL) if name in file}
            _check_shapes({n: (i.shape or ()) if isinstance(i, h5py.Dataset) else () for n, i in known.items()}, where)
            content = {name: item[()] for name, item in known.items()}
    except DemoError:
        raise
    except _BROKEN as error:
        raise DemoError(f"{where}: this is not a whole HDF5 file ({error}). Download it again.") from error
    return from_d4rl(where, content, time_limit)


def read_d4rl_npz(archive: Archive, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from a .npz with D4RL's keys; see `from_d4rl`."""
    require(archive.where, archive.members, _NEEDED, "a .npz with D4RL's keys")
    known = {name: archive.numbers(name) for name in (*_NEEDED, *_OPTIONAL) if name in archive.members}
    return from_d4rl(archive.where, known, time_limit)


def from_d4rl(where: str, content: Mapping[str, Array], time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from arrays with D4RL's keys.

    Keys: `observations`, `actions`, `terminals`, and if known `next_observations`, `rewards`, `timeouts`: (N, …). An
    episode ends at a terminal, at a timeout, after `time_limit` steps, or with the file (a truncation). A step that is
    marked as both counts as terminated, unless it is step `time_limit`. If the file has timeouts, they are the clock,
    and the limit does not start a new episode.

    Without `next_observations` the successor of a step is the observation of the next row (`assemble_rows`).

    Raises DemoError if lengths differ or numbers are not finite.
    """
    arrays = {name: numbers(array, where, name) for name, array in content.items()}
    arrays = {name: array if name in _WIDE else column(array, where, name) for name, array in arrays.items()}
    _check_shapes({name: array.shape for name, array in arrays.items()}, where)
    terminals = flags(arrays["terminals"], where, "terminals")
    timeouts = flags(arrays["timeouts"], where, "timeouts") if "timeouts" in arrays else None
    last = _last_rows(terminals, timeouts, time_limit)
    lengths = np.diff(last, prepend=-1)
    terminated = terminals[last] & (lengths != time_limit)
    notes = () if timeouts is not None or time_limit is not None or not terminated.any() else (SINGLE_FLAG_NOTE,)
    observations, actions, rewards = arrays["observations"], arrays["actions"], arrays.get("rewards")
    return assemble_rows(
        where,
        observations=observations,
        next_observations=arrays.get("next_observations"),
        actions=actions,
        rewards=rewards,
        lengths=lengths,
        terminated=terminated,
        notes=notes,
    )


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    if len({shape[:1] for shape in shapes.values()}) > 1 or shapes["terminals"][:1] in ((), (0,)):
        raise DemoError(f"{where}: each key must have one row a step, at least one; the shapes are {dict(shapes)}.")


def _last_rows(terminals: Bools, timeouts: Bools | None, time_limit: int | None) -> Ints:
    """Row of each episode's last step: at a mark, at the end of the file and, without timeouts, at the limit."""
    done = terminals if timeouts is None else terminals | timeouts
    ends = np.union1d(np.flatnonzero(done), [len(done) - 1])
    if timeouts is not None or time_limit is None or time_limit < 1:
        return ends
    starts = np.append(0, ends[:-1] + 1)
    clocked = [np.arange(start + time_limit - 1, end, time_limit) for start, end in zip(starts, ends, strict=True)]
    return np.union1d(ends, np.concatenate(clocked)).astype(np.int64)
