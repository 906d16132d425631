"""The log of a run: JSON lines, TensorBoard, and a progress bar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch.utils.tensorboard import SummaryWriter

from irl_probe.learn.folder import write_atomically

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
    """Shows the progress of a run: a bar with the latest figures and returns, lines of returns, or nothing."""

    def __init__(self, progress: Progress | None = None, task: TaskID | None = None, lines: Console | None = None):
        self._progress, self._task, self._lines, self._returns = progress, task, lines, ""

    def move(self, step: int) -> None:
        """Show how many steps are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=step)

    def show(self, row: Row) -> None:
        """Show the figures of a row; the returns of an evaluation stay until the next one."""
        figures = [f"{name} {value:.4g}" for name, value in row.items() if name != "step"]
        if "return_mean" in row:
            figures, self._returns = [], f"return {row['return_mean']:.4g} ± {row['return_sd']:.2g}"
            if self._lines is not None:
                self._lines.print(f"step {row['step']:.0f}: {self._returns}", highlight=False)
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, figures="  ".join([self._returns, *figures]))


class _Speed(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.0f} steps/s")


@contextmanager
def progress_bar(title: str, total: int, *, start: int, shown: bool) -> Iterator[Bar]:
    """A bar on standard error, with steps a second and the time left; nothing unless `shown`.

    Where standard error is not a terminal, each evaluation prints one line instead.
    """
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield Bar(lines=console if shown else None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task(title, total=total, completed=start, figures=""))
