"""What shows runs to others: `toylab report`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from toylab.cli import completing
from toylab.cli.app import command
from toylab.errors import BadInput


@command("toylab report figures/gmm-outliers -o report.html")
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, or folders of figures/.", autocompletion=completing.runs),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.html", help="Where the page goes; replaced if it is there.")
    ] = Path("report.html"),
) -> None:
    """Write one HTML page of a run, or of several compared, that needs nothing else: tables, charts, figures, ledger,
    claims, settings."""
    if output.suffix not in {".html", ".htm"} or not output.parent.is_dir() or output.is_dir():
        raise BadInput(f"-o must name a .html file in an existing folder, not {output}")
    from toylab import page
    from toylab.files import write_whole

    shown = page.read(runs)
    command = shlex.join(["toylab", "report", *(each.name for each in shown), "-o", output.name])
    try:
        write_whole(output, page.html(shown, command))
    except OSError as error:
        raise BadInput(f"cannot write {output}: {error.strerror}") from None
    typer.echo(output)
