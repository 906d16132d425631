"""The one exception of this room."""

from __future__ import annotations


class RewardError(ValueError):
    """A reward that cannot be recovered, evaluated, saved, loaded or used; the message says what to do."""
