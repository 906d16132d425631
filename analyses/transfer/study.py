"""Does a recovered reward transfer to changed dynamics? The table for a grid, CartPole, robots and a point maze.

python analyses/transfer/study.py run grid cartpole cartpole_forms cartpole_far halfcheetah ant maze [--seeds 3]
                                            resumable; results/<task>.nc after each seed
python analyses/transfer/study.py run Walker2d-v5 --reward DIR [--changes "mass=2"] [--steps 300000]
python analyses/transfer/study.py intervals                            results/ again, from the returns of its seeds
python analyses/transfer/study.py tables                               the tables of README.md, from results/

Each seed of the maze has its own run of SQIL. CartPole's seeds share the shipped reward CartPole-v1/iq, HalfCheetah's
HalfCheetah-v5/sqil-sparse and Ant's Ant27-v5/sqil-sparse; `analyses/zoo/study.py make` leaves their imitators in runs/.
Finished cells (one policy, one variant, one seed) are in runs/transfer/ and are not computed again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

import irl_probe as ip
from irl_probe.envs import TabularEnv, TabularMDP, TabularPolicy, occupancy, soft_expert
from irl_probe.envs.point_maze import MazePlanner
from irl_probe.learn import solve_exactly
from irl_probe.rewards import ExactExpectation
from irl_probe.transfers import FORMS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "zoo"))  # this study uses settings and random actions of the zoo's
from entries import QUADRUPED, RUNNER  # noqa: E402  # found by the line above
from steps import held_actions  # noqa: E402  # found by the line above

CELLS = HERE.parents[1] / "runs" / "transfer"
ALPHA = 0.5  # of the experts of the grids
DEMONSTRATIONS = 30


@dataclass(frozen=True)
class Task:
    """A learned task: what changes, where the reward comes from, and the budget of every policy that is trained on it.

    With `recover` each seed has its own run of that learner. Without it all seeds have the shipped reward `reward`, so
    that intervals include only the randomness of training on it. A distilled reward has no policy of its own: `policy`
    is the folder in runs/ of the run that it was distilled from, and the policy of that run is carried over.
    """

    env_id: str
    changes: tuple[str, ...]
    forms: tuple[str, ...]
    learner: ip.RLConfig
    true_learner: ip.RLConfig | None = None
    recover: ip.IQConfig | None = None
    reward: str = ""
    policy: str = ""


_SAC = ip.RLConfig(
    hidden=(64, 64), critics=1, batch_size=128, learning_rate=1e-3, actor_learning_rate=1e-3,
    learning_starts=3000, target_rate=0.02, temperature=0.3, steps=60_000, update_every=6,
    updates_per_step=1 / 6,
)  # fmt: skip
_CARTPOLE = Task("CartPole-v1", ("length=2",), ("r(s)",), ip.RLConfig(), reward="CartPole-v1/iq")
_RUNNER, _QUADRUPED = replace(RUNNER, steps=80_000), replace(QUADRUPED, steps=200_000)
TASKS = {
    "halfcheetah": Task(
        "HalfCheetah-v5",
        ("strength=0.5",),
        (),
        _RUNNER,
        true_learner=replace(_RUNNER, temperature=0.1),
        reward="HalfCheetah-v5/sqil-sparse",
        policy="zoo/HalfCheetah-v5/sqil-sparse/run",
    ),
    "ant": Task(
        "Ant27-v5",
        ("disabled leg=1",),
        (),
        _QUADRUPED,
        true_learner=replace(_QUADRUPED, temperature=0.05, entropy_target=-1.0),
        reward="Ant27-v5/sqil-sparse",
        policy="zoo/Ant27-v5/sqil-sparse/run",
    ),
    "cartpole": _CARTPOLE,
    "cartpole_forms": replace(_CARTPOLE, forms=FORMS),
    # The policy that is carried over still balances under the smaller changes that were tried; here it fails.
    "cartpole_far": replace(_CARTPOLE, changes=("length=5", "force=0.1"), forms=("r(s)", "disentangled")),
    "maze": Task(
        "PointMaze-v0",
        ("moved wall",),
        ("r(s)", "disentangled"),
        _SAC,
        recover=ip.IQConfig(
            objective="sqil",
            epsilon=1.0,
            hidden=(64, 64),
            batch_size=128,
            learning_rate=1e-3,
            actor_learning_rate=3e-4,
            weight_decay=0.0,
            warm_start=0,
            policy_average=0.0,
            temperature=0.05,
            steps=8000,
        ),
    ),
}


def run_grid() -> None:
    """Exact results for a reward from the expert's policy, from the exact occupancy, and from demonstrations."""
    for source in ("policy of the expert", "exact occupancy", "30 demonstrations"):
        for name, slip in (("grid", 0.0), ("slippery grid", 0.2)):
            path = HERE / "results" / f"{name} from {source}.nc".replace(" ", "_")
            if path.exists():
                continue
            mdp = ip.envs.gridworld(slip=slip)
            variants = ip.envs.variants(mdp, {"slip": [0.2, 0.5], "swapped actions": [1]})
            reward = grid_rewards(mdp)[source]()
            tree = ip.transfer(reward, ip.transfers.TransferConfig(temperature=ALPHA), env=variants)
            ip.results.save_results(tree, path)


def grid_rewards(mdp: TabularMDP) -> dict[str, Callable[[], object]]:
    """Source → a function that makes the reward from it; several rewards, one a seed, from demonstrations."""
    expert = soft_expert(mdp, ALPHA)
    log_policy = ALPHA * np.log(expert)
    expectation = ExactExpectation(mdp.transition)
    settings = ip.IQConfig(temperature=ALPHA, gamma=mdp.gamma, value_term="expert", chi2_on="expert")
    return {
        "policy of the expert": lambda: lambda s, a, t, d: log_policy[s, a],
        "exact occupancy": lambda: ip.recover(
            solve_exactly(occupancy(mdp, expert), mdp.transition, settings), expectation=expectation
        ),
        "30 demonstrations": lambda: [learned_on_grid(mdp, expert, seed, expectation) for seed in range(3)],
    }


def learned_on_grid(mdp: TabularMDP, expert: np.ndarray, seed: int, expectation: ExactExpectation) -> object:
    """The marginal reward of IQ-Learn, from demonstrations of the soft expert."""
    demos = ip.record_demos(
        TabularPolicy(expert, seed=seed), TabularEnv(mdp), DEMONSTRATIONS, seed=seed, deterministic=False
    )
    config = ip.IQConfig(
        hidden=(), batch_size=0, precision="float64", learning_rate=0.05, weight_decay=0.0, steps=2000,
        temperature=ALPHA, gamma=mdp.gamma, seed=seed,
    )  # fmt: skip
    return ip.recover(ip.train(demos, config, progress=False), expectation=expectation)


def demonstrations(env_id: str, seed: int) -> ip.Demonstrations:
    """10 episodes of the scripted planner of the maze."""
    env = ip.envs.make_env(env_id)
    demos = ip.record_demos(MazePlanner(env, seed=seed), env, 10, seed=seed, deterministic=False)
    env.close()
    return demos


@cache
def held(env_id: str) -> ip.Transitions:
    """Random actions that are held for some steps, so that some episodes go through the gap of the maze."""
    return held_actions(partial(ip.envs.make_env, env_id))


def imitator(task: Task, seed: int) -> ip.Run:
    """The run that learns from the demonstrations of that seed, with random actions as other steps."""
    assert task.recover is not None
    folder = CELLS / task.env_id / f"imitator-{seed}"
    return ip.train(
        demonstrations(task.env_id, seed),
        replace(task.recover, seed=seed),
        env=task.env_id,
        others=held(task.env_id),
        out=folder,
        resume=(folder / "checkpoint.pt").exists(),
        progress=False,
    )


def distilled_on(task: Task) -> dict[str, ip.Transitions] | None:
    """For the maze, the first seed's demonstrations and the held random actions; None lets `transfer` choose."""
    if task.recover is None:
        return None
    return {"demonstrations": demonstrations(task.env_id, 0).transitions, "held random actions": held(task.env_id)}


def run_learned(name: str, task: Task, seeds: int) -> None:
    """One seed after the other; results/<name>.nc holds the finished ones."""
    variants = ip.envs.variants(task.env_id, task.changes)
    runs: list[ip.Run] = []
    for seed in range(seeds):
        if task.recover is not None:
            runs.append(imitator(task, seed))
        config = ip.transfers.TransferConfig(
            forms=task.forms, learner=task.learner, true_learner=task.true_learner, seeds=tuple(range(seed + 1))
        )
        rewards = [ip.recover(run) for run in runs] if runs else ip.load_reward(task.reward)
        policy = ip.load_run(CELLS.parent / task.policy).policy if task.policy else None
        out = CELLS / task.env_id / "cells"
        tree = ip.transfer(
            rewards, config, env=variants, policy=policy, transitions=distilled_on(task), out=out, progress=True
        )
        ip.results.save_results(tree, HERE / "results" / f"{name}.nc", overwrite=True)


def run_saved(env_id: str, folder: str, changes: Sequence[str], steps: int, seeds: int) -> None:
    """Transfer of a saved reward, such as one of Walker2d."""
    config = ip.transfers.TransferConfig(learner=ip.RLConfig(steps=steps), seeds=tuple(range(seeds)))
    variants = ip.envs.variants(env_id, changes or None)
    tree = ip.transfer(ip.load_reward(folder), config, env=variants, out=CELLS / env_id / "cells", progress=True)
    ip.results.save_results(tree, HERE / "results" / f"{env_id}.nc", overwrite=True)


def intervals() -> None:
    """Every file in results/ with its values and intervals made again from the returns of its seeds."""
    for path in sorted((HERE / "results").glob("*.nc")):
        tree = ip.results.load_results(path)
        tree["transfer"].dataset = ip.transfers.with_intervals(tree["transfer"].to_dataset())
        ip.results.save_results(tree, path, overwrite=True)


def tables() -> None:
    """Verdicts and tables of every file in results/, into README.md."""
    parts = []
    for path in sorted((HERE / "results").glob("*.nc")):
        tree = ip.results.load_results(path)
        parts.append(f"### {path.stem.replace('_', ' ')}\n\n{table(tree)}\n\n{warnings(tree)}\n")
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition("<!-- tables -->")
    _, _, after = rest.partition("<!-- end -->")
    readme.write_text(f"{before}<!-- tables -->\n" + "\n".join(parts) + f"<!-- end -->{after}")


def warnings(tree: object) -> str:
    """The warnings about transfer, as a list."""
    return "\n".join(f"- {v['text']}" for v in ip.judgement.warnings_of(tree) if v["code"].startswith("transfer"))


def table(tree: object) -> str:
    """One row a policy: value [interval] in each variant, then the regrets if it is exact, else the mean return."""
    group = tree["transfer"].to_dataset()
    lines = [
        f"{group.sizes['seed']} seed(s).\n",
        f"| policy | {' | '.join(map(str, group['variant'].values))} | all changed |",
        f"|---|{'---|' * (group.sizes['variant'] + 1)}",
    ]
    for policy in group["policy"].values:
        cells = []
        for variant in group["variant"].values:
            at = {"policy": policy, "variant": variant}
            regrets = (
                f"; {float(group['regret_greedy'].sel(at)):.2g}, {float(group['regret_soft'].sel(at)):.2g}"
                if "regret_greedy" in group
                else f"; {float(group['mean'].sel({**at, 'bound': 'estimate'})):.1f}"
            )
            cells.append(bounds(group["value"].sel(at).values) + regrets)
        overall = bounds(group["overall"].sel(policy=policy).values) if "overall" in group else "–"
        lines.append(f"| {policy} | {' | '.join(cells)} | {overall} |")
    return "\n".join(lines)


def bounds(values: np.ndarray) -> str:
    estimate, low, high = values
    if np.isnan(estimate):
        return "–"
    return f"{estimate:.2f}" if np.isnan(low) or low == high else f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "intervals", "tables"])
    parser.add_argument("tasks", nargs="*", help=f"grid, {', '.join(TASKS)}, or with --reward an environment id")
    parser.add_argument("--seeds", type=int, default=3, help="policies of each kind")
    parser.add_argument("--reward", help="folder of a saved reward, or the id of a shipped one")
    parser.add_argument("--changes", nargs="*", default=[], help="with --reward: which, such as mass=2")
    parser.add_argument("--steps", type=int, default=300_000, help="with --reward: of each policy")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.verb == "tables":
        tables()
    if arguments.verb == "intervals":
        intervals()
    for task_name in arguments.tasks if arguments.verb == "run" else ():
        if task_name == "grid":
            run_grid()
        elif task_name in TASKS:
            run_learned(task_name, TASKS[task_name], arguments.seeds)
        elif arguments.reward:
            run_saved(task_name, arguments.reward, arguments.changes, arguments.steps, arguments.seeds)
        else:
            parser.error(f"a task is grid, {', '.join(TASKS)}, or an environment with --reward; got {task_name!r}")
