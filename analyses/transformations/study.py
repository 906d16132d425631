"""What does each measure say of known changes of the true reward, and what is right?

`run` records episodes of five policies in each of four tasks, changes the true reward in known ways, measures each with
`compare`, and adds rows to results.csv; a run that stops goes on with the next task. `table` writes the tables into
docs/measures.md, between two markers; `page` prints them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import table

import irl_probe as ip
from irl_probe.comparison import DistanceConfig
from irl_probe.demos import record_demos
from irl_probe.envs.simulator import SimulatedStep
from irl_probe.metrics import random_network, state_features
from irl_probe.results.groups import trusted_distances

HERE = Path(__file__).parent
FILE, PAGE = HERE / "results.csv", HERE.parents[1] / "docs" / "measures.md"
MARKERS = "<!-- transformations -->", "<!-- /transformations -->"
COLUMNS = ("part", "task", "reward", "measure", "estimate", "low", "high", "shaped", "shaped_10", "reason", "seconds")
SHIPPED = {"Pendulum-v1": "Pendulum-v1/sqil", "CartPole-v1": "CartPole-v1/iq"}
GAMMA, SEED = 0.99, 0
RANDOM_ACTIONS = (1.0, 0.6, 0.3, 0.1, 0.0)  # the policies: shares of random actions
# A plain function is evaluated at every state with every successor, and some of these simulate: so EPIC's sample is
# small. The steps for VAL and Minimal are all steps, as by default.
CONFIG = DistanceConfig(gamma=GAMMA, samples=512, actions=8, states=128, resamples=200, seed=SEED)
BY_ROLLOUTS = DistanceConfig(
    gamma=GAMMA, samples=512, actions=8, states=128, rollouts=32, resamples=200, seed=SEED, estimator="rollouts"
)
CORRELATIONS = ip.CompareConfig(resamples=200, seed=SEED)

Reward = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Task:
    """A task, the number of episodes of each policy, their time limit, and whether they can end."""

    env: str
    episodes: int
    steps: int
    ends: bool
    constant: float
    """c in units of the reward's deviation."""


TASKS = {
    task.env: task
    for task in (
        Task("Pendulum-v1", 4, 200, False, 2.0),
        Task("CartPole-v1", 6, 200, True, -2.0),
        Task("Hopper-v5", 6, 200, True, -2.0),
        Task("HalfCheetah-v5", 4, 200, False, 2.0),
    )
}


class Simulated:
    """A simulator that steps each (s, a) of a batch once and remembers the batch, so that rewards can ask again."""

    def __init__(self, env: str) -> None:
        self._simulator, self._known = ip.envs.simulator(env), {}
        self.name, self.deterministic = self._simulator.name, self._simulator.deterministic
        self.exact, self.note = self._simulator.exact, self._simulator.note

    def step(self, s: np.ndarray, a: np.ndarray) -> SimulatedStep:
        key = hashlib.sha256(s.tobytes() + a.tobytes()).digest()
        if key not in self._known:
            rows = np.concatenate([s.reshape(len(s), -1), a.reshape(len(a), -1)], axis=1)
            _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
            found = self._simulator.step(s[first], a[first])
            while len(self._known) >= 8:
                del self._known[next(iter(self._known))]
            self._known[key] = SimulatedStep(*(column[inverse] for column in found))
        return self._known[key]

    def reward(self, s: np.ndarray, a: np.ndarray, _: np.ndarray, __: np.ndarray) -> np.ndarray:
        """The true reward of the step from (s, a)."""
        return self.step(s, a).rewards


def policy_of(task: Task):
    """A policy better than chance: a shipped one, a clone of Hopper's expert, or the best of random linear ones."""
    if task.env in SHIPPED:
        return ip.load_reward(SHIPPED[task.env]).soft_q.policy
    if task.env == "HalfCheetah-v5":
        return best_of_random(task)
    expert = ip.load_demos(task.env).transitions
    features = state_features(expert.observations, size=256, seed=SEED)
    phi = features(expert.observations)
    weights = np.linalg.solve(phi.T @ phi + len(phi) * 1e-3 * np.eye(phi.shape[1]), phi.T @ expert.actions)
    return lambda o, deterministic=True: np.clip(features(o) @ weights, -1, 1).astype(np.float32)


def best_of_random(task: Task, tried: int = 40):
    """The linear policy with the largest return in one episode, of some whose weights are drawn at random."""
    env = ip.envs.make_env(task.env)
    shape = (env.observation_space.shape[0], env.action_space.shape[0])

    def of(weights):
        return lambda o, deterministic=True: np.tanh(o @ weights).astype(np.float32)

    def returned(weights) -> float:
        return float(record_demos(of(weights), env, 1, time_limit=task.steps).transitions.rewards.sum())

    best = max(np.random.default_rng(SEED).normal(size=(tried, *shape)), key=returned)
    env.close()
    return of(best)


def recorded(task: Task) -> dict[str, ip.Transitions]:
    """Policy → its episodes. The k-th episodes of all policies start in the same state."""
    env, policy = ip.envs.make_env(task.env), policy_of(task)
    found = {
        f"{share:.0%} random": record_demos(
            policy, env, task.episodes, seed=SEED, epsilon=share, time_limit=task.steps
        ).transitions
        for share in RANDOM_ACTIONS
    }
    env.close()
    return found


def changed(task: Task, steps: ip.Transitions, true: Reward, simulated: Simulated) -> dict[str, Reward]:
    """Name → the true reward after a known change."""
    size = float(steps.rewards.std())
    size = 1.0 if size < 1e-9 else size
    # A potential of its own for each: one that a reward shows is a feature of all rewards that are measured with it.
    networks = (random_network(steps.observations, seed=SEED + k, deviation=size) for k in (1, 2, 3))
    potential, unseen, other = networks
    constant = task.constant * size

    def shaped(times: float) -> Reward:
        def reward(s, a, n, d):
            return true(s, a, n, d) + times * (GAMMA * np.where(d, 0, potential(n)) - potential(s))

        return reward

    def hidden(s, a, n, d):
        after, _, ended = simulated.step(s, a)
        return true(s, a, n, d) + 10 * (GAMMA * np.where(ended, 0, unseen(after)) - unseen(s))

    def redistributed(s, a, n, d):
        after, _, ended = simulated.step(s, a)
        return true(s, a, n, d) + np.where(d, 0, other(n)) - np.where(ended, 0, other(after))

    flat = steps.actions.reshape(len(steps), -1)
    network = random_network(
        np.concatenate([steps.observations, flat], axis=1), seed=SEED + 4, hidden=32, deviation=size
    )
    return {
        "shaped 1": shaped(1),
        "shaped 10": shaped(10),
        "shaped 100": shaped(100),
        "hidden 10": hidden,
        "scaled": lambda s, a, n, d: 2.5 * true(s, a, n, d),
        "constant": lambda s, a, n, d: true(s, a, n, d) + constant,
        "constant with tail": lambda s, a, n, d: true(s, a, n, d) + constant * (1 + d * GAMMA / (1 - GAMMA)),
        "redistributed": redistributed,
        "negated": lambda s, a, n, d: -true(s, a, n, d),
        "independent": lambda s, a, n, d: network(np.concatenate([s, a.reshape(len(a), -1)], axis=1)),
    }


def measured(task: Task, part: str) -> Iterator[dict]:
    """The figures of one part: "distances" and correlations, "order", or "rollouts" (VAL from its definition)."""
    policies, simulated = recorded(task), Simulated(task.env)
    steps = ip.Transitions.concatenate(policies.values())
    true = simulated.reward if part == "rollouts" else ip.true_reward(task.env)
    rewards, options = changed(task, steps, true, simulated), {"transitions": steps, "reference": true}
    if part == "order":
        group = ip.compare(rewards, CORRELATIONS, ladder=policies, **options)["ranking"].to_dataset()
        return (_row(name, "order", group["value"], group["reason"], {"reward": name}) for name in rewards)
    options["dynamics"] = simulated
    if part == "rollouts":
        rewards = {name: rewards[name] for name in ("constant", "independent")}
        tree = ip.compare(rewards, CORRELATIONS, distances=BY_ROLLOUTS, **options)
        return _distances(tree["distance"].to_dataset(), rewards, {"starc_val": "val by rollouts"})
    tree = ip.compare(rewards, CORRELATIONS, distances=CONFIG, **options)
    return (
        *_correlations(tree["correlation"].to_dataset(), rewards),
        *_distances(tree["distance"].to_dataset(), rewards, DISTANCES),
    )


DISTANCES = {"epic": "epic", "dard": "dard", "starc_val": "val", "starc_minimal": "minimal", "erc": "erc"}
PEARSON = {
    "step": {"level": "step", "control": "none"},
    "episode": {"level": "episode", "control": "none"},
    "episode, length": {"level": "episode", "control": "length"},
}


def _correlations(group, rewards) -> Iterator[dict]:
    for name in rewards:
        for measure, at in PEARSON.items():
            where = {"reward": name, "metric": "pearson", **at}
            yield _row(name, measure, group["value"], group["reason"], where)


def _distances(group, rewards, names) -> Iterator[dict]:
    trusted = trusted_distances(group)
    for name in rewards:
        for metric, measure in names.items():
            where = {"reward": name, "metric": metric}
            row = _row(name, measure, group["value"], trusted["reason"], where)
            for times in ("shaped", "shaped_10"):
                row[times] = float(group[times].sel(bound="estimate", **where).squeeze())
            yield row


def _row(name, measure, value, reason, where) -> dict:
    low, estimate, high = (float(value.sel(bound=b, **where).squeeze()) for b in ("low", "estimate", "high"))
    text = str(reason.sel(**where).squeeze().item())
    return {"reward": name, "measure": measure, "estimate": estimate, "low": low, "high": high, "reason": text}


def run(file: Path, tasks: list[str], parts: list[str], *, again: bool) -> None:
    """Measure what the file lacks; `again` measures it once more and replaces its rows."""
    known = read(file) if file.exists() else pd.DataFrame(columns=list(COLUMNS))
    for task in tasks:
        for part in parts:
            if part == "rollouts" and not TASKS[task].ends:
                continue
            mine = (known["task"] == task) & (known["part"] == part)
            if mine.any() and not again:
                continue
            started = time.perf_counter()
            rows = pd.DataFrame([{"part": part, "task": task, **row} for row in measured(TASKS[task], part)])
            rows["seconds"] = round(time.perf_counter() - started, 1)
            known = rows if known.empty else pd.concat([known[~mine], rows])
            write(known.reindex(columns=list(COLUMNS)), file)
            print(task, part, rows["seconds"].iloc[0], "s", flush=True)


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, comment="#", keep_default_na=True, dtype={"reason": str}).fillna({"reason": ""})


def write(rows: pd.DataFrame, file: Path) -> None:
    """Write rows in the order of tasks, with the versions in the first line."""
    of = {name: place for place, name in enumerate(TASKS)}
    rows = rows.sort_values("task", key=lambda names: names.map(of), kind="stable")
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "gymnasium", "mujoco"))
    body = rows.to_csv(index=False, float_format="%.4f", quoting=csv.QUOTE_MINIMAL)
    file.write_text(f"# seed {SEED}, {versions}\n{body}", encoding="utf-8")


def section() -> str:
    """The tables of all tasks, from the committed figures."""
    results = read(FILE)
    return table.section({name: (results[results["task"] == name], task.ends) for name, task in TASKS.items()})


def page(text: str) -> str:
    """docs/measures.md with the tables between their markers."""
    before, _, rest = text.partition(MARKERS[0])
    _, end, after = rest.partition(MARKERS[1])
    if not end:
        raise SystemExit(f"docs/measures.md must hold the markers {MARKERS[0]} and {MARKERS[1]}, in this order.")
    return f"{before}{MARKERS[0]}\n\n{section()}\n\n{end}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table", "page"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parts = ("distances", "order", "rollouts")
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=parts)
    parser.add_argument("--again", action="store_true", help="measure what is in the file already, too")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args()
    if options.command == "run":
        run(options.file, options.tasks, options.parts, again=options.again)
    elif options.command == "page":
        print(section())
    else:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
