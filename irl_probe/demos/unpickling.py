"""Reading .npy and .pkl files of arrays and plain containers without running what a pickle asks to run.

A pickle is a program: it may name any importable function and call it. Here every name it can reach is one of a dozen
listed below, none of which does anything but build an array, a dict, a list or a set. NumPy's own reconstruction in C
(`ndarray.__setstate__`, `dtype.__setstate__`) trusts its input with raw memory, so it is not called either: arrays
are built with `np.frombuffer` from a type code that is checked first.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import tokenize
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from irl_probe.demos.errors import DemoError
from irl_probe.transitions import Array

_TYPE_CODE = re.compile(r"[<>|=]?([biuf][1248]|O8?|[SU]\d{0,6})")
_CORE = ("multiarray", "numeric")
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    IndexError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RecursionError,
)


class _TypeOf:
    """Stands for a `numpy.dtype` while it is unpickled."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[np.generic]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, order, *structure = state
        if any(part is not None for part in structure[:3]) or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("arrays with fields or sub-arrays are not read")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _ArrayOf:
    """Stands for a `numpy.ndarray` while it is unpickled; NumPy reads it as the array by `__array__`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Array = np.empty(0)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, kind, fortran, content = state
        self.value = _build(content, kind, shape, "F" if fortran else "C")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype=dtype, copy=copy)


def _build(content: object, kind: object, shape: object, order: object) -> Array:
    """The array of `shape` in `content`, raw bytes or a list of objects; UnpicklingError where they do not fit."""
    if not isinstance(kind, _TypeOf) or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array without a readable type")
    sides = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(n, int) and n >= 0 for n in sides):
        raise pickle.UnpicklingError(f"an array of impossible shape {shape!r}")
    count = math.prod(sides)
    if kind.dtype == object:
        if not isinstance(content, list) or len(content) != count:
            raise pickle.UnpicklingError("an object array whose items do not fit its shape")
        array = np.empty(count, dtype=object)
        for i, item in enumerate(content):
            array[i] = item.value if isinstance(item, _ArrayOf) else item
    else:
        raw = content.encode("latin1") if isinstance(content, str) else content  # a str: written by Python 2
        if not isinstance(raw, bytes | bytearray) or len(raw) != count * kind.dtype.itemsize:
            raise pickle.UnpicklingError("an array whose bytes do not fit its shape and type")
        array = np.frombuffer(raw, dtype=kind.dtype, count=count).copy() if raw else np.empty(count, kind.dtype)
    return array.reshape(sides, order="F" if order == "F" else "C")


def _dtype(code: object, align: object = False, copy: object = False) -> _TypeOf:
    if not isinstance(code, str) or not _TYPE_CODE.fullmatch(code):
        raise pickle.UnpicklingError(f"arrays of type {code!r} are not read: numbers, text and objects only")
    return _TypeOf(np.dtype(code))


def _scalar(kind: object, content: object) -> object:
    return _build(content, kind, (), "C").item()


def _frombuffer(content: object, kind: object, shape: object, order: object, axis_order: object = None) -> _ArrayOf:
    made = _ArrayOf()
    made.value = _build(content, kind, shape, "C" if order == "K" else order)
    if order == "K" and isinstance(axis_order, tuple):
        made.value = made.value.transpose(axis_order)
    return made


def _reconstruct(*_: object) -> _ArrayOf:
    return _ArrayOf()


def _encode(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes must be written as latin1 text")
    return text.encode("latin1")


def _mapping(*_: object) -> dict[object, object]:
    return {}


def _admitted() -> dict[str, Callable[..., object] | str]:
    """The names a pickle may use. Fresh wrappers at each call: no pickle can leave an attribute on a function."""

    def fresh(function: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments: function(*arguments)

    core: dict[str, Callable[..., object]] = {
        "_reconstruct": _reconstruct,
        "scalar": _scalar,
        "_frombuffer": _frombuffer,
    }
    return {
        **{f"numpy.{c}.{m}.{name}": fresh(core[name]) for c in ("core", "_core") for m in _CORE for name in core},
        "numpy.ndarray": "numpy.ndarray",  # only ever an argument of _reconstruct, which ignores it
        "numpy.dtype": fresh(_dtype),
        "_codecs.encode": fresh(_encode),
        "collections.defaultdict": fresh(_mapping),
        "collections.OrderedDict": fresh(_mapping),
        **{f"{b}.{t.__name__}": t for b in ("builtins", "__builtin__") for t in (list, dict, tuple, set, frozenset)},
    }


class _Unpickler(pickle.Unpickler):
    def __init__(self, raw: bytes, where: str) -> None:
        super().__init__(io.BytesIO(raw), encoding="latin1")
        self.where = where
        self.admitted = _admitted()

    def find_class(self, module: str, name: str, /) -> Callable[..., object] | str:
        """The admitted object of that name; DemoError for every other name, before anything of it is imported."""
        if (key := f"{module}.{name}") not in self.admitted:
            raise DemoError(
                f"{self.where}: this pickle asks for '{key}', and only NumPy arrays, numbers, text and plain "
                "containers are read; it was refused and nothing was run. If you trust the file, load it yourself and "
                "save its arrays (see save_demos)."
            )
        return self.admitted[key]


def unpickle(raw: bytes, where: str) -> object:
    """The arrays and plain containers in a pickle. An object array or scalar comes back as what it holds.

    Raises DemoError where the pickle names anything but those, or is damaged; nothing it names is ever called.
    """
    try:
        for opcode, argument, _ in pickletools.genops(raw):  # also finds where it was cut off
            if "PUT" in opcode.name and int(argument or 0) > len(raw):  # the C reader would allocate that many slots
                raise pickle.UnpicklingError("a memo index beyond the file's size")
        value = _Unpickler(raw, where).load()
    except DemoError:
        raise
    except _BROKEN as error:
        raise DemoError(f"{where}: the pickle is damaged or cut off ({error or type(error).__name__}).") from error
    return value.value if isinstance(value, _ArrayOf) else value


def read_npy(raw: bytes, where: str) -> Array | object:
    """The array in the bytes of a .npy file, writable; an object array is read by `unpickle`.

    Raises DemoError where the header is damaged, or where the data is not as long as the header says.
    """
    file = io.BytesIO(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy's advice on headers written by Python 2
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(file)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError) as error:
        raise DemoError(f"{where}: this is not a whole .npy array ({error}).") from error
    content = file.read()
    if dtype.kind == "O" and dtype.names is None:
        return unpickle(content, where)
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biufSU" or min(shape, default=0) < 0 or len(content) != size:
        raise DemoError(
            f"{where}: the header promises {shape} values of type {dtype} ({size} bytes) and {len(content)} bytes "
            "follow; the file is damaged or cut off. Fetch it again."
        )
    return np.ndarray(shape, dtype, bytearray(content), order="F" if fortran else "C")
