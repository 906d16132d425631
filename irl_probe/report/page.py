"""From a results tree to one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from irl_probe._files import whole_file
from irl_probe._types import Floats
from irl_probe.judgement.glossary import TERMS, term_of
from irl_probe.judgement.reading import rewards_of
from irl_probe.judgement.verdict import ANSWERED, RULES, answers, judge
from irl_probe.judgement.warnings import current_warnings
from irl_probe.report.drawing import thin
from irl_probe.report.plots import aggregate
from irl_probe.report.sections import sections, views
from irl_probe.report.tables import glance_table
from irl_probe.results import average_runs, validate


def provenance(
    attributes: Mapping[str, object], rewards: Sequence[str] = ()
) -> list[tuple[str, str | None, list[tuple[str, str]]]]:
    """(title, definition key, [(name, value), ...]) of what was learned from what, nested settings flattened.

    Of each of the `rewards` the hash is given, or said to be missing.
    """
    singles = [
        ("environment", None, "env_id"),
        ("discount γ", "gamma", "gamma"),
        ("temperature α", "temperature", "temperature"),
        ("kind of reward", "reward_kind", "reward_kind"),
        ("expectation over s′", "expectation", "expectation"),
        ("true reward taken from", "true", "true_reward"),
        ("terminal convention", "terminal", "terminal"),
        ("stochastic", None, "stochastic"),
        ("seed", None, "seed"),
        ("made on", None, "created"),
    ]
    blocks: list[tuple[str, str | None, list[tuple[str, str]]]] = []
    for label, term, name in singles:
        value = attributes.get(name)
        if name == "stochastic" and value is not None:
            value = "yes" if value else "no"
        blocks.append((label, term, [("", "not recorded" if value is None else str(value))]))
    for label in ("demonstrations", "config", "hashes", "versions"):
        lines = list(_flatten(_parsed(attributes.get(label))))
        lines = _without_defaults(lines) if label == "config" else lines
        blocks.append((label, None, lines + _without_hash(attributes, rewards) if label == "hashes" else lines))
    return blocks


def _without_defaults(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The names whose value is None together on one line: what was left to its default."""
    unset = [name for name, value in lines if value == "None"]
    told = [line for line in lines if line[1] != "None"]
    return [*told, ("left at the default", ", ".join(unset))] if unset else told


def _without_hash(attributes: Mapping[str, object], rewards: Sequence[str]) -> list[tuple[str, str]]:
    hashes = _parsed(attributes.get("hashes"))
    known = hashes.get("rewards", {}) if isinstance(hashes, dict) else {}
    why = "not recorded: a plain function has none, nor have results from before they were kept"
    return [(f"rewards.{reward}", why) for reward in rewards if reward not in known]


def _parsed(text: object) -> object:
    if not isinstance(text, str):
        return "not recorded" if text is None else text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _flatten(value: object, name: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for place, inner in enumerate(value):
            yield from _flatten(inner, f"{name}.{place}" if name else str(place))
    elif isinstance(value, list):
        yield name, ", ".join(str(item) for item in value)
    else:
        yield name, str(value)


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


Warned = dict[str, str]
WINDOW = 20  # steps of a partial sum where the results do not say, as in metrics.correlations


def write_report(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the results as one HTML page that needs no network and no other file; returns its path.

    The page is written whole or not at all, and a group of results that is absent is left out of it. Runs stacked along
    "seed" are averaged (`average_runs`), so that intervals are over runs.

    Raises FileExistsError where the file exists and `overwrite` is False, IsADirectoryError where the path is a folder,
    TypeError where `tree` is no DataTree, and ValueError as `results.validate` does.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"The report is one file; '{path}' is a folder. Name a file in it.")
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"A report is not overwritten unless asked to; '{path}' exists. Choose another path or pass overwrite=True."
        )
    html = render(tree)
    with whole_file(path) as fresh:
        fresh.write_text(html, encoding="utf-8")
    return path


def render(tree: xr.DataTree) -> str:
    """The page as text. All text from the results is escaped, and only the page's own script may run.

    Raises TypeError and ValueError as `write_report` does.
    """
    if not isinstance(tree, xr.DataTree):
        raise TypeError(
            f"A report is made of an xarray.DataTree of results; got {type(tree).__name__}. "
            "Make one with compare or probe, or read one with load_results."
        )
    validate(tree)
    tree = one_run(tree)
    verdict = judge(tree)
    told, others = warnings_about(tree, verdict.reward)
    package = files("irl_probe.report")
    script = package.joinpath("script.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("irl_probe.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    attributes = {str(name): value for name, value in tree.attrs.items()}
    return environment.get_template("template.html.j2").render(
        title=attributes.get("title") or f"Recovered reward: {attributes.get('env_id', 'unnamed environment')}",
        attributes=attributes,
        verdict=verdict,
        answers=answers(tree, verdict),
        findings=[claim for claim in verdict.claims if claim.term not in ANSWERED],
        rules=RULES,
        warnings=told,
        others=others,
        glance=glance_table(tree),
        sections=sections(tree, verdict.reward, window=_window(tree)),
        provenance=provenance(attributes, rewards_of(tree)),
        terms=TERMS,
        term_of=term_of,
        style=package.joinpath("style.css").read_text(encoding="utf-8"),
        script=script,
        data=_script_data(brush_data(tree, views(tree, verdict.reward)[0])) if "points" in tree.children else "",
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def warnings_about(tree: xr.DataTree, reward: str | None) -> tuple[list[Warned], list[Warned]]:
    """The warnings about a reward or about none, and those about the other rewards."""
    found = current_warnings(tree)
    ours = [warning for warning in found if warning.get("reward") in (None, reward)]
    return ours, [warning for warning in found if warning not in ours]


def one_run(tree: xr.DataTree) -> xr.DataTree:
    """The tree, or the average over "seed" where that is stacked.

    Raises ValueError where runs are stacked along something else, for a task or variant has a page of its own.
    """
    stacked = [dim for dim in str(tree.attrs.get("stacked", "")).split(",") if dim]
    others = [dim for dim in stacked if dim != "seed"]
    if others:
        raise ValueError(
            f"A page is about one environment and one variant; these results are stacked along {', '.join(others)}. "
            "Give the results of each its own page."
        )
    return average_runs(tree, "seed") if stacked else tree


def _script_data(block: object) -> str:
    """JSON that can stand in a script element: no "<" of a name can end it."""
    return json.dumps(block, separators=(",", ":")).replace("<", "\\u003c")


def _window(tree: xr.DataTree) -> int:
    """Steps of a partial sum: as /correlation or the configuration of compare has it."""
    group = tree["correlation"].attrs if "correlation" in tree.children else {}
    compare = json.loads(str(tree.attrs.get("config", "{}"))).get("compare", {})
    return int(group.get("window", compare.get("window", WINDOW)))
