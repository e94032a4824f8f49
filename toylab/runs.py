"""Run folders: configuration, environment, results, weights, samples, figures.

A folder is ROOT/EXPERIMENT-PRESET-HASH, the hash that of the complete configuration:

    config.json        complete; `toylab run NAME --config config.json` repeats the run
    environment.json   versions, device, threads, seed, hash of toylab's files, git revision if there is one
    results.csv        one row a measurement (see results.py)
    timings.csv        seconds of each part and dates, a row each time it ran; part `run`: of the whole
    samples.npz        samples of every method, (seeds, n, d)
    fields.npz         density and score fields on a grid, where the law can be drawn (experiments/fields.py),
                       and score fields along the paths of samples
    trajectories.npz   the states that some samples of every method went through, likewise
    weights/*.safetensors      averaged weights of every method, a leading axis of seeds
    checkpoints/NAME/*         the state of a training under way (checkpoints.py)
    cells/NAME         of a sweep of several studies: a run folder for each, which holds what of the above is its own
    figures/           PNG and SVG
    log.txt            what happened, with dates
    finished.json      written last: date and version

A finished folder is reused; one made by other sources of this package, or on another kind of device, is left
alone, and the run is made in a new folder beside it. Writes are atomic: a temporary file, fsync, rename.
"""

import csv
import datetime
import hashlib
import io
import itertools
import json
import math
import shutil
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from toylab import __version__, environment, networks, parallel, results
from toylab.configuration import NetworkChoice, ScheduleChoice, validate
from toylab.denoisers import Learned
from toylab.errors import BadInput, unknown
from toylab.files import write_whole

if TYPE_CHECKING:
    import pandas

CELLS = "cells"
"""Where a sweep keeps the folders of its studies."""

_APPENDING = threading.Lock()  # methods train and are measured side by side


WHOLE = "run"
"""The part of timings.csv that is a whole run, or one attempt at it."""


class Run:
    """One run folder, to write into and to read from."""

    def __init__(self, path: Path):
        self.path = path

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
    def finished(self) -> dict[str, str] | None:
        """Date and version where the run is complete, else None."""
        return self._json("finished.json") if (self.path / "finished.json").exists() else None

    @cached_property
    def rows(self) -> list[results.Row]:
        """results.csv as rows of text."""
        return results.from_csv((self.path / "results.csv").read_text(encoding="utf-8"))

    @property
    def results(self) -> "pandas.DataFrame":
        """results.csv as a data frame."""
        import pandas

        return pandas.read_csv(self.path / "results.csv")

    @property
    def seeds(self) -> list[int]:
        """The seeds of the members, in order."""
        return [self.config["seed"] + member for member in range(self.config["seeds"])]

    @property
    def methods(self) -> list[str]:
        """The methods that have weights."""
        return sorted(path.stem for path in (self.path / "weights").glob("*.safetensors"))

    @property
    def seconds(self) -> float | None:
        """How long it ran in all, over all attempts; None where that was not recorded."""
        path = self.path / "timings.csv"
        rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
        recorded = [float(row["seconds"]) for row in rows if row["part"] == WHOLE]
        return math.fsum(recorded) if recorded else None

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of samples.npz, fields.npz or trajectories.npz; none where there is no such file."""
        if not (self.path / name).exists():
            return {}
        with np.load(self.path / name, allow_pickle=False) as stored:
            return dict(stored)

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
        member = self.seeds.index(seed)
        stored = self.load_tensors(f"weights/{method}.safetensors")
        weights = {name: tensor[member : member + 1] for name, tensor in stored.items()}
        chosen = validate(NetworkChoice, self.config["network"])
        schedule = validate(ScheduleChoice, self.config["schedule"]).build()
        denoiser = Learned(chosen.build(networks.shape_of(weights)), schedule, self.config["parametrization"])
        denoiser.load_state_dict(weights)
        return denoiser.requires_grad_(False).eval()

    def load_tensors(self, name: str) -> dict[str, Tensor]:
        """Named tensors of a safetensors file."""
        return load_file(self.path / name)

    def _json(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.path / name).read_text(encoding="utf-8")))

    # -- writing -----------------------------------------------------------------------------------------

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file whole or not at all."""
        write_whole(self.path / name, content)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a table as indented JSON."""
        self.write(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Write named tensors as safetensors."""
        self.write(name, as_safetensors(tensors))

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write named arrays as .npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]
        self.write(name, buffer.getvalue())

    def log(self, line: str) -> None:
        """Append a dated line to log.txt."""
        with (self.path / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{_now()} {line}\n")

    def time(self, method: str, part: str, seconds: float) -> None:
        """Append a row to timings.csv."""
        path = self.path / "timings.csv"
        with _APPENDING:
            head = "" if path.exists() else "date,method,part,seconds\n"
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{head}{_now()},{method},{part},{seconds:.3f}\n")

    def finish(self) -> None:
        """Mark the run as complete."""
        self.write_json("finished.json", {"date": _now(), "version": __version__})
        shutil.rmtree(self.path / "checkpoints", ignore_errors=True)


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


def as_safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The content of a safetensors file."""
    return save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})


def load(path: str | Path) -> Run:
    """A finished run. Raises BadInput where the folder holds none."""
    run = Run(Path(path))
    try:
        if not (run.path / "config.json").is_file():
            raise BadInput(f"{path} is no run folder: it has no config.json")
        if run.finished is None:
            raise BadInput(f"{path} is not finished; repeat its command to go on")
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"cannot read {path}: {error}") from None
    return run


def open_run(root: Path, config: Mapping[str, Any], device: torch.device, fresh: bool = False) -> Run:
    """The folder for a configuration: a finished one, one to go on with, or a new one.

    fresh: always a new one. Raises BadInput where `root` cannot be written.
    """
    company = parallel.here()
    path = company.told(Path() if company.rank else _opened(root, config, device, fresh).path)
    return Read(path) if company.rank else Run(path)


def _opened(root: Path, config: Mapping[str, Any], device: torch.device, fresh: bool) -> Run:
    made_with = environment.of_run(config, device)
    try:
        for run in _folders(root, config):
            if not run.path.exists():
                break
            if not fresh and _is_same(run, config, made_with):
                return run
        run.write_json("environment.json", made_with)
        run.write_json("config.json", config)
    except OSError as error:
        raise BadInput(f"cannot write to {root}: {error.strerror}") from None
    return run


def find(root: Path, config: Mapping[str, Any], device: torch.device) -> Run | None:
    """The folder that `open_run` would go on with or reuse, if there is one. Raises BadInput as it does."""
    made_with = {"sources": environment.sources_hash(), "device": device.type}
    try:
        existing = list(itertools.takewhile(lambda run: run.path.exists(), _folders(root, config)))
    except OSError as error:
        raise BadInput(f"cannot read {root}: {error.strerror}") from None
    return next((run for run in existing if _is_same(run, config, made_with)), None)


def name_of(config: Mapping[str, Any]) -> str:
    """EXPERIMENT-PRESET-HASH of a complete configuration."""
    text = json.dumps(config, sort_keys=True, allow_nan=False)
    return f"{config['experiment']}-{config['preset']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _folders(root: Path, config: Mapping[str, Any]) -> Iterator[Run]:
    """Where runs of a configuration may be, one after the other, without end."""
    name = name_of(config)
    yield Run(root / name)
    for number in itertools.count(2):
        yield Run(root / f"{name}-{number}")


def _is_same(run: Run, config: Mapping[str, Any], environment: Mapping[str, Any]) -> bool:
    try:
        made_by = run.environment
        return run.config == config and all(made_by[key] == environment[key] for key in ("sources", "device"))
    except (OSError, ValueError, KeyError):
        return False  # not a folder of ours, or one that was never written to the end


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
