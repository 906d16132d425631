"""Sampled against exact measures: do the intervals cover the exact value, and does the error fall like N^-1/2?

Tabular MDPs become sampled problems: episodes of the uniform policy, whose distribution of (s, a, s′) is known exactly,
and a simulator that draws successors. Each replication draws new episodes and successors.

    python analyses/estimators/study.py run                 # 200 replications, some 20 minutes on two cores
    python analyses/estimators/study.py run --replications 20 --out quick.nc
    python analyses/estimators/study.py table               # the README's tables from results.nc
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import irl_probe as ip
from irl_probe.metrics import (
    Dynamics,
    Estimate,
    dard_forms,
    decompose_sample,
    draw_successors,
    epic_forms,
    episode_return_distance,
    follow,
    roll_out,
    starc_forms,
    tabular,
)

HERE = Path(__file__).parent
Floats = NDArray[np.float64]
HORIZON = 20
EPISODES = (25, 50, 100)
MEASURES = ("epic", "dard", "starc_val", "starc_minimal", "erc", "share_scale", "share_potential", "share_residual")
CANONICAL = 512  # states S′ of EPIC
DRAWS = 4  # of each successor, if it is random
RESAMPLES = 500
SIMULATED = 20_000  # steps of the uniform policy, for VAL: the default of `compare`


@dataclass(frozen=True)
class Problem:
    """An MDP, and a reward to compare with its own."""

    name: str
    transition: Floats
    gamma: float
    true: Floats
    other: Floats

    @property
    def occupancy(self) -> Floats:
        """D(s, a, s′) of the uniform policy over `HORIZON` steps from uniform states."""
        states, actions, _ = self.transition.shape
        now, total = np.full(states, 1 / states), np.zeros(states)
        for _ in range(HORIZON):
            total += now / HORIZON
            now = np.einsum("s,sat->t", now, self.transition) / actions
        return total[:, None, None] * self.transition / actions


def problems() -> list[Problem]:
    """Two random MDPs, whose rewards depend on s′ too, and the grid with slip and without."""
    found = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        transition = rng.dirichlet(np.ones(6), size=(6, 3))
        true = rng.normal(size=transition.shape)
        found.append(Problem(f"random {seed}", transition, 0.9, true, true + 0.7 * rng.normal(size=true.shape)))
    path = np.array([[0.0, -1, -1], [0, 0, 0], [-1, -1, 4]])
    sparse = np.zeros((3, 3))
    sparse[-1, -1] = 1
    for slip in (0.2, 0.0):
        a, b = (ip.envs.gridworld(cells, slip=slip) for cells in (sparse, path))
        found.append(Problem(f"grid, slip {slip:g}", a.transition, a.gamma, a.reward, b.reward))
    return found


def exact(problem: Problem) -> dict[str, float]:
    """The exact value of each measure, from P and D."""
    pair, p, gamma, coverage = (problem.other, problem.true), problem.transition, problem.gamma, problem.occupancy
    parts = tabular.decompose(*pair, p, gamma, coverage=coverage).shares
    return {
        "epic": tabular.epic(*pair, gamma, coverage=coverage),
        "dard": tabular.dard(*pair, p, gamma, coverage=coverage),
        "starc_val": tabular.starc(*pair, p, gamma, coverage=coverage),
        "starc_minimal": tabular.starc(*pair, p, gamma, coverage=coverage, canonical="minimal"),
        "erc": _exact_erc(problem),
        **{f"share_{name}": parts[name] for name in ("scale", "potential", "residual")},
    }


def _exact_erc(problem: Problem) -> float:
    """From E[G] and E[GGᵀ] of both returns, by dynamic programming over the steps left."""
    actions = problem.transition.shape[1]
    p, rewards = problem.transition / actions, np.stack([problem.other, problem.true])
    first, second = np.zeros((2, len(p))), np.zeros((2, 2, len(p)))
    for _ in range(HORIZON):
        cross = np.einsum("sat,isat,jsat->ijs", p, rewards, rewards) + np.einsum("sat,ijt->ijs", p, second)
        mixed = np.einsum("sat,isat,jt->ijs", p, rewards, first)
        second = cross + mixed + mixed.swapaxes(0, 1)
        first = np.einsum("sat,isat->is", p, rewards) + np.einsum("sat,it->is", p, first)
    mean, moment = first.mean(axis=1), second.mean(axis=2)
    covariance = moment - np.outer(mean, mean)
    return float(np.sqrt((1 - covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])) / 2))


def estimate(
    problem: Problem, episodes: int, rng: np.random.Generator, *, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Every sampled measure on newly drawn episodes, with its interval."""
    states, actions, _ = problem.transition.shape
    cumulated = np.cumsum(problem.transition, axis=2)

    def step(s: NDArray[np.int64], a: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        rows = cumulated[s, a]
        return (rows <= rng.random((len(s), 1)) * rows[:, -1:]).sum(axis=1), np.zeros(len(s), dtype=bool)

    steps = _rollouts(step, states, actions, episodes, rng)
    o, a, o2 = steps.observations, steps.actions, steps.next_observations
    rewards = {
        name: lambda s, u, t, _, table=table: table[s, u, t]
        for name, table in (("other", problem.other), ("true", problem.true))
    }
    options = {"resamples": resamples, "seed": rng}
    epic = epic_forms(
        rewards,
        steps,
        problem.gamma,
        actions=np.arange(actions),
        states=rng.integers(states, size=CANONICAL),
        exhaustive=True,
    )
    deterministic = bool((problem.transition.max(axis=2) > 1 - 1e-12).all())
    dynamics = Dynamics("simulator", step, deterministic)
    under = np.arange(actions)
    dard = dard_forms(rewards, steps, problem.gamma, dynamics, actions=under, draws=DRAWS, seed=rng)
    policy = follow(steps, dynamics, problem.gamma, actions=under, count=SIMULATED, seed=int(rng.integers(2**31)))
    drawn = draw_successors(steps, dynamics, draws=DRAWS)
    rolled = roll_out(
        rewards,
        steps,
        problem.gamma,
        dynamics,
        actions=under,
        horizon=1,
        rollouts=DRAWS,
        seed=int(rng.integers(2**31)),
    )
    forms = starc_forms(rewards, drawn, policy, rolled, problem.gamma, lambda s: np.eye(states)[s])
    parts = decompose_sample(forms, "other", "true", **options)
    return {
        "epic": epic.distance("other", "true", **options),
        "dard": dard.distance("other", "true", **options),
        **{m: forms.distance(m, "other", "true", **options) for m in ("starc_val", "starc_minimal")},
        "erc": episode_return_distance(problem.other[o, a, o2], problem.true[o, a, o2], steps.lengths, **options),
        **{f"share_{name}": parts.shares[name] for name in ("scale", "potential", "residual")},
    }


def _rollouts(step, states: int, actions: int, episodes: int, rng: np.random.Generator) -> ip.Transitions:
    columns = []
    now = rng.integers(states, size=episodes)
    for _ in range(HORIZON):
        chosen = rng.integers(actions, size=episodes)
        after, _ = step(now, chosen)
        columns.append((now, chosen, after))
        now = after
    s, a, s2 = (np.stack(column, axis=1).ravel() for column in zip(*columns, strict=True))
    last = np.tile(np.arange(HORIZON) == HORIZON - 1, episodes)
    return ip.Transitions(s, a, s2, np.zeros_like(last), last, np.repeat(np.arange(episodes), HORIZON))


def run(replications: int, *, episodes=EPISODES, seed: int = 0, chosen: list[Problem] | None = None) -> xr.Dataset:
    """value (problem, episodes, replication, measure, bound) and exact (problem, measure)."""
    chosen = problems() if chosen is None else chosen
    value = np.full((len(chosen), len(episodes), replications, len(MEASURES), 3), np.nan)
    for i, problem in enumerate(chosen):
        for j, count in enumerate(episodes):
            for k in range(replications):
                found = estimate(problem, count, np.random.default_rng([seed, i, j, k]))
                value[i, j, k] = [found[measure].array for measure in MEASURES]
            print(f"{problem.name}: {count} episodes done", flush=True)
    return xr.Dataset(
        {
            "value": (("problem", "episodes", "replication", "measure", "bound"), value),
            "exact": (("problem", "measure"), [[exact(problem)[m] for m in MEASURES] for problem in chosen]),
        },
        coords={
            "problem": [problem.name for problem in chosen],
            "episodes": list(episodes),
            "measure": list(MEASURES),
            "bound": ["estimate", "low", "high"],
        },
        attrs={
            "seed": seed,
            "horizon": HORIZON,
            "draws": DRAWS,
            "canonical": CANONICAL,
            "resamples": RESAMPLES,
            "simulated": SIMULATED,
        },
    )


def covered(data: xr.Dataset) -> xr.DataArray:
    """Share of replications whose interval holds the exact value, (problem, episodes, measure)."""
    low, high = data["value"].sel(bound="low"), data["value"].sel(bound="high")
    # If an exact 0 is estimated as 0, the interval is a single point; a difference by rounding is not a miss.
    return ((low <= data["exact"] + 1e-9) & (high >= data["exact"] - 1e-9)).mean("replication")


def slope(data: xr.Dataset) -> xr.DataArray:
    """Slope of log RMS error against log episodes, (problem, measure); −½ for an average of independent draws."""
    error = np.sqrt(((data["value"].sel(bound="estimate") - data["exact"]) ** 2).mean("replication"))
    x = np.log(data["episodes"].astype(float))
    x = x - x.mean()
    return (x * np.log(error)).sum("episodes") / (x**2).sum("episodes")


def table(data: xr.Dataset) -> str:
    """Markdown: the error at the most episodes, the coverage at each number of episodes, and the slope."""
    shares, slopes, most = covered(data), slope(data), int(data["episodes"].max())
    error = np.sqrt(((data["value"].sel(bound="estimate") - data["exact"]) ** 2).mean("replication"))
    lines = ["| problem | measure | exact | RMS error | covered, by episodes | slope |", "|---|---|---|---|---|---|"]
    for problem in data["problem"].values:
        for measure in data["measure"].values:
            at = {"problem": problem, "measure": measure}
            by = ", ".join(f"{float(shares.sel(at | {'episodes': e})):.3f}" for e in data["episodes"].values)
            lines.append(
                f"| {problem} | {measure} | {float(data['exact'].sel(at)):.4f} | "
                f"{float(error.sel(at | {'episodes': most})):.4f} | {by} | {float(slopes.sel(at)):.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("--replications", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "results.nc")
    options = parser.parse_args()
    if options.command == "run":
        data = run(options.replications, seed=options.seed)
        data.to_netcdf(options.out, engine="h5netcdf", encoding={"value": {"zlib": True, "dtype": "float32"}})
    with xr.open_dataset(options.out, engine="h5netcdf") as data:
        print(table(data.load()))


if __name__ == "__main__":
    main()
