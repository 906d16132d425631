"""The shipped rewards: each loads, equals its entry in the index, and has a card; missing ones are named."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import irl_probe as ip
from irl_probe.rewards import RewardError, check_reward_model, zoo
from irl_probe.softq import DiscreteQ

SHIPPED = zoo.list_zoo()
MOST_BYTES = 10 << 20


def saved(folder, value=0.0):
    q = ip.softq.DiscreteSoftQ(DiscreteQ.from_table(np.full((3, 2), value)), gamma=0.9, temperature=1.0)
    return ip.save_reward(ip.recover(q), folder)


@pytest.fixture
def own_zoo(tmp_path, monkeypatch):
    """A zoo of two rewards."""
    root = tmp_path / "zoo"
    for number, name in enumerate(("CartPole-v1/iq", "Pendulum-v1/iq-online")):
        saved(root / name, float(number))
    zoo.write_index(root)
    monkeypatch.setattr(zoo, "zoo_folder", lambda: root)
    return root


def test_the_shipped_rewards_are_those_of_the_index():
    assert zoo.check_zoo() == SHIPPED
    assert SHIPPED
    root = zoo.zoo_folder()
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < MOST_BYTES


@pytest.mark.parametrize("reward_id", SHIPPED)
def test_a_shipped_reward_keeps_the_protocol_and_has_a_card(reward_id):
    reward = ip.load_reward(reward_id)
    env_id = reward_id.split("/")[0]
    env = ip.envs.make_env(env_id)
    check_reward_model(reward, env, steps=40)
    env.close()
    card = zoo.show_zoo(reward_id)
    for said in (
        env_id,
        f'ip.load_reward("{reward_id}")',
        "## Limits",
        "## Licence",
        "demonstrations_source",
        "made_by",
    ):
        assert said in card


def test_a_reward_is_listed_shown_and_copied(own_zoo, tmp_path):
    assert zoo.list_zoo() == ("CartPole-v1/iq", "Pendulum-v1/iq-online")
    assert "# A recovered reward" in zoo.show_zoo("CartPole-v1/iq")
    copy = zoo.copy_zoo("CartPole-v1/iq", tmp_path / "mine")
    o = np.zeros(1, dtype=int)
    batch = (o, o, o, np.array([False]))
    assert ip.load_reward(copy)(*batch) == ip.load_reward("CartPole-v1/iq")(*batch)
    with pytest.raises(RewardError, match="exists already; choose another folder"):
        zoo.copy_zoo("CartPole-v1/iq", copy)


@pytest.mark.parametrize("call", [zoo.show_zoo, ip.load_reward, lambda name: zoo.copy_zoo(name, "never")])
def test_a_near_miss_is_named(own_zoo, call):
    with pytest.raises(RewardError, match="Did you mean 'CartPole-v1/iq"):
        call("Cartpole-v1/iq")


def test_a_file_that_differs_from_the_index_is_refused(own_zoo, tmp_path):
    card = own_zoo / "CartPole-v1" / "iq" / "README.md"
    card.write_text(card.read_text() + "and it is perfect\n")
    with pytest.raises(RewardError, match=r"README.md must be the file that index.json lists"):
        zoo.check_zoo(own_zoo)
    with pytest.raises(RewardError, match="its SHA-256 or size differs"):
        zoo.copy_zoo("CartPole-v1/iq", tmp_path / "mine")


def test_an_index_that_does_not_match_the_folders_is_refused(own_zoo):
    shutil.rmtree(own_zoo / "CartPole-v1")
    with pytest.raises(RewardError, match=r"missing: CartPole-v1/iq; not listed: none. Write it again"):
        zoo.check_zoo(own_zoo)
    saved(own_zoo / "Other-v0" / "iq")
    with pytest.raises(RewardError, match="not listed: Other-v0/iq"):
        zoo.check_zoo(own_zoo)
    zoo.write_index(own_zoo)
    assert zoo.check_zoo(own_zoo) == ("Other-v0/iq", "Pendulum-v1/iq-online")
    index = own_zoo / "index.json"
    content = json.loads(index.read_text())
    content["schema_version"] = 2
    index.write_text(json.dumps(content))
    with pytest.raises(RewardError, match=r"'schema_version' of index.json must be 1; got 2"):
        zoo.check_zoo(own_zoo)
    index.unlink()
    with pytest.raises(RewardError, match=r"must have the file index.json; .* has none"):
        zoo.check_zoo(own_zoo)


def test_the_same_rewards_give_the_same_index(own_zoo):
    before = (own_zoo / "index.json").read_bytes()
    assert zoo.write_index(own_zoo).read_bytes() == before
