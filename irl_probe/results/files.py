"""A results tree as a NetCDF file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import xarray as xr

from irl_probe._files import whole_file
from irl_probe.results.schema import current, validate


def save_results(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the tree as NetCDF-4, whole or not at all; returns the path. Any NetCDF reader opens it.

    Raises FileExistsError where the file exists and `overwrite` is False, and ValueError as `validate` does.
    """
    validate(tree)
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"Results are not overwritten unless asked to; '{path}' exists. Choose another path or pass overwrite=True."
        )
    with whole_file(path) as fresh:
        tree.to_netcdf(fresh, engine="h5netcdf")
    return path


def load_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read what `save_results` wrote, wholly into memory: every value, label and attribute as it was.

    Results of an older schema are brought to the present one; the warnings that schema 1 stored are left out.

    Raises FileNotFoundError where there is no such file, and ValueError where it is truncated, not NetCDF-4 or not
    ours.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no results file at '{path}'; save_results(tree, path) writes one.")
    try:
        with contextlib.closing(xr.open_datatree(path, engine="h5netcdf")) as opened:
            tree = opened.load()
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ValueError(
            f"A results file must be NetCDF-4; '{path}' ({path.stat().st_size} bytes) cannot be read ({error}). "
            "It may be truncated or of another kind: copy it again, or make it again."
        ) from error
    for node in tree.subtree:  # attributes come back as NumPy scalars
        node.attrs = {key: v.item() if isinstance(v, np.generic) else v for key, v in node.attrs.items()}
    tree = current(tree)
    if "format" not in tree.attrs:
        raise ValueError(_foreign(path, tree))
    try:
        validate(tree)
    except ValueError as error:
        raise ValueError(f"'{path}' holds no results that this version of irl_probe reads. {error}") from error
    return tree


def _foreign(path: Path, tree: xr.DataTree) -> str:
    """What a NetCDF file is that was not written by `save_results`, and what to do with it."""
    names = [*map(str, tree.to_dataset().data_vars), *tree.children]
    page = path.with_name("report.html")
    own = f" Its own page is '{page}'." if page.is_file() else ""
    return (
        f"'{path}' is a table of its own making (it holds {', '.join(names[:6]) or 'nothing'}), such as a study's "
        f"summary over runs, not the results of compare, probe, retrain-study or transfer.{own} "
        "Read it with xarray.open_dataset; a report is made of a single run's results.nc."
    )
