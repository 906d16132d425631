"""Time of every exact tabular measure at S = 200 and S = 400 states, A = 5, with dense and with sparse dynamics.

python benchmarks/tabular.py [--states 200 400] [--repeats 3]     medians of CPU time; the last line is JSON.

Dense: every state can follow every state. Sparse: five states can, as on a grid. The table also has the linear algebra
that the measures use, at the same sizes. From 200 to 400 states a solve or an eigendecomposition takes 8 times as long,
and a pass over P 4 times; a measure should not grow faster.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from irl_probe.metrics import tabular

ACTIONS, GAMMA, SUCCESSORS = 5, 0.99, 5
LIMIT = 5.0


def problem(states: int, successors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P and two rewards, (S, A, S) each."""
    rng = np.random.default_rng(0)
    transition = np.zeros((states, ACTIONS, states))
    for state, action in np.ndindex(states, ACTIONS):
        transition[state, action, rng.permutation(states)[:successors]] = rng.dirichlet(np.ones(successors))
    first, second = rng.normal(size=(2, *transition.shape))
    return transition, first, second


def measures(states: int, successors: int) -> dict[str, Callable[[], object]]:
    p, a, b = problem(states, successors)
    coverage = p / (states * ACTIONS)
    start = np.full(states, 1 / states)
    q = tabular.soft_q(a, p, GAMMA)
    other = problem(states, successors)[0][::-1]
    square = p[:, 0] + p[:, 0].T
    return {
        "epic": lambda: tabular.epic(a, b, GAMMA, coverage=coverage),
        "dard": lambda: tabular.dard(a, b, p, GAMMA),
        "starc_val": lambda: tabular.starc(a, b, p, GAMMA),
        "starc_val_potential": lambda: tabular.starc(a, b, p, GAMMA, canonical="val_potential"),
        "starc_minimal": lambda: tabular.starc(a, b, p, GAMMA, canonical="minimal"),
        "npec": lambda: tabular.npec(a, b, GAMMA, coverage=coverage),
        "regret": lambda: tabular.regret(a, b, p, GAMMA, start),
        "decompose": lambda: tabular.decompose(a, b, p, GAMMA),
        "ambiguity_dimension": lambda: tabular.ambiguity_dimension([(p, GAMMA), (other, GAMMA)]),
        "soft_q": lambda: tabular.soft_q(a, p, GAMMA),
        "recovered_reward": lambda: tabular.recovered_reward(q, p, GAMMA),
        "(solve)": lambda: np.linalg.solve(np.eye(states) - GAMMA * p[:, 0], start),
        "(eigendecomposition)": lambda: np.linalg.eigh(square),
        "(pass over P)": lambda: (p * a).sum(axis=2),
    }


def seconds(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return median(times[1:])  # the first one warms up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, nargs=2, default=(200, 400))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    small, large = options.states
    figures: dict[str, float] = {}
    for name, successors in (("dense", None), ("sparse", SUCCESSORS)):
        pairs = [measures(states, successors or states) for states in (small, large)]
        print(f"{name:>22}  {f'S = {small}':>9}  {f'S = {large}':>9}  growth")
        for measure in pairs[0]:
            first, second = (seconds(pair[measure], options.repeats) for pair in pairs)
            over = "" if second <= LIMIT else f"  over {LIMIT:g} s"
            print(f"{measure:>22}  {first:9.4f}  {second:9.4f}  {second / first:6.1f}{over}")
            if not measure.startswith("("):
                figures[f"{name}_{measure}_s"] = round(second, 4)
    print(json.dumps(figures | {"states": large, "actions": ACTIONS, "slowest_s": max(figures.values())}))


if __name__ == "__main__":
    main()
