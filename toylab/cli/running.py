"""What runs an experiment: `toylab run`."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toylab import index
from toylab.cli.app import app
from toylab.cli.printing import print_run
from toylab.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toylab.launch import Launch
    from toylab.runs import Run


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(index.EXPERIMENTS)}.")],
    preset: Annotated[str | None, typer.Option(help="Usually smoke, default (the default) or paper.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings from a .toml or .json file.")] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds, trained together.")] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="Only these methods.")] = None,
    device: Annotated[str, typer.Option(help="auto (cuda if there is one, else cpu), cpu, cuda or mps.")] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where run folders are kept.")] = Path("runs"),
    fresh: Annotated[bool, typer.Option(help="Neither reuse nor resume: run anew in a new folder.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let FILE name code, module:object, which is imported and run.")
    ] = False,
) -> None:
    """Run an experiment: train, sample, measure, draw. Example: toylab run gmm-outliers --preset smoke"""
    from toylab import launch, outside
    from toylab.configuration import assignments

    changes = [assignments(settings or []), {k: v for k, v in {"seed": seed, "seeds": seeds}.items() if v is not None}]
    chosen = None if methods is None else [method.strip() for method in methods.split(",")]
    outside.admit(*outside.named(changes))  # typed here; a file's names are another matter
    configured = launch.configure(name, preset, config, changes, chosen, allow_code)
    launched = launch.prepare(configured, device, out, fresh)
    finished = launched.folder.finished
    if finished:
        typer.echo(
            f"reusing the run finished {finished['date']} with toylab {finished['version']}; --fresh runs it anew"
        )
    else:
        if configured.preset in configured.experiment.untried:
            typer.echo(f"note: the preset '{configured.preset}' of {name} has never been run to its end by its authors")
        carry_out(launched)
    print_run(launched.folder)


def carry_out(launched: "Launch", err: bool = False) -> None:
    """Carry a launch out under a progress bar with the time left; err: on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    typer.echo(f"writing to {launched.folder.path}", err=err)
    with reported(launched.folder), Progress(*columns, console=Console(stderr=err)) as bar:
        task = bar.add_task("starting", total=None)
        for progress in launched.carry_out():
            bar.update(task, description=progress.label, completed=progress.done, total=progress.total)
        bar.update(task, description="done")


@contextmanager
def reported(folder: "Run") -> "Iterator[None]":
    """Exit 130 when interrupted, 1 when whatever it is fails, with one line; the full account goes to the log."""
    try:
        yield
    except KeyboardInterrupt:
        folder.log("interrupted")
        typer.echo(f"interrupted; the same command goes on in {folder.path}", err=True)
        raise typer.Exit(130) from None
    except Exception as error:
        import traceback

        folder.log(traceback.format_exc())
        typer.echo(f"error: the run failed: {one_line(error)} (see {folder.path}/log.txt)", err=True)
        raise typer.Exit(1) from None
