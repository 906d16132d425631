"""The README's Python runs as it stands, in order."""

import re
from pathlib import Path

import pytest

import irl_probe as ip

README = Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


@pytest.fixture
def short(monkeypatch):
    """The README's own calls, with the budgets of a test."""
    train, retrain = ip.train, ip.retrain
    learner = ip.IQConfig(objective="bellman", steps=1100)

    def short_train(demos, config, env=None, **rest):
        return train(demos, ip.IQConfig.from_dict({**vars(config), "steps": 200}), env, **rest)

    monkeypatch.setattr(ip, "train", short_train)
    monkeypatch.setattr(ip, "retrain", lambda reward, env: retrain(reward, env, ip.RetrainConfig(learner)))


def test_readme_snippets_run_in_order(short, tmp_path, monkeypatch):
    assert len(SNIPPETS) == 3
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in SNIPPETS:
        exec(compile(snippet, "README.md", "exec"), names)
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert names["policy"](names["demos"].transitions.observations[:3]).shape == (3,)
