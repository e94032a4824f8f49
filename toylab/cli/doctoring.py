"""What looks at the installation: `toylab doctor`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toylab.cli.app import command
from toylab.cli.options import Runs
from toylab.cli.printing import print_json, say

if TYPE_CHECKING:
    from toylab.diagnosis import Diagnosis


@command("toylab doctor")
def doctor(
    out: Runs = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Look at this installation: versions, devices, threads, memory, disk, extras and how to get them, and problems."""
    from toylab.diagnosis import diagnose

    found = diagnose(out)
    if as_json:
        print_json(
            found._asdict()
            | {
                "extras": {
                    extra.name: {"installed": not extra.missing, "missing": extra.missing, "pip": extra.pip}
                    for extra in found.extras
                }
            }
        )
        return
    for line in _lines(found):
        say(line)


def _lines(found: "Diagnosis") -> Iterator[str]:
    yield ", ".join(f"{name} {version or 'missing'}" for name, version in found.versions.items())
    yield from (f"{name}: {', '.join(_words(device))}" for name, device in found.devices.items())
    yield f"memory: {_gib(found.memory['available'])} of {_gib(found.memory['total'])} available"
    yield f"disk: {_gib(found.disk['free'])} of {_gib(found.disk['total'])} free in {found.disk['path']}"
    for extra in found.extras:
        yield f"extra {extra.name}: " + (f"{'; '.join(extra.missing)}: {extra.pip}" if extra.missing else "installed")
    yield from (f"problem: {problem}" for problem in found.problems)
    if not found.problems:
        yield "no problem found"


def _words(device: dict[str, Any]) -> Iterator[str]:
    if not device["available"]:
        yield "none" + (f", though torch is built for {device['built']}" if device.get("built") else "")
        return
    yield from device.get("names", [device.get("name", "available")])
    if "cores" in device:
        yield f"{device['cores']} cores"
        yield f"{device.get('threads', '?')} threads at work (OMP_NUM_THREADS sets how many)"


def _gib(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**30:.1f} GiB"
