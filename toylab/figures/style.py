"""What all figures share: style, colours, panels, frames, arrows."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.files import write_whole
from toylab.ledger import FROM_LAW
from toylab.results import ENDLESS, REFERENCES, Row

T = TypeVar("T")

STYLE: Any = {
    "font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "toylab", "savefig.dpi": 200,
}  # fmt: skip
LONGEST = 3.0
"""Arrows of a score field are cut at this length, in units of 1/σ."""
_COLOURS: dict[str, int | str] = {
    "ddpm": 0, "robust-ran": 1, "robust-adv": 2, "invariance": 3, "robust-ran-flat": 4, "robust-adv-flat": 5,
    "robust-onesided": "#882255", "robust-l2": 9, "oracle-clean": "#332288", "pseudo-huber": "#cc6677",
    "trimmed": "#999933", "ambient": "#661100",
}  # fmt: skip
"""Of the methods of experiments: numbers of seaborn's colour-blind palette, and of Paul Tol's, none too light."""
_FURTHER = ("#44aa99", "#aa4499", "#117733", "#88ccee", "#ddcc77", "#fbafe4")
_GREY = "#737373"
_STROKES: Sequence[Any] = ("-", (0, (5, 1)), (0, (4, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
_MARKERS = "osDv^"
"""Of a method, and of its versions."""
_COLUMNS = 5
_PANEL = 1.4  # inches


def save(figure: Figure, path: Path) -> Path:
    """Write a figure in the format of the path's suffix, without the date, whole or not at all."""
    drawn, kind = io.BytesIO(), path.suffix.removeprefix(".")
    figure.savefig(drawn, format=kind, bbox_inches="tight", metadata={"Date": None} if kind == "svg" else None)
    write_whole(path, drawn.getvalue())
    return path


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with so many square panels, at most five a line."""
    columns = min(count, _COLUMNS)
    lines = -(-count // columns)
    figure = Figure(figsize=(_PANEL * columns, (_PANEL + 0.4) * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return figure, list(axes.flat)


def frame(ax: Axes) -> None:
    """A square panel with a thin frame and no ticks."""
    ax.set(xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set(visible=True, linewidth=0.5, color="0.6")


def arrows(ax: Axes, x: np.ndarray, score: np.ndarray, **style: Any) -> None:
    """σ·score (n, 2) at x (n, 2), the longest cut."""
    length = np.linalg.norm(score, axis=1, keepdims=True)
    cut = score * np.minimum(1, LONGEST / np.maximum(length, 1e-12))
    ax.quiver(*x.T, *cut.T, scale=40, width=0.007, rasterized=True, **style)


def methods(rows: Sequence[Row]) -> list[str]:
    """Methods and references in the order of the run."""
    return list(dict.fromkeys(row["method"] for row in rows))


def without_twins(named: Mapping[str, T]) -> dict[str, T]:
    """By name, without those that were measured for the error ledger alone."""
    return {name: v for name, v in named.items() if not (name.startswith(ENDLESS) or name.endswith(FROM_LAW))}


def colour(name: str, everyone: Sequence[str]) -> str:
    """Grey for references, but what theory says of a method has its colour; a version of METHOD, METHOD-..., has that
    of METHOD, unless it is known by its own; other methods have colours in the order of the run."""
    name = name.removeprefix("optimum-").removeprefix("implied-")
    if name.startswith(REFERENCES):
        return _GREY
    full = _full(name, everyone)
    others = dict.fromkeys(_full(n, everyone) for n in everyone if not n.startswith(REFERENCES))
    further = [other for other in others if other not in _COLOURS]
    known = _COLOURS.get(full)
    if not isinstance(known, int):
        return known or _FURTHER[further.index(full) % len(_FURTHER)]
    import seaborn  # takes as long to import as torch; a law's portrait does without it

    return str(seaborn.color_palette("colorblind").as_hex()[known])


def marker(name: str, everyone: Sequence[str]) -> str:
    """Of a dot: a circle, and for versions of a method one of their own."""
    return _MARKERS[_number(name, everyone) % len(_MARKERS)]


def stroke(name: str, everyone: Sequence[str]) -> tuple[str, Any]:
    """Colour and style of a curve: exact scores black and grey, what theory says of a method broken in its colour,
    versions of a method each with a style of its own."""
    known = {"exact-clean": ("black", "--"), "exact-contaminated": ("0.5", ":")}
    if name in known:
        return known[name]
    if name.startswith(REFERENCES):
        return colour(name, everyone), ":" if name.startswith("implied-") else "--"
    return colour(name, everyone), _STROKES[_number(name, everyone) % len(_STROKES)]


def _full(name: str, everyone: Sequence[str]) -> str:
    """The method of which this one is a version, itself if of none."""
    if name in _COLOURS:
        return name
    return max((n for n in {*_COLOURS, *everyone} if name.startswith(f"{n}-")), key=len, default=name)


def _number(name: str, everyone: Sequence[str]) -> int:
    """0 for a method and for references, from 1 on for its versions, in the order of the run."""
    full = _full(name, everyone)
    if name == full or name.startswith(REFERENCES):
        return 0
    return 1 + [n for n in everyone if n != full and _full(n, everyone) == full].index(name)
