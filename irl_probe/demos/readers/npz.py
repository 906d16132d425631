"""Readers of .npz files: those of `save_demos`, the flat layout, imitation's, and D4RL's keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from irl_probe._types import Array, Bools, Ints
from irl_probe.demos.archive import Archive, read_archive
from irl_probe.demos.assembly import SINGLE_FLAG_NOTE, assemble, check_lengths, flags, require, split_final
from irl_probe.demos.demonstrations import DemoError, Demonstrations
from irl_probe.demos.readers.d4rl import read_d4rl_npz
from irl_probe.demos.saving import read_saved

_FLAT = ("observations", "actions", "episode_lengths", "terminated", "truncated")
_IMITATION = ("obs", "acts", "terminal", "indices")


def read_npz(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from a .npz of `save_demos`, of the flat layout, of imitation or with D4RL's keys, which tell.

    Raises DemoError if the keys are those of none of them (the keys found are named), or if the file is damaged.
    """
    archive = read_archive(path)
    keys = archive.members.keys()
    if "metadata" in keys:
        return read_saved(archive)
    if "episode_lengths" in keys:
        return read_flat(archive)
    if {"obs", "acts"} & keys:
        return read_imitation(archive)
    if "terminals" in keys:
        return read_d4rl_npz(archive, time_limit)
    raise DemoError(
        f"{path}: the keys are not those of a known layout. Flat files have {', '.join(_FLAT)} (and rewards); "
        f"imitation's have {', '.join(_IMITATION)} (and rews); D4RL's have observations, actions and terminals; "
        "save_demos writes metadata and more. "
        f"The file has: {', '.join(sorted(keys)) or 'no arrays'}."
    )


def read_flat(archive: Archive) -> Demonstrations:
    """Demonstrations from episodes one after another, each with its final observation.

    Keys: `observations` (Σ(length + 1), …), `actions` (Σ length, …), `episode_lengths`, `terminated`, `truncated` (E,),
    and `rewards` (Σ length,) if known.
    """
    require(archive.where, archive.members, _FLAT, "a flat .npz")
    lengths = archive.integers("episode_lengths")
    check_lengths(lengths, archive.where)
    observations, following = split_final(archive.numbers("observations"), lengths, archive.where)
    return assemble(
        archive.where,
        observations=observations,
        next_observations=following,
        actions=archive.numbers("actions"),
        rewards=archive.optional_numbers("rewards"),
        lengths=lengths,
        terminated=archive.flags("terminated"),
        truncated=archive.flags("truncated"),
    )


def read_imitation(archive: Archive) -> Demonstrations:
    """Demonstrations from the .npz that `imitation` wrote up to version 0.4.

    Keys: `obs` (Σ(length + 1), …), `acts` (Σ length, …), `indices` (E − 1,), the row of `acts` at which each episode
    but the first begins, `terminal` (E,), `infos` (Σ length,) dicts, and `rews` (Σ length,) if known.

    `terminal` is set at a time limit as well as at a termination. An episode with 'TimeLimit.truncated' in its last
    info is a truncation. If infos do not say, a terminal episode is read as terminated (use `time_limit=`). An episode
    that is not terminal was cut: a truncation.
    """
    where = archive.where
    require(where, archive.members, _IMITATION, "a .npz of imitation")
    actions = archive.numbers("acts")
    bounds = np.concatenate([[0], archive.integers("indices"), [len(np.atleast_1d(actions))]])
    lengths = np.diff(bounds)
    check_lengths(lengths, where)
    terminal = archive.flags("terminal")
    by_clock = _clocked(archive, np.cumsum(lengths) - 1) if "infos" in archive.members else None
    rewards = archive.optional_numbers("rews")
    return by_flag(where, archive.numbers("obs"), actions, rewards, lengths, terminal, by_clock)


def by_flag(
    where: str,
    observations: Array,
    actions: Array,
    rewards: Array | None,
    lengths: Ints,
    terminal: Bools,
    by_clock: Bools | None,
) -> Demonstrations:
    """Demonstrations of imitation's trajectories, from one flag for both ends and what infos say of the clock."""
    before, after = split_final(observations, lengths, where)
    stated = by_clock is not None and terminal.shape == by_clock.shape
    terminated = terminal & ~by_clock if by_clock is not None and stated else terminal
    return assemble(
        where,
        observations=before,
        next_observations=after,
        actions=actions,
        rewards=rewards,
        lengths=lengths,
        terminated=terminated,
        truncated=~terminated,
        notes=() if stated else (SINGLE_FLAG_NOTE,),
    )


def _clocked(archive: Archive, last: Ints) -> Bools | None:
    """(E,) whether the last info of each episode says that the clock ended it; None if no info says anything."""
    infos = archive.value("infos")
    if not isinstance(infos, np.ndarray) or infos.ndim != 1 or len(infos) <= last[-1]:
        raise DemoError(f"{archive.where}: 'infos' must hold one dict a step.")
    return clocked(infos[last], archive.where)


def clocked(infos: Iterable[object], where: str) -> Bools | None:
    """(E,) whether each episode's last info has TimeLimit.truncated; None if none says anything."""
    said = [info.get("TimeLimit.truncated") if isinstance(info, dict) else None for info in infos]
    if all(value is None for value in said):
        return None
    return flags([bool(value) for value in said], where, "infos")
