"""From results to one self-contained HTML page."""

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

from irl_probe._files import whole_file
from irl_probe._types import Floats, Ints
from irl_probe.judgement.glossary import TERMS, term_of
from irl_probe.judgement.reading import Figures, Points, read, rewards_of
from irl_probe.judgement.verdict import ANSWERED, RULES, answers, judge
from irl_probe.judgement.warnings import Warned, warnings_in
from irl_probe.report.drawing import thin
from irl_probe.report.plots import aggregate, block_starts
from irl_probe.report.sections import Pair, sections, views
from irl_probe.report.tables import glance_table

BUDGET = 400_000  # bytes of all series together, before base64
FEWEST, MOST = 24, 240  # points of one episode's series

Block = dict[str, object]


def write_report(tree: xr.DataTree, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write the results as one HTML page that needs no network and no other file; returns its path.

    The page is written whole or not at all. It has a section for each group of results that is there. Runs stacked
    along "seed" are averaged (`average_runs`), so that intervals are over runs.

    Raises FileExistsError if the file exists and `overwrite` is False, IsADirectoryError if the path is a folder,
    TypeError if `tree` is not a DataTree, and ValueError as `results.validate` does.
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
    """The page as a string. All text from the results is escaped, and only the page's own script may run.

    The results are read once, and everything on the page is made from these figures.

    Raises TypeError and ValueError as `write_report` does.
    """
    if not isinstance(tree, xr.DataTree):
        raise TypeError(
            f"A report is made of an xarray.DataTree of results; got {type(tree).__name__}. "
            "Make one with compare or probe, or read one with load_results."
        )
    figures = read(tree)
    verdict = judge(figures)
    ours, others = warnings_about(figures, verdict.reward)
    package = files("irl_probe.report")
    script = package.joinpath("script.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("irl_probe.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    about = figures.attributes
    return environment.get_template("template.html.j2").render(
        title=about.get("title") or f"Recovered reward: {about.get('env_id', 'unnamed environment')}",
        attributes=about,
        verdict=verdict,
        answers=answers(figures, verdict),
        findings=[claim for claim in verdict.claims if claim.term not in ANSWERED],
        rules=RULES,
        warnings=ours,
        others=others,
        glance=glance_table(figures),
        sections=sections(figures, verdict.reward),
        provenance=provenance(about, rewards_of(figures)),
        terms=TERMS,
        term_of=term_of,
        style=package.joinpath("style.css").read_text(encoding="utf-8"),
        script=script,
        data=_script_data(brush_data(figures.points, views(figures, verdict.reward)[0])) if figures.points else "",
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def warnings_about(figures: Figures, reward: str | None) -> tuple[list[Warned], list[Warned]]:
    """The warnings about this reward or about no single reward, and the warnings about the other rewards."""
    found = warnings_in(figures)
    ours = [warning for warning in found if warning.get("reward") in (None, reward)]
    return ours, [warning for warning in found if warning not in ours]


def provenance(
    attributes: Mapping[str, object], rewards: Sequence[str] = ()
) -> list[tuple[str, str | None, list[tuple[str, str]]]]:
    """(title, definition key, [(name, value), ...]) of the source of the results, with nested settings flattened.

    Each of the `rewards` has its hash, or a note that it has none.
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
    """The settings; those that are None were left at their default, and are named together on one line."""
    unset = [name for name, value in lines if value == "None"]
    given = [line for line in lines if line[1] != "None"]
    return [*given, ("left at the default", ", ".join(unset))] if unset else given


def _without_hash(attributes: Mapping[str, object], rewards: Sequence[str]) -> list[tuple[str, str]]:
    hashes = _parsed(attributes.get("hashes"))
    known = hashes.get("rewards", {}) if isinstance(hashes, dict) else {}
    why = "not recorded: a plain function has none, and older results did not store it"
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


def brush_data(points: Mapping[str, Points], views: Sequence[Pair]) -> Block:
    """For each coverage that is drawn: the episodes that are dots, and their series, by reward ("" is the truth).

    The episodes are those of `drawing.episode_dots`, in the order of its dots. A series is the mean over as many
    stretches as the budget allows, as bytes between its `low` and `high`, base64, in rows of `points` bytes; a shorter
    episode fills the beginning of its row.
    """
    chosen: dict[str, tuple[Points, list[str], Ints]] = {}
    for coverage in dict.fromkeys(coverage for _, coverage in views):
        one, rewards = points[coverage], [reward for reward, c in views if c == coverage]
        totals = [aggregate(v, one.episode, "episode") for v in (one.true, *(one.recovered[r] for r in rewards))]
        known = np.flatnonzero(np.isfinite(totals).all(axis=0))
        chosen[coverage] = one, rewards, np.asarray(thin(known), dtype=np.int64)
    series = sum(len(shown) * (1 + len(rewards)) for _, rewards, shown in chosen.values())
    size = int(np.clip(BUDGET // max(series, 1), FEWEST, MOST))
    return {"points": size, "coverages": {c: _coverage(*parts, size) for c, parts in chosen.items()}}


def _coverage(points: Points, rewards: Sequence[str], shown: Ints, size: int) -> Block:
    starts = block_starts(points.episode, "episode")
    ends = np.append(starts[1:], len(points.episode))
    values = {"": points.true} | {reward: points.recovered[reward] for reward in rewards}
    return {
        "episode": [int(e) for e in points.episode[starts[shown]]],
        "length": [int(n) for n in (ends - starts)[shown]],
        "series": {name: _series(v, starts[shown], ends[shown], size) for name, v in values.items()},
    }


def _series(values: Floats, starts: Ints, ends: Ints, size: int) -> Block:
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
    """The means of `size` stretches of nearly equal length, or the values themselves if there are at most `size`."""
    if len(values) <= size:
        return values
    edges = np.linspace(0, len(values), size + 1).astype(int)[:-1]
    means: Floats = np.add.reduceat(values, edges) / np.diff(np.append(edges, len(values)))
    return means


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _script_data(block: object) -> str:
    """JSON for a script element, with "<" escaped so that no name can end the element."""
    return json.dumps(block, separators=(",", ":")).replace("<", "\\u003c")
