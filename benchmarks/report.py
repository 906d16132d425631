"""The report: time from results on disk to the page for 8 rewards × 100 episodes; memory for a million transitions.

python benchmarks/report.py     the last line is JSON.

Each case runs in its own process. Seconds are CPU time, so that a busy machine does not matter. They are compared with
the time to draw as many plain matplotlib figures as the page has, as SVG, in the same process.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import irl_probe as ip

CASES = {"page": (8, 100, 200), "memory": (1, 1000, 1000)}  # rewards, episodes, steps an episode at most


def transitions(episodes: int, steps: int) -> ip.Transitions:
    """Random walks of differing lengths with a true reward."""
    rng = np.random.default_rng(0)
    lengths = (
        np.full(episodes, steps) if steps * episodes >= 1_000_000 else rng.integers(steps // 2, steps + 1, episodes)
    )
    total = int(lengths.sum())
    last = np.zeros(total, dtype=bool)
    last[np.cumsum(lengths) - 1] = True
    observations = rng.normal(size=(total, 4)).astype(np.float32)
    return ip.Transitions(
        observations,
        rng.integers(2, size=total),
        np.roll(observations, -1, axis=0),
        last,
        np.zeros(total, dtype=bool),
        np.repeat(np.arange(episodes), lengths),
        observations[:, 0] + rng.normal(size=total).astype(np.float32),
    )


def peak() -> float:
    """The largest memory of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def results(rewards: int, episodes: int, steps: int, path: Path) -> dict[str, float]:
    """Write results of rewards of falling quality on two coverages (one for the memory case): peak memory."""
    data = {"expert": transitions(episodes, steps)}
    if rewards > 1:
        data["mixture"] = data["expert"]
    weights = np.linspace(1, 0, rewards) if rewards > 1 else [1.0]
    named = {
        f"reward-{place}": lambda s, a, t, d, w=w: (w * s[:, 0] + (1 - w) * s[:, 1] + 0.1).astype(np.float64)
        for place, w in enumerate(weights)
    }
    tree = ip.compare(named, transitions=data, config=ip.CompareConfig(resamples=20))
    ip.results.save_results(tree, path)
    return {"compare_peak_memory_gib": peak()}


def measured(path: Path) -> dict[str, float]:
    """The page of the results at `path`: CPU seconds, their ratio to plain figures, peak memory, size."""
    began = time.process_time()
    page = ip.write_report(ip.results.load_results(path), path.with_suffix(".html"))
    seconds = time.process_time() - began
    held = peak()
    figures = page.read_text(encoding="utf-8").count("<svg ")
    began = time.process_time()
    for _ in range(figures):
        figure = Figure(figsize=(4.4, 3.0))
        figure.add_subplot().plot(np.arange(300), np.arange(300))
        figure.savefig(io.StringIO(), format="svg")
    plain = time.process_time() - began
    return {
        "seconds": seconds,
        "figures": figures,
        "ratio_to_plain_figures": seconds / plain,
        "peak_memory_gib": held,
        "page_mb": page.stat().st_size / 1e6,
    }


def main() -> None:
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case, size in CASES.items():
            path = Path(folder, f"{case}.nc")
            for step in ("results", "measured"):  # two processes, so that the peak is that of the report alone
                command = [sys.executable, __file__, "--step", step, str(path), *map(str, size)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures.setdefault(case, {}).update(json.loads(done.stdout))
            print(case, {name: round(value, 2) for name, value in figures[case].items()})
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", nargs=5, help=argparse.SUPPRESS)  # one step of one case, in its own process
    step = parser.parse_args().step
    if step is None:
        main()
    elif step[0] == "results":
        print(json.dumps(results(*map(int, step[2:]), path=Path(step[1]))))
    else:
        print(json.dumps(measured(Path(step[1]))))
