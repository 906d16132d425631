"""Which reward does a trained Stable-Baselines3 agent behave as if it had? SAC and DQN on tasks with a known reward.

python analyses/any_soft_q/study.py sac [--seeds 1]     SAC on Pendulum-v1; about 4 minutes a seed
python analyses/any_soft_q/study.py dqn [--seeds 3]     DQN on the 5×5 grid; about 5 seconds a seed

Each command writes its results (results.nc, dqn.nc) and its table in README.md. It stores trained models under
runs/any_soft_q/ and does not train them again.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from stable_baselines3 import DQN, SAC

import irl_probe as ip

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "runs" / "any_soft_q"
EPISODES = 5
NOISE = (0.0, 0.2, 0.5, 1.0)
LEVELS = {"step": ("step", "none"), "partial return": ("partial", "none"), "episode": ("episode", "none")}


@dataclass(frozen=True)
class Agent:
    """A learner, its environment and settings, and options of `recover`: each of `readings` is a row of the table."""

    learner: type[SAC] | type[DQN]
    env_id: str
    steps: int
    settings: dict[str, Any]
    readings: tuple[dict[str, Any], ...]
    file: str


AGENTS = {
    "sac": Agent(SAC, "Pendulum-v1", 20_000, {}, ({"action_samples": 64},), "results.nc"),
    "dqn": Agent(
        DQN,
        "GridWorld",
        10_000,
        {
            "gamma": 0.9,
            "learning_rate": 1e-3,
            "learning_starts": 500,
            "target_update_interval": 250,
            "exploration_fraction": 0.5,
        },
        ({"temperature": 0.01}, {"temperature": 0.1}, {"temperature": 1.0}),
        "dqn.nc",
    ),
}


def trained(name: str, seed: int) -> SAC | DQN:
    """The agent of this seed: read if it is stored, else trained and stored."""
    agent, path = AGENTS[name], MODELS / f"{name}-{seed}.zip"
    if not path.exists():
        env = ip.envs.make_env(agent.env_id)
        model = agent.learner("MlpPolicy", env, seed=seed, device="cpu", **agent.settings)
        model.learn(agent.steps)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return agent.learner.load(path, device="cpu")


def coverage(reward: ip.rewards.RecoveredReward, env_id: str, seed: int) -> ip.Transitions:
    """`EPISODES` episodes of the agent at each share of random actions."""
    env = ip.envs.make_env(env_id)
    parts = [
        ip.record_demos(reward.soft_q.policy, env, EPISODES, seed=1000 * seed + i, epsilon=share).transitions
        for i, share in enumerate(NOISE)
    ]
    env.close()
    return ip.Transitions.concatenate(parts)


def measure(name: str, seed: int) -> xr.Dataset:
    """All readings of one trained agent."""
    model, agent = trained(name, seed), AGENTS[name]
    return xr.concat([reading(model, agent.env_id, seed, **options) for options in agent.readings], dim="reading")


def reading(model: SAC | DQN, env_id: str, seed: int, **options: Any) -> xr.Dataset:
    """Pearson's correlation with the recorded true reward, with its 95 % bootstrap interval over episodes."""
    reward = ip.recover(model, **options)
    steps = coverage(reward, env_id, seed)
    tree = ip.compare({"recovered": reward}, transitions={"mixture": steps})
    table = tree["correlation"]["value"].sel(reward="recovered", metric="pearson", coverage="mixture").squeeze()
    cells = [table.sel(level=level, control=control) for level, control in LEVELS.values()]
    batch = (steps.observations, steps.actions, steps.next_observations, steps.terminated)
    values, error = reward(*batch), reward.standard_error(*batch)
    slope = float(np.polyfit(values, steps.rewards, 1)[0])
    evaluation = ip.evaluate(reward.soft_q.policy, env_id, episodes=20, seed=seed)
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
    """One line of the table."""
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
    parser.add_argument("agent", choices=AGENTS)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    agent = AGENTS[options.agent]
    torch.set_num_threads(1)
    results = xr.concat([measure(options.agent, seed) for seed in range(options.seeds)], dim="seed")
    results = results.assign_coords(seed=np.arange(options.seeds))
    packages = ("irl_probe", "stable_baselines3", "torch", "gymnasium", "numpy")
    results.attrs |= {name: version(name) for name in packages} | {"steps": agent.steps, "episodes": EPISODES}
    results.to_netcdf(HERE / agent.file, engine="h5netcdf")
    lines = [
        f"| seed | return | {' | '.join(LEVELS)} | slope | standard error | α |",
        f"|{'---|' * (len(LEVELS) + 5)}",
        *(row(results.isel(seed=s, reading=r)) for s in range(options.seeds) for r in range(results.sizes["reading"])),
    ]
    page = (HERE / "README.md").read_text(encoding="utf-8")
    begin, end = f"<!-- {options.agent} -->", f"<!-- end of {options.agent} -->"
    before, after = page.split(begin)[0], page.split(end)[1]
    (HERE / "README.md").write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
