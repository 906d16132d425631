"""Discrete actions: which variant imitates, and which variant's reward is worth something.

python analyses/discrete/study.py run [--shard 0/2] [--tasks ...] [--variants ...]   one JSON a cell, in runs/discrete/
python analyses/discrete/study.py merge   results.nc and the tables of README.md

A cell is a task, a variant and a seed; seed i learns from the i-th bundled demonstration(s). Finished cells are kept.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import irl_probe as ip

HERE = Path(__file__).parent
CELLS = HERE.parents[1] / "runs" / "discrete"
SEEDS = range(5)
NOISE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
FIGURES = {
    "step": ("step", "none"),
    "partial, length out": ("partial", "length"),
    "episode": ("episode", "none"),
    "episode, constant": ("episode", "constant"),
    "episode, length out": ("episode", "length"),
}


@dataclass(frozen=True)
class Task:
    """What is learned from: so many demonstrations, every so-manieth step; and how long online."""

    demonstrations: int
    subsample: int
    online_steps: int
    retrain_steps: int
    target: float


TASKS = {
    "CartPole-v1": Task(1, 20, 20_000, 30_000, 475.0),
    "Acrobot-v1": Task(1, 1, 20_000, 40_000, -95.0),
    "LunarLander-v3": Task(10, 5, 60_000, 100_000, 200.0),
}
PAPER = {"value_term": "mixture", "reward_targets": (0.0, 0.0), "weight_decay": 0.0, "learning_starts": 0}
VARIANTS: dict[str, tuple[dict[str, object], bool]] = {
    "bc": ({"objective": "bc"}, False),
    "offline": ({}, False),
    "offline, offset 0": ({"reward_targets": (0.0, 0.0)}, False),
    "offline, initial": ({"value_term": "initial"}, False),
    "offline, absorbing": ({"terminal": "absorbing"}, False),
    "online": ({}, True),
    "online, absorbing": ({"terminal": "absorbing"}, True),
    "online, offset 0": ({"reward_targets": (0.0, 0.0)}, True),
    "online, mixture": ({"value_term": "mixture"}, True),
    "online, initial": ({"value_term": "initial"}, True),
    "online, as the paper": (PAPER, True),
}


@cache
def coverage(env_id: str) -> ip.Transitions:
    """A mixture of noisy experts, the same for every variant: the clone of all bundled demonstrations, with noise."""
    clone = ip.train(ip.load_demos(env_id), ip.IQConfig(objective="bc"), progress=False)
    env = ip.make_env(env_id)
    parts = [ip.record_demos(clone.policy, env, 5, seed=i, epsilon=e).transitions for i, e in enumerate(NOISE)]
    env.close()
    return ip.Transitions.concatenate(parts)


def run_cell(env_id: str, variant: str, seed: int) -> dict[str, float]:
    task, (settings, online) = TASKS[env_id], VARIANTS[variant]
    demos = ip.load_demos(env_id)
    chosen = [(seed + i) % len(demos.whole.lengths) for i in range(task.demonstrations)]
    steps = task.online_steps if online else None
    config = ip.IQConfig.from_dict({"seed": seed, "steps": steps, **settings})
    began = time.perf_counter()
    run = ip.train(demos.episodes(chosen).subsample(task.subsample), config, env_id if online else None, progress=False)
    figures = {"seconds": time.perf_counter() - began}
    evaluation = ip.evaluate(run.policy, env_id, episodes=20, seed=1000 + seed)
    figures["return"] = float(evaluation.returns.mean())
    reward = ip.recover(run)
    tree = ip.compare({"recovered": reward}, transitions=coverage(env_id), config=ip.CompareConfig(resamples=1))
    values = tree["correlation"]["value"].sel(metric="pearson", bound="estimate").squeeze()
    for name, (level, control) in FIGURES.items():
        figures[name] = float(values.sel(level=level, control=control))
    if seed == 0 and (variant in ("offline", "online") or (env_id == "CartPole-v1" and variant != "bc")):
        learner = ip.IQConfig(objective="bellman", steps=task.retrain_steps, seed=100)
        retrained = ip.retrain(reward, env_id, ip.RetrainConfig(learner), progress=False)
        figures["retrained"] = float(ip.evaluate(retrained.policy, env_id, seed=2000).returns.mean())
    return figures


def run(tasks: list[str], variants: list[str], shard: int, shards: int) -> None:
    cells = [(task, variant, seed) for task in tasks for seed in SEEDS for variant in variants]
    for task, variant, seed in cells[shard::shards]:
        path = CELLS / task / f"{variant}-{seed}.json"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        figures = run_cell(task, variant, seed)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(figures))
        part.replace(path)
        print(task, variant, seed, {name: round(value, 3) for name, value in figures.items()}, flush=True)


def merge() -> None:
    """All cells that exist as one dataset (task, variant, seed), and their tables in README.md."""
    names = ["return", "retrained", *FIGURES, "seconds"]
    shape = (len(TASKS), len(VARIANTS), len(SEEDS))
    arrays = {name: np.full(shape, np.nan) for name in names}
    for i, task in enumerate(TASKS):
        for j, variant in enumerate(VARIANTS):
            for k in SEEDS:
                path = CELLS / task / f"{variant}-{k}.json"
                if path.exists():
                    for name, value in json.loads(path.read_text()).items():
                        arrays[name][i, j, k] = value
    dims = ("task", "variant", "seed")
    results = xr.Dataset(
        {name: (dims, values) for name, values in arrays.items()},
        coords={"task": list(TASKS), "variant": list(VARIANTS), "seed": list(SEEDS)},
        attrs={f"{name}_version": version(name) for name in ("irl_probe", "torch", "gymnasium")},
    )
    results.to_netcdf(HERE / "results.nc", engine="h5netcdf")
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition("<!-- tables -->")
    _, _, after = rest.partition("<!-- end -->")
    text = "\n".join(table(results.sel(task=task)) for task in TASKS)
    readme.write_text(f"{before}<!-- tables -->\n{text}\n<!-- end -->{after}")
    print(text)


def table(results: xr.Dataset) -> str:
    """One task: mean over seeds with a 95 % bootstrap interval over seeds for the return."""
    task = str(results["task"].values)
    names = ["retrained", *FIGURES]
    lines = [
        f"### {task} (target ≥ {TASKS[task].target:g})\n",
        f"| variant | seeds | return [95 %] | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for variant in VARIANTS:
        cell = results.sel(variant=variant)
        returns = cell["return"].dropna("seed").values
        if not len(returns):
            continue
        draws = np.random.default_rng(0).choice(returns, (10_000, len(returns))).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        means = [float(cell[name].mean()) for name in names]
        figures = " | ".join("–" if np.isnan(value) else f"{value:.2f}" for value in means)
        lines.append(f"| {variant} | {len(returns)} | {returns.mean():.1f} [{low:.1f}, {high:.1f}] | {figures} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "merge"])
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "merge":
        merge()
    else:
        run(arguments.tasks, arguments.variants, *map(int, arguments.shard.split("/")))
