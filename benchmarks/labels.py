"""Labelling a million transitions with a recovered reward, compared with the machine's GEMM rate, in one process.

python benchmarks/labels.py [--steps 1000000] [--repeats 3] [--threads 1]     the last line is JSON.

Continuous: 17 observed numbers, 6 actions, 256 × 256, one critic and two, 16 action samples. Discrete: 8 observed
numbers, 4 actions, 128 × 128, steps of episodes. The work is that of the matrix products of these networks,
2·rows·Σ in·out FLOPs. The GEMM rate is the best of NumPy's and torch's, for the product of a hidden layer and for a
square one. On one thread the clock is CPU time. Memory is the largest amount that NumPy had allocated, without the
input.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

import irl_probe as ip
from irl_probe.softq import ContinuousQ, DiscreteQ, GaussianPolicy, NetworkSpec

STATES, ACTIONS, SAMPLES, EPISODE = 17, 6, 16, 200
Clock = Callable[[], float]


def continuous(steps: int, critics: int) -> tuple[ip.rewards.RecoveredReward, tuple[np.ndarray, ...], float]:
    """The reward, its input, and the FLOPs of the networks."""
    bounds = ((-1.0,) * ACTIONS, (1.0,) * ACTIONS)
    spec = NetworkSpec((STATES,), None, None, *bounds, hidden=(256, 256), critics=critics)
    critic, actor = ContinuousQ(spec), GaussianPolicy(spec)
    soft_q = ip.softq.ContinuousSoftQ(critic, actor, gamma=0.99, temperature=0.1, samples=SAMPLES)
    reward = ip.recover(soft_q, action_space=spaces.Box(-1, 1, (ACTIONS,)))
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, ACTIONS)).astype(np.float32)
    rows = steps * (SAMPLES + 1)
    return reward, episodes(steps, STATES, actions), rows * flops(critic) + steps * flops(actor)


def discrete(steps: int) -> tuple[ip.rewards.RecoveredReward, tuple[np.ndarray, ...], float]:
    network = DiscreteQ(NetworkSpec((8,), None, 4, None, None, hidden=(128, 128)))
    reward = ip.recover(ip.softq.DiscreteSoftQ(network, gamma=0.99, temperature=0.1))
    batch = episodes(steps, 8, np.random.default_rng(0).integers(4, size=steps))
    return reward, batch, (steps + -(-steps // EPISODE)) * flops(network)  # a successor is the next observation


def flops(network: nn.Module) -> float:
    """2·in·out over all weight matrices: the FLOPs of one row of input."""
    return sum(2.0 * weight.numel() for name, weight in network.named_parameters() if name.endswith("weight"))


def episodes(steps: int, width: int, actions: np.ndarray) -> tuple[np.ndarray, ...]:
    observations = np.random.default_rng(1).normal(size=(steps + 1, width)).astype(np.float32)
    successors = observations[1:].copy()
    successors[EPISODE - 1 :: EPISODE] += 1.0
    return observations[:-1], actions, successors, np.zeros(steps, dtype=bool)


def gemm_rate(clock: Clock) -> float:
    """FLOPs a second: the best of two products in NumPy and in torch."""
    best = 0.0
    for m, k, n in ((2048, 256, 256), (1024, 1024, 1024)):
        left, right = np.ones((m, k), np.float32), np.ones((k, n), np.float32)
        for a, b in ((left, right), (torch.as_tensor(left), torch.as_tensor(right))):
            count = int(4e9 / (2 * m * k * n))
            began = clock()
            for _ in range(count):
                a @ b
            best = max(best, 2.0 * m * k * n * count / (clock() - began))
    return best


def peak_bytes(reward: ip.rewards.RecoveredReward, batch: tuple[np.ndarray, ...]) -> int:
    tracemalloc.start()
    reward(*batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if options.threads == 1 and os.environ.get("OMP_NUM_THREADS") != "1":
        parser.error("On one thread, NumPy must be on one as well: set OMP_NUM_THREADS=1.")
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    cases = {
        "one_critic": continuous(options.steps, 1),
        "two_critics": continuous(options.steps, 2),
        "discrete": discrete(options.steps),
    }
    figures: dict[str, float] = {"steps": options.steps, "threads": options.threads}
    print(f"{'':>12}  {'seconds':>8}  {'GFLOPS':>7}  {'GEMM':>7}  {'share':>6}  {'MiB':>6}")
    for name, (reward, batch, work) in cases.items():
        reward(*(part[:10_000] for part in batch))
        times, rates = [], []
        for _ in range(options.repeats):
            before = gemm_rate(clock)
            began = clock()
            reward(*batch)
            times.append(clock() - began)
            rates.append((before + gemm_rate(clock)) / 2)
        shares = [work / took / rate for took, rate in zip(times, rates, strict=True)]
        peak = peak_bytes(reward, batch) / 2**20
        took, rate, share = median(times), median(rates), median(shares)
        print(f"{name:>12}  {took:8.2f}  {work / took / 1e9:7.1f}  {rate / 1e9:7.1f}  {share:6.1%}  {peak:6.1f}")
        figures |= {f"{name}_seconds": round(took, 2), f"{name}_gemm_share": round(share, 3)}
        figures[f"{name}_peak_mib"] = round(peak, 1)
    print(json.dumps(figures | {"gemm_gflops": round(rate / 1e9, 1)}))


if __name__ == "__main__":
    main()
