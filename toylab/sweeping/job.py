"""A cell's command line, as an engine runs it.

This is what submitit pickles for its own process to load: names of files, words, no settings. That process imports
this module, which is why it imports no torch. While a command runs its lock is held, by it and by whoever watches it,
so that a job outlives the process that asked for it without being started a second time; the file says where it runs.
"""

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from toylab.files import write_json

STOPPED = {130, -signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGUSR2}
"""Exits of a command that was told to stop: it did not fail, and goes on when it is run again."""

_PATIENCE = 5.0  # seconds; who only asks whether a lock is held holds it for a moment
_STOPPING = 60.0  # seconds a command has for its checkpoints; Slurm tells 90 s before the time is up
_LOOK = 0.05
_WIDE = 500

_running: list[subprocess.Popen[bytes]] = []
"""The command of this process."""


@dataclass(frozen=True)
class Files:
    """What belongs to the job of a cell, in the folder of jobs."""

    folder: Path
    name: str

    @property
    def settings(self) -> Path:
        """The complete configuration, as `toylab run --config` takes it."""
        return self.folder / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """What the command printed when it last ran."""
        return self.folder / f"{self.name}.log"

    @property
    def lock(self) -> Path:
        """Held while the command runs; its text is the machine and the process."""
        return self.folder / f"{self.name}.lock"

    @property
    def failure(self) -> Path:
        """Why the command failed when it last ran; there only if it did."""
        return self.folder / f"{self.name}.failed.json"


@dataclass(frozen=True)
class Job:
    """A command to run with changes to the environment; apart: in a session of its own, where signals of the terminal
    do not reach it."""

    command: Sequence[str]
    files: Files
    environment: Mapping[str, str]
    apart: bool

    def __call__(self) -> None:
        """Run it to its end. Raises RuntimeError where it failed, was stopped, or runs already."""
        with self.files.lock.open("a+", encoding="utf-8") as lock:
            _take(lock)
            lock.truncate(0)
            self.files.failure.unlink(missing_ok=True)
            code = self._run(lock)
        if code and code not in STOPPED:
            self._record(why(self.files.log, code))
        if code:
            raise RuntimeError(f"exit {code}, see {self.files.log}")

    def checkpoint(self) -> Any:
        """Called by submitit where Slurm takes the machine away or the time is up: the same again, in the queue. The
        command is stopped first, as it is killed soon after."""
        from submitit.helpers import DelayedSubmission

        for process in _running:
            _stop(process)
        return DelayedSubmission(self)

    def _run(self, lock: IO[str]) -> int:
        with self.files.log.open("wb") as log:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock.fileno()],
                env=os.environ | self.environment, preexec_fn=_open_to_interrupts, start_new_session=self.apart,
            )  # fmt: skip
        lock.write(f"{socket.gethostname()} {process.pid}")
        lock.flush()
        _running.append(process)
        try:
            while process.poll() is None:  # no lock is held in between: `checkpoint` comes in a signal
                time.sleep(_LOOK)
        except BaseException:
            _stop(process)
            raise
        finally:
            _running.remove(process)
        return process.returncode

    def _record(self, error: str) -> None:
        write_json(self.files.failure, {"error": error})


def why(log: Path, code: int) -> str:
    """The error that the command said last, on one line; how it ended where it said none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if said:
        return said[-1][:_WIDE]
    if code >= 0:
        return f"exit {code}: {lines[-1][:_WIDE] if lines else 'without a word'}"
    killed = signal.Signals(-code).name
    return f"killed by {killed}" + (", as where memory runs out" if killed == "SIGKILL" else "")


def is_held(lock: Path) -> bool:
    """Whether the command of this lock runs."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def interrupt(lock: Path) -> bool:
    """Tell the command of a lock that is held to stop; whether it could be told, which it can on its own machine."""
    host, _, process = lock.read_text(encoding="utf-8").partition(" ")
    if host != socket.gethostname() or not process.isdecimal():
        return False
    with suppress(ProcessLookupError):
        os.kill(int(process), signal.SIGINT)
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Tell it to write its checkpoints and end, and wait for that."""
    process.send_signal(signal.SIGINT)
    end = time.monotonic() + _STOPPING
    while process.poll() is None and time.monotonic() < end:
        time.sleep(_LOOK)


def _take(lock: IO[str]) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise RuntimeError(f"{lock.name} is held: its command runs already") from None
        time.sleep(_LOOK)


def _open_to_interrupts() -> None:
    """In the command's process, before it starts: interrupts reach it, and the time that is up is told to us alone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
