"""Gymnasium's Box and Discrete spaces as JSON, exactly."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from irl_probe.demos.demonstrations import Space
from irl_probe.demos.errors import DemoError


def space_to_json(space: Space | None) -> dict[str, object] | None:
    """The space as plain values; a bound that is the same everywhere is written once. DemoError for other spaces."""
    if space is None:
        return None
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Box):
        bounds = {
            name: values.flat[0].item() if values.size and (values == values.flat[0]).all() else values.ravel().tolist()
            for name, values in (("low", space.low), ("high", space.high))
        }
        return {"type": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    raise DemoError(
        f"Demonstrations hold Box and Discrete spaces; got {space}. Wrap the environment so that it has one of those "
        "(gymnasium.wrappers.FlattenObservation)."
    )


def space_from_json(value: object) -> Space | None:
    """The space that `space_to_json` wrote. Raises DemoError where the values do not describe one."""
    if value is None:
        return None
    try:
        match value:
            case {"type": "Discrete", "n": int(n), "start": int(start)}:
                return spaces.Discrete(n, start=start)
            case {"type": "Box", "shape": list(shape), "dtype": str(dtype), "low": low, "high": high}:
                sides, kind = tuple(int(n) for n in shape), np.dtype(dtype)
                low, high = (
                    np.full(sides, b, kind) if not isinstance(b, list) else np.array(b, kind).reshape(sides)
                    for b in (low, high)
                )
                return spaces.Box(low, high, sides, kind.type)
    except (ValueError, TypeError, AssertionError, OverflowError, MemoryError) as error:
        raise DemoError(f"The metadata describes a space that cannot be: {value!r} ({error}).") from error
    raise DemoError(f"The metadata must describe a Box or a Discrete space; got {value!r}.")
