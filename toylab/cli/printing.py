"""Tables in a terminal."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from toylab.runs import Run


def print_table(table: "Table") -> None:
    """To a terminal in its width, elsewhere in one that cuts nothing."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def print_lines(title: str, lines: "Sequence[Sequence[str]]") -> None:
    """Heading and lines as a table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(*map(escape, lines[0]), title=escape(title), box=None)
    for line in lines[1:]:
        table.add_row(*map(escape, line))
    print_table(table)


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
    for title, lines in tables_of(folder, ledger).items():
        print_lines(title, lines)
    if ledger:
        return
    for path in sorted(p for p in folder.path.rglob("*") if p.is_file()):
        typer.echo(path)
