"""Reports of runs, tables and bars in a terminal."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress
    from rich.table import Table

    from toylab.report import Report
    from toylab.runs import Run

_WIDE = 500


def progress_bar(err: bool = False, quiet: bool = False, memory: float = 30.0) -> "Progress":
    """A bar with the time gone and the time left; err: on standard error; quiet: nothing of it is left when done, and
    nothing is said where there is no terminal; memory: seconds whose speed tells the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=err)
    return Progress(
        TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        console=console, transient=quiet, disable=quiet and not console.is_terminal, speed_estimate_period=memory,
    )  # fmt: skip


def print_table(table: "Table") -> None:
    """To a terminal in its width, elsewhere in one that cuts nothing."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=_WIDE)).print(table)


def print_lines(title: str, lines: "Sequence[Sequence[str]]") -> None:
    """Heading and lines as a table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(*map(escape, lines[0]), title=escape(title), box=None)
    for line in lines[1:]:
        table.add_row(*map(escape, line))
    print_table(table)


def print_report(report: "Report") -> None:
    """Its tables and its footnote."""
    for title, lines in report.tables.items():
        print_lines(title, lines)
    if report.footnote:
        typer.echo(report.footnote)


def print_run(folder: "Run") -> None:
    """The summary of its results, and its files; of the cells of a sweep the folders."""
    from toylab import report
    from toylab.runs import CELLS, LOCK

    print_report(report.tables(folder))
    inside = {path: path.relative_to(folder.path).parts for path in sorted(folder.path.rglob("*"))}
    for path, parts in inside.items():
        if len(parts) == 2 if parts[0] == CELLS else path.is_file() and path.name != LOCK:
            typer.echo(path)
