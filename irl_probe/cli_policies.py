"""The sub-commands that train policies on rewards, true or recovered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

import irl_probe as ip
from irl_probe import pipeline
from irl_probe.cli_folders import check_folder
from irl_probe.retraining.config import Learner

Word = Annotated[str, tyro.conf.Positional]
Words = Annotated[tuple[str, ...], tyro.conf.Positional]


def expert(
    env: Word,
    out: Path,
    learner: ip.IQConfig = ip.IQConfig(objective="bellman"),
    episodes: int = 10,
    resume: bool = False,
) -> None:
    """Train an expert on the true reward and record demonstrations of it (OUT/demos.npz).

    Args:
        env: environment id.
        out: folder of the run.
        learner: of the objective bellman.
        episodes: demonstrations to record.
        resume: go on with the run in OUT.
    """
    check_folder(out)
    run = ip.train_on_reward(env, learner, out=out, resume=resume)
    live = ip.make_env(env)
    recorded = ip.record_demos(run.policy, live, episodes, seed=learner.seed)
    live.close()
    print(ip.save_demos(recorded, out / "demos.npz", overwrite=resume))
    print(recorded.describe())


def retrain(
    reward: Word,
    env: Word,
    out: Path,
    learner: ip.IQConfig = ip.IQConfig(objective="bellman"),
    episodes: int = 20,
    resume: bool = False,
) -> None:
    """Train a fresh policy on a recovered reward alone and print its true return.

    Args:
        reward: folder, or id of a shipped reward.
        env: environment id.
        out: folder of the run.
        learner: of the objective bellman.
        episodes: of the evaluation.
        resume: go on with the run in OUT.
    """
    check_folder(out)
    run = ip.retrain(ip.load_reward(reward), env, ip.RetrainConfig(learner), out=out, resume=resume)
    print(f"true return {ip.evaluate(run.policy, env, episodes=episodes)}")


def retrain_study(
    rewards: Words,
    env: str,
    out: Path,
    learner: Learner = "own",
    seeds: tuple[int, ...] = (0, 1, 2),
    steps: int | None = None,
    episodes: int = 20,
    true_reward: bool = True,
    expert: float | None = None,
    engine: ip.IQConfig = ip.IQConfig(objective="bellman"),
) -> None:
    """Judge rewards by fresh policies, several seeds each, beside policies trained on the true reward; write OUT.

    Policies that are finished in OUT are read, not trained again; one of our own engine that was interrupted goes on at
    its last checkpoint, one of Stable-Baselines3 starts anew. The same command goes on where it was stopped.

    Args:
        rewards: folders, ids of shipped rewards, or `constant`.
        env: environment id.
        out: folder of the policies, of results.nc and report.html.
        learner: our engine, or Stable-Baselines3's (the extra sb3) with its own defaults.
        seeds: one policy for each, on each reward.
        steps: environment steps of each policy; the engine's default, or 100 000 with Stable-Baselines3.
        episodes: of each policy's evaluation.
        true_reward: also train on the true reward, with the same budget and seeds.
        expert: the expert's mean true return, which is 1; that of the bundled demonstrations where there are any.
        engine: our engine's settings, objective bellman; its steps and seed are those above.
    """
    check_folder(out)
    config = ip.RetrainStudyConfig(
        learner=learner, config=engine, steps=steps, seeds=seeds, episodes=episodes, on_true_reward=true_reward
    )
    tree = ip.retrain_study(pipeline.named_rewards(rewards, env), env, config, expert=expert, out=out / "policies")
    ip.save_results(tree, out / "results.nc", overwrite=True)
    ip.write_report(tree, out / "report.html", overwrite=True)
    for verdict in ip.verdicts(tree):
        print(verdict["text"])
    table = ip.to_dataframe(tree).query("group == 'retraining' and metric in ('mean', 'normalised_mean')")
    print(table[["reward", "metric", "estimate", "low", "high"]].to_string(index=False))
    facts = tree["retraining"].attrs
    print(f"{len(seeds)} seed(s), {facts['steps']} environment steps each, learner {learner}; {out / 'results.nc'}")


def transfer(
    reward: Word,
    env: Word,
    out: Path,
    changes: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    config: Annotated[ip.TransferConfig, tyro.conf.arg(name="")] = ip.TransferConfig(),
) -> None:
    """Train policies on rewards where the dynamics have changed; print the table, write results.nc and report.html.

    Finished policies in OUT are read, not trained again; the same command goes on where it was stopped.

    Args:
        reward: folder, or id of a shipped reward.
        env: environment id.
        out: folder of the results.
        changes: parameters, with their default factors or one each: mass length=2. None takes all.
        others: more rewards to train policies on beside it; only the first is distilled, and only its own policy is
            carried over.
        config: forms, budgets, seeds.
    """
    check_folder(out)
    rewards = pipeline.named_rewards([reward, *others], env)
    tree = ip.transfer(rewards, ip.variants(env, changes or None), config, out=out / "cells", progress=True)
    ip.save_results(tree, out / "results.nc", overwrite=True)
    ip.write_report(tree, out / "report.html", overwrite=True)
    for verdict in ip.verdicts(tree):
        print(verdict["text"])
    table = ip.to_dataframe(tree).query("group == 'transfer' and metric in ('mean', 'value')")
    print(table[["variant", "policy", "metric", "estimate", "low", "high"]].to_string(index=False))
    print(out / "results.nc")
