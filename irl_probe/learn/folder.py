"""The folder of a run: checkpoints (written whole or not at all, read without running code), its lock, its errors."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from irl_probe._files import only_process_in, whole_file

TOLERANCE = 1e-4  # of computed numbers, relative to the largest in their list: machines round differently


class CheckpointError(ValueError):
    """A run folder that cannot be written, or does not hold what it should."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite, or Q is far too large."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM stopped the run; where it has a folder, it can be resumed."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file, which replaces `path` once it is complete and on the disk.

    A reader finds the old content or the new one, at any moment and after a crash.

    Raises CheckpointError where the disk is full or not writable; the old content is intact then.
    """
    try:
        with whole_file(path) as fresh, fresh.open("wb") as file:
            write(file)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        raise CheckpointError(
            f"{path} could not be written ({error}); what it held before is intact. "
            "Make room on the disk, check the rights to the folder, and resume the run."
        ) from error


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain containers atomically."""
    import torch  # heavy, and the errors above must be importable without it

    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; only tensors and plain containers are accepted.

    Raises CheckpointError where the file is absent, truncated or holds anything else.
    """
    import torch

    try:
        state = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"There must be a checkpoint at {path}; found none. Train with out= first.") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"The checkpoint {path} must be a whole file written by this library; it cannot be read "
            f"({type(error).__name__}). Start the run again."
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"The checkpoint {path} must hold a dictionary; it holds a {type(state).__name__}.")
    return state


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock for the block. Raises CheckpointError if another process holds it."""
    try:
        with only_process_in(folder):
            yield
    except BlockingIOError as error:
        raise CheckpointError(
            f"One process at a time can train in a folder, and {error}. Wait for it, stop it, or name another folder."
        ) from error


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two records of plain values, in words; nested settings have dotted names.

    An option that only one of the two has counts as 0, off or None in the other. Floats in lists of equal length are
    compared up to `TOLERANCE`.
    """
    old, new = _flat(before), _flat(now)
    return [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if not _alike(old.get(name), new.get(name))
        and ((name in old and name in new) or old.get(name) or new.get(name))
    ]


def _alike(before: object, now: object) -> bool:
    if before == now:
        return True
    if not (isinstance(before, list) and isinstance(now, list) and len(before) == len(now)):
        return False
    if not all(isinstance(value, float) for value in (*before, *now)):
        return False
    return bool(np.allclose(before, now, rtol=0, atol=TOLERANCE * np.abs(now).max()))


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": each for key, each in _flat(value).items()}
        else:
            flat[name] = value
    return flat
