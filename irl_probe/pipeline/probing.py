"""The verb probe: learn, recover, compare and report in one call."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from rich.console import Console

from irl_probe._config import check_kind, takes_config
from irl_probe.learn import TrainingInterrupted
from irl_probe.learn.resume import DESCRIPTION
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.environment import probe_environment
from irl_probe.pipeline.grid import probe_grid
from irl_probe.report import print_report, write_report
from irl_probe.results import reward_figures, save_results
from irl_probe.rewards import save_reward


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
    folder with run/ (checkpoints and logs), reward/, results.nc and report.html.

    Args:
        env_id: the environment.
        config: the settings; None takes the defaults of `ProbeConfig`. For GridWorld only the seed may be set.
        out: the folder, new or empty; None takes runs/probe/<env_id>.
        resume: continue an interrupted probe. Its training, and that of the retrained policies, continues at the last
            checkpoint; what comes between and after them starts again.

    Raises TypeError for a config of another type; ValueError if the folder is not empty, if there is nothing to resume,
    or for settings that GridWorld does not take; TrainingInterrupted after Ctrl-C or SIGTERM; and as its verbs do.
    """
    check_kind(env_id, str, "The environment of a probe", "Write its id, such as 'CartPole-v1'.")
    config = config or ProbeConfig()
    folder = Path("runs", "probe", env_id) if out is None else Path(out)
    if resume:
        _check_resumable(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"The output folder {folder} must be new or empty, so that nothing is overwritten. "
            "Remove it, name another one (--out), or continue an interrupted probe (--resume)."
        )
    console, chain = Console(stderr=True), probe_grid if env_id == "GridWorld" else probe_environment
    try:
        tree, reward = chain(env_id, config, folder, console, resume=resume)
    except KeyboardInterrupt as error:
        raise TrainingInterrupted(
            "Interrupted. Continue with the same command and --resume, or "
            f"probe(..., out={str(folder)!r}, resume=True)."
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
            f"The probe in {folder} is finished, so there is nothing to resume. Its page is {folder / 'report.html'}."
        )
    if not (folder / "run" / DESCRIPTION).exists():
        raise ValueError(
            f"An interrupted probe's folder must hold run/{DESCRIPTION}; {folder} does not. "
            "Start another probe in a new folder."
        )
