"""What the page's script needs to brush episodes: their totals, and both rewards along each of them, small."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from irl_probe.report.marks import Floats, thin
from irl_probe.report.plots import aggregate

BUDGET = 400_000  # bytes of all series together, before base64
FEWEST, MOST = 24, 240  # points of one episode's series

Block = dict[str, object]


def brush_data(tree: xr.DataTree, views: Sequence[tuple[str, str]]) -> Block:
    """For each coverage that is drawn: the episodes that are dots, and their series, by reward ("" is the truth).

    The episodes are those of `marks.episode_dots`, in the order of its dots. A series is the mean over as many
    stretches as the budget allows, as bytes between its `low` and `high`, base64, row by row of `points` bytes; a
    shorter episode fills the beginning of its row.
    """
    coverages = list(dict.fromkeys(coverage for _, coverage in views))
    chosen: dict[str, tuple[xr.Dataset, list[str], NDArray[np.int64]]] = {}
    series = 0
    for coverage in coverages:
        points = tree["points"][coverage].to_dataset()
        rewards = [reward for reward, c in views if c == coverage]
        totals = [aggregate(points["true"].values, points["episode"].values, "episode")]
        totals += [
            aggregate(points["recovered"].sel(reward=r).values, points["episode"].values, "episode") for r in rewards
        ]
        known = np.flatnonzero(np.isfinite(totals).all(axis=0))
        chosen[coverage] = points, rewards, np.asarray(thin(known), dtype=np.int64)
        series += len(chosen[coverage][2]) * (1 + len(rewards))
    size = int(np.clip(BUDGET // max(series, 1), FEWEST, MOST))
    return {"points": size, "coverages": {c: _coverage(*parts, size) for c, parts in chosen.items()}}


def _coverage(points: xr.Dataset, rewards: Sequence[str], shown: NDArray[np.int64], size: int) -> Block:
    episode = points["episode"].values
    starts = np.concatenate([[0], np.flatnonzero(np.diff(episode)) + 1])
    ends = np.append(starts[1:], len(episode))
    values = {"": points["true"].values} | {r: points["recovered"].sel(reward=r).values for r in rewards}
    return {
        "episode": [int(e) for e in episode[starts[shown]]],
        "length": [int(n) for n in (ends - starts)[shown]],
        "series": {name: _series(v, starts[shown], ends[shown], size) for name, v in values.items()},
    }


def _series(values: Floats, starts: NDArray[np.intp], ends: NDArray[np.intp], size: int) -> Block:
    rows = np.zeros((len(starts), size), dtype=np.uint8)
    low, high, total = (np.zeros(len(starts)) for _ in range(3))
    for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
        stretch = _shortened(values[start:end], size)
        low[row], high[row], total[row] = stretch.min(), stretch.max(), values[start:end].sum()
        spread = high[row] - low[row]
        rows[row, : len(stretch)] = np.round(255 * (stretch - low[row]) / spread) if spread > 0 else 0
    return {
        "low": _rounded(low),
        "high": _rounded(high),
        "total": _rounded(total),
        "bytes": base64.b64encode(rows.tobytes()).decode(),
    }


def _shortened(values: Floats, size: int) -> Floats:
    """The means of `size` stretches of nearly equal length; fewer values as they are."""
    if len(values) <= size:
        return values
    edges = np.linspace(0, len(values), size + 1).astype(int)[:-1]
    means: Floats = np.add.reduceat(values, edges) / np.diff(np.append(edges, len(values)))
    return means


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
