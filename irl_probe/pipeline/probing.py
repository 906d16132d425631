"""The verb probe: what a reward recovered from demonstrations is worth, in one go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import xarray as xr
from rich.console import Console

from irl_probe.configs import check_kind
from irl_probe.pipeline.config import ProbeConfig
from irl_probe.pipeline.environment import probe_environment
from irl_probe.pipeline.grid import probe_grid
from irl_probe.report import print_report, write_report
from irl_probe.results import reward_figures, save_results
from irl_probe.rewards import save_reward
from irl_probe.verdict_rules import verdicts


@dataclass(frozen=True)
class Probe:
    """What `probe` returns: the results, and where they, the reward and the report are."""

    results: xr.DataTree
    folder: Path
    report: Path
    reward: Path


def probe(env_id: str, config: ProbeConfig | None = None, *, out: str | Path | None = None) -> Probe:
    """Demonstrations to Q, Q to a reward, the reward to figures and a report, all in the folder `out`.

    "GridWorld" is probed exactly (`probe_grid`), everything else by `probe_environment`. The folder (default
    runs/probe/<env_id>) receives run/ (checkpoints and logs), reward/, results.nc and report.html.

    Raises ValueError where the folder exists and is not empty, and as the verbs do that it calls.
    """
    config = config or ProbeConfig()
    check_kind(config, ProbeConfig, "The config of probe", "Of an IQConfig: ProbeConfig(learner=config).")
    folder = Path("runs", "probe", env_id) if out is None else Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"The output folder {folder} must be new or empty, so that nothing is overwritten. "
            "Remove it, or name another one (--out)."
        )
    console = Console(stderr=True)
    tree, reward = (probe_grid if env_id == "GridWorld" else probe_environment)(env_id, config, folder, console)
    warnings = verdicts(tree)
    tree.attrs["warnings"] = json.dumps(warnings)
    folder.mkdir(parents=True, exist_ok=True)
    judged = str(tree["correlation"].to_dataset()["reward"].values[0])
    saved = save_reward(reward, folder / "reward", figures=reward_figures(tree, judged))
    save_results(tree, folder / "results.nc")
    report = folder / "report.html"
    write_report(tree, report)
    print_report(tree, console)
    console.print(f"\nReward  {saved} (“{judged}”)\nReport  {report.resolve()}", highlight=False)
    return Probe(tree, folder, report, saved)
