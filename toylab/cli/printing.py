"""Tables and bars in a terminal."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from toylab.runs import Run


def progress_bar() -> "Progress":
    """A bar with the time gone and the time left."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip


def print_table(table: "Table") -> None:
    """To a terminal in its width, elsewhere in one that cuts nothing."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def tables_of(folder: "Run", ledger: bool = False) -> "dict[str, list[list[str]]]":
    """Title -> table, of a run's results or of its error ledger."""
    return _ledger(folder) if ledger else _tables(folder)


def _tables(folder: "Run") -> "dict[str, list[list[str]]]":
    """Title -> table, of a run's results."""
    from toylab.results import attacked_summary, summary

    over = f"mean ± 95 % interval over {len(folder.seeds)} seeds"
    tables = {over: summary(folder.rows)}
    tables[f"displacement under attack, largest budget: {over}"] = attacked_summary(folder.rows)
    return {title: table for title, table in tables.items() if table}


def _ledger(folder: "Run") -> "dict[str, list[list[str]]]":
    """The same of its error ledger."""
    from toylab.ledger import accounts, table

    over = f"mean ± 95 % interval over {len(folder.seeds)} seeds"
    return {f"{quantity}, part by part: {over}": table(of) for quantity, of in accounts(folder.rows).items()}


def print_run(folder: "Run", ledger: bool = False) -> None:
    """Its tables; and its files, unless the ledger alone is asked for."""
    from rich.table import Table

    for title, lines in tables_of(folder, ledger).items():
        table = Table(*lines[0], title=title, box=None)
        for line in lines[1:]:
            table.add_row(*line)
        print_table(table)
    if ledger:
        return
    for path in sorted(p for p in folder.path.rglob("*") if p.is_file()):
        typer.echo(path)
