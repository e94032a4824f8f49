"""The application that commands register with."""

from typing import Annotated

import typer

import toylab

app = typer.Typer(
    help=toylab.__doc__,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(toylab.__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
