"""The pictures of benchmarks/frontier.py and benchmarks/ideas.py."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.figures.style import STYLE, save

Row = dict[str, str]


class Kind(NamedTuple):
    """Of the settings that one colour stands for, and one line of the figure goes through."""

    direction: str
    through: bool
    name: str
    colour: str

    def has(self, row: Row) -> bool:
        return (row["method"], row["direction"], row["through"]) == ("map", self.direction, str(self.through))


KINDS = (
    Kind("random", True, "random, two-sided", "#0173b2"),
    Kind("random", False, "random, one-sided", "#d55e00"),
    Kind("fgsm", True, "FGSM, two-sided", "#029e73"),
    Kind("fgsm", False, "FGSM, one-sided", "#cc78bc"),
)
MARKS = {"ddpm": "*", "oracle-clean": "P", "robust-onesided": "D", "robust-ran": "v", "robust-adv": "^"}
NAMES = {
    "ddpm": "plain denoising",
    "oracle-clean": "clean score",
    "robust-ran": "robust-ran (paper)",
    "robust-adv": "robust-adv (paper)",
}
SETTLED = 0.01
"""FGSM is drawn full up to this `unsettled`, and hollow above it."""
MOST = 0.1
"""Outlier mass: what makes it larger is left out of the figure, not of the table."""


def undominated(rows: Iterable[Row]) -> list[Row]:
    """The Pareto line: rows with fewer outliers than any of a lower price, by price."""
    line: list[Row] = []
    for row in sorted(rows, key=lambda row: (float(row["price"]), float(row["outliers"]))):
        if not line or float(row["outliers"]) < float(line[-1]["outliers"]):
            line.append(row)
    return line


def columns(rows: Iterable[Row], *names: str) -> list[list[float]]:
    """Of numbers."""
    some = list(rows)
    return [[float(row[name]) for row in some] for name in names]


def staircase(ax: Axes, rows: Iterable[Row], **style: Any) -> None:
    """What is reached at a price or below it, as far to the right as the axis goes."""
    x, y = columns(undominated(rows), "price", "outliers")
    ax.plot([*x, 1.0], [*y, y[-1]], drawstyle="steps-post", lw=1, **style)


def marked(ax: Axes, rows: Sequence[Row], key: str) -> None:
    """What is shipped, plain denoising and the clean score."""
    for name, mark in MARKS.items():
        at = columns((row for row in rows if row["method"] == name), key, "outliers")
        size = 9 if mark == "*" else 6
        ax.plot(*at, mark, color="black", ms=size, mec="white", mew=0.6, ls="none", label=NAMES.get(name, name))


def drawn(rows: list[Row]) -> Figure:
    """Outliers left against the price on clean data, with Pareto lines, and against the width of the modes."""
    figure = Figure(figsize=(6.6, 3.2), layout="constrained")
    price, width = figure.subplots(1, 2, sharey=True)
    for kind in KINDS:
        some = [row for row in rows if kind.has(row)]
        for ax, key in ((price, "price"), (width, "width")):
            for hollow in (False, True):
                at = columns((r for r in some if (float(r["unsettled"]) > SETTLED) == hollow), key, "outliers")
                face = "none" if hollow else kind.colour
                ax.scatter(*at, s=9, facecolor=face, edgecolor=kind.colour, alpha=0.6, lw=0.6 * hollow)
        staircase(price, some, color=kind.colour, label=kind.name)
    for ax, key in ((price, "price"), (width, "width")):
        marked(ax, rows, key)
    for end in (-0.03, 0.03):
        width.axvline(1 + end, color="0.6", lw=0.6, ls=":")
    price.set_xscale("symlog", linthresh=1e-2)
    price.set(xlabel="price on clean data, in W2", ylabel="outlier mass", xlim=(-1e-3, 0.6), ylim=(-3e-3, MOST))
    width.set(xlabel="mode width, true = 1 (dotted: ±3 %)", xlim=(0.1, 1.6))
    price.scatter([], [], s=9, facecolor="none", edgecolor="0.3", lw=0.6, label="not settled")
    figure.legend(*price.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def saved(drawing: Callable[[], Figure], path: Path) -> None:
    """As PNG and SVG."""
    with mpl.rc_context(STYLE):
        figure = drawing()
        for suffix in (".png", ".svg"):
            save(figure, path.with_name(path.name + suffix))


IDEAS = {
    "early": ("<", "#949494"),
    "late": (">", "#949494"),
    "data": ("s", "#56b4e9"),
    "two radii": ("D", "#ca9161"),
    "width told": ("v", "#fbafe4"),
    "capped": ("^", "#de8f05"),
    "downhill": ("o", "#029e73"),
    "own density": ("X", "#0173b2"),
}


def tried(ideas: Sequence[Row], rows: Sequence[Row]) -> Figure:
    """Every idea of benchmarks/ideas.py on the frontier's law, over the Pareto line of all settings of the map."""
    figure = Figure(figsize=(4.4, 2.9), layout="constrained")
    ax = figure.subplots()
    everything = [row for row in rows if row["method"] in ("map", "ddpm")]
    staircase(ax, everything, color="black", label="the map's line")
    for name, (mark, colour) in IDEAS.items():
        some = [row for row in ideas if (row["law"], row["idea"]) == ("frontier", name)]
        ax.plot(*columns(some, "price", "outliers"), mark, color=colour, ms=4.5, mec="white", mew=0.4, label=name)
    ax.set_xscale("symlog", linthresh=1e-2)
    ax.set(xlabel="price on clean data, in W2", ylabel="outlier mass", xlim=(-1e-3, 0.6), ylim=(-3e-3, 0.07))
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right upper")
    return figure
