"""Ctrl-C and SIGTERM: a run that is told to stop finishes its step, writes a checkpoint and says how to go on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from irl_probe.learn.folder import TrainingInterrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """Notes the first signal, so that a step can finish; a second one acts at once.

    Attributes:
        came: whether a signal came.
        at_once: whether a signal raises at once, where there is nothing to finish.
    """

    came: bool = False
    at_once: bool = False

    def note(self, number: int, frame: Any) -> None:
        """Handle a signal. Raises TrainingInterrupted with `at_once`, and KeyboardInterrupt for a second signal."""
        if self.came and not self.at_once:
            raise KeyboardInterrupt
        self.came = True
        if self.at_once:
            raise TrainingInterrupted

    @contextmanager
    def acts_at_once(self) -> Iterator[None]:
        """Let a signal stop the block at once, also one that came before it."""
        self.at_once = True
        try:
            if self.came:
                raise TrainingInterrupted
            yield
        finally:
            self.at_once = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Take SIGINT and SIGTERM for the block; yields what says whether one came.

    Only the main thread may do so. In any other one signals act as they did.
    """
    stop = Stop()
    before: dict[signal.Signals, Any] = {}
    try:
        for number in SIGNALS:
            before[number] = signal.signal(number, stop.note)
    except ValueError:  # not the main thread
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
