"""Files that are written whole or not at all, and one process at a time in a folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

LOCK = ".lock"  # the file in a folder that a process holds while it works there


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; when the block ends without an error, the file there replaces `path`.

    The content is on the disk (fsync) before the file gets its name. So a reader finds the old content or the new one,
    at any moment and after a crash. If the block raises, `path` is unchanged. Missing parent folders are made.

    Raises OSError where the disk is full or not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as scratch:
        fresh = Path(scratch, path.name)
        yield fresh
        sync(fresh)
        fresh.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Ask the system to put a file or folder on the disk; Windows cannot do this for a folder."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, the file `.lock` in it; the lock ends with the block or with the process.

    A folder that does not exist, or is on a file system without locks, is not locked.

    Raises BlockingIOError if another process, or another block in this one, holds the lock.
    """
    if not folder.is_dir():
        yield
        return
    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise BlockingIOError(f"another process is at work in {folder}") from error
    except NotImplementedError:  # the file system has no locks
        yield
        return
    try:
        yield
    finally:
        lock.release()
