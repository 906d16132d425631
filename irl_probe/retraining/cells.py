"""The folders of a study: the result of each policy and seed, reused only if it was made from the same things."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irl_probe._config import check_kind
from irl_probe.learn.folder import CheckpointError, differences, write_atomically
from irl_probe.learn.run import DESCRIPTION

RESULT = "cell.json"


@dataclass(frozen=True)
class Cell:
    """The folder of one policy's result for one seed, and what the result was made from.

    Attributes:
        folder: its own; None writes nothing to disk.
        made_from: everything that the result depends on, as plain values.
    """

    folder: Path | None
    made_from: Mapping[str, Any]

    @property
    def run(self) -> Path | None:
        """The folder of its training run."""
        return None if self.folder is None else self.folder / "run"

    def resume(self) -> bool:
        """Whether a training run was begun that can go on; a folder without one is cleared away."""
        if self.run is None or not self.run.exists():
            return False
        if (self.run / DESCRIPTION).is_file():
            return True
        shutil.rmtree(self.run)
        return False

    def result(self, compute: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The result in the folder, or else that of `compute`, which is then written there, whole or not at all.

        Raises CheckpointError where the folder holds the result of something else (the differences are named).
        """
        if self.folder is None:
            return dict(compute())
        path = self.folder / RESULT
        if path.is_file():
            return self._read(path)
        found = dict(compute())
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"made_from": self.made_from, "result": found}, indent=2)
        write_atomically(path, lambda file: file.write(text.encode()))
        return found

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            written = json.loads(path.read_text())
            before, result = dict(written["made_from"]), dict(written["result"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} must hold a cell's result; it does not ({error}). Remove it.") from error
        now = json.loads(json.dumps(self.made_from))
        shared = before.keys() & now.keys()  # older results do not say all
        found = differences({name: before[name] for name in shared}, {name: now[name] for name in shared})
        if found:
            raise CheckpointError(
                f"The results in {self.folder} were made from something else: {'; '.join(found)}. "
                "Name another folder, or remove that one."
            )
        return result


def cell_folder(out: Path | None, *names: str, seed: int) -> Path | None:
    """out/<name>/…/seed-<seed>, in letters that every file system takes."""
    return None if out is None else out.joinpath(*map(_plain_name, names), f"seed-{seed}")


def how_to_go_on(out: Path | None) -> str:
    """What to say after an interruption."""
    if out is None:
        return "Interrupted; nothing was saved, since no folder was given (out=)."
    return f"Interrupted; the finished part is in {out}, and the same call goes on there."


def check_cells(out: Path | None, names: Sequence[str]) -> None:
    """Raise unless `out` can be a folder and each name (of a reward, a policy) has one of its own in it."""
    for name in names:
        check_kind(name, str, "The name of a reward", "Write a string.")
    if out is None:
        return
    if file := next((place for place in (out, *out.parents) if place.is_file()), None):
        raise ValueError(f"Results go into a folder; {file} is a file. Name another one (out=).")
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(_plain_name(name), name)
        if other != name:
            raise ValueError(
                f"Names must differ in more than spaces and punctuation, which folders' names leave out; got {other!r} "
                f"and {name!r}."
            )


def _plain_name(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", name.replace("′", "2")).strip("-")
