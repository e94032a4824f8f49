"""The application that commands register with."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

import toylab

app = typer.Typer(
    help=toylab.__doc__,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(*example: str, name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command. example: lines below its help that work as they are typed, one after the other."""
    lines = "".join(f"\n  {line}" for line in example)
    return app.command(name, epilog=f"\b\nExample:{lines}")  # after \b lines are not wrapped


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(toylab.__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
