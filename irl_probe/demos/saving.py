"""The project's own .npz of demonstrations.

Members: `metadata`, one JSON string (format, version, env_id, source, spaces, subsampled, notes, hash, versions);
`observations`, `actions`, `terminated`, `truncated`, `episode` and, if known, `rewards`, as in Transitions;
`successors`, the next observations that differ from the observation of the next row, and `successor_rows`, their rows;
`whole_positions`, `whole_lengths`, `whole_terminated`, `whole_truncated` and, if known, `whole_returns`.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

from irl_probe._config import check_kind
from irl_probe._spaces import Space, space_from_json, space_to_json
from irl_probe._types import Array
from irl_probe.demos.archive import Archive, write_archive
from irl_probe.demos.assembly import guarded, require
from irl_probe.demos.demonstrations import DemoError, Demonstrations, WholeEpisodes
from irl_probe.transitions import Transitions

FORMAT = "irl_probe demonstrations"
VERSION = 1
_NEEDED = ("observations", "actions", "terminated", "truncated", "episode", "successors", "successor_rows")
_WHOLE = ("whole_positions", "whole_lengths", "whole_terminated", "whole_truncated")


def save_demos(demos: Demonstrations, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write `demos` to a compressed .npz, from which `load_demos` reads the same demonstrations; returns the path.

    The file holds no pickles, the same demonstrations give the same bytes, and it is written whole or not at all.

    Raises DemoError if the path does not end in .npz, if the file exists and `overwrite` is false, or if a space cannot
    be written as JSON.
    """
    check_kind(demos, Demonstrations, "What is saved", "Make it with load_demos or record_demos.")
    path = Path(path)
    if path.suffix != ".npz":
        raise DemoError(f"Demonstrations are saved to a path ending in .npz; got '{path}'.")
    t, whole = demos.transitions, demos.whole
    rows = _own_successors(t)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "env_id": demos.env_id,
        "source": demos.source,
        "observation_space": _write_space(demos.observation_space),
        "action_space": _write_space(demos.action_space),
        "subsampled": demos.subsampled,
        "notes": list(demos.notes),
        "content_hash": demos.content_hash(),
        "versions": {name: version(name) for name in ("gymnasium", "numpy")},
    }
    arrays: dict[str, Array | None] = {
        "metadata": np.array(json.dumps(metadata, sort_keys=True)),
        "observations": t.observations,
        "actions": t.actions,
        "terminated": t.terminated,
        "truncated": t.truncated,
        "episode": t.episode,
        "successors": t.next_observations[rows],
        "successor_rows": rows,
        "rewards": t.rewards,
        "whole_positions": whole.positions,
        "whole_lengths": whole.lengths,
        "whole_terminated": whole.terminated,
        "whole_truncated": whole.truncated,
        "whole_returns": whole.returns,
    }
    write_archive(path, {name: array for name, array in arrays.items() if array is not None}, overwrite)
    return path


def read_saved(archive: Archive) -> Demonstrations:
    """The demonstrations that `save_demos` wrote.

    Raises DemoError if a member is missing or does not fit, if the file is of another version, or if the content does
    not have the hash that the file states.
    """
    where = archive.where
    require(where, archive.members, _NEEDED + _WHOLE, "a file of save_demos")
    metadata = _metadata(archive)
    observations = archive.numbers("observations")
    rows, successors = archive.integers("successor_rows"), archive.numbers("successors")
    lost = len(rows) and (rows.min() < 0 or rows.max() >= len(observations))
    if lost or successors.shape != (len(rows), *observations.shape[1:]) or successors.dtype != observations.dtype:
        raise DemoError(f"{where}: the stored successors do not fit the observations; the file is damaged.")
    following = np.roll(observations, -1, axis=0)
    following[rows] = successors
    transitions = guarded(
        where,
        lambda: Transitions(
            observations=observations,
            actions=archive.numbers("actions"),
            next_observations=following,
            terminated=archive.flags("terminated"),
            truncated=archive.flags("truncated"),
            episode=archive.integers("episode"),
            rewards=archive.optional_numbers("rewards"),
        ),
    )
    if transitions.content_hash() != metadata["content_hash"]:
        raise DemoError(
            f"{where}: the arrays do not have the content hash that the file states; it was changed after it was "
            "saved. Download or record it again."
        )
    returns = archive.optional_numbers("whole_returns")
    whole = WholeEpisodes(
        positions=archive.integers("whole_positions"),
        lengths=archive.integers("whole_lengths"),
        returns=None if returns is None else returns.astype(np.float64),
        terminated=archive.flags("whole_terminated"),
        truncated=archive.flags("whole_truncated"),
    )
    episodes = transitions.starts.shape
    facts = (whole.positions, whole.lengths, whole.terminated, whole.truncated, whole.returns)
    if (
        any(fact is not None and fact.shape != episodes for fact in facts)
        or (whole.lengths < transitions.lengths).any()
    ):
        raise DemoError(f"{where}: its facts of the whole episodes do not fit its {episodes[0]} episodes.")
    return guarded(
        where,
        lambda: Demonstrations(
            transitions,
            env_id=_string_or_none(metadata, "env_id"),
            source=str(metadata["source"]),
            observation_space=_read_space(metadata["observation_space"]),
            action_space=_read_space(metadata["action_space"]),
            kept=whole,
            subsampled=_positive(metadata, "subsampled"),
            notes=_strings(metadata, "notes"),
        ),
    )


def _own_successors(t: Transitions) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Rows whose next observation is not, byte for byte, the observation of the next row."""

    def as_bytes(array: Array) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        return np.ascontiguousarray(array).reshape(len(t), -1).view(np.uint8)

    differs = (as_bytes(t.next_observations) != as_bytes(np.roll(t.observations, -1, axis=0))).any(axis=1)
    return np.flatnonzero(differs)


def _metadata(archive: Archive) -> dict[str, object]:
    where = archive.where
    text = archive.value("metadata")
    if not isinstance(text, np.ndarray) or text.dtype.kind != "U" or text.shape != ():
        raise DemoError(f"{where}: 'metadata' must be one JSON string; the file was not written by save_demos.")
    try:
        metadata = json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise DemoError(f"{where}: 'metadata' must be one JSON string ({error}).") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise DemoError(
            f"{where}: 'metadata' must state the format '{FORMAT}'; the file was not written by save_demos."
        )
    if metadata.get("version") != VERSION:
        raise DemoError(
            f"{where}: this version of irl_probe reads version {VERSION} of the format; the file is version "
            f"{metadata.get('version')}. Upgrade irl_probe."
        )
    keys = ("env_id", "source", "observation_space", "action_space", "subsampled", "notes", "content_hash")
    require(f"{where}, 'metadata'", metadata, keys, "the description")
    return metadata


def _write_space(space: Space | None) -> dict[str, object] | None:
    try:
        return None if space is None else space_to_json(space)
    except ValueError as error:
        raise DemoError(f"The spaces are saved with the demonstrations. {error}") from error


def _read_space(value: object) -> Space | None:
    try:
        return None if value is None else space_from_json(value)
    except ValueError as error:
        raise DemoError(f"The metadata must describe a space; {value!r} does not describe one. {error}") from error


def _string_or_none(metadata: dict[str, object], key: str) -> str | None:
    value = metadata[key]
    if value is not None and not isinstance(value, str):
        raise DemoError(f"'{key}' in the metadata must be a string or null; got {value!r}.")
    return value


def _positive(metadata: dict[str, object], key: str) -> int:
    value = metadata[key]
    if not isinstance(value, int) or value < 1:
        raise DemoError(f"'{key}' in the metadata must be a whole number of at least 1; got {value!r}.")
    return value


def _strings(metadata: dict[str, object], key: str) -> tuple[str, ...]:
    value = metadata[key]
    if not isinstance(value, list):
        raise DemoError(f"'{key}' in the metadata must be a list of sentences; got {value!r}.")
    return tuple(str(item) for item in value)
