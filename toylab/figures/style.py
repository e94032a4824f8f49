"""What all figures share: style, colours, panels, frames, arrows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.ledger import FROM_LAW
from toylab.results import ENDLESS, REFERENCES, Row

T = TypeVar("T")

STYLE: Any = {
    "font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "toylab", "savefig.dpi": 200,
}  # fmt: skip
LONGEST = 3.0
"""Arrows of a score field are cut at this length, in units of 1/σ."""
_KNOWN = ("ddpm", "robust-ran", "robust-adv", "invariance", "robust-ran-flat", "robust-adv-flat")
_GREY = 7  # where the palette has the colour of references
_COLUMNS = 5
_PANEL = 1.4  # inches


def save(figure: Figure, path: Path) -> Path:
    """Write a figure in the format of the path's suffix, without the date."""
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)
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


def colour(name: str, everyone: Sequence[str]) -> tuple[float, ...]:
    """Greys for references, but what theory says of a method has its colour; for methods, colour-blind safe colours:
    the same for a known one in every figure, then in the order of the run."""
    name = name.removeprefix("optimum-").removeprefix("implied-")
    if name.startswith(REFERENCES):
        return (0.45, 0.45, 0.45)
    import seaborn  # takes as long to import as torch; a law's portrait does without it

    palette = list(seaborn.color_palette("colorblind"))
    palette.append(palette.pop(_GREY))
    order = [*_KNOWN, *(n for n in everyone if n not in _KNOWN and not n.startswith(REFERENCES))]
    return tuple(palette[order.index(name) % len(palette)])


def stroke(name: str, everyone: Sequence[str]) -> tuple[Any, str]:
    """Colour and style of a curve: exact scores black and grey, what theory says of a method broken in its colour."""
    known = {"exact-clean": ("black", "--"), "exact-contaminated": ("0.5", ":")}
    theory = ":" if name.startswith("implied-") else "--" if name.startswith(REFERENCES) else "-"
    return known.get(name, (colour(name, everyone), theory))
