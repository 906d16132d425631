"""Where the command line writes: what cannot be a folder, or is there already, is refused before the work."""

from __future__ import annotations

from pathlib import Path


def check_folder(out: Path | None, *written: str, overwrite: bool = False) -> None:
    """Check that `out`, if given, can be a folder, and that what will be `written` in it ("." is itself) may be.

    Raises ValueError where a file is in the way, or one of `written` exists and `overwrite` is False.
    """
    if out is None:
        return
    if file := next((place for place in (out, *out.parents) if place.is_file()), None):
        raise ValueError(f"What --out names must be a folder, there or new; {file} is a file. Choose another place.")
    if not overwrite and (there := [out / name for name in written if (out / name).exists()]):
        raise ValueError(
            f"What is there is not overwritten unless asked to; {there[0]} exists. Choose another place or --overwrite."
        )
