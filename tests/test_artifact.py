"""Saved rewards: loaded bit for bit, the same bytes each time, replaced whole, and RewardError for damaged ones."""

from __future__ import annotations

import json
import struct
import threading
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import safetensors.torch
import torch
from gymnasium import spaces

import irl_probe as ip
from irl_probe._spaces import space_from_json, space_to_json
from irl_probe.rewards import (
    DistilledReward,
    ExactExpectation,
    RecoveredReward,
    RewardError,
    RewardNetwork,
    SimulatedExpectation,
    artifact,
    list_zoo,
    load_reward,
    recover,
    save_reward,
    schema,
    zoo,
)
from irl_probe.softq import ContinuousQ, ContinuousSoftQ, DiscreteQ, DiscreteSoftQ, GaussianPolicy, NetworkSpec
from tests.fuzzing import FILES, batch, fuzz_artifact, tampered
from tests.mdps import random_mdp

PROVENANCE = {"algorithm": "iq", "env_id": "CartPole-v1", "demonstrations_sha256": "ab" * 32, "seed": 3, "lr": 1e-3}


def table_reward(seed=0, **kwargs):
    mdp = random_mdp(seed)
    q = np.random.default_rng(seed).normal(size=(6, 3))
    soft_q = DiscreteSoftQ(DiscreteQ.from_table(q), gamma=mdp.gamma, temperature=0.3)
    return recover(soft_q, expectation=ExactExpectation(mdp.transition), **kwargs)


def network_reward(seed=0, env_id="CartPole-v1", **kwargs):
    torch.manual_seed(seed)
    env = gym.make(env_id)
    spaces_ = {"observation_space": env.observation_space, "action_space": env.action_space}
    if isinstance(env.action_space, spaces.Discrete):
        spec = NetworkSpec.of(**spaces_, hidden=(8,))
        return recover(DiscreteSoftQ(DiscreteQ(spec), gamma=0.99, temperature=0.1), **spaces_, **kwargs)
    spec = NetworkSpec.of(**spaces_, hidden=(8, 5), activation="tanh", layer_norm=True, critics=2)
    critic, actor = ContinuousQ(spec), GaussianPolicy(spec)
    critic.encoder.fit(np.random.default_rng(seed).normal(size=(50, *spec.observation_shape)))
    soft_q = ContinuousSoftQ(critic, actor, gamma=0.95, temperature=0.1, reduce="mean", samples=5, seed=7)
    return recover(soft_q, **spaces_, **kwargs)


def rewards():
    return {
        "table, exact": table_reward(),
        "network": network_reward(terminal=-12.5),
        "continuous": network_reward(env_id="Pendulum-v1"),
        "simulated": network_reward(env_id="Pendulum-v1", expectation=SimulatedExpectation.of("Pendulum-v1")),
    }


def distilled_reward(env_id="CartPole-v1", form="transition", hidden=(6,)):
    """g and h with random weights."""
    torch.manual_seed(0)
    if env_id == "table":
        observation_space, action_space, hidden = spaces.Discrete(6), spaces.Discrete(3), ()
    else:
        env = gym.make(env_id)
        observation_space, action_space = env.observation_space, env.action_space
    spec = NetworkSpec.of(observation_space, action_space, hidden=hidden)
    g, h = RewardNetwork(spec, form), RewardNetwork(spec, "state")
    with torch.no_grad():
        for parameter in (*g.parameters(), *h.parameters()):
            parameter.normal_()
    return DistilledReward(g, h, 0.9, None if env_id == "table" else 0.1, observation_space, action_space, -3.0)


def artifacts():
    """Every kind of reward that can be saved."""
    return {
        **rewards(),
        "distilled": distilled_reward(),
        "distilled table": distilled_reward("table"),
        "distilled, continuous": distilled_reward("Pendulum-v1", "state-action"),
    }


@pytest.mark.parametrize("name", list(rewards()))
def test_a_reward_comes_back_bit_for_bit(name, tmp_path):
    reward = rewards()[name]
    loaded = load_reward(save_reward(reward, tmp_path / "a", figures={"retrain": {"return": 0.97, "why": None}}))
    assert np.array_equal(loaded(*batch(reward)), reward(*batch(reward)))
    o = batch(reward)[0]
    assert np.array_equal(loaded.soft_q.policy(o), reward.soft_q.policy(o))
    for attribute in (
        "gamma",
        "temperature",
        "terminal",
        "terminal_value",
        "kind",
        "observation_space",
        "action_space",
    ):
        assert getattr(loaded, attribute) == getattr(reward, attribute)
    assert loaded.expectation.name == reward.expectation.name
    assert loaded.figures == {"retrain": {"return": 0.97, "why": None}}


@pytest.mark.parametrize("name", list(artifacts()))
def test_the_same_reward_has_the_same_bytes(name, tmp_path):
    first = save_reward(artifacts()[name], tmp_path / "here" / "a", figures={"b": np.float32(1.5), "a": [1, 2]})
    again = save_reward(artifacts()[name], tmp_path / "b", figures={"a": (1, 2), "b": 1.5})
    reloaded = save_reward(load_reward(first), tmp_path / "c")
    for file in FILES:
        assert (first / file).read_bytes() == (again / file).read_bytes() == (reloaded / file).read_bytes()


def test_other_weights_figures_or_terminal_values_give_another_id(tmp_path):
    made = [network_reward(), network_reward(1), network_reward(terminal=1.0)]
    paths = [save_reward(reward, tmp_path / str(i)) for i, reward in enumerate(made)]
    paths.append(save_reward(made[0], tmp_path / "figures", figures={"x": 1}))
    assert len({json.loads((path / "reward.json").read_text())["id"] for path in paths}) == 4


def test_the_card_describes_the_reward_and_its_origin(tmp_path):
    reward = network_reward(terminal=-12.5)
    reward = RecoveredReward(reward.soft_q, reward.observation_space, reward.action_space, -12.5, provenance=PROVENANCE)
    card = (save_reward(reward, tmp_path / "a", figures={"expert": {"pearson": 0.5}}) / "README.md").read_text()
    for said in (
        "CartPole-v1",
        "r(s, a, s′) = Q(s, a) − γ·V(s′)",
        'convention "absorbing", V = -12.5',
        "| demonstrations_sha256 | " + "ab" * 32,
        "### Expert",
        "| pearson | 0.5 |",
        "## Limits",
        "ip.load_reward(",
        "## Licence",
    ):
        assert said in card


def test_spaces_of_every_kind_come_back_from_json(tmp_path):
    for space in (
        spaces.Box(0, 255, (4, 4, 3), np.uint8),
        spaces.Box(-np.inf, np.inf, (3,), np.float32),
        spaces.Box(np.array([-1.5, -np.inf]), np.array([0.1, np.inf]), dtype=np.float64),
        spaces.Discrete(7, start=2),
        spaces.Box(0, 1, (2,), np.bool_),
        spaces.Box(0, 1, (0,), np.float32),
        spaces.Box(0, 1, (), np.float32),
        spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [-2, 0]]),
        spaces.MultiBinary(3),
        spaces.MultiBinary((2, 2)),
        spaces.Dict(
            {"b": spaces.Discrete(3, start=1), "a": spaces.Tuple((spaces.Box(0, 1, (2,)), spaces.MultiBinary(2)))}
        ),
    ):
        assert space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False))) == space


def test_bounds_that_older_files_wrote_as_numbers_are_read():
    """Demonstrations saved by irl_probe 0.1 have Infinity, not "inf", and whole numbers for integers."""
    box = {"type": "Box", "shape": [2], "dtype": "float32", "low": float("-inf"), "high": [float("inf"), 1.0]}
    assert space_from_json(box) == spaces.Box(np.float32([-np.inf, -np.inf]), np.float32([np.inf, 1.0]))
    image = {"type": "Box", "shape": [1], "dtype": "uint8", "low": 0, "high": 255}
    assert space_from_json(image) == spaces.Box(0, 255, (1,), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "Graph"}, "must be 'Box' or 'Discrete' or .*; got 'Graph'"),
        ({"shap": [2]}, "unexpected field 'shap'. Did you mean 'shape'"),
        ({"shape": [1 << 40]}, "from 0 to 4194304; got 1099511627776"),
        ({"shape": [1 << 20] * 4}, "must have at most 4194304 dimensions"),
        ({"shape": [1] * 9}, "must be a list of at most 8 sizes"),
        ({"low": [0.0]}, "a flat list of one for each of the 2 dimensions"),
        ({"low": True}, "must be one number"),
        ({"high": 10**400}, "must be within its range"),
    ],
)
def test_an_impossible_space_is_refused_before_it_is_made(change, message):
    box = {"type": "Box", "shape": [2], "dtype": "float32", "low": -1.0, "high": 1.0}
    with pytest.raises(ValueError, match=message):
        space_from_json(box | change)


@pytest.mark.parametrize("dtype", [np.dtype(code) for code in "bBhHiIlLefd"], ids=str)
def test_boxes_of_every_numeric_type_come_back_to_their_last_number(dtype):
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    low, high = np.array([limits.min, 0], dtype), np.array([limits.max, limits.max], dtype)
    for space in (spaces.Box(low, high, dtype=dtype.type), spaces.Box(0, 9, (2, 2), dtype.type)):
        written = json.loads(json.dumps(space_to_json(space), allow_nan=False))
        assert space_from_json(written) == space
    for past in () if dtype == np.float64 else (1e300, -1e300):
        with pytest.raises(ValueError, match=rf"'high' of a Box of {dtype} must be within its range"):
            space_from_json(written | {"high": past})
    if dtype.kind != "f":
        with pytest.raises(ValueError, match="must be exact in its type"):
            space_from_json(written | {"high": 1.5})


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64, np.float16])
def test_a_reward_of_such_observations_is_saved(dtype, tmp_path):
    space = spaces.Box(0, 9, (4,), dtype)
    reward = network_reward()
    reward = RecoveredReward(reward.soft_q, space, reward.action_space, 0.0)
    assert load_reward(save_reward(reward, tmp_path / "a")).observation_space == space


# --- Writing


def test_an_existing_folder_is_kept_unless_asked(tmp_path):
    first, second = network_reward(0), network_reward(1)
    folder = save_reward(first, tmp_path / "a")
    with pytest.raises(RewardError, match=r"exists already; choose another folder, or .*overwrite=True"):
        save_reward(second, folder)
    assert np.array_equal(load_reward(folder)(*batch(first)), first(*batch(first)))
    save_reward(second, folder, overwrite=True)
    assert np.array_equal(load_reward(folder)(*batch(first)), second(*batch(first)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_folder_with_other_things_is_never_replaced(tmp_path):
    folder = save_reward(network_reward(), tmp_path / "a")
    (folder / "thesis.tex").write_text("all my work")
    with pytest.raises(RewardError, match=r"holds more than a reward \(thesis.tex\), so it was not overwritten"):
        save_reward(network_reward(), folder, overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RewardError, match="is not a reward folder, so it was not overwritten"):
        save_reward(network_reward(), tmp_path / "file", overwrite=True)


def test_a_reward_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    broken = network_reward()
    with torch.no_grad():
        next(broken.soft_q.network.parameters()).fill_(float("nan"))
    unlike = network_reward()
    unlike.soft_q.network.encoder.double()

    class OwnExpectation:
        name, kind = "own", "marginal"

    good = network_reward()
    own = RecoveredReward(good.soft_q, good.observation_space, good.action_space, expectation=OwnExpectation())
    for reward, figures, message in (
        (broken, {}, "must be finite; the tensor 'q.layers.0.weight' is not"),
        (unlike, {}, "All weights must be of one type"),
        (own, {}, "OwnExpectation, which loading could not build again"),
        (good, {"a": float("nan")}, "figures.a must be a finite number; got nan. Use None"),
        (good, {"a": {1: 2}}, "Names in figures.a must be strings; got 1"),
        (good, {"a": object()}, "figures.a must be a number, string, list or mapping; got object"),
    ):
        with pytest.raises(RewardError, match=message):
            save_reward(reward, tmp_path / "a", figures=figures)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_never_sees_half_a_reward(tmp_path):
    made = [network_reward(0), network_reward(1)]
    answers = [reward(*batch(reward)) for reward in made]
    folder = save_reward(made[0], tmp_path / "a")
    stop = threading.Event()

    def write():
        turn = 0
        while not stop.is_set():
            turn += 1
            save_reward(made[turn % 2], folder, overwrite=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        loaded = [load_reward(folder)(*batch(made[0])) for _ in range(60)]
    finally:
        stop.set()
        writer.join()
    assert all(any(np.array_equal(found, answer) for answer in answers) for found in loaded)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_folder_that_was_replaced_and_put_back_is_read_again(tmp_path, monkeypatch):
    rewards = [network_reward(0), network_reward(1)]
    old, new = (save_reward(reward, tmp_path / str(i)) for i, reward in enumerate(rewards))
    read, folders = artifact._read_file, iter([old, new, old])  # its JSON, another's weights, its JSON
    monkeypatch.setattr(artifact, "_read_file", lambda _, *rest: read(next(folders, old), *rest))
    found = load_reward(old)(*batch(rewards[0]))
    np.testing.assert_array_equal(found, rewards[0](*batch(rewards[0])))


# --- Reading damaged and malicious files


def put(path, value):
    """A change that sets one nested field."""
    *parents, last = path.split(".")

    def change(described):
        for part in parents:
            described = described[part]
        described[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("schema_version", 3), "schema version 2; got 3. Another version of irl_probe wrote it: upgrade"),
        (
            put("schema_version", 1),
            r"version 2; got 1. It was saved by an earlier version of irl_probe: load it with that one, or make the "
            r"reward again with this one \(train, then recover or distil, then save_reward\)",
        ),
        (put("schema", "other"), "'schema' of reward.json must be 'irl_probe.reward'; got 'other'"),
        (lambda d: d["reward"].pop("terminal"), "reward.json.reward must have the field 'terminal'; it is missing"),
        (lambda d: d.update(figure={}), r"unexpected field 'figure'. Did you mean 'figures'\?"),
        (
            lambda d: d["reward"]["soft_q"]["networks"]["q"].update(layer_norms=True),
            r"reward.json.reward.soft_q.networks.q has the unexpected field 'layer_norms'. Did you mean 'layer_norm'\?",
        ),
        (
            put("reward.kind", "other"),
            "'kind' of reward.json.reward must be 'per-transition', 'marginal' or 'distilled'; got 'other'",
        ),
        (lambda d: d["reward"].pop("kind"), "reward.json.reward must have the field 'kind'; it is missing"),
        (put("reward", []), "'reward' of reward.json must be an object; got \\[\\]"),
        (put("reward.soft_q.temperature", 10**400), "must be a finite number"),
        (
            put("reward.soft_q.gamma", "0.99"),
            "'gamma' of reward.json.reward.soft_q must be a finite number; got '0.99'",
        ),
        (put("reward.soft_q.gamma", True), "'gamma' of reward.json.reward.soft_q must be a finite number; got True"),
        (put("reward.soft_q.gamma", 1.5), "'gamma' of reward.json.reward.soft_q must be from 0 to 1; got 1.5"),
        (put("reward.soft_q.gamma", -0.5), "'gamma' of reward.json.reward.soft_q must be from 0 to 1; got -0.5"),
        (
            put("reward.soft_q.temperature", 0.0),
            "'temperature' of reward.json.reward.soft_q must be greater than 0(.0)?; got 0.0",
        ),
        (put("reward.soft_q.dtype", "float16"), "must be 'float32' or 'float64'; got 'float16'"),
        (
            put("reward.soft_q.networks.q.hidden", [8, 8]),
            "missing: q.layers.4.bias, q.layers.4.weight; unexpected: none",
        ),
        (
            put("reward.soft_q.networks.q.hidden", [9]),
            r"'q.layers.0.weight' must be F32 of shape \(9, 4\); got F32 of \(8, 4\)",
        ),
        (
            put("reward.soft_q.networks.q.hidden", [10**12]),
            "'hidden' of reward.json.reward.soft_q.networks.q must be whole, from 1 to 4194304; got 1000000000000",
        ),
        (put("reward.soft_q.networks.q.hidden", [8] * 1000), "must be a list of at most 64"),
        (put("reward.soft_q.networks.q.hidden", 8), "must be a list of at most 64; got 8"),
        (put("reward.soft_q.networks.q.critics", "2"), "soft_q.networks.q must be whole, from 1 to 64; got '2'"),
        (
            put("reward.soft_q.networks.q.action_count", None),
            r"reward.json.reward.soft_q.networks.q: Actions are either discrete \(action_count\) or bounded",
        ),
        (put("reward.soft_q.networks.q.activation", "gelu"), "must be 'relu', 'tanh' or 'elu'; got 'gelu'"),
        (put("reward.soft_q.networks.q.layer_norm", 1), "must be true or false; got 1"),
        (
            put("reward.soft_q.networks.q.action_count", 3),
            r"takes actions of Discrete\(3\), and the action space is Discrete\(2\)",
        ),
        (put("reward.soft_q.networks.q.action_low", [-1.0]), "one low < high for every dimension"),
        (
            put("reward.terminal.convention", "zero"),
            "'convention' of reward.json.reward.terminal must be 'absorbing'; got 'zero'",
        ),
        (put("reward.kind", "marginal"), "'kind' of reward.json.reward must be 'per-transition'; got 'marginal'"),
        (
            put("reward.expectation", {"name": "simulator", "env_id": "os:system", "samples": 1}),
            "registered environment; got 'os:",
        ),
        (put("weights.file", "../../other.safetensors"), "got '../../other.safetensors'. A path that leads elsewhere"),
        (put("weights.file", "/etc/passwd"), "got '/etc/passwd'. A path that leads elsewhere"),
        (put("weights.bytes", 7), "must have 7 bytes; got"),
        (put("weights.sha256", "0" * 64), "does not have the hash"),
        (put("reward.observation_space.shape", [2, 2]), "takes observations of Box|a flat list of one for each"),
        (put("reward.observation_space.dtype", "object"), "must be 'float32' or"),
        (put("reward.observation_space.low", "low"), "'low' of a Box must be one number"),
        (put("reward.observation_space.low", 1e300), "'low' of a Box of float32 must be within its range"),
        (put("reward.observation_space.low", "inf"), "low ≤ high"),
        (
            put("reward.provenance", {"a": None}),
            "'a' of reward.json.reward.provenance must be true or false or a whole number or a finite number or a "
            "string; got None",
        ),
        (put("figures", []), "'figures' of reward.json must be an object; got"),
    ],
)
def test_a_wrong_field_is_named(change, message, tmp_path):
    folder = save_reward(network_reward(terminal=-12.5), tmp_path / "a")
    with pytest.raises(RewardError, match=message):
        load_reward(tampered(folder, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("reward.form", "states"), "must be 'state', 'state-action' or 'transition'; got 'states'"),
        (put("reward.form", "state"), r"'g.layers.0.weight' must be F32 of shape \(6, 4\); got F32 of \(6, 11\)"),
        (put("reward.shaping", False), "unexpected field 'h'"),
        (put("reward.shaping", "yes"), "must be true or false; got 'yes'"),
        (put("reward.gamma", 1.5), "'gamma' of reward.json.reward must be from 0 to 1; got 1.5"),
        (put("reward.temperature", 0), "'temperature' of reward.json.reward must be greater than 0(.0)?; got 0"),
        (put("reward.dtype", "int8"), "must be 'float32' or 'float64'; got 'int8'"),
        (put("reward.networks.g.action_count", 3), r"takes actions of Discrete\(3\), and the action space"),
        (put("reward.kind", "marginal"), "must have the field 'expectation'; it is missing"),
        (lambda d: d["reward"].pop("gamma"), "must have the field 'gamma'; it is missing"),
    ],
)
def test_a_wrong_field_of_a_distilled_reward_is_named(change, message, tmp_path):
    folder = save_reward(distilled_reward(), tmp_path / "a")
    with pytest.raises(RewardError, match=message):
        load_reward(tampered(folder, change))


def test_a_table_too_large_to_exist_is_refused(tmp_path):
    folder = save_reward(distilled_reward("table"), tmp_path / "a")

    def change(described):
        reward = described["reward"]
        for network in reward["networks"].values():
            network |= {"observation_count": 1 << 22, "action_count": 1 << 22}
        reward["observation_space"]["n"] = reward["action_space"]["n"] = 1 << 22

    with pytest.raises(RewardError, match="A table must have at most"):
        load_reward(tampered(folder, change))


def test_an_unknown_simulator_is_named(tmp_path):
    folder = save_reward(rewards()["simulated"], tmp_path / "a")
    with pytest.raises(
        RewardError, match=r"simulator of Pendulum-v9, which cannot be built: .*Did you mean 'Pendulum-v1'"
    ):
        load_reward(tampered(folder, put("reward.expectation.env_id", "Pendulum-v9")))


def test_a_simulator_of_another_environment_is_refused(tmp_path):
    folder = save_reward(rewards()["simulated"], tmp_path / "a")
    with pytest.raises(RewardError, match=r"simulator of CartPole-v1 takes .* the reward is for Box"):
        load_reward(tampered(folder, put("reward.expectation.env_id", "CartPole-v1")))


def test_an_exact_expectation_must_be_a_distribution(tmp_path):
    folder = save_reward(table_reward(), tmp_path / "a")
    tensors = safetensors.torch.load((folder / "reward.safetensors").read_bytes())
    tensors["expectation.transition"] *= 2
    with pytest.raises(RewardError, match="'transition' must be a distribution"):
        load_reward(tampered(folder, lambda d: None, weights=safetensors.torch.save(tensors)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("q.layers.0.bias"), "missing: q.layers.0.bias; unexpected: none"),
        (lambda t: t.update({"../x": torch.zeros(1)}), r"missing: none; unexpected: \.\./x"),
        (lambda t: t.update({"q.layers.0.bias": torch.zeros(8, dtype=torch.float64)}), "must be F32 .*; got F64 of"),
        (lambda t: t.update({"q.layers.0.bias": torch.zeros(9)}), r"must be F32 of shape \(8,\); got F32 of \(9,\)"),
        (lambda t: t.update({"q.layers.0.bias": torch.full((8,), np.inf)}), "'q.layers.0.bias' must be finite"),
    ],
)
def test_a_wrong_tensor_is_named(change, message, tmp_path):
    folder = save_reward(network_reward(), tmp_path / "a")
    tensors = safetensors.torch.load((folder / "reward.safetensors").read_bytes())
    change(tensors)
    with pytest.raises(RewardError, match=message):
        load_reward(tampered(folder, lambda d: None, weights=safetensors.torch.save(tensors)))


def test_damaged_files_are_refused_with_the_reason(tmp_path):
    def fresh(name):
        return save_reward(network_reward(), tmp_path / name)

    folder = fresh("truncated")
    weights = folder / "reward.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(RewardError, match=r"must have \d+ bytes; got \d+. The copy is incomplete"):
        load_reward(folder)
    folder = fresh("flipped")
    weights = folder / "reward.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(RewardError, match=r"does not have the hash that reward\.json gives"):
        load_reward(folder)
    with pytest.raises(RewardError, match="must be a safetensors file"):
        load_reward(tampered(folder, lambda d: None, weights=b"no tensors"))
    for text, message in (
        ("{", "must be valid JSON"),
        ("[]", "must be one JSON object; got list"),
        ('{"a": 1, "a": 2}', "a name appears twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": 1e999}', "must be a finite number"),
        ("[" * 100_000, "must be valid JSON"),
        ('{"a":' + "[" * 50 + "]" * 50 + "}", "nested deeper"),
    ):
        (folder / "reward.json").write_text(text)
        with pytest.raises(RewardError, match=message):
            load_reward(folder)
    folder = fresh("edited")
    text = (folder / "reward.json").read_text()
    (folder / "reward.json").write_text(text.replace('"gamma": 0.99', '"gamma": 0.98'))
    with pytest.raises(RewardError, match="does not have the hash in its field 'id'"):
        load_reward(folder)
    (folder / "reward.json").unlink()
    with pytest.raises(RewardError, match=r"missing: reward\.json"):
        load_reward(folder)


def test_links_and_large_files_are_not_read(tmp_path):
    folder = save_reward(network_reward(), tmp_path / "a")
    with pytest.raises(RewardError, match=r"must not be larger than 100 bytes; .* raise max_bytes"):
        load_reward(folder, max_bytes=100)
    (folder / "reward.safetensors").rename(tmp_path / "elsewhere")
    (folder / "reward.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RewardError, match="it is a link, which may lead out of the folder"):
        load_reward(folder)


def test_shipped_rewards_load_by_id(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)
    reward = network_reward()
    save_reward(reward, tmp_path / "CartPole-v1" / "iq-chi2")
    save_reward(network_reward(env_id="Pendulum-v1"), tmp_path / "Pendulum-v1" / "iq-chi2")
    assert list_zoo() == ("CartPole-v1/iq-chi2", "Pendulum-v1/iq-chi2")
    assert np.array_equal(load_reward("CartPole-v1/iq-chi2")(*batch(reward)), reward(*batch(reward)))
    with pytest.raises(
        RewardError, match=r"got 'CartPole-v1/iq-chi', which is neither. Did you mean 'CartPole-v1/iq-chi2'"
    ):
        load_reward("CartPole-v1/iq-chi")
    with pytest.raises(RewardError, match="Shipped are: CartPole-v1/iq-chi2, Pendulum-v1/iq-chi2"):
        load_reward("../../../secret")


# --- Identity


@pytest.mark.parametrize("name", list(artifacts()))
def test_a_loaded_reward_has_the_id_of_the_one_that_was_saved_and_hashes_nothing(name, tmp_path, monkeypatch):
    reward = artifacts()[name]
    loaded = load_reward(save_reward(reward, tmp_path / "a", figures={"return": 1.0}))

    def never(*arguments):
        raise AssertionError("a loaded reward was serialised")

    monkeypatch.setattr(safetensors.torch, "save", never)
    known = loaded.reward_id
    monkeypatch.undo()
    assert known == reward.reward_id == artifacts()[name].reward_id
    assert load_reward(save_reward(loaded, tmp_path / "b", figures={})).reward_id == known


def test_compare_names_loaded_rewards_without_serialising_them(tmp_path, monkeypatch):
    rewards = {name: load_reward(save_reward(made, tmp_path / name)) for name, made in some_of_cartpole().items()}
    steps = ip.load_demos("CartPole-v1", episodes=2).transitions

    def never(*arguments):
        raise AssertionError("a loaded reward was serialised")

    for kind in (RecoveredReward, DistilledReward):
        monkeypatch.setattr(kind, "spec", never)
        monkeypatch.setattr(kind, "tensors", never)
    tree = ip.compare(rewards, transitions=steps)
    named = json.loads(tree.attrs["hashes"])["rewards"]
    monkeypatch.undo()
    assert named == {name: made.reward_id for name, made in some_of_cartpole().items()}


def some_of_cartpole():
    return {"recovered": network_reward(), "distilled": distilled_reward()}


def test_a_change_of_the_reward_changes_its_id():
    reward = network_reward()
    others = [network_reward(1), network_reward(terminal=1.0), replace(reward, provenance={"seed": 1})]
    ids = [other.reward_id for other in (reward, *others)]
    assert len(set(ids)) == len(ids)
    assert replace(reward, figures={"return": 1.0}).reward_id == reward.reward_id


def test_the_published_json_schema_is_that_of_the_code():
    """After a change of the schema: python -m irl_probe.rewards.schema > docs/reward.schema.json."""
    committed = Path(__file__).parents[1] / "docs" / "reward.schema.json"
    assert json.loads(committed.read_text(encoding="utf-8")) == schema.json_schema()


# --- Fuzzing: the only outcomes are a correct load and RewardError (tests/fuzzing.py)


@pytest.mark.parametrize("name", list(artifacts()))
def test_a_mutated_artifact_loads_correctly_or_is_refused(name, tmp_path):
    outcomes = fuzz_artifact(save_reward(artifacts()[name], tmp_path / "a", figures={"x": [1.5]}), 120, seed=1)
    assert outcomes["refused"] > 50


def test_a_header_that_claims_too_much_is_refused(tmp_path):
    folder = save_reward(network_reward(), tmp_path / "a")
    header = json.dumps(
        {"q.layers.0.bias": {"dtype": "F32", "shape": [1 << 40, 1 << 30], "data_offsets": [0, 8]}}
    ).encode()
    weights = struct.pack("<Q", len(header)) + header + b"\0" * 8
    with pytest.raises(RewardError, match="must be a safetensors file"):
        load_reward(tampered(folder, lambda d: None, weights=weights))
