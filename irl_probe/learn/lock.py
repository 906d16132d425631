"""One process at a time in a run's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from irl_probe.learn.errors import CheckpointError


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder itself, which leaves nothing in it; the lock ends with the block, or with the process.

    Nothing is locked where folders cannot be opened (Windows), where the file system has no locks, and where there is
    no such folder.

    Raises CheckpointError where somebody else holds the lock.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    import fcntl  # Windows has none, and never comes here

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CheckpointError(
            f"One process at a time can train in a folder, and another process is at work in {folder}. "
            "Wait for it, stop it, or name another folder."
        ) from error
    except OSError:  # a file system without locks
        return
