"""Many runs at once, and their results: `toylab sweep` and `toylab results`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.printing import announce, print_json, print_lines, progress_bar, say
from toylab.cli.writing import checked_output, written
from toylab.errors import BadInput, needs, unknown

if TYPE_CHECKING:
    import torch

    from toylab.sweeping.carrying import Progress
    from toylab.sweeping.engines import Engine, Local
    from toylab.sweeping.folder import SweepFolder
    from toylab.sweeping.plan import Slurm

_ENGINES = ("local", "slurm")
_DAY = 86_400.0


@command(
    r"""printf 'experiment = "gmm-outliers"\npreset = "smoke"\n[grid]\n"methods.*.lam" = [0.1, 1]\n' > lams.toml""",
    "toylab sweep lams.toml --dry-run",
)
def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The sweep: see docs/sweeps.md.")],
    engine: Annotated[
        str, typer.Option(help="local (this machine's cores) or slurm.", autocompletion=completing.words(*_ENGINES))
    ] = "local",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its run folders are kept; runs/FILE by default.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="So many at once here; by default a job a core.")] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="As for run; on slurm cuda if the file asks for GPUs, else cpu.", autocompletion=completing.devices
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Run failed cells again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells and what they take; run nothing.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let FILE name code, module:object, which is imported and run.")
    ] = False,
) -> None:
    """Run every cell of a sweep, or go on with it.

    Exits 1 if a cell failed; failed cells are listed and left alone until --retry.
    """
    if engine not in _ENGINES:
        raise BadInput(unknown("engine", engine, _ENGINES))
    if not dry_run:
        _needs("submitit", "sweep")
    from toylab.sweeping import carrying
    from toylab.sweeping.engines import Local
    from toylab.sweeping.folder import SweepFolder
    from toylab.sweeping.plan import plan

    planned = plan(file, allow_code)
    folder = SweepFolder(out or Path("runs") / file.stem, _device(device, engine, planned.slurm))
    if dry_run:
        _list(carrying.look(planned.cells, folder), folder, Local(folder, len(planned.cells), jobs))
        return
    with folder.held():
        found = carrying.look(planned.cells, folder)
        with_jobs = _engine(engine, folder, len(planned.cells), jobs, planned.slurm)
        if isinstance(with_jobs, Local):
            _announce(found, folder, with_jobs)
        _carry_out(found, folder, with_jobs, retry)
    _conclude(found, folder)


def _carry_out(found: "Progress", folder: "SweepFolder", engine: "Engine", retry: bool) -> None:
    """Under a bar; what fails is said when it does. Exits 130 when interrupted."""
    from toylab.sweeping import carrying
    from toylab.sweeping.folder import State

    say(f"{found.label}; writing to {folder.path}")
    said = {cell.name for cell in found.of(State.FAILED)}
    try:
        with progress_bar(memory=_DAY) as bar:
            task = bar.add_task(found.label, total=sum(cell.work for cell in found.cells))
            for progress in carrying.carry_out(found, folder, engine, retry):
                for cell in progress.of(State.FAILED):
                    if cell.name not in said:
                        bar.print(f"failed: {cell.place}", markup=False)
                        said.add(cell.name)
                done = sum(cell.work for cell in progress.over)
                if done > bar.tasks[task].completed:
                    bar.update(task, completed=done)
                bar.update(task, description=progress.label)
    except KeyboardInterrupt:
        say("interrupted", err=True)
        what = engine.interrupted(found.cells)
        say(f"{what}; the same command goes on in {folder.path}", err=True)
        raise typer.Exit(130) from None


def _conclude(found: "Progress", folder: "SweepFolder") -> None:
    """What became of the cells; exits 1 where some have no result."""
    from toylab.sweeping.folder import State

    failed, total = found.of(State.FAILED), len(found.cells)
    stopped = [cell for cell in found.cells if cell.name in found.stopped]
    for cell in failed:
        say(f"failed: {cell.place}: {found.standings[cell.name].error}", err=True)
        say(f"  by hand: {folder.line(cell)}", err=True)
    for cell in stopped:
        say(f"stopped: {cell.place}: {found.stopped[cell.name]}", err=True)
    if failed:
        say(f"error: {len(failed)} of {total} cells failed; --retry runs them again", err=True)
    if stopped:
        say(f"error: {len(stopped)} of {total} cells were stopped; the same command goes on", err=True)
    if failed or stopped:
        raise typer.Exit(1)
    say(f"all {total} cells are finished: toylab results {folder.path}")


def _announce(found: "Progress", folder: "SweepFolder", local: "Local") -> None:
    """What a long sweep takes, on standard error, before it starts."""
    from toylab.experiments.rehearsal import most_memory
    from toylab.sweeping import carrying
    from toylab.sweeping.folder import State

    todo = [cell for cell in found.cells if found.standings[cell.name].state is State.MISSING]
    seconds = carrying.estimates(todo, folder.device, local.threads)
    if None not in seconds:
        whole = sum(filter(None, seconds)) / local.at_once
        announce(whole, local.at_once * most_memory(folder.device), f" ({local.at_once} at once)")


def _list(found: "Progress", folder: "SweepFolder", local: "Local") -> None:
    """The cells, what has become of them, and what they take."""
    from toylab.sweeping import carrying
    from toylab.sweeping.folder import State

    seconds = carrying.estimates(found.cells, folder.device, local.threads)
    lines = [["run folder", "at", "state", "about, s"]]
    for cell, estimate in zip(found.cells, seconds, strict=True):
        standing = found.standings[cell.name]
        state = standing.state + (f": {standing.error}" if standing.error else "")
        lines.append([cell.name, cell.place, state, "-" if estimate is None else f"{estimate:.0f}"])
    print_lines(found.label, lines)
    finished = {cell.name for cell in found.of(State.FINISHED)}
    left = [s for cell, s in zip(found.cells, seconds, strict=True) if cell.name not in finished]
    share = "?" if None in left else f"{sum(filter(None, left)) / local.at_once:.0f}"
    say(
        f"about {share} s on this machine, {local.at_once} at once with {local.threads} threads each,"
        " by a few steps of each training; starting a cell comes on top"
    )


def _engine(name: str, folder: "SweepFolder", cells: int, jobs: int | None, asked: "Slurm") -> "Engine":
    from toylab.sweeping.engines import Local, OnSlurm

    if name == "local":
        return Local(folder, cells, jobs)
    if jobs is not None:
        raise BadInput("--jobs is for --engine local; on slurm it is `parallel` in the file's [slurm]")
    return OnSlurm(folder, cells, asked)


def _device(name: str | None, engine: str, asked: "Slurm") -> "torch.device":
    """On slurm that of the jobs, which this machine need not have."""
    import torch

    from toylab import launch

    if engine == "local":
        return launch.device_of(name or "auto")
    if name is None or name == "auto":
        return torch.device("cuda" if asked.gpus else "cpu")
    if name not in ("cpu", "cuda"):
        raise BadInput(unknown("device", name, ["auto", "cpu", "cuda"]))
    return torch.device(name)


def _needs(module: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise BadInput(needs("this", module, extra))


@command("toylab results runs")
def results(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with run folders in it, at any depth.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the table there: .csv or .parquet.")
    ] = None,
    sql: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Ask this of the table, called results, by duckdb.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every row, or the answer, as JSON.")] = False,
) -> None:
    """Gather the results of all finished runs in one table.

    Settings that vary are columns. Without -o, --sql and --json its summary is printed.
    """
    if as_json and output is not None:
        raise BadInput("--json is printed, and does not go with -o")
    if output is not None:
        checked_output(output, ".csv", ".parquet")
    if sql is not None or (output is not None and output.suffix == ".parquet"):
        _needs("duckdb", "analysis")
    from toylab.summaries import footnote, summary
    from toylab.sweeping import gathering

    table = gathering.gather(path)
    if output is not None:
        written(output, gathering.content(table, output.suffix, sql))
        say(output)
    elif as_json:
        print_json(gathering.document(table, sql))
    elif sql is not None:
        print_lines("", gathering.answer(table, sql))
    else:
        print_lines("mean ± 95 % interval over seeds", summary(table.rows))
        if told := footnote(table.rows):
            say(told)
    left = f", {table.unfinished} not finished" if table.unfinished else ""
    say(f"{len(table.rows)} rows of {table.runs} finished runs{left}", err=True)
