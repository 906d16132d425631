"""What all configs share: unknown names, values of another type and values out of bounds raise a clear error."""

from __future__ import annotations

import functools
import inspect
import math
import reprlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, ParamSpec, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from irl_probe._words import did_you_mean

_WORDS: dict[Any, str] = {
    int: "a whole number (such as 10)",
    float: "a number (such as 0.5)",
    bool: "True or False",
    str: "a string",
    NoneType: "None",
    tuple[int, ...]: "a tuple of whole numbers (such as (64, 32))",
    tuple[float, float]: "a pair of numbers (such as (1.0, 0.0))",
}

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Must:
    """A bound, written at a config's field: `Annotated[float, Must(lambda x: x > 0, "be positive")]`.

    `words` complete the sentence "<Config>.<field> must …". Where a field takes None, None is not checked.
    """

    holds: Callable[[Any], bool]
    words: str


def at_least(least: float, why: str = "") -> Must:
    """The bound x ≥ least."""
    return Must(lambda value: value >= least, f"be at least {least}{why}")


FINITE = Must(math.isfinite, "be finite")
Positive = Annotated[float, Must(lambda value: value > 0, "be positive"), FINITE]
NotNegative = Annotated[float, Must(lambda value: value >= 0, "be zero or more"), FINITE]
Share = Annotated[float, Must(lambda value: 0 <= value <= 1, "be between 0 and 1")]
Discount = Annotated[float, Must(lambda value: 0 <= value <= 1 - 1e-12, "be at least 0 and below 1")]
Confidence = Annotated[float, Must(lambda value: 0 < value < 1, "be between 0 and 1, for example 0.95")]
Count = Annotated[int, at_least(1)]  # of steps, episodes, ...
CountOrZero = Annotated[int, Must(lambda value: value >= 0, "be zero or more")]
Seed = Annotated[int, Must(lambda value: 0 <= value < 2**32, "be between 0 and 2³² − 1")]
Seeds = Annotated[
    tuple[int, ...],
    Must(
        lambda seeds: len(set(seeds)) == len(seeds) > 0 and min(seeds) >= 0,
        "be one or more different whole numbers from 0",
    ),
]
Widths = Annotated[
    tuple[int, ...],
    Must(lambda widths: min(widths, default=1) >= 1, "be widths of at least 1, or () for no hidden layer"),
]


class Config:
    """The base of the frozen config dataclasses; the `__post_init__` of a subclass must call this one first.

    Lists and ranges become tuples and NumPy numbers become Python numbers, so a config that is written to JSON and
    read back is equal to the original.

    Raises ValueError, naming the field: for a name that the config does not have (with the near miss), for a value that
    is not an option of the field's Literal, for a value of another type, and for one that breaks the field's bounds.
    """

    def __new__(cls, *args: Any, **values: Any) -> Self:
        if (former := cls._of_another_kind(values)) is not None:
            return former  # type: ignore[return-value]  # a call of an earlier version
        known = [f.name for f in fields(cls)]  # type: ignore[arg-type]  # every subclass is a dataclass
        for key in values:
            if key not in known:
                hint = did_you_mean(key, known) or f" The keys are {', '.join(known)}."
                raise ValueError(f"{cls.__name__} has no key {key!r}.{hint}")
        return super().__new__(cls)

    @classmethod
    def _of_another_kind(cls, values: Mapping[str, Any]) -> Config | None:
        """The config of another kind that these values make, if they did so in an earlier version."""
        return None

    def __post_init__(self) -> None:
        for key, annotation in get_type_hints(type(self), include_extras=True).items():
            name, value = f"{type(self).__name__}.{key}", _plain(getattr(self, key))
            object.__setattr__(self, key, value)
            annotated = _alternatives(annotation)
            kinds = tuple(map(_without_bounds, annotated))
            if not _fits(value, kinds):
                got = reprlib.repr(value) if isinstance(value, Config) else repr(value)  # not forty settings
                raise ValueError(f"{name} must be {' or '.join(map(_in_words, kinds))}; got {got}.")
            if value is None and NoneType in kinds:
                continue
            for options in kinds:
                if get_origin(options) is Literal:
                    check_option(value, options, name)
                elif get_origin(item := (get_args(options) or (None,))[0]) is Literal:  # a tuple of options
                    for each in value:
                        check_option(each, item, name)
            for bound in (bound for kind in annotated for bound in _bounds(kind)):
                if not bound.holds(value):
                    raise ValueError(f"{name} must {bound.words}; got {value!r}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The config with these values of its fields."""
        return cls(**values)


def takes_config(kind: type, example: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a verb `verb(subject, config=None, *, …)`: a wrong call raises a TypeError that shows `example`.

    A call is wrong if its config is not of `kind`, or if an argument is missing or unknown.
    """

    def decorate(verb: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(verb)

        @functools.wraps(verb)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            if len(args) == 3 and "env" in signature.parameters and "env" not in kwargs:
                args, kwargs = _env_by_name(args, kwargs, kind, f"{verb.__name__} takes env= by name. Write {example}.")
            config = args[1] if len(args) > 1 else kwargs.get("config")
            if config is not None:
                check_kind(config, kind, f"The second argument of {verb.__name__}, its config,", f"Write {example}.")
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{verb.__name__}: {error}. Write {example}.") from None
            return verb(*args, **kwargs)

        return checked

    return decorate


def _env_by_name(args: Any, kwargs: Any, kind: type, words: str) -> tuple[Any, Any]:
    """The arguments of a verb (subject, config, env) or (subject, env, config), as they were before env had a name."""
    warnings.warn(words, DeprecationWarning, stacklevel=3)
    subject, *two = args
    env, config = two if isinstance(two[1], kind) else two[::-1]
    return (subject, config), kwargs | {"env": env}


def check_option(value: str, options: object, name: str) -> None:
    """Raises ValueError unless `value` is one of the Literal `options`; suggests the near miss."""
    known = [str(option) for option in get_args(options)]
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.{did_you_mean(value, known)}")


def check_count(value: object, least: int, name: str) -> None:
    """Raises ValueError unless `value` is a whole number of at least `least`."""
    if not _fits(value, (int,)) or value < least:  # type: ignore[operator]  # it is a number here
        raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}.")


def as_seed(value: object, name: str = "A seed") -> int:
    """A seed, also one of NumPy's whole numbers, as Python's int, which Gymnasium and Python's `random` want.

    Raises ValueError unless it is a whole number of at least 0.
    """
    check_count(value, 0, name)
    return int(value)  # type: ignore[call-overload, no-any-return]  # it is a whole number here


def check_kind(value: object, kind: type, name: str, remedy: str) -> None:
    """Raises TypeError, with what to do, unless `value` is an instance of `kind`."""
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


def _without_bounds(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _bounds(kind: Any) -> list[Must]:
    return [each for each in getattr(kind, "__metadata__", ()) if isinstance(each, Must)]


def _fits(value: Any, kinds: tuple[Any, ...]) -> bool:
    return any(_is(value, kind) for kind in kinds)


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return True  # `check_option` checks the value, and its message lists the options
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(value, tuple):
            return False
        wanted = items[:1] * len(value) if items[-1] is Ellipsis else items
        return len(value) == len(wanted) and all(map(_is, value, wanted))
    if kind in (int, float):  # True does not count as the number 1, and a whole number counts as a float
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind)


def _in_words(kind: Any) -> str:
    if get_origin(kind) is tuple and kind not in _WORDS:  # a tuple of options
        return f"a tuple of {', '.join(get_args(get_args(kind)[0]))}"
    return _WORDS.get(kind) or f"of type {kind.__name__}"
