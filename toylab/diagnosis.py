"""What is wrong with an installation, if anything is: versions, devices, memory, disk, extras.

Nothing is taken for granted, torch least of all: whatever is missing or broken is a line among the problems.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.version import Version

import toylab
from toylab import process
from toylab.errors import BadInput, one_line, pip

NAME = "toylab"
GIB = 2**30
LEAST = 1.0
"""GiB of memory, or on disk, below which even small runs may fail."""
_SECONDS = 120


class Extra(NamedTuple):
    """Optional dependencies: those that are missing or too old, and the line that gets them."""

    name: str
    missing: list[str]
    pip: str


class Diagnosis(NamedTuple):
    """versions: package -> version, None where it is missing; devices: a table each; memory, disk: bytes, by what they
    are; problems: a line each."""

    versions: dict[str, str | None]
    devices: dict[str, dict[str, Any]]
    memory: dict[str, int | None]
    disk: dict[str, Any]
    extras: list[Extra]
    problems: list[str]


def diagnose(root: Path) -> Diagnosis:
    """Of this installation, with runs kept in `root`."""
    problems: list[str] = []
    if (installed := _metadata()) is None:
        problems.append(f"{NAME} is not installed, only imported: pip install -e {Path(toylab.__file__).parents[1]}")
    core = _required(installed)
    versions: dict[str, str | None] = {"python": platform.python_version(), NAME: toylab.__version__}
    versions |= {requirement.name: _version(requirement.name) for requirement in core}
    problems += [f"{what}: pip install '{requirement}'" for requirement in core if (what := _lacks(requirement))]
    devices = _devices(problems)
    disk, memory = _disk(root, problems), _memory(problems)
    problems += _torchvision()
    return Diagnosis(
        versions,
        devices,
        memory,
        disk,
        [_extra(name, installed) for name in (installed.get_all("Provides-Extra") or [] if installed else [])],
        problems,
    )


def _metadata() -> Any:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.metadata(NAME)
    return None


def _required(installed: Any, extra: str = "") -> list[Requirement]:
    """What the package needs, or an extra of it adds to that."""
    found = [Requirement(text) for text in (installed.get_all("Requires-Dist") or [] if installed else [])]
    always = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [one for one in found if one not in always and one.marker and one.marker.evaluate({"extra": extra})]


def _extra(name: str, installed: Any) -> Extra:
    """An extra may name others of ours, as `toylab[images]`; they are listed themselves."""
    needed = [requirement for requirement in _required(installed, name) if requirement.name != NAME]
    return Extra(name, [what for one in needed if (what := _lacks(one))], pip(name))


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _lacks(requirement: Requirement) -> str:
    """What is wrong with a package, if anything is."""
    there = _version(requirement.name)
    if there is None:
        return f"{requirement.name} is missing"
    enough = requirement.specifier.contains(Version(there), prereleases=True)
    return "" if enough else f"{requirement.name} {there} is not {requirement.specifier}"


def _devices(problems: list[str]) -> dict[str, dict[str, Any]]:
    """CPU, CUDA and MPS, as torch sees them."""
    name = platform.processor() or platform.machine()
    cpu: dict[str, Any] = {"available": True, "name": name, "cores": process.cores()}
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken installation raises whatever it likes
        problems.append(f"torch cannot be imported: {one_line(error)[:200]}: pip install --force-reinstall torch")
        return {"cpu": cpu}
    cpu["threads"] = torch.get_num_threads()
    built, there = torch.version.cuda, torch.cuda.is_available()
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if there else []
    if not there and Path("/proc/driver/nvidia/version").exists():
        why = f"this torch, for CUDA {built}, cannot use it: see nvidia-smi" if built else (
            "this torch is for the CPU alone: pip install torch --index-url https://download.pytorch.org/whl/cu128"
        )  # fmt: skip
        problems.append(f"there is an NVIDIA device, but {why}")
    cuda = {"available": there, "built": built, "names": names}
    return {"cpu": cpu, "cuda": cuda, "mps": {"available": torch.backends.mps.is_available()}}


def _memory(problems: list[str]) -> dict[str, int | None]:
    found = process.memory()
    if found.available is not None and found.available < LEAST * GIB:
        problems.append(f"only {found.available / GIB:.1f} GiB of memory are available")
    return found._asdict()


def _disk(root: Path, problems: list[str]) -> dict[str, Any]:
    """Where run folders are kept, or would be: whether that can be written, and the room there."""
    try:
        place = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    except OSError as error:  # a name that is too long
        raise BadInput(f"runs cannot be kept in {root}: {error.strerror}") from None
    told: dict[str, Any] = {"path": str(root), "writable": False}
    try:
        with tempfile.TemporaryFile(dir=place):
            told["writable"] = True
    except OSError as error:
        problems.append(f"runs cannot be written to {root}: {place}: {error.strerror}; --out DIR names another folder")
    usage = shutil.disk_usage(place)
    if usage.free < LEAST * GIB:
        problems.append(f"only {usage.free / GIB:.1f} GiB are free where runs are kept, in {root}")
    return told | {"free": usage.free, "total": usage.total}


def _torchvision() -> list[str]:
    """Tried in a process of its own, since an import that fails leaves torch broken as well."""
    if importlib.util.find_spec("torchvision") is None:
        return []
    command = [sys.executable, "-c", "import torchvision"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return [f"torchvision takes more than {_SECONDS} s to import; toylab does without: pip uninstall torchvision"]
    if tried.returncode == 0:
        return []
    why = (tried.stderr.strip().splitlines() or ["no word"])[-1][:200]
    of = " and ".join(f"{name} {_version(name)}" for name in ("torchvision", "torch"))
    return [f"{of} do not go together ({why}), and torchmetrics fails with them: pip uninstall torchvision"]
