"""Gymnasium's environments and spaces: their types, and the one way to write a space as JSON and read it back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from irl_probe._words import brief, did_you_mean

Env = gymnasium.Env[Any, Any]
Space = gymnasium.Space[Any]

MOST_NUMBERS = 1 << 22  # in one observation or action, so that a short JSON cannot ask for a lot of memory
MOST_AXES = 8
_LONGEST = (1 << 63) - 1
_DTYPES = (
    *("float32", "float64", "float16"),
    *("uint8", "uint16", "uint32", "uint64"),
    *("int8", "int16", "int32", "int64", "bool"),
)
_NUMBER_OR_INFINITE: dict[str, Any] = {"type": ["number", "boolean", "string"], "pattern": "^-?inf$"}
_BOUND: dict[str, Any] = {"anyOf": [_NUMBER_OR_INFINITE, {"type": "array", "items": _NUMBER_OR_INFINITE}]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SPACE_SCHEMA: dict[str, Any] = {
    "description": "A Box (a bound is one number for all dimensions, or a flat list) or a Discrete space.",
    "oneOf": [
        _object(
            {
                "type": {"const": "Box"},
                "shape": {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": MOST_NUMBERS},
                    "maxItems": MOST_AXES,
                },
                "dtype": {"enum": list(_DTYPES)},
                "low": _BOUND,
                "high": _BOUND,
            }
        ),
        _object(
            {
                "type": {"const": "Discrete"},
                "n": {"type": "integer", "minimum": 1, "maximum": _LONGEST},
                "start": {"type": "integer", "minimum": -_LONGEST, "maximum": _LONGEST},
            }
        ),
    ],
}
"""The JSON Schema of what `space_to_json` writes."""


def space_to_json(space: Space) -> dict[str, Any]:
    """A Box or Discrete space in JSON's own types; `space_from_json` reads it back.

    A bound that is the same in every dimension is written once; an infinite one is "inf" or "-inf".

    Raises ValueError for any other space, and for one whose bounds JSON's numbers cannot hold exactly.
    """
    if isinstance(space, spaces.Discrete):
        content: dict[str, Any] = {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    elif isinstance(space, spaces.Box):
        content = {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _write_bounds(space.low),
            "high": _write_bounds(space.high),
        }
    else:
        raise ValueError(
            f"Only Box and Discrete spaces can be saved; got {space}. Wrap the environment so that it has one of "
            "those (gymnasium.wrappers.FlattenObservation)."
        )
    if space_from_json(content) != space:
        raise ValueError(f"The space {space} cannot be written as JSON exactly; use bounds that float64 can hold.")
    return content


def space_from_json(value: object) -> Space:
    """The space that `space_to_json` wrote; every field is checked before memory of that size is allocated.

    Raises ValueError that names the field where the value does not describe a space.
    """
    if not isinstance(value, Mapping) or (kind := value.get("type")) not in ("Box", "Discrete"):
        got = value.get("type") if isinstance(value, Mapping) else value
        raise ValueError(f"The type of a space must be 'Box' or 'Discrete'; got {brief(got)}.")
    if kind == "Discrete":
        _check_fields(value, ("type", "n", "start"))
        n = _whole(value["n"], "The number of values 'n' of a Discrete space", 1, _LONGEST)
        return spaces.Discrete(n, start=_whole(value["start"], "The 'start' of a Discrete space", -_LONGEST, _LONGEST))
    _check_fields(value, ("type", "shape", "dtype", "low", "high"))
    shape, name = value["shape"], value["dtype"]
    if not isinstance(shape, list | tuple) or len(shape) > MOST_AXES:
        raise ValueError(f"The 'shape' of a Box must be a list of at most {MOST_AXES} sizes; got {brief(shape)}.")
    sizes = tuple(_whole(size, "A size in the 'shape' of a Box", 0, MOST_NUMBERS) for size in shape)
    if math.prod(sizes) > MOST_NUMBERS:
        raise ValueError(f"A Box must have at most {MOST_NUMBERS} dimensions; got the shape {sizes}.")
    if not isinstance(name, str) or name not in _DTYPES:
        raise ValueError(f"The 'dtype' of a Box must be {' or '.join(map(repr, _DTYPES))}; got {brief(name)}.")
    dtype = np.dtype(name)
    low, high = (_read_bounds(value[bound], sizes, dtype, bound) for bound in ("low", "high"))
    if not (low <= high).all():
        raise ValueError("A Box must have low ≤ high in every dimension.")
    return spaces.Box(low, high, sizes, dtype.type)


def _check_fields(value: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in value:
            raise ValueError(f"A {value['type']} space must have the field '{name}'; it is missing.")
    for name in sorted(value.keys() - set(names)):
        raise ValueError(f"A {value['type']} space has the unexpected field {brief(name)}.{did_you_mean(name, names)}")


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be whole, from {least} to {most}; got {brief(value)}.")
    return value


def _write_bounds(bounds: NDArray[Any]) -> Any:
    values = [_write_bound(value) for value in bounds.ravel().tolist()]
    return values[0] if len(set(values)) == 1 else values


def _write_bound(value: float) -> str | float:
    """A bound in JSON's types: an infinite one as a string; an integer that float64 cannot hold stays an integer."""
    if math.isinf(value):
        return str(value)
    return float(value) if float(value) == value else value


def _read_bounds(value: object, shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    parts = value if isinstance(value, list) else [value]
    numbers = [_bound(part, dtype) for part in parts]
    if (isinstance(value, list) and len(parts) != math.prod(shape)) or None in numbers:
        raise ValueError(
            f"'{name}' of a Box must be one number (or 'inf', '-inf'), or a flat list of one for each of the "
            f"{math.prod(shape)} dimensions."
        )
    bounds = [number for number in numbers if number is not None]  # none is left out: the check is above
    least, most = _range(dtype)
    infinite_fits = dtype.kind == "f"
    outside = [n for n in bounds if not least <= n <= most and not (infinite_fits and abs(n) == math.inf)]
    if outside:
        raise ValueError(f"'{name}' of a Box of {dtype} must be within its range; got {brief(outside[0])}.")
    array = np.array(bounds, dtype)
    if array.tolist() != bounds:
        raise ValueError(f"'{name}' of a Box must be exact in its type {dtype}; it is not.")
    return array.reshape(shape) if isinstance(value, list) else np.full(shape, array[0])


def _bound(part: object, dtype: np.dtype[Any]) -> int | float | None:
    """A bound as a number, or None where it is not one."""
    if isinstance(part, str):
        return {"inf": math.inf, "-inf": -math.inf}.get(part)
    if isinstance(part, bool) and dtype.kind != "b":
        return None
    return part if isinstance(part, int | float) else None


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and greatest finite bound of a type."""
    if dtype.kind == "b":
        return 0, 1
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    least, most = np.array([limits.min, limits.max], dtype).tolist()
    return least, most
