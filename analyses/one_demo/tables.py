"""The tables of README.md and the page of the study, made only from its results."""

from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

HEAD = (
    "| task | seed | expert | target | last evaluations | final 10 episodes [95 %] | steps to 90 % | 99 % "
    "| minutes to 90 % | 99 % | all |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
REWARD_HEAD = (
    "| task | seed | step | partial | partial, constant | partial, length out | episode | episode, constant "
    "| episode, length out |\n|---|---|---|---|---|---|---|---|---|"
)
COLUMNS = (
    ("step", "none"),
    ("partial", "none"),
    ("partial", "constant"),
    ("partial", "length"),
    ("episode", "none"),
    ("episode", "constant"),
    ("episode", "length"),
)


def cells(results: xr.Dataset) -> list[xr.Dataset]:
    """The finished cells, task by task."""
    every = [results.sel(task=task, seed=seed) for task in results["task"].values for seed in results["seed"].values]
    return [cell for cell in every if bool(cell["expert"].notnull())]


def reached(cell: xr.Dataset, share: float, figure: str) -> float:
    """Steps or seconds to the first evaluation that reaches this share of the expert's mean return, or NaN."""
    there = np.flatnonzero(cell["return_mean"].values >= share * float(cell["expert"]))
    return float(cell[figure].values[there[0]]) if len(there) else float("nan")


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean with its 95 % bootstrap interval over episodes."""
    draws = np.random.default_rng(0).choice(values, (10_000, len(values))).mean(axis=1)
    return float(values.mean()), *map(float, np.quantile(draws, [0.025, 0.975]))


def _steps(value: float) -> str:
    return "–" if np.isnan(value) else f"{value / 1000:.0f}k"


def _minutes(value: float) -> str:
    return "–" if np.isnan(value) else f"{value / 60:.0f}"


def return_table(results: xr.Dataset, targets: dict[str, float], last: int) -> str:
    """One row a cell: its returns, and the steps and minutes to reach shares of the expert's."""
    lines = [HEAD]
    for cell in cells(results):
        task = str(cell["task"].values)
        curve = cell["return_mean"].dropna("evaluation").values
        mean, low, high = interval(cell["final"].values)
        row = [
            f"{task}, {cell['step'].max().item() / 1000:.0f}k steps",
            str(int(cell["seed"])),
            f"{float(cell['expert']):.0f}",
            "–" if math.isnan(targets[task]) else f"{targets[task]:.0f}",
            f"{curve[-last:].mean():.0f}",
            f"{mean:.0f} [{low:.0f}, {high:.0f}]",
            *(_steps(reached(cell, share, "step")) for share in (0.9, 0.99)),
            *(_minutes(reached(cell, share, "seconds")) for share in (0.9, 0.99)),
            _minutes(float(cell["seconds"].max())),
        ]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def reward_table(results: xr.Dataset) -> str:
    """One row a cell: Pearson correlations of its recovered reward with the true one."""
    lines = [REWARD_HEAD]
    for cell in cells(results):
        figures = []
        for level, control in COLUMNS:
            value, low, high = cell["correlation"].sel(level=level, control=control).values
            figures.append("–" if np.isnan(value) else f"{value:.2f} [{low:.2f}, {high:.2f}]")
        lines.append(f"| {cell['task'].values} | {int(cell['seed'])} | {' | '.join(figures)} |")
    return "\n".join(lines)


def write_readme(path: Path, results: xr.Dataset, targets: dict[str, float], last: int) -> None:
    """Write both tables between the marks in README.md."""
    before, _, rest = path.read_text().partition("<!-- tables -->")
    _, _, after = rest.partition("<!-- end -->")
    text = f"{return_table(results, targets, last)}\n\n{reward_table(results)}"
    path.write_text(f"{before}<!-- tables -->\n{text}\n<!-- end -->{after}")
    print(text)


def curves(results: xr.Dataset, task: str) -> str:
    """The learning curves of a task as an inline SVG."""
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    for cell in cells(results.sel(task=[task])):
        steps, mean, deviation = (cell[name].values for name in ("step", "return_mean", "return_sd"))
        axes.plot(steps, mean, label=f"seed {int(cell['seed'])}")
        axes.fill_between(steps, mean - deviation, mean + deviation, alpha=0.2)
        axes.axhline(float(cell["expert"]), color="black", linestyle=":", linewidth=1)
    axes.set(xlabel="environment steps", ylabel="true return")
    axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="svg")
    plt.close(figure)
    return base64.b64encode(content.getvalue()).decode()


def write_report(path: Path, results: xr.Dataset, targets: dict[str, float], last: int) -> None:
    """A self-contained page: tables, learning curves, settings."""
    parts = []
    for task in map(str, results["task"].values):
        alt = f"Learning curves of {task}: true return by environment steps; the dotted line is the expert."
        parts.append(f'<h2>{task}</h2><img alt="{alt}" src="data:image/svg+xml;base64,{curves(results, task)}">')
    first = cells(results)[0]
    settings = json.dumps(json.loads(str(first["config"].values)), indent=1)
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        "<title>IQ-Learn from one demonstration</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;"
        "margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;display:block;overflow-x:auto}"
        "td,th{padding:.2rem .6rem;border-bottom:1px solid #ccc;text-align:right}td{white-space:nowrap}"
        "table{font-size:.85rem}"
        "td:first-child,th:first-child{text-align:left}img{max-width:100%}summary{cursor:pointer}</style>"
        "<h1>IQ-Learn from one demonstration</h1><p>Returns are true ones; intervals are 95 % bootstrap intervals, of "
        "returns over episodes. Shaded: one standard deviation over 10 episodes.</p>"
        f"{_html(return_table(results, targets, last))}<h2>The recovered rewards</h2>"
        "<p>Pearson correlation with the true reward on noisy copies of the imitator.</p>"
        f"{_html(reward_table(results))}{''.join(parts)}<h2>Settings</h2>"
        f"<details><summary>of {first['task'].values}, seed {int(first['seed'])}</summary>"
        f"<pre>{settings}</pre></details></html>\n"
    )


def _html(table: str) -> str:
    """A Markdown table as HTML."""
    rows = [[text.strip() for text in line.strip("| ").split(" | ")] for line in table.splitlines()]
    head = "".join(f"<th>{text}</th>" for text in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{text}</td>' for text in row)}</tr>" for row in rows[2:])
    return f"<table><tr>{head}</tr>{body}</table>"
