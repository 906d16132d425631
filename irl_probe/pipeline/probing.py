"""The verb probe: what a reward recovered from demonstrations is worth, in one go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from rich.console import Console

from irl_probe._config import check_kind
from irl_probe.learn import TrainingInterrupted
from irl_probe.learn.loop import CHECKPOINT
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.environment import probe_environment
from irl_probe.pipeline.grid import probe_grid
from irl_probe.report import print_report, write_report
from irl_probe.results import reward_figures, save_results
from irl_probe.rewards import save_reward


@dataclass(frozen=True)
class Probe:
    """What `probe` returns: the results, and where they, the reward and the report are."""

    results: xr.DataTree
    folder: Path
    report: Path
    reward: Path


def probe(
    env_id: str, config: ProbeConfig | None = None, *, out: str | Path | None = None, resume: bool = False
) -> Probe:
    """Demonstrations to Q, Q to a reward, the reward to figures and a report, all in the folder `out`.

    "GridWorld" is probed exactly (`probe_grid`), everything else by `probe_environment`. The folder (default
    runs/probe/<env_id>) receives run/ (checkpoints and logs), reward/, results.nc and report.html.

    Args:
        env_id: the environment.
        config: see `ProbeConfig`; None takes its defaults. The grid reads its seed alone.
        out: the folder.
        resume: go on with an interrupted probe: its run of IQ-Learn is taken up where it stopped, what follows is
            done anew.

    Raises ValueError where the folder exists and is not empty, where there is nothing to resume, and for settings that
    the grid does not read; TrainingInterrupted after SIGINT; and as the verbs do that it calls.
    """
    config = config or ProbeConfig()
    check_kind(config, ProbeConfig, "The config of probe", "Of an IQConfig: ProbeConfig(learner=config).")
    folder = Path("runs", "probe", env_id) if out is None else Path(out)
    if resume:
        _check_resumable(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"The output folder {folder} must be new or empty, so that nothing is overwritten. "
            "Remove it, name another one (--out), or go on with an interrupted probe (--resume)."
        )
    console, chain = Console(stderr=True), probe_grid if env_id == "GridWorld" else probe_environment
    try:
        tree, reward = chain(env_id, config, folder, console, resume=resume)
    except TrainingInterrupted as error:
        raise TrainingInterrupted(
            f"Interrupted. Go on with the same command and --resume, or probe(..., out={str(folder)!r}, resume=True)."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    judged = str(tree["correlation"].to_dataset()["reward"].values[0])
    saved = save_reward(reward, folder / "reward", figures=reward_figures(tree, judged))
    save_results(tree, folder / "results.nc")
    report = folder / "report.html"
    write_report(tree, report)
    print_report(tree, console)
    console.print(f"\nReward  {saved} (“{judged}”)\nReport  {report.resolve()}", highlight=False)
    return Probe(tree, folder, report, saved)


def _check_resumable(folder: Path) -> None:
    if (folder / "results.nc").exists():
        raise ValueError(
            f"The probe in {folder} is finished; there is nothing to resume. Its page is report.html there."
        )
    if not (folder / "run" / CHECKPOINT).exists():
        raise ValueError(
            f"An interrupted probe's folder must hold run/{CHECKPOINT}; {folder} does not. "
            "Begin anew in another folder."
        )
