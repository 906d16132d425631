"""Digests of what this revision computes, to compare with another revision: the same seed gives the same bytes.

python benchmarks/same_bytes.py [--only offline online rewards grid]     the last line is one JSON object of digests.

A digest is the SHA-256 of the numbers' bytes. Compare them on one machine, with the same versions and one thread
(OMP_NUM_THREADS=1):

offline   CartPole-v1 from one demonstration, every 20th step: weights, logged figures
online    HalfCheetah-v5 from one demonstration, 2,000 steps: weights, logged figures
rewards   every shipped reward on 64 fixed steps: values, and standard errors if it has them
grid      all figures of `probe GridWorld`

To compare two revisions: run it in a checkout of each, with PYTHONPATH set to the checkout.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

import irl_probe as ip

ZOO = Path(ip.__file__).parents[1] / "recovered_rewards"
STEPS = 64


def digest(arrays: Mapping[str, Any]) -> str:
    found = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        found.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        found.update(value.tobytes())
    return found.hexdigest()[:32]


def learned(run: ip.Run) -> dict[str, str]:
    """The weights of a run's networks, and its log."""
    weights = {
        f"{part}.{name}": tensor.numpy()
        for part, network in run.soft_q.modules.items()
        for name, tensor in network.state_dict().items()
    }
    history = {str(name): run.history[name].values for name in run.history}
    return {"weights": digest(weights), "history": digest(history | {"end": run.terminal_value})}


def offline() -> dict[str, str]:
    demos = ip.load_demos("CartPole-v1", episodes=1, subsample=20)
    return learned(ip.train(demos, ip.IQConfig(seed=0, steps=3000), progress=False))


def online() -> dict[str, str]:
    demos = ip.load_demos("HalfCheetah-v5", episodes=1)
    config = ip.IQConfig(seed=0, steps=2000, warm_start=500, evaluate_every=2000, evaluate_episodes=2)
    return learned(ip.train(demos, config, env="HalfCheetah-v5", progress=False))


def rewards() -> dict[str, str]:
    found = {}
    for described in sorted(ZOO.glob("*/*/reward.json")):
        folder = described.parent
        reward, rng = ip.load_reward(folder), np.random.default_rng(0)
        o, o2 = (_drawn(reward.observation_space, rng) for _ in range(2))
        steps = (o, _drawn(reward.action_space, rng), o2, rng.random(STEPS) < 0.3)
        values = {"value": reward(*steps)}
        if hasattr(reward, "standard_error"):
            values["error"] = reward.standard_error(*steps)
        found[folder.relative_to(ZOO).as_posix()] = digest(values)
    return found


def _drawn(space: spaces.Space, rng: np.random.Generator) -> np.ndarray:
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=STEPS)
    low, high = np.maximum(space.low, -3.0), np.minimum(space.high, 3.0)
    return rng.uniform(low, high, (STEPS, *space.shape)).astype(space.dtype)


def grid() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        tree = ip.probe("GridWorld", out=Path(folder) / "grid").results
    return {
        node.path: digest({str(n): v.values for n, v in node.variables.items() if v.dtype.kind in "fiub"})
        for node in tree.subtree
        if node.variables
    }


PARTS: dict[str, Callable[[], dict[str, str]]] = {
    "offline": offline,
    "online": online,
    "rewards": rewards,
    "grid": grid,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="which parts; all by default")
    print(json.dumps({part: PARTS[part]() for part in parser.parse_args().only}))


if __name__ == "__main__":
    main()
