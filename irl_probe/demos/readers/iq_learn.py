"""IQ-Learn's files: a pickled dict of lists, with one entry for each trajectory, or the rows of its replay memory.

A pickle can run any code, so no pickle is run here: `unpickle` accepts only the names that arrays and plain containers
need, and replaces them by objects of this file, which only hold data.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import tokenize
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from irl_probe._types import Array
from irl_probe.demos.assembly import SINGLE_FLAG_NOTE, assemble, column, flags, joined, numbers, require
from irl_probe.demos.demonstrations import DemoError, Demonstrations

_NEEDED = ("states", "next_states", "actions", "dones")
_MEMORY = ("state", "next state", "action", "reward", "done")
_TYPE_CODE = re.compile(r"[<>|=]?([biuf][1248]|O8?|[SU]\d{0,6})")  # of the arrays that are read
_CORE = ("multiarray", "numeric")  # modules of NumPy whose functions its pickles name
# Errors of a damaged pickle.
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


def read_iq_learn(path: Path) -> Demonstrations:
    """Demonstrations from a .pkl, or from a .npy of the same dict or of a memory; the pickle is read, never run.

    Keys: `states`, `next_states`, `actions`, `dones`, and if known `rewards` and `lengths`: lists with one sequence for
    each trajectory.

    Such files have one flag for both ends: a trajectory whose last `dones` is true is read as terminated, unless its
    length is the `time_limit` given to `load_demos`. One whose last `dones` is false was cut, which is a truncation.

    Raises DemoError if the pickle names anything but arrays and plain containers, if it is damaged, if keys are
    missing, or if lengths do not fit.
    """
    raw, where = path.read_bytes(), str(path)
    loaded = read_npy(raw, where) if path.suffix == ".npy" else unpickle(raw, where)
    if isinstance(loaded, np.ndarray) and loaded.dtype == object and loaded.ndim == 0:
        loaded = loaded.item()
    if isinstance(loaded, np.ndarray) and loaded.ndim == 2 and loaded.shape[1] == len(_MEMORY):
        return from_memory(loaded, where)
    if not isinstance(loaded, dict):
        raise DemoError(
            f"{where}: IQ-Learn's files hold a dict with {', '.join(_NEEDED)}, or rows of {len(_MEMORY)} entries "
            f"({', '.join(_MEMORY)}); this one holds a {type(loaded).__name__}."
        )
    data = {str(key): value for key, value in loaded.items()}
    require(where, data, _NEEDED, "an expert file of IQ-Learn")
    parts = {name: _trajectories(data[name], where, name) for name in (*_NEEDED, "rewards") if name in data}
    lengths = np.array([len(part) for part in parts["states"]], dtype=np.int64)
    for name, trajectories in parts.items():
        if len(trajectories) != len(lengths):
            raise DemoError(
                f"{where}: '{name}' must have as many trajectories as 'states', {len(lengths)}; it has "
                f"{len(trajectories)}. Repair the file or leave out the trajectories that do not fit."
            )
        for i, (part, length) in enumerate(zip(trajectories, lengths, strict=True)):
            if len(part) != length:
                raise DemoError(
                    f"{where}: '{name}' must have one row for each row of 'states' in every trajectory; in trajectory "
                    f"{i} it has {len(part)} and 'states' {length}. Repair the file or leave that trajectory out."
                )
    if "lengths" in data and numbers(data["lengths"], where, "lengths").tolist() != lengths.tolist():
        raise DemoError(f"{where}: 'lengths' does not say how long the trajectories are ({lengths.tolist()}).")
    if not len(lengths) or lengths.min() < 1:
        raise DemoError(
            f"{where}: there must be at least one trajectory, each of at least one step; lengths: {lengths}."
        )
    done = [column(flags(part, where, "dones"), where, "dones") for part in parts["dones"]]
    if any(part[:-1].any() for part in done):
        raise DemoError(f"{where}: 'dones' must be one flag a step, true at a trajectory's last step only.")
    terminated = np.array([part[-1] for part in done], dtype=np.bool_)
    return assemble(
        where,
        observations=joined(parts["states"], where, "states"),
        next_observations=joined(parts["next_states"], where, "next_states"),
        actions=joined(parts["actions"], where, "actions"),
        rewards=joined(parts["rewards"], where, "rewards") if "rewards" in parts else None,
        lengths=lengths,
        terminated=terminated,
        truncated=~terminated,
        notes=(SINGLE_FLAG_NOTE,) if terminated.any() else (),
    )


def from_memory(rows: Array, where: str) -> Demonstrations:
    """Demonstrations from (N, 5) rows as IQ-Learn's `Memory.save` writes them: state, next state, action, reward, done.

    The rows are in time order. `done` is the end of the MDP only: IQ-Learn clears it at a time limit. So an episode
    ends at a done row, which is a termination, and where the next row's state is not the next state, a truncation.

    Raises DemoError if most rows are not followed by their next state, so that their order is not known.
    """
    states, following, actions, rewards, done = (
        numbers(rows[:, i].tolist(), where, name) for i, name in enumerate(_MEMORY)
    )
    if rows.dtype != object:  # states that are one number: NumPy made floats of everything
        states, following, actions = (
            part.astype(np.int64) if (part == np.floor(part)).all() else part for part in (states, following, actions)
        )
    if not len(rows) or states.shape != following.shape:
        raise DemoError(
            f"{where}: each row must hold a state and a next state of one shape; got {states.shape} and "
            f"{following.shape}."
        )
    ended = flags(column(done, where, "done"), where, "done")
    follows = np.append((following[:-1] == states[1:]).reshape(len(rows) - 1, -1).all(axis=1), False)
    open_rows = ~ended[:-1]
    if open_rows.sum() > 1 and follows[:-1][open_rows].mean() < 0.5:
        raise DemoError(
            f"{where}: the rows must be in time order; only {int(follows[:-1][open_rows].sum())} of the "
            f"{int(open_rows.sum())} rows that do not end an episode are followed by their next state. Save the memory "
            "before it is shuffled, or give each step as an episode of its own: Demonstrations.from_arrays(..., "
            "next_observations=..., lengths=np.ones(N, int))."
        )
    last = np.flatnonzero(ended | ~follows)
    return assemble(
        where,
        observations=states,
        next_observations=following,
        actions=actions,
        rewards=rewards,
        lengths=np.diff(last, prepend=-1),
        terminated=ended[last],
        truncated=~ended[last],
    )


def _trajectories(value: object, where: str, name: str) -> list[Array]:
    """One array of numbers for each trajectory."""
    entries = value if isinstance(value, Sequence | np.ndarray) else np.asarray(value)
    if isinstance(entries, str | bytes) or (isinstance(entries, np.ndarray) and (entries.ndim == 0)):
        raise DemoError(f"{where}: '{name}' must be a list with one sequence per trajectory.")
    arrays = [numbers(entry, where, name) for entry in entries]
    if any(array.ndim == 0 for array in arrays):
        raise DemoError(
            f"{where}: '{name}' must be a list with one sequence per trajectory; an entry is a single number."
        )
    return arrays


# Pickles and .npy files, read without running anything in them


def unpickle(raw: bytes, where: str) -> object:
    """The arrays and plain containers in a pickle. An object array or scalar is returned as the value that it holds.

    Raises DemoError if the pickle names anything else, or is damaged; nothing that it names is ever called.
    """
    try:
        for opcode, argument, _ in pickletools.genops(raw):  # this also raises if the pickle was cut off
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

    Raises DemoError if the header is damaged, or if the data is not as long as the header says.
    """
    file = io.BytesIO(raw)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns about headers that Python 2 wrote
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
            f"{where}: the header states {shape} values of type {dtype} ({size} bytes) and {len(content)} bytes "
            "follow; the file is damaged or cut off. Download it again."
        )
    return np.ndarray(shape, dtype, bytearray(content), order="F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    def __init__(self, raw: bytes, where: str) -> None:
        super().__init__(io.BytesIO(raw), encoding="latin1")
        self.where = where
        self.admitted = _admitted()

    def find_class(self, module: str, name: str, /) -> Callable[..., object] | str:
        """The admitted object of that name; DemoError for every other name, before anything is imported."""
        if (key := f"{module}.{name}") not in self.admitted:
            raise DemoError(
                f"{self.where}: this pickle asks for '{key}', and only NumPy arrays, numbers, strings and plain "
                "containers are read; it was refused and nothing was run. If you trust the file, load it yourself and "
                "save its arrays (see save_demos)."
            )
        return self.admitted[key]


def _admitted() -> dict[str, Callable[..., object] | str]:
    """The names that a pickle may use. Each call makes new wrappers, so no pickle can leave an attribute on them."""

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


# Stand-ins for the names in NumPy's pickles; they only hold data


class _ArrayOf:
    """A `numpy.ndarray` while it is unpickled; NumPy reads it as the array by `__array__`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Array = np.empty(0)

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, shape, kind, fortran, content = state
        self.value = _build(content, kind, shape, "F" if fortran else "C")

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype=dtype, copy=copy)


class _TypeOf:
    """A `numpy.dtype` while it is unpickled."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[np.generic]) -> None:
        self.dtype = dtype

    def __setstate__(self, state: tuple[object, ...]) -> None:
        _, order, *structure = state
        if any(part is not None for part in structure[:3]) or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("arrays with fields or sub-arrays are not read")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


def _build(content: object, kind: object, shape: object, order: object) -> Array:
    """The array of `shape` in `content`, raw bytes or a list of objects; UnpicklingError if they do not fit."""
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
        raise pickle.UnpicklingError(f"arrays of type {code!r} are not read: numbers, strings and objects only")
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
        raise pickle.UnpicklingError("bytes must be written as a latin1 string")
    return text.encode("latin1")


def _mapping(*_: object) -> dict[object, object]:
    return {}
