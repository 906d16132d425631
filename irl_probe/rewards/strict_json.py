"""Strict JSON: finite numbers, unique names, checked by pydantic; each error is one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from inspect import isclass
from typing import Any, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from irl_probe._words import brief, did_you_mean
from irl_probe.rewards.protocol import RewardError

MOST_DEPTH = 16

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def canonical(value: Mapping[str, object]) -> bytes:
    """JSON with sorted names and an indent of one: the same content always gives the same bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def parse(data: bytes, where: str) -> dict[str, Json]:
    """The JSON object in `data`. Raises RewardError for anything but one object of finite numbers and unique names."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise RewardError(f"{where} must be valid JSON; {error}. The file is damaged: fetch it again.") from error
    if not isinstance(value, dict):
        raise RewardError(f"{where} must be one JSON object; got {type(value).__name__}.")
    plain(value, where)
    return value


def plain(value: object, where: str, depth: int = 0) -> Json:
    """`value` in JSON's own types; NumPy's numbers, tuples and mappings are turned into them.

    Raises RewardError unless it consists of finite numbers, strings, booleans, None, lists and mappings by string.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if depth > MOST_DEPTH:
        raise RewardError(f"{where} must not be nested deeper than {MOST_DEPTH} levels.")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise RewardError(f"Names in {where} must be strings; got {name!r}.")
        return {name: plain(part, f"{where}.{name}", depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, f"{where}[{index}]", depth + 1) for index, part in enumerate(value)]
    if value is None or isinstance(value, str | bool):
        return value
    if not isinstance(value, int | float):
        raise RewardError(f"{where} must be a number, string, list or mapping; got {type(value).__name__}.")
    if not -1e308 < value < 1e308:
        raise RewardError(f"{where} must be a finite number; got {brief(value)}. Use None and say why beside it.")
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name appears twice in one object")
    return content


def _not_a_number(token: str) -> float:
    raise ValueError(f"{token} is not a number")


class Part(BaseModel):
    """An object in reward.json: exact types, finite numbers, and no field that is not declared."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


AnyPart = TypeVar("AnyPart", bound=Part)


def validated(model: type[AnyPart], content: Mapping[str, object], where: str) -> AnyPart:
    """`content` as a `model`. Raises RewardError that names the first field that is wrong; `where` names the file."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise RewardError(_sentence(error, model, content, where)) from None  # pydantic's text is for programmers


def _sentence(error: ValidationError, model: type[Part], content: Mapping[str, object], where: str) -> str:
    """The first thing that pydantic found wrong: the field, what must hold, what was given."""
    found: list[Any] = error.errors(include_url=False)
    kind, location, given, facts = (found[0].get(key) for key in ("type", "loc", "input", "ctx"))
    path = _path(location, content, absent=kind == "missing")
    if kind == "value_error":  # a rule of the schema's own, whose message says all but perhaps where
        said = str(facts["error"])
        return said if where in said or len(path) < 2 else f"{'.'.join([where, *path])}: {said}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = facts["discriminator"].strip("'")
        path.append(tag)
        kind, given = ("missing", None) if tag not in given else (kind, given[tag])
    *parents, name = path
    place = ".".join([where, *parents])
    if kind == "missing":
        return f"{place} must have the field '{name}'; it is missing."
    if kind == "extra_forbidden":
        return f"{place} has the unexpected field {brief(name)}.{did_you_mean(name, dict(_fields_at(model, location)))}"
    limits = _limits(model, location)
    if kind == "union_tag_invalid":
        wanted = [_wanted(kind, facts, limits)]
    else:  # one for each type that the field may have
        same = [one for one in found if _path(one["loc"], content) == path]
        wanted = [_wanted(one["type"], one.get("ctx", {}), limits) for one in same]
    return f"The field '{name}' of {place} must be {' or '.join(dict.fromkeys(wanted))}; got {brief(given)}."


def _path(location: tuple[str | int, ...], content: object, *, absent: bool = False) -> list[str]:
    """The names of the fields that lead to a place, without positions in lists and pydantic's names of alternatives.

    `absent` says that the last one is a missing field.
    """
    path: list[str] = []
    for depth, step in enumerate(location):
        if isinstance(content, Mapping) and step in content:
            path.append(str(step))
            content = content[step]
        elif isinstance(content, list) and isinstance(step, int):
            content = content[step]
        elif absent and depth == len(location) - 1:
            path.append(str(step))
    return path


def _wanted(kind: str, facts: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    """What must hold, in words, for each kind of error that pydantic can find with the schema, with both bounds."""
    match kind:
        case "int_type" | "int_from_float" | "greater_than_equal" | "less_than_equal" if {"ge", "le"} <= limits.keys():
            return f"{'' if limits['real'] else 'whole, '}from {limits['ge']} to {limits['le']}"
        case "literal_error":
            return str(facts["expected"])
        case "union_tag_invalid":
            return " or ".join(facts["expected_tags"].rsplit(", ", 1))
        case "bool_type":
            return "true or false"
        case "int_type" | "int_from_float":
            return "a whole number"
        case "float_type" | "finite_number":
            return "a finite number"
        case "string_type" | "string_unicode":
            return "a string"
        case "string_pattern_mismatch":
            return f"a string of the pattern {facts['pattern']}"
        case "greater_than_equal":
            return f"at least {facts['ge']}"
        case "less_than_equal":
            return f"at most {facts['le']}"
        case "greater_than":
            return f"greater than {facts['gt']}"
        case "tuple_type" | "list_type" | "too_long":
            return f"a list of at most {limits['max_length']}" if "max_length" in limits else "a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "an object"
    return "of another type"


def _limits(model: type[Part], location: tuple[str | int, ...]) -> dict[str, Any]:
    """The bounds of the field at this place: `ge`, `le`, `max_length` if it has them; `real` if it may be a float."""
    for end in range(len(location), 0, -1):  # positions in lists and names of alternatives come after the field
        for name, field in _fields_at(model, location[:end]):
            if name == location[end - 1]:
                inside = [field.annotation, *field.metadata, *_all_in(field.annotation)]
                rules = [rule for part in inside for rule in (part, *getattr(part, "metadata", ()))]
                names = ("ge", "le", "max_length")
                found = {key: getattr(rule, key) for rule in rules for key in names if hasattr(rule, key)}
                return found | {"real": float in inside}
    return {}


def _fields_at(model: type[Part], location: tuple[str | int, ...]) -> list[tuple[str, Any]]:
    """The fields, by name, that the part at this place has."""
    parts = [model]
    for step in location[:-1]:
        inner = [field.annotation for part in parts for name, field in _named(part) if name == step]
        if inner:
            parts = [part for annotation in inner for part in _parts_in(annotation)]
        elif isinstance(step, str):  # the alternative of this tag
            parts = [p for p in parts if any(step in get_args(field.annotation) for _, field in _named(p))]
    return [pair for part in parts for pair in _named(part)]


def _named(part: type[Part]) -> Iterator[tuple[str, Any]]:
    for name, field in part.model_fields.items():
        yield field.alias or name, field


def _parts_in(annotation: Any) -> Iterator[type[Part]]:
    """The parts that an annotation allows, such as both of `A | B`."""
    for inner in (annotation, *_all_in(annotation)):
        if isclass(inner) and issubclass(inner, Part):
            yield inner


def _all_in(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of, at every depth."""
    for inner in get_args(annotation):
        yield inner
        yield from _all_in(inner)
