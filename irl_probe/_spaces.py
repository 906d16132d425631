"""Gymnasium's environments and spaces: their types, and the one way to write a space as JSON and read it back."""

from __future__ import annotations

import math
from collections import OrderedDict
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
MOST_DEPTH = 2  # levels of parts: a Dict or Tuple of Dicts or Tuples
MOST_PARTS = 256
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


_SHAPE: dict[str, Any] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": MOST_NUMBERS},
    "maxItems": MOST_AXES,
}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": _LONGEST}
_START: dict[str, Any] = {"type": "integer", "minimum": -_LONGEST, "maximum": _LONGEST}


def _some(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


_PARTS = _some({"type": "object", "required": ["type"]}, MOST_PARTS)  # each a space of this schema again
SPACE_SCHEMA: dict[str, Any] = {
    "description": "A Box (a bound is one number for all dimensions, or a flat list), Discrete, MultiDiscrete or "
    "MultiBinary space (its numbers in a flat list), or a Dict or Tuple of such spaces in their flat order.",
    "oneOf": [
        _object(
            {
                "type": {"const": "Box"},
                "shape": _SHAPE,
                "dtype": {"enum": list(_DTYPES)},
                "low": _BOUND,
                "high": _BOUND,
            }
        ),
        _object({"type": {"const": "Discrete"}, "n": _COUNT, "start": _START}),
        _object(
            {
                "type": {"const": "MultiDiscrete"},
                "shape": _SHAPE,
                "dtype": {"enum": [name for name in _DTYPES if "int" in name]},
                "nvec": _some(_COUNT, MOST_NUMBERS),
                "start": _some(_START, MOST_NUMBERS),
            }
        ),
        _object({"type": {"const": "MultiBinary"}, "n": {"anyOf": [_COUNT, _some(_COUNT, MOST_AXES)]}}),
        _object({"type": {"const": "Dict"}, "names": _some({"type": "string"}, MOST_PARTS), "spaces": _PARTS}),
        _object({"type": {"const": "Tuple"}, "spaces": _PARTS}),
    ],
}
"""The JSON Schema of what `space_to_json` writes."""


def space_to_json(space: Space) -> dict[str, Any]:
    """A Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple space in JSON's own types; `space_from_json` reads it.

    A bound that is the same in every dimension is written once; an infinite one is "inf" or "-inf".

    Raises ValueError for any other space, for one whose bounds JSON's numbers cannot hold exactly, and for one that
    `space_from_json` would not read: with more than 2 levels of parts, or parts with other names than strings.
    """
    content = _write(space)
    if space_from_json(content) != space:
        raise ValueError(f"The space {space} cannot be written as JSON exactly; use bounds that float64 can hold.")
    return content


def _write(space: Space) -> dict[str, Any]:
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _write_bounds(space.low),
            "high": _write_bounds(space.high),
        }
    if isinstance(space, spaces.MultiDiscrete):
        return {
            "type": "MultiDiscrete",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "nvec": np.asarray(space.nvec).ravel().tolist(),
            "start": np.asarray(space.start).ravel().tolist(),
        }
    if isinstance(space, spaces.MultiBinary):
        sizes = list(space.shape)
        return {"type": "MultiBinary", "n": sizes[0] if isinstance(space.n, int | np.integer) else sizes}
    if isinstance(space, spaces.Dict):
        return {
            "type": "Dict",
            "names": list(space.spaces),
            "spaces": [_write(part) for part in space.spaces.values()],
        }
    if isinstance(space, spaces.Tuple):
        return {"type": "Tuple", "spaces": [_write(part) for part in space.spaces]}
    raise ValueError(
        "Only Box, Discrete, MultiDiscrete, MultiBinary, Dict and Tuple spaces can be saved; got "
        f"{' '.join(str(space).split())}. Wrap the environment so that it has one of those "
        "(gymnasium.wrappers.TransformObservation, TransformAction)."
    )


def space_from_json(value: object) -> Space:
    """The space that `space_to_json` wrote; every field is checked before memory of that size is allocated.

    Raises ValueError that names the field where the value does not describe a space.
    """
    space, _ = _read(value, MOST_DEPTH, MOST_NUMBERS)
    return space


def _read(value: object, depth: int, left: int) -> tuple[Space, int]:
    """The space, which may hold `depth` levels of parts and `left` numbers, and how many numbers are left then."""
    kinds = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")
    if not isinstance(value, Mapping) or (kind := value.get("type")) not in kinds:
        got = value.get("type") if isinstance(value, Mapping) else value
        raise ValueError(f"The type of a space must be {' or '.join(map(repr, kinds))}; got {brief(got)}.")
    if kind in ("Dict", "Tuple"):
        return _read_parts(value, depth, left)
    if kind == "Discrete":
        _check_fields(value, ("type", "n", "start"))
        n = _whole(value["n"], "The number of values 'n' of a Discrete space", 1, _LONGEST)
        start = _whole(value["start"], "The 'start' of a Discrete space", -_LONGEST, _LONGEST)
        return spaces.Discrete(n, start=start), left - 1
    if kind == "MultiBinary":
        _check_fields(value, ("type", "n"))
        n = value["n"]
        sizes = _read_shape({"shape": n if isinstance(n, list | tuple) else [n]}, kind, left)
        if not sizes or 0 in sizes:
            raise ValueError(f"'n' of a {kind} must be a size of at least 1, or a list of such; got {brief(n)}.")
        return spaces.MultiBinary(sizes if isinstance(n, list | tuple) else sizes[0]), left - math.prod(sizes)
    if kind == "MultiDiscrete":
        return _read_multi_discrete(value, left)
    _check_fields(value, ("type", "shape", "dtype", "low", "high"))
    sizes, dtype = _read_shape(value, "Box", left), _read_dtype(value, "Box", _DTYPES)
    low, high = (_read_bounds(value[bound], sizes, dtype, bound) for bound in ("low", "high"))
    if not (low <= high).all():
        raise ValueError("A Box must have low ≤ high in every dimension.")
    return spaces.Box(low, high, sizes, dtype.type), left - math.prod(sizes)


def _read_parts(value: Mapping[str, Any], depth: int, left: int) -> tuple[Space, int]:
    """A Dict or Tuple space."""
    kind = value["type"]
    _check_fields(value, ("type", "names", "spaces") if kind == "Dict" else ("type", "spaces"))
    given = value["spaces"]
    if not depth:
        raise ValueError(f"Dict and Tuple spaces may hold at most {MOST_DEPTH} levels of parts; got more.")
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= MOST_PARTS:
        raise ValueError(f"The 'spaces' of a {kind} must be a list of 1 to {MOST_PARTS} spaces; got {brief(given)}.")
    parts: list[Space] = []
    for each in given:
        part, left = _read(each, depth - 1, left)
        parts.append(part)
    if kind == "Tuple":
        return spaces.Tuple(tuple(parts)), left
    names = value["names"]
    if (
        not isinstance(names, list | tuple)
        or len(names) != len(parts)
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise ValueError(
            f"The 'names' of a Dict must be {len(parts)} different strings, one for each space; got {brief(names)}."
        )
    return spaces.Dict(OrderedDict(zip(names, parts, strict=True))), left


def _read_multi_discrete(value: Mapping[str, Any], left: int) -> tuple[Space, int]:
    kind = "MultiDiscrete"
    _check_fields(value, ("type", "shape", "dtype", "nvec", "start"))
    sizes = _read_shape(value, kind, left)
    dtype = _read_dtype(value, kind, tuple(name for name in _DTYPES if "int" in name))
    columns = []
    for name, least, most in (("nvec", 1, _LONGEST), ("start", -_LONGEST, _LONGEST)):
        numbers = value[name]
        if not isinstance(numbers, list | tuple) or len(numbers) != math.prod(sizes) or not numbers:
            raise ValueError(
                f"'{name}' of a {kind} must be a flat list of {math.prod(sizes)} whole numbers, at least one; got "
                f"{brief(numbers)}."
            )
        columns.append([_whole(number, f"A number in '{name}' of a {kind}", least, most) for number in numbers])
    bottom, top = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if any(start < bottom or start + n - 1 > top for n, start in zip(*columns, strict=True)):
        raise ValueError(f"The values of a {kind} of {dtype} must be within its range.")
    nvec, start = (np.array(column, dtype).reshape(sizes) for column in columns)
    return spaces.MultiDiscrete(nvec, dtype.type, start=start), left - math.prod(sizes)


def _read_shape(value: Mapping[str, Any], kind: str, left: int) -> tuple[int, ...]:
    shape = value["shape"]
    if not isinstance(shape, list | tuple) or len(shape) > MOST_AXES:
        raise ValueError(f"The 'shape' of a {kind} must be a list of at most {MOST_AXES} sizes; got {brief(shape)}.")
    sizes = tuple(_whole(size, f"A size in the 'shape' of a {kind}", 0, MOST_NUMBERS) for size in shape)
    if math.prod(sizes) > left:
        raise ValueError(f"A {kind} must have at most {left} dimensions; got the shape {sizes}.")
    return sizes


def _read_dtype(value: Mapping[str, Any], kind: str, names: tuple[str, ...]) -> np.dtype[Any]:
    name = value["dtype"]
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"The 'dtype' of a {kind} must be {' or '.join(map(repr, names))}; got {brief(name)}.")
    return np.dtype(name)


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
