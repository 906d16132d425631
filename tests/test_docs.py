"""The code of README.md and of the documentation runs, in order; links lead to pages."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from gymnasium.spaces import Box

import irl_probe as ip

README = Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"
COMMANDS = sorted(
    {
        (match[1], option)
        for page in [README, *DOCS.rglob("*.md")]
        for match in re.finditer(r"irl-probe ([a-z][a-z-]+)([^`\n#]*)", page.read_text(encoding="utf-8"))
        for option in re.findall(r"--[a-z][a-z.-]*", match[2])
    }
)
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.fixture
def short(monkeypatch, small_comparisons):
    """The README's own calls, with the budgets of a test."""
    train, retrain = ip.train, ip.retrain
    learner = ip.RetrainConfig(ip.RLConfig(steps=1100))

    def short_train(demos, config, *, env=None):
        brief = {"steps": 200} | ({"warm_start": 50} if env and isinstance(demos.action_space, Box) else {})
        return train(demos, ip.IQConfig.from_dict(vars(config) | brief), env=env)

    monkeypatch.setattr(ip, "train", short_train)
    monkeypatch.setattr(ip, "retrain", lambda reward, _=None, *, env: retrain(reward, learner, env=env))


def test_readme_snippets_run_in_order(short, tmp_path, monkeypatch):
    assert len(SNIPPETS) == 3
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), names)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert names["fresh"].policy(names["demos"].transitions.observations[:3]).shape == (3,)


def python_of(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore::UserWarning:minari")  # of a dataset without an environment
@pytest.mark.parametrize(
    "page", ["quickstart", "tutorials/export", "tutorials/report", "tutorials/retrain", "your_data"]
)
def test_tutorial_runs_in_order(page, short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))  # your_data sets it; here it is restored
    Path("out").mkdir()
    snippets = python_of(DOCS / f"{page}.md")
    assert snippets
    names = {}
    for snippet in snippets:
        exec(compile(snippet, page, "exec"), names)
    if page == "tutorials/report":
        assert names["averaged"].attrs["runs_averaged"] == 3
        assert Path("out/forest.svg").stat().st_size > 1000


def test_options_of_the_documented_commands_are_in_their_help():
    assert len(COMMANDS) > 8
    for command in sorted({command for command, _ in COMMANDS}):
        asked = [sys.executable, "-m", "irl_probe", command, "--help"]
        shown = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        for option in [option for known, option in COMMANDS if known == command]:
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w.-])", shown), (command, option)


def test_the_glossary_defines_the_words_that_have_a_special_meaning_here():
    page = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = [word.lower() for word in re.findall(r"^\*\*([^*]+)\.\*\* \S", page, flags=re.MULTILINE)]
    assert {"coverage", "tail", "kind of reward", "control", "ladder", "occupancy"} <= set(words)
    assert len(words) == len(set(words)) > 40


def test_the_readme_is_short_and_its_picture_small():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 100
    assert (DOCS / "picture.png").stat().st_size < 200_000


def test_the_papers_table_has_every_shipped_reward():
    table = (README.parent / "analyses" / "paper" / "README.md").read_text(encoding="utf-8")
    for reward in ip.zoo.list_zoo():
        assert "| {} | {} |".format(*reward.split("/")) in table, reward


def test_links_lead_to_files_that_exist():
    root = DOCS.parent
    pages = [*DOCS.rglob("*.md"), *root.glob("*.md"), *(root / "analyses").rglob("*.md")]
    assert len(pages) > 20
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_file_names_need_no_quotes():
    kept = [path for room in ("analyses", "docs", "recovered_rewards") for path in (DOCS.parent / room).rglob("*")]
    assert len(kept) > 20
    assert [str(path) for path in kept if not re.fullmatch(r"[\w.+-]+", path.name)] == []


def test_pages_that_are_not_in_the_navigation_come_at_its_end(tmp_path):
    for name in ("index.md", "late.md"):
        (tmp_path / name).touch()
    spec = importlib.util.spec_from_file_location("nav", DOCS / "nav.py")
    nav = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(nav)
    assert nav.on_config({"docs_dir": str(tmp_path), "nav": [{"Home": "index.md"}]})["nav"][1:] == ["late.md"]


def test_documentation_asks_for_no_font_from_elsewhere():
    settings = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in settings
    assert "http" not in settings


def test_a_reward_for_your_own_environment_trains_ppo(short, tmp_path, monkeypatch):
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in python_of(DOCS / "your_own_environment.md"):
        exec(compile(snippet.replace("60_000", "1_024"), "your_own_environment.md", "exec"), names)
    assert names["demos"].whole.returns.mean() > 30  # of the last environment, out of 50
    assert all(
        names["Dock"].action_space.contains(a) for a in names["fresh"].policy(names["demos"].transitions.observations)
    )
    assert names["model"].num_timesteps == 1024
    assert (tmp_path / "puck_reward" / "README.md").exists()
