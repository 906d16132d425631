"""What all configs share: unknown names and values of another type are refused in words."""

from __future__ import annotations

import reprlib
from dataclasses import fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from irl_probe._words import did_you_mean

_WORDS: dict[Any, str] = {
    int: "a whole number (such as 10)",
    float: "a number (such as 0.5)",
    bool: "True or False",
    str: "a text",
    NoneType: "None",
    tuple[int, ...]: "a tuple of whole numbers (such as (64, 32))",
    tuple[float, float]: "a pair of numbers (such as (1.0, 0.0))",
}


class Config:
    """The base of the frozen config dataclasses; one with a `__post_init__` of its own calls this one first.

    Lists and ranges become tuples and NumPy's numbers Python's, so that a config is the same read back from JSON.

    Raises ValueError, naming the field, for a name that the config does not have (the near miss is suggested), for an
    option that is none of its Literal's, and for a value of another type than the field's.
    """

    def __new__(cls, *args: Any, **values: Any) -> Self:
        known = [f.name for f in fields(cls)]  # type: ignore[arg-type]  # every subclass is a dataclass
        for key in values:
            if key not in known:
                hint = did_you_mean(key, known) or f" The keys are {', '.join(known)}."
                raise ValueError(f"{cls.__name__} has no key {key!r}.{hint}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for key, kind in get_type_hints(type(self)).items():
            name, value = f"{type(self).__name__}.{key}", _plain(getattr(self, key))
            object.__setattr__(self, key, value)
            if not _fits(value, kinds := _alternatives(kind)):
                raise ValueError(f"{name} must be {' or '.join(map(_in_words, kinds))}; got {value!r}.")
            for options in kinds:
                if get_origin(options) is Literal and not (value is None and NoneType in kinds):
                    check_option(value, options, name)


def check_option(value: str, options: object, name: str) -> None:
    """Raises ValueError unless `value` is one of the Literal `options`; suggests the near miss."""
    known = [str(option) for option in get_args(options)]
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.{did_you_mean(value, known)}")


def check_count(value: object, least: int, name: str) -> None:
    """Raises ValueError unless `value` is a whole number of at least `least`."""
    if not _fits(value, (int,)) or value < least:  # type: ignore[operator]  # a number by then
        raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}.")


def check_kind(value: object, kind: type, name: str, remedy: str) -> None:
    """Raises TypeError, with what to do, unless `value` is of that class."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of type {kind.__name__}; got {reprlib.repr(value)}. {remedy}")


def check_confidence(confidence: float, resamples: int) -> None:
    """Raises ValueError unless 0 < confidence < 1 and there is at least one resample."""
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence must lie between 0 and 1, for example 0.95; got {confidence}.")
    if resamples < 1:
        raise ValueError(f"A bootstrap needs at least one resample, for example 1000; got {resamples}.")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple | range):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _fits(value: Any, kinds: tuple[Any, ...]) -> bool:
    return any(_is(value, kind) for kind in kinds)


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return True  # which ones there are, `check_option` says better
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(value, tuple):
            return False
        wanted = items[:1] * len(value) if items[-1] is Ellipsis else items
        return len(value) == len(wanted) and all(map(_is, value, wanted))
    if kind in (int, float):  # True is not the number 1 here, and 3 is a float as well
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind)


def _in_words(kind: Any) -> str:
    if get_origin(kind) is tuple and kind not in _WORDS:  # of options
        return f"a tuple of {', '.join(get_args(get_args(kind)[0]))}"
    return _WORDS.get(kind) or f"of type {kind.__name__}"
