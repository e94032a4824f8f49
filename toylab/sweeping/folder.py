"""The folder of a sweep: a run folder for each cell, and jobs/, what engines need and have said.

    EXPERIMENT-PRESET-HASH/     the run of a cell, as `toylab run` makes it (toylab/runs)
    jobs/NAME.json              its settings, NAME that of its run folder: `toylab run EXPERIMENT --config` takes it
    jobs/NAME.log               what its command printed
    jobs/NAME.failed.json       why it failed, until it is run again
    jobs/NAME.lock              held while it runs
    jobs/slurm.json             the Slurm job of each cell that was submitted
    jobs/submitit/              submitit's own: pickles that its processes load, and their logs
    jobs/head.lock              held by the `toylab sweep` at work

What has become of a cell is read from these files alone, so any process may be killed at any time.
"""

import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import torch

from toylab import outside, runs
from toylab.errors import BadInput
from toylab.files import check_ordinary, from_json, held, read_whole, write_json
from toylab.runs import Run
from toylab.sweeping.job import Files, Job, is_held
from toylab.sweeping.plan import Cell

JOBS = "jobs"
_LINKS = ".submission_file_*.sh"  # submitit's, from a name that is drawn, to the file that it becomes


class State(StrEnum):
    """What has become of a cell. missing: not begun, or stopped on its way, to go on when it is run again."""

    FINISHED = "finished"
    RUNNING = "running"
    FAILED = "failed"
    MISSING = "missing"


class Standing(NamedTuple):
    """A cell's state, and of one that failed the error."""

    state: State
    error: str = ""


@dataclass(frozen=True)
class SweepFolder:
    """Where the cells of a sweep are kept, and on which kind of device they run."""

    path: Path
    device: torch.device

    def __post_init__(self) -> None:
        """Raises BadInput where it is no folder, or its jobs are in what a stranger may have led elsewhere."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise BadInput(f"{self.path} is no folder")
            check_ordinary(self.path / JOBS, links=_LINKS)
        except OSError as error:
            raise BadInput(f"cannot read {self.path}: {error.strerror}") from None

    def standing(self, cell: Cell) -> Standing:
        """What has become of a cell, from files; that a job of it waits somewhere is the engine's to know.

        Raises BadInput where they cannot be read.
        """
        run = self.run(cell)
        if run is not None and run.is_done:
            return Standing(State.FINISHED)
        files = self.files(cell)
        try:
            if is_held(files.lock):
                return Standing(State.RUNNING)
            return Standing(State.FAILED, str(from_json(read_whole(files.failure))["error"]))
        except FileNotFoundError:
            return Standing(State.MISSING)
        except OSError as error:
            raise BadInput(f"cannot read {error.filename or self.path}: {error.strerror}") from None
        except (ValueError, LookupError, TypeError, RecursionError):
            return Standing(State.FAILED, f"{files.failure.name} is damaged")

    def run(self, cell: Cell) -> Run | None:
        """Its run folder, made by these sources of toylab on this kind of device."""
        return runs.find(self.path, cell.configured.config, self.device)

    def files(self, cell: Cell) -> Files:
        """Those of its job."""
        return Files((self.path / JOBS).resolve(), cell.name)

    def command(self, cell: Cell) -> list[str]:
        """Runs the cell, by hand as well."""
        configured = cell.configured
        words = ["toylab", "run", configured.name, "--config", str(self.files(cell).settings)]
        words += ["--out", str(self.path.resolve()), "--device", self.device.type]
        return words + (["--allow-code"] if outside.named(configured.config) else [])

    def job(self, cell: Cell, environment: Mapping[str, str], apart: bool) -> Job:
        """Its job for an engine, by this Python; its settings are written where the command reads them."""
        files = self.files(cell)
        write_json(files.settings, cell.configured.config)
        return Job([sys.executable, "-m", *self.command(cell)], files, environment, apart)

    @contextmanager
    def held(self) -> Iterator[None]:
        """For the one `toylab sweep` that may be at work here. Raises Unable where there is another, BadInput where the
        folder cannot be written."""
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.path / JOBS / "head.lock", f"sweeping into {self.path}"))
            except OSError as error:
                raise BadInput(f"cannot write to {self.path}: {error.strerror}") from None
            yield

    def line(self, cell: Cell) -> str:
        """The command of a cell as it is typed."""
        return shlex.join(self.command(cell))
