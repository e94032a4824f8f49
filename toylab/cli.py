"""The command line: parsing and printing only."""

import io
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

import toylab
from toylab import index, process
from toylab.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from toylab.launch import Launch
    from toylab.report import Report
    from toylab.runs import Run

app = typer.Typer(
    help=toylab.__doc__,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SECTIONS = (
    index.EXPERIMENTS, index.OBJECTIVES, index.LAWS, index.CONTAMINATIONS,
    index.SCHEDULES, index.SAMPLERS, index.SPACINGS, index.ATTACKS, index.AIMS, index.METRICS,
)  # fmt: skip

# typer carries a click of its own in new releases and uses the package of that name in old ones
(_UsageError,) = (c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def main() -> NoReturn:
    """The entry point. Exit codes: 0 done, 1 the run failed, 2 bad input, 130 interrupted."""
    process.settle()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ε and ± shows something else, and goes on
    try:
        code = app(standalone_mode=False)
    except BadInput as error:
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
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
    """List every experiment, objective, law, contamination, schedule, sampler, spacing and metric."""
    for section in _SECTIONS:
        typer.echo(f"{section.kind}s")
        width = max(len(name) for name in section)
        for name, entry in section.items():
            typer.echo(f"  {name:<{width}}  {entry.summary}")


@app.command()
def laws(
    plot: Annotated[str | None, typer.Option(metavar="NAME", help="Draw this law: samples and score fields.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of it; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to draw: NAME.png by default; or .svg.")
    ] = None,
) -> None:
    """Print a table of the exact laws, or draw one. Example: toylab laws --plot swiss-roll --set dim=3"""
    if plot is None:
        if settings or output:
            raise BadInput("--set and -o go with --plot NAME")
        _print_laws()
        return
    from toylab.configuration import Law, assignments, validate

    law = validate(Law, assignments(settings or []) | {"name": plot}).build()
    path = output or Path(f"{plot}.png")
    if path.suffix not in {".png", ".svg", ".pdf"} or not path.parent.is_dir() or path.is_dir():
        raise BadInput(f"-o must name a .png, .svg or .pdf file in an existing folder, not {path}")
    from toylab.figures import draw_law

    try:
        typer.echo(draw_law(law, plot, path))
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}") from None


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
) -> None:
    """Run an experiment: train, sample, measure, draw. Example: toylab run gmm-outliers --preset smoke"""
    from toylab import launch, report
    from toylab.configuration import assignments

    changes = [assignments(settings or []), {k: v for k, v in {"seed": seed, "seeds": seeds}.items() if v is not None}]
    chosen = None if methods is None else [method.strip() for method in methods.split(",")]
    configured = launch.configure(name, preset, config, changes, chosen)
    launched = launch.prepare(configured, device, out, fresh)
    finished = launched.folder.finished
    if finished:
        typer.echo(
            f"reusing the run finished {finished['date']} with toylab {finished['version']}; --fresh runs it anew"
        )
    else:
        if configured.preset in configured.experiment.untried:
            typer.echo(f"note: the preset '{configured.preset}' of {name} has never been run to its end by its authors")
        _carry_out(launched)
    _print_tables(report.tables(launched.folder))
    _print_files(launched.folder)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table alone, as Markdown.")] = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="Where each method's error comes from.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Paired differences to ddpm, with p-values.")] = False,
) -> None:
    """Show a finished run: its settings, table and files. Example: toylab show runs/gmm-outliers-..."""
    if ledger and compare:
        raise BadInput("--ledger and --compare are two tables: ask for one of them")
    folder = _load(path)
    from toylab import report

    shown = (report.ledger if ledger else report.compared if compare else report.tables)(folder)
    if markdown:
        from toylab import results

        texts = [*map(results.markdown, shown.tables.values()), *filter(None, [shown.footnote])]
        typer.echo("\n\n".join(texts))
        return
    made_by = folder.environment
    typer.echo(
        f"{folder.config['experiment']} ({folder.config['preset']}), seeds {folder.seeds[0]} to {folder.seeds[-1]},"
        f" toylab {made_by['toylab']}, torch {made_by['packages']['torch']}, {made_by['device']}"
    )
    _print_tables(shown)
    if not (ledger or compare):
        _print_files(folder)


@app.command()
def sample(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    method: Annotated[str, typer.Option(help="Which trained method.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Where to write.")],
    n: Annotated[int, typer.Option("-n", min=1, max=10_000_000, help="How many samples.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="The training seed of the model; the first by default.")] = None,
    draw: Annotated[int, typer.Option(min=0, help="The seed of the sampling noise.")] = 0,
    nfe: Annotated[
        int | None, typer.Option(min=2, max=100_000, help="Evaluations of the model; the run's by default.")
    ] = None,
) -> None:
    """Draw samples from a trained model into FILE.npz (array `samples`, (n, d))."""
    folder = _load(path)
    if output.suffix != ".npz" or not output.parent.is_dir() or output.is_dir():
        raise BadInput(f"-o must name a .npz file in an existing folder, not {output}")
    import numpy as np

    from toylab.experiments.pipeline import sample_from

    points = sample_from(folder, method, seed, n, nfe, draw)
    try:
        np.savez_compressed(output, samples=points)
    except OSError as error:
        raise BadInput(f"cannot write {output}: {error.strerror}") from None
    typer.echo(f"{n} samples of {method} in {output}")


def _load(path: Path) -> "Run":
    from toylab import runs

    return runs.load(path)


def _carry_out(launched: "Launch") -> None:
    """Carry a launch out under a progress bar with the time left."""
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
    typer.echo(f"writing to {launched.folder.path}")
    with _reported(launched.folder), Progress(*columns) as bar:
        task = bar.add_task("starting", total=None)
        for progress in launched.carry_out():
            bar.update(task, description=progress.label, completed=progress.done, total=progress.total)
        bar.update(task, description="done")


@contextmanager
def _reported(folder: "Run") -> "Iterator[None]":
    """Exit 130 when interrupted, 1 when whatever it is fails, with one line; the full account goes to the log."""
    try:
        yield
    except KeyboardInterrupt:
        folder.log("interrupted")
        typer.echo(f"interrupted; the same command goes on in {folder.path}", err=True)
        raise typer.Exit(130) from None
    except Exception as error:
        import traceback

        from toylab.configuration import one_line

        folder.log(traceback.format_exc())
        typer.echo(f"error: the run failed: {one_line(error)} (see {folder.path}/log.txt)", err=True)
        raise typer.Exit(1) from None


def _print_laws() -> None:
    from rich.table import Table

    table = Table(
        "law", "dimension", "support", "exact by", "what it is", title="with its default parameters", box=None
    )
    for name, entry in index.LAWS.items():
        law = index.LAWS.load(name)()
        table.add_row(name, str(law.dim), law.support, law.exact_by, entry.summary)
    _print_table(table)


def _print_table(table: "Table") -> None:
    """To a terminal in its width, elsewhere in one that cuts nothing."""
    from rich.console import Console

    console = Console()
    (console if console.is_terminal else Console(width=500)).print(table)


def _print_tables(shown: "Report") -> None:
    from rich.table import Table

    for title, lines in shown.tables.items():
        table = Table(*lines[0], title=title, box=None)
        for line in lines[1:]:
            table.add_row(*line)
        _print_table(table)
    if shown.footnote:
        typer.echo(shown.footnote)


def _print_files(folder: "Run") -> None:
    """The files of a run; of the cells of a sweep the folders."""
    from toylab.runs import CELLS

    inside = {path: path.relative_to(folder.path).parts for path in sorted(folder.path.rglob("*"))}
    for path, parts in inside.items():
        if path.is_file() if parts[0] != CELLS else len(parts) == 2:
            typer.echo(path)
