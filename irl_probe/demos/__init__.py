"""Demonstrations: load them (`demos.readers` has one file for each format), record, save, and check them."""

from irl_probe.demos.checking import check_demos
from irl_probe.demos.demonstrations import DemoDescription, DemoError, Demonstrations, Spread, WholeEpisodes
from irl_probe.demos.loading import bundled_demos, load_demos
from irl_probe.demos.recording import record_demos
from irl_probe.demos.saving import save_demos

__all__ = [
    "DemoDescription",
    "DemoError",
    "Demonstrations",
    "Spread",
    "WholeEpisodes",
    "bundled_demos",
    "check_demos",
    "load_demos",
    "record_demos",
    "save_demos",
]
