"""Files damaged by accident or by an attacker: each loads correctly, or is refused with an error of irl_probe.

python -m tests.fuzzing [--count 20000] [--seed 0]   the last line is the outcomes by kind of file, as JSON
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

import irl_probe as ip
from irl_probe.demos import DemoError
from irl_probe.rewards import RewardError, RewardModel, load_reward, save_reward
from irl_probe.rewards.schema import content_id
from tests.demo_files import (
    expected,
    iq_learn_dict,
    write_d4rl,
    write_flat,
    write_imitation,
    write_npy,
    write_pickle,
)

FILES = ("reward.json", "reward.safetensors", "README.md")

JUNK = [
    None,
    True,
    -1,
    0,
    1,
    2,
    1 << 40,
    10**300,
    -0.5,
    1e308,
    "",
    "inf",
    "../x",
    "\ud800",
    [],
    [1],
    ["inf"] * 3,
    {},
    {"a": 1},
]


def mutate_value(value, rng: random.Random):
    """JSON with one random part replaced, left out, renamed, repeated or added."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        value = dict(value)
        match rng.random():
            case chance if chance < 0.7:
                value[key] = mutate_value(value[key], rng)
            case chance if chance < 0.85:
                del value[key]
            case _:
                value[key + rng.choice(["", "s", "\0"])] = rng.choice(JUNK)
        return value
    if isinstance(value, list) and value and rng.random() < 0.6:
        value = list(value)
        index = rng.randrange(len(value))
        value[index : index + 1] = rng.choice([[], [mutate_value(value[index], rng)], [value[index]] * 2])
        return value
    if isinstance(value, int | float) and rng.random() < 0.5:
        return value * rng.choice([-1, 0, 2, 1.0, 1e-3])
    return rng.choice(JUNK)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes with a run of them flipped, lost, repeated or inserted; often in the header of the weights."""
    start = rng.randrange(min(len(data), rng.choice([8, 600, len(data)])))
    stop = start + rng.choice([1, 1, 2, 8, 100])
    middle = rng.choice(
        [b"", rng.randbytes(stop - start), bytes([data[start] ^ (1 << rng.randrange(8))]), data[start:stop] * 2]
    )
    return data[: rng.choice([start, len(data)])] if rng.random() < 0.1 else data[:start] + middle + data[stop:]


def mutate_array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    """An array with a row lost or repeated, one number replaced, or another shape or type."""
    array = np.array(array)
    match rng.randrange(7):
        case 0 if array.ndim and len(array):
            return np.delete(array, rng.randrange(len(array)), axis=0)
        case 1 if array.ndim and len(array):
            return np.concatenate([array, array[:1]])
        case 2 if array.size:
            array = array.astype(rng.choice([np.float64, np.float32]))
            array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, -1, 1e30, 0.5])
            return array
        case 3:
            return array.astype(rng.choice(["U5", "bool", "int8", "uint64", "complex64", "float16", "datetime64[s]"]))
        case 4:
            return array[None]
        case 5:
            return array.reshape(-1)[: rng.randrange(array.size + 1)]
    return array.astype(array.dtype.newbyteorder())


def tampered(folder: Path, change, *, weights: bytes | None = None) -> Path:
    """The folder with reward.json after `change` and correct hashes, as an attacker would make it."""
    described = json.loads((folder / "reward.json").read_text())
    if weights is not None:
        (folder / "reward.safetensors").write_bytes(weights)
        described["weights"] |= {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    change(described)
    described["id"] = content_id(described)
    (folder / "reward.json").write_text(json.dumps(described))
    return folder


def batch(reward: RewardModel, count=40):
    """Random transitions in the reward's spaces."""
    rng = np.random.default_rng(0)
    o, o2 = (_draw(reward.observation_space, count, rng) for _ in range(2))
    return o, _draw(reward.action_space, count, rng), o2, rng.random(count) < 0.3


def _draw(space, count, rng):
    if isinstance(space, spaces.Discrete):
        return rng.integers(space.n, size=count)
    return np.clip(rng.normal(size=(count, *space.shape)), space.low, space.high).astype(space.dtype)


def fuzz_artifact(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Mutate the artifact `count` times; count the outcomes. A reward that loads must evaluate without an error."""
    rng = random.Random(seed)
    originals = {name: (folder / name).read_bytes() for name in FILES[:2]}
    sample = batch(load_reward(folder))
    answer = load_reward(folder)(*sample)
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(count):
        for name, data in originals.items():
            (folder / name).write_bytes(data)
        kind = rng.choice(["raw", "json", "weights"])
        if kind == "raw":
            name = rng.choice(FILES[:2])
            (folder / name).write_bytes(mutate_bytes(originals[name], rng))
        elif kind == "json":
            described = mutate_value(json.loads(originals["reward.json"]), rng)
            if isinstance(described, dict):
                described["id"] = content_id(described)
            (folder / "reward.json").write_text(json.dumps(described))
        else:
            tampered(folder, lambda d: None, weights=mutate_bytes(originals["reward.safetensors"], rng))
        try:
            loaded = load_reward(folder)
        except RewardError:
            outcomes["refused"] += 1
            continue
        outcomes["loaded"] += 1
        if kind == "raw":  # the hashes are those of the original, so only white space can have changed
            assert np.array_equal(loaded(*sample), answer)
        else:
            with np.errstate(all="ignore"):  # weights of 1e38 are finite, but not the rewards that they give
                assert loaded(*batch(loaded)).shape == (40,)
    return outcomes


def demo_files() -> dict[str, tuple[str, Callable[[Path], Path]]]:
    """Kind → file name and writer of each format that demonstrations are read from."""

    def saved(path: Path) -> Path:
        env = ip.envs.make_env("CartPole-v1")
        demos = ip.record_demos(ip.learn.random_policy(env.action_space), env, 2, seed=0)
        env.close()
        return Path(ip.save_demos(demos, path))

    return {
        "demos, saved": ("a.npz", saved),
        "demos, flat": ("b.npz", write_flat),
        "demos, imitation": ("c.npz", write_imitation),
        "demos, D4RL": ("d.hdf5", write_d4rl),
        "demos, IQ-Learn pickle": ("e.pkl", lambda path: write_pickle(path, iq_learn_dict())),
        "demos, IQ-Learn npy": ("f.npy", lambda path: write_npy(path, iq_learn_dict())),
    }


def fuzz_demos(kind: str, folder: Path, count: int, seed: int) -> dict[str, int]:
    """Mutate a file of demonstrations `count` times; count the outcomes. What loads must also give a description.

    The bytes of the file are mutated, and in the formats without a hash also single arrays of a file that stays whole.
    A file of `save_demos` has the hash of its content: demonstrations that load from it must be those that were saved.
    """
    rng = random.Random(seed)
    name, write = demo_files()[kind]
    path = write(folder / name)
    raw, original = path.read_bytes(), ip.load_demos(path).transitions.content_hash()
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(count):
        if kind in ("demos, flat", "demos, D4RL") and rng.random() < 0.5:
            _write_with_a_mutated_array(kind, path, rng)
        else:
            changed = raw
            for _ in range(rng.randint(1, 4)):
                changed = mutate_bytes(changed, rng) or b"\0"
            path.write_bytes(changed)
        try:
            demos = ip.load_demos(path)
        except DemoError:
            outcomes["refused"] += 1
            continue
        outcomes["loaded"] += 1
        str(demos.describe())
        if kind == "demos, saved":
            assert demos.transitions.content_hash() == original
    return outcomes


def _write_with_a_mutated_array(kind: str, path: Path, rng: random.Random) -> None:
    t = expected(discrete=kind == "demos, flat")
    last = np.flatnonzero(np.append(np.diff(t.episode), 1))
    if kind == "demos, flat":
        arrays = {
            "observations": np.insert(t.observations, last + 1, t.next_observations[last], axis=0),
            "actions": t.actions,
            "rewards": t.rewards,
            "episode_lengths": t.lengths,
            "terminated": t.terminated[last],
            "truncated": t.truncated[last],
        }
        write: Callable[..., Any] = write_flat
    else:
        arrays = {
            "observations": t.observations,
            "actions": t.actions,
            "rewards": t.rewards,
            "terminals": t.terminated,
        }
        write = write_d4rl
    name = rng.choice(sorted(arrays))
    try:
        write(path, **{name: mutate_array(arrays[name], rng)})
    except TypeError:  # HDF5 does not have the type
        write(path, **{name: arrays[name][:-1]})


def main() -> None:
    """Mutate every kind of artifact and of demonstrations, `count` times in all."""
    from tests.test_artifact import artifacts

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="mutations in all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    made = artifacts()
    kinds = len(made) + len(demo_files())
    each = -(-arguments.count // kinds)
    outcomes: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, reward) in enumerate(made.items()):
            folder = save_reward(reward, Path(scratch, str(number)), figures={"x": [1.5]})
            outcomes[f"artifact, {name}"] = fuzz_artifact(folder, each, arguments.seed)
            print(name, outcomes[f"artifact, {name}"], flush=True)
        for kind in demo_files():
            outcomes[kind] = fuzz_demos(kind, Path(scratch), each, arguments.seed)
            print(kind, outcomes[kind], flush=True)
    print(json.dumps({"mutations": each * kinds, "seed": arguments.seed, "outcomes": outcomes}))


if __name__ == "__main__":
    main()
