"""D4RL's keys: one row a step, one episode after the other, in an .hdf5 or .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.archive import Archive
from irl_probe.demos.assembly import (
    ONE_EPISODE_NOTE,
    ROUNDING,
    SINGLE_FLAG_NOTE,
    assemble_rows,
    column,
    flags,
    numbers,
    require,
)
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

    If the file has `next_observations`, an episode also ends where they are not the observation of the next row, as a
    truncation, and a note says so.

    Without `next_observations` the successor of a step is the observation of the next row (`assemble_rows`).

    Raises DemoError if lengths differ or numbers are not finite.
    """
    arrays = {name: numbers(array, where, name) for name, array in content.items()}
    arrays = {name: array if name in _WIDE else column(array, where, name) for name, array in arrays.items()}
    _check_shapes({name: array.shape for name, array in arrays.items()}, where)
    terminals = flags(arrays["terminals"], where, "terminals")
    timeouts = flags(arrays["timeouts"], where, "timeouts") if "timeouts" in arrays else None
    done = terminals if timeouts is None else terminals | timeouts
    broken = _broken_off(arrays["observations"], arrays.get("next_observations")) & ~done
    last = _last_rows(done | broken, None if timeouts is not None else time_limit)
    lengths = np.diff(last, prepend=-1)
    terminated = terminals[last] & (lengths != time_limit)
    notes = []
    if broken.any():
        notes.append(
            f"{broken.sum()} episodes end without a mark, where the next row is not their next observation: each of "
            "these ends was read as a truncation."
        )
    if timeouts is None and time_limit is None:
        notes += [SINGLE_FLAG_NOTE] * bool(terminated.any()) + [ONE_EPISODE_NOTE] * (len(last) == 1 < len(terminals))
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


def _broken_off(observations: Array, successors: Array | None) -> Bools:
    """(N,) whether the next row is not, up to rounding, the successor of this one; the last row has none."""
    broken = np.zeros(len(observations), dtype=bool)
    if successors is not None and successors.shape == observations.shape:  # `assemble` has the message for others
        same = np.isclose(successors[:-1], observations[1:], rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
        broken[:-1] = ~same.reshape(len(same), -1).all(axis=1)
    return broken


def _last_rows(done: Bools, time_limit: int | None) -> Ints:
    """Row of each episode's last step: where it is done, at the end of the file and, if one is given, at the limit."""
    ends = np.union1d(np.flatnonzero(done), [len(done) - 1])
    if time_limit is None or time_limit < 1:
        return ends
    starts = np.append(0, ends[:-1] + 1)
    clocked = [np.arange(start + time_limit - 1, end, time_limit) for start, end in zip(starts, ends, strict=True)]
    return np.union1d(ends, np.concatenate(clocked)).astype(np.int64)
