"""Do the intervals of sampled VAL and Minimal cover on continuous tasks? VAL is held against rollouts.

Each replication records fresh episodes, measures a shipped reward on them with the library's defaults, and writes a row
of `continuous.csv`; a run that stops goes on where it was. `run` makes replications, `reference` the rollouts on a
sample of their own, `horizons` VAL of one data set by the length of its rollouts, and `table` prints the tables of
README.md.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import irl_probe as ip
from irl_probe.comparison import REFERENCES, SIZES, evenly, rolled_steps
from irl_probe.metrics import Dynamics, Estimate, draw_successors, follow, roll_out, starc_forms, state_features

HERE = Path(__file__).parent
COLUMNS = ("task", "kind", "episodes", "replication", "measure", "estimate", "low", "high", "features", "seconds")
GAMMA = 0.99
MOST_REMEMBERED = 300_000
LONGEST = 100  # steps of an episode
EPISODES = (10, 40)
MEASURES = ("starc_val", "starc_minimal")
DEFAULTS = ip.comparison.DistanceConfig(gamma=GAMMA)
FORMULAS = ("CartPole-v1", "Pendulum-v1")  # true rewards that need no simulator
HORIZONS = (1, 5, 10, 20, 40, 80)
NOISE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Task:
    """A shipped reward, and the size of its reference: N steps and K rollouts of each."""

    reward: str
    steps: int
    rollouts: int

    @property
    def env(self) -> str:
        return self.reward.split("/")[0]


TASKS = {
    task.env: task
    for task in (
        Task("CartPole-v1/iq", 6000, 16),
        Task("Pendulum-v1/sqil", 4000, 12),
        Task("Hopper-v5/sqil-linear", 4000, 16),
        Task("HalfCheetah-v5/sqil-linear", 1000, 40),
    )
}


class Remembering:
    """A simulator that remembers the true reward of each (s, a) that it stepped, so that no step is taken twice."""

    def __init__(self, env: ip.envs.Env) -> None:
        self._simulator, self._paid = ip.envs.simulator(env, workers=1), {}

    def step(self, observations, actions):
        found = self._simulator.step(observations, actions)
        if len(self._paid) > MOST_REMEMBERED:  # rollouts ask for a reward only right after its step
            self._paid.clear()
        self._paid |= dict(zip(_keys(observations, actions), found.rewards.tolist(), strict=True))
        return found.next_observations, found.terminated

    def reward(self, observations, actions, next_observations, terminated):
        keys = _keys(observations, actions)
        new = np.array([key not in self._paid for key in keys])
        if new.any():
            self.step(observations[new], actions[new])
        return np.array([self._paid[key] for key in keys])


def _keys(observations, actions) -> list[bytes]:
    rows = np.concatenate([observations.reshape(len(observations), -1), actions.reshape(len(actions), -1)], axis=1)
    return [row.tobytes() for row in rows.astype(np.float64)]


def behaviour(task: Task, env, rng: np.random.Generator) -> Callable:
    """A policy for one episode: the shipped imitator with noise, or a random linear one, so that states are diverse."""
    space = env.action_space
    if task.env == "CartPole-v1":
        policy, epsilon = ip.load_reward(task.reward).soft_q.policy, rng.choice(NOISE)
        return lambda o: int(policy(o[None])[0]) if rng.random() >= epsilon else int(rng.integers(space.n))
    weights = rng.normal(size=(space.shape[0], env.observation_space.shape[0])) / 2
    noise = rng.uniform(0.1, 1)

    def act(o):
        away = noise * rng.normal(size=space.shape)
        return np.clip(np.tanh(weights @ o) * space.high + away, space.low, space.high).astype(np.float32)

    return act


def record(task: Task, episodes: int, rng: np.random.Generator) -> ip.Transitions:
    env = ip.envs.make_env(task.env)
    rows: list[tuple] = []
    for episode in range(episodes):
        act = behaviour(task, env, rng)
        observation, _ = env.reset(seed=int(rng.integers(2**31)))
        for t in range(LONGEST):
            action = act(observation)
            after, _, terminated, _, _ = env.step(action)
            last = not terminated and t == LONGEST - 1
            rows.append((observation.copy(), action, after.copy(), terminated, last, episode))
            observation = after
            if terminated:
                break
    env.close()
    return ip.Transitions(*(np.array(column) for column in zip(*rows, strict=True)))


def forms_of(task: Task, steps: ip.Transitions, seed: int, *, rolled: ip.Transitions, horizon, rollouts, simulated):
    """The forms by the defaults of `compare`."""
    env = ip.envs.make_env(task.env)
    simulator, space = Remembering(env), env.action_space
    reward = ip.load_reward(task.reward)
    true = ip.true_reward(env)
    rewards = {
        "reward": ip.comparison.reward_terms("reward", reward),
        "true": ip.comparison.reward_terms("true", true) if task.env in FORMULAS else _pair(simulator),
    }
    discrete = hasattr(space, "n")

    def uniform(n, rng):
        if discrete:
            return rng.integers(space.n, size=n)
        return rng.uniform(space.low, space.high, (n, *space.shape)).astype(np.float32)

    actions = np.arange(space.n) if discrete else uniform
    dynamics = Dynamics("simulator", simulator.step, True)
    rng = np.random.default_rng(seed)
    at = rng.integers(len(steps), size=REFERENCES)
    references = (steps.observations[at], uniform(REFERENCES, rng))
    policy = follow(steps, dynamics, GAMMA, actions=actions, count=simulated, seed=seed)
    seen = np.concatenate([steps.observations, policy.observations])
    return starc_forms(
        rewards,
        draw_successors(steps, dynamics),
        policy,
        roll_out(rewards, rolled, GAMMA, dynamics, actions=actions, horizon=horizon, rollouts=rollouts, seed=seed),
        GAMMA,
        state_features(seen, size=DEFAULTS.features, seed=seed),
        sizes=SIZES,
        minimal=state_features(steps.observations, size=DEFAULTS.minimal_features, seed=seed),
        references=references,
    )


def _pair(simulator: Remembering):
    return ip.metrics.RewardTerms("true", pair=lambda s, a: simulator.reward(s, a, s, None))


def replicated(task: Task, episodes: int, replication: int, missing: set[str]) -> Iterator[tuple[str, Estimate, int]]:
    """The measures on fresh episodes, by the defaults of `compare`."""
    rng = np.random.default_rng([list(TASKS).index(task.env), episodes, replication])
    steps = record(task, episodes, rng)
    val = "starc_val" in missing  # Minimal uses no simulated step
    forms = forms_of(
        task,
        steps,
        replication,
        rolled=evenly(steps, DEFAULTS.samples if val else 1, replication),
        horizon=rolled_steps(GAMMA, DEFAULTS),
        rollouts=DEFAULTS.rollouts,
        simulated=DEFAULTS.simulated if val else 200,
    )
    for measure in sorted(missing):
        yield measure, forms.distance(measure, "reward", "true", resamples=DEFAULTS.resamples), forms.sizes[measure]


def referred(task: Task, missing: set[str]) -> Iterator[tuple[str, Estimate, int]]:
    """VAL by rollouts on a sample of its own; Minimal by the same potentials on 400 episodes."""
    rng = np.random.default_rng([list(TASKS).index(task.env), 10**6])
    many = record(task, 400, rng)
    rows = many.rows(np.sort(rng.choice(len(many), size=min(task.steps, len(many)), replace=False)))
    long = (
        {"rolled": rows, "rollouts": task.rollouts}
        if "starc_val" in missing
        else {"rolled": rows.rows(np.arange(1)), "rollouts": 2}
    )
    forms = forms_of(task, many, 10**6, horizon=None, simulated=DEFAULTS.simulated, **long)
    for measure in sorted(missing):
        estimate = forms.distance(measure, "reward", "true", resamples=2000)
        yield measure, estimate, DEFAULTS.minimal_features if measure == "starc_minimal" else 0


def by_horizon(file: Path, tasks: list[str]) -> None:
    """VAL of 40 episodes by the length of the rollouts; the row's replication is that length."""
    known = pd.read_csv(file)
    done = set(map(tuple, known.loc[known["kind"] == "horizon", ["task", "replication"]].values.tolist()))
    for task in (TASKS[t] for t in tasks):
        steps = record(task, 40, np.random.default_rng([list(TASKS).index(task.env), 10**7]))
        for horizon in HORIZONS:
            if (task.env, horizon) in done:
                continue
            started = time.perf_counter()
            forms = forms_of(
                task,
                steps,
                0,
                rolled=evenly(steps, 500, 0),
                horizon=horizon,
                rollouts=8,
                simulated=DEFAULTS.simulated,
            )
            e = forms.distance("starc_val", "reward", "true", resamples=DEFAULTS.resamples)
            seconds = round(time.perf_counter() - started, 2)
            row = (task.env, "horizon", 40, horizon, "starc_val", e.value, e.low, e.high, forms.sizes["starc_val"])
            with file.open("a", newline="") as out:
                csv.writer(out).writerow((*row, seconds))
            print(*row[:4], np.round(e.array, 3), seconds, "s", flush=True)


def horizon_table(data: pd.DataFrame) -> str:
    """VAL by the length of its rollouts."""
    rows = data[data["kind"] == "horizon"]
    lines = ["| task | " + " | ".join(map(str, HORIZONS)) + " |", "|---" * (len(HORIZONS) + 1) + "|"]
    for task, part in rows.groupby("task", sort=False):
        found = part.set_index("replication")
        cells = [
            f"{found.loc[h, 'estimate']:.2f} [{found.loc[h, 'low']:.2f}, {found.loc[h, 'high']:.2f}]"
            if h in found.index
            else ""
            for h in HORIZONS
        ]
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(file: Path, tasks: list[str], replications: int, measures: set[str], *, reference: bool) -> None:
    known = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=list(COLUMNS))
    done = set(map(tuple, known[["task", "kind", "episodes", "replication", "measure"]].values.tolist()))
    jobs = [(TASKS[t], "replication", e, r) for r in range(replications) for t in tasks for e in EPISODES]
    if reference:
        jobs = [(TASKS[t], "reference", 400, 0) for t in tasks]
    for task, kind, episodes, replication in jobs:
        missing = {m for m in measures if (task.env, kind, episodes, replication, m) not in done}
        if not missing:
            continue
        started = time.perf_counter()
        found = referred(task, missing) if reference else replicated(task, episodes, replication, missing)
        rows = [
            (task.env, kind, episodes, replication, measure, e.value, e.low, e.high, features)
            for measure, e, features in found
        ]
        seconds = round(time.perf_counter() - started, 2)
        fresh = not file.exists()
        with file.open("a", newline="") as out:
            writer = csv.writer(out)
            writer.writerows([COLUMNS] if fresh else [])
            writer.writerows((*row, seconds) for row in rows)
        print(task.env, kind, episodes, replication, seconds, "s", flush=True)


def table(data: pd.DataFrame) -> str:
    """Error and coverage by task, measure and number of episodes."""
    lines = [
        "| task | measure | reference | episodes | replications | mean | RMS error | covered | with its error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    references = data[data["kind"] == "reference"].set_index(["task", "measure"])
    for (task, measure), rows in data[data["kind"] == "replication"].groupby(["task", "measure"], sort=False):
        if (task, measure) not in references.index:
            continue
        right = references.loc[(task, measure)]
        written = f"{right['estimate']:.3f} [{right['low']:.3f}, {right['high']:.3f}]"
        for episodes, part in rows.groupby("episodes"):
            error = np.sqrt(((part["estimate"] - right["estimate"]) ** 2).mean())
            inside = (part["low"] <= right["estimate"]) & (part["high"] >= right["estimate"])
            # Two independent errors add in squares: the interval is widened by that of the reference.
            below = np.hypot(part["estimate"] - part["low"], right["high"] - right["estimate"])
            above = np.hypot(part["high"] - part["estimate"], right["estimate"] - right["low"])
            both = (part["estimate"] - below <= right["estimate"]) & (part["estimate"] + above >= right["estimate"])
            cells = [task, measure, written, episodes, len(part), f"{part['estimate'].mean():.3f}", f"{error:.3f}"]
            lines.append("| " + " | ".join(map(str, [*cells, f"{inside.mean():.2f}", f"{both.mean():.2f}"])) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "reference", "horizons", "table"))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--measures", nargs="+", default=list(MEASURES), choices=MEASURES)
    parser.add_argument("--replications", type=int, default=100)
    parser.add_argument("--file", type=Path, default=HERE / "continuous.csv")
    options = parser.parse_args()
    if options.command == "horizons":
        by_horizon(options.file, options.tasks)
    elif options.command != "table":
        reference = options.command == "reference"
        run(options.file, options.tasks, options.replications, set(options.measures), reference=reference)
    print(table(pd.read_csv(options.file)), horizon_table(pd.read_csv(options.file)), sep="\n\n")


if __name__ == "__main__":
    main()
