"""Reports of runs, tables, JSON and bars in a terminal."""

import json
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from toylab.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from toylab.report import Report
    from toylab.runs import Run

_WIDE = 500
LONG = 60.0
"""Seconds of a run that are told before it starts."""
_PATIENCE = 60.0  # seconds between two lines that stand for a bar where there is none


def is_plain() -> bool:
    """Whether the user wants text without escape codes, also in a terminal: NO_COLOR (no-color.org), CLICOLOR=0, or a
    terminal that knows none."""
    wishes = os.environ.get
    return bool(wishes("NO_COLOR")) or wishes("CLICOLOR") == "0" or wishes("TERM") in ("dumb", "unknown")


def console(err: bool = False) -> "Console":
    """To a terminal in its width, elsewhere in one that cuts nothing."""
    from rich.console import Console

    width = None if (sys.stderr if err else sys.stdout).isatty() else _WIDE
    if is_plain():
        return Console(stderr=err, width=width, color_system=None, force_terminal=False, highlight=False)
    return Console(stderr=err, width=width)


def progress_bar(err: bool = False, quiet: bool = False, memory: float = 30.0) -> "Progress":
    """A bar with the time gone and the time left; err: on standard error; quiet: nothing of it is left when done, and
    nothing is said where there is no terminal; memory: seconds whose speed tells the time left. Where there is no
    terminal, or the user wants plain text, a line now and then."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    class Lines(Progress):
        """Instead of a bar that moves, a line a minute."""

        said = time.monotonic()

        def update(self, *arguments: Any, **options: Any) -> None:
            super().update(*arguments, **options)
            task = self.tasks[0]
            if not quiet and task.total and time.monotonic() - self.said > _PATIENCE:
                self.said = time.monotonic()
                say(f"{task.description}: {task.percentage:.0f} %", err=err)

    to = console(err)
    kind = Progress if to.is_terminal else Lines
    return kind(
        TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        console=to, transient=quiet, disable=not to.is_terminal, speed_estimate_period=memory,
    )  # fmt: skip


def say(text: object, err: bool = False, nl: bool = True) -> None:
    """Print a text, which may be a stranger's; err: on standard error; nl: end the line."""
    typer.echo(printable(str(text)), err=err, nl=nl)


def print_table(table: "Table") -> None:
    """To a terminal in its width, elsewhere in one that cuts nothing."""
    console().print(table)


def print_json(content: "Mapping[str, Any]") -> None:
    """One JSON document, in ASCII. What is not finite is null, since JSON has no other word for it; paths, and what
    else JSON has no word for, are text."""
    say(json.dumps(_plain(content), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def print_lines(title: str, lines: "Sequence[Sequence[str]]", ruled: bool = False) -> None:
    """Heading and lines as a table; ruled: a rule between them."""
    from rich.markup import escape
    from rich.table import Table

    heading, *rest = [[escape(printable(cell)) for cell in line] for line in lines]
    table = Table(*heading, title=escape(printable(title)) or None, box=None, show_lines=ruled)
    for line in rest:
        table.add_row(*line)
    print_table(table)


def print_report(report: "Report") -> None:
    """Its tables and its footnote."""
    for title, lines in report.tables.items():
        print_lines(title, lines)
    if report.footnote:
        say(report.footnote)


def files_of(folder: "Run") -> list[Path]:
    """The files of a run; of the cells of a sweep the folders."""
    from toylab.runs import CELLS, LOCK

    inside = {path: path.relative_to(folder.path).parts for path in sorted(folder.path.rglob("*"))}
    return [
        path
        for path, parts in inside.items()
        if (len(parts) == 2 if parts[0] == CELLS else path.is_file() and path.name != LOCK)
    ]


def print_run(folder: "Run") -> None:
    """The summary of its results, and its files."""
    from toylab import report

    print_report(report.tables(folder))
    for path in files_of(folder):
        say(path)


def duration(seconds: float | None) -> str:
    """About how long, in words."""
    if seconds is None:
        return "not known"
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def announce(seconds: float, memory: float, how: str = "") -> None:
    """What a long run takes, on standard error, before it starts; memory: bytes."""
    if seconds >= LONG:
        size = f"{memory / 2**30:.1f} GiB of memory"
        say(f"this takes about {duration(seconds)} on this machine{how}, and {size}", err=True)
