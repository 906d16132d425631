"""The one exception of this room."""

from __future__ import annotations


class DemoError(ValueError):
    """Demonstrations that cannot be read, saved, recorded or used; the message says what to do."""
