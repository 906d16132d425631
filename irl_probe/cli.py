"""The command line: one sub-command a verb, no logic of its own."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape

import irl_probe as ip
from irl_probe import pipeline
from irl_probe import rewards as reward_models
from irl_probe.learn import TrainingDiverged, TrainingInterrupted
from irl_probe.retraining.config import Algorithm


def check_folder(out: Path | None, *written: str, overwrite: bool = False) -> None:
    """Check that `out`, if given, can be a folder, and that what will be `written` in it ("." is itself) may be.

    Raises ValueError where a file is in the way, or one of `written` exists and `overwrite` is False.
    """
    if out is None:
        return
    if file := next((place for place in (out, *out.parents) if place.is_file()), None):
        raise ValueError(f"What --out names must be a folder, there or new; {file} is a file. Choose another place.")
    if not overwrite and (there := [out / name for name in written if (out / name).exists()]):
        raise ValueError(
            f"What is there is not overwritten unless asked to; {there[0]} exists. Choose another place or --overwrite."
        )


def expert(
    env: Word,
    out: Path,
    learner: ip.RLConfig = ip.RLConfig(),
    episodes: int = 10,
    resume: bool = False,
) -> None:
    """Train an expert on the true reward and record demonstrations of it (OUT/demos.npz).

    Args:
        env: environment id.
        out: folder of the run.
        learner: see irl_probe.RLConfig.
        episodes: demonstrations to record.
        resume: go on with the run in OUT.
    """
    check_folder(out)
    run = ip.learn.train_on_reward(env, learner, out=out, resume=resume)
    live = ip.envs.make_env(env)
    recorded = ip.record_demos(run.policy, live, episodes, seed=learner.seed)
    live.close()
    print(ip.save_demos(recorded, out / "demos.npz", overwrite=resume))
    print(recorded.describe())


def retrain(
    reward: Word,
    env: Word,
    out: Path,
    learner: ip.RLConfig = ip.RLConfig(),
    episodes: int = 20,
    resume: bool = False,
) -> None:
    """Train a fresh policy on a recovered reward alone and print its true return.

    Args:
        reward: folder, or id of a shipped reward.
        env: environment id.
        out: folder of the run.
        learner: see irl_probe.RLConfig.
        episodes: of the evaluation.
        resume: go on with the run in OUT.
    """
    check_folder(out)
    run = ip.retrain(ip.load_reward(reward), ip.RetrainConfig(learner), env=env, out=out, resume=resume)
    print(f"true return {ip.evaluate(run.policy, env, episodes=episodes)}")


def retrain_study(
    rewards: Words,
    env: str,
    out: Path,
    learner: Algorithm = "own",
    seeds: tuple[int, ...] = (0, 1, 2),
    steps: int | None = None,
    episodes: int = 20,
    true_reward: bool = True,
    expert: float | None = None,
    engine: ip.RLConfig = ip.RLConfig(),
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
        engine: our engine's settings; its steps and seed are those above.
    """
    check_folder(out)
    config = ip.retraining.RetrainStudyConfig(
        algorithm=learner, learner=engine, steps=steps, seeds=seeds, episodes=episodes, on_true_reward=true_reward
    )
    tree = ip.retraining.retrain_study(
        pipeline.named_rewards(rewards, env), config, env=env, expert=expert, out=out / "policies"
    )
    ip.results.save_results(tree, out / "results.nc", overwrite=True)
    ip.write_report(tree, out / "report.html", overwrite=True)
    for verdict in ip.judgement.warnings_of(tree):
        print(verdict["text"])
    table = ip.results.to_dataframe(tree).query("group == 'retraining' and metric in ('mean', 'normalised_mean')")
    print(table[["reward", "metric", "estimate", "low", "high"]].to_string(index=False))
    facts = tree["retraining"].attrs
    print(f"{len(seeds)} seed(s), {facts['steps']} environment steps each, learner {learner}; {out / 'results.nc'}")


def transfer(
    reward: Word,
    env: Word,
    out: Path,
    changes: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    config: Annotated[ip.transfers.TransferConfig, tyro.conf.arg(name="")] = ip.transfers.TransferConfig(),
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
    tree = ip.transfer(rewards, config, env=ip.envs.variants(env, changes or None), out=out / "cells", progress=True)
    ip.results.save_results(tree, out / "results.nc", overwrite=True)
    ip.write_report(tree, out / "report.html", overwrite=True)
    for verdict in ip.judgement.warnings_of(tree):
        print(verdict["text"])
    table = ip.results.to_dataframe(tree).query("group == 'transfer' and metric in ('mean', 'value')")
    print(table[["variant", "policy", "metric", "estimate", "low", "high"]].to_string(index=False))
    print(out / "results.nc")


def train(
    source: Annotated[str | None, tyro.conf.Positional] = None,
    out: Path | None = None,
    resume: Path | None = None,
    env: str | None = None,
    episodes: int | None = None,
    subsample: int | None = None,
    env_id: str | None = None,
    learner: ip.IQConfig = ip.IQConfig(),
) -> None:
    """Learn a soft Q-function from demonstrations.

    Args:
        source: bundled name, file, or "minari:<dataset id>".
        out: folder of the run; new or empty.
        resume: folder of an interrupted run to go on with; all else is taken from it, and what is given other than the
            defaults must agree.
        env: environment to collect steps in; offline without.
        episodes: the first so many demonstrations.
        subsample: every so-manieth step.
        env_id: the environment of the demonstrations, where the source does not name it.
        learner: see irl_probe.IQConfig.
    """
    check_folder(out)
    command: dict[str, Any] = {
        "source": source,
        "episodes": episodes,
        "subsample": subsample,
        "env_id": env_id,
        "env": env,
        "learner": asdict(learner),
    }
    if resume is not None:
        command, folder = _begun_with(resume, command, out), resume
    elif source is None or out is None:
        raise ValueError(
            "Training needs demonstrations and a folder: irl-probe train SOURCE --out DIR; or --resume DIR."
        )
    else:
        folder = out
    choice = {name: command[name] for name in ("source", "episodes", "subsample", "env_id")}
    try:
        run = ip.train(
            ip.load_demos(**choice),
            ip.IQConfig.from_dict(command["learner"]),
            env=command["env"],
            out=folder,
            resume=resume is not None,
            note={"command": command},
        )
    except TrainingInterrupted as error:
        raise TrainingInterrupted(f"Interrupted. Go on with: irl-probe train --resume {folder}") from error
    print(f"{folder}: {run.provenance}")


def _begun_with(folder: Path, given: dict[str, Any], out: Path | None) -> dict[str, Any]:
    """What the run in a folder was begun with.

    Raises ValueError where `irl-probe train` did not begin it, and where something else is given now.
    """
    from irl_probe.learn.run import read_description  # brings torch, which no verb needs to be parsed

    command = read_description(folder).get("command")
    if not isinstance(command, dict):
        raise ValueError(
            f"The run in {folder} was not begun by irl-probe train. What began it goes on with it: irl-probe "
            "retrain or expert, the same command with --resume; in Python irl_probe.train(..., resume=True)."
        )
    unset = {**dict.fromkeys(given), "learner": asdict(ip.IQConfig())}
    before, now, default = _flat(command), _flat(given), _flat(unset)
    changed = [name for name, value in now.items() if value not in (default[name], before.get(name))]
    differing = [f"{name} was {before.get(name)!r}, now {now[name]!r}" for name in changed]
    if out is not None and out.resolve() != folder.resolve():
        differing.append(f"its folder is {folder}, now {out}")
    if differing:
        raise ValueError(
            f"The run in {folder} goes on as it was begun; these differ: {'; '.join(differing)}. "
            "Leave them out, or begin another run."
        )
    return command


def _flat(command: dict[str, Any]) -> dict[str, Any]:
    """A command's options and its learner's in one, as a JSON file holds them: lists for tuples."""
    options: dict[str, Any] = json.loads(json.dumps({**command, **command["learner"]}))
    del options["learner"]
    return options


Word = Annotated[str, tyro.conf.Positional]
Words = Annotated[tuple[str, ...], tyro.conf.Positional]
OneRun = Annotated[Path, tyro.conf.Positional]


def probe(
    env: Word,
    config: Annotated[ip.pipeline.ProbeConfig, tyro.conf.arg(name="")],
    out: Path | None = None,
    resume: bool = False,
) -> None:
    """Run the whole chain: demonstrations, soft Q, reward, figures, report.

    Args:
        env: environment id; GridWorld is probed exactly.
        config: what to learn from and how.
        out: folder for everything; default runs/probe/ENV.
        resume: go on with an interrupted probe in that folder.
    """
    check_folder(out)
    ip.probe(env, config, out=out, resume=resume)


def demos(source: Word, episodes: int | None = None, subsample: int | None = None, env_id: str | None = None) -> None:
    """Describe demonstrations.

    Args:
        source: bundled name, file, or "minari:<dataset id>".
        episodes: the first so many.
        subsample: every so-manieth step.
        env_id: the environment, where the source does not name it.
    """
    print(ip.load_demos(source, episodes=episodes, subsample=subsample, env_id=env_id).describe())


def export(run: OneRun, out: Path, overwrite: bool = False) -> None:
    """Recover the reward of a run and save it as a folder.

    Args:
        run: folder of a run.
        out: folder of the reward.
        overwrite: replace a reward that is there.
    """
    check_folder(out, ".", overwrite=overwrite)
    print(ip.save_reward(ip.recover(ip.load_run(run)), out, overwrite=overwrite))


def distil(
    reward: Word,
    demos: Words,
    out: Path,
    env: str | None = None,
    episodes: int = 30,
    config: Annotated[ip.DistilConfig, tyro.conf.arg(name="")] = ip.DistilConfig(),
    overwrite: bool = False,
) -> None:
    """Fit an explicit reward r(s), r(s, a) or r(s, a, s′) to a recovered one and save it as a folder.

    Args:
        reward: folder, or id of a shipped reward.
        demos: bundled names or files: the steps to fit it on.
        out: folder of the distilled reward.
        env: fit it also, or only, on rollouts here of the reward's own policy with a share of 0 to 1 of random actions.
        episodes: of these rollouts, in all, rounded down to a multiple of six shares of random actions.
        config: see irl_probe.DistilConfig.
        overwrite: replace a reward that is there.
    """
    check_folder(out, ".", overwrite=overwrite)
    distilled = pipeline.distil_named(reward, demos, env, config, episodes=episodes)
    print(f"share of the variance explained on held-out episodes: {distilled.figures['explained_variance']}")
    print(ip.save_reward(distilled, out, overwrite=overwrite))


def forms(
    reward: Word,
    env: str,
    out: Path,
    config: Annotated[ip.DistilConfig, tyro.conf.arg(name="")] = ip.DistilConfig(),
    episodes: int = 20,
    distances: bool = True,
    overwrite: bool = False,
) -> None:
    """Distil a reward in every form and print what each explains and costs; write results.nc and report.html.

    Args:
        reward: folder, or id of a shipped reward; a recovered one.
        env: its environment.
        out: folder for results.nc and report.html.
        config: of the fits; form and shaping take every value.
        episodes: of each rollout.
        distances: also take EPIC, DARD, STARC and ERC, where the environment's true reward can be asked off the data.
        overwrite: replace the results and the report that are there.
    """
    check_folder(out, "results.nc", "report.html", overwrite=overwrite)
    loaded = ip.load_reward(reward)
    if not isinstance(loaded, ip.rewards.RecoveredReward):
        raise ValueError(f"Forms are distilled from a recovered reward; {reward} is distilled already.")
    tree = ip.pipeline.compare_forms(loaded, env, config, episodes=episodes, distances=distances, seed=config.seed)
    ip.results.save_results(tree, out / "results.nc", overwrite=overwrite)
    for coverage in tree["correlation"].to_dataset()["coverage"].values:
        print(f"{coverage}\n{ip.pipeline.forms_table(tree, str(coverage))}\n")
    print(ip.write_report(tree, out / "report.html", overwrite=overwrite))


def compare(
    rewards: Words,
    out: Path,
    env: str | None = None,
    demos: str | None = None,
    episodes: int = 30,
    seed: int = 0,
    distances: bool = True,
    overwrite: bool = False,
) -> None:
    """Compare rewards with the true one and with each other; print the verdict, write results and report.

    Args:
        rewards: folders, ids of shipped rewards, `true` or `constant`.
        out: folder for results.nc and report.html.
        env: compare on its bundled demonstrations and on rollouts of random actions and of an ever noisier expert.
        demos: compare on these demonstrations (a bundled name, a file, "minari:..."); with --env, take them for the
            bundled ones.
        episodes: of each rollout.
        seed: of the rollouts and intervals.
        distances: also take EPIC, DARD, STARC and ERC, where the environment's true reward can be asked off the data.
        overwrite: replace the results and the report that are there.
    """
    check_folder(out, "results.nc", "report.html", overwrite=overwrite)
    tree = pipeline.compare_named(rewards, env, demos, episodes=episodes, seed=seed, distances=distances)
    ip.results.save_results(tree, out / "results.nc", overwrite=overwrite)
    ip.report.print_report(tree)
    print(ip.write_report(tree, out / "report.html", overwrite=overwrite))


def report(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path, seeds: bool = False, overwrite: bool = False
) -> None:
    """Print the verdict on results and write their page.

    Args:
        results: results.nc files (or folders that hold one) of one environment; several are merged.
        out: the page, such as report.html.
        seeds: the files are the same thing under other seeds: show their average, with intervals over them.
        overwrite: replace the page that is there.
    """
    if not results:
        raise ValueError("A report is made of results; got none. Name files: irl-probe report RESULTS --out PAGE.")
    trees = [ip.results.load_results(path / "results.nc" if path.is_dir() else path) for path in results]
    if seeds:
        tree = ip.results.stack_runs(dict(enumerate(trees)), "seed")
    else:
        tree = trees[0] if len(trees) == 1 else ip.results.merge_results(*trees)
    ip.report.print_report(tree)
    print(ip.write_report(tree, out, overwrite=overwrite))


def zoo(
    action: Annotated[Literal["list", "show", "load"], tyro.conf.Positional] = "list",
    reward: Annotated[str | None, tyro.conf.Positional] = None,
    out: Path | None = None,
) -> None:
    """List the shipped rewards, show the card of one, or copy one into a folder.

    Args:
        action: list, show or load.
        reward: id of a shipped reward, for show and load.
        out: folder to copy it to, for load.
    """
    if action == "list":
        print("\n".join(ip.zoo.list_zoo()))
    elif reward is None:
        raise ValueError("Name a shipped reward: irl-probe zoo show ID, or irl-probe zoo load ID --out DIR.")
    elif action == "show":
        print(ip.zoo.show_zoo(reward))
    elif out is None and reward in ip.zoo.list_zoo():
        raise ValueError(f"Say into which folder: irl-probe zoo load {reward} --out DIR.")
    else:
        check_folder(out)
        print(reward_models.copy_zoo(reward, str(out)))


VERBS: dict[str, Callable[..., None]] = {
    "probe": probe,
    "demos": demos,
    "expert": expert,
    "train": train,
    "export": export,
    "distil": distil,
    "forms": forms,
    "compare": compare,
    "report": report,
    "retrain": retrain,
    "retrain-study": retrain_study,
    "transfer": transfer,
    "zoo": zoo,
}


def main() -> None:
    """Run a sub-command; an error that the user can mend is a message, not a traceback."""
    if sys.argv[1:] == ["--version"]:
        print(f"irl-probe {ip.__version__}")
        return
    try:
        tyro.extras.subcommand_cli_from_dict(VERBS, prog="irl-probe", description=str(ip.__doc__).partition("\n")[0])
    except BrokenPipeError:  # who read the output has had enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains as it flushes
        sys.exit(1)
    except (ValueError, ImportError, OSError, TrainingDiverged) as error:
        Console(stderr=True).print(f"[red]irl-probe:[/] {escape(_as_options(str(error)))}", highlight=False)
        sys.exit(2)
    except TrainingInterrupted as interrupted:
        Console(stderr=True).print(f"\n{escape(_as_options(str(interrupted)))}", highlight=False)
        sys.exit(130)


def _as_options(message: str) -> str:
    """A message of the library, its advice in the command line's words: --overwrite for overwrite=True."""
    return re.sub(r"(?<!\.\.\., )\b(overwrite|resume)=True", r"--\1", message)
