"""The file run.json, which says how a run was begun, and what resuming (`--resume`) checks against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym

from irl_probe._files import LOCK
from irl_probe._spaces import space_to_json
from irl_probe.learn.config import IQConfig, Resolved, ResolvedIQ, ResolvedRL, RLConfig
from irl_probe.learn.folder import CheckpointError, alone_in, differences, write_atomically
from irl_probe.learn.logs import read_log
from irl_probe.learn.loop import CHECKPOINT
from irl_probe.softq import NetworkSpec

RESOLVED = {ResolvedIQ: IQConfig, ResolvedRL: RLConfig}  # the config that a resolved one comes from
DESCRIPTION = "run.json"
SOURCES = ("env_id", "demonstrations", "others")  # the fields of run.json that say what a run learns from


def describe_run(
    spec: NetworkSpec,
    spaces: tuple[gym.Space[Any], gym.Space[Any]],
    config: ResolvedIQ | ResolvedRL,
    demonstrations: str | None,
    others: str | None,
    env_id: str | None,
    environment: dict[str, Any] | None,
) -> dict[str, Any]:
    """What run.json holds: enough to load the run, and to refuse to resume another one.

    `environment` is the `env_record` of the one that steps are collected in.
    """
    return {
        "observation_space": space_to_json(spaces[0]),
        "action_space": space_to_json(spaces[1]),
        "spec": asdict(spec),
        "config_type": RESOLVED[type(config)].__name__,
        "config": asdict(config),
        "demonstrations": demonstrations,
        "others": others,
        "reward": None,
        "env_id": env_id,
        "environment": environment,
        "versions": {name: version(name) for name in ("irl_probe", "torch", "numpy", "gymnasium")},
    }


def config_of(description: Mapping[str, Any], *, discrete: bool) -> ResolvedIQ | ResolvedRL:
    """The config that a run.json holds.

    Raises ValueError where it does not name the type of the config, as the files of earlier versions do not.
    """
    written = description.get("config_type")
    if written == IQConfig.__name__:
        return IQConfig.from_dict(description["config"]).resolve(discrete=discrete, online=False)
    if written == RLConfig.__name__:
        return RLConfig.from_dict(description["config"]).resolve(discrete=discrete)
    raise ValueError(f"config_type must be IQConfig or RLConfig; got {written!r}")


def check_folder(out: str | Path | None, *, resume: bool) -> None:
    """Check, before anything runs, that a run can begin or be resumed in a folder.

    Raises ValueError for resuming without a folder; CheckpointError where a new run would overwrite what is there, or
    where there is no run to resume.
    """
    if out is None:
        if resume:
            raise ValueError("Resuming needs the run's folder; give out=.")
        return
    folder = Path(out)
    if resume:
        read_description(folder)
    elif folder.exists() and not _is_empty(folder):
        raise CheckpointError(
            f"The output folder {folder} must be new or empty, so that nothing is overwritten; it exists. "
            "Resume the run in it (resume=True) or name another folder."
        )


@contextmanager
def in_folder(folder: Path | None, description: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Begin or resume a run in a folder and hold its lock for the block; None does nothing.

    An error in the block before anything was learned, other than an interruption, takes run.json back.

    Raises CheckpointError as `check_folder` does, where another process is at work in the folder, and where it holds
    another run than the one to resume (the differences are listed).
    """
    if folder is None:
        yield
        return
    if not resume:
        check_folder(folder, resume=False)
        folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        check_folder(folder, resume=resume)
        if resume:
            _check_same(folder, description)
        else:
            text = json.dumps(description, indent=2)
            write_atomically(folder / DESCRIPTION, lambda file: file.write(text.encode()))
        try:
            yield
        except Exception:
            if not resume and all(path.name in (LOCK, DESCRIPTION) for path in folder.iterdir()):
                (folder / DESCRIPTION).unlink()
            raise


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing but a lock and what a killed process left of a run.json that it was writing."""
    return folder.is_dir() and all(
        path.name == LOCK or path.name.startswith(f".{DESCRIPTION}-") for path in folder.iterdir()
    )


def _check_same(folder: Path, description: dict[str, Any]) -> None:
    found = _differences(read_description(folder), description)
    if found:
        raise CheckpointError(
            f"The run in {folder} can only be resumed as it was begun; these differ: {'; '.join(found)}. "
            "Give the same config and steps, or another folder."
        )


def read_description(folder: Path) -> dict[str, Any]:
    """The content of run.json. Raises CheckpointError where the folder holds no run, or one of an earlier version."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
    except OSError as error:
        raise CheckpointError(
            f"A run's folder must hold a {DESCRIPTION}; {folder} does not ({error.strerror}). "
            "Train with out= first, without resume."
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"{folder / DESCRIPTION} must be valid JSON; {error}. The file is damaged: train again in another folder."
        ) from error
    if not isinstance(description, dict):
        raise CheckpointError(f"{folder / DESCRIPTION} must hold a JSON object.")
    if "config_type" not in description:
        versions = description.get("versions")
        made_by = f" by version {versions.get('irl_probe')}" if isinstance(versions, dict) else ""
        raise CheckpointError(
            f"{folder / DESCRIPTION} must say in config_type whether its config is an IQConfig or an RLConfig; it was "
            f"written{made_by}, before there were two. Train it again in another folder, or load it with that version."
        )
    return description


def stopped_early(folder: str | Path | None, config: Resolved) -> bool:
    """Whether the run in a folder was stopped before its first checkpoint; its log shows that none has been lost."""
    if folder is None or (Path(folder) / CHECKPOINT).exists():
        return False
    return all(row["step"] <= config.checkpoint_every for row in read_log(Path(folder)))


def provenance_of(description: Mapping[str, Any], steps: int) -> dict[str, str | float | int]:
    """The record of how a run was learned, as plain strings and numbers."""
    config = description["config"]
    known: dict[str, str | float | int] = {
        "algorithm": config.get("objective", "soft Q-learning"),
        **{name: config[name] for name in ("divergence",) if name in config},
        "seed": config["seed"],
        "steps": steps,
    }
    known |= {name: value for name in SOURCES if (value := description.get(name)) is not None}
    return known | {f"{name}_version": number for name, number in description["versions"].items()}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs, in words."""
    now = json.loads(json.dumps(now))  # tuples as the file has them
    known = [name for name in (*SOURCES, "reward", "environment") if name in before]  # older folders lack some of these
    return differences(*({**each.get("config", {}), **{name: each[name] for name in known}} for each in (before, now)))
