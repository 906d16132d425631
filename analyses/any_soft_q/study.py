"""What reward does a trained Stable-Baselines3 agent behave as if it had? SAC on Pendulum-v1, whose reward is known.

python analyses/any_soft_q/study.py [--seeds 1]     results.nc and the table of README.md; about 4 minutes a seed.

Models are kept under runs/any_soft_q/ and are not trained again.
"""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from stable_baselines3 import SAC

import irl_probe as ip

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "runs" / "any_soft_q"
ENV, STEPS, EPISODES, ACTION_SAMPLES = "Pendulum-v1", 20_000, 5, 64
NOISE = (0.0, 0.2, 0.5, 1.0)
LEVELS = {"step": ("step", "none"), "partial return": ("partial", "none"), "episode": ("episode", "none")}
BEGIN, END = "<!-- table -->", "<!-- end -->"


def trained(seed: int) -> SAC:
    path = MODELS / f"sac-{seed}.zip"
    if not path.exists():
        model = SAC("MlpPolicy", ENV, seed=seed, device="cpu")
        model.learn(STEPS)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return SAC.load(path, device="cpu")


def coverage(reward: ip.RecoveredReward, seed: int) -> ip.Transitions:
    """Episodes of the agent with a share of random actions, `EPISODES` of each share."""
    env = ip.make_env(ENV)
    parts = [
        ip.record_demos(reward.soft_q.policy, env, EPISODES, seed=1000 * seed + i, epsilon=share).transitions
        for i, share in enumerate(NOISE)
    ]
    env.close()
    return ip.Transitions.concatenate(parts)


def measure(seed: int) -> xr.Dataset:
    """Pearson's correlation with the recorded true reward with its 95 % bootstrap interval over episodes."""
    reward = ip.recover(trained(seed), action_samples=ACTION_SAMPLES)
    steps = coverage(reward, seed)
    tree = ip.compare({"recovered": reward}, transitions={"mixture": steps})
    table = tree["correlation"]["value"].sel(reward="recovered", metric="pearson", coverage="mixture").squeeze()
    cells = [table.sel(level=level, control=control) for level, control in LEVELS.values()]
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    values, error = reward(*batch), reward.standard_error(*batch)
    slope = float(np.polyfit(values, steps.rewards, 1)[0])
    evaluation = ip.evaluate(reward.soft_q.policy, ENV, episodes=20, seed=seed)
    return xr.Dataset(
        {
            "correlation": (("level", "bound"), np.array([cell.values for cell in cells])),
            "slope": slope,
            "standard_error": float(error.mean()),
            "temperature": reward.temperature,
            "return_mean": float(np.mean(evaluation.returns)),
        },
        coords={"level": list(LEVELS), "bound": table.bound.values},
    )


def row(result: xr.Dataset) -> str:
    cells = [
        "{:.3f} [{:.3f}, {:.3f}]".format(*result.correlation.sel(level=level).values) for level in result.level.values
    ]
    others = (result.slope, result.standard_error, result.temperature, result.return_mean)
    slope, error, temperature, returned = (float(value) for value in others)
    return " | ".join(
        [f"| {int(result.seed)}", f"{returned:.0f}", *cells, f"{slope:.2f}", f"{error:.3f}", f"{temperature:.3f} |"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = xr.concat([measure(seed) for seed in range(options.seeds)], dim="seed")
    results = results.assign_coords(seed=np.arange(options.seeds))
    packages = ("irl_probe", "stable_baselines3", "torch", "gymnasium", "numpy")
    results.attrs |= {name: version(name) for name in packages} | {"steps": STEPS, "episodes": EPISODES}
    results.to_netcdf(HERE / "results.nc", engine="h5netcdf")
    lines = [
        f"| seed | return | {' | '.join(LEVELS)} | slope | standard error | α |",
        f"|{'---|' * (len(LEVELS) + 5)}",
        *(row(results.sel(seed=seed)) for seed in results.seed.values),
    ]
    page = (HERE / "README.md").read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    (HERE / "README.md").write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
