"""How often `check_demos` raises an alarm for demonstrations in their own environment, and in one with other dynamics.

python benchmarks/other_dynamics.py [FOLDER]    FOLDER holds more sets, named by environment; the last line is JSON

The threshold of `irl_probe.demos.sanity` is chosen on one half of the environments: the middle, on a log scale, of the
widest gap between the median errors that are not below the largest one of a set in its own environment. (A change that
acts on few steps, such as friction, does not show in the median, and the check has another rule for it.) The changes
are those of `envs.variants`, with each default factor. The threshold is judged on the other half, beside the check in
use.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import irl_probe as ip
from irl_probe.demos import bundled_demos
from irl_probe.demos.sanity import TOLERANCE, dynamics_fault, step_errors

OURS = {"Ant-v5": "Ant27-v5"}  # the sets of Ant-v5 have its 27 observations of position and velocity


def sets(folder: Path | None) -> Iterator[tuple[str, str, ip.Demonstrations]]:
    """Name, environment and demonstrations of each set."""
    for name in bundled_demos():
        yield name, name, ip.load_demos(name)
    for path in sorted(folder.glob("*.npz")) if folder else ():
        env_id = re.match(r".*?-v\d+", path.stem)[0]
        env_id = OURS.get(env_id, env_id)
        yield path.name, env_id, ip.load_demos(str(path), env_id=env_id)


def rows(name: str, env_id: str, demos: ip.Demonstrations) -> Iterator[dict[str, object]]:
    """For the set's own environment and each changed one: the median error, and whether there was an alarm."""
    for variant in ip.envs.variants(env_id):
        env = variant.make()
        try:
            simulated = ip.envs.simulator(env)
        except ValueError:
            return  # it cannot be asked
        finally:
            env.close()
        if not simulated.deterministic:
            continue
        yield {
            "set": name,
            "env": env_id,
            "variant": variant.name,
            "median": float(np.median(step_errors(demos.transitions, simulated))),
            "alarm": bool(dynamics_fault(demos, variant.make())),
        }


def middle_of_the_gap(found: list[dict[str, object]]) -> float:
    """The middle of the widest gap on a log scale, from the largest median error without a change upwards."""
    highest = max(row["median"] for row in found if row["variant"] == "unchanged")
    medians = np.log(sorted({row["median"] for row in found if row["median"] >= highest}))
    widest = int(np.argmax(np.diff(medians)))
    return float(np.exp(medians[widest : widest + 2].mean()))


def alarms(found: list[dict[str, object]], threshold: float) -> dict[str, str]:
    """False and true alarms by the median error alone, at this threshold, and by the whole check in use."""
    counts = {}
    for kind, part in (
        ("false", [row for row in found if row["variant"] == "unchanged"]),
        ("true", [row for row in found if row["variant"] != "unchanged"]),
    ):
        counts[f"{kind}_alarms"] = f"{sum(row['median'] > threshold for row in part)} of {len(part)}"
        counts[f"{kind}_alarms_in_use"] = f"{sum(row['alarm'] for row in part)} of {len(part)}"
    return counts


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    found = []
    for each in sets(folder):
        for row in rows(*each):
            found.append(row)
            said = "alarm" if row["alarm"] else ""
            print(f"{row['set']:<28} {row['variant']:<20} {row['median']:.2g} {said}", flush=True)
    environments = sorted({str(row["env"]) for row in found})
    chosen, others = ([row for row in found if row["env"] in half] for half in (environments[::2], environments[1::2]))
    threshold = middle_of_the_gap(chosen)
    figures = {
        "sets": len({row["set"] for row in found}),
        "chosen_on": environments[::2],
        "judged_on": environments[1::2],
        "chosen": threshold,
        "in_use": TOLERANCE,
        **alarms(others, threshold),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
