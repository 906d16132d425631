"""A cell: one policy in one variant with one seed, in a folder of its own, so that what is done is never done again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irl_probe.learn.checkpoints import write_atomically
from irl_probe.learn.errors import CheckpointError
from irl_probe.learn.loop import CHECKPOINT

RESULT = "cell.json"


@dataclass(frozen=True)
class Cell:
    """Where the result of one policy in one variant with one seed is kept, and what it was made from.

    Attributes:
        folder: its own; None keeps nothing.
        made_from: everything that the result depends on, as plain values.
    """

    folder: Path | None
    made_from: Mapping[str, Any]

    @property
    def run(self) -> Path | None:
        """The folder of its training run."""
        return None if self.folder is None else self.folder / "run"

    def resume(self) -> bool:
        """Whether a training run was begun that can go on; one without a checkpoint is cleared away."""
        if self.run is None or not self.run.exists():
            return False
        if (self.run / CHECKPOINT).is_file():
            return True
        shutil.rmtree(self.run)
        return False

    def result(self, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the folder holds, or else what `compute` gives, kept there whole or not at all.

        Raises CheckpointError where the folder holds the result of something else (the differences are named).
        """
        if self.folder is None:
            return compute()
        path = self.folder / RESULT
        if path.is_file():
            return self._read(path)
        found = compute()
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"made_from": self.made_from, "result": found}, indent=2)
        write_atomically(path, lambda file: file.write(text.encode()))
        return found

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            kept = json.loads(path.read_text())
            before, result = kept["made_from"], kept["result"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} must hold a cell's result; it does not ({error}). Remove it.") from error
        now = json.loads(json.dumps(self.made_from))
        differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if differing:
            name = differing[0]
            raise CheckpointError(
                f"The results in {self.folder} were made from something else: {', '.join(differing)} (it was "
                f"{before.get(name)!r}, now {now.get(name)!r}). Name another folder, or remove that one."
            )
        return dict(result)


def cell_folder(out: Path | None, variant: str, policy: str, seed: int) -> Path | None:
    """out/<variant>/<policy>/seed-<seed>, in letters that every file system takes."""
    if out is None:
        return None
    return out / _plain(variant) / _plain(policy) / f"seed-{seed}"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", name.replace("′", "2")).strip("-")
