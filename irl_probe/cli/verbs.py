"""The verbs of the command line: functions whose parameters are the options. They have no logic of their own."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

import irl_probe as ip
from irl_probe import pipeline
from irl_probe.cli.options import option, subject, typed_options
from irl_probe.learn import TrainingInterrupted
from irl_probe.retraining.config import Algorithm

if TYPE_CHECKING:
    import xarray as xr


Demos = Annotated[str, *subject("DEMOS", 'bundled name, file, or "minari:<dataset id>"')]
Reward = Annotated[str, *subject("REWARD", "folder, or id of a shipped reward (irl-probe zoo list)")]
Rewards = Annotated[
    tuple[str, ...], *subject("REWARD...", "folders, ids of shipped rewards (irl-probe zoo list), true or constant")
]
Place = Annotated[str, *subject("ENV", "environment id")]
Env = Annotated[str, option("environment id", "ENV")]
Out = Annotated[Path, option("folder for what this writes", "DIR")]
RunOut = Annotated[Path | None, option("folder for what this writes, new or empty (default: runs/VERB/SUBJECT)", "DIR")]
Overwrite = Annotated[bool, option("replace what is there")]
Resume = Annotated[bool, option("continue the interrupted run in the folder; give the same options again")]
First = Annotated[int | None, option("take the first k demonstrations (default: all of them)")]
Recorded = Annotated[int, option("demonstrations to record")]
Every = Annotated[int | None, option("keep every k-th step (default: every step)")]
Rollouts = Annotated[int, option("episodes to roll out for each coverage")]
Evaluation = Annotated[int, option("episodes of the evaluation of a policy")]
Distances = Annotated[bool, option("also take EPIC, DARD, STARC and ERC, where the true reward is known as a function")]
RUN = "run.json"  # the file that a run leaves in its folder first
Flat = tyro.conf.arg(name="")  # the fields of a config as options without a dot


def probe(
    env: Place,
    config: Annotated[pipeline.ProbeConfig, Flat],
    out: RunOut = None,
    resume: Resume = False,
) -> None:
    """Run the whole chain in an environment: learn, recover, compare, retrain, report.

    GridWorld is probed exactly.
    """
    _check_folder(out)
    folder = _folder("probe", env, out)
    with _continued(folder, "probe.json"):
        ip.probe(env, config, out=folder, resume=resume)


def train(
    source: Annotated[str | None, *subject("DEMOS", 'bundled name, file, or "minari:<dataset id>"')] = None,
    env: Annotated[str | None, option("environment to collect steps in; without it learning is offline", "ENV")] = None,
    offline: Annotated[
        bool, option("collect no steps; --env then only names the environment of demonstrations that do not name it")
    ] = False,
    out: RunOut = None,
    resume: Annotated[
        Path | None,
        option("folder of an interrupted run to continue; every option is the one that it was begun with", "DIR"),
    ] = None,
    episodes: First = None,
    subsample: Every = None,
    learner: ip.IQConfig = ip.IQConfig(),
) -> None:
    """Learn a soft Q-function from demonstrations."""
    _check_folder(out)
    if resume is None and source is not None:
        _check_run(_folder("train", source, out), resume=False)
    command: dict[str, Any] = {
        "source": source,
        "episodes": episodes,
        "subsample": subsample,
        "env": env,
        "offline": offline,
        "learner": asdict(learner),
    }
    if resume is not None:
        command, folder = _begun_with(resume, command, out), resume
    elif source is None:
        raise ValueError("Training needs demonstrations: irl-probe train DEMOS; or --resume DIR.")
    else:
        folder = _folder("train", source, out)
    choice = {name: command[name] for name in ("source", "episodes", "subsample")}
    named, collected_in = (command["env"], None) if command["offline"] else (None, command["env"])
    with _continued(folder, RUN, f"irl-probe train --resume {quote(str(folder))}"):
        run = ip.train(
            ip.load_demos(**choice, env_id=named),
            ip.IQConfig.from_dict(command["learner"]),
            env=collected_in,
            out=folder,
            resume=resume is not None,
            progress=True,
            note={"command": command},
        )
    if "return_mean" in run.history:
        last = run.history.dropna("step", subset=["return_mean"]).isel(step=-1)
        print(f"return at step {int(last['step'])}: {float(last['return_mean']):.2f} ± {float(last['return_sd']):.2f}")
    print(folder)


def _begun_with(folder: Path, given: dict[str, Any], out: Path | None) -> dict[str, Any]:
    """The options that the run in a folder was begun with.

    Raises ValueError where `irl-probe train` did not begin it, and where something else is given now.
    """
    from irl_probe.learn.resume import read_description  # loads torch, which --help does not need

    command = read_description(folder).get("command")
    if not isinstance(command, dict):
        raise ValueError(
            f"The run in {folder} was not begun by irl-probe train, so that verb cannot continue it. Continue it with "
            "what began it: irl-probe retrain or expert, the same command with --resume; in Python "
            "irl_probe.train(..., resume=True)."
        )
    before, now = _flat(command), _flat(given)
    typed = typed_options() | ({"source"} if given["source"] is not None else set())
    changed = [name for name, value in now.items() if name in typed and value != before.get(name)]
    differing = [f"{name} was {before.get(name)!r}, now {now[name]!r}" for name in changed]
    if out is not None and out.resolve() != folder.resolve():
        differing.append(f"its folder is {folder}, now {out}")
    if differing:
        raise ValueError(
            f"The run in {folder} continues with the options it was begun with; these differ: {'; '.join(differing)}. "
            "Leave them out, or begin another run."
        )
    return command


def _flat(command: dict[str, Any]) -> dict[str, Any]:
    """A command's options and its learner's in one, as a JSON file holds them: lists for tuples."""
    options: dict[str, Any] = json.loads(json.dumps({**command, **command["learner"]}))
    del options["learner"]
    return options


def expert(
    env: Place,
    out: RunOut = None,
    resume: Resume = False,
    episodes: Recorded = 10,
    learner: ip.RLConfig = ip.RLConfig(),
) -> None:
    """Train an expert on the true reward and record its demonstrations in OUT/demos.npz."""
    _check_folder(out)
    folder = _folder("expert", env, out)
    _check_run(folder, resume=resume)
    with _continued(folder, RUN):
        run = ip.learn.train_on_reward(env, learner, out=folder, resume=resume, progress=True)
        live = ip.envs.make_env(env)
        recorded = ip.record_demos(run.policy, live, episodes, seed=learner.seed)
        live.close()
        print(ip.save_demos(recorded, folder / "demos.npz", overwrite=resume))
    print(recorded.describe())


def demos(
    source: Demos,
    env: Annotated[str | None, option("the environment, where the demonstrations do not name it", "ENV")] = None,
    episodes: First = None,
    subsample: Every = None,
) -> None:
    """Describe demonstrations and check them against their environment."""
    from irl_probe.demos.checking import checked

    found = ip.load_demos(source, episodes=episodes, subsample=subsample, env_id=env)
    print(found.describe())
    print(checked(found))


def export(
    run: Annotated[Path, *subject("RUN", "folder of a run, as train leaves it")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Recover the reward of a run and save it."""
    _check_folder(out, ".", overwrite=overwrite)
    print(ip.save_reward(ip.recover(ip.load_run(run)), out, overwrite=overwrite))


def distil(
    reward: Reward,
    out: Out,
    demos: Annotated[
        tuple[str, ...], option("fit it on these demonstrations: bundled names or files", "DEMOS...")
    ] = (),
    env: Annotated[
        str | None,
        option("fit it on rollouts here of the reward's own policy, with shares of 0 to 1 of random actions", "ENV"),
    ] = None,
    rollouts: Annotated[int, option("number of these rollouts, rounded down to a multiple of six shares")] = 30,
    config: Annotated[ip.DistilConfig, Flat] = ip.DistilConfig(),
    overwrite: Overwrite = False,
) -> None:
    """Fit an explicit reward r(s), r(s, a) or r(s, a, s′) to a recovered one and save it."""
    _check_folder(out, ".", overwrite=overwrite)
    distilled = pipeline.distil_named(reward, demos, env, config, episodes=rollouts)
    print(f"share of the variance explained on held-out episodes: {distilled.figures['explained_variance']}")
    print(ip.save_reward(distilled, out, overwrite=overwrite))


def forms(
    reward: Reward,
    env: Env,
    out: Out,
    rollouts: Rollouts = 20,
    distances: Distances = True,
    config: Annotated[ip.DistilConfig, Flat] = ip.DistilConfig(),
    overwrite: Overwrite = False,
) -> None:
    """Distil a reward in every form; print what each explains and costs.

    Writes results.nc and report.html. --form and --shaping take every value, so what is given for them is not used.
    """
    _check_folder(out, "results.nc", "report.html", overwrite=overwrite)
    loaded = ip.load_reward(reward)
    if not isinstance(loaded, ip.rewards.RecoveredReward):
        raise ValueError(f"Forms are distilled from a recovered reward; {reward} is distilled already.")
    tree = pipeline.compare_forms(loaded, env, config, episodes=rollouts, distances=distances, seed=config.seed)
    ip.results.save_results(tree, out / "results.nc", overwrite=overwrite)
    for coverage in tree["correlation"].to_dataset()["coverage"].values:
        print(f"{coverage}\n{pipeline.forms_table(tree, str(coverage))}\n")
    print(ip.write_report(tree, out / "report.html", overwrite=overwrite))


def compare(
    rewards: Rewards,
    out: Out,
    env: Annotated[
        str | None,
        option("compare on its bundled demonstrations, and on rollouts of random actions and of a noisy expert", "ENV"),
    ] = None,
    demos: Annotated[
        str | None,
        option(
            'compare on these demonstrations: a bundled name, a file, or "minari:<dataset id>"; with --env they take '
            "the place of the bundled ones",
            "DEMOS",
        ),
    ] = None,
    rollouts: Rollouts = 30,
    seed: Annotated[int, option("seed of the rollouts and the intervals")] = 0,
    distances: Distances = True,
    overwrite: Overwrite = False,
) -> None:
    """Compare rewards with the true one and with each other; print the verdict.

    Writes results.nc and report.html. The same command again continues one that was stopped: the clone that plays the
    noisy expert is kept in OUT/.unfinished until both are written.
    """
    unfinished = out / ".unfinished"
    overwrite = overwrite or unfinished.is_dir()  # what a comparison that was stopped has written is not whole
    _check_folder(out, "results.nc", "report.html", overwrite=overwrite)
    _some(rewards, "compare REWARD... --env ENV --out DIR")
    with _continued():
        tree = pipeline.compare_named(
            rewards, env, demos, episodes=rollouts, seed=seed, distances=distances, out=unfinished, progress=None
        )
        unfinished.mkdir(parents=True, exist_ok=True)
        ip.results.save_results(tree, out / "results.nc", overwrite=overwrite)
        ip.report.print_report(tree)
        print(ip.write_report(tree, out / "report.html", overwrite=overwrite))
    shutil.rmtree(unfinished)


def report(
    results: Annotated[tuple[Path, ...], *subject("RESULTS...", "results.nc files, or folders that hold one")],
    out: Annotated[Path, option("the page, such as report.html", "PAGE")],
    seeds: Annotated[
        bool, option("the results differ only in their seed: show their average, with intervals over seeds")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Print the verdict on results and write their page.

    Several results of one environment are merged.
    """
    if not results:
        raise ValueError("A report is made of results; got none. Name files: irl-probe report RESULTS --out PAGE.")
    _check_page(out, overwrite=overwrite)
    trees = [ip.results.load_results(path / "results.nc" if path.is_dir() else path) for path in results]
    if seeds:
        tree = ip.results.stack_runs(dict(enumerate(trees)), "seed")
    else:
        tree = trees[0] if len(trees) == 1 else ip.results.merge_results(*trees)
    ip.report.print_report(tree)
    print(ip.write_report(tree, out, overwrite=overwrite))


def retrain(
    reward: Reward,
    env: Env,
    out: RunOut = None,
    resume: Resume = False,
    evaluation_episodes: Evaluation = 20,
    learner: ip.RLConfig = ip.RLConfig(),
) -> None:
    """Train a fresh policy on a reward alone and print its true return.

    The returns shown while it learns are the true ones as well.
    """
    _check_folder(out)
    folder = _folder("retrain", reward, out)
    _check_run(folder, resume=resume)
    config = ip.RetrainConfig(learner)
    with _continued(folder, RUN):
        run = ip.retrain(ip.load_reward(reward), config, env=env, out=folder, resume=resume, progress=True)
        print(f"true return {ip.evaluate(run.policy, env, episodes=evaluation_episodes)}\n{folder}")


def retrain_study(
    rewards: Rewards,
    env: Env,
    out: Out,
    algorithm: Annotated[
        Algorithm, option("our learner, or one of Stable-Baselines3 (the extra sb3) with its own defaults")
    ] = "own",
    seeds: Annotated[tuple[int, ...], option("one policy is trained for each seed, on each reward")] = (0, 1, 2),
    steps: Annotated[
        int | None,
        option("environment steps of each policy (default: discrete 40000; continuous 100000; sb3 100000)"),
    ] = None,
    evaluation_episodes: Evaluation = 20,
    true_reward: Annotated[bool, option("also train on the true reward, with the same budget and seeds")] = True,
    expert: Annotated[
        float | None,
        option("the expert's mean true return, which counts as 1 (default: that of the bundled demonstrations)"),
    ] = None,
    learner: ip.RLConfig = ip.RLConfig(),
) -> None:
    """Judge rewards by policies trained on them, several seeds each.

    Writes results.nc and report.html. The same command again continues a study that was stopped: finished policies in
    OUT are read, an interrupted one of our learner continues at its checkpoint, one of Stable-Baselines3 starts again.
    """
    _check_study(out, "policies")
    config = ip.retraining.RetrainStudyConfig(
        algorithm=algorithm,
        learner=learner,
        steps=steps,
        seeds=seeds,
        episodes=evaluation_episodes,
        on_true_reward=true_reward,
    )
    with _continued():
        named = pipeline.named_rewards(rewards, env)
        tree = ip.retraining.retrain_study(named, config, env=env, expert=expert, out=out / "policies", progress=True)
        _conclude(tree, out, "retraining", ["reward"], ["mean", "normalised_mean"])
    steps_each = tree["retraining"].attrs["steps"]
    print(f"{len(seeds)} seed(s), {steps_each} environment steps each, algorithm {algorithm}; {out / 'results.nc'}")


def transfer(
    rewards: Rewards,
    env: Env,
    out: Out,
    changes: Annotated[
        tuple[str, ...],
        option("what to change, by its default factors or by one: mass length=2 (default: every change)", "CHANGE..."),
    ] = (),
    config: Annotated[ip.transfers.TransferConfig, Flat] = ip.transfers.TransferConfig(),
) -> None:
    """Train policies on rewards in changed dynamics; print what they reach.

    Writes results.nc and report.html. The first reward is also distilled, and its own policy carried over. The same
    command again continues where it was stopped: finished policies in OUT are read, not trained again.
    """
    _check_study(out, "cells")
    _some(rewards, "transfer REWARD... --env ENV --out DIR")
    with _continued():
        named = pipeline.named_rewards(rewards, env)
        tree = ip.transfer(named, config, env=ip.envs.variants(env, changes or None), out=out / "cells", progress=True)
        _conclude(tree, out, "transfer", ["variant", "policy"], ["mean", "value"])
    print(out / "results.nc")


def zoo(
    action: Annotated[Literal["list", "show", "copy"], *subject("[list|show|copy]", "what to do")] = "list",
    reward: Annotated[str | None, *subject("[REWARD]", "id of a shipped reward, for show and copy")] = None,
    out: Annotated[Path | None, option("folder to copy it to, for copy", "DIR")] = None,
) -> None:
    """List the shipped rewards, show the card of one, or copy one into a folder."""
    if action == "list":
        print("\n".join(ip.zoo.list_zoo()))
    elif reward is None:
        raise ValueError("Name a shipped reward: irl-probe zoo show REWARD, or irl-probe zoo copy REWARD --out DIR.")
    elif action == "show":
        print(ip.zoo.show_zoo(reward))
    elif out is None and reward in ip.zoo.list_zoo():
        raise ValueError(f"Name the folder to copy it to: irl-probe zoo copy {reward} --out DIR.")
    else:
        _check_folder(out)
        print(ip.zoo.copy_zoo(reward, str(out)))


@contextmanager
def _continued(folder: Path | None = None, record: str = "", command: str | None = None) -> Iterator[None]:
    """Say, after Ctrl-C or SIGTERM in the block, which command continues it.

    That is `command`; else the one that was typed, with --resume where `folder` is given. As long as the file `record`
    is not in the folder, nothing is begun, and the command that was typed begins again.

    Raises TrainingInterrupted with that command.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        typed = ["irl-probe", *(word for word in sys.argv[1:] if word != "--resume")]
        if folder is not None and not (folder / record).is_file():
            raise TrainingInterrupted(f"Interrupted. Nothing was kept; begin again with: {join(typed)}") from error
        again = command or join(typed if folder is None else [*typed, "--resume"])
        raise TrainingInterrupted(f"Interrupted. Continue with: {again}") from error


def _check_folder(out: Path | None, *written: str, overwrite: bool = False) -> None:
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


def _check_run(folder: Path, *, resume: bool) -> None:
    """Check that a run can begin in `folder`, or be resumed there. Raises CheckpointError."""
    from irl_probe.learn.resume import check_folder  # loads torch, which --help does not need

    check_folder(folder, resume=resume)


def _check_study(out: Path, below: str) -> None:
    """Check that `out` is new, empty, or holds a study, which has its cells in `below`. Raises ValueError."""
    _check_folder(out)
    if out.exists() and any(out.iterdir()) and not (out / below).is_dir():
        raise ValueError(
            f"What --out names must be new, empty, or a study to continue, which has a folder {below}/; {out} holds "
            "something else. Choose another place."
        )


def _check_page(out: Path, *, overwrite: bool) -> None:
    """Check that the page `out` can be written. Raises ValueError."""
    _check_folder(out.parent)
    if out.is_dir():
        raise ValueError(f"What --out names must be a file, such as {out / 'report.html'}; {out} is a folder.")
    _check_folder(out.parent, out.name, overwrite=overwrite)


def _folder(verb: str, subject: str, out: Path | None) -> Path:
    """The folder of a run: the one given, else runs/VERB/SUBJECT."""
    return Path("runs", verb, re.sub(r"[^\w.+-]+", "-", subject).strip("-.")) if out is None else out


def _some(rewards: Sequence[str], command: str) -> None:
    if not rewards:
        raise ValueError(f"Name at least one reward: irl-probe {command}.")


def _conclude(tree: xr.DataTree, out: Path, group: str, labels: list[str], metrics: list[str]) -> None:
    """Write results.nc and report.html; print the warnings and the table of a group's figures."""
    ip.results.save_results(tree, out / "results.nc", overwrite=True)
    ip.write_report(tree, out / "report.html", overwrite=True)
    for warning in ip.judgement.warnings_of(tree):
        print(warning["text"])
    table = ip.results.to_dataframe(tree)
    rows = table[(table["group"] == group) & table["metric"].isin(metrics)]
    print(rows[[*labels, "metric", "estimate", "low", "high"]].to_string(index=False))


VERBS: dict[str, Callable[..., None]] = {
    "probe": probe,
    "train": train,
    "expert": expert,
    "demos": demos,
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
DEFAULTS = {  # of the learner, where a verb has others than its config
    "probe": {"evaluate_every": "steps/10"},
    "retrain-study": {"evaluate_every": "0"},
    "transfer": {"evaluate_every": "0"},
}
RENAMED = {  # options of earlier versions; --episodes now counts demonstrations, in every verb
    **{key: {"--episodes": "--rollouts"} for key in ("distil", "forms", "compare")},
    **{key: {"--episodes": "--evaluation-episodes"} for key in ("retrain", "retrain-study", "transfer")},
}
SUBJECTS = {
    "probe": "ENV",
    "train": "DEMOS",
    "expert": "ENV",
    "demos": "DEMOS",
    "export": "RUN",
    "distil": "REWARD",
    "forms": "REWARD",
    "compare": "REWARD...",
    "report": "RESULTS...",
    "retrain": "REWARD",
    "retrain-study": "REWARD...",
    "transfer": "REWARD...",
    "zoo": "list|show|copy",
}
