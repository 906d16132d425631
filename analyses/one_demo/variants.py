"""Which variant of the objective imitates from one demonstration, and which variant's reward is better?

python analyses/one_demo/variants.py run [--variants ...] [--demos DIR]   one folder a variant in --runs; resumes
python analyses/one_demo/variants.py merge                                variants.nc and its table in README.md

The task is HalfCheetah-v5-smooth with its first demonstration. Its episodes all have one length, so no correlation
comes from length. All rewards are measured on the same steps: a clone of the demonstration with more and more random
actions.
"""

from __future__ import annotations

import argparse
import json
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import irl_probe as ip

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TASK, ENV, STEPS, SEED = "HalfCheetah-v5-smooth", "HalfCheetah-v5", 12_000, 0
EVALUATIONS, EPISODES, LAST = 12, 5, 4
LEVELS = ("step", "partial", "episode")
BOUNDS = ("estimate", "low", "high")
VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "value term expert": {"value_term": "expert"},
    "value term initial": {"value_term": "initial"},
    "targets (1, 0)": {"reward_targets": (1.0, 0.0)},
    "no weight decay": {"weight_decay": 0.0},
    "no warm start": {"warm_start": 0},
    "lsiq": {"objective": "lsiq", "expert_target": "bootstrapped"},
    "sqil": {"objective": "sqil"},
    "rize": {"objective": "rize"},
    "csil": {"objective": "csil"},
    "as the paper": {
        "reward_targets": (0.0, 0.0),
        "bound_values": False,
        "terminal": "zero",
        "layer_norm": False,
        "warm_start": 0,
        "weight_decay": 0.0,
        "policy_average": 0.0,
        "actor_learning_rate": 3e-5,
        "batch_size": 256,
        "temperature": 0.01,
    },
}


@cache
def coverage(demos: ip.Demonstrations) -> ip.Transitions:
    """Five episodes of the clone at each share of random actions."""
    clone = ip.train(demos, ip.IQConfig(objective="bc"), progress=False)
    return ip.pipeline.noisy_rollouts(clone.policy, ENV)


def run_variant(name: str, demos: ip.Demonstrations, runs: Path) -> None:
    """Train, measure the reward, and write figures.json."""
    folder = runs / name.replace(" ", "-")
    done = folder / "figures.json"
    if done.exists():
        return
    config = ip.IQConfig.from_dict(
        {
            "seed": SEED,
            "steps": STEPS,
            "evaluate_every": STEPS // EVALUATIONS,
            "evaluate_episodes": EPISODES,
            "policy_average": 1e-3,  # the default when these were run
            **VARIANTS[name],
        }
    )
    run = ip.train(demos, config, env=ENV, out=folder, resume=(folder / "checkpoint.pt").exists())
    tree = ip.compare({"recovered": ip.recover(run)}, transitions={"noisy clones": coverage(demos)})
    values = tree["correlation"]["value"].sel(metric="pearson", control="none", level=list(LEVELS), bound=list(BOUNDS))
    figures = {
        "returns": run.history["return_mean"].dropna("step").values.tolist(),
        "correlation": values.squeeze(drop=True).transpose("level", "bound").values.tolist(),
        "config": (folder / "run.json").read_text(),
    }
    part = done.with_suffix(".part")
    part.write_text(json.dumps(figures))
    part.replace(done)
    print(name, figures["returns"], figures["correlation"], flush=True)


def merge(runs: Path) -> None:
    """Put every finished variant into variants.nc, replacing older figures of it; then write the table."""
    path = HERE / "variants.nc"
    cells: dict[str, xr.Dataset] = {}
    if path.exists():
        with xr.open_dataset(path, engine="h5netcdf") as old:
            cells = {str(name): old.load().sel(variant=[name]) for name in old["variant"].values}
    for name in VARIANTS:
        done = runs / name.replace(" ", "-") / "figures.json"
        if done.exists():
            figures = json.loads(done.read_text())
            cell = xr.Dataset(
                {
                    "return_mean": ("evaluation", figures["returns"]),
                    "correlation": (("level", "bound"), figures["correlation"]),
                    "config": figures["config"],
                },
                coords={"level": list(LEVELS), "bound": list(BOUNDS)},
            )
            cells[name] = cell.expand_dims(variant=[name])
    results = xr.concat([cells[name] for name in VARIANTS if name in cells], "variant")
    results.attrs = {f"{name}_version": version(name) for name in ("irl_probe", "torch", "gymnasium", "mujoco")}
    results.to_netcdf(path, engine="h5netcdf")
    before, _, rest = (HERE / "README.md").read_text().partition("<!-- variants -->\n")
    _, _, after = rest.partition("<!-- end variants -->")
    (HERE / "README.md").write_text(f"{before}<!-- variants -->\n{table(results)}<!-- end variants -->{after}")


def table(results: xr.Dataset) -> str:
    """A table with one line for each variant."""
    lines = [
        f"| variant | best evaluation | mean of the last {LAST} | {' | '.join(LEVELS)} |",
        "|---|---|---|---|---|---|",
    ]
    for name in results["variant"].values:
        cell = results.sel(variant=name)
        returns = cell["return_mean"].values
        figures = [correlation(cell["correlation"].sel(level=level).values) for level in LEVELS]
        lines.append(f"| {name} | {returns.max():.0f} | {returns[-LAST:].mean():.0f} | {' | '.join(figures)} |")
    return re.sub(r"-(?=\d)", "−", "\n".join(lines)) + "\n"


def correlation(values: np.ndarray) -> str:
    estimate, low, high = values
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "merge"])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--demos", type=Path, default=ROOT.parent / "shared" / "demos")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "one_demo_variants")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "merge":
        merge(arguments.runs)
    else:
        demonstration = ip.load_demos(arguments.demos / f"{TASK}.npz", env_id=ENV).episodes([SEED])
        for chosen in arguments.variants:
            run_variant(chosen, demonstration, arguments.runs)
