"""Draws architecture.svg from the package's imports: python docs/architecture.py

Rooms, the modules and packages directly in toylab/, stand in the order of [tool.importlinter] in pyproject.toml, by
floors; an arc leads from a floor to one below it that it imports from, the wider the more modules do. All stand on the
lowest floor, to which no arcs are drawn.
"""

import math
import tomllib
from collections import Counter
from html import escape
from itertools import groupby
from pathlib import Path

import grimp

HERE = Path(__file__).parent
FLOORS = {
    "errors": "Foundations",
    "distributions": "Exact laws",
    "schedules": "Diffusion, objectives",
    "data": "Data and training",
    "samplers": "Sampling and attacks",
    "metrics": "Measuring",
    "runs": "Records and verdicts",
    "experiments": "Experiments",
    "figures": "Showing",
    "launch": "Using",
    "cli": "Commands",
}
"""The first room of each floor, from the ground up, and what the floor is called."""

WIDTH, MARGIN, LEFT, LINE, GAP = 960, 12, 190, 24, 14
ROOM = 7.0  # pixels a letter
ARCS = 200  # the right part of the picture


def rooms() -> list[str]:
    """From the ground up."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return list(reversed(contract["layers"]))


def floors() -> dict[str, list[str]]:
    """Name -> rooms, from the ground up."""
    names, name = {}, ""
    for room in rooms():
        name = names[room] = FLOORS.get(room, name)
    return {name: list(own) for name, own in groupby(names, names.__getitem__)}


def imports() -> Counter[tuple[str, str]]:
    """(floor, floor below) -> how many modules of the one import from the other."""
    graph = grimp.build_graph("toylab")
    floor_of = {room: floor for floor, own in floors().items() for room in own}
    found = {
        (module, floor_of.get(module.split(".")[1]), floor_of.get(imported.split(".")[1]))
        for module in graph.modules if "." in module
        for imported in graph.find_modules_directly_imported_by(module) if "." in imported
    }  # fmt: skip
    ground = next(iter(floors()))
    return Counter((upper, lower) for _, upper, lower in found if upper and lower and lower not in (upper, ground))


def lines(own: list[str]) -> list[list[str]]:
    """Rooms in lines that fit."""
    broken: list[list[str]] = [[]]
    for room in own:
        used = sum(ROOM * len(other) + 22 for other in broken[-1])
        if used + ROOM * len(room) + 22 > WIDTH - LEFT - ARCS - MARGIN:
            broken.append([])
        broken[-1].append(room)
    return broken


def svg() -> str:
    """The picture."""
    y, parts, middle = MARGIN, [], {}
    for name, own in reversed(floors().items()):
        broken = lines(own)
        height = LINE * len(broken) + 12
        middle[name] = y + height / 2
        parts.append(
            f'<rect class="floor" x="{MARGIN}" y="{y}" width="{WIDTH - ARCS - MARGIN}" height="{height}" rx="5"/>'
            f'<text class="name" x="{MARGIN + 10}" y="{y + height / 2 + 4}">{escape(name)}</text>'
        )
        for number, line in enumerate(broken):
            x = float(LEFT)
            for room in line:
                wide = ROOM * len(room) + 14
                top = y + 6 + LINE * number
                parts.append(
                    f'<rect class="room" x="{x:g}" y="{top + 2}" width="{wide:g}" height="{LINE - 4}" rx="3"/>'
                    f'<text x="{x + 7:g}" y="{top + 16}">{escape(room)}</text>'
                )
                x += wide + 8
        y += height + GAP
    right = WIDTH - ARCS + 2
    for (upper, lower), count in sorted(imports().items()):
        top, bottom = middle[upper] + 4, middle[lower] - 4
        reach = 20 + (ARCS - 40) * (bottom - top) / (y - MARGIN)
        parts.append(
            f'<path class="arc" d="M{right} {top:g} C{right + reach:.0f} {top:g} {right + reach:.0f} {bottom:g} '
            f'{right} {bottom:g}" stroke-width="{0.6 + 0.9 * math.log2(count):.2f}">'
            f"<title>{escape(upper)} imports from {escape(lower)}: {count} modules</title></path>"
        )
    style = (
        "text{font:12px ui-monospace,monospace;fill:#222}.name{font:600 13px system-ui,sans-serif}"
        ".floor{fill:#eef1f6}.room{fill:#fff;stroke:#b8c2d3}.arc{fill:none;stroke:#3f51b5;stroke-opacity:.45}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
        f'aria-label="The rooms of toylab, and which floors import from which"><style>{style}</style>'
        f'<rect width="{WIDTH}" height="{y}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    (HERE / "architecture.svg").write_text(svg(), encoding="utf-8")
