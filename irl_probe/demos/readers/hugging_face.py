"""Folders of Hugging Face: those that `datasets` saves, imitation's among them, and LeRobot's parquet files."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from irl_probe._types import Array, Ints
from irl_probe.demos.arrays import from_arrays
from irl_probe.demos.assembly import (
    SINGLE_FLAG_NOTE,
    UNMARKED_NOTE,
    assemble_rows,
    column,
    flags,
    last_marks,
    numbers,
    require,
)
from irl_probe.demos.demonstrations import DemoError, Demonstrations
from irl_probe.demos.readers.d4rl import from_d4rl
from irl_probe.demos.readers.npz import by_flag, clocked

_STEPS = ("episode_index", "frame_index", "action")
_BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError, MemoryError)
_INSTALL = "install it with: pip install 'irl_probe[huggingface]'"


def read_folder(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from a folder of `datasets` (`save_to_disk`) or of LeRobot.

    Raises DemoError for any other folder.
    """
    if (path / "meta" / "info.json").is_file():
        return read_lerobot(path, time_limit)
    if any((path / name).is_file() for name in ("dataset_info.json", "dataset_dict.json", "state.json")):
        return read_dataset(path, time_limit)
    raise DemoError(
        f"{path} is a folder, but not one of `datasets` (dataset_info.json) or LeRobot (meta/info.json); other "
        "demonstrations are one file."
    )


def read_dataset(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from a folder that `datasets.Dataset.save_to_disk` wrote.

    Columns, with one row an episode: imitation's `obs` (T + 1 rows), `acts`, `terminal`, `infos` and `rews`; or
    `observations`, `actions` and if known `rewards`, `terminated` and `truncated` (a list or one mark).
    Columns, with one row a step: D4RL's keys; or `observations`, `actions`, `episode`, and if known `rewards`,
    `next_observations`, `terminated`, `truncated`.

    Raises DemoError if `datasets` is not installed, or if the columns are others.
    """
    if find_spec("datasets") is None:
        raise DemoError(f"{path}: folders of Hugging Face need the package datasets; {_INSTALL}")
    import datasets

    where = str(path)
    try:
        loaded = datasets.load_from_disk(where)
    except _BROKEN as error:
        raise DemoError(f"{where}: the dataset cannot be read ({error}).") from error
    if isinstance(loaded, datasets.DatasetDict):
        if len(loaded) != 1:
            raise DemoError(f"{where}: this folder has the splits {', '.join(loaded)}; give the folder of one of them.")
        (loaded,) = loaded.values()
    # In the format "arrow" numbers keep their type; "numpy" would make float32 of float64.
    table = loaded.with_format("arrow")[:]
    names = table.column_names
    if "obs" in names or "acts" in names:
        return _imitation(table, where)
    if "terminals" in names and not _nested(table["terminals"]):
        keys = ("observations", "actions", "terminals", "next_observations", "rewards", "timeouts")
        require(where, names, keys[:3], "a dataset with D4RL's keys")
        return from_d4rl(where, {name: rows_of(table[name], where, name) for name in keys if name in names}, time_limit)
    return _plain(table, where)


def _imitation(table: Any, where: str) -> Demonstrations:
    """One row a trajectory, as imitation has written since version 1; the JSON of infos is read as plain JSON."""
    require(where, table.column_names, ("obs", "acts", "terminal"), "a dataset of imitation")
    lengths, actions = episodes_of(table["acts"], where, "acts")
    _, observations = episodes_of(table["obs"], where, "obs")
    rewards = episodes_of(table["rews"], where, "rews")[1] if "rews" in table.column_names else None
    terminal = column(flags(rows_of(table["terminal"], where, "terminal"), where, "terminal"), where, "terminal")
    by_clock = None
    if "infos" in table.column_names:
        by_clock = clocked([_last_info(infos) for infos in table["infos"].to_pylist()], where)
    return by_flag(where, observations, actions, rewards, lengths, terminal.astype(np.bool_), by_clock)


def _last_info(texts: Any) -> dict[str, object]:
    """What the last info of a trajectory says of the clock; nothing, if that is not plain JSON."""
    try:
        info = json.loads(texts[-1])
        said = info.get("TimeLimit.truncated")
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError):
        return {}
    return {"TimeLimit.truncated": said} if isinstance(said, bool) else {}


def _plain(table: Any, where: str) -> Demonstrations:
    names = table.column_names
    require(where, names, ("observations", "actions"), "a dataset of demonstrations")
    optional = [n for n in ("rewards", "next_observations", "terminated", "truncated") if n in names]
    if "episode" in names:
        given = {name: rows_of(table[name], where, name) for name in ("observations", "actions", *optional)}
        labels = np.asarray(table["episode"].to_pylist())
        return from_arrays(**given, episode=labels, source=where)  # type: ignore[arg-type]  # no spaces among them
    if not _nested(table["actions"]):
        raise DemoError(
            f"{where}: with one row a step there must be a column 'episode', or D4RL's 'terminals'; the columns are "
            f"{', '.join(names)}. Or use Demonstrations.from_dataframe(dataset.to_pandas(), ...)."
        )
    lists: dict[str, Any] = {}
    for name in ("observations", "actions", *optional):
        if _nested(table[name]):
            lengths, rows = episodes_of(table[name], where, name)
            lists[name] = np.split(rows, np.cumsum(lengths)[:-1])
        else:
            lists[name] = rows_of(table[name], where, name)
    return from_arrays(**lists, source=where)


def read_lerobot(path: Path, time_limit: int | None = None) -> Demonstrations:
    """Demonstrations from a LeRobot dataset of version 2 or 3 (https://huggingface.co/docs/lerobot).

    `meta/info.json` states the features, and `data/**/*.parquet` has one row a frame. The observation is all numbers
    among the features `observation…`, by name one after the other; videos and images are left out, and a note names
    both. `next.reward` is the reward. `next.done` marks the last frame of an episode, and does not say whether the task
    or the clock ended it: it is read as a termination, unless that is step `time_limit`.

    Raises DemoError if pyarrow is not installed, if files are missing or damaged, if an episode lacks frames, or if
    `next.done` marks a frame before the last.
    """
    where = str(path)
    features = _features(path)
    seen = sorted(n for n, kind in features.items() if n.startswith("observation") and kind not in _MEDIA)
    media = sorted(n for n, kind in features.items() if n.startswith("observation") and kind in _MEDIA)
    require(where, features, _STEPS, "a LeRobot dataset")
    if not seen:
        raise DemoError(f"{where}: there must be numbers among the observations; the features are {features}.")
    wanted = [*seen, *_STEPS, *(n for n in ("next.reward", "next.done") if n in features)]
    table = _parquet(path, wanted)
    episode, frame = (column(rows_of(table[name], where, name), where, name) for name in _STEPS[:2])
    order = np.lexsort((frame, episode))
    episode, frame = episode[order].astype(np.int64), frame[order].astype(np.int64)
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1)) if len(episode) else np.zeros(0, np.int64)
    lengths: Ints = np.diff(np.append(starts, len(episode)))
    expected = np.arange(len(frame)) - np.repeat(starts, lengths)
    if not np.array_equal(frame, expected):
        row = int(np.argmax(frame != expected))
        raise DemoError(
            f"{where}: the frames of an episode must be 0, 1, 2, …; episode {episode[row]} has frame {frame[row]} in "
            f"the place of {expected[row]}. Download the dataset again."
        )

    def rows(name: str) -> Array:
        return rows_of(table[name], where, name)[order]

    observations = np.concatenate([o[:, None] if o.ndim == 1 else o for o in map(rows, seen)], axis=1)
    notes = [f"The observation is {', '.join(seen)}, one after the other."]
    if media:
        notes.append(f"Left out, because they are not numbers: {', '.join(media)}.")
    terminated = np.zeros(len(lengths), dtype=bool)
    if "next.done" in features:
        marks = flags(column(rows("next.done"), where, "next.done"), where, "next.done")
        terminated = last_marks(marks, lengths, where, "next.done") & (lengths != time_limit)
        notes += [SINGLE_FLAG_NOTE] if terminated.any() and time_limit is None else []
    else:
        notes.append(UNMARKED_NOTE)
    return assemble_rows(
        where,
        observations=observations,
        actions=rows("action"),
        rewards=rows("next.reward") if "next.reward" in features else None,
        lengths=lengths,
        terminated=terminated,
        notes=notes,
    )


_MEDIA = ("image", "video", "string", "language")


def _features(path: Path) -> dict[str, str]:
    """The features of a LeRobot dataset and the type of each."""
    info_file = path / "meta" / "info.json"
    try:
        info = json.loads(info_file.read_text(encoding="utf-8"))
        version = str(info["codebase_version"])
        features = {str(name): str(feature["dtype"]) for name, feature in info["features"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DemoError(f"{info_file}: this must be the JSON that LeRobot writes ({error!r}).") from error
    if not version.startswith(("v2.", "v3.")):
        raise DemoError(f"{info_file}: versions 2 and 3 of LeRobot's layout are read; this one is {version!r}.")
    return features


def _parquet(path: Path, wanted: list[str]) -> Any:
    if find_spec("pyarrow") is None:
        raise DemoError(f"{path}: LeRobot's folders need the package pyarrow; {_INSTALL}")
    import pyarrow
    from pyarrow import parquet

    files = sorted((path / "data").rglob("*.parquet"))
    if not files:
        raise DemoError(f"{path}: there must be parquet files in its folder 'data'; there are none. Download it again.")
    try:
        return pyarrow.concat_tables([parquet.read_table(file, columns=wanted) for file in files])
    except _BROKEN as error:
        raise DemoError(f"{path}: its parquet files cannot be read ({error}). Download it again.") from error


# Columns of Arrow as arrays


def _nested(values: Any) -> bool:
    import pyarrow

    kind = values.type
    kind = getattr(kind, "storage_type", kind)
    return bool(pyarrow.types.is_nested(kind))


def rows_of(values: Any, where: str, name: str) -> Array:
    """A column as (N, …): one number or one array of a fixed shape in each cell."""
    return _stacked(_whole(values), where, name)


def episodes_of(values: Any, where: str, name: str) -> tuple[Ints, Array]:
    """A column of lists as the length of each, (E,), and all their rows, (ΣT, …)."""
    array = _whole(values)
    if not _nested(array):
        raise DemoError(f"{where}: '{name}' must have one list for each episode; it has {array.type}.")
    lengths = np.asarray(array.value_lengths().to_numpy(zero_copy_only=False), dtype=np.int64)
    return lengths, _stacked(_storage(array.flatten()), where, name)


def _whole(values: Any) -> Any:
    whole = values.combine_chunks()
    return _storage(whole.chunk(0) if hasattr(whole, "num_chunks") else whole)


def _storage(array: Any) -> Any:
    return getattr(array, "storage", array)


def _stacked(array: Any, where: str, name: str) -> Array:
    if array.null_count:
        raise DemoError(f"{where}: '{name}' must not have gaps; {array.null_count} entries are null.")
    if not _nested(array):
        return numbers(array.to_numpy(zero_copy_only=False), where, name)
    sizes = np.unique(array.value_lengths().to_numpy(zero_copy_only=False))
    if len(sizes) > 1:
        raise DemoError(f"{where}: '{name}' must have rows of one shape; some have {sizes[0]} and some {sizes[-1]}.")
    inner = _stacked(_storage(array.flatten()), where, name)
    return inner.reshape(len(array), int(sizes[0]) if len(sizes) else 0, *inner.shape[1:])
