"""docs/design.md agrees with import-linter's layers and the package's folders, and the files that it names exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under a heading of the page."""
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def floors() -> list[tuple[int, set[str]]]:
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", section("Rooms"), flags=re.MULTILINE)
    return [(int(floor), set(re.findall(r"`(\w+)`", rooms))) for floor, rooms in rows]


def layers() -> list[set[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = [each for each in settings["contracts"] if each["type"] == "layers"]
    return [{room.strip().removeprefix("irl_probe.") for room in layer.split("|")} for layer in contract["layers"]]


def test_the_table_of_rooms_has_the_layers_of_import_linter():
    assert [rooms for _, rooms in floors()] == layers()


def test_there_are_eight_floors_from_the_top_down():
    numbers = [floor for floor, _ in floors()]
    assert numbers == sorted(numbers, reverse=True)
    assert set(numbers) == set(range(1, 9))


def test_the_table_has_exactly_the_rooms_of_the_package():
    package = ROOT / "irl_probe"
    modules = {path.stem for path in package.glob("*.py") if path.stem not in ("__init__", "__main__")}
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert set().union(*(rooms for _, rooms in floors())) == modules | folders


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./]+/[\w./]*)`", section("Where to find")))))
def test_files_that_the_page_names_exist(path):
    assert (ROOT / path).exists()


def test_the_page_answers_many_questions():
    assert len(re.findall(r"^\| .+\? \|", section("Where to find"), flags=re.MULTILINE)) > 15
