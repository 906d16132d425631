"""The sub-command train, and how it goes on with what it began."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import tyro

import irl_probe as ip
from irl_probe.cli_folders import check_folder
from irl_probe.learn import TrainingInterrupted


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
            command["env"],
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
