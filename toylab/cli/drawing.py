"""What makes the committed figures: `toylab figures`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.options import Device, Runs
from toylab.cli.printing import announce, duration, print_lines, progress_bar, say
from toylab.cli.running import reported
from toylab.errors import BadInput

if TYPE_CHECKING:
    from toylab.gallery import Exhibit

_GALLERY = Path("figures")
_UNKNOWN = 300.0  # seconds: what stands in the bar for a run of which nothing is known


@command("toylab figures gmm-outliers --list")
def figures(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Experiments; by default all that show something.",
            autocompletion=completing.experiments,
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Which settings are run and drawn.", autocompletion=completing.presets)
    ] = "default",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the figures go, a folder for each.")] = _GALLERY,
    runs: Runs = Path("runs"),
    device: Device = "auto",
    redraw: Annotated[
        bool, typer.Option("--redraw", help="Draw finished runs of the same settings, though other sources made them.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say what would be made, and how long it would take.")] = False,
) -> None:
    """Make the figures of experiments, running what is missing."""
    if preset == "smoke" and out.resolve() == _GALLERY.resolve() and not list_:
        raise BadInput(f"smoke runs show nothing and are not drawn into {_GALLERY}; --out DIR names another folder")
    from toylab import gallery

    exhibits = gallery.exhibits(names or [], preset, runs, device, redraw)
    if list_:
        _print_exhibits(exhibits)
    else:
        _make(exhibits, out)


def _make(exhibits: "list[Exhibit]", out: Path) -> None:
    """Run and draw one after the other, under one bar in seconds of the estimates; README after each."""
    from toylab import gallery
    from toylab.experiments.rehearsal import most_memory

    gallery.write_readme(out)  # to be told now, and not after hours, that it cannot be written
    seconds = [found or _UNKNOWN for found in _reckoned(exhibits)]
    announce(sum(seconds), most_memory(exhibits[0].device))
    with progress_bar() as bar:
        task = bar.add_task("starting", total=sum(seconds))
        for number, exhibit in enumerate(exhibits):
            run, before = exhibit.run, sum(seconds[:number])
            if run is None or not run.is_done:
                launched = exhibit.launched()
                run = launched.folder
                with reported(run):
                    for at in launched.carry_out():
                        label = f"{exhibit.name}: {at.label}"
                        bar.update(task, description=label, completed=before + seconds[number] * at.done / at.total)
            gallery.hang(run, exhibit, out)
            gallery.write_readme(out)
            bar.update(task, description=exhibit.name, completed=before + seconds[number])
            bar.console.print(f"{number + 1} of {len(exhibits)}: {out / exhibit.name}", highlight=False, soft_wrap=True)


def _reckoned(exhibits: "list[Exhibit]") -> list[float | None]:
    """Seconds that each takes, under a bar: steps are timed of what has not run before."""
    with progress_bar(err=True, quiet=True) as bar:
        return [exhibit.seconds for exhibit in bar.track(exhibits, description="timing a few steps")]


def _print_exhibits(exhibits: "list[Exhibit]") -> None:
    seconds = _reckoned(exhibits)
    lines = [[of.name, of.state, duration(found)] for of, found in zip(exhibits, seconds, strict=True)]
    print_lines("", [["figures", "run", "takes about"], *lines])
    known = [found for found in seconds if found is not None]
    unknown = len(exhibits) - len(known)
    say(f"in all about {duration(sum(known))}" + (f", and {unknown} not known" if unknown else ""))
