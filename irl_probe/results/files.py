"""A results tree as a NetCDF file, and as tables: tidy, by reward, and printed for a page or a paper."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from irl_probe._files import whole_file
from irl_probe._names import BASELINES, EXPERT, RANDOM
from irl_probe._words import did_you_mean
from irl_probe.results.groups import trusted_distances
from irl_probe.results.schema import BOUND, NOT_MEASURED, UNDISCOUNTED, checked, current, validate


def save_results(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the tree as NetCDF-4, whole or not at all; returns the path. Any NetCDF reader opens it.

    Raises FileExistsError if the file exists and `overwrite` is False, and ValueError as `validate` does.
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
    """Read the tree that `save_results` wrote, all of it into memory: every value, label and attribute as it was.

    Results of an older schema are converted to the present one, without the warnings that schema 1 stored and without
    the intervals over seeds of schemas 1 and 2, which were too narrow.

    Raises FileNotFoundError if there is no such file, and ValueError if it is truncated, not NetCDF-4, or not a file of
    `save_results`.
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
    """The message about a NetCDF file that `save_results` did not write: what it holds, and what to do with it."""
    names = [*map(str, tree.to_dataset().data_vars), *tree.children]
    page = path.with_name("report.html")
    own = f" Its own page is '{page}'." if page.is_file() else ""
    return (
        f"'{path}' was not written by save_results. It is another table (holding {', '.join(names[:6]) or 'nothing'}), "
        f"such as a study's summary over runs, not the results of compare, probe, retrain-study or transfer.{own} "
        "Read it with xarray.open_dataset; a report is made of a single run's results.nc."
    )


COLUMNS = (
    *("group", "task", "variant", "policy", "reward", "reference", "coverage"),
    *("metric", "level", "control", "part", "seed"),
    *(*BOUND, "reason", "units"),
)
LABELS = COLUMNS[1 : COLUMNS.index("estimate")]
MINUS = "−"
# Rewards, policies and controls that are there for comparison.
CALIBRATED = ("shaped", "shaped_10")  # of each reward
NOT_COMPETING = frozenset({*BASELINES, RANDOM, EXPERT, "off_support"})
_FIGURES: Mapping[str, tuple[str, ...]] = {  # raw episodes, points, logs and grids are not figures
    "returns": ("mean", "normalised"),
    "correlation": ("value",),
    "distance": ("value", "shaped", "shaped_10", "random", "off_support"),
    "decomposition": ("value", "scale"),
    "ranking": (
        *("value", "constant", "true", "recovered", "gamma", "cut"),
        *(f"{UNDISCOUNTED}_{name}" for name in ("value", "constant", "true", "recovered")),
    ),
    "retraining": ("return_mean", "normalised", "mean", "normalised_mean"),
    "transfer": ("return_mean", "mean", "value", "overall", "regret_greedy", "regret_soft"),
}
# 1 if more of a variable is better, −1 if less is. Variables that are not here have no best, such as λ and the mean
# returns that rank policies.
_BETTER: Mapping[str, Mapping[str, int]] = {
    "returns": {"mean": 1, "normalised": 1},
    "retraining": {"return_mean": 1, "normalised": 1, "mean": 1, "normalised_mean": 1},
    "transfer": {"return_mean": 1, "mean": 1, "value": 1, "overall": 1, "regret_greedy": -1, "regret_soft": -1},
    "ranking": {"value": 1, f"{UNDISCOUNTED}_value": 1},
}
_BETTER_PART: Mapping[str, int] = {"scale": 1, "residual": -1}  # shaping and redistribution are neither good nor bad
_ACROSS: Mapping[str, Sequence[str]] = {"correlation": ("level", "control")}  # for other groups the metric
_CONTROLLED = {"none": "", "constant": ", of a constant reward", "length": ", length partialled out"}
_LABELS = ("variant", "policy", "part", "metric", "level")


def _competes(labels: Iterable[str]) -> bool:
    return not any(label in NOT_COMPETING or label.partition(": ")[0] in CALIBRATED for label in labels)


CardFigure = dict[str, float | str | None]


def to_dataframe(tree: xr.DataTree) -> pd.DataFrame:
    """The figures of every group except /learning, /points and /grid as a tidy table, one row each.

    Its columns are `COLUMNS`; a column that does not apply holds "" (labels), NaN (bounds) or <NA> (seed). `metric` is
    the variable's name if the group has no such dimension. The calibration of /distance has reward = "shaped: NAME",
    "shaped_10: NAME" or "random", and the share of off-support queries reward = "off_support". A sampled distance whose
    calibration is not small is NaN, with the reason (`trusted_distances`).

    Raises ValueError as `validate` does.
    """
    groups = checked(tree)
    if "distance" in groups:
        groups["distance"] = trusted_distances(groups["distance"])
    frames = [
        _rows(group, groups[group], name)
        for group, names in _FIGURES.items()
        for name in names
        if group in groups and name in groups[group]
    ]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
    return table.astype({"seed": "Int64", **dict.fromkeys(BOUND, np.float64)})


def _rows(group: str, dataset: xr.Dataset, name: str) -> pd.DataFrame:
    figure = dataset[name]
    bounds = figure.to_dataset("bound") if "bound" in figure.dims else figure.to_dataset(name="estimate")
    if name == "value":  # the figure that a reason belongs to
        bounds["reason"] = dataset["reason"]
    if group == "distance" and name in CALIBRATED:
        bounds = bounds.assign_coords(reward=[f"{name}: {reward}" for reward in bounds["reward"].values])
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


def reward_figures(tree: xr.DataTree, reward: str) -> dict[str, dict[str, CardFigure]]:
    """Section → label → {"estimate", "low", "high"} (None if undefined, then with a "reason").

    A section is a group, or a group on one coverage: "correlation, expert". It has the figures of `reward` and those
    that belong to no reward (returns, calibration); /retraining has those of all rewards, because it compares them. The
    figures of single seeds are left out, and so are the controls of correlations other than Pearson's.

    Raises ValueError as `to_dataframe` does.
    """
    table = to_dataframe(tree)
    control = table["control"].isin(["", "none"]) | (table["metric"] == "pearson")
    calibration = [f"{name}: {reward}" for name in CALIBRATED]
    mine = table["reward"].isin([reward, "", *calibration, "random", "off_support"]) | (table["group"] == "retraining")
    sections: dict[str, dict[str, CardFigure]] = {}
    for _, row in table[mine & control & table["seed"].isna()].iterrows():
        section = row["group"] + (f", {row['coverage']}" if row["coverage"] else "")
        sections.setdefault(section, {})[_label(row, reward)] = _reward_figure(row)
    return sections


def _label(row: pd.Series, reward: str) -> str:
    parts = [row[name] for name in _LABELS if row[name]]
    whose = "" if row["reward"] in ("", reward) else f" ({row['reward'].removesuffix(f': {reward}')})"
    return ", ".join(parts) + _CONTROLLED.get(row["control"], "") + whose


def _reward_figure(row: pd.Series) -> CardFigure:
    figure: CardFigure = {name: float(row[name]) if math.isfinite(row[name]) else None for name in BOUND}
    return figure | ({"reason": str(row["reason"])} if row["reason"] else {})


def to_markdown(
    tree: xr.DataTree,
    group: str = "correlation",
    *,
    where: Mapping[str, str] | None = None,
    across: Sequence[str] | None = None,
    digits: int = 2,
) -> str:
    """The figures of a group as a Markdown table, "estimate [low, high]" in each cell, the best of a column in bold.

    Best is the highest correlation, return or share that the truth explains, and the lowest distance, regret or
    residual share, among rows that differ in the reward (or the policy) alone; rows that print the same digits are best
    together. Other figures, such as the share of shaping, have no best. The true reward and constants are never marked.
    An undefined figure is "–"; rows and columns in which nothing was measured, which `stack_runs` and `merge_results`
    can leave, are left out.

    Args:
        tree: the results.
        group: "correlation", "distance", "returns", "retraining", or another group with figures.
        where: column of `to_dataframe` → the one label to keep; correlations are Pearson's by default.
        across: the labels that become columns; default level and control for correlations, else the metric. The other
            labels that vary become the first columns.
        digits: the number of decimals.

    Raises ValueError for a group, column or label that is not in the results.
    """
    table = _cells(tree, group, where or {}, across, digits)
    head = [*table.index, *(", ".join(filter(None, column)) for column in table.columns)]
    lines = [f"| {' | '.join(map(_cell, head))} |", f"|{'---|' * len(table.index)}{'---:|' * len(table.columns)}"]
    for row, cells, best in zip(table.rows, table.cells, table.best, strict=True):
        shown = [f"**{text}**" if bold else text for text, bold in zip(cells, best, strict=True)]
        lines.append(f"| {' | '.join([*map(_cell, row), *shown])} |")
    return "\n".join(lines) + "\n"


def to_latex(
    tree: xr.DataTree,
    group: str = "correlation",
    *,
    where: Mapping[str, str] | None = None,
    across: Sequence[str] | None = None,
    digits: int = 2,
) -> str:
    """Like `to_markdown`, as a LaTeX tabular with the rules of booktabs; intervals are in small type."""
    table = _cells(tree, group, where or {}, across, digits)
    head = [*table.index, *(", ".join(filter(None, column)) for column in table.columns)]
    lines = [
        rf"\begin{{tabular}}{{{'l' * len(table.index)}{'r' * len(table.columns)}}}",
        r"\toprule",
        rf"{' & '.join(map(_escaped, head))} \\",
        r"\midrule",
    ]
    for row, cells, best in zip(table.rows, table.cells, table.best, strict=True):
        shown = [_latex_cell(text, bold) for text, bold in zip(cells, best, strict=True)]
        lines.append(rf"{' & '.join([*map(_escaped, row), *shown])} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def fixed(value: float, digits: int = 2, *, grouped: bool = False) -> str:
    """A number with this many decimals and a true minus sign; a number that rounds to 0 has no sign."""
    text = f"{value:{',' if grouped else ''}.{digits}f}"
    return (text[1:] if text.startswith("-") and not text.strip("-0.") else text).replace("-", MINUS)


@dataclass(frozen=True)
class _Cells:
    """Row labels, column labels (one tuple each), the cells as strings, and which of them are the best."""

    index: Sequence[str]
    rows: Sequence[Sequence[str]]
    columns: Sequence[Sequence[str]]
    cells: Sequence[Sequence[str]]
    best: Sequence[Sequence[bool]]


def _cells(
    tree: xr.DataTree, group: str, where: Mapping[str, str], across: Sequence[str] | None, digits: int
) -> _Cells:
    table = to_dataframe(tree)
    _known(group, sorted(set(table["group"])), "The results hold the groups")
    table = table[table["group"] == group]
    across = list(_ACROSS.get(group, ("metric",)) if across is None else across)
    chosen = {"metric": "pearson"} if group == "correlation" and "metric" not in (*where, *across) else {}
    if "pearson" not in set(table["metric"]):
        chosen = {}
    for column, label in {**chosen, **where}.items():
        _known(column, LABELS, "The labels of a figure are")
        _known(str(label), sorted({str(v) for v in table[column]}), f"'{column}' is one of")
        table = table[table[column].astype(str) == str(label)]
    for column in across:
        _known(column, LABELS, "The labels of a figure are")
    table = _measured(table, [c for c in LABELS if c not in across])
    table = _measured(table, across)
    index = [c for c in LABELS if c not in across and table[c].nunique(dropna=False) > 1]
    index = index or [next((c for c in ("reward", "policy") if c not in across and (table[c] != "").any()), "group")]
    rows = _distinct(table, index)
    columns = _distinct(table, across)
    keys = list(zip(_keys(table, index), _keys(table, across), strict=True))
    better = dict(zip(keys, map(_better, table["group"], table["metric"], table["part"]), strict=True))
    figures = zip(*(table[bound].tolist() for bound in BOUND), strict=True)
    place = dict(zip(keys, figures, strict=True))
    nothing = (np.nan, np.nan, np.nan)
    bounds = [[place.get((row, column), nothing) for column in columns] for row in rows]
    printed = np.array([[float(f"{cell[0]:.{digits}f}") for cell in line] for line in bounds])
    signs = np.array([[better.get((row, column), 0) for column in columns] for row in rows])
    best = _best(np.where(signs == 0, np.nan, signs * printed), index, rows, columns)
    cells = [[_figure(cell, digits) for cell in line] for line in bounds]
    return _Cells(index, rows, columns, cells, best.tolist())


def _measured(table: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """The table without the rows or columns, by their labels, in which nothing was measured."""
    measured = table["estimate"].notna() | ~table["reason"].isin(["", NOT_MEASURED])
    keys = _keys(table, labels)
    kept = {key for key, known in zip(keys, measured, strict=True) if known}
    return table[[key in kept for key in keys]] if kept else table


def _better(group: str, metric: str, part: str) -> int:
    """1 if the highest figure is the best, −1 if the lowest is, 0 if none is."""
    if group in ("correlation", "distance"):
        return 1 if group == "correlation" else -1
    if group == "decomposition":
        return _BETTER_PART.get(part, 0) if metric == "value" else 0
    return _BETTER.get(group, {}).get(metric, 0)


def _best(
    scores: np.ndarray, index: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[Sequence[str]]
) -> np.ndarray:
    """Whether a cell is the best among the rows that share all labels except the reward's and the policy's."""
    best = np.zeros(scores.shape, dtype=bool)
    rivals = [n for n, name in enumerate(index) if name in ("reward", "policy")]
    competing = np.array([_competes(row[n] for n in rivals) for row in rows])
    blocks = [tuple(label for n, label in enumerate(row) if n not in rivals) for row in rows]
    for block in dict.fromkeys(blocks):
        members = np.flatnonzero([b == block for b in blocks] & competing)
        for column, labels in enumerate(columns):
            those = scores[members, column]
            if np.isfinite(those).sum() > 1 and _competes(labels):
                best[members[those == np.nanmax(those)], column] = True
    return best


def _distinct(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(_keys(table, columns)))


def _keys(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    names = ([("" if pd.isna(label) else str(label)) for label in table[c]] for c in columns)
    return list(zip(*names, strict=True)) if columns else [()] * len(table)


def _figure(bounds: tuple[float, float, float], digits: int) -> str:
    estimate, low, high = bounds
    if np.isnan(estimate):
        return "–"
    interval = f" [{fixed(low, digits)}, {fixed(high, digits)}]" if np.isfinite(low) and low != high else ""
    return f"{fixed(estimate, digits)}{interval}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _latex_cell(text: str, bold: bool) -> str:
    estimate, _, interval = text.partition(" ")
    figure = rf"\mathbf{{{estimate}}}" if bold else estimate
    shown = "--" if estimate == "–" else f"${figure}$".replace("−", "-")
    return f"{shown} {{\\small ${interval}$}}".replace("−", "-") if interval else shown


def _escaped(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {c: f"\\{c}" for c in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)


def _known(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise ValueError(f"{what} {', '.join(known) or 'none'}; got '{name}'.{did_you_mean(name, known)}")
