"""One demonstration: does IQ-Learn reach the expert on MuJoCo, in how many steps, and how good is its reward?

python analyses/one_demo/study.py run [--tasks ...] [--seeds ...]   resumes runs; start one process for each core
python analyses/one_demo/study.py merge                             results.nc, report.html and the table of README.md

A cell is a task and a seed: seed i learns from the i-th demonstration, with the defaults of `IQConfig`. Its run is in
the folder <task>/<seed>/ of --runs; `merge` adds every finished cell to results.nc. The demonstrations belong to others
and are not in this repository: --demos is their folder.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from tables import write_readme, write_report
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

import irl_probe as ip

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EVALUATIONS, EPISODES, LAST = 40, 10, 5
LEVELS = ("step", "partial", "episode")
CONTROLS = ("none", "constant", "length")


@dataclass(frozen=True)
class Task:
    """An environment, the number of steps in it, and the target for the mean return (NaN: no target)."""

    env_id: str
    steps: int
    target: float


TASKS = {
    "Hopper-v5": Task("Hopper-v5", 50_000, 3545),
    "Hopper-v5-smooth": Task("Hopper-v5", 60_000, 3690),
    "HalfCheetah-v5-smooth": Task("HalfCheetah-v5", 75_000, 4097),
    "HalfCheetah-v5": Task("HalfCheetah-v5", 300_000, 8465),
    "Ant-v5": Task("Ant27-v5", 120_000, 4720),
    "Humanoid-v5": Task("Humanoid-v5", 300_000, math.nan),
}


def run_cell(name: str, seed: int, demos: Path, runs: Path) -> None:
    """Train, measure the policy and the reward, and write figures.json."""
    task, folder = TASKS[name], runs / name / str(seed)
    done = folder / "figures.json"
    if done.exists():
        return
    make = partial(ip.envs.make_env, task.env_id)
    every = ip.load_demos(demos / f"{name}.npz", env_id=task.env_id)
    config = ip.IQConfig(
        seed=seed, steps=task.steps, evaluate_every=task.steps // EVALUATIONS, evaluate_episodes=EPISODES
    )
    resume = (folder / "checkpoint.pt").exists()
    run = ip.train(every.episodes([seed]), config, env=make(), out=folder, resume=resume)
    final = ip.evaluate(run.policy, make, episodes=EPISODES, seed=seed)
    tree = ip.compare(
        {"recovered": ip.recover(run)}, transitions={"noisy": ip.pipeline.noisy_rollouts(run.policy, make())}
    )
    correlation = tree["correlation"]["value"].sel(metric="pearson", level=list(LEVELS), control=list(CONTROLS))
    figures = {
        "expert": float(every.transitions.returns().mean()),
        "final": final.returns.tolist(),
        "correlation": correlation.squeeze(drop=True).transpose("level", "control", "bound").values.tolist(),
    }
    part = done.with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.replace(done)
    print(name, seed, figures, flush=True)


def seconds_by_step(folder: Path) -> dict[int, float]:
    """Wall-clock time from the start of the run to each evaluation, without pauses between interrupted parts."""
    seconds, before = {}, 0.0
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda p: int(p.name.split(".")[3])):
        events = list(EventFileLoader(str(path)).Load())
        for event in events:
            if any(value.tag == "return_mean" for value in event.summary.value):
                seconds[event.step] = before + event.wall_time - events[0].wall_time
        before += events[-1].wall_time - events[0].wall_time
    return seconds


def cell_dataset(name: str, seed: int, runs: Path) -> xr.Dataset:
    """One finished cell, with the dims task and seed."""
    folder = runs / name / str(seed)
    figures = json.loads((folder / "figures.json").read_text())
    rows = [
        row for line in (folder / "log.jsonl").read_text().splitlines() if "return_mean" in (row := json.loads(line))
    ]
    steps = np.array([row["step"] for row in rows])
    seconds = seconds_by_step(folder)
    returns = np.array([row["return_mean"] for row in rows])
    description = json.loads((folder / "run.json").read_text())
    cell = xr.Dataset(
        {
            "step": ("evaluation", steps),
            "return_mean": ("evaluation", returns),
            "return_sd": ("evaluation", [row["return_sd"] for row in rows]),
            "seconds": ("evaluation", [seconds.get(int(step), np.nan) for step in steps]),
            "final": ("episode", figures["final"]),
            "expert": figures["expert"],
            "correlation": (("level", "control", "bound"), figures["correlation"]),
            "config": json.dumps(description["config"]),
            "demonstration": description["demonstrations"],
            "versions": json.dumps(description["versions"]),
        },
        coords={
            "evaluation": np.arange(1, len(steps) + 1),
            "episode": np.arange(EPISODES),
            "level": list(LEVELS),
            "control": list(CONTROLS),
            "bound": ["estimate", "low", "high"],
        },
    )
    return cell.expand_dims(task=[name], seed=[seed])


def merge(runs: Path) -> None:
    """Put every finished cell into results.nc, replacing older figures of it; then write the page and the table."""
    path = HERE / "results.nc"
    cells = {}
    if path.exists():
        with xr.open_dataset(path, engine="h5netcdf") as old:
            kept = old.load()
        for task in kept["task"].values:
            for seed in kept["seed"].values:
                cell = kept.sel(task=[task], seed=[seed])
                if bool(cell["expert"].notnull().all()):
                    cells[str(task), int(seed)] = cell.dropna("evaluation", how="all", subset=["return_mean"])
    for done in sorted(runs.glob("*/*/figures.json")):
        name, seed = done.parts[-3], int(done.parts[-2])
        cells[name, seed] = cell_dataset(name, seed, runs)
    results = xr.combine_by_coords(list(cells.values()), join="outer", combine_attrs="drop")
    results.to_netcdf(path, engine="h5netcdf")
    targets = {name: task.target for name, task in TASKS.items()}
    write_readme(HERE / "README.md", results, targets, LAST)
    write_report(HERE / "report.html", results, targets, LAST)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "merge"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--demos", type=Path, default=ROOT.parent / "shared" / "demos")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "one_demo")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "merge":
        merge(arguments.runs)
    else:
        for chosen_seed in arguments.seeds:
            for chosen in arguments.tasks:
                run_cell(chosen, chosen_seed, arguments.demos, arguments.runs)
