"""One run folder, to write into and to read from."""

import csv
import datetime
import io
import json
import math
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.npyio import NpzFile
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of
from safetensors.torch import save
from torch import Tensor

from toylab import __version__, networks, results
from toylab.checksums import FINISHED, Checksums
from toylab.configuration import NetworkChoice, ScheduleChoice, validate
from toylab.denoisers import Learned
from toylab.errors import BadInput, one_line, unknown
from toylab.files import as_json, check_size, from_json, held, read_whole

if TYPE_CHECKING:
    import pandas

CELLS = "cells"
"""Where a sweep keeps the folders of its studies."""

LOCK = ".lock"
"""Held by the process at work in a folder."""

_MOST_SEEDS = 1024

_APPENDING = threading.Lock()  # methods train and are measured side by side

WHOLE = "run"
"""The part of timings.csv that is a whole run, or one attempt at it."""


class Run:
    """One run folder, to write into and to read from."""

    def __init__(self, path: Path):
        self.path, self._files = path, Checksums(path)
        self.said: Sequence[str] = ()
        """A line for each damaged file that was found when the folder was opened."""

    # -- reading -----------------------------------------------------------------------------------------

    @cached_property
    def config(self) -> dict[str, Any]:
        """The complete configuration."""
        return self._json("config.json")

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device, threads, hash of toylab's files."""
        return self._json("environment.json")

    @property
    def finished(self) -> dict[str, Any] | None:
        """Date and version where the run is complete, else None. Raises Damaged."""
        return self._files.finished

    @cached_property
    def rows(self) -> list[results.Row]:
        """results.csv as rows of text. Raises BadInput."""
        text = self.read("results.csv").decode()
        try:
            return results.from_csv(text)
        except BadInput as error:
            raise BadInput(f"{self.path}/{error}") from None

    @property
    def results(self) -> "pandas.DataFrame":
        """results.csv as a data frame."""
        import pandas

        return pandas.read_csv(io.BytesIO(self.read("results.csv")))

    @property
    def seeds(self) -> list[int]:
        """The seeds of the members, in order. Raises BadInput."""
        if not (isinstance(self.config.get("seeds"), int) and 0 < self.config["seeds"] <= _MOST_SEEDS):
            raise BadInput(f"{self.path / 'config.json'}: seeds from 1 to {_MOST_SEEDS}")
        return [self.config["seed"] + member for member in range(self.config["seeds"])]

    @property
    def methods(self) -> list[str]:
        """The methods that have weights."""
        return sorted(path.stem for path in (self.path / "weights").glob("*.safetensors"))

    @property
    def timings(self) -> dict[tuple[str, str], float]:
        """Seconds of every method and part, over all attempts; of the whole run at ("", "run"). Without what was not
        recorded."""
        path, recorded = self.path / "timings.csv", dict[tuple[str, str], list[float]]()
        rows = csv.reader(read_whole(path).decode(errors="replace").splitlines()) if path.exists() else ()
        for _, method, part, seconds in (row for row in rows if len(row) == 4):
            with suppress(ValueError):  # a heading, or a line that was being written when the process was killed
                taken = float(seconds)
                recorded.setdefault(("" if part == WHOLE else method, part), []).append(taken)
        return {key: math.fsum(of) for key, of in recorded.items()}

    @property
    def seconds(self) -> float | None:
        """How long it ran in all, over all attempts; None where that was not recorded."""
        return self.timings.get(("", WHOLE))

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of samples.npz, fields.npz or trajectories.npz; none where there is no such file."""
        if not (self.path / name).exists():
            return {}
        with self.stored(name) as stored:
            return dict(stored)

    def stored(self, name: str) -> NpzFile:
        """The same, each read when it is asked for. Raises TooLarge where all of them would not fit into memory."""
        stored: NpzFile = np.load(io.BytesIO(self.read(name)), allow_pickle=False)
        unpacked = sum(one.file_size for one in stored.zip.infolist())  # type: ignore[misc, union-attr]
        check_size(f"{self.path / name}, unpacked,", unpacked)
        return stored

    def denoiser(self, method: str, seed: int | None = None) -> Learned:
        """The trained denoiser of a method, one seed's (the first by default), on the CPU, without gradients.

        Raises BadInput for an unknown method or seed.
        """
        seed = self.seeds[0] if seed is None else seed
        if not self.methods and (self.path / CELLS).is_dir():
            raise BadInput(f"{self.path} is a sweep: its trained models are in the folders of {self.path / CELLS}")
        if method not in self.methods:
            raise BadInput(unknown("method", method, self.methods))
        if seed not in self.seeds:
            raise BadInput(unknown("seed", str(seed), map(str, self.seeds)))
        if seed in (failed := self.diverged(method)):
            raise BadInput(f"{method} of seed {seed} diverged in step {failed[seed]}: there is no model to use")
        member = self.seeds.index(seed)
        stored = self.load_tensors(f"weights/{method}.safetensors")
        weights = {name: tensor[member : member + 1] for name, tensor in stored.items()}
        chosen = validate(NetworkChoice, self.config["network"])
        schedule = validate(ScheduleChoice, self.config["schedule"]).build()
        denoiser = Learned(chosen.build(networks.shape_of(weights)), schedule, self.config["parametrization"])
        denoiser.load_state_dict(weights)
        return denoiser.requires_grad_(False).eval()

    def diverged(self, method: str) -> dict[int, int]:
        """The seeds of which training diverged, and the step in which it did, as its weights say. Raises BadInput."""
        name = f"weights/{method}.safetensors"
        content = self.read(name)
        try:
            head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            said = json.loads(head.get("__metadata__", {}).get(results.DIVERGED, "{}"))
            return {int(seed): int(step) for seed, step in said.items()}
        except (ValueError, AttributeError, TypeError, RecursionError):
            raise BadInput(f"{self.path / name} is no safetensors file of a training") from None

    def load_tensors(self, name: str) -> dict[str, Tensor]:
        """Named tensors of a safetensors file. Raises BadInput where it is none."""
        try:
            return tensors_of(self.read(name))
        except SafetensorError as error:
            raise BadInput(f"{self.path / name} is no safetensors file: {one_line(error)}") from None

    def read(self, name: str) -> bytes:
        """The content of a file, as it was written. Raises Damaged where it is not, OSError where it never was."""
        return self._files.read(name)

    def has(self, name: str) -> bool:
        """Whether a file was written to its end, and is as it was written; the log says so where it is not."""
        there = self._files.is_whole(name)
        if not there and (self.path / name).exists():
            self.log(f"{name} is damaged, or was not written to its end: it is made anew")
        return there

    @property
    def is_done(self) -> bool:
        """Whether the run is complete, and all of it as it was written."""
        return (self.path / FINISHED).exists() and not self.damaged()

    def damaged(self) -> list[str]:
        """A line for each file that is not as it was written."""
        return self._files.damaged()

    def _json(self, name: str) -> dict[str, Any]:
        try:
            table = from_json(self.read(name))
        except BadInput:
            raise
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{self.path / name} is no JSON: {one_line(error)}") from None
        if not isinstance(table, dict):
            raise BadInput(f"{self.path / name} must hold a table")
        return table

    # -- writing -----------------------------------------------------------------------------------------

    def held(self, patience: float = 0.0) -> AbstractContextManager[None]:
        """The lock of the process at work here. patience: seconds to wait for another. Raises Unable where there is
        one, OSError where the folder cannot be written."""
        return held(self.path / LOCK, f"at work in {self.path}", patience)

    def tidy(self) -> None:
        """Remove what processes left that were killed while they wrote; for who holds the lock."""
        for part in self.path.rglob("*.part"):
            part.unlink(missing_ok=True)

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all. Raises OSError."""
        self._files.write(name, content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a table as indented JSON."""
        self.write(name, as_json(content))

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
        """Write named tensors as safetensors; about: what its head says of them."""
        self.write(name, as_safetensors(tensors, about))

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write named arrays as .npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
        self.write(name, buffer.getvalue())

    def log(self, line: str) -> None:
        """Append a dated line to log.txt, if it can be written: what went wrong there is told elsewhere."""
        with suppress(OSError), (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{_now()} {line}\n")

    def time(self, method: str, part: str, seconds: float) -> None:
        """Append a row to timings.csv, if it can be written."""
        path = self.path / "timings.csv"
        with _APPENDING, suppress(OSError):
            head = "" if path.exists() else "date,method,part,seconds\n"
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{head}{_now()},{method},{part},{seconds:.3f}\n")

    def finish(self) -> None:
        """Mark the run as complete."""
        self._files.seal({"date": _now(), "version": __version__})
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)

    def reopen(self, lines: Sequence[str]) -> None:
        """Mark a run as not complete, if it is, since what these lines name is to be made anew."""
        if (self.path / FINISHED).exists():
            self._files.unseal()
        self.say(lines)

    def say(self, lines: Sequence[str]) -> None:
        """Put lines on record."""
        self.said = lines
        for line in lines:
            self.log(line)


class Read(Run):
    """A run folder that another process writes."""

    def write(self, name: str, content: str | bytes) -> None:
        pass

    def log(self, line: str) -> None:
        pass

    def time(self, method: str, part: str, seconds: float) -> None:
        pass

    def finish(self) -> None:
        pass

    def reopen(self, damaged: Sequence[str] = ()) -> None:
        pass


def as_safetensors(tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> bytes:
    """The content of a safetensors file."""
    metadata = None if about is None else dict(about)
    return save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}, metadata)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
