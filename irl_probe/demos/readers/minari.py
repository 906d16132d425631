"""Minari datasets on this machine (the optional package minari)."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from irl_probe._plain import PARTS, to_plain_observations
from irl_probe._words import did_you_mean
from irl_probe.demos.assembly import assemble, column, flags, guarded, joined, numbers
from irl_probe.demos.demonstrations import DemoError, Demonstrations

_BROKEN = (OSError, KeyError, ValueError, RuntimeError, ImportError)


def read_minari(dataset_id: str) -> Demonstrations:
    """Demonstrations from the local Minari dataset `dataset_id`, such as 'mujoco/hopper/expert-v0'.

    Spaces and environment id are those of the dataset. An episode without an end mark was cut: a truncation.

    Raises DemoError if minari is not installed, if the dataset is not on this machine (the message says how to download
    it) or cannot be read, or as `from_minari` does.
    """
    if find_spec("minari") is None:
        raise DemoError("Minari datasets need the package minari; install it with: pip install 'irl_probe[minari]'.")
    import minari

    where = f"minari:{dataset_id}"
    try:
        dataset = minari.load_dataset(dataset_id)
    except FileNotFoundError as error:
        hint = did_you_mean(where, [f"minari:{name}" for name in minari.list_local_datasets()])
        raise DemoError(
            f"{where}: no such dataset on this machine.{hint} Download it with: minari download {dataset_id}"
        ) from error
    except _BROKEN as error:
        raise DemoError(f"{where}: the dataset cannot be read ({error}).") from error
    return from_minari(dataset)


def from_minari(dataset: Any) -> Demonstrations:
    """Demonstrations from a `minari.MinariDataset`.

    Its spaces are the dataset's. Observations of a Dict, Tuple, MultiDiscrete or MultiBinary space are flat vectors, as
    those of `record_demos` are.

    Where a mark stands before an episode's last step, a new episode begins after it, and a note says so. So each step
    has the marks that the dataset gives it.

    Raises DemoError if the dataset cannot be read or holds no episode.
    """
    if not (hasattr(dataset, "spec") and hasattr(dataset, "iterate_episodes")):
        raise DemoError(
            f"from_minari takes a minari.MinariDataset; got {type(dataset).__name__}. Give the id of a dataset to "
            "load_demos: 'minari:<dataset id>'."
        )
    specification = dataset.spec
    where = f"minari:{specification.dataset_id}"
    try:
        episodes = list(dataset.iterate_episodes())
    except _BROKEN as error:
        raise DemoError(f"{where}: the dataset cannot be read ({error}).") from error
    if not episodes:
        raise DemoError(f"{where}: the dataset holds no episode.")
    seen = dataset.observation_space
    observations = [e.observations for e in episodes]
    if isinstance(seen, PARTS):
        observations = [guarded(where, partial(to_plain_observations, seen, rows)) for rows in observations]
    for name, values in (("observations", observations), ("actions", [e.actions for e in episodes])):
        if not all(isinstance(value, np.ndarray) for value in values):
            raise DemoError(
                f"{where}: {name} must be plain arrays; this dataset has {type(values[0]).__name__} values. "
                "Flatten them with Demonstrations.from_arrays, from the episodes of the dataset."
            )
    ended, stopped = (
        flags(np.concatenate([column(getattr(e, name), where, name) for e in episodes]), where, name)
        for name in ("terminations", "truncations")
    )
    bounds = np.cumsum([len(e) for e in episodes]) - 1
    last = np.union1d(np.flatnonzero(ended | stopped), bounds)
    early = len(last) - len(bounds)
    note = f"{early} end marks stand before the last step of an episode: a new episode begins after each of them."
    environment = specification.env_spec
    return assemble(
        where,
        observations=joined([numbers(o[:-1], where, "observations") for o in observations], where, "observations"),
        next_observations=joined([numbers(o[1:], where, "observations") for o in observations], where, "observations"),
        actions=joined([numbers(e.actions, where, "actions") for e in episodes], where, "actions"),
        rewards=np.concatenate([numbers(e.rewards, where, "rewards") for e in episodes]),
        lengths=np.diff(last, prepend=-1),
        terminated=ended[last],
        truncated=~ended[last],
        notes=(note,) if early else (),
        env_id=None if environment is None else environment.id,
        observation_space=seen,
        action_space=dataset.action_space,
    )
