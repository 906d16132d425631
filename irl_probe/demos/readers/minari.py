"""Minari datasets on this machine (the optional package minari)."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from irl_probe._words import did_you_mean
from irl_probe.demos.assembly import assemble, flags, numbers
from irl_probe.demos.demonstrations import DemoError, Demonstrations


def read_minari(dataset_id: str) -> Demonstrations:
    """Demonstrations from the local Minari dataset `dataset_id`, such as 'mujoco/hopper/expert-v0'.

    Spaces and environment id are those of the dataset. An episode without an end mark was cut: a truncation.

    Raises DemoError if minari is not installed, if the dataset is not on this machine (the message says how to download
    it) or cannot be read, or if observations or actions are not plain arrays.
    """
    if find_spec("minari") is None:
        raise DemoError("Minari datasets need the package minari; install it with: pip install 'irl_probe[minari]'.")
    import minari

    where = f"minari:{dataset_id}"
    try:
        dataset = minari.load_dataset(dataset_id)
        episodes = list(dataset.iterate_episodes())
    except FileNotFoundError as error:
        hint = did_you_mean(where, [f"minari:{name}" for name in minari.list_local_datasets()])
        raise DemoError(
            f"{where}: no such dataset on this machine.{hint} Download it with: minari download {dataset_id}"
        ) from error
    except (OSError, KeyError, ValueError, RuntimeError, ImportError) as error:
        raise DemoError(f"{where}: the dataset cannot be read ({error}).") from error
    if not episodes:
        raise DemoError(f"{where}: the dataset holds no episode.")
    for episode in episodes:
        for name in ("observations", "actions"):
            if not isinstance(getattr(episode, name), np.ndarray):
                raise DemoError(
                    f"{where}: {name} must be plain arrays; this dataset has {type(getattr(episode, name)).__name__} "
                    "values. Flatten it first (gymnasium.wrappers.FlattenObservation when collecting)."
                )
    terminated = np.array([flags(e.terminations, where, "terminations").any() for e in episodes])
    specification = dataset.spec.env_spec
    return assemble(
        where,
        observations=numbers(np.concatenate([e.observations[:-1] for e in episodes]), where, "observations"),
        next_observations=numbers(np.concatenate([e.observations[1:] for e in episodes]), where, "observations"),
        actions=numbers(np.concatenate([e.actions for e in episodes]), where, "actions"),
        rewards=numbers(np.concatenate([e.rewards for e in episodes]), where, "rewards"),
        lengths=np.array([len(e) for e in episodes], dtype=np.int64),
        terminated=terminated,
        truncated=~terminated,
        env_id=None if specification is None else specification.id,
        observation_space=dataset.observation_space,
        action_space=dataset.action_space,
    )
