"""What joins the benchmark: `toylab benchmark`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toylab import index
from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.options import Device, Runs
from toylab.cli.printing import print_lines, say
from toylab.cli.running import carry_out
from toylab.cli.writing import checked_output, written
from toylab.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toylab.launch import Configured
    from toylab.runs import Run
    from toylab.suite.records import Line


@command("toylab benchmark trimmed")
def benchmark(
    objectives: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OBJECTIVE...",
            help="Names of toylab list, or module:object: code of your own.",
            autocompletion=completing.objectives,
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Every objective of toylab list as well.")] = False,
    preset: Annotated[
        str,
        typer.Option(
            help="smoke or default; a smoke score means nothing.", autocompletion=completing.words("smoke", "default")
        ),
    ] = "default",
    device: Device = "auto",
    out: Runs = Path("runs"),
    beside: Annotated[
        list[Path] | None, typer.Option(metavar="FILE.csv", help="Others' record, beside; may be repeated.")
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a page (.md) or a record (.csv); may be repeated."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
) -> None:
    """Score objectives on a fixed suite of tasks beside the built-in ones.

    Runs that are finished in DIR are reused. Code named here is imported and run; keep it in one file or package, by
    whose hash its runs are kept.
    """
    for path in output or []:
        checked_output(path, ".md", ".csv")
    if not objectives and not everyone:
        raise BadInput("name an objective of toylab list, or one of your own as module:object, or give --all")
    from toylab import summaries
    from toylab.suite import records
    from toylab.suite.page import page
    from toylab.suite.scores import table
    from toylab.suite.tasks import BASELINE

    others = [records.read(path, preset) for path in beside or []]
    names = [BASELINE, *(objectives or []), *(index.OBJECTIVES if everyone else [])]
    own = records.record_of(_measured(dict.fromkeys(names), preset, device, out))
    board = [own, *others, *filter(None, [records.shipped(preset)])]
    command = shlex.join(["toylab", *sys.argv[1:]])
    for path in output or []:
        written(path, records.to_csv(own, preset) if path.suffix == ".csv" else page(board, preset, command))
    for title, field in (("by samples: 0 exact, 1 plain denoising", False), ("by the field: the same of ε", True)):
        lines = table(board, field)
        if markdown:
            say(f"{summaries.markdown(lines)}\n")
        else:
            print_lines(title, lines)


def _measured(names: "Iterable[str]", preset: str, device: str, root: Path) -> "list[Line]":
    """Run what is not finished, of these in their order; then the lines of all that is finished in the root."""
    from toylab.suite.entries import Entry

    entries = [Entry.of(name) for name in names]
    todo = [(entry, task, entry.configured(task, preset)) for entry in entries for task in entry.tasks]
    for entry in entries:
        _ = entry.evaluations  # told before anything is trained where it cannot be
    runs: dict[str, dict[str, Run]] = {entry.name: {} for entry in entries}
    for number, (entry, task, configured) in enumerate(todo, start=1):
        say(f"{number} of {len(todo)}: {entry.name}, {task}", err=True)
        runs[entry.name][task] = _carried_out(configured, device, root)
    found = [(entry, runs[entry.name]) for entry in entries]
    for entry in (Entry.of(name) for name in index.OBJECTIVES if name not in runs):
        if finished := entry.finished(preset, device, root):
            found.append((entry, finished))
    return [line for entry, of in found for line in entry.lines(of)]


def _carried_out(configured: "Configured", device: str, root: Path) -> "Run":
    from toylab import launch

    launched = launch.prepare(configured, device, root)
    if not launched.folder.finished:
        carry_out(launched, err=True)
    return launched.folder
