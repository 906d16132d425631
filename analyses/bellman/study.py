"""Which Bellman error is both right where chance matters and steady? Policies of discrete soft Q-learning, by error.

python analyses/bellman/study.py run [--tasks ...] [--learners ...] [--seeds ...]   one JSON for each missing cell
python analyses/bellman/study.py merge                                     results.csv and the first table of README.md
python analyses/bellman/study.py gamble                                    the second table of README.md; two minutes

A cell is a task, a learner and a seed. A cell that is in results.csv or in runs/bellman/ is not computed again; remove
it there if the learner changes.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import irl_probe as ip
from irl_probe.envs import TabularEnv, TabularMDP
from irl_probe.learn import Batch, Policy, SoftQLearner
from irl_probe.learn.objectives import bellman_target, least_squares_loss
from irl_probe.rewards import RecoveredReward
from irl_probe.softq.functions import soft_value

HERE = Path(__file__).parent
CELLS = HERE.parents[1] / "runs" / "bellman"
MARKS = "<!-- {} -->\n", "<!-- end -->"
EPISODES, EVALUATIONS = 20, 10
THIRD = "third seed"
FIGURES = ("return", "worst", "own", "late", "seconds")


@dataclass(frozen=True)
class Task:
    """What a policy learns from: the environment's reward at `temperature`, or a recovered `reward` at its own."""

    env_id: str
    steps: int
    reward: str | None = None
    temperature: float | None = None


TASKS = {
    "CartPole-v1": Task("CartPole-v1", 40_000, temperature=0.1),
    "LunarLander-v3": Task("LunarLander-v3", 100_000, temperature=1.0),
    "CartPole-v1/iq": Task("CartPole-v1", 40_000, "CartPole-v1/iq"),
    "CartPole-v1/iq-offline": Task("CartPole-v1", 40_000, "CartPole-v1/iq-offline"),
    "CartPole-v1, third seed": Task("CartPole-v1", 40_000, THIRD),
    "Acrobot-v1/iq-offline": Task("Acrobot-v1", 40_000, "Acrobot-v1/iq-offline"),
}


class Huber(SoftQLearner):
    """The learner of before: Huber's loss, threshold 1."""

    def bellman_error(
        self, batches: Sequence[Batch], rewards: Tensor, terminal_value: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """The loss of Q(s, a) against the soft Bellman backup."""
        names = ("states", "actions", "successors", "terminated")
        s, a, s2, d = (torch.cat([getattr(batch, name) for batch in batches]) for name in names)
        with torch.no_grad():
            following = soft_value(self.target.layers(s2), self.temperature)
            target = bellman_target(rewards, following, d, self.config.gamma, terminal_value)
        return self.error(self.network.layers(s).gather(1, a[:, None])[:, 0], target)

    def error(self, q: Tensor, target: Tensor) -> Tensor:
        """Huber's loss."""
        return functional.smooth_l1_loss(q, target)


class LeastSquares(Huber):
    """The learner of before with least squares."""

    def error(self, q: Tensor, target: Tensor) -> Tensor:
        """Least squares, with plain steps."""
        return least_squares_loss(q, target)


IMITATOR = "imitator"  # the policy that the reward was recovered from; learns nothing
LEARNERS: dict[str, tuple[type[SoftQLearner], dict[str, Any]]] = {
    IMITATOR: (SoftQLearner, {}),
    "Huber": (Huber, {"epsilon": 0.0}),
    "least squares": (LeastSquares, {"epsilon": 0.0}),
    "longer steps": (SoftQLearner, {"epsilon": 0.0}),
    "default": (SoftQLearner, {}),
}


def third_seed() -> RecoveredReward:
    """CartPole's default online reward of the third seed of analyses/discrete."""
    folder = CELLS.parent / "bellman-third"
    if not folder.exists():
        demos = ip.load_demos("CartPole-v1").episodes([2]).subsample(20)
        run = ip.train(demos, ip.IQConfig(seed=2, evaluate_every=0), env="CartPole-v1", progress=False)
        ip.save_reward(ip.recover(run), folder)
    return ip.load_reward(folder)


def discounted(policy: Policy, env: Any, gamma: float, *, seed: int) -> float:
    """Mean discounted return of the greedy policy in the reward that `env` pays, without the entropy bonus."""
    returns = []
    for episode in range(EPISODES):
        observation, _ = env.reset(seed=seed + episode)
        total, weight, over = 0.0, 1.0, False
        while not over:
            observation, paid, terminated, truncated, _ = env.step(policy(observation[None])[0])
            total, weight, over = total + weight * float(paid), weight * gamma, terminated or truncated
        returns.append(total)
    return float(np.mean(returns))


def of_policy(policy: Policy, task: Task, reward: RecoveredReward | None, gamma: float, seed: int) -> dict[str, float]:
    """The figures of a policy: its true returns, and its discounted return in the reward."""
    env = ip.envs.make_env(task.env_id)
    paid = env if reward is None else ip.RewardWrapper(env, reward)
    returns = ip.evaluate(policy, task.env_id, episodes=EPISODES, seed=10_000 + seed).returns
    own = discounted(policy, paid, gamma, seed=10_000 + seed)
    return {"return": float(returns.mean()), "worst": float(returns.min()), "own": own}


def learned(task: Task, learner: str, seed: int) -> dict[str, float]:
    """The figures of one cell."""
    engine, settings = LEARNERS[learner]
    reward = None if task.reward is None else third_seed() if task.reward == THIRD else ip.load_reward(task.reward)
    if learner == IMITATOR:
        return {} if reward is None else of_policy(reward.soft_q.policy, task, reward, reward.gamma, seed)
    common = {"steps": task.steps, "seed": seed, "temperature": task.temperature}
    config = ip.RLConfig.from_dict({**common, "evaluate_every": task.steps // EVALUATIONS, **settings})
    began = time.process_time()
    with patch("irl_probe.learn.training.SoftQLearner", engine):
        if reward is None:
            run = ip.learn.train_on_reward(task.env_id, config, progress=False)
        else:
            run = ip.retrain(reward, ip.RetrainConfig(config), env=task.env_id, progress=False)
    seconds = time.process_time() - began
    late = run.history["return_mean"].dropna("step").sel(step=slice(int(0.75 * task.steps), None))
    found = of_policy(run.policy, task, reward, run.config.gamma, seed)
    return {**found, "late": float(late.min()), "seconds": seconds}


def finished() -> dict[tuple[str, str, int], dict[str, float]]:
    """The cells of results.csv and of runs/bellman/."""
    cells = {}
    if (HERE / "results.csv").exists():
        with (HERE / "results.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                found = {name: float(row[name]) for name in FIGURES if row[name]}
                cells[row["task"], row["learner"], int(row["seed"])] = found
    for path in CELLS.glob("*.json"):
        row = json.loads(path.read_text())
        cells[row["task"], row["learner"], row["seed"]] = {name: row[name] for name in FIGURES if name in row}
    return cells


def run(tasks: Sequence[str], learners: Sequence[str], seeds: Sequence[int]) -> None:
    """Compute the cells that are missing, and write one JSON for each."""
    for seed, learner, task in product(seeds, learners, tasks):
        if (task, learner, seed) in finished():
            continue
        figures = {"task": task, "learner": learner, "seed": seed, **learned(TASKS[task], learner, seed)}
        CELLS.mkdir(parents=True, exist_ok=True)
        part = CELLS / f"{task}-{learner}-{seed}.part".replace("/", "-").replace(" ", "")
        part.write_text(json.dumps(figures))
        part.replace(part.with_suffix(".json"))
        print(figures, flush=True)


def rows(cells: dict[tuple[str, str, int], dict[str, float]]) -> Iterator[str]:
    """The lines of the table: one a task and learner, with the figures of its seeds in order."""
    for task, learner in product(TASKS, LEARNERS):
        found = [cells[key] for key in sorted(cells) if key[:2] == (task, learner) and cells[key]]
        if found:
            columns = [
                ", ".join(f"{each[name]:.{digits}f}" if name in each else "–" for each in found).replace("-", "−")
                for name, digits in (("return", 0), ("worst", 0), ("own", 1), ("late", 0))
            ]
            yield f"| {task} | {learner} | {' | '.join(columns)} |"


def merge() -> None:
    """All finished cells into results.csv, and the table of README.md."""
    cells = finished()
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("task", "learner", "seed", *FIGURES))
        for key in sorted(cells):
            writer.writerow((*key, *(cells[key].get(name, "") for name in FIGURES)))
    head = "| learned from | learner | true return | its worst episode | own discounted return | late |\n" + "|---" * 6
    put("policies", [head + "|", *rows(cells)])


def put(name: str, lines: Sequence[str]) -> None:
    """Replace a table of README.md."""
    readme, (begin, end) = HERE / "README.md", MARKS
    before, rest = readme.read_text(encoding="utf-8").split(begin.format(name))
    table, after = "\n".join(lines), rest.split(end, 1)[1]
    readme.write_text(f"{before}{begin.format(name)}{table}\n{end}{after}", encoding="utf-8")


GAMBLES = [("Huber", None), ("least squares", None), *(("default", share) for share in (0.0, 0.05, 0.1, 0.2))]


def gamble() -> None:
    """Q of a prize with probability .1, or half its mean for certain: two states alike, γ = .5, α = .1, seed 0."""
    head = "| prize | learner | random actions | Q, first state | Q, second state |\n" + "|---" * 5 + "|"
    lines, settings = [head], {"gamma": 0.5, "temperature": 0.1, "steps": 6000, "learning_starts": 500, "hidden": ()}
    settings |= {"layer_norm": False, "learning_rate": 0.02, "update_every": 50, "evaluate_every": 0}
    for prize, (name, share) in product((100.0, 1000.0), GAMBLES):
        transition, paid = np.zeros((2, 2, 2)), np.zeros((2, 2, 2))
        transition[:, 0], transition[:, 1] = (1, 0), (0.9, 0.1)
        paid[:, 0], paid[:, 1, 1] = 0.05 * prize, prize
        mdp = TabularMDP(transition, paid, 0.5, np.array([1.0, 0.0]))
        engine, chosen = LEARNERS[name]
        config = ip.RLConfig.from_dict(settings | chosen | ({} if share is None else {"epsilon": share}))
        with patch("irl_probe.learn.training.SoftQLearner", engine):
            run = ip.learn.train_on_reward(TabularEnv(mdp), config, progress=False)
        found = [f"{safe:.1f}, {risky:.1f}" for safe, risky in run.soft_q.table(np.arange(2))]
        lines.append(f"| {prize:.0f} | {name} | {run.config.epsilon} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    put("gamble", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "merge", "gamble"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "merge":
        merge()
    elif arguments.verb == "gamble":
        gamble()
    else:
        run(arguments.tasks, arguments.learners, arguments.seeds)


if __name__ == "__main__":
    main()
