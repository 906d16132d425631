"""The verdict and the main table of the page, in a terminal."""

from __future__ import annotations

import xarray as xr
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from irl_probe.judgement.reading import read
from irl_probe.judgement.verdict import ANSWERED, answers, judge
from irl_probe.report.page import warnings_about
from irl_probe.report.tables import Table, glance_table

COLOURS = {"good": "green", "caution": "yellow", "bad": "red", "open": "bright_black", "note": "bright_black"}
MARKS = {"good": "✓", "caution": "△", "bad": "✕", "open": "○", "note": "·"}


def print_report(tree: xr.DataTree, console: Console | None = None) -> None:
    """Print the verdict, its four answers, the findings, the warnings, and the table that compares the rewards.

    A console without colours gets none, and text from the results is never read as markup.

    Raises ValueError as `write_report` does.
    """
    figures, console = read(tree), console or Console()
    verdict = judge(figures)
    parts: list[Text | RichTable] = [Text(verdict.headline, style="bold"), Text()]
    if verdict.note:
        parts += [Text(verdict.note), Text()]
    grid = RichTable.grid(padding=(0, 2))
    for answer in answers(figures, verdict):
        short = Text(f"{MARKS[answer.tone]} {answer.short}", style=COLOURS[answer.tone])
        grid.add_row(Text(answer.question), short, Text(answer.sentence))
    parts.append(grid)
    findings = [claim for claim in verdict.claims if claim.term not in ANSWERED]
    if findings:
        parts.append(Text())
    for claim in findings:
        parts.append(Text.assemble((f"{MARKS[claim.tone]} ", COLOURS[claim.tone]), claim.sentence))
    title = str(figures.attributes.get("title") or figures.attributes.get("env_id") or "Recovered reward")
    console.print(Panel(Group(*parts), title=Text(title), title_align="left"))
    table = glance_table(figures)
    if table is not None:
        console.print(_rich(table))
    ours, others = warnings_about(figures, verdict.reward)
    for warning in ours:
        console.print(Text.assemble(("! ", "yellow"), warning["text"]))
    if others:
        console.print(Text.assemble(("! ", "yellow"), f"{len(others)} more about the other rewards are on the page."))


def _rich(table: Table) -> RichTable:
    drawn = RichTable(title=Text(table.caption), title_justify="left", title_style="", header_style="bold")
    labels = len(table.rows[0].headings)
    for place, heading in enumerate(table.header):
        drawn.add_column(Text(heading.label), justify="left" if place < labels else "right")
    for row in table.rows:
        cells = [Text(heading.label) for heading in row.headings]
        for cell in row.cells:
            text = f"{cell.text}{' ★' if cell.best else ''}{chr(10) + cell.interval if cell.interval else ''}"
            cells.append(Text(text, style="bold" if cell.best else ""))
        drawn.add_row(*cells)
    return drawn
