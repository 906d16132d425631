"""EPIC with 4,096 steps and 4,096 states S′ on networks as for Hopper: seconds, and rows that the networks evaluate.

python benchmarks/epic.py [--steps 4096] [--states 4096] [--actions 32]     the last line is JSON.
"""

import argparse
import json
import time
from itertools import pairwise

import numpy as np
import torch

from irl_probe.metrics import RewardTerms, epic_forms
from irl_probe.transitions import Transitions

OBSERVATION, ACTION, HIDDEN, GAMMA = 11, 3, 256, 0.99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4096)
    parser.add_argument("--states", type=int, default=4096)
    parser.add_argument("--actions", type=int, default=32)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = {"q": 0, "v": 0}

    def network(kind: str, inputs: int):
        torch.manual_seed(0)
        sizes = (inputs, HIDDEN, HIDDEN, 1)
        layers = [m for a, b in pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        model = torch.nn.Sequential(*layers[:-1])

        def call(*arrays):
            rows[kind] += len(arrays[0])
            with torch.no_grad():
                return model(torch.as_tensor(np.concatenate(arrays, axis=1)))[:, 0].numpy()

        return call

    q, v = network("q", OBSERVATION + ACTION), network("v", OBSERVATION)
    rewards = {"recovered": RewardTerms("recovered", pair=q, successor=lambda s: -GAMMA * v(s))}
    states = rng.normal(size=(2, options.steps, OBSERVATION)).astype(np.float32)
    ended = np.zeros(options.steps, dtype=bool)
    actions = rng.uniform(-1, 1, (options.steps, ACTION)).astype(np.float32)
    steps = Transitions(states[0], actions, states[1], ended, ended, np.arange(options.steps) // 64)
    pool = rng.normal(size=(options.states, OBSERVATION)).astype(np.float32)
    start = time.perf_counter()
    epic_forms(rewards, steps, GAMMA, actions=actions[: options.actions], states=pool)
    seconds = time.perf_counter() - start
    inseparable = options.steps * (1 + 2 * options.states)
    print(json.dumps({"seconds": round(seconds, 3), "rows": rows, "rows_if_inseparable": inseparable}))


if __name__ == "__main__":
    main()
