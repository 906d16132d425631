"""Probing a Gymnasium environment: learn, recover, compare on four coverages, retrain."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from gymnasium.spaces import Discrete
from rich.console import Console

from irl_probe._names import CLONED, EXPERT, LEARNED, MIXTURE, RANDOM, RETRAINED
from irl_probe._plain import plain_actions
from irl_probe.comparison.verb import CompareConfig, compare
from irl_probe.demos import Demonstrations, load_demos, record_demos
from irl_probe.envs import make_env
from irl_probe.learn import Evaluation, IQConfig, Policy, RLConfig, Run, evaluate, random_policy, train
from irl_probe.metrics.bootstrap import stratified_bootstrap
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.coverages import NOISE, OffData, ladder, off_data
from irl_probe.results import join_results, learning_group, new_results, retraining_group, returns_group
from irl_probe.retraining import RetrainConfig, retrain
from irl_probe.retraining.cells import Cell
from irl_probe.rewards import RecoveredReward, recover
from irl_probe.transitions import Transitions


def probe_environment(
    env_id: str, config: ProbeConfig, folder: Path, console: Console
) -> tuple[xr.DataTree, RecoveredReward]:
    """A probe without its files: the results and the recovered reward. Runs that `folder` holds are continued there.

    Coverages: the demonstrations (expert), and rollouts of the learned policy, of the random policy and of a noisy
    expert (mixture). In the mixture a clone (`bc`) of the demonstrations plays the expert, because it does not depend
    on the learner that is judged; each of `NOISE` is its probability of a random action.

    Raises DemoError where there are no demonstrations, ValueError where they hold no true rewards, and as the verbs do.
    """
    env = make_env(env_id)  # raises for an unknown environment before demonstrations are looked up
    env.close()
    whole = load_demos(config.demos or env_id, episodes=config.episodes, env_id=env_id)
    if whole.whole.returns is None:
        raise ValueError(
            f"A probe compares with the true reward, and these demonstrations ({whole.source}) hold none. "
            "Record them with record_demos, or train and recover without comparing."
        )
    expert = Evaluation(whole.whole.returns, whole.whole.lengths)
    demos = whole.subsample(config.subsample)
    console.print(f"[bold]Demonstrations[/]\n{demos.describe()}\n", highlight=False)

    learner = _with_curve(config, discrete=isinstance(plain_actions(env.action_space), Discrete))
    cell = Cell(folder, {})
    where = None if config.offline else env_id
    run = train(demos, learner, env=where, out=cell.run, resume=cell.resume(), progress=True)
    cloned = train(demos, IQConfig(objective="bc", seed=config.seed))
    reward = recover(run)
    console.print(
        f"Recovered r(s, a, s′) = Q(s, a) − γV(s′). Now {config.retrain_seeds} fresh policies learn from it alone."
    )
    retrained = [_retrained(reward, config, i, env_id, folder / "retrained") for i in range(config.retrain_seeds)]

    evaluations = _evaluate(env_id, {LEARNED: run.policy, CLONED: cloned.policy}, config)
    again = [_true_returns(one.policy, env_id, config) for one in retrained]
    returns = _returns(expert, evaluations, again, config.seed)
    console.print(_table(returns), highlight=False)
    name = learner.objective
    learned = new_results(
        {
            "learning": learning_group(run.history["step"], {str(n): run.history[n] for n in run.history}),
            "returns": returns,
            "retraining": _retraining_group(name, again, returns, config.seed),
        },
        title=f"{env_id}: the reward that {name} recovered from {len(whole.whole.lengths)} demonstrations",
        env_id=env_id,
        seed=config.seed,
        true_reward="as the environment paid it",
        demonstrations=asdict(demos.describe()),
        config={"probe": config.record(), "train": asdict(run.config), "retrain": asdict(retrained[0].config)},
    )
    off = off_data(env_id, [reward], seed=config.seed) if config.distances else OffData()
    if off.reason:
        learned.attrs["no_distances"] = off.reason
    found = _coverages(env_id, run, cloned, whole, config)
    compared = compare(
        {name: reward},
        transitions=found,
        config=CompareConfig(seed=config.seed),
        distances=off.distances,
        truth=off.truth,
        dynamics=off.dynamics,
        ladder=ladder(found),
    )
    return join_results(learned, compared), reward


def _with_curve(config: ProbeConfig, *, discrete: bool) -> IQConfig:
    """The settings of the probe's learner, with ten evaluations during its run unless evaluate_every is given."""
    learner = replace(config.learner, seed=config.seed)
    if learner.evaluate_every is not None:
        return learner
    resolved = learner.resolve(discrete=discrete, online=not config.offline)
    return replace(learner, evaluate_every=max(1, resolved.steps // 10))


def _retraining(config: ProbeConfig, index: int) -> RetrainConfig:
    learner = RLConfig(steps=config.retrain_steps, seed=config.seed + 1 + index, evaluate_every=0)
    return RetrainConfig(learner)


def _retrained(reward: RecoveredReward, config: ProbeConfig, index: int, env_id: str, folder: Path) -> Run:
    """A policy retrained in a folder of its own; a resumed probe continues it there."""
    settings = _retraining(config, index)
    cell = Cell(folder / f"seed-{settings.learner.seed}", {})
    return retrain(reward, settings, env=env_id, out=cell.run, resume=cell.resume())


def _true_returns(policy: Policy, env_id: str, config: ProbeConfig) -> Evaluation:
    """True returns of a policy; all policies start from the same initial states."""
    return evaluate(policy, env_id, episodes=config.evaluation_episodes, seed=config.seed + 10_000)


def _evaluate(env_id: str, policies: dict[str, Policy], config: ProbeConfig) -> dict[str, Evaluation]:
    """True returns of the policies and of the random one."""
    env = make_env(env_id)
    env.close()
    everyone = {**policies, RANDOM: random_policy(env.action_space, config.seed)}
    return {name: _true_returns(policy, env_id, config) for name, policy in everyone.items()}


def _returns(
    expert: Evaluation, evaluations: dict[str, Evaluation], retrained: list[Evaluation], seed: int
) -> xr.Dataset:
    """The returns of every policy; "retrained" joins the episodes of all retrained policies."""
    together = Evaluation(*(np.concatenate([getattr(e, n) for e in retrained]) for n in ("returns", "lengths")))
    everyone = {
        EXPERT: expert,
        LEARNED: evaluations[LEARNED],
        RETRAINED: together,
        **evaluations,
    }
    returns = {name: result.returns for name, result in everyone.items()}
    return returns_group(returns, {name: result.lengths for name, result in everyone.items()}, seed=seed)


def _retraining_group(name: str, retrained: list[Evaluation], returns: xr.Dataset, seed: int) -> xr.Dataset:
    """Mean true return of each retrained policy, raw and with random at 0 and the expert at 1; IQM over seeds."""
    means = np.array([result.returns.mean() for result in retrained])
    centre = stratified_bootstrap(means).array
    group: dict[str, Any] = {"rewards": [name], "seeds": [seed + 1 + i for i in range(len(means))]}
    if "normalised" not in returns:
        return retraining_group(means[None], mean=centre[None], **group)
    random, expert = (float(returns["mean"].sel(policy=p, bound="estimate")) for p in (RANDOM, EXPERT))
    span = expert - random
    group |= {"normalised": (means - random)[None] / span, "normalised_mean": (centre - random)[None] / span}
    return retraining_group(means[None], mean=centre[None], **group)


def _coverages(
    env_id: str, run: Run, cloned: Run, demos: Demonstrations, config: ProbeConfig
) -> dict[str, Transitions]:
    """Whole episodes under each coverage distribution, with the true rewards that the environment paid."""
    env = make_env(env_id)
    try:

        def roll(policy: Policy, seed: int, epsilon: float = 0.0) -> Transitions:
            recorded = record_demos(policy, env, config.rollouts, seed=config.seed + seed, epsilon=epsilon)
            return recorded.transitions

        return {
            EXPERT: demos.transitions,
            LEARNED: roll(run.policy, 30_000),
            RANDOM: roll(random_policy(env.action_space, config.seed), 40_000),
            MIXTURE: Transitions.concatenate(
                roll(cloned.policy, 50_000 + i, epsilon) for i, epsilon in enumerate(NOISE)
            ),
        }
    finally:
        env.close()


def _table(returns: xr.Dataset) -> str:
    """A text table of true returns, one line for each policy."""
    lines = ["True return (mean, 95 % interval)"]
    for policy in returns["policy"].values:
        mean, low, high = returns["mean"].sel(policy=policy).values
        interval = "" if np.isnan(low) else f"   [{low:.2f}, {high:.2f}]"
        lines.append(f"  {policy:<10} {mean:>10.2f}{interval}")
    return "\n".join(lines)
