"""From a results tree to one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from importlib.resources import files
from pathlib import Path

import xarray as xr
from jinja2 import Environment, PackageLoader, StrictUndefined

from irl_probe.report.answers import answers
from irl_probe.report.definitions import TERMS, term_of
from irl_probe.report.judgement import ANSWERED, judge
from irl_probe.report.provenance import provenance
from irl_probe.report.reading import rewards_of
from irl_probe.report.reward_sections import views
from irl_probe.report.rules import RULES
from irl_probe.report.sections import sections
from irl_probe.report.tables import glance_table
from irl_probe.report.traces import brush_data
from irl_probe.results import average_runs, validate
from irl_probe.verdict_rules import current_warnings

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
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        written = Path(folder) / path.name
        written.write_text(html, encoding="utf-8")
        written.replace(path)
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
