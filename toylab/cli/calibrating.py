"""What checks the laboratory itself: `toylab calibrate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toylab import index
from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.printing import print_lines, progress_bar, say
from toylab.cli.writing import checked_output, written

if TYPE_CHECKING:
    from toylab.calibration import Case, Outcome

_REPLICATIONS = 1000


@command("toylab calibrate outlier-mass --replications 50")
def calibrate(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC", help="Metrics; by default all.", autocompletion=completing.names(index.METRICS)
        ),
    ] = None,
    replications: Annotated[
        int, typer.Option(min=50, max=1_000_000, help="How often each case is measured.")
    ] = _REPLICATIONS,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page as Markdown.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.md", help="Write the page there, as Markdown.")
    ] = None,
) -> None:
    """Measure metrics where the answer is known, and count how often their 95 % interval holds it: 0 if all do as
    often as they should, 1 if not."""
    if output is not None:
        checked_output(output, ".md")
    from toylab import calibration

    outcomes = _measured(calibration.chosen(names or []), replications)
    command = " ".join(["toylab calibrate", *(names or [])])
    if replications != _REPLICATIONS:
        command += f" --replications {replications}"
    if output is not None:
        written(output, calibration.markdown(outcomes, f"{command} -o {output}"))
        say(output)
    elif markdown:
        say(calibration.markdown(outcomes, f"{command} --markdown"), nl=False)
    else:
        title = f"{replications} measurements of each, by the seeds 0 to {replications - 1}"
        print_lines(title, calibration.table(outcomes))
    missed = calibration.missed(outcomes)
    for line in missed:
        say(f"error: {line}", err=True)
    if missed:
        raise typer.Exit(1)


def _measured(cases: "list[Case]", replications: int) -> "list[Outcome]":
    """Under a bar beside the output, where there is a terminal."""
    from toylab.calibration import calibrate

    outcomes = []
    with progress_bar(err=True, quiet=True) as bar:
        task = bar.add_task("starting", total=None)
        for progress in calibrate(cases, replications):
            bar.update(task, description=progress.label, completed=progress.done, total=progress.total)
            if progress.outcome is not None:
                outcomes.append(progress.outcome)
    return outcomes
