"""The log of a run: JSON lines, TensorBoard, and a progress bar."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic as clock

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch.utils.tensorboard import SummaryWriter

from irl_probe.learn.folder import write_atomically

MINUTE = 60.0  # seconds between two lines of progress where there is no terminal
Row = dict[str, float]


class Log:
    """Rows of figures by step: in memory and, given a folder, in log.jsonl and as TensorBoard events.

    No row holds a time, so a resumed run writes the same bytes as one that was never interrupted.
    """

    def __init__(self, folder: Path | None, rows: list[Row] | None = None) -> None:
        self.rows: list[Row] = list(rows or [])
        self._path: Path | None = None
        self._events: SummaryWriter | None = None
        if folder is not None:
            self._path = folder / "log.jsonl"
            text = "".join(json.dumps(row) + "\n" for row in self.rows)
            write_atomically(self._path, lambda file: file.write(text.encode()))
            after = int(self.rows[-1]["step"]) + 1 if self.rows else 0
            self._events = SummaryWriter(str(folder), purge_step=after)

    def add(self, row: Row) -> None:
        """Add a row (with its "step") everywhere."""
        self.rows.append(row)
        if self._path is not None and self._events is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            for name, value in row.items():
                if name != "step":
                    self._events.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        """Close the event file."""
        if self._events is not None:
            self._events.close()


def read_log(folder: Path) -> list[Row]:
    """The rows in a folder's log.jsonl; [] if there is no such file. A last line that was cut off is left out."""
    path = folder / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class Bar:
    """Shows the progress of a run: a bar with the latest figures and returns, plain lines, or nothing.

    Lines are for where there is no terminal: one a minute with the step, the percentage, the time left and the newest
    return. With `each` an evaluation has a line of its own.
    """

    def __init__(
        self,
        title: str,
        total: int,
        start: int,
        *,
        progress: Progress | None = None,
        lines: Console | None = None,
        each: bool = False,
    ) -> None:
        self._title, self._total, self._lines, self._each = title, total, lines, each
        self._progress, self._returns = progress, ""
        self._task = None if progress is None else progress.add_task(title, total=total, completed=start, figures="")
        self._begun = self._told = clock()
        self._start = start

    def move(self, step: int) -> None:
        """Show how many steps are done."""
        if self._progress is not None and self._task is not None:
            if step % 100 == 0:
                self._progress.update(self._task, completed=step)
        elif self._lines is not None and (now := clock()) - self._told >= MINUTE:
            self._told = now
            left = (self._total - step) * (now - self._begun) / max(1, step - self._start)
            done = f"step {step} of {self._total} ({100 * step / self._total:.0f} %)"
            told = [f"{self._title}: {done}", f"{_duration(left)} left", self._returns]
            self._print(", ".join(filter(None, told)))

    def show(self, row: Row) -> None:
        """Show the figures of a row; the returns of an evaluation stay until the next one."""
        figures = [f"{name} {value:.4g}" for name, value in row.items() if name != "step"]
        if "return_mean" in row:
            figures, self._returns = [], f"return {row['return_mean']:.4g} ± {row['return_sd']:.2g}"
            if self._each:
                self._print(f"step {row['step']:.0f}: {self._returns}")
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, figures="  ".join([self._returns, *figures]))

    def _print(self, line: str) -> None:
        if self._lines is not None:
            self._lines.print(line, highlight=False, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """A duration as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


class _Speed(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f} steps/s")


@contextmanager
def progress_bar(title: str, total: int, *, start: int, progress: bool | None) -> Iterator[Bar]:
    """A bar on standard error, with steps a second and the time left; where that is not a terminal, lines (`Bar`).

    False shows nothing; None shows no line for each evaluation.
    """
    console = Console(stderr=True)
    if progress is False:
        yield Bar(title, total, start)
        return
    if not console.is_terminal:
        yield Bar(title, total, start, lines=console, each=bool(progress))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=console, transient=True) as shown:
        yield Bar(title, total, start, progress=shown)


def tell_tensorboard(folder: Path) -> None:
    """Print how the log of a run is opened while it learns."""
    Console(stderr=True).print(
        f"Learning curves: tensorboard --logdir {shlex.quote(str(folder))}, then open http://localhost:6006",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
