"""Rewards on the Hugging Face Hub, against a server of its API on this machine, and the metadata of their cards."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import hub_server
import numpy as np
import pytest
import yaml

import irl_probe as ip
from irl_probe.rewards import zoo

pytest.importorskip("huggingface_hub")

# huggingface_hub reads HF_ENDPOINT when it is imported, so each test runs a process of its own.
BEGIN = "import numpy as np, irl_probe as ip\n"


@pytest.fixture
def hub():
    with hub_server.running() as server:
        yield server


@pytest.fixture
def python(hub, tmp_path, monkeypatch):
    """Run code with this hub; returns what it printed. The cache is empty at first."""
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "cache"), "HF_TOKEN": "hf_secret"}
    settings |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}  # so that it takes Git LFS
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def run(code, **more):
        for name, value in more.items():
            monkeypatch.setenv(name, value)
        done = subprocess.run(
            [sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=120, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


PUSH = """
reward = ip.load_reward('CartPole-v1/iq')
print(ip.push_reward(reward, 'ada/cartpole', private=True))
twin = ip.load_reward('hf://ada/cartpole')
batch = np.ones((3, 4), np.float32), np.array([0, 1, 1]), np.ones((3, 4), np.float32), np.zeros(3, bool)
assert np.array_equal(reward(*batch), twin(*batch))
assert reward.reward_id == twin.reward_id and twin.figures == reward.figures
ip.push_reward('first', 'ada/two')
ip.push_reward('CartPole-v1/iq-offline', 'ada/two')
ip.push_reward('CartPole-v1/iq', 'ada/bad')
"""
REVISIONS = """
a, b, c = (ip.load_reward('hf://ada/two' + r).reward_id for r in ('@{first}', '@{second}', ''))
assert a == ip.load_reward('CartPole-v1/iq').reward_id
assert b == c == ip.load_reward('CartPole-v1/iq-offline').reward_id
"""
REFUSED = {
    "ip.load_reward('hf://ada/nothing')": "hf://ada/nothing could not be fetched from the Hugging Face Hub",
    "ip.load_reward('hf://ada/bad')": "does not have the hash",
    "ip.load_reward('hf://ada')": "is 'hf://user/name', or 'hf://user/name@revision'; got 'hf://ada'",
    "ip.push_reward('CartPole-v1/iq', 'cartpole')": "got 'hf://cartpole'",
    "ip.push_reward('CartPole-v1/iq', 'ada/x@main')": "Leave '@' out",
    "ip.push_reward('CartPole-v1/iqq', 'ada/x')": "got 'CartPole-v1/iqq', which is neither",
    "ip.push_reward(lambda *_: 0, 'ada/x')": "Distil a plain function first",
    "os.environ.pop('HF_TOKEN'); ip.push_reward('CartPole-v1/iq', 'ada/x')": "could not be pushed to ada/x",
}
TRY = "try:\n    {}\nexcept ip.RewardError as error:\n    print(' '.join(str(error).split()))\n"


def all_trees(hub):
    return [tree for commits in hub.repositories.values() for tree in commits if tree]


def test_rewards_are_pushed_and_loaded_or_refused(python, hub, tmp_path):
    """One test, because each process takes seconds to import torch."""
    ip.save_reward(ip.load_reward("CartPole-v1/iq"), tmp_path / "first")
    said = python(PUSH)
    assert said.startswith(f"{hub.endpoint}/ada/cartpole/commit/")
    assert hub.private == {"ada/cartpole": True, "ada/two": False, "ada/bad": False}
    assert hub.tokens == {"Bearer hf_secret"}
    (_, tree) = hub.repositories["ada/cartpole"]
    assert sorted(tree) == ["README.md", "reward.json", "reward.safetensors"]
    assert b'reward = ip.load_reward("hf://ada/cartpole")' in tree["README.md"]
    assert not hub.leaked
    assert hub.large == {(name, "reward.safetensors") for name in hub.repositories}
    assert sorted(hub.put.values()) == [1, 1]  # weights that are there already are not sent again
    assert set(hub.put) == hub.verified == {hashlib.sha256(t["reward.safetensors"]).hexdigest() for t in all_trees(hub)}
    damaged = hub.repositories["ada/bad"][-1]
    damaged["reward.safetensors"] = damaged["reward.safetensors"][:-1] + b"x"
    revisions = REVISIONS.format(first=hub_server.sha_of("ada/two", 1), second=hub_server.sha_of("ada/two", 2))
    lines = python("import os\n" + revisions + "".join(map(TRY.format, REFUSED))).splitlines()
    for line, (call, message) in zip(lines, REFUSED.items(), strict=True):
        assert message in line, call
    hub.repositories.clear()
    python(revisions, HF_HUB_OFFLINE="1")  # the cache serves without a network


def metadata(text):
    _, front, _ = text.split("---\n", 2)
    return yaml.safe_load(front)


def test_the_card_has_the_hubs_metadata(tmp_path):
    reward = ip.load_reward("Pendulum-v1/sqil")
    found = metadata((ip.save_reward(reward, tmp_path / "a") / "README.md").read_text(encoding="utf-8"))
    assert found == {
        "library_name": "irl_probe",
        "pipeline_tag": "reinforcement-learning",
        "license": "mit",
        "tags": [
            "irl_probe",
            "inverse-reinforcement-learning",
            "reward-model",
            "reinforcement-learning",
            "per-transition",
            "sqil",
            "Pendulum-v1",
        ],
    }


def test_another_licence_and_strange_names_are_still_yaml(tmp_path):
    from dataclasses import replace

    reward = ip.load_reward("Pendulum-v1/sqil")
    provenance = {**reward.provenance, "licence": 'CC BY: "see" # file', "env_id": "a: [b"}
    folder = ip.save_reward(replace(reward, provenance=provenance), tmp_path / "a")
    found = metadata((folder / "README.md").read_text(encoding="utf-8"))
    assert (found["license"], found["license_name"]) == ("other", 'CC BY: "see" # file')
    assert "a: [b" in found["tags"]


def test_shipped_cards_are_those_of_the_code():
    from irl_probe.rewards.card import card
    from irl_probe.rewards.strict_json import parse

    for name in zoo.list_zoo():
        folder = Path(zoo.zoo_folder(), name)
        described = parse((folder / "reward.json").read_bytes(), "reward.json")
        assert zoo.show_zoo(name) == card(described, ip.load_reward(name).formula()), name


def test_rewards_load_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert np.isfinite(ip.load_reward("CartPole-v1/iq").gamma)
    with pytest.raises(ImportError, match=r"pip install 'irl_probe\[hub\]'"):
        ip.load_reward("hf://ada/x")
