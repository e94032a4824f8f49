"""What shows runs to others: `toylab report`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.printing import say
from toylab.cli.writing import checked_output, written


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
    checked_output(output, ".html", ".htm")
    from toylab import page

    shown = page.read(runs)
    command = shlex.join(["toylab", "report", *(each.name for each in shown), "-o", output.name])
    written(output, page.html(shown, command))
    say(output)
