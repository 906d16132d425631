"""The command line: one sub-command a verb, no logic of its own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.markup import escape

import irl_probe as ip
from irl_probe import pipeline
from irl_probe import rewards as reward_models
from irl_probe.cli_folders import check_folder
from irl_probe.cli_policies import expert, retrain, retrain_study, transfer
from irl_probe.cli_train import train
from irl_probe.learn import TrainingDiverged, TrainingInterrupted

Word = Annotated[str, tyro.conf.Positional]
Words = Annotated[tuple[str, ...], tyro.conf.Positional]
OneRun = Annotated[Path, tyro.conf.Positional]


def probe(
    env: Word,
    config: Annotated[ip.ProbeConfig, tyro.conf.arg(name="")],
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
    if not isinstance(loaded, ip.RecoveredReward):
        raise ValueError(f"Forms are distilled from a recovered reward; {reward} is distilled already.")
    tree = ip.compare_forms(loaded, env, config, episodes=episodes, distances=distances, seed=config.seed)
    ip.save_results(tree, out / "results.nc", overwrite=overwrite)
    for coverage in tree["correlation"].to_dataset()["coverage"].values:
        print(f"{coverage}\n{ip.forms_table(tree, str(coverage))}\n")
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
    ip.save_results(tree, out / "results.nc", overwrite=overwrite)
    ip.print_report(tree)
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
    trees = [ip.load_results(path / "results.nc" if path.is_dir() else path) for path in results]
    if seeds:
        tree = ip.stack_runs(dict(enumerate(trees)), "seed")
    else:
        tree = trees[0] if len(trees) == 1 else ip.merge_results(*trees)
    ip.print_report(tree)
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
        print("\n".join(ip.list_zoo()))
    elif reward is None:
        raise ValueError("Name a shipped reward: irl-probe zoo show ID, or irl-probe zoo load ID --out DIR.")
    elif action == "show":
        print(ip.show_zoo(reward))
    elif out is None and reward in ip.list_zoo():
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
        print(f"irl-probe {version('irl_probe')}")
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
