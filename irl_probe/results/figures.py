"""The figures of one reward as plain nested values: what its card shows."""

from __future__ import annotations

import math

import pandas as pd
import xarray as xr

from irl_probe.results.files import to_dataframe
from irl_probe.results.schema import BOUND

Figure = dict[str, float | str | None]
CONTROLS = {"none": "", "constant": ", of a constant reward", "length": ", length partialled out"}
_LABELS = ("variant", "policy", "part", "metric", "level")


def reward_figures(tree: xr.DataTree, reward: str) -> dict[str, dict[str, Figure]]:
    """Section → label → {"estimate", "low", "high"} (None where undefined, then with a "reason").

    Sections are the groups, each coverage of its own: "correlation, expert". Kept is what belongs to `reward` and what
    belongs to no reward (returns, calibration); of /retraining all rewards, for it compares them. The figures of single
    seeds are left out, and of the correlations' controls those of Pearson alone are kept.

    Raises ValueError as `to_dataframe` does.
    """
    table = to_dataframe(tree)
    control = table["control"].isin(["", "none"]) | (table["metric"] == "pearson")
    mine = table["reward"].isin([reward, "", "shaped", "random", "off_support"]) | (table["group"] == "retraining")
    sections: dict[str, dict[str, Figure]] = {}
    for _, row in table[mine & control & table["seed"].isna()].iterrows():
        section = row["group"] + (f", {row['coverage']}" if row["coverage"] else "")
        sections.setdefault(section, {})[_label(row, reward)] = _figure(row)
    return sections


def _label(row: pd.Series, reward: str) -> str:
    parts = [row[name] for name in _LABELS if row[name]]
    whose = "" if row["reward"] in ("", reward) else f" ({row['reward']})"
    return ", ".join(parts) + CONTROLS.get(row["control"], "") + whose


def _figure(row: pd.Series) -> Figure:
    figure: Figure = {name: float(row[name]) if math.isfinite(row[name]) else None for name in BOUND}
    return figure | ({"reason": str(row["reason"])} if row["reason"] else {})
