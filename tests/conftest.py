"""Setup of all tests: beartype checks the shapes of the tensor code; each file gets its markers and its turn."""

import ast
import multiprocessing
import re
import signal
from functools import partial
from importlib import import_module

import pytest
from jaxtyping import _import_hook, install_import_hook


class Outermost(_import_hook.JaxtypingTransformer):
    """Leaves functions inside functions unchecked: each call makes new ones, and the check of a new one takes 2 ms."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        inside, node.body = node.body, []
        super().visit_FunctionDef(node)
        node.body = inside
        return node


_import_hook.JaxtypingTransformer = Outermost
install_import_hook(
    ["irl_probe.learn.objectives", "irl_probe.softq.functions", "irl_probe.softq.networks"],
    "beartype.beartype ",  # with the space, files that were compiled without `Outermost` are not used
)

# A shell that starts the suite in the background lets it ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A process of this server starts in a tenth of a second, one that imports torch itself in three.
multiprocessing.set_forkserver_preload(["irl_probe.learn.training", "irl_probe.rewards.distilled", "pandas"])

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


@pytest.fixture(scope="session")
def _small_work():
    """What `small_comparisons` puts in the place of the defaults, by module and name."""
    coverages, environment = (import_module(f"irl_probe.pipeline.{name}") for name in ("coverages", "environment"))
    sizes = {
        "samples": 256,
        "states": 128,
        "steps": 1024,
        "features": 64,
        "simulated": 4000,
        "horizon": 5,
        "rollouts": 4,
    }
    sizes["resamples"] = 100
    short = partial(coverages.IQConfig, steps=300)
    distances = partial(coverages.DistanceConfig, **sizes)
    return [(coverages, "IQConfig", short), (environment, "IQConfig", short), (coverages, "DistanceConfig", distances)]


@pytest.fixture(scope="module")
def small_comparisons(_small_work):
    """For one file: default coverages have a briefly trained clone, and default distances are on small samples.

    For tests of what is done with a comparison. test_forms and test_comparison make theirs at full size.
    """
    with pytest.MonkeyPatch.context() as patch:
        for place, name, small in _small_work:
            patch.setattr(place, name, small)
        yield
