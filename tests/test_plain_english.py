"""House rule: plain English. The phrases below are not standard, or are hard for readers from other countries."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPARED = "longer|more|less|better|worse|higher|lower|larger|smaller|different|wider"
BANNED = {
    rf"(?<![Tt]here )\bis no (?!{COMPARED})": "is not a …",
    r"\banew\b": "again, from the start",
    r"\bso-manieth\b": "every k-th",
    r"\bso many(?:th)?\b(?! (?:that|as))": "say the number",
    r"\ba text\b|(?<![.*(])(?<!alternative )\btexts\b(?!\s*[=\[])": "a string, strings",
    r"\bwhat is kept\b": "name the thing",
    r"\bfeign": "say what it does",
    r"\bhides more than\b": "lowers",
    r"\b(?:does|did|do|comes?|came) (?:not )?(?:come )?to what (?:was|is) asked\b": "misses the target",
    r"\b[Ww]ho(?:ever)? (?:reads|wants|read) ": "a reader who …",
    r"\bnobody (?:made|took|visited|has been|visits)\b": "never taken, never visited",
    r"\bof another make\b": "of another type",
    r"\bnot? told apart\b": "not distinguishable",
    r"\bas it stands\b": "unchanged",
    r"\bbring(?:s)? torch\b": "loads torch",
    r"\bis meant by\b": "means",
    r"\bthere(?:of|in|upon|with)\b|\bhere(?:in|of|by)\b|\bwhere(?:of|in|upon)\b": "use short common words",
}
TEXT = {".py", ".md", ".toml", ".yml", ".pyi", ".j2", ".js", ".cff"}
SELF = "tests/test_plain_english.py"


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split("\n") if Path(name).suffix in TEXT and name != SELF]


@pytest.mark.parametrize(
    ("phrase", "bad", "good"),
    [
        ("is no (", "it is no number", "there is no number; it is no longer one; it is not a number"),
        ("anew", "start anew", "start again"),
        ("texts", "a name is a text", "alternative texts of ax.texts; texts[0]; a context"),
        ("stands", "the code as it stands", "it stands at the top"),
        ("so many(", "the first so many episodes", "so many that it helps"),
    ],
)
def test_the_patterns_find_what_they_should_and_nothing_else(phrase, bad, good):
    (pattern,) = [each for each in BANNED if phrase in each]
    assert re.search(pattern, bad)
    assert not re.search(pattern, good)


@pytest.mark.parametrize("phrase", BANNED)
def test_no_text_of_ours_uses(phrase):
    pattern, found = re.compile(phrase), []
    for name in tracked():
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not found, f"write {BANNED[phrase]!r} instead:\n" + "\n".join(found)
