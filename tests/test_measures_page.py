"""The examples of docs/measures.md give the output that the page shows."""

import doctest
import subprocess
import sys
from pathlib import Path


def test_examples_of_the_measures_page_hold():
    page = Path(__file__).parents[1] / "docs" / "measures.md"
    failed, run = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert run > 15
    assert failed == 0


def test_the_tables_of_known_changes_equal_the_output_of_their_command():
    root = Path(__file__).parents[1]
    command = [sys.executable, "analyses/transformations/study.py", "page"]
    tables = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    assert len(tables.splitlines()) > 40
    assert tables in (root / "docs" / "measures.md").read_text(), "run `python analyses/transformations/study.py table`"
