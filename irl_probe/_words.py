"""Wording that messages and pages share: near misses, lists, counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def did_you_mean(given: object, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> str:
    """A hint to add to a message, such as " Did you mean 'a' or 'b'?"; "" if no known name is near. Case is ignored.

    Args:
        given: what was given in place of a known name.
        known: the valid names.
        most: how many names to suggest.
        cutoff: how near a name must be, from 0 to 1 (`difflib.get_close_matches`).

    >>> "No divergence is called 'chi'." + did_you_mean("chi", ["chi2", "kl"])
    "No divergence is called 'chi'. Did you mean 'chi2'?"
    """
    near = nearest(given, known, most=most, cutoff=cutoff)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def nearest(given: object, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that are near to what was given, the nearest first; arguments as in `did_you_mean`."""
    lowered = {name.lower(): name for name in known}
    return [lowered[name] for name in get_close_matches(str(given).lower(), lowered, n=most, cutoff=cutoff)]


def listed(items: Sequence[str]) -> str:
    """The items as a list in a sentence.

    >>> listed(["EPIC"]), listed(["EPIC", "DARD"]), listed(["EPIC", "DARD", "ERC"])
    ('EPIC', 'EPIC and DARD', 'EPIC, DARD and ERC')
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def counted(count: int, one: str, many: str) -> str:
    """A count in words.

    >>> counted(0, "seed", "seeds"), counted(1, "seed", "seeds"), counted(3, "seed", "seeds")
    ('no seeds', 'one seed', '3 seeds')
    """
    return f"one {one}" if count == 1 else f"{count or 'no'} {many}"


def brief(value: object) -> str:
    """`repr` of a value, cut to 60 characters."""
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}..."
