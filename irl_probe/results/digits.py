"""Numbers as text, the same in tables, sentences and warnings."""

from __future__ import annotations

MINUS = "−"


def fixed(value: float, digits: int = 2, *, grouped: bool = False) -> str:
    """So many decimals, with a true minus sign, and none before what rounds to 0."""
    text = f"{value:{',' if grouped else ''}.{digits}f}"
    return (text[1:] if text.startswith("-") and not text.strip("-0.") else text).replace("-", MINUS)
