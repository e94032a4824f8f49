"""Engines: where the jobs of a sweep run. Both are submitit's (github.com/facebookincubator/submitit).

`local` runs them on this machine, never more at once than there are cores, which they share out among them; they stop
when they are told to. `slurm` puts them into a queue as one array, where they stay whatever becomes of us; which of
them wait and run is asked of squeue, which unlike sacct needs no accounting.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from toylab.errors import BadInput, one_line
from toylab.files import from_json, read_whole, write_json
from toylab.process import cores
from toylab.sweeping.folder import JOBS, SweepFolder
from toylab.sweeping.job import interrupt, is_held
from toylab.sweeping.plan import Cell, Slurm

Alive = dict[str, Literal["running", "queued"]]
"""Cells that have a job, by name."""

_FOREVER = 60 * 24 * 3650  # minutes; submitit gives a job on this machine two
_SETTLED = 5.0  # seconds after which what a job on another machine wrote is seen here


class Engine(Protocol):
    """Where jobs run. at_once: how many may be submitted and not over; poll: seconds between looks."""

    at_once: int
    poll: float

    def submit(self, cells: Sequence[Cell]) -> None:
        """Start jobs of these cells. Raises BadInput where the engine does not take them."""

    def alive(self) -> Alive:
        """The cells whose jobs are not over."""

    def reason(self, cell: Cell) -> str:
        """What the engine knows of a job that ended without a word; "" if nothing."""

    def interrupted(self, cells: Sequence[Cell]) -> str:
        """We are told to stop: what becomes of the jobs of these cells, in words for who told us."""


class Local:
    """On this machine. Raises BadInput for more jobs than cores."""

    poll = 0.2

    def __init__(self, folder: SweepFolder, cells: int, jobs: int | None = None):
        on_gpu = folder.device.type == "cuda"
        self.places = _gpus() if on_gpu else [str(core) for core in range(cores())]
        most = min(len(self.places), cores())
        if jobs is not None and not 1 <= jobs <= most:
            raise BadInput(f"--jobs: from 1 to {most}, a job {'a GPU' if on_gpu else 'a core'}, not {jobs}")
        self.at_once = max(1, min(most, cells)) if jobs is None else jobs
        self.threads = max(1, min(cores() // self.at_once, _allowed()))
        self._folder, self._on_gpu = folder, on_gpu
        self._jobs: dict[str, tuple[Any, str]] = {}

    def submit(self, cells: Sequence[Cell]) -> None:
        import submitit

        executor = submitit.LocalExecutor(folder=_own(self._folder))
        executor.update_parameters(timeout_min=_FOREVER)
        free = [place for place in self.places if place not in {taken for _, taken in self._jobs.values()}]
        for cell, place in zip(cells, free, strict=False):
            environment = {"OMP_NUM_THREADS": str(self.threads)}
            environment |= {"CUDA_VISIBLE_DEVICES": place} if self._on_gpu else {}
            with _uninterrupted():
                job = executor.submit(self._folder.job(cell, environment, apart=True))
                self._jobs[cell.name] = job, place

    def alive(self) -> Alive:
        self._jobs = {name: (job, place) for name, (job, place) in self._jobs.items() if not job.done()}
        return dict.fromkeys(self._jobs, "running")

    def reason(self, cell: Cell) -> str:
        return ""

    def interrupted(self, cells: Sequence[Cell]) -> str:
        """Stop them, those of an earlier sweep as well: each writes its checkpoints first."""
        locks = {cell.name: self._folder.files(cell).lock for cell in cells}
        told, elsewhere = set[str](), set[str]()
        while True:
            alive = self.alive()
            held = {name for name, lock in locks.items() if is_held(lock)}  # not before it has started
            for name in held - told - elsewhere:
                if interrupt(locks[name]):
                    told.add(name)
                elif name not in alive:
                    elsewhere.add(name)
            if not (alive.keys() | held) - elsewhere:
                return "its jobs are stopped" + (f", but for {len(elsewhere)} of another machine" if elsewhere else "")
            time.sleep(self.poll)


class OnSlurm:
    """In the queue of Slurm. Raises BadInput where there is none."""

    poll = 2.0

    def __init__(self, folder: SweepFolder, cells: int, asked: Slurm):
        if shutil.which("sbatch") is None or shutil.which("squeue") is None:
            raise BadInput("--engine slurm needs Slurm's sbatch and squeue, and they are not on this machine")
        self.at_once, self._folder, self._asked = cells, folder, asked
        self._file = folder.path / JOBS / "slurm.json"
        self._ids = _submitted(self._file)
        self._seen: dict[str, float] = {}
        self._last: Alive = {}
        self._look()

    def submit(self, cells: Sequence[Cell]) -> None:
        import submitit

        executor = submitit.SlurmExecutor(folder=_own(self._folder))
        executor.update_parameters(**_parameters(self._asked))
        environment = {"OMP_NUM_THREADS": str(self._asked.cpus)}
        jobs = [self._folder.job(cell, environment, apart=False) for cell in cells]
        with _uninterrupted():  # what is submitted is recorded
            try:
                submitted = executor.submit_array(jobs)
            except Exception as error:  # sbatch's own words
                raise BadInput(f"Slurm does not take the jobs: {one_line(error)}") from None
            self._ids |= {cell.name: job.job_id for cell, job in zip(cells, submitted, strict=True)}
            write_json(self._file, self._ids)
        self._seen |= {cell.name: time.monotonic() for cell in cells}
        self._last |= {cell.name: "queued" for cell in cells}

    def alive(self) -> Alive:
        try:
            self._look()
        except BadInput:  # an overloaded controller answers later
            return dict(self._last)
        return dict(self._last)

    def _look(self) -> None:
        """Ask squeue. Raises BadInput where it does not answer."""
        command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        except subprocess.SubprocessError as error:
            said = getattr(error, "stderr", None) or error
            raise BadInput(f"squeue does not answer: {' '.join(str(said).split())}") from None
        states = dict(line.split(maxsplit=1) for line in told.splitlines() if line.strip())
        now = time.monotonic()
        self._seen |= {name: now for name, job in self._ids.items() if job in states}
        self._last = {
            name: "queued" if states.get(self._ids[name]) == "PENDING" else "running"
            for name, when in self._seen.items()
            if now - when < _SETTLED
        }

    def reason(self, cell: Cell) -> str:
        """Its state, where there is accounting."""
        job = self._ids.get(cell.name, "")
        command = ["sacct", "--noheader", "--allocations", "--parsable2", "--format", "State", "--jobs", job]
        if not job or shutil.which("sacct") is None:
            return ""
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
        return f"Slurm says {' '.join(told)} of job {job}" if told else f"job {job} left the queue"

    def interrupted(self, cells: Sequence[Cell]) -> str:
        jobs = sorted({self._ids[name].partition("_")[0] for name in self._last})
        return f"its jobs go on in the queue; scancel {' '.join(jobs)} stops them" if jobs else "no job is in the queue"


def _submitted(file: Path) -> dict[str, str]:
    """The Slurm job of each cell that was submitted. Raises BadInput where the file does not say."""
    try:
        return {str(name): str(job) for name, job in from_json(read_whole(file)).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BadInput(f"{file} cannot be read: {one_line(error)}; remove it if no job of it is in the queue") from None


def _allowed() -> int:
    """The threads that the environment allows a process."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) > 0 else cores()


def _gpus() -> list[str]:
    """The GPUs of this machine that this process may use, as CUDA_VISIBLE_DEVICES calls them."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(k) for k in range(torch.cuda.device_count())] if told is None else told.split(",")


def _own(folder: SweepFolder) -> str:
    return str((folder.path / JOBS / "submitit").resolve())


def _parameters(asked: Slurm) -> Mapping[str, Any]:
    """What submitit is told. From Slurm 22.05 on srun does not take the job's number of CPUs over by itself."""
    given = {
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "constraint": asked.constraint,
        "mem": None if asked.memory is None else f"{round(1024 * asked.memory)}MB",
        "gpus_per_node": asked.gpus or None,
    }
    fixed = {
        "job_name": "toylab",
        "time": asked.minutes,
        "cpus_per_task": asked.cpus,
        "array_parallelism": asked.parallel,
        "srun_args": ["--cpus-per-task", str(asked.cpus)],
    }
    return fixed | {key: value for key, value in given.items() if value is not None}


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """An interrupt comes after it, and to none of the processes that are started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
