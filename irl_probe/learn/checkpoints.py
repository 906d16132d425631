"""Checkpoints: written whole or not at all, read without executing anything."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from irl_probe.learn.errors import CheckpointError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a file that takes the place of `path` once it is whole and on the disk.

    Whoever reads meanwhile, or after a crash, finds the old content or the new one.

    Raises CheckpointError where the disk is full or not writable; the old content is intact then.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a failed write as RuntimeError
        part.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path} could not be written ({error}); what it held before is intact. "
            "Make room on the disk, check the rights to the folder, and resume the run."
        ) from error


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain containers atomically."""
    write_atomically(path, lambda file: torch.save(state, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; only tensors and plain containers are admitted.

    Raises CheckpointError where the file is absent, truncated or holds anything else.
    """
    try:
        state = torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"There must be a checkpoint at {path}; found none. Train with out= first.") from error
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"The checkpoint {path} must be a whole file written by this library; it cannot be read "
            f"({type(error).__name__}). Start the run anew."
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"The checkpoint {path} must hold a dictionary; it holds a {type(state).__name__}.")
    return state
