"""What runs an experiment: `toylab run` and `toylab reproduce`."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toylab import index
from toylab.cli import completing
from toylab.cli.app import command
from toylab.cli.options import Changes, Device, Preset, Runs
from toylab.cli.printing import announce, print_lines, print_run, progress_bar, say
from toylab.errors import BadInput, Unable, one_line, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toylab.experiments.rehearsal import Rehearsal
    from toylab.launch import Configured, Launch
    from toylab.runs import Run


@command("toylab run gmm-outliers --preset smoke")
def run(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help=f"One of {', '.join(index.EXPERIMENTS)}.", autocompletion=completing.experiments
        ),
    ],
    preset: Preset = None,
    settings: Changes = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Settings from a .toml or .json file.")] = None,
    seed: Annotated[int | None, typer.Option(help="The first seed.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many seeds, trained together.")] = None,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="Only these methods.")] = None,
    device: Device = "auto",
    devices: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many devices of each machine train together: 1, or what torchrun or Slurm started."
        ),
    ] = None,
    strategy: Annotated[str, typer.Option(help="How: ddp.")] = "ddp",
    precision: Annotated[
        str | None, typer.Option(help="Of a U-Net: 32-true, or bf16-mixed, which is torch.autocast's.")
    ] = None,
    out: Runs = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Time a few steps and say what a run takes here; nothing is written.")
    ] = False,
    track: Annotated[
        str | None, typer.Option(help="tensorboard: keep losses while training, in the run folder (extra track).")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Neither reuse nor resume: run anew in a new folder.")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let FILE name code, module:object, which is imported and run.")
    ] = False,
) -> None:
    """Run an experiment: train, sample, measure, draw."""
    from toylab import launch, outside, parallel, tracking
    from toylab.configuration import assignments

    changes = [assignments(settings or []), {k: v for k, v in {"seed": seed, "seeds": seeds}.items() if v is not None}]
    changes.insert(0, _of_machine(device, devices, strategy, precision))
    chosen = None if methods is None else [method.strip() for method in methods.split(",")]
    outside.admit(*outside.named(changes))  # typed here; a file's names are another matter
    configured = launch.configure(name, preset, config, changes, chosen, allow_code)
    tracking.choose(track)
    if dry_run:
        _rehearse(configured, device)
        return
    launched = launch.prepare(configured, device, out, fresh)
    if (reusing := launched.reusing) and parallel.here().rank == 0:
        say(f"{reusing}; --fresh runs it anew")
    elif parallel.here().rank:
        for _ in launched.carry_out():
            pass
    else:
        if configured.note:
            say(configured.note)
        carry_out(launched)
    if parallel.here().rank == 0:
        print_run(launched.folder)


def _rehearse(configured: "Configured", device: str) -> None:
    """Print what a run would take."""
    from toylab import launch
    from toylab.experiments.models import Models
    from toylab.experiments.rehearsal import rehearse

    if not isinstance(configured.settings, Models):
        raise BadInput(f"{configured.name} trains nothing that a few steps could be timed of")
    if configured.experiment.check:
        configured.experiment.check(configured.settings)
    found = rehearse(configured.settings, launch.device_of(device), configured.experiment.work)
    lines = [[part.name, f"{part.times:.6g}", f"{part.seconds:.3g}", f"{part.hours:.3g}"] for part in found.parts]
    print_lines(f"on this machine, {_at_once(found)}", [["part", "times", "seconds", "hours"], *lines])
    sizes = f"{found.memory / 2**30:.2g} GiB of memory, {found.disk / 2**30:.2g} GiB on disk"
    without = "" if found.is_whole else " without metrics"
    say(f"in all about {found.seconds / 3600:.3g} hours{without}, {sizes}")


def _at_once(found: "Rehearsal") -> str:
    several = f"{found.at_once} at once" if found.at_once > 1 else "one after the other"
    return f"{several}, with {found.threads} thread{'s' * (found.threads > 1)} each"


def _announce(launched: "Launch") -> None:
    """What a long run takes, on standard error, before it starts."""
    from toylab.experiments.rehearsal import expected

    configured = launched.configured
    found = expected(configured.settings, launched.device, configured.experiment.work)
    if found is None:
        return
    done = launched.folder.seconds or 0.0
    left = max(found.seconds - done, 0.05 * found.seconds)
    announce(left, found.memory, f"{', of which some is done' if done else ''} ({_at_once(found)})")


_PRECISIONS = {"32-true": "fp32", "bf16-mixed": "bf16"}


def _of_machine(device: str, devices: int | None, strategy: str, precision: str | None) -> dict[str, Any]:
    """What the choice of a machine changes in the settings; several devices then train together."""
    from toylab import launch, parallel

    changes: dict[str, Any] = {}
    if precision is not None:
        if precision not in _PRECISIONS:
            raise BadInput(unknown("precision", precision, _PRECISIONS))
        changes["network"] = {"precision": _PRECISIONS[precision]}
    started = parallel.started()
    if devices is None:
        devices = started or 1
    elif started not in (None, devices):
        raise BadInput(f"--devices: {started} processes were started on this machine, not {devices}; leave it out")
    if devices > 1 or started:
        changes["training"] = {"accumulate": parallel.join(devices, strategy, launch.device_of(device)).size}
    return changes


@command("toylab reproduce figures/gmm-outliers")
def reproduce(
    path: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A finished run folder, or figures/NAME.", autocompletion=completing.runs),
    ],
    device: Device = "auto",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the repetition there, and go on with it if interrupted.")
    ] = None,
) -> None:
    """Run a finished run again and compare: 0 if it agrees, 1 if not."""
    from tempfile import TemporaryDirectory

    from toylab import reproduction

    configured = reproduction.configured_as(path)
    if out is None:
        with TemporaryDirectory() as root:
            _compare(path, configured, device, Path(root))
    elif out.resolve() == path.resolve().parent:
        raise BadInput("--out must be another folder than the one the run is in")
    else:
        _compare(path, configured, device, out)


def _compare(path: Path, configured: "Configured", device: str, root: Path) -> None:
    """Repeat and compare, and exit 1 where they do not agree."""
    from toylab import launch, reproduction
    from toylab.runs import Run

    launched = launch.prepare(configured, device, root)
    if launched.folder.finished:
        say(f"comparing with the repetition finished {launched.folder.finished['date']}")
    else:
        carry_out(launched)
    outcome = reproduction.compare(Run(path), launched.folder)
    if outcome.environment is None:
        say(f"the environment of {path} was not recorded, so the same bits are not promised")
    elif outcome.environment:
        say("the same bits are not promised, since these differ: " + "; ".join(outcome.environment))
    else:
        say("same machine, versions and threads, as far as recorded: the same bits are promised")
    if outcome.same_bits:
        say("same bits: results.csv is byte-equal")
    elif not outcome.gaps:
        broken = ", and not the same bits, though they are promised" if outcome.environment == [] else ""
        say(f"within intervals: all {outcome.measures} measures{broken}")
    else:
        for gap in outcome.gaps:
            say(f"differs: {gap}")
        say(f"error: {len(outcome.gaps)} of {outcome.measures} measures differ", err=True)
        raise typer.Exit(1)


def carry_out(launched: "Launch", err: bool = False) -> None:
    """Carry a launch out under a progress bar with the time left; err: on standard error."""
    for line in launched.folder.said:
        say(f"note: {line}", err=err)
    say(f"writing to {launched.folder.path}", err=err)
    with reported(launched.folder):
        _announce(launched)
    with reported(launched.folder), progress_bar(err) as bar:
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
        say(f"interrupted; the same command goes on in {folder.path}", err=True)
        raise typer.Exit(130) from None
    except Unable:
        raise
    except Exception as error:
        import traceback

        folder.log(traceback.format_exc())
        what = one_line(error)
        if isinstance(error, OSError) and error.filename:  # what was written before is whole
            what = f"{error.filename}: {error.strerror}; the same command goes on"
        say(f"error: the run failed: {what} (see {folder.path}/log.txt)", err=True)
        raise typer.Exit(1) from None
