"""The examples of docs/measures.md give the output that the page shows."""

import doctest
from pathlib import Path


def test_examples_of_the_measures_page_hold():
    page = Path(__file__).parents[1] / "docs" / "measures.md"
    failed, run = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert run > 15
    assert failed == 0
