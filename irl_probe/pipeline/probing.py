"""The verb probe: learn, recover, compare and report in one call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from rich.console import Console

from irl_probe._config import check_kind, takes_config
from irl_probe._files import LOCK
from irl_probe.learn import TrainingInterrupted
from irl_probe.learn.folder import CheckpointError, differences, write_atomically
from irl_probe.learn.resume import DESCRIPTION
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.environment import probe_environment
from irl_probe.pipeline.grid import probe_grid
from irl_probe.report import print_report, write_report
from irl_probe.results import reward_figures, save_results
from irl_probe.rewards import RecoveredReward, save_reward

RECORD = "probe.json"  # the settings that a probe was begun with


@dataclass(frozen=True)
class Probe:
    """What `probe` returns: the results, and the paths of the folder, the report and the saved reward."""

    results: xr.DataTree
    folder: Path
    report: Path
    reward: Path


@takes_config(ProbeConfig, "probe(env_id, irl_probe.pipeline.ProbeConfig(learner=config))")
def probe(
    env_id: str, config: ProbeConfig | None = None, *, out: str | Path | None = None, resume: bool = False
) -> Probe:
    """Run the whole chain: learn from demonstrations, recover the reward, compare it with the truth, write a report.

    For "GridWorld" the probe is exact (`probe_grid`); for any other environment it is `probe_environment`. It fills the
    folder with run/ (checkpoints and logs), retrained/, reward/, results.nc and report.html.

    Args:
        env_id: the environment.
        config: the settings; None takes the defaults of `ProbeConfig`. For GridWorld only the seed may be set.
        out: the folder, new or empty; None takes runs/probe/<env_id>.
        resume: continue a probe that was interrupted, at any moment. Its training, and that of the retrained policies,
            continues at the last checkpoint; what comes between and after them starts again. The results are the same
            as without the interruption.

    Raises TypeError for a config of another type; ValueError if the folder is not empty, if there is nothing to resume,
    or for settings that GridWorld does not take; CheckpointError, before anything runs, if the probe to resume was
    begun with other settings (the differences are listed); TrainingInterrupted after Ctrl-C, and after SIGTERM while it
    learns; and as its verbs do.
    """
    check_kind(env_id, str, "The environment of a probe", "Write its id, such as 'CartPole-v1'.")
    given, config = config, config or ProbeConfig()
    folder = Path("runs", "probe", env_id) if out is None else Path(out)
    console, chain = Console(stderr=True), probe_grid if env_id == "GridWorld" else probe_environment
    try:
        with _begun(folder, {"environment": env_id, **config.record()}, resume=resume):
            tree, reward = chain(env_id, config, folder, console)
        return _saved(tree, reward, folder, console)
    except KeyboardInterrupt as error:
        settings = "" if given is None else " with the same config"
        named = "" if given is None else ", config"
        raise TrainingInterrupted(
            f"Interrupted. Continue{settings}: irl_probe.probe({env_id!r}{named}, out={str(folder)!r}, resume=True)"
        ) from error


def _saved(tree: xr.DataTree, reward: RecoveredReward, folder: Path, console: Console) -> Probe:
    """Write the reward, the results and, last of all, the page, which says that the probe is finished."""
    judged = str(tree["correlation"].to_dataset()["reward"].values[0])
    saved = save_reward(reward, folder / "reward", figures=reward_figures(tree, judged), overwrite=True)
    save_results(tree, folder / "results.nc", overwrite=True)
    report = write_report(tree, folder / "report.html", overwrite=True)
    print_report(tree, console)
    console.print(f"\nReward  {saved} (“{judged}”)\nReport  {report.resolve()}", highlight=False)
    return Probe(tree, folder, report, saved)


@contextmanager
def _begun(folder: Path, record: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Write the settings of a new probe, or check those of the one to resume, before the block.

    An error in the block before anything was learned, other than an interruption, takes the settings of a new probe
    back.
    """
    if resume:
        _check_resumable(folder, record)
    elif folder.exists() and (not folder.is_dir() or not _is_empty(folder)):
        raise ValueError(
            f"The output folder {folder} must be new or empty, so that nothing is overwritten. "
            "Remove it, name another one (out=), or continue an interrupted probe (resume=True)."
        )
    fresh = not folder.exists()
    if not (folder / RECORD).exists():  # nor has the folder of a probe that an earlier version began
        text = json.dumps(record, indent=2)
        write_atomically(folder / RECORD, lambda file: file.write(text.encode()))
    try:
        yield
    except Exception:
        if not resume and all(path.name in (LOCK, RECORD) for path in folder.iterdir()):
            (folder / RECORD).unlink()
            if fresh:
                shutil.rmtree(folder)
        raise


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing but a lock and what a killed process left of the settings that it was writing."""
    return all(path.name == LOCK or path.name.startswith(f".{RECORD}-") for path in folder.iterdir())


def _check_resumable(folder: Path, record: dict[str, Any]) -> None:
    """Raise unless the folder holds an unfinished probe of these settings."""
    if (folder / "report.html").exists():
        raise ValueError(
            f"The probe in {folder} is finished, so there is nothing to resume. Its page is {folder / 'report.html'}."
        )
    if not (folder / RECORD).exists():
        if (folder / "run" / DESCRIPTION).exists():  # of an earlier version; its run is compared when it continues
            return
        raise ValueError(
            f"An interrupted probe's folder must hold {RECORD}; {folder} does not. Start another probe in a new folder."
        )
    try:
        before = dict(json.loads((folder / RECORD).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{folder / RECORD} must be a JSON object; {error}. Start again in another folder."
        ) from error
    if found := differences(before, json.loads(json.dumps(record))):
        raise CheckpointError(
            f"The probe in {folder} can only be resumed as it was begun; these differ: {'; '.join(found)}. "
            "Give the same settings, or another folder."
        )
