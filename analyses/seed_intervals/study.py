"""Which interval over 3, 5 or 10 seeds covers? The share of samples whose 95 % interval holds the truth.

python analyses/seed_intervals/study.py run      results.nc, and the tables of README.md (some minutes of one core)
python analyses/seed_intervals/study.py tables   the tables alone, from results.nc

The truth of the mean is that of the distribution, and of the interquartile mean its expectation at this many seeds.
Samples whose scores are all equal have no interval; the shares are of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

import irl_probe as ip

HERE = Path(__file__).parent
SEED, REPLICATIONS, RESAMPLES, CONFIDENCE = 0, 700, 200, 0.95
SEEDS, TASKS = (3, 5, 10), (1, 3)
Statistic = Callable[[np.ndarray], np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# Name → how to draw it. The last had no part in the choice of the method.
DISTRIBUTIONS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "lognormal": lambda rng, size: rng.lognormal(size=size),
    "ceiling": lambda rng, size: 500 - rng.integers(0, 2, size) * rng.uniform(0, 300, size),  # half of the runs at 500
    "gamma ½": lambda rng, size: rng.gamma(0.5, size=size),
}
STATISTICS = {"mean": lambda rows: rows.mean(axis=1), "interquartile mean": lambda rows: ip.metrics.iqm(rows, axis=1)}
METHODS = ("percentile bootstrap", "BCa, widened", "Student's t", "Student's t, lengthened")


def coverage(draw: Draw, seeds: int, tasks: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(method,): the share of intervals that hold the truth, and the median length in Student's.

    All samples have the same resamples, as `stratified_bootstrap` has for one seed.
    """
    rng, statistic = np.random.default_rng([SEED, seeds, tasks]), STATISTICS[name]
    many = draw(rng, (20_000 * seeds, seeds * tasks))
    truth = many.mean() if name == "mean" else statistic(many).mean()
    samples = draw(rng, (REPLICATIONS, tasks, seeds))
    places = rng.integers(seeds, size=(RESAMPLES, tasks, seeds))
    counts = (places[..., None] == np.arange(seeds)).sum(axis=2).astype(float)
    drawn = samples[:, np.arange(tasks)[:, None], places]  # (replication, resample, task, seed)
    every = np.concatenate([samples[:, None], drawn], axis=1).reshape(-1, tasks * seeds)
    replicates = statistic(every).reshape(REPLICATIONS, RESAMPLES + 1)
    ends = np.stack([intervals(*each, counts, statistic) for each in zip(samples, replicates, strict=True)])
    ends = ends[np.isfinite(ends[:, -1]).all(axis=1)]  # figures that are all equal have no interval
    low, high = ends[..., 0], ends[..., 1]
    held = np.where(np.isfinite(low), (low <= truth) & (truth <= high), np.nan)
    return held.mean(axis=0), np.median((high - low) / (high - low)[:, [2]], axis=0)


def intervals(scores: np.ndarray, replicates: np.ndarray, counts: np.ndarray, statistic: Statistic) -> np.ndarray:
    """(method, 2): the ends of each method's interval of scores (tasks, seeds); BCa for one task only."""
    tasks, seeds = scores.shape
    plain = ip.metrics.percentile_interval(replicates, CONFIDENCE)
    wide = ip.metrics.Estimate.undefined("several tasks")
    if tasks == 1 and np.ptp(scores) > 0:
        left_out = statistic(np.stack([np.delete(scores[0], i) for i in range(seeds)]))
        wide = ip.metrics.accelerated_interval(replicates, left_out, CONFIDENCE, groups=seeds)
    error = replicates[1:].std() * np.sqrt(seeds / (seeds - 1))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * error
    ours = ip.metrics.seed_interval(replicates, counts, CONFIDENCE, seeds=seeds)
    student = replicates[0] - half, replicates[0] + half
    return np.array([(plain.low, plain.high), (wide.low, wide.high), student, (ours.low, ours.high)])


def transfer_coverage(draw: Draw, seeds: int) -> tuple[float, float]:
    """The shares for the value of one variant and for `overall` of two: .8 in truth, spread .2 of the scale."""
    rng = np.random.default_rng([SEED, seeds])
    many = draw(rng, (100_000, 10))
    centre, spread = many.mean(), many.std()
    variants = [ip.envs.Variant("E", "mass", 2.0), ip.envs.Variant("E", "mass", 3.0)]
    config = ip.transfers.TransferConfig(seeds=tuple(range(seeds)), resamples=RESAMPLES)
    held = []
    for _ in range(REPLICATIONS // 7):
        noise = (draw(rng, (2, 3, seeds)) - centre) / spread
        returns = np.array([0.0, 0.8, 1.0])[:, None] + 0.2 * noise
        group = ip.transfers.group_of(returns, ["random", "reward", "true reward"], variants, config)
        found = group["value"].values[0, 1], group["overall"].values[1]
        held.append([np.nan if np.isnan(low) else low <= 0.8 <= high for _, low, high in found])
    value, overall = np.nanmean(held, axis=0)
    return float(value), float(overall)


def run() -> None:
    cells = {"coverage": np.full((len(DISTRIBUTIONS), len(SEEDS), len(TASKS), len(STATISTICS), len(METHODS)), np.nan)}
    cells["length"] = cells["coverage"].copy()
    shares = np.full((len(DISTRIBUTIONS), len(SEEDS), 2), np.nan)
    for (d, draw), (s, seeds) in product(enumerate(DISTRIBUTIONS.values()), enumerate(SEEDS)):
        for (k, tasks), (m, name) in product(enumerate(TASKS), enumerate(STATISTICS)):
            cells["coverage"][d, s, k, m], cells["length"][d, s, k, m] = coverage(draw, seeds, tasks, name)
        shares[d, s] = transfer_coverage(draw, seeds)
        print(list(DISTRIBUTIONS)[d], seeds, cells["coverage"][d, s, ..., -1].round(3), shares[d, s], flush=True)
    dims = ("distribution", "seeds", "tasks", "statistic", "interval")
    results = xr.Dataset(
        {name: (dims, values) for name, values in cells.items()}
        | {"transfer": (("distribution", "seeds", "figure"), shares)},
        coords={
            "distribution": list(DISTRIBUTIONS), "seeds": list(SEEDS), "tasks": list(TASKS),
            "statistic": list(STATISTICS), "interval": list(METHODS), "figure": ["value", "overall"],
        },
        attrs={"seed": SEED, "replications": REPLICATIONS, "resamples": RESAMPLES, "confidence": CONFIDENCE}
        | {f"{name}_version": version(name) for name in ("irl_probe", "numpy", "scipy", "xarray")},
    )  # fmt: skip
    results.to_netcdf(HERE / "results.nc", engine="h5netcdf")


def tables() -> None:
    """Three tables: one task by method, several tasks, and transfer."""
    results = xr.load_dataset(HERE / "results.nc", engine="h5netcdf")
    parts = [_by_method(results, task) for task in TASKS]
    head = ["distribution", *(f"{figure}, {n} seeds" for figure in results["figure"].values for n in SEEDS)]
    shares = results["transfer"].transpose("distribution", "figure", "seeds").values
    rows = [[n, *(f"{v:.2f}" for v in row.ravel())] for n, row in zip(DISTRIBUTIONS, shares, strict=True)]
    parts.append(f"**Transfer**: `value` of one variant and `overall` of two\n\n{_markdown(head, rows)}")
    readme = HERE / "README.md"
    before, begin, rest = readme.read_text().partition("<!-- tables -->\n")
    _, end, after = rest.partition("<!-- end tables -->")
    if not (begin and end):
        raise ValueError("README.md must hold the marks <!-- tables --> and <!-- end tables -->, each once.")
    readme.write_text(f"{before}{begin}" + "\n\n".join(parts) + f"\n{end}{after}")


def _by_method(results: xr.Dataset, tasks: int) -> str:
    """Coverage by distribution and method, for each statistic and number of seeds, and the length of the last one."""
    head = ["distribution", "method", *(f"{s}, {n} seeds" for s in STATISTICS for n in SEEDS)]
    rows = []
    for name, method in product(DISTRIBUTIONS, METHODS):
        cells = (
            results[["coverage"]].sel(distribution=name, interval=method, tasks=tasks).transpose("statistic", "seeds")
        )
        if cells["coverage"].notnull().any():
            rows.append([name, method, *(f"{value:.2f}" for value in cells["coverage"].values.ravel())])
    ours = results["length"].sel(distribution="normal", interval=METHODS[-1], tasks=tasks)
    ours = ours.transpose("statistic", "seeds")
    rows.append(["normal", "median length in Student's", *(f"{value:.2f}" for value in ours.values.ravel())])
    return f"**{tasks} task{'s' if tasks > 1 else ''}**\n\n{_markdown(head, rows)}"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "tables"])
    if parser.parse_args().verb == "run":
        run()
    tables()
