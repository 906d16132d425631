"""Demonstrations with known numbers, and writers of the file formats of other projects."""

import pickle
from collections import defaultdict

import h5py
import numpy as np

from irl_probe import Transitions

LENGTHS = (3, 1, 4)  # the first episode terminates, the others reach a time limit
TERMINATED = np.array([True, False, False])


def episodes(discrete=True, dtype=np.float32):
    """(observations with the final one, actions, rewards) of each episode: observation [i, t], reward i + t / 10."""
    made = []
    for i, length in enumerate(LENGTHS):
        t = np.arange(length + 1)
        observations = np.stack([np.full(length + 1, i), t], axis=1).astype(dtype)
        actions = (t[:-1] + i) % 2 if discrete else np.stack([t[:-1] / 10, -t[:-1] / 10], axis=1).astype(np.float32)
        made.append((observations, actions, (i + t[:-1] / 10).astype(np.float64)))
    return made


def expected(discrete=True, dtype=np.float32):
    """The same as Transitions."""
    made = episodes(discrete, dtype)
    last = np.cumsum(LENGTHS) - 1
    ends = {name: np.zeros(sum(LENGTHS), dtype=bool) for name in ("terminated", "truncated")}
    ends["terminated"][last], ends["truncated"][last] = TERMINATED, ~TERMINATED
    return Transitions(
        observations=np.concatenate([o[:-1] for o, _, _ in made]),
        actions=np.concatenate([a for _, a, _ in made]),
        next_observations=np.concatenate([o[1:] for o, _, _ in made]),
        episode=np.repeat(np.arange(len(LENGTHS)), LENGTHS),
        rewards=np.concatenate([r for _, _, r in made]),
        **ends,
    )


def write_flat(path, discrete=True, **changes):
    made = episodes(discrete)
    arrays = {
        "observations": np.concatenate([o for o, _, _ in made]),
        "actions": np.concatenate([a for _, a, _ in made]),
        "rewards": np.concatenate([r for _, _, r in made]),
        "episode_lengths": np.array(LENGTHS),
        "terminated": TERMINATED,
        "truncated": ~TERMINATED,
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def write_imitation(path, discrete=True, clock_in_infos=True, rewards=True):
    """A file like those of imitation.data.types.save 0.3: concatenated fields, split points, and pickled infos."""
    made = episodes(discrete)
    infos = [[{} for _ in range(n)] for n in LENGTHS]
    if clock_in_infos:
        for info, terminated in zip(infos, TERMINATED, strict=True):
            info[-1] = {"TimeLimit.truncated": bool(not terminated), "terminal_observation": np.zeros(2, np.float32)}
    condensed = {
        "obs": np.concatenate([o for o, _, _ in made]),
        "acts": np.concatenate([a for _, a, _ in made]),
        "infos": np.concatenate([np.array(info, dtype=object) for info in infos]),
        "terminal": np.array([True] * len(LENGTHS)),
        "indices": np.cumsum(LENGTHS[:-1]),
    }
    if rewards:
        condensed["rews"] = np.concatenate([r for _, _, r in made])
    np.savez_compressed(path, **condensed)
    return path


def write_d4rl(path, discrete=False, next_observations=True, timeouts=True, **changes):
    made = episodes(discrete)
    last = np.cumsum(LENGTHS) - 1
    flags = {name: np.zeros(sum(LENGTHS), dtype=bool) for name in ("terminals", "timeouts")}
    flags["terminals"][last], flags["timeouts"][last] = TERMINATED, ~TERMINATED
    arrays = {
        "observations": np.concatenate([o[:-1] for o, _, _ in made]),
        "next_observations": np.concatenate([o[1:] for o, _, _ in made]) if next_observations else None,
        "actions": np.concatenate([a for _, a, _ in made]),
        "rewards": np.concatenate([r for _, _, r in made]),
        "terminals": flags["terminals"],
        "timeouts": flags["timeouts"] if timeouts else None,
    } | changes
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, compression="gzip" if np.ndim(array) else None)
        file.create_group("metadata").create_dataset("algorithm", data="SAC")
        file.create_group("infos").create_dataset("qpos", data=np.zeros((sum(LENGTHS), 2)))
    return path


def iq_learn_dict(discrete=True, container=tuple, **changes):
    """The dict of lists that IQ-Learn's expert generator fills: a tuple of per-step values for each trajectory."""
    data = defaultdict(list)
    for (observations, actions, rewards), _ in zip(episodes(discrete), TERMINATED, strict=True):
        data["states"].append(container(observations[:-1]))
        data["next_states"].append(container(observations[1:]))
        data["actions"].append(container(actions))
        data["rewards"].append(container(rewards))
        data["dones"].append(container([False] * (len(actions) - 1) + [True]))  # a time limit is a 'done' there
        data["lengths"].append(len(actions))
    data.update(changes)
    return data


def write_pickle(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def write_npy(path, value):
    np.save(path, value, allow_pickle=True)
    return path
