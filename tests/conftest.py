"""Setup of all tests: beartype checks the shapes of the tensor code; each file gets its markers and its turn."""

import re

import pytest
from jaxtyping import install_import_hook

install_import_hook(
    ["irl_probe.learn.objectives", "irl_probe.softq.functions", "irl_probe.softq.networks"], "beartype.beartype"
)

SLOW = {  # files with tests of more than about ten seconds; `make quick` leaves them out
    "test_cli",
    "test_distances_hopper",
    "test_docs",
    "test_exactness",
    "test_forms",
    "test_learn",
    "test_pipeline",
    "test_report_browser",
    "test_soft_actor_critic",
}
BROWSER = {"test_report_browser"}
MUJOCO = {"test_distances_hopper", "test_variants"}
ROBOT = re.compile(r"mujoco|hopper|half_?cheetah|ant27|humanoid|walker", re.IGNORECASE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their file, and those of robots by their name or parameters; slow files come first.

    A slow file that came last would keep one worker busy while the other has nothing left to do.
    """
    items.sort(key=lambda item: item.path.stem not in SLOW)
    for item in items:
        stem = item.path.stem
        chosen = {"slow": stem in SLOW, "browser": stem in BROWSER}
        chosen["mujoco"] = stem in MUJOCO or bool(ROBOT.search(item.name))
        for name, wanted in chosen.items():
            if wanted:
                item.add_marker(name)
