"""Which folder a run is in: a finished one, one to go on with, or a new one."""

import csv
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from toylab import environment, parallel
from toylab.checksums import PENDING, Damaged
from toylab.errors import BadInput, one_line
from toylab.files import check_ordinary, is_ordinary
from toylab.runs.folder import LOCK, Read, Run

UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    RuntimeError,
    MemoryError,
    csv.Error,
    BadZipFile,
)
"""What files raise that hold something else than they should."""
_BEFORE = {"environment.json", PENDING, LOCK}
"""What there may be before a configuration is written."""
_PATIENCE = 10.0  # seconds; another process may be beginning the same run


def load(path: str | Path) -> Run:
    """A finished run, all of it as it was written. Raises BadInput where the folder holds none, or a file is damaged,
    which it names."""
    run = Run(Path(path))
    with readable(run.path):
        if not (run.path / "config.json").is_file():
            raise BadInput(f"{path} is no run folder: it has no config.json")
        if run.finished is None:
            raise BadInput(f"{path} is not finished; repeat its command to go on")
        for line in run.damaged():
            raise BadInput(f"{line}; repeating its command makes it anew")
    return run


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raises BadInput for whatever is wrong in a run folder that is read here."""
    try:
        yield
    except BadInput:
        raise
    except UNREADABLE as error:
        raise BadInput(f"{path} has no run that can be read: {one_line(error)}") from None


def open_run(root: Path, config: Mapping[str, Any], device: torch.device, fresh: bool = False) -> Run:
    """The folder for a configuration: a finished one, one to go on with, or a new one.

    A finished one of which a file is damaged is one to go on with; its `said` says so. fresh: always a new one.
    Raises BadInput where `root` cannot be written or the folder is not to be trusted, Unable where another process
    keeps beginning the same run.
    """
    opened: list[Run] = []

    def by_first() -> Path:
        opened.append(_opened(root, config, device, fresh))
        return opened[0].path

    path = parallel.by_first(by_first)
    return opened[0] if opened else Read(path)


def _opened(root: Path, config: Mapping[str, Any], device: torch.device, fresh: bool) -> Run:
    made_with, lines = environment.of_run(config, device), list[str]()
    try:
        for run in _folders(root, config):
            if _is_free(run.path):
                return _begun(run, config, made_with, lines)
            if not fresh and (lost := _unknowable(run)):
                lines.append(f"{lost}; that folder is left alone")
            elif not fresh and _is_same(run, config, made_with):
                break
        check_ordinary(run.path)
        if run.finished and (damaged := run.damaged()):
            with run.held():
                run.reopen([*lines, *(f"{line}; it is made anew" for line in damaged)])
    except OSError as error:
        raise BadInput(f"cannot write to {root}: {error.strerror}") from None
    return run


def _begun(run: Run, config: Mapping[str, Any], made_with: Mapping[str, Any], lines: Sequence[str]) -> Run:
    """Its configuration written, here or by another process in the meantime. lines: what to say of others."""
    with run.held(_PATIENCE):
        if _is_free(run.path):
            run.write_json("environment.json", made_with)
            run.write_json("config.json", config)
    run.say(lines)
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


def _is_free(path: Path) -> bool:
    """Whether there is nothing yet, or only what a process left that was killed before it wrote the configuration."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        return False
    return not path.exists() or all(_is_left(one) for one in path.iterdir())


def _is_left(one: Path) -> bool:
    return (one.name in _BEFORE or one.suffix == ".part") and is_ordinary(one)


def _is_same(run: Run, config: Mapping[str, Any], environment: Mapping[str, Any]) -> bool:
    try:
        made_by = run.environment
        return run.config == config and all(made_by[key] == environment[key] for key in ("sources", "device"))
    except (OSError, ValueError, KeyError):
        return False  # not a folder of ours, or one whose settings are damaged


def _unknowable(run: Run) -> str:
    """What is damaged of all that says what a run is; empty where that is whole."""
    try:
        _ = run.finished, run.config, run.environment
    except Damaged as error:
        return str(error)
    except (OSError, ValueError):  # not a folder of ours
        pass
    return ""
