"""Reading JSON from strangers: every field is asked for by name and type, and nothing else may be there."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping

import numpy as np

from irl_probe.rewards.errors import RewardError

MAX_DEPTH = 16

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


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


def canonical(value: Mapping[str, object]) -> bytes:
    """JSON with sorted names, an indent of one and no choice left: the same content is the same bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def plain(value: object, where: str, depth: int = 0) -> Json:
    """`value` in JSON's own types; NumPy's numbers, tuples and mappings are turned into them.

    Raises RewardError unless it is made of finite numbers, texts, truth values, None, lists and mappings by name.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if depth > MAX_DEPTH:
        raise RewardError(f"{where} must not be nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, Mapping):
        absurd = [name for name in value if not isinstance(name, str)]
        if absurd:
            raise RewardError(f"Names in {where} must be texts; got {absurd[0]!r}.")
        return {name: plain(part, f"{where}.{name}", depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part, f"{where}[{index}]", depth + 1) for index, part in enumerate(value)]
    if value is None or isinstance(value, str | bool):
        return value
    if not isinstance(value, int | float):
        raise RewardError(f"{where} must be a number, text, list or mapping; got {type(value).__name__}.")
    if not -1e308 < value < 1e308:
        raise RewardError(f"{where} must be a finite number; got {_brief(value)}. Use None and say why beside it.")
    return value


class Fields:
    """One JSON object, read field by field; `finish` refuses what was not asked for."""

    def __init__(self, content: Mapping[str, Json], where: str) -> None:
        self._content, self._where, self._asked = content, where, set[str]()

    def value(self, name: str) -> Json:
        """The field as it is. Raises RewardError where it is missing."""
        self._asked.add(name)
        if name not in self._content:
            raise RewardError(f"{self._where} must have the field '{name}'; it is missing.")
        return self._content[name]

    def text(self, name: str, among: tuple[str, ...] | None = None) -> str:
        """A text, one of `among` if given."""
        value = self.value(name)
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        if among is not None and value not in among:
            raise self._wrong(name, " or ".join(map(repr, among)), value)
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        """An integer in [least, most]."""
        return self._integer(name, self.value(name), least, most)

    def optional_integer(self, name: str, least: int, most: int) -> int | None:
        """An integer in [least, most], or null."""
        value = self.value(name)
        return None if value is None else self._integer(name, value, least, most)

    def integers(self, name: str, least: int, most: int, *, length: int) -> tuple[int, ...]:
        """At most `length` integers in [least, most]."""
        return tuple(self._integer(name, part, least, most) for part in self._list(name, self.value(name), length))

    def number(self, name: str) -> float:
        """A finite number."""
        return self._number(name, self.value(name))

    def optional_numbers(self, name: str, *, length: int) -> tuple[float, ...] | None:
        """At most `length` finite numbers, or null."""
        value = self.value(name)
        return None if value is None else tuple(self._number(name, part) for part in self._list(name, value, length))

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def mapping(self, name: str) -> dict[str, Json]:
        """An object, as it is."""
        value = self.value(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return value

    def inner(self, name: str) -> Fields:
        """An object, to be read field by field."""
        return Fields(self.mapping(name), f"{self._where}.{name}")

    def finish(self) -> None:
        """Raise RewardError where a field is left that nobody asked for."""
        for name in sorted(self._content.keys() - self._asked):
            near = difflib.get_close_matches(name, self._asked, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise RewardError(f"{self._where} has the unexpected field {_brief(name)}.{hint}")

    def _integer(self, name: str, value: Json, least: int, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"whole, from {least} to {most}", value)
        return value

    def _number(self, name: str, value: Json) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._wrong(name, "a finite number", value)
        return float(value)

    def _list(self, name: str, value: Json, length: int) -> list[Json]:
        if not isinstance(value, list) or len(value) > length:
            raise self._wrong(name, f"a list of at most {length}", value)
        return value

    def _wrong(self, name: str, wanted: str, value: Json) -> RewardError:
        return RewardError(f"The field '{name}' of {self._where} must be {wanted}; got {_brief(value)}.")


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return content


def _not_a_number(token: str) -> float:
    raise ValueError(f"{token} is not a number")
