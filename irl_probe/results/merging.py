"""Many results in one tree: rewards side by side, runs stacked along a new dimension, and their average."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from irl_probe.metrics import iqm, stratified_bootstrap
from irl_probe.metrics.bootstrap import OVER_SEEDS, Estimate
from irl_probe.results.schema import (
    BOUND,
    NOT_MEASURED,
    SCHEMA,
    Json,
    Variable,
    checked,
    join_results,
    new_results,
    validate,
)

RunDim = Literal["seed", "task", "variant"]
Statistic = Literal["mean", "iqm"]

_SEEDED = ("retraining", "transfer")  # groups with a seed dimension of their own
_RAW = {"returns": ("returns", "lengths"), "transfer": ("return_mean", "seed")}  # left out when runs are stacked
_RANGE = {"correlation": (-1.0, 1.0), "ranking": (-1.0, 1.0), "distance": (0.0, np.inf)}  # intervals end there
_SHARED = (
    "title",
    "env_id",
    "gamma",
    "temperature",
    "seed",
    "reward_kind",
    "expectation",
    "terminal",
    "true_reward",
    "beside",
)


def merge_results(*trees: xr.DataTree) -> xr.DataTree:
    """One tree with the groups of all trees; a group that is in several is merged along its labels (`xr.merge`).

    For results of one environment that were made separately: a second reward, another coverage, a retraining. If a
    figure is in only some trees, the merged tree has NaN for the others with a reason. Attributes are joined as in
    `join_results`.

    Raises ValueError if two trees hold different figures under the same labels, if a coverage's steps differ, if both
    hold a learner's log or a grid, or if they disagree on the environment, γ or α.
    """
    groups: dict[str, list[xr.Dataset]] = {}
    for tree in trees:
        for path, dataset in checked(tree).items():
            groups.setdefault(path, []).append(dataset)
    merged = {path: _merged(path, parts) for path, parts in groups.items()}
    return join_results(*(_root(tree) for tree in trees), new_results(merged))


def stack_runs(runs: Mapping[str, xr.DataTree] | Mapping[int, xr.DataTree], dim: RunDim) -> xr.DataTree:
    """Stack runs along a new first dimension of every group (`xr.concat`), for several seeds, tasks or variants.

    Labels that only some runs hold are undefined in the others, with a reason. Along "seed", /retraining keeps its own
    seed dimension; if two runs share a seed, all seeds are renumbered. Left out are /points (raw steps, which differ in
    number), /returns' single episodes and, along "seed", /transfer's single seeds; the figures computed from them are
    stacked. Attributes that all runs share stay; the other attributes of each run are in the attribute `runs`, as JSON
    by label.

    Raises ValueError if there is no run, for another `dim`, or if a run is already stacked along it.
    """
    if dim not in get_args(RunDim):
        raise ValueError(f"Runs are stacked along one of {', '.join(get_args(RunDim))}; got {dim!r}.")
    if not runs:
        raise ValueError("There must be at least one run to stack; got none.")
    labels = pd.Index(list(runs), name=dim)
    groups: dict[str, list[tuple[int, xr.Dataset]]] = {}
    for place, tree in enumerate(runs.values()):
        for path, dataset in checked(tree).items():
            if dim in dataset.dims and path not in _SEEDED:
                raise ValueError(f"Run '{labels[place]}' is stacked along '{dim}' already (group '/{path}').")
            if not path.startswith("points/"):
                groups.setdefault(path, []).append((place, dataset))
    stacked = {path: _stacked(path, parts, labels) for path, parts in groups.items()}
    attributes = [dict(tree.attrs) for tree in runs.values()]
    first = attributes[0]
    shared = {n: first[n] for n in _SHARED if n in first and all(a.get(n) == first[n] for a in attributes)}
    own: dict[str, Json] = {
        str(label): {str(n): v for n, v in tree.attrs.items() if n not in (*shared, "format", "schema")}
        for label, tree in runs.items()
    }
    tree = new_results(stacked)
    tree.attrs |= {**shared, "runs": json.dumps(own), "stacked": ",".join([dim, *_dims_stacked(first)])}
    validate(tree)
    return tree


def average_runs(
    tree: xr.DataTree,
    dim: RunDim = "seed",
    *,
    statistic: Statistic = "mean",
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> xr.DataTree:
    """The average of stacked runs: each figure's centre over `dim`, with an interval over runs, not over episodes.

    These intervals say what to expect of another run (`metrics.stratified_bootstrap`); fewer than three runs have
    none. /learning keeps its runs (`plots.learning_curve` shows their
    interquartile mean), /retraining its seeds, and /grid is the mean. The numbers of episodes in /coverages are left
    out, because intervals no longer come from episodes. A figure that is undefined in a run is undefined in the
    average.

    Args:
        tree: from `stack_runs`.
        dim: which dimension to average over.
        statistic: "mean", or "iqm" for the interquartile mean.
        confidence: the confidence level of the intervals.
        resamples: the number of bootstrap resamples of the runs.
        seed: the seed of the bootstrap.

    Raises ValueError if nothing is stacked along `dim`, or for another statistic.
    """
    if statistic not in get_args(Statistic):
        raise ValueError(f"The statistic must be one of {', '.join(get_args(Statistic))}; got {statistic!r}.")
    groups = checked(tree)
    if dim not in _dims_stacked(tree.attrs):
        raise ValueError(f"Nothing is stacked along '{dim}' here; stack_runs({{label: tree, ...}}, '{dim}') does it.")

    def centre(scores: np.ndarray) -> Estimate:
        if not np.isfinite(scores).all():
            return Estimate.undefined("It is undefined in at least one run.")
        return stratified_bootstrap(
            scores,
            statistic=(lambda rows: rows.mean(axis=1)) if statistic == "mean" else (lambda rows: iqm(rows, axis=1)),
            confidence=confidence,
            resamples=resamples,
            seed=seed,
        )

    averaged = {path: _averaged(path, data, dim, centre) for path, data in groups.items() if path != "coverages"}
    result = new_results(averaged)
    kept = {name: value for name, value in tree.attrs.items() if name not in ("created", "versions", "stacked")}
    others = ",".join(d for d in _dims_stacked(tree.attrs) if d != dim)
    kept |= {"stacked": others} if others else {}
    result.attrs |= {**kept, "averaged": f"{statistic} over {dim}", "runs_averaged": _count(tree, groups, dim)}
    validate(result)
    return result


def _dims_stacked(attributes: Mapping[Hashable, object]) -> list[str]:
    return [dim for dim in str(attributes.get("stacked", "")).split(",") if dim]


def _count(tree: xr.DataTree, groups: Mapping[str, xr.Dataset], dim: str) -> int:
    """How many runs are stacked along `dim`. The seeds of /retraining do not count: a run may hold several."""
    if _dims_stacked(tree.attrs)[0] == dim:
        return len(json.loads(str(tree.attrs["runs"])))
    return max(
        (data.sizes[dim] for path, data in groups.items() if dim in data.dims and path != "retraining"), default=1
    )


def _root(tree: xr.DataTree) -> xr.DataTree:
    """The tree without its groups."""
    return xr.DataTree(xr.Dataset(attrs=tree.attrs))


def _merged(path: str, parts: Sequence[xr.Dataset]) -> xr.Dataset:
    if len(parts) == 1:
        return parts[0]
    kind = path.partition("/")[0]
    if kind in ("learning", "grid"):
        raise ValueError(
            f"A tree can have only one '/{path}'; {len(parts)} results hold it. Stack runs with stack_runs, or leave "
            "it out."
        )
    if kind == "points":
        _check_same_steps(path, parts)
    if kind == "coverages":  # the fewest episodes if parts differ
        return xr.concat(parts, "part", join="outer").min("part", keep_attrs=True)
    try:
        merged = xr.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop_conflicts")
    except xr.MergeError as error:
        raise ValueError(
            f"Results can be merged if they hold different rewards or coverages; '/{path}' holds other figures "
            "under the same labels. Rename a reward, or stack the runs with stack_runs."
        ) from error
    return _explained(kind, merged)


def _check_same_steps(path: str, parts: Sequence[xr.Dataset]) -> None:
    for other in parts[1:]:
        if any(not parts[0][name].equals(other[name]) for name in ("episode", "true")):
            raise ValueError(
                f"Rewards can be shown side by side on the same steps only; '/{path}' holds different ones. "
                "Compare the rewards in one go, or give the coverages different names."
            )


def _stacked(path: str, parts: Sequence[tuple[int, xr.Dataset]], labels: pd.Index) -> xr.Dataset:
    kind = path.partition("/")[0]
    datasets = [data for _, data in parts]
    if kind == "returns" or (kind == "transfer" and labels.name == "seed"):
        datasets = [data.drop_vars(_RAW[kind], errors="ignore") for data in datasets]
    if kind == "retraining" and labels.name == "seed":
        seeds = [int(s) for data in datasets for s in data["seed"].values]
        if len(set(seeds)) < len(seeds):
            seeds = list(range(len(seeds)))
        pooled = xr.concat(
            [data.drop_vars(["mean", "normalised_mean"], errors="ignore") for data in datasets],
            dim="seed",
            join="outer",
            combine_attrs="drop_conflicts",
        )
        return _with_centres(pooled.assign_coords(seed=seeds))
    index = labels[[place for place, _ in parts]]
    stacked = xr.concat(
        datasets, dim=index, data_vars="all", coords="minimal", join="outer", combine_attrs="drop_conflicts"
    )
    return _explained(kind, stacked.reindex({str(labels.name): labels}))


def _with_centres(retraining: xr.Dataset) -> xr.Dataset:
    """/retraining with the mean over seeds and its interval."""
    for name, centred in (("return_mean", "mean"), ("normalised", "normalised_mean")):
        if name in retraining:
            rows = []
            for reward in retraining["reward"].values:
                scores = retraining[name].sel(reward=reward).dropna("seed").values
                found = stratified_bootstrap(scores, statistic=lambda r: r.mean(axis=1)) if scores.size else None
                rows.append(np.full(3, np.nan) if found is None else found.array)
            retraining = retraining.assign_coords(bound=list(BOUND))
            retraining[centred] = (("reward", "bound"), np.stack(rows), dict(retraining[name].attrs))
    return retraining.assign_attrs(interval=OVER_SEEDS)


def _averaged(path: str, data: xr.Dataset, dim: str, centre: Callable[[np.ndarray], Estimate]) -> xr.Dataset:
    kind = path.partition("/")[0]
    if dim not in data.dims or kind in ("learning", "retraining"):  # these keep their runs
        return data
    if kind == "grid":
        return data.mean(dim, keep_attrs=True)
    result = data.drop_dims(dim).drop_vars(dim, errors="ignore")
    for name, variable in data.data_vars.items():
        if dim not in variable.dims or name == "reason":
            continue
        if "bound" not in variable.dims:  # regrets are averaged; names and settings are those of the first run
            numbers = variable.dtype.kind == "f"
            result[name] = variable.mean(dim, keep_attrs=True) if numbers else variable.isel({dim: 0}, drop=True)
            continue
        scores = variable.sel(bound="estimate").transpose(..., dim)
        cells = np.array([centre(row).array for row in scores.values.reshape(-1, scores.shape[-1])])
        cells = cells.clip(*_RANGE.get(kind, (-np.inf, np.inf)))
        dims = (*scores.dims[:-1], "bound")
        shaped = xr.DataArray(cells.reshape(*scores.shape[:-1], 3), dims=dims, attrs=variable.attrs)
        result[name] = shaped.transpose(*(d for d in variable.dims if d != dim))
    if "reason" in data:
        gone = result["value"].sel(bound="estimate", drop=True).isnull()
        reasons = data["reason"].reduce(_first_reason, dim)
        result["reason"] = reasons.where(gone, "").astype(str)
    coordinates = {d: data[d] for d in result.dims if d in data.coords}
    return result.assign_coords(coordinates).assign_attrs({**data.attrs, "interval": OVER_SEEDS})


def _first_reason(reasons: np.ndarray, axis: int | tuple[int, ...] | None = None, **_: object) -> np.ndarray:
    """Along an axis, the first reason that is not empty."""
    place = axis[0] if isinstance(axis, tuple) else axis
    assert place is not None
    first = (np.moveaxis(reasons, place, 0) != "").argmax(axis=0)
    found: np.ndarray = np.take_along_axis(np.moveaxis(reasons, place, 0), first[None], axis=0)[0]
    return found


def _explained(kind: str, data: xr.Dataset) -> xr.Dataset:
    """`data` with dims in the schema's order, and a reason for each figure that joining the labels left undefined."""
    ordered = xr.Dataset(coords=data.coords, attrs=data.attrs)
    for name, array in data.data_vars.items():
        variable = SCHEMA[kind].get(str(name), SCHEMA[kind].get("*", Variable(())))
        runs = [d for d in array.dims if d not in variable.dims]
        ordered[name] = array.transpose(*runs, *(d for d in variable.dims if d in array.dims))
    if "reason" in ordered:
        reason = ordered["reason"].fillna("").astype(str)
        missing = ordered["value"].sel(bound="estimate", drop=True).isnull() & (reason == "")
        ordered["reason"] = reason.where(~missing, NOT_MEASURED).astype(str)
    return ordered
