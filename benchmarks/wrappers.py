"""The time that VectorRewardWrapper adds to a step of eight HalfCheetah-v5, by reward, in one process.

python benchmarks/wrappers.py [--steps 300] [--repeats 5]     medians over alternating blocks; the last line is JSON.

"function" pays 1 and shows the cost of the wrapper itself. A recovered reward has two critics and a policy of 256 × 256
and draws K actions for V(s′). A distilled one is a network of r(s, a, s′), or shaped g(s) + γh(s′) − h(s), of the given
width; 64 × 64 is the default. "running" adds normalise="running". Overhead: (wrapped − bare)/bare.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from statistics import median

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

import irl_probe as ip
from irl_probe.rewards import DistilledReward, RewardNetwork
from irl_probe.softq import ContinuousQ, GaussianPolicy, NetworkSpec

ENV, COUNT, TARGET = "HalfCheetah-v5", 8, 0.15


def wrapped(env: VectorEnv) -> dict[str, VectorEnv]:
    spaces = {"observation_space": env.single_observation_space, "action_space": env.single_action_space}
    spec = NetworkSpec.of(**spaces, hidden=(256, 256))
    soft_q = ip.softq.ContinuousSoftQ(ContinuousQ(spec), GaussianPolicy(spec), gamma=0.99, temperature=0.1)

    def explicit(width: int, *, shaped: bool = False) -> DistilledReward:
        spec = NetworkSpec.of(**spaces, hidden=(width, width))
        g = RewardNetwork(spec, "state" if shaped else "transition")
        return DistilledReward(g, RewardNetwork(spec, "state") if shaped else None, 0.99, 0.1, **spaces)

    rewards = {
        "function": lambda o, a, o2, d: np.ones(len(o)),
        **{f"recovered_k{k}": ip.recover(soft_q, action_samples=k, **spaces) for k in (2, 4, 16)},
        "distilled_64": explicit(64),
        "distilled_32": explicit(32),
        "shaped_64": explicit(64, shaped=True),
    }
    cases = {name: ip.rewards.VectorRewardWrapper(env, reward) for name, reward in rewards.items()}
    running = ip.rewards.VectorRewardWrapper(env, explicit(64), normalise="running")
    return {"bare": env, **cases, "distilled_64_running": running}


def step_time(env: VectorEnv, actions: np.ndarray) -> float:
    """The median time of a step, in seconds, which other processes on the machine disturb least."""
    env.reset(seed=0)
    times = []
    for action in actions:
        began = time.perf_counter()
        env.step(action)
        times.append(time.perf_counter() - began)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("Small products are fastest on one thread: set OMP_NUM_THREADS=1.")
    torch.set_num_threads(1)
    mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
    env = gym.make_vec(ENV, COUNT, vectorization_mode="sync", vector_kwargs=mode)
    cases = wrapped(env)
    size = (options.steps, COUNT, *env.single_action_space.shape)
    actions = np.random.default_rng(0).uniform(-1, 1, size).astype(np.float32)
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(options.repeats):
        for name, case in cases.items():
            times[name].append(step_time(case, actions))
    bare = np.array(times["bare"])
    print(f"{'':>20}  {'median µs':>9}  overhead")
    figures: dict[str, float] = {"bare_us": round(1e6 * median(bare), 1)}
    for name, values in times.items():
        share = median(np.array(values) / bare) - 1
        note = "" if name == "bare" or share < TARGET else f"  (target {TARGET:.0%})"
        print(f"{name:>20}  {1e6 * median(values):9.1f}  {share:8.1%}{note}")
        if name != "bare":
            figures[f"{name}_overhead"] = round(share, 3)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
