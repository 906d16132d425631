"""The probe of the paper's grid, where every figure is exact: IQ-Learn, Fig. 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import xarray as xr
from rich.console import Console

from irl_probe._names import EXPERT, RANDOM, TRUE
from irl_probe._types import Floats, Ints
from irl_probe.comparison import CompareConfig, compare
from irl_probe.demos import Demonstrations, record_demos
from irl_probe.envs import TabularEnv, TabularMDP, gridworld, occupancy, soft_expert, true_reward
from irl_probe.envs.tabular import TabularPolicy
from irl_probe.learn import IQConfig, Run, train
from irl_probe.learn.exact import solve_exactly
from irl_probe.metrics import tabular
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.coverages import GRID_TEMPERATURE
from irl_probe.results import distance_group, grid_group, join_results, learning_group, new_results
from irl_probe.retraining.cells import Cell
from irl_probe.rewards import ExactExpectation, RecoveredReward, recover

DEMONSTRATIONS = 30  # as in the paper
FOUND, KNOWN, IDEAL = (
    f"{DEMONSTRATIONS} demonstrations",
    f"{DEMONSTRATIONS} demonstrations, known grid",
    "exact occupancy",
)
BESIDE = {  # the other rewards, which are only compared; the probe saves FOUND
    KNOWN: "learned from the same demonstrations, with every (s, a) of the known grid as the policy's steps",
    IDEAL: "learned from the expert's exact occupancy, the most that any number of demonstrations could give",
}
LEARNER = IQConfig(
    hidden=(),
    batch_size=0,
    precision="float64",
    learning_rate=0.05,
    weight_decay=0.0,
    steps=4000,
    log_every=100,
    temperature=GRID_TEMPERATURE,
)


def probe_grid(env_id: str, config: ProbeConfig, folder: Path, console: Console) -> tuple[xr.DataTree, RecoveredReward]:
    """The grid of IQ-Learn's Fig. 4, with a soft expert: learn from 30 demonstrations, and from its exact occupancy.

    Three rewards, each the marginal Q − γE[V] with E exact, are compared with the truth by the exact tabular measures:

    - from the demonstrations alone, by the ordinary learner; nothing constrains it at an (s, a) that was never visited
    - from the same demonstrations with the grid known: all (s, a) stand in for the policy's steps, with the reward
      targets of the online default, 1 on the expert and 0 elsewhere; the optimum at exact expectations
    - from the expert's exact occupancy, the optimum at exact expectations

    Raises ValueError for a config that sets anything except the seed: all else is the paper's.
    """
    default = ProbeConfig(seed=config.seed)
    if others := [f.name for f in fields(config) if getattr(config, f.name) != getattr(default, f.name)]:
        raise ValueError(
            f"The probe of GridWorld is the paper's grid and takes only a seed; got {', '.join(others)}. "
            "Leave them out, or use train, compare and retrain with irl_probe.envs.TabularEnv."
        )
    mdp = gridworld()
    expert = soft_expert(mdp, GRID_TEMPERATURE)
    env = TabularEnv(mdp)
    demos = record_demos(
        TabularPolicy(expert, seed=config.seed), env, DEMONSTRATIONS, seed=config.seed, deterministic=False
    )
    console.print(f"[bold]Demonstrations[/]\n{demos.describe()}\n", highlight=False)
    learner = replace(LEARNER, seed=config.seed, gamma=mdp.gamma)
    known = replace(learner, chi2_on="mixture", chi2_c=0.5, reward_targets=(1.0, 0.0))
    cell = Cell(folder, {})
    run = train(demos, learner, out=cell.run, resume=cell.resume())
    visits, everywhere = _visits(mdp, demos), np.full_like(expert, 1 / expert.size)
    expectation = ExactExpectation(mdp.transition)
    rewards = {
        FOUND: recover(run, expectation=expectation),
        KNOWN: recover(solve_exactly(visits, mdp.transition, known, others=everywhere), expectation=expectation),
        IDEAL: recover(solve_exactly(occupancy(mdp, expert), mdp.transition, learner), expectation=expectation),
    }
    round_trip = max(_round_trip(mdp, reward) for reward in rewards.values())
    console.print(f"Lemma 3.1: the soft Q of the recovered reward is the learned Q to {round_trip:.1e}")
    exact = _exact(mdp, rewards, run, demos, config)
    random = TabularPolicy(np.full_like(expert, 1 / expert.shape[1]), seed=config.seed)
    coverages = {
        EXPERT: demos.transitions,
        RANDOM: record_demos(random, env, 100, seed=config.seed + 1, deterministic=False).transitions,
    }
    compared = compare(
        dict(rewards),
        reference=true_reward(mdp),
        transitions=coverages,
        config=CompareConfig(seed=config.seed),
    )
    return join_results(exact, compared), rewards[FOUND]


def _visits(mdp: TabularMDP, demos: Demonstrations) -> Floats:
    """The share of each (s, a) among the demonstrated steps, (S, A)."""
    counts = np.zeros(mdp.transition.shape[:2])
    states, actions = (
        np.asarray(x, dtype=np.int64) for x in (demos.transitions.observations, demos.transitions.actions)
    )
    np.add.at(counts, (states, actions), 1.0)
    return np.asarray(counts / counts.sum())


def _exact(
    mdp: TabularMDP, rewards: Mapping[str, RecoveredReward], run: Run, demos: Demonstrations, config: ProbeConfig
) -> xr.DataTree:
    """The learning curve, the heat maps, and the exact distances to the truth."""
    tables = {name: _table(mdp, reward) for name, reward in rewards.items()}
    values = {name: reward.v(np.arange(len(mdp.transition))) for name, reward in rewards.items()}
    shape = mdp.shape
    assert shape is not None
    true_q = tabular.soft_q(mdp.reward, mdp.transition, mdp.gamma, GRID_TEMPERATURE)
    distances = {name: _distances(mdp, table) for name, table in tables.items()}
    metrics = list(next(iter(distances.values())))
    value = np.array([[[[[d[m]] * 3 for m in metrics]]] for d in distances.values()])
    return new_results(
        {
            "learning": learning_group(run.history["step"], {str(n): run.history[n] for n in run.history}),
            "grid": grid_group(
                mdp.reward[:, 0, 0].reshape(shape),
                {name: _of_states(mdp, reward, tables[name]).reshape(shape) for name, reward in rewards.items()},
                tabular.soft_value(true_q, GRID_TEMPERATURE).reshape(shape),
                {name: v.reshape(shape) for name, v in values.items()},
            ),
            "distance": distance_group(
                value,
                np.full(value.shape[:-1], ""),
                rewards=list(distances),
                references=[TRUE],
                coverages=["uniform"],
                metrics=metrics,
                exact=True,
            ),
        },
        title=f"GridWorld: the reward that IQ-Learn recovered from {DEMONSTRATIONS} demonstrations",
        env_id="GridWorld",
        seed=config.seed,
        true_reward="exact",
        stochastic=False,
        demonstrations=asdict(demos.describe()),
        config={"probe": config.record(), "train": asdict(run.config)},
        beside={name: BESIDE[name] for name in tables if name in BESIDE},
    )


def _pairs(mdp: TabularMDP) -> tuple[Ints, Ints]:
    """All (s, a), as two arrays (S·A,)."""
    s, a = (index.ravel() for index in np.indices(mdp.transition.shape[:2]))
    return s, a


def _table(mdp: TabularMDP, reward: RecoveredReward) -> Floats:
    """The marginal reward of every (s, a), (S, A)."""
    s, a = _pairs(mdp)
    return reward(s, a, s, np.zeros(len(s), dtype=bool)).reshape(mdp.transition.shape[:2])


def _round_trip(mdp: TabularMDP, reward: RecoveredReward) -> float:
    """Largest |Q* of the recovered reward − learned Q| over (s, a)  (Lemma 3.1: 0)."""
    learned = reward.q(*_pairs(mdp)).reshape(mdp.transition.shape[:2])
    again = tabular.soft_q(_table(mdp, reward), mdp.transition, mdp.gamma, reward.temperature)
    return float(np.abs(again - learned).max())


def _of_states(mdp: TabularMDP, reward: RecoveredReward, table: Floats) -> Floats:
    """Σ_a π(a|s) r(s, a), (S,): the reward of a state under the learned policy, for the heat map."""
    q = reward.q(*_pairs(mdp)).reshape(table.shape)
    return np.asarray((tabular.soft_policy(q, reward.temperature) * table).sum(axis=1))


def _distances(mdp: TabularMDP, table: Floats) -> dict[str, float]:
    """Every exact measure of a marginal reward against the true one, over uniform (s, a) and P."""
    states, actions, _ = mdp.transition.shape
    coverage = mdp.transition / (states * actions)
    pair, dynamics = (table, mdp.reward), (mdp.transition, mdp.gamma)
    return {
        "epic": tabular.epic(*pair, mdp.gamma, coverage=coverage),
        "dard": tabular.dard(*pair, *dynamics),
        "npec": tabular.npec(*pair, mdp.gamma, coverage=coverage),
        "starc_val": tabular.starc(*pair, *dynamics, canonical="val"),
        "starc_minimal": tabular.starc(*pair, *dynamics, canonical="minimal"),
        "regret": tabular.regret(mdp.reward, table, *dynamics, mdp.initial),
    }
