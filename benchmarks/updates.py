"""Gradient updates per second of the discrete learner against a plain eager loop, in one process on one thread.

python benchmarks/updates.py [--updates 2000]     CPU time, median of five alternating repeats; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import nn

import irl_probe as ip
from irl_probe.learn.replay import Replay
from irl_probe.learn.soft_q import SoftQLearner
from irl_probe.networks import NetworkSpec

STEPS, BATCH, GAMMA, CHI2_C = 10_000, 64, 0.99, 50.0


def ours(steps: ip.Transitions) -> Callable[[], object]:
    """CartPole's offline learner: 64 × 64, batch 64."""
    config = ip.IQConfig(batch_size=BATCH, gamma=GAMMA, chi2_c=CHI2_C).resolve(discrete=True, online=False)
    spec = NetworkSpec((4,), None, 2, None, None, hidden=(64, 64), activation="tanh")
    learner = SoftQLearner(spec, config, steps.observations)
    replay = Replay.of(spec, learner.network.encoder, steps)
    generator, starts = torch.Generator().manual_seed(0), torch.empty(0, 4)
    return lambda: learner.update(replay.sample(BATCH, generator), None, starts, generator)


def plain(steps: ip.Transitions) -> Callable[[], object]:
    """The same update as a textbook writes it: NumPy replay, a forward pass a state, torch.optim.AdamW."""
    network = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def update() -> None:
        rows = rng.integers(len(steps), size=BATCH)
        s, s2 = torch.as_tensor(steps.observations[rows]), torch.as_tensor(steps.next_observations[rows])
        a = torch.as_tensor(steps.actions[rows])
        alive = 1 - torch.as_tensor(steps.terminated[rows]).float()
        q = network(s)
        v, v2 = torch.logsumexp(q, dim=1), alive * torch.logsumexp(network(s2), dim=1)
        r = q.gather(1, a[:, None])[:, 0] - GAMMA * v2
        loss = (v - GAMMA * v2).mean() - r.mean() + (r - 1).square().mean() / (4 * CHI2_C)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def rate(update: Callable[[], object], updates: int) -> float:
    """Updates per second of CPU time."""
    began = time.process_time()
    for _ in range(updates):
        update()
    return updates / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=2000)
    updates = parser.parse_args().updates
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(STEPS, 4)).astype(np.float32)
    ends = np.zeros(STEPS, dtype=bool)
    steps = ip.Transitions(
        observations, rng.integers(2, size=STEPS), np.roll(observations, -1, axis=0), ends, ends, np.zeros(STEPS)
    )
    pair = {"ours": ours(steps), "plain": plain(steps)}
    for update in pair.values():
        rate(update, updates // 10)
    rates: dict[str, list[float]] = {name: [] for name in pair}
    for _ in range(5):
        for name, update in pair.items():
            rates[name].append(rate(update, updates))
    for name, values in rates.items():
        print(f"{name:>6}: {median(values):7.0f} updates/s (min {min(values):.0f}, max {max(values):.0f})")
    ratio = median(a / b for a, b in zip(rates["ours"], rates["plain"], strict=True))
    print(f" ratio: {ratio:.2f}")
    print(json.dumps({name: round(median(values), 1) for name, values in rates.items()} | {"ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
