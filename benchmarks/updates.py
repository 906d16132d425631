"""Time of a gradient update, ours and a plain eager loop, and the machine's GEMM rate, in one process.

python benchmarks/updates.py [--repeats 7] [--threads 1]     medians over alternating repeats; the last line is JSON.
python benchmarks/updates.py --pair                          speed of two processes at once, as a share of one alone

Discrete: CartPole's offline learner, 64 × 64, batch 64. Continuous: 17 observed numbers, 6 actions, 256 × 256, batch
256 + 256, the online default ("norm"; the others are without its LayerNorm), with a replay of 10 thousand and of
1 million steps. On one thread the clock is CPU time.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

import irl_probe as ip
from irl_probe.learn import Replay, SoftActorCritic, SoftQLearner
from irl_probe.softq import NetworkSpec, squashed_gaussian

Update = Callable[[], object]
GAMMA, ALPHA, RATE = 0.99, 0.01, 0.005
STATES, ACTIONS, BATCH = 17, 6, 256
GEMM = 512


def some_steps(count: int, states: int, actions: np.ndarray) -> ip.Transitions:
    observations = np.random.default_rng(0).normal(size=(count, states)).astype(np.float32)
    ends = np.zeros(count, dtype=bool)
    return ip.Transitions(observations, actions, np.roll(observations, -1, axis=0), ends, ends, np.zeros(count))


def our_discrete(steps: ip.Transitions) -> Update:
    config = ip.IQConfig(batch_size=64, gamma=GAMMA, chi2_c=50.0).resolve(discrete=True, online=False)
    spec = NetworkSpec((4,), None, 2, None, None, hidden=(64, 64), activation="tanh")
    learner = SoftQLearner(spec, config, steps.observations)
    replay = Replay.of(spec, learner.network.encoder, steps)
    generator, starts = torch.Generator().manual_seed(0), torch.empty(0, 4)
    return lambda: learner.update({"expert": replay.sample(64, generator)}, starts, generator)


def plain_discrete(steps: ip.Transitions) -> Update:
    """The same update as in a textbook: NumPy replay, a forward pass for each V, torch.optim.AdamW."""
    network = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def update() -> None:
        s, a, s2, alive = drawn(steps, rng, 64)
        q = network(s)
        v, v2 = torch.logsumexp(q, dim=1), alive * torch.logsumexp(network(s2), dim=1)
        r = q.gather(1, a[:, None])[:, 0] - GAMMA * v2
        loss = (v - GAMMA * v2).mean() - r.mean() + (r - 1).square().mean() / (4 * 50.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def our_continuous(expert: ip.Transitions, others: ip.Transitions, *, layer_norm: bool = False) -> Update:
    settings = {"batch_size": BATCH, "gamma": GAMMA, "temperature": ALPHA, "layer_norm": layer_norm}
    config = ip.IQConfig.from_dict(settings).resolve(discrete=False, online=True)
    bounds = (-1.0,) * ACTIONS, (1.0,) * ACTIONS
    spec = NetworkSpec((STATES,), None, None, *bounds, hidden=(256, 256), layer_norm=layer_norm)
    learner = SoftActorCritic(spec, config, None, spaces.Box(-1, 1, (ACTIONS,)))
    first, second = (Replay.of(spec, learner.network.encoder, steps) for steps in (expert, others))
    generator, starts = torch.Generator().manual_seed(0), torch.empty(0, STATES)
    replays = {"expert": first, "policy": second}
    return lambda: learner.update(
        {name: each.sample(BATCH, generator) for name, each in replays.items()}, starts, generator
    )


def plain_continuous(expert: ip.Transitions, others: ip.Transitions) -> Update:
    """The same as in a textbook: a forward pass for every Q and V, torch.optim.Adam, a loop over the target."""
    critic, actor = perceptron(STATES + ACTIONS, 1), perceptron(STATES, 2 * ACTIONS)
    target = copy.deepcopy(critic)
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=3e-4)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=3e-5)
    rng = np.random.default_rng(0)

    def q(network: nn.Module, s: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return network(torch.cat([s, a], dim=1))[:, 0]

    def sample(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, raw = actor(s).chunk(2, dim=1)
        return squashed_gaussian(mean, -5 + 3.5 * (torch.tanh(raw) + 1), torch.randn_like(mean))

    def value(network: nn.Module, s: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            a, log_density = sample(s)
        return q(network, s, a) - ALPHA * log_density

    def update() -> None:
        both = [drawn(steps, rng, BATCH) for steps in (expert, others)]
        s, a, s2, alive = (torch.cat(parts) for parts in zip(*both, strict=True))
        with torch.no_grad():
            v2 = alive * value(target, s2)
        r = q(critic, s, a) - GAMMA * v2
        loss = (value(critic, s) - GAMMA * v2).mean() - r[:BATCH].mean() + r.square().mean() / (4 * 0.5)
        critic_optimizer.zero_grad()
        loss.backward()
        critic_optimizer.step()
        drawn_actions, log_density = sample(s)
        actor_loss = (ALPHA * log_density - q(critic, s, drawn_actions)).mean()
        actor_optimizer.zero_grad()
        actor_loss.backward()
        actor_optimizer.step()
        for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
            slow.data.copy_(RATE * fast.data + (1 - RATE) * slow.data)

    return update


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, outputs))


def drawn(steps: ip.Transitions, rng: np.random.Generator, size: int) -> tuple[torch.Tensor, ...]:
    rows = rng.integers(len(steps), size=size)
    columns = (steps.observations, steps.actions, steps.next_observations, ~steps.terminated)
    s, a, s2, alive = (torch.as_tensor(column[rows]) for column in columns)
    return s, a, s2, alive.float()


def gemm() -> Update:
    """The product of a hidden layer: 512 rows by 256 × 256."""
    left, right = torch.randn(GEMM, 256), torch.randn(256, 256)
    return lambda: left @ right


def seconds(update: Update, count: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(count):
        update()
    return (clock() - began) / count


def pair(repeats: int) -> None:
    """The speed of each of two processes at once, of one thread each, as a share of the speed of one alone."""
    command = [sys.executable, __file__, "--repeats", str(repeats)]

    def together(count: int) -> list[dict[str, float]]:
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]

    (alone,), both = together(1), together(2)
    kept = {name: min(alone[name] / one[name] for one in both) for name in alone if name.endswith("_ms")}
    for name, share in kept.items():
        print(f"{name:>24}  {share:.2f} of its speed alone")
    print(json.dumps({f"{name}_kept": round(share, 3) for name, share in kept.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pair", action="store_true")
    options = parser.parse_args()
    if options.pair:
        pair(options.repeats)
        return
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    rng = np.random.default_rng(0)
    cartpole = some_steps(10_000, 4, rng.integers(2, size=10_000))
    small, large = (
        some_steps(count, STATES, rng.uniform(-1, 1, (count, ACTIONS)).astype(np.float32)) for count in (10**4, 10**6)
    )
    cases: dict[str, tuple[Update, int]] = {
        "discrete": (our_discrete(cartpole), 500),
        "discrete_plain": (plain_discrete(cartpole), 500),
        "continuous_10k": (our_continuous(small, small), 20),
        "continuous_1m": (our_continuous(small, large), 20),
        "continuous_norm_10k": (our_continuous(small, small, layer_norm=True), 20),
        "continuous_plain_10k": (plain_continuous(small, small), 20),
        "continuous_plain_1m": (plain_continuous(small, large), 20),
        "gemm": (gemm(), 500),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(options.repeats + 1):
        for name, (update, count) in cases.items():
            took = seconds(update, count, clock)
            if round_:  # the first one warms up
                times[name].append(took)
    middle = {name: median(values) for name, values in times.items()}
    print(f"{'':>21}  {'median ms':>9}  {'least':>7}  {'most':>7}  plain/ours")
    for name, values in times.items():
        plain = name.replace("discrete", "discrete_plain").replace("continuous", "continuous_plain")
        shown = f"{middle[plain] / middle[name]:10.2f}" if plain in middle and plain != name else ""
        print(f"{name:>21}  {1e3 * middle[name]:9.3f}  {1e3 * min(values):7.3f}  {1e3 * max(values):7.3f}  {shown}")
    rate = 2 * GEMM * 256 * 256 / middle["gemm"] / 1e9
    print(f"GEMM rate {rate:.0f} GFLOPS on {options.threads} thread(s)")
    figures: dict[str, float] = {f"{name}_ms": round(1e3 * value, 3) for name, value in middle.items()}
    print(json.dumps(figures | {"gemm_gflops": round(rate, 1), "threads": options.threads}))


if __name__ == "__main__":
    main()
