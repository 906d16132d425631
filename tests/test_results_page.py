"""docs/results.md, docs/glossary.md and the table of README.md equal the output of `make results`."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_results", ROOT / "docs" / "make_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["docs/results.md", "docs/glossary.md", "README.md"])
def test_the_committed_page_equals_the_output_of_the_command(maker, name):
    assert (ROOT / name).read_text(encoding="utf-8") == maker.pages()[ROOT / name], "run `make results`"


def test_the_page_has_every_shipped_reward(maker):
    page, shipped = maker.page(), maker.cards()
    assert len(shipped) >= 11
    for reward in shipped:
        assert f"| {reward} |" in page


def test_every_figure_of_speed_says_when_and_how_it_was_measured(maker):
    lines = [line for line in maker.speed().splitlines() if line.startswith("- ")]
    assert lines
    assert all("*Measured on 20" in line and "python benchmarks/" in line for line in lines)
