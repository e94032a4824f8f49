"""What a run was made with: versions, device, threads, and the sources of this package."""

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

from toylab import __version__, parallel

_RECORDED = ("torch", "numpy", "scipy", "pot", "pydantic", "safetensors", "torchdiffeq", "matplotlib", "seaborn")


def of_run(config: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """What environment.json says of a run of this configuration on this device."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "unknown"
    return {
        "toylab": __version__,
        "sources": sources_hash(),
        "git": _git_revision(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: importlib.metadata.version(package) for package in _RECORDED},
        "device": device.type,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "processes": parallel.here().size,
        "seed": config["seed"],
    }


def _git_revision() -> str | None:
    """The commit these sources were checked out from, if they are tracked at all."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()

    try:
        git(
            "ls-files", "--error-unmatch", "environment.py"
        )  # an installed copy may lie inside somebody else's checkout
        return git("rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def sources_hash() -> str:
    """Hash of this package's Python files: results are reused only from the sources that made them. Taken once: a
    process keeps the sources that it has imported."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
