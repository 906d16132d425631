"""The schema of a results tree; functions that make, join and check a tree."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import xarray as xr

from irl_probe._words import did_you_mean, listed
from irl_probe.metrics.bootstrap import OVER_SEEDS

FORMAT = "irl_probe results"
SCHEMA_VERSION = 3
OLDER = (1, 2)  # schemas that load_results converts to the present one
BOUND = ("estimate", "low", "high")
UNDISCOUNTED = "undiscounted"  # of figures of plain sums of rewards, beside the discounted ones
NOT_MEASURED = "It was not measured in this run."  # the reason of figures that combined results lack
BIASED = "Measured by an estimator that was found biased: compare again."  # the reason of old sampled distances
RUN_DIMS = ("task", "variant", "seed")  # of stacked runs: they may stand before any variable's own dims
# How the intervals of a group are made, for its attribute "interval"; those of averaged runs are OVER_SEEDS.
_PERCENTILES, _BCA = "over episodes: percentile bootstrap", "over episodes: BCa bootstrap, widened for few episodes"
_PAIRS = "over episodes: the signs of the differences that the policies' means leave open"
INTERVALS: Mapping[str, str] = {
    "returns": _PERCENTILES,
    "correlation": _PERCENTILES,
    "ranking": _PAIRS,
    "distance": _BCA,
    "decomposition": _BCA,
    "retraining": OVER_SEEDS,
    "transfer": OVER_SEEDS,
}
DROPPED = "none: the file is of an older schema, whose intervals over seeds were too narrow"
PACKAGES = ("irl_probe", "numpy", "scipy", "torch", "gymnasium", "mujoco", "xarray")

Json = str | float | int | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True)
class Variable:
    """One array of a group: its dims, its unit, and whether the group may come without it."""

    dims: tuple[str, ...]
    units: str = ""
    optional: bool = False


_CORRELATION = ("reward", "reference", "coverage", "metric", "level", "control")
_DISTANCE = ("reward", "reference", "coverage", "metric")
_DECOMPOSITION = ("reward", "reference", "coverage", "part")
_RETURN, _NORMALISED = "true reward per episode", "random 0, expert 1"
_TRANSFERRED, _REGRET = "random 0, trained on the true reward 1", "regret, 0 where optimal"

SCHEMA: Mapping[str, Mapping[str, Variable]] = {
    "coverages": {"episodes": Variable(("coverage",), "episodes")},
    "learning": {"*": Variable(("step",), optional=True)},
    "returns": {
        "returns": Variable(("policy", "episode"), _RETURN, optional=True),
        "lengths": Variable(("policy", "episode"), "steps", optional=True),
        "mean": Variable(("policy", "bound"), _RETURN),
        "normalised": Variable(("policy", "bound"), _NORMALISED, optional=True),
    },
    "correlation": {
        "value": Variable((*_CORRELATION, "bound"), "correlation, -1 to 1"),
        "reason": Variable(_CORRELATION),
    },
    "distance": {
        "value": Variable((*_DISTANCE, "bound"), "distance, 0 where equivalent"),
        "reason": Variable(_DISTANCE),
        "shaped": Variable((*_DISTANCE, "bound"), "distance of the truth to the truth + shaping", optional=True),
        "shaped_10": Variable((*_DISTANCE, "bound"), "of the truth to the truth + 10 × shaping", optional=True),
        "random": Variable((*_DISTANCE[1:], "bound"), "distance of the truth to a random reward", optional=True),
        "off_support": Variable(_DISTANCE[2:], "share of the queried transitions", optional=True),
    },
    "decomposition": {
        "value": Variable((*_DECOMPOSITION, "bound"), "share of the recovered reward's variance"),
        "reason": Variable(_DECOMPOSITION),
        "scale": Variable((*_DECOMPOSITION[:3], "bound"), "recovered per true reward"),
    },
    "ranking": {
        "value": Variable(("reward", "bound"), "Kendall τ_b of discounted returns, -1 to 1"),
        "reason": Variable(("reward",)),
        "constant": Variable(("reward", "bound"), "Kendall τ_b of a constant reward's discounted returns"),
        "true": Variable(("reward", "policy"), "true reward, discounted sum"),
        "recovered": Variable(("reward", "policy"), "recovered reward, discounted sum"),
        "gamma": Variable(("reward",), "discount per step", optional=True),
        "cut": Variable(("reward", "policy"), "discount left at time limits", optional=True),
        f"{UNDISCOUNTED}_value": Variable(("reward", "bound"), "Kendall τ_b of undiscounted returns", optional=True),
        f"{UNDISCOUNTED}_constant": Variable(("bound",), "Kendall τ_b of episode length", optional=True),
        f"{UNDISCOUNTED}_true": Variable(("policy",), _RETURN, optional=True),
        f"{UNDISCOUNTED}_recovered": Variable(("reward", "policy"), "recovered reward per episode", optional=True),
    },
    "points": {
        "episode": Variable(("step",)),
        "true": Variable(("step",), "true reward per step"),
        "recovered": Variable(("reward", "step"), "recovered reward per step, known up to scale and shaping"),
    },
    "retraining": {
        "return_mean": Variable(("reward", "seed"), _RETURN),
        "normalised": Variable(("reward", "seed"), _NORMALISED, optional=True),
        "mean": Variable(("reward", "bound"), _RETURN, optional=True),
        "normalised_mean": Variable(("reward", "bound"), _NORMALISED, optional=True),
    },
    "transfer": {
        "return_mean": Variable(("variant", "policy", "seed"), _RETURN, optional=True),
        "mean": Variable(("variant", "policy", "bound"), _RETURN),
        "value": Variable(("variant", "policy", "bound"), _TRANSFERRED),
        "reason": Variable(("variant", "policy")),
        "overall": Variable(("policy", "bound"), _TRANSFERRED, optional=True),
        "regret_greedy": Variable(("variant", "policy"), _REGRET, optional=True),
        "regret_soft": Variable(("variant", "policy"), _REGRET, optional=True),
        "parameter": Variable(("variant",)),
        "factor": Variable(("variant",)),
    },
    "grid": {
        "true_reward": Variable(("row", "col"), "true reward per step"),
        "recovered_reward": Variable(("kind", "row", "col"), "recovered reward per step"),
        "true_value": Variable(("row", "col"), "true reward, discounted sum", optional=True),
        "recovered_value": Variable(("kind", "row", "col"), "recovered reward, discounted sum", optional=True),
    },
}


def new_results(
    groups: Mapping[str, xr.Dataset],
    *,
    title: str | None = None,
    env_id: str | None = None,
    gamma: float | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    reward_kind: str | None = None,
    expectation: str | None = None,
    terminal: str | None = None,
    true_reward: str | None = None,
    stochastic: bool | None = None,
    demonstrations: Mapping[str, Json] | None = None,
    config: Mapping[str, Json] | None = None,
    beside: Mapping[str, str] | None = None,
) -> xr.DataTree:
    """A results tree of `groups` with the root's attributes; None leaves an attribute out.

    Args:
        groups: path ("correlation", "points/expert", ...) → dataset, as the builders of `irl_probe.results` make it.
        title: one line for a human.
        env_id: the environment's Gymnasium id.
        gamma: discount γ per environment step.
        temperature: α, in units of the recovered reward: the policy is softmax(Q/α).
        seed: the seed of the run.
        reward_kind: "per-transition" for Q(s, a) − γV(s′), "marginal" for Q(s, a) − γE[V(s′)]; if rewards differ,
            several values with commas, as for the next two.
        expectation: which E over s′ was taken ("exact", "resettable simulator", "observed s′", ...).
        terminal: "zero" for V = 0 after termination, "absorbing" for the value of an absorbing state.
        true_reward: where the true reward comes from and what is inexact about it.
        stochastic: whether the environment's transitions are random.
        demonstrations: their description, as `describe()` gives it.
        config: one mapping for each verb that was run, e.g. {"compare": {...}}.
        beside: rewards that are here for comparison and are not judged → what each is.

    `format`, `schema`, `created` (UTC) and `versions` are added. NetCDF attributes are strings and numbers only, so
    demonstrations, config, beside and versions are stored as JSON, and stochastic as 0 or 1.

    Raises ValueError as `validate` does.
    """
    attributes: dict[str, str | float | int | None] = {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "title": title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": json.dumps(package_versions()),
        "env_id": env_id,
        "gamma": gamma,
        "temperature": temperature,
        "seed": seed,
        "reward_kind": reward_kind,
        "expectation": expectation,
        "terminal": terminal,
        "true_reward": true_reward,
        "stochastic": None if stochastic is None else int(stochastic),
        "demonstrations": None if demonstrations is None else json.dumps(demonstrations),
        "config": json.dumps(config or {}),
        "beside": None if beside is None else json.dumps(beside),
    }
    root = xr.Dataset(attrs={name: value for name, value in attributes.items() if value is not None})
    tree = xr.DataTree.from_dict({"/": root, **groups})
    validate(tree)
    return tree


def join_results(*trees: xr.DataTree) -> xr.DataTree:
    """One tree with the groups of all, e.g. of a training run, compare and retrain.

    Configs are merged verb by verb and hashes kind by kind. Every other attribute is that of the first tree that has
    it, but `created` and `versions` are new.

    Raises ValueError if two trees hold the same group, or disagree on the environment, γ or α.
    """
    attributes: dict[str, str | float | int] = {}
    groups: dict[str, xr.Dataset] = {}
    config: dict[str, Json] = {}
    hashes: dict[str, dict[str, str]] = {}
    for tree in trees:
        for path, dataset in checked(tree).items():
            if path in groups:
                raise ValueError(f"Each group may come from one tree only; two trees hold '/{path}'. Leave one out.")
            groups[path] = dataset
        for name in ("env_id", "gamma", "temperature"):
            ours, theirs = attributes.get(name), tree.attrs.get(name)
            if None not in (ours, theirs) and ours != theirs:
                raise ValueError(
                    f"Results can be joined only if they agree on '{name}'; got {ours!r} and {theirs!r}. "
                    "Keep them in two files."
                )
        attributes = {**{str(name): value for name, value in tree.attrs.items()}, **attributes}
        config |= json.loads(tree.attrs["config"])
        for kind, named in json.loads(str(tree.attrs.get("hashes", "{}"))).items():
            hashes[kind] = {**named, **hashes.get(kind, {})}
    joined = new_results(groups, config=config)
    joined.attrs = {**attributes, **joined.attrs}
    if hashes:
        joined.attrs["hashes"] = json.dumps(hashes)
    return joined


def package_versions() -> dict[str, str]:
    """Version of Python and of each installed package that can change a figure."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def validate(tree: xr.DataTree) -> None:
    """Check a tree against `SCHEMA`.

    Raises ValueError if the root does not name this format and schema version, if a group or variable is unknown or
    missing or has other dims than the schema's, or if an undefined (NaN) figure has no reason.
    """
    checked(tree)


def checked(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Path → dataset of every group that holds data, without the root; each group is read once.

    Raises ValueError as `validate` does.
    """
    if tree.attrs.get("format") != FORMAT:
        raise ValueError(
            f"A results tree must carry the attribute format='{FORMAT}'; got {tree.attrs.get('format')!r}. "
            "Make it with new_results, or with compare, retrain or probe."
        )
    if tree.attrs.get("schema") != SCHEMA_VERSION:
        raise ValueError(
            f"This version of irl_probe reads results of schema {listed([*map(str, OLDER), str(SCHEMA_VERSION)])}; got "
            f"{tree.attrs.get('schema')!r}. Read them with load_results, or with the version named in the attribute "
            "'versions', or make them again."
        )
    absent = [name for name in ("created", "versions", "config") if name not in tree.attrs]
    if absent:
        raise ValueError(f"A results tree must carry the attributes {absent} too; make it with new_results.")
    nodes = {node.path.strip("/"): node for node in tree.subtree}
    found = {path: node.to_dataset() for path, node in nodes.items() if path}
    groups = {path: data for path, data in found.items() if data.data_vars or not nodes[path].children}
    for path, dataset in groups.items():
        kind, _, coverage = path.partition("/")
        if kind not in SCHEMA or "/" in coverage or (kind == "points") != bool(coverage):
            known = [kind if kind != "points" else "points/<coverage>" for kind in SCHEMA]
            raise ValueError(f"A group must be one of {', '.join(known)}; got '{path}'.{did_you_mean(path, known)}")
        _check_group(path, dataset, SCHEMA[kind])
    return groups


def current(tree: xr.DataTree) -> xr.DataTree:
    """Convert a tree of an older schema to the present one, in place; any other tree is not changed.

    Results of schema 1 stored their warnings, which are now computed when results are read. Up to schema 2, /ranking
    was about undiscounted returns only, and the sampled STARC distances were biased: they are taken out. Intervals over
    seeds were percentile bootstraps, which are too narrow: their ends become NaN, and the group's attribute "interval"
    says why.
    """
    if tree.attrs.get("format") == FORMAT and tree.attrs.get("schema") in OLDER:
        tree.attrs.pop("warnings", None)
        tree.attrs["schema"] = SCHEMA_VERSION
        if "ranking" in tree.children and f"{UNDISCOUNTED}_value" not in tree["ranking"]:
            tree["ranking"].dataset = _undiscounted_only(tree["ranking"].to_dataset())
        if "distance" in tree.children and not tree["distance"].attrs.get("exact"):
            tree["distance"].dataset = _without_starc(tree["distance"].to_dataset())
        for path, node in tree.children.items():
            exact = path == "transfer" and node.attrs.get("exact") and node.sizes.get("seed") == 1
            if ("averaged" in tree.attrs or INTERVALS.get(path) == OVER_SEEDS) and not exact:
                node.dataset = without_intervals(node.to_dataset())
    return tree


def without_intervals(data: xr.Dataset) -> xr.Dataset:
    """A group whose intervals have NaN ends, and an attribute that says why."""
    if "bound" not in data.coords:
        return data
    at = data["bound"] == "estimate"
    kept = {name: array.where(at) for name, array in data.data_vars.items() if "bound" in array.dims}
    return data.assign({name: array.transpose(*data[name].dims) for name, array in kept.items()}).assign_attrs(
        interval=DROPPED
    )


def _without_starc(distance: xr.Dataset) -> xr.Dataset:
    """A sampled /distance of schema 2 without VAL, Minimal and the calibration, whose estimators were biased."""
    biased = distance["metric"].isin(["starc_val", "starc_minimal"])
    reason = distance["reason"].astype(object).where(~biased, BIASED).astype(str)
    kept = distance.drop_vars("shaped", errors="ignore")
    return kept.assign(value=kept["value"].where(~biased), reason=reason)


def _undiscounted_only(ranking: xr.Dataset) -> xr.Dataset:
    """A /ranking of plain sums under the present names: its figures are undiscounted, and the others are missing."""
    old = ("value", "constant", "true", "recovered")
    found = ranking.rename({name: f"{UNDISCOUNTED}_{name}" for name in old if name in ranking})
    value, means = found[f"{UNDISCOUNTED}_value"], found[f"{UNDISCOUNTED}_recovered"]
    missing = {name: xr.full_like(value, float("nan")) for name in ("value", "constant")}
    missing |= {name: xr.full_like(means, float("nan")) for name in ("true", "recovered")}
    reason = xr.full_like(ranking["reason"], "Only the undiscounted order was measured.", dtype="<U64")
    return found.assign(missing).assign(reason=reason)


def _check_group(path: str, dataset: xr.Dataset, variables: Mapping[str, Variable]) -> None:
    missing = [name for name, variable in variables.items() if not variable.optional and name not in dataset]
    if missing:
        raise ValueError(f"Group '/{path}' must hold {missing}; it has {sorted(map(str, dataset.data_vars))}.")
    for key, array in dataset.data_vars.items():
        name = str(key)
        variable = variables.get(name, variables.get("*"))
        if variable is None:
            raise ValueError(f"'/{path}' may hold {', '.join(variables)}; got '{name}'.{did_you_mean(name, variables)}")
        if _own_dims(array.dims, variable.dims) != variable.dims:
            raise ValueError(f"'/{path}/{name}' must have the dims {variable.dims}; got {array.dims}.")
        if "bound" in array.dims and ("bound" not in array.coords or tuple(array["bound"].values) != BOUND):
            raise ValueError(f"'/{path}/{name}' must have the coordinate bound = {BOUND}; it has another or none.")
    if "reason" in variables:
        unexplained = dataset["value"].sel(bound="estimate").isnull() & (dataset["reason"] == "")
        if unexplained.any():
            first = [int(index[0]) for index in unexplained.values.nonzero()]
            where = {dim: str(dataset[dim].values[i]) for dim, i in zip(unexplained.dims, first, strict=True)}
            raise ValueError(f"An undefined figure (NaN) must have a reason; '/{path}' at {where} has none.")


def _own_dims(dims: tuple[Hashable, ...], wanted: tuple[str, ...]) -> tuple[Hashable, ...]:
    """The dims without those of stacked runs that come before the `wanted` ones."""
    while len(dims) > len(wanted) and dims[0] in RUN_DIMS:
        dims = dims[1:]
    return dims
