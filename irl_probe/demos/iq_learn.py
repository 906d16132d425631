"""IQ-Learn's expert files: a pickled dict of lists, one entry per trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from irl_probe.demos.assembly import SINGLE_FLAG_NOTE, assemble, column, flags, numbers, require
from irl_probe.demos.demonstrations import Demonstrations
from irl_probe.demos.errors import DemoError
from irl_probe.demos.unpickling import read_npy, unpickle
from irl_probe.transitions import Array

_NEEDED = ("states", "next_states", "actions", "dones")


def read_iq_learn(path: Path) -> Demonstrations:
    """Demonstrations from a .pkl, or from a .npy of the same dict; the pickle is read, never run.

    Keys: `states`, `next_states`, `actions`, `dones`, and where known `rewards` and `lengths`: lists with one sequence
    per trajectory.

    Such files have one flag for both ends: a trajectory whose last `dones` is true is read as terminated, unless its
    length is the `time_limit` given to `load_demos`; one whose last `dones` is false was cut, which is a truncation.

    Raises DemoError where the pickle names anything but arrays and plain containers, where it is damaged, where keys
    are missing, and where lengths do not fit.
    """
    raw, where = path.read_bytes(), str(path)
    loaded = read_npy(raw, where) if path.suffix == ".npy" else unpickle(raw, where)
    if isinstance(loaded, np.ndarray) and loaded.dtype == object and loaded.ndim == 0:
        loaded = loaded.item()
    if not isinstance(loaded, dict):
        raise DemoError(
            f"{where}: IQ-Learn's files hold a dict with {', '.join(_NEEDED)}; "
            f"this one holds a {type(loaded).__name__}."
        )
    data = {str(key): value for key, value in loaded.items()}
    require(where, data, _NEEDED, "an expert file of IQ-Learn")
    parts = {name: _trajectories(data[name], where, name) for name in (*_NEEDED, "rewards") if name in data}
    lengths = np.array([len(part) for part in parts["states"]], dtype=np.int64)
    for name, trajectories in parts.items():
        if len(trajectories) != len(lengths):
            raise DemoError(
                f"{where}: '{name}' must have as many trajectories as 'states', {len(lengths)}; it has "
                f"{len(trajectories)}. Repair the file or leave the odd ones out."
            )
        for i, (part, length) in enumerate(zip(trajectories, lengths, strict=True)):
            if len(part) != length:
                raise DemoError(
                    f"{where}: '{name}' must have one row for each row of 'states' in every trajectory; in trajectory "
                    f"{i} it has {len(part)} and 'states' {length}. Repair the file or leave that trajectory out."
                )
    if "lengths" in data and numbers(data["lengths"], where, "lengths").tolist() != lengths.tolist():
        raise DemoError(f"{where}: 'lengths' does not say how long the trajectories are ({lengths.tolist()}).")
    if not len(lengths) or lengths.min() < 1:
        raise DemoError(
            f"{where}: there must be at least one trajectory, each of at least one step; lengths: {lengths}."
        )
    done = [column(flags(part, where, "dones"), where, "dones") for part in parts["dones"]]
    if any(part[:-1].any() for part in done):
        raise DemoError(f"{where}: 'dones' must be one flag a step, true at a trajectory's last step only.")
    terminated = np.array([part[-1] for part in done], dtype=np.bool_)
    return assemble(
        where,
        observations=_joined(parts["states"], where, "states"),
        next_observations=_joined(parts["next_states"], where, "next_states"),
        actions=_joined(parts["actions"], where, "actions"),
        rewards=_joined(parts["rewards"], where, "rewards") if "rewards" in parts else None,
        lengths=lengths,
        terminated=terminated,
        truncated=~terminated,
        notes=(SINGLE_FLAG_NOTE,) if terminated.any() else (),
    )


def _trajectories(value: object, where: str, name: str) -> list[Array]:
    """One array of numbers per trajectory."""
    entries = value if isinstance(value, Sequence | np.ndarray) else np.asarray(value)
    if isinstance(entries, str | bytes) or (isinstance(entries, np.ndarray) and (entries.ndim == 0)):
        raise DemoError(f"{where}: '{name}' must be a list with one sequence per trajectory.")
    arrays = [numbers(entry, where, name) for entry in entries]
    if any(array.ndim == 0 for array in arrays):
        raise DemoError(
            f"{where}: '{name}' must be a list with one sequence per trajectory; an entry is a single number."
        )
    return arrays


def _joined(parts: Sequence[Array], where: str, name: str) -> Array:
    if len({part.shape[1:] for part in parts}) > 1:
        raise DemoError(
            f"{where}: '{name}' must have rows of one shape; got {sorted({part.shape[1:] for part in parts})}."
        )
    return np.concatenate(parts)
