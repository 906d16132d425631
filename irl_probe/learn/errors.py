"""What can stop a run."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A run folder that cannot be written, or does not hold what it should."""


class TrainingDiverged(RuntimeError):
    """The loss is no longer finite or Q has exploded."""


class TrainingInterrupted(KeyboardInterrupt):
    """SIGINT came; the run is checkpointed where it has a folder."""
