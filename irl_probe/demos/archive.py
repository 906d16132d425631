"""Reading and writing .npz files as checked arrays. The same arrays always give the same bytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from irl_probe._files import whole_file
from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.assembly import flags, numbers
from irl_probe.demos.demonstrations import DemoError
from irl_probe.demos.readers.iq_learn import read_npy

_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip file can hold


@dataclass(frozen=True)
class Archive:
    """The members of a .npz file, each decoded when it is needed.

    Attributes:
        where: the name of the file in messages.
        members: name → bytes of each .npy member.
    """

    where: str
    members: Mapping[str, bytes]

    def value(self, name: str) -> object:
        """Member `name`, of any type; objects are read without running a pickle."""
        return read_npy(self.members[name], f"{self.where}, '{name}'")

    def numbers(self, name: str) -> Array:
        """Member `name` as real numbers of any shape."""
        return numbers(self.value(name), self.where, name)  # type: ignore[arg-type]  # numbers() refuses other types

    def optional_numbers(self, name: str) -> Array | None:
        """Member `name` as real numbers, or None if the file does not have it."""
        return self.numbers(name) if name in self.members else None

    def flags(self, name: str) -> Bools:
        """Member `name` as booleans."""
        return flags(self.numbers(name), self.where, name)

    def integers(self, name: str) -> Ints:
        """Member `name` as a vector of whole numbers."""
        values = self.numbers(name)
        if values.dtype.kind not in "iu" or values.ndim != 1:
            raise DemoError(
                f"{self.where}: '{name}' must be a vector of whole numbers; got {values.dtype} of shape {values.shape}."
            )
        return values.astype(np.int64)


def read_archive(path: Path) -> Archive:
    """The members of the .npz file. Raises DemoError if it is not a zip file, or is cut off or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            members = {name.removesuffix(".npy"): file.read(name) for name in file.namelist() if name.endswith(".npy")}
    except (*_BROKEN, MemoryError) as error:
        raise DemoError(
            f"{path}: this is not a whole .npz file ({error or type(error).__name__}). It is damaged or cut off: "
            "download or write it again."
        ) from error
    return Archive(str(path), members)


def write_archive(path: Path, arrays: Mapping[str, Array], overwrite: bool) -> None:
    """Write the arrays as a compressed .npz: first to a file beside the target, which then replaces it in one step.

    Zip entries have a fixed date, so that equal arrays give equal bytes.
    Raises DemoError if the file exists and `overwrite` is false.
    """
    if path.exists() and not overwrite:
        raise DemoError(f"{path} exists and was not overwritten; choose another name or pass overwrite=True.")
    with whole_file(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array, order="C"), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, on every system, so that the bytes are the same
            file.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, 9)
