"""Discrete actions: which variant imitates the expert, and which variant's reward is useful?

python analyses/discrete/study.py run [--tasks ...] [--variants ...] [--seeds ...]   one JSON for each missing cell
python analyses/discrete/study.py merge   results.nc and the tables of README.md; then `make results`
python analyses/discrete/study.py tables  the tables alone, from results.nc

A cell is a task, a variant and a seed; seed i learns from the i-th bundled demonstration and those after it. A cell
that is in results.nc or in runs/discrete/ with today's settings is not computed again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import irl_probe as ip
from irl_probe.learn import ResolvedIQ, ResolvedRL

HERE = Path(__file__).parent
CELLS = HERE.parents[1] / "runs" / "discrete"
FIGURES = {
    "step": ("step", "none"),
    "partial, length out": ("partial", "length"),
    "episode": ("episode", "none"),
    "episode, constant": ("episode", "constant"),
    "episode, length out": ("episode", "length"),
}
NAMES = ["return", "retrained", *FIGURES, "seconds"]
Cell = tuple[str, str, int]


@dataclass(frozen=True)
class Task:
    """What a task learns from (how many demonstrations, and every k-th step of them), and its budgets and target."""

    demonstrations: int
    subsample: int
    online_steps: int
    retrain_steps: int
    target: float


TASKS = {
    "CartPole-v1": Task(1, 20, 20_000, 40_000, 475.0),
    "Acrobot-v1": Task(1, 1, 20_000, 40_000, -95.0),
    "LunarLander-v3": Task(10, 5, 60_000, 100_000, 200.0),
}
PAPER = {
    "value_term": "mixture",
    "terminal": "zero",
    "reward_targets": (0.0, 0.0),
    "weight_decay": 0.0,
    "learning_starts": 0,
}
# Name → the settings that differ from the defaults, and whether the variant is online.
VARIANTS: dict[str, tuple[dict[str, object], bool]] = {
    "bc": ({"objective": "bc"}, False),
    "offline": ({}, False),
    "online": ({}, True),
    "offline, offset 0": ({"reward_targets": (0.0, 0.0)}, False),
    "offline, initial": ({"value_term": "initial"}, False),
    "offline, absorbing": ({"terminal": "absorbing"}, False),
    "online, zero": ({"terminal": "zero"}, True),
    "online, targets ±1": ({"reward_targets": (1.0, -1.0)}, True),
    "online, offset 0": ({"reward_targets": (0.0, 0.0)}, True),
    "online, mixture": ({"value_term": "mixture"}, True),
    "online, initial": ({"value_term": "initial"}, True),
    "online, LayerNorm": ({"layer_norm": True}, True),
    "online, as the paper": (PAPER, True),
}
SEEDS = {variant: 5 if variant in ("bc", "offline", "online", "online, zero") else 3 for variant in VARIANTS}


def retrains(task: str, variant: str, seed: int) -> bool:
    """Whether a new policy is trained on the reward of this cell.

    This is done for three seeds of the defaults (one for LunarLander), and for three of CartPole's other variants.
    """
    if variant in ("offline", "online"):
        return seed < (1 if task == "LunarLander-v3" else 3)
    return task == "CartPole-v1" and variant != "bc" and seed < 3


def learner(task: str, seed: int) -> ip.RLConfig:
    """How a new policy learns from a recovered reward."""
    return ip.RLConfig(steps=TASKS[task].retrain_steps, seed=100 + seed, evaluate_every=0)


def settings(task: str, variant: str, seed: int) -> str:
    """Everything that determines the figures of a cell, as JSON: what it learns from, how, and how it is retrained.

    Settings that are 0, false or None are left out, so that a new option does not make old cells invalid. The seed is
    left out too, since the place of the cell says it.
    """
    changed, online = VARIANTS[variant]
    config = ip.IQConfig.from_dict(
        {"steps": TASKS[task].online_steps if online else None, "evaluate_every": 0, **changed}
    )
    described = asdict(TASKS[task]) | _described(config.resolve(discrete=True, online=online))
    if retrains(task, variant, seed):
        described["retraining"] = _described(learner(task, 0).resolve(discrete=True))
    return json.dumps(described)


def _described(config: ResolvedIQ | ResolvedRL) -> dict[str, object]:
    unused = ("critics", "actor_learning_rate")  # not used with discrete actions
    return {name: value for name, value in asdict(config).items() if value and name not in unused}


@cache
def coverage(env_id: str) -> ip.Transitions:
    """The mixture, the same for every variant: the clone of all bundled demonstrations with more and more noise."""
    clone = ip.train(ip.load_demos(env_id), ip.IQConfig(objective="bc"), progress=False)
    return ip.pipeline.noisy_rollouts(clone.policy, env_id)


def run_cell(env_id: str, variant: str, seed: int) -> dict[str, float]:
    """The figures of one cell: train, measure the policy and the reward, and retrain if `retrains` says so."""
    task, (changed, online) = TASKS[env_id], VARIANTS[variant]
    demos = ip.load_demos(env_id)
    chosen = [(seed + i) % len(demos.whole.lengths) for i in range(task.demonstrations)]
    steps = task.online_steps if online else None
    config = ip.IQConfig.from_dict({"seed": seed, "steps": steps, "evaluate_every": 0, **changed})
    began = time.process_time()
    run = ip.train(
        demos.episodes(chosen).subsample(task.subsample), config, env=env_id if online else None, progress=False
    )
    figures = {"seconds": time.process_time() - began}
    evaluation = ip.evaluate(run.policy, env_id, episodes=20, seed=1000 + seed)
    figures["return"] = float(evaluation.returns.mean())
    reward = ip.recover(run)
    tree = ip.compare({"recovered": reward}, transitions=coverage(env_id), config=ip.CompareConfig(resamples=1))
    values = tree["correlation"]["value"].sel(metric="pearson", bound="estimate").squeeze()
    for name, (level, control) in FIGURES.items():
        figures[name] = float(values.sel(level=level, control=control))
    if retrains(env_id, variant, seed):
        retrained = ip.retrain(reward, ip.RetrainConfig(learner(env_id, seed)), env=env_id, progress=False)
        figures["retrained"] = float(ip.evaluate(retrained.policy, env_id, seed=2000 + seed).returns.mean())
    return figures


def path_of(task: str, variant: str, seed: int) -> Path:
    return CELLS / task / f"{variant}-{seed}.json"


def finished() -> dict[Cell, dict[str, float]]:
    """The cells of runs/discrete/, or else of results.nc, that have today's settings."""
    stored = xr.load_dataset(HERE / "results.nc", engine="h5netcdf") if (HERE / "results.nc").exists() else None
    cells: dict[Cell, dict[str, float]] = {}
    for task, variant in product(TASKS, VARIANTS):
        for seed in range(SEEDS[variant]):
            today, path = settings(task, variant, seed), path_of(task, variant, seed)
            if path.exists() and (written := json.loads(path.read_text()))["settings"] == today:
                cells[task, variant, seed] = written["figures"]
            elif stored is not None and task in stored["task"] and variant in stored["variant"]:
                cell = stored.sel(task=task, variant=variant, seed=seed)
                if str(cell["settings"].values) == today and not np.isnan(cell["return"]):
                    cells[task, variant, seed] = {name: float(cell[name]) for name in NAMES}
    return cells


def complete(task: str, variant: str, seed: int) -> bool:
    """Whether a cell has all the figures that it should have."""
    figures = finished().get((task, variant, seed), {})
    wanted = ("return", "retrained") if retrains(task, variant, seed) else ("return",)
    return all(np.isfinite(figures.get(name, np.nan)) for name in wanted)


def run(tasks: list[str], variants: list[str], seeds: list[int]) -> None:
    """Run the cells that are not complete, and write one JSON for each."""
    for seed, variant, task in product(seeds, variants, tasks):
        if seed >= SEEDS[variant] or complete(task, variant, seed):
            continue
        figures = run_cell(task, variant, seed)
        path = path_of(task, variant, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"settings": settings(task, variant, seed), "figures": figures}))
        part.replace(path)
        print(task, variant, seed, {name: round(value, 3) for name, value in figures.items()}, flush=True)


def merge() -> None:
    """All finished cells as one dataset (task, variant, seed), and their tables."""
    cells, count = finished(), max(SEEDS.values())
    arrays = {name: np.full((len(TASKS), len(VARIANTS), count), np.nan) for name in NAMES}
    for (i, task), (j, variant), k in product(enumerate(TASKS), enumerate(VARIANTS), range(count)):
        for name, value in cells.get((task, variant, k), {}).items():
            arrays[name][i, j, k] = value
    dims = ("task", "variant", "seed")
    described = [[[settings(task, variant, k) for k in range(count)] for variant in VARIANTS] for task in TASKS]
    results = xr.Dataset(
        {name: (dims, values) for name, values in arrays.items()} | {"settings": (dims, described)},
        coords={"task": list(TASKS), "variant": list(VARIANTS), "seed": range(count)},
        attrs={f"{name}_version": version(name) for name in ("irl_probe", "torch", "gymnasium")},
    )
    results.to_netcdf(HERE / "results.nc", engine="h5netcdf")
    tables()


def tables() -> None:
    """The tables of results.nc, into README.md."""
    results = xr.load_dataset(HERE / "results.nc", engine="h5netcdf")
    replace_between(HERE / "README.md", "tables", "\n".join(table(results.sel(task=task)) for task in TASKS))


def replace_between(path: Path, name: str, text: str) -> None:
    """Put `text` between the marks <!-- name --> and <!-- end name --> of a file."""
    before, begin, rest = path.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end {name} -->")
    if not (begin and end):
        raise ValueError(f"{path} must hold the marks <!-- {name} --> and <!-- end {name} -->, each once.")
    path.write_text(f"{before}{begin}{text}{end}{after}")
    print(text)


def mean(values: xr.DataArray, digits: int, *, interval: bool) -> str:
    """The mean over seeds, with a 95 % interval over seeds if there are at least three; a dash if there is no seed."""
    seeds = values.dropna("seed").values
    if not len(seeds):
        return "–"
    text = f"{seeds.mean():.{digits}f}"
    found = ip.metrics.stratified_bootstrap(seeds, statistic=lambda rows: rows.mean(axis=1))
    if interval and np.isfinite(found.low):
        low, high = np.clip([found.low, found.high], -1, 1) if values.name in FIGURES else (found.low, found.high)
        text += f" [{low:.{digits}f}, {high:.{digits}f}]"
    return text.replace("-", "−")


def table(results: xr.Dataset) -> str:
    """The table of one task, with one line for each variant."""
    task = str(results["task"].values)
    target = f"{TASKS[task].target:g}".replace("-", "−")
    lines = [
        f"### {task} (target ≥ {target})\n",
        f"| variant | seeds | return | retrained | {' | '.join(FIGURES)} |",
        f"|---|---|---|---|{'---|' * len(FIGURES)}",
    ]
    for variant in VARIANTS:
        cell = results.sel(variant=variant)
        count = int(cell["return"].notnull().sum())
        if count:
            returns = [mean(cell[name], 1, interval=True) for name in ("return", "retrained")]
            figures = [mean(cell[name], 2, interval=name == "episode") for name in FIGURES]
            lines.append(f"| {' | '.join([variant, str(count), *returns, *figures])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "merge", "tables"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(max(SEEDS.values()))))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "merge":
        merge()
    elif arguments.verb == "tables":
        tables()
    else:
        run(arguments.tasks, arguments.variants, arguments.seeds)
