"""Records of what something was made from, compared before it is taken for what is asked for now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # of numbers that were computed, relative to the largest beside them: machines round differently


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two records of plain values, in words; settings within settings by dotted names.

    An option that one of the two does not know counts as 0, off or None. Fractions in a list are alike within
    `TOLERANCE`.
    """
    old, new = _flat(before), _flat(now)
    return [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if not _alike(old.get(name), new.get(name))
        and ((name in old and name in new) or old.get(name) or new.get(name))
    ]


def _alike(before: object, now: object) -> bool:
    if before == now:
        return True
    if not (isinstance(before, list) and isinstance(now, list) and len(before) == len(now)):
        return False
    if not all(isinstance(value, float) for value in (*before, *now)):
        return False
    return bool(np.allclose(before, now, rtol=0, atol=TOLERANCE * np.abs(now).max()))


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = {f"{name}.{key}": each for key, each in _flat(value).items()} if isinstance(value, Mapping) else None
        flat |= {name: value} if inner is None else inner
    return flat
