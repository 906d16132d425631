"""`load_demos`: from a name, a path or a dataset id to Demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from os import PathLike
from pathlib import Path

from irl_probe._words import did_you_mean
from irl_probe.demos.assembly import with_time_limit
from irl_probe.demos.demonstrations import DemoError, Demonstrations
from irl_probe.demos.readers.d4rl import read_d4rl
from irl_probe.demos.readers.hugging_face import read_folder
from irl_probe.demos.readers.iq_learn import read_iq_learn
from irl_probe.demos.readers.minari import read_minari
from irl_probe.demos.readers.npz import read_npz
from irl_probe.demos.readers.robomimic import is_robomimic, read_robomimic

SUFFIXES = (".npz", ".hdf5", ".h5", ".npy", ".pkl")
_MINARI = "minari:"


def bundled_demos() -> tuple[str, ...]:
    """The names of the demonstrations that come with the package, sorted."""
    folder = files("irl_probe.demos") / "data"
    return tuple(sorted(f.name.removesuffix(".npz") for f in folder.iterdir() if f.name.endswith(".npz")))


def load_demos(
    source: str | Path,
    *,
    episodes: int | Sequence[int] | None = None,
    subsample: int | None = None,
    time_limit: int | None = None,
    env_id: str | None = None,
) -> Demonstrations:
    """Demonstrations from the package, a file or a Minari dataset.

    Args:
        source: a bundled name ("CartPole-v1"); "minari:<dataset id>"; or a path: .npz (of `save_demos`, the flat
            layout, imitation, or D4RL's keys), .hdf5 or .h5 (D4RL's keys, or robomimic), .npy or .pkl (IQ-Learn's dict
            of lists or rows of its memory, read without running the pickle), or a folder (of `datasets`, also
            imitation's, or of LeRobot). For arrays of your own see `Demonstrations.from_arrays`.
        episodes: the number of episodes, from the first, or a list of their positions; all by default.
        subsample: k, to use every k-th step of each episode from its first, and terminal steps, with their true
            successors.
        time_limit: the environment's limit in steps, for files that mark it as termination: an end at that step is
            read as a truncation. IQ-Learn's files, imitation's without infos, D4RL's without timeouts, robomimic's and
            LeRobot's have one flag for both: without this argument each marked end counts as a termination, and
            `describe()` says so.
        env_id: the Gymnasium id, if the file states none or another one.

    Raises DemoError, a ValueError, if the source is unknown, empty, damaged, lacks keys, asks to run code, has shapes
    that do not fit or numbers that are not finite, or if an episode does not exist.
    """
    demos = _read(source, time_limit)
    if time_limit is not None:
        demos = with_time_limit(demos, time_limit)
    if env_id is not None:
        if not isinstance(env_id, str):
            raise DemoError(f"'env_id' must be a string, such as 'CartPole-v1'; got {env_id!r}.")
        demos = replace(demos, env_id=env_id)
    if episodes is not None:
        demos = demos.episodes(episodes)
    if subsample is not None:
        demos = demos.subsample(subsample)
    return demos


def _read(source: str | Path, time_limit: int | None) -> Demonstrations:
    if not isinstance(source, str | PathLike):
        raise DemoError(
            f"Demonstrations must be named by a string or a path; got {type(source).__name__}. Give arrays to "
            "Demonstrations.from_arrays, a table to from_dataframe, a Minari dataset to from_minari."
        )
    name = str(source)
    if isinstance(source, str) and name.startswith(_MINARI):
        return read_minari(name.removeprefix(_MINARI))
    if isinstance(source, str) and name in bundled_demos():
        with as_file(files("irl_probe.demos") / "data" / f"{name}.npz") as path:
            return read_npz(path)
    path = Path(source)
    if not path.exists():
        raise DemoError(_unknown(source, path))
    if path.is_dir():
        return read_folder(path, time_limit)
    if path.suffix not in SUFFIXES:
        raise DemoError(
            f"{path}: demonstrations are read from {', '.join(SUFFIXES)}; got '{path.suffix or path.name}'. Read a "
            "table, such as a .csv, with pandas or polars and give it to Demonstrations.from_dataframe."
        )
    try:
        if path.stat().st_size == 0:
            raise DemoError(f"{path} is empty (0 bytes). Download or write it again.")
        if path.suffix == ".npz":
            return read_npz(path, time_limit)
        if path.suffix in (".hdf5", ".h5"):
            return (read_robomimic if is_robomimic(path) else read_d4rl)(path, time_limit)
        return read_iq_learn(path)
    except OSError as error:
        raise DemoError(f"{path} cannot be opened ({error}).") from error


def _unknown(source: str | Path, path: Path) -> str:
    bundled = bundled_demos()
    if path.suffix in SUFFIXES or path.parent != Path():
        siblings = [f.name for f in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path, [str(path.parent / name) for name in siblings])
        return f"There is no file '{path}'.{hint} Give the path of a {', '.join(SUFFIXES)} file."
    hint = did_you_mean(source, bundled)
    return (
        f"No demonstrations called '{source}' come with the package.{hint} Bundled: {', '.join(bundled) or 'none'}. "
        f"Otherwise give a path ({', '.join(SUFFIXES)}) or '{_MINARI}<dataset id>'."
    )
