"""Steps and datasets with the rewards of a reward model, piece by piece where they do not fit into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from irl_probe._config import check_kind
from irl_probe._plain import many_observations
from irl_probe._types import Floats
from irl_probe.rewards.protocol import Reward, RewardError
from irl_probe.rewards.wrappers import Payment, check_fit
from irl_probe.transitions import Transitions

ROWS = 65_536  # steps in one call of the reward


@overload
def relabel(steps: Transitions, reward: Reward) -> Transitions: ...
@overload
def relabel(steps: Iterable[Transitions], reward: Reward) -> Iterator[Transitions]: ...
def relabel(steps: Transitions | Iterable[Transitions], reward: Reward) -> Transitions | Iterator[Transitions]:
    """The same steps with the rewards that an environment in a `RewardWrapper` would have paid.

    That is r(s, a, s′), with Box actions clipped to the bounds that a recovered or distilled reward was learned with,
    plus γ·V_abs where the MDP ended and the reward's convention is "absorbing". The result does not hold the true
    rewards: keep the original too.

    Args:
        steps: transitions; or an iterable of transitions, which are relabelled one by one as the result is iterated
            over, so that only one of them is in memory at a time.
        reward: any reward.

    Raises RewardError where the reward does not give one finite number a step.
    """
    if isinstance(steps, Transitions):
        return replace(steps, rewards=_rewards(steps, reward))
    check_kind(steps, Iterable, "The steps to relabel", "For demonstrations give demos.transitions.")
    return (relabel(part, reward) for part in steps)


def relabel_minari(source: str, target: str, reward: Reward) -> str:
    """Copy a local Minari dataset under a new id with the rewards of `relabel`, episode by episode; returns the id.

    Everything else of an episode is copied, also its infos, seed and options. The copy's infos hold the true rewards as
    "true_reward", also in a copy of a copy. Figures of the rewards that Minari's collector records, such as their
    sum, are left out. One episode is in memory at a time. The copy is renamed into its place once it is complete, so a
    copy that fails leaves nothing behind.

    Raises ImportError where minari is not installed, RewardError where there is no such dataset, the target is not
    an id or exists, the dataset's spaces do not fit the reward, or the reward does not give one finite number a
    step.
    """
    try:
        import minari
        from minari.dataset.minari_storage import MinariStorage
        from minari.storage.datasets_root_dir import get_dataset_path
    except ImportError as error:
        raise ImportError("Minari datasets need the package minari: pip install 'irl_probe[minari]'.") from error
    try:
        dataset = minari.load_dataset(source)
    except FileNotFoundError as error:
        raise RewardError(
            f"There is no Minari dataset {source!r} on this machine. Download it with: minari download {source}"
        ) from error
    check_fit(reward, dataset.observation_space, dataset.action_space)
    _check_id(target)
    folder = get_dataset_path(target)
    if folder.exists():
        raise RewardError(f"A Minari dataset {target!r} exists already; choose another id, or delete it.")
    with tempfile.TemporaryDirectory(prefix=".relabelled-", dir=get_dataset_path()) as scratch:
        data = Path(scratch, "new", "data")
        data.mkdir(parents=True)
        storage = MinariStorage.new(data, dataset.observation_space, dataset.action_space, dataset.spec.env_spec)
        storage.update_episodes(_relabelled(dataset, reward))
        present = MinariStorage.read_raw_metadata(data)
        more = {k: v for k, v in dataset.storage.metadata.items() if k not in present}
        storage.update_metadata({**more, "dataset_id": target})
        folder.parent.mkdir(parents=True, exist_ok=True)
        data.parent.rename(folder)
    return target


def _check_id(target: str) -> None:
    """Raise RewardError unless Minari finds a dataset of this id again, inside its own folder."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(target)
    except (ValueError, TypeError) as error:  # a TypeError if it has no version or is not a string
        raise RewardError(
            f"The id of a Minari dataset must be a name with a version, such as 'toy/relabelled-v0'; got {target!r}."
        ) from error


def _relabelled(dataset: Any, reward: Reward) -> Iterator[Any]:
    """The relabelled episodes of a dataset, as Minari's buffers."""
    from minari.data_collector import EpisodeBuffer

    pay = Payment(reward, "none", (dataset.observation_space, dataset.action_space))
    recorded = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for episode, metadata in zip(dataset.iterate_episodes(), recorded, strict=True):
        count = len(episode.rewards)
        terminated = np.asarray(episode.terminations, dtype=bool)
        o = many_observations(dataset.observation_space, _as_tuple(episode.observations))
        a = np.asarray(episode.actions)
        paid = pay(o[:-1], a, o[1:], terminated) if count else np.zeros(0)
        yield EpisodeBuffer(
            id=episode.id,
            seed=metadata.get("seed"),
            options=metadata.get("options"),
            observations=episode.observations,
            actions=episode.actions,
            rewards=list(paid),
            terminations=list(terminated),
            truncations=list(episode.truncations),
            infos={"true_reward": np.append(episode.rewards, 0.0), **(episode.infos or {})},
        )


def _as_tuple(observations: Any) -> Any:
    """Minari gives observations of a Tuple space as a tuple or a list of their parts."""
    return tuple(observations) if isinstance(observations, list) else observations


def _rewards(steps: Transitions, reward: Reward) -> Floats:
    parts, pay = [], Payment(reward, "none")
    for start in range(0, len(steps), ROWS):
        rows = slice(start, start + ROWS)
        parts.append(
            pay(
                steps.observations[rows],
                steps.actions[rows],
                steps.next_observations[rows],
                steps.terminated[rows],
            )
        )
    return np.concatenate(parts)
