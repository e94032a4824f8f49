"""The command line: parsing and printing only."""

import os
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import toylab
from toylab import index
from toylab.errors import BadInput, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from toylab.experiments.experiment import Experiment
    from toylab.runs import Run

app = typer.Typer(
    help=toylab.__doc__,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SECTIONS = (
    index.EXPERIMENTS, index.OBJECTIVES, index.LAWS, index.CONTAMINATIONS,
    index.SCHEDULES, index.SAMPLERS, index.METRICS,
)  # fmt: skip

# typer carries a click of its own in new releases and uses the package of that name in old ones
(_UsageError,) = (c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> NoReturn:
    """The entry point. Exit codes: 0 done, 1 the run failed, 2 bad input, 130 interrupted."""
    # OpenMP's threads otherwise spin while they wait for each other: with one core taken by another process,
    # a step of a small network then takes tens of times as long. Read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(standalone_mode=False)
    except BadInput as error:
        typer.echo(f"error: {error}", err=True)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Exception as error:
        if not isinstance(error, _UsageError):
            raise
        message = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
        typer.echo(f"error: {message} (toylab --help lists what there is)", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(toylab.__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_() -> None:
    """List every experiment, objective, law, contamination, schedule, sampler and metric."""
    for section in _SECTIONS:
        typer.echo(f"{section.kind}s")
        width = max(len(name) for name in section)
        for name, entry in section.items():
            typer.echo(f"  {name:<{width}}  {entry.summary}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(index.EXPERIMENTS)}.")],
    preset: Annotated[str | None, typer.Option(help="smoke, default or paper.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings from a .toml or .json file.")] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds, trained together.")] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="Only these methods.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where run folders are kept.")] = Path("runs"),
    fresh: Annotated[bool, typer.Option(help="Neither reuse nor resume: run anew in a new folder.")] = False,
) -> None:
    """Run an experiment: train, sample, measure, draw. Example: toylab run gmm-outliers --preset smoke"""
    experiment: Experiment = index.EXPERIMENTS.load(name)
    given: dict[str, Any] = {"seed": seed, "seeds": seeds}
    changes = {key: value for key, value in given.items() if value is not None}
    settings, preset = _configure(experiment, name, preset, config, assignments or [], changes)
    if methods is not None:
        settings = settings.with_methods([m.strip() for m in methods.split(",")])
    from toylab import runs

    where = _device(device)
    complete = {"experiment": name, "preset": preset, **settings.model_dump(mode="json")}
    folder = runs.open_run(out, complete, where, fresh)
    if folder.finished:
        typer.echo(
            f"reusing the run finished {folder.finished['date']} with toylab {folder.finished['version']};"
            " --fresh runs it anew"
        )
    else:
        if preset in experiment.untried:
            typer.echo(f"note: the preset '{preset}' of {name} has never been run to its end by its authors")
        _carry_out(experiment, settings, folder, where)
    _print_run(folder)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table alone, as Markdown.")] = False,
) -> None:
    """Show a finished run: its settings, table and files. Example: toylab show runs/gmm-outliers-..."""
    folder = _load(path)
    if markdown:
        from toylab import results

        typer.echo(results.markdown(results.summary(folder.rows)))
        return
    made_by = folder.environment
    typer.echo(
        f"{folder.config['experiment']} ({folder.config['preset']}), seeds {folder.seeds[0]} to {folder.seeds[-1]},"
        f" toylab {made_by['toylab']}, torch {made_by['packages']['torch']}, {made_by['device']}"
    )
    _print_run(folder)


@app.command()
def sample(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    method: Annotated[str, typer.Option(help="Which trained method.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Where to write.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many samples.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="The training seed of the model; the first by default.")] = None,
    draw: Annotated[int, typer.Option(min=0, help="The seed of the sampling noise.")] = 0,
    nfe: Annotated[int | None, typer.Option(min=2, help="Steps; the run's by default.")] = None,
) -> None:
    """Draw samples from a trained model into FILE.npz (array `samples`, (n, d))."""
    folder = _load(path)
    if output.suffix != ".npz" or not output.parent.is_dir() or output.is_dir():
        raise BadInput(f"-o must name a .npz file in an existing folder, not {output}")
    import io

    import numpy as np

    from toylab.experiments.pipeline import sample_from

    points = sample_from(folder, method, seed, n, nfe, draw)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, samples=points)
    try:
        output.write_bytes(buffer.getvalue())
    except OSError as error:
        raise BadInput(f"cannot write {output}: {error.strerror}") from None
    typer.echo(f"{n} samples of {method} in {output}")


def _configure(
    experiment: "Experiment",
    name: str,
    preset: str | None,
    file: Path | None,
    assignments: Sequence[str],
    changes: dict[str, Any],
) -> tuple[Any, str]:
    """Preset, then file, then --set, then --seed and --seeds: the later wins. A run's config.json, which names
    its experiment, is complete and takes the preset's place."""
    from toylab.configuration import parse_assignment, read

    loaded = read(file) if file else {}
    is_complete = "experiment" in loaded
    meant, of = loaded.pop("experiment", name), loaded.pop("preset", "default")
    if meant != name:
        raise BadInput(f"{file} is a configuration of {meant}, not of {name}")
    preset = preset or of
    if not isinstance(preset, str):
        raise BadInput(f"preset must be a name, not {preset!r}")
    layers = [*map(parse_assignment, assignments), changes]
    if is_complete:
        return experiment.configure(preset, layers, complete=loaded), preset
    return experiment.configure(preset, [loaded, *layers]), preset


def _device(name: str) -> "torch.device":
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if name not in available:
        raise BadInput(unknown("device", name, ["auto", *available]))
    if not available[name]:
        raise BadInput(
            f"there is no {name} device here; allowed: auto, {', '.join(k for k, v in available.items() if v)}"
        )
    return torch.device(name)


def _load(path: Path) -> "Run":
    from toylab import runs

    return runs.load(path)


def _carry_out(experiment: "Experiment", settings: Any, folder: "Run", device: "torch.device") -> None:
    """Run with a progress bar; exit 130 when interrupted, 1 when it fails."""
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
    typer.echo(f"writing to {folder.path}")
    with _reported(folder), Progress(*columns) as bar:
        task = bar.add_task("starting", total=None)
        for progress in experiment.run(settings, folder, device):
            bar.update(task, description=progress.label, completed=progress.done, total=progress.total)
        bar.update(task, description="drawing")
        from toylab import figures  # slow to import, so once the training is done

        figures.draw(folder, experiment.figures)
        bar.update(task, description="done")
        folder.finish()


@contextmanager
def _reported(folder: "Run") -> "Iterator[None]":
    try:
        yield
    except KeyboardInterrupt:
        folder.log("interrupted")
        typer.echo(f"interrupted; the same command goes on in {folder.path}", err=True)
        raise typer.Exit(130) from None
    except (RuntimeError, ArithmeticError, OSError) as error:
        import traceback

        folder.log(traceback.format_exc())
        typer.echo(f"error: the run failed: {' '.join(str(error).split())} (see {folder.path}/log.txt)", err=True)
        raise typer.Exit(1) from None


def _print_run(folder: "Run") -> None:
    from rich.console import Console
    from rich.table import Table

    from toylab.results import summary

    heading, *lines = summary(folder.rows)
    table = Table(*heading, title=f"mean ± 95 % interval over {len(folder.seeds)} seeds", box=None)
    for line in lines:
        table.add_row(*line)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(table)
    for path in sorted(p for p in folder.path.rglob("*") if p.is_file()):
        typer.echo(path)
