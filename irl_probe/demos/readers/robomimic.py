"""robomimic's .hdf5 files: a group `data` with one group for each demonstration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.assembly import (
    SINGLE_FLAG_NOTE,
    UNMARKED_NOTE,
    assemble_rows,
    column,
    flags,
    joined,
    numbers,
    require,
)
from irl_probe.demos.demonstrations import DemoError, Demonstrations

_DEMO = re.compile(r"demo_(\d+)")
_GYM = 2  # robomimic's EnvType.GYM_TYPE, whose env_name is a Gymnasium id
_BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)
EARLY_DONE_NOTE = (
    "'dones' also marks steps before the end (success): each episode ends at the first, and the rest was left out."
)

COPIED_NOTE = (
    "The next observation of each last step is a copy of its observation, as robomimic's conversion of D4RL writes it: "
    "it was not read as a successor."
)


def is_robomimic(path: Path) -> bool:
    """Whether the HDF5 file has robomimic's group of demonstrations."""
    try:
        with h5py.File(path, "r") as file:
            data = file.get("data")
            return isinstance(data, h5py.Group) and any(map(_DEMO.fullmatch, data))
    except _BROKEN:
        return False


def read_robomimic(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from robomimic's HDF5 layout (https://robomimic.github.io/docs/datasets/overview.html).

    `data/demo_<i>` has `actions` (T, k), `obs/<key>` (T, …) and, if known, `next_obs/<key>`, `rewards` and `dones`.
    The observation is all vectors of `obs`, by name one after the other; images are left out, and a note names both.
    `dones` marks success, the end of the demonstration, or both: an episode ends at its first mark, as a termination
    unless that is step `time_limit`. A demonstration without a mark was cut: a truncation.

    robomimic's `convert_d4rl.py` does not know the last successor of an episode and writes a copy of the observation in
    its place. Where each episode ends so, the last step of a truncated one is left out, and a note says so.

    Raises DemoError if the file is damaged, a demonstration lacks a key, or shapes differ.
    """
    where = str(path)
    try:
        with h5py.File(path, "r") as file:
            data = file["data"]
            found = {name: int(match[1]) for name in data if (match := _DEMO.fullmatch(name))}
            names = sorted(found, key=found.__getitem__)
            demos = [_demo(data[name], f"{where}, {name}") for name in names]
            environment = str(data.attrs.get("env_args", ""))
    except DemoError:
        raise
    except _BROKEN as error:
        raise DemoError(f"{where}: this is not a whole HDF5 file ({error}). Download it again.") from error
    keys = [set(demo) for demo in demos]
    if any(key != keys[0] for key in keys):
        odd = next(name for name, key in zip(names, keys, strict=True) if key != keys[0])
        raise DemoError(f"{where}: every demonstration must have the same keys; {names[0]} and {odd} differ.")
    return _assembled(where, demos, environment, time_limit)


def _assembled(where: str, demos: list[dict[str, Array]], environment: str, time_limit: int | None) -> Demonstrations:
    seen = sorted(name for name in demos[0] if name.startswith("obs/") and demos[0][name].ndim <= 2)
    if not seen:
        raise DemoError(f"{where}: there must be a vector among the observations; got {', '.join(sorted(demos[0]))}.")
    images = sorted(name for name in demos[0] if name.startswith("obs/") and demos[0][name].ndim > 2)
    notes = [f"The observation is {', '.join(name.removeprefix('obs/') for name in seen)}, one after the other."]
    if images:
        notes.append(f"Left out, because they are not vectors: {', '.join(i.removeprefix('obs/') for i in images)}.")
    marks: list[Bools] | None = None
    if "dones" in demos[0]:
        marks = [column(flags(demo["dones"], where, "dones"), where, "dones") for demo in demos]  # type: ignore[misc]  # column keeps flags
        if any(mark[:-1].any() for mark in marks):
            notes.append(EARLY_DONE_NOTE)
            ends = [int(np.argmax(mark)) + 1 if mark.any() else len(mark) for mark in marks]
            demos = [{name: rows[:end] for name, rows in demo.items()} for demo, end in zip(demos, ends, strict=True)]
            marks = [mark[:end] for mark, end in zip(marks, ends, strict=True)]
    lengths = np.array([len(demo["actions"]) for demo in demos], dtype=np.int64)
    terminated = np.array([mark[-1] for mark in marks]) if marks else np.zeros(len(demos), dtype=bool)
    terminated &= lengths != time_limit
    if marks is None:
        notes.append(UNMARKED_NOTE)
    elif terminated.any() and time_limit is None:
        notes.append(SINGLE_FLAG_NOTE)

    def rows(names: list[str], prefix: str = "obs/") -> Array:
        parts = [
            np.concatenate([_wide(demo[name.replace("obs/", prefix, 1)]) for name in names], axis=1) for demo in demos
        ]
        return joined(parts, where, prefix.rstrip("/"))

    observations, actions = rows(seen), joined([demo["actions"] for demo in demos], where, "actions")
    rewards = np.concatenate([demo["rewards"] for demo in demos]) if "rewards" in demos[0] else None
    env_id = _env_id(environment)
    followed = all(name.replace("obs/", "next_obs/", 1) in demos[0] for name in seen)
    following = rows(seen, "next_obs/") if followed else None
    if following is not None and _ends_are_copies(observations, following, lengths):
        following = None
        notes.append(COPIED_NOTE)
    return assemble_rows(
        where,
        observations=observations,
        next_observations=following,
        actions=actions,
        rewards=rewards,
        lengths=lengths,
        terminated=terminated,
        notes=notes,
        env_id=env_id,
    )


def _ends_are_copies(observations: Array, following: Array, lengths: Ints) -> bool:
    """Whether each episode's last successor is its own observation, and each other one that of the next row."""
    wanted = np.arange(len(observations)) + 1
    wanted[np.cumsum(lengths) - 1] -= 1
    return np.array_equal(following, observations[wanted])


def _wide(rows: Array) -> Array:
    return rows[:, None] if rows.ndim == 1 else rows


def _demo(group: Any, where: str) -> dict[str, Array]:
    """The arrays of one demonstration, by their names within it, each with one row a step."""
    require(where, group, ("actions", "obs"), "a demonstration of robomimic")
    known: dict[str, Any] = {name: group[name] for name in ("actions", "rewards", "dones") if name in group}
    for prefix in ("obs", "next_obs"):
        if prefix in group:
            part: Mapping[str, Any] = group[prefix]
            known |= {f"{prefix}/{key}": part[key] for key in part}
    steps = len(known["actions"])
    if steps < 1 or any(item.shape[:1] != (steps,) for item in known.values()):
        shapes = {name: item.shape for name, item in known.items()}
        raise DemoError(f"{where}: each key must have one row a step, at least one; the shapes are {shapes}.")
    images = [name for name, item in known.items() if item.ndim > 2]
    return {
        name: np.empty(item.shape[:1] + (0,) * (item.ndim - 1)) if name in images else numbers(item[()], where, name)
        for name, item in known.items()
    }


def _env_id(environment: str) -> str | None:
    """The Gymnasium id in `env_args`; the names of other simulators are not ids."""
    try:
        described = json.loads(environment)
    except (ValueError, RecursionError):
        return None
    known = isinstance(described, dict) and described.get("type") == _GYM
    return str(described["env_name"]) if known and "env_name" in described else None
