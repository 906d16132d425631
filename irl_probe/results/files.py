"""A results tree as a NetCDF file and as a tidy table."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from irl_probe.results.schema import BOUND, validate

COLUMNS = (
    *("group", "task", "variant", "policy", "reward", "reference", "coverage"),
    *("metric", "level", "control", "part", "seed"),
    *(*BOUND, "reason", "units"),
)
_FIGURES: Mapping[str, tuple[str, ...]] = {  # raw episodes, points, logs and grids are no figures
    "returns": ("mean", "normalised"),
    "correlation": ("value",),
    "distance": ("value", "shaped", "random", "off_support"),
    "decomposition": ("value", "scale"),
    "ranking": ("value", "constant", "true", "recovered"),
    "retraining": ("return_mean", "normalised", "mean", "normalised_mean"),
    "transfer": ("return_mean", "mean", "value", "overall", "regret_greedy", "regret_soft"),
}


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
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        written = Path(folder) / path.name
        tree.to_netcdf(written, engine="h5netcdf")
        written.replace(path)
    return path


def load_results(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read what `save_results` wrote, wholly into memory: every value, label and attribute as it was.

    Raises FileNotFoundError where there is no such file, and ValueError where it is truncated, no NetCDF-4 or not ours.
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
            "It may be truncated or of another kind: copy it again, or make it anew."
        ) from error
    for node in tree.subtree:  # attributes come back as NumPy scalars
        node.attrs = {key: v.item() if isinstance(v, np.generic) else v for key, v in node.attrs.items()}
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


def to_dataframe(tree: xr.DataTree) -> pd.DataFrame:
    """The figures of every group but /learning, /points and /grid as a tidy table, one row each.

    Its columns are `COLUMNS`; one that does not apply holds "" (text), NaN (bounds) or <NA> (seed). `metric` is the
    variable's name where the group has no such dimension. The calibration of /distance has reward = "shaped" or
    "random", and the share of off-support queries reward = "off_support".

    Raises ValueError as `validate` does.
    """
    validate(tree)
    frames = [
        _rows(group, tree[group].to_dataset(), name)
        for group, names in _FIGURES.items()
        for name in names
        if group in tree.children and name in tree[group].data_vars
    ]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    return table.astype({"seed": "Int64", **dict.fromkeys(BOUND, np.float64)})


def _rows(group: str, dataset: xr.Dataset, name: str) -> pd.DataFrame:
    figure = dataset[name]
    bounds = figure.to_dataset("bound") if "bound" in figure.dims else figure.to_dataset(name="estimate")
    if name == "value":  # the figure that a reason belongs to
        bounds["reason"] = dataset["reason"]
    frame = bounds.to_dataframe().reset_index() if bounds.dims else bounds.expand_dims("row").to_dataframe()
    given = {
        "group": group,
        "metric": name,
        "reward": name if group == "distance" else "",
        "units": figure.attrs.get("units", ""),
        "seed": pd.NA,
    }
    given |= {"low": np.nan, "high": np.nan}
    return frame.assign(**{c: given.get(c, "") for c in COLUMNS if c not in frame})[list(COLUMNS)]
