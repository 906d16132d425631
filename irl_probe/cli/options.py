"""How the options of one verb are read, by tyro, and the wording of its help and errors.

tyro makes the options from a verb's signature: those of a config from its fields, their docstrings and their defaults.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from irl_probe._config import Config
from irl_probe._words import did_you_mean
from irl_probe.learn import IQConfig, RLConfig


def option(
    description: str,
    metavar: str | None = None,
    aliases: tuple[str, ...] | None = None,
    name: str | None = None,
) -> object:
    """What stands beside the type of an option, in Annotated; `name` is that of the option where it is another."""
    return tyro.conf.arg(
        name=name, metavar=metavar, help=description, aliases=aliases, help_behavior_hint=_default_in_words
    )


def subject(metavar: str, description: str) -> tuple[object, object]:
    """What stands beside the type of a verb's subject, in Annotated."""
    return tyro.conf.Positional, option(description, metavar)


def _default_in_words(default: str) -> str:
    """The description says what None and () mean."""
    return "" if default in ("None", "") else f"(default: {default})"


OPTIONS = {("TransferConfig", "episodes"): "evaluation-episodes"}  # since --episodes counts demonstrations
SHORT = ("steps", "seed")  # settings of the learner that have a short form, such as --steps for --learner.steps


class Refused(Exception):
    """A value that a config refuses. Not a ValueError: tyro would print that with names that nobody typed."""


def call(verb: Callable[..., None], name: str, words: Sequence[str], defaults: Mapping[str, str]) -> None:
    """Call a verb with the options among these words; prints the help, or what is wrong with them, and exits then.

    `defaults` are those of the learner in this verb where its config's docstrings name others.

    Raises ValueError where an option is given in both of its forms with different values, and Refused where a config
    does not take a value.
    """
    own, typed = _own_options(verb), {option for option, _ in _options(words)}
    if "--learner" in typed:
        raise ValueError(
            "--learner needs a dot and the setting that it sets, such as --learner.gamma 0.95."
            + (" The algorithm that trains is --algorithm." if "algorithm" in own else "")
        )
    if name in ("probe", "expert") and "--env" in typed:
        raise ValueError(f"The environment is the subject of {name} and needs no option: irl-probe {name} ENV.")
    words = one_form(words, own) if "learner" in own else words
    tyro.cli(verb, prog=f"irl-probe {name}", args=words, registry=_registry(own, defaults))


def _own_options(verb: Callable[..., None]) -> set[str]:
    """The options of a verb that have no dot, as Python names: its parameters, and the fields of its `config`."""
    own = set(inspect.signature(verb).parameters)
    config = get_type_hints(verb).get("config")
    return own | ({f.name for f in fields(config)} if config is not None else set())


def one_form(words: Sequence[str], own: set[str]) -> list[str]:
    """The words with the short form of the learner's steps and seed.

    In a verb with seeds of its own, --learner.seed is one of --seeds.

    Raises ValueError where both forms are given and differ.
    """
    same = {f"--learner.{name}": f"--{name}" for name in SHORT}
    if "seeds" in own:
        same["--learner.seed"] = "--seeds"
    found: dict[str, tuple[str, list[str]]] = {}
    kept: list[str] = []
    for option, values in _options(words):
        short = same.get(option, option)
        if short in same.values():
            other, before = found.setdefault(short, (option, values))
            if other != option and before[:1] != values[:1]:
                raise ValueError(
                    f"{other} {' '.join(before)} and {option} {' '.join(values)} set the same thing. Give one of them."
                )
            if other != option:
                kept += values[1:]
                continue
        kept += [short] * bool(short) + values
    return kept


def _options(words: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option with the words that follow it; "" with those before the first option."""
    option, values = "", list[str]()
    for word in words:
        if word.startswith("--"):
            yield option, values
            name, given, value = word.partition("=")
            option, values = name.replace("_", "-"), [value] * bool(given)
        else:
            values.append(word)
    yield option, values


def renamed(words: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The words with options of earlier versions by their present names, which a line on standard error tells."""
    found = []
    for word in words:
        option, given, value = word.partition("=")
        if option in names:
            print(f"irl-probe: {option} is called {names[option]} here.", file=sys.stderr)
            option = names[option]
        found.append(f"{option}{given}{value}")
    return found


def typed_options() -> set[str]:
    """The settings that the command line names, as Python names, without the learner's prefix: "gamma", "offline"."""
    names = {option.lstrip("-").rpartition(".")[2].replace("-", "_") for option, _ in _options(sys.argv[2:])}
    return names | {name.removeprefix("no_") for name in names}


def in_options(message: str, words: Sequence[str]) -> str:
    """A message of the library in the command line's words: --overwrite for overwrite=True, --steps for IQConfig.steps.

    An option is named as it was typed.
    """
    typed = {option.rpartition(".")[2].lstrip("-"): option for option, _ in _options(words)}

    def named(match: re.Match[str]) -> str:
        name = match[1].replace("_", "-")
        return typed.get(name, f"--{name}")

    message = re.sub(r"\b[A-Z]\w*Config\.(\w+)", named, message)
    message = re.sub(r"\bout=(?=[\s).])", "--out", message)
    return re.sub(r"(?<!\.\.\., )\b(overwrite|resume)=True", r"--\1", message)


def _registry(own: set[str], defaults: Mapping[str, str]) -> ConstructorRegistry:
    registry = ConstructorRegistry()
    registry.primitive_rule(_number)
    registry.primitive_rule(_numbers)
    registry.primitive_rule(_choice)
    registry.primitive_rule(_or_none)
    registry.struct_rule(functools.partial(_config, own=own, defaults=defaults))
    return registry


def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type not in (int, float):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=info.type.__name__.upper(),
        instance_from_str=lambda strings: _read(info.type, strings[0]),
        is_instance=lambda value: isinstance(value, info.type),
        str_from_instance=lambda value: [str(value)],
    )


def _numbers(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A tuple of any length, or of a given one."""
    kind, *others = get_args(info.type) if info.type_origin is tuple else (None,)
    if kind not in (int, float) or any(other not in (kind, Ellipsis) for other in others):
        return None
    many, name = Ellipsis in others, kind.__name__.upper()
    return PrimitiveConstructorSpec(
        nargs="*" if many else 1 + len(others),
        metavar=f"[{name} ...]" if many else " ".join([name] * (1 + len(others))),
        instance_from_str=lambda strings: tuple(_read(kind, string) for string in strings),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [str(number) for number in value],
    )


def _read(kind: type, string: str) -> Any:
    try:
        return kind(string)
    except ValueError:
        words = "a whole number, such as 10" if kind is int else "a number, such as 0.5"
        raise ValueError(f"it must be {words}; got {string!r}.") from None


def _choice(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """One of the strings of a Literal; an unknown one gets the near miss."""
    known = get_args(info.type) if get_origin(info.type) is Literal else ()
    if not known or not all(isinstance(each, str) for each in known):
        return None

    def read(strings: list[str]) -> str:
        (given,) = strings
        if given not in known:
            raise ValueError(f"it must be one of {', '.join(known)}; got {given!r}.{did_you_mean(given, known)}")
        return given

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(known)}}}",
        instance_from_str=read,
        is_instance=lambda value: value in known,
        str_from_instance=lambda value: [value],
    )


def _or_none(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`T | None` is read and shown as T; without choices, the word None is None."""
    kinds = get_args(info.type) if get_origin(info.type) in (Union, UnionType) else ()
    if NoneType not in kinds or len(kinds) != 2:
        return None
    other = next(kind for kind in kinds if kind is not NoneType)
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(other, info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec):
        return None
    return PrimitiveConstructorSpec(
        nargs=spec.nargs,
        metavar=spec.metavar,
        instance_from_str=lambda strings: None if strings == ["None"] else spec.instance_from_str(strings),
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else spec.str_from_instance(value),
        choices=spec.choices,
    )


def _config(info: StructTypeInfo, own: set[str], defaults: Mapping[str, str]) -> StructConstructorSpec | None:
    """A config's options: its fields but those that the verb itself has an option for, and other configs or None."""
    kind = info.type
    if not (isinstance(kind, type) and issubclass(kind, Config)):
        return None
    learner = kind in (IQConfig, RLConfig)
    hints, docs = get_type_hints(kind), _docstrings(kind)
    given: Mapping[str, Any] = vars(info.default) if isinstance(info.default, kind) else {}
    options = []
    for field in fields(kind):  # type: ignore[arg-type]  # every config is a dataclass
        short = learner and field.name in SHORT
        if (short and {field.name, f"{field.name}s"} & own) or _is_config_or_none(hints[field.name]):
            continue
        doc = docs.get(field.name, "")
        if learner and field.name in defaults:
            doc = re.sub(r"\(default: .*\)", f"(default: {defaults[field.name]})", doc)
        name = OPTIONS.get((kind.__name__, field.name))
        argument = option(doc, aliases=(f"--{field.name}",) if short else None, name=name)
        default = given.get(field.name, _default(field))
        options.append(StructFieldSpec(field.name, Annotated[hints[field.name], argument], default))  # type: ignore[arg-type]  # tyro takes Annotated types

    def make(**values: Any) -> Config:
        try:
            return kind(**values)
        except ValueError as error:
            raise Refused(str(error)) from error

    return StructConstructorSpec(instantiate=make, fields=tuple(options))


def _is_config_or_none(hint: Any) -> bool:
    kinds = get_args(hint)
    return NoneType in kinds and any(isinstance(kind, type) and issubclass(kind, Config) for kind in kinds)


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _docstrings(kind: type) -> dict[str, str]:
    """The docstring under each field of a config, on one line."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, after in zip(definition.body, definition.body[1:], strict=False):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found
