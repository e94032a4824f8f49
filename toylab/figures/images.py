"""Figures of images: samples as pictures, and how far they are from real ones."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.figures.style import colour, marker, methods, without_twins
from toylab.figures.sweep import title_of
from toylab.results import REFERENCES, SET, UNATTACKED, Conditions, Row, interval, swept
from toylab.runs import CELLS, Run

_ACROSS = 16  # pictures a line
_DISTANCES = ("fid", "fd-", "pixel-fd")
"""How the names of Fréchet distances begin."""


def images(run: Run) -> Figure | None:
    """Samples of the first seed as square pictures, black -1 and white 1, a line a method; of a sweep for every cell.
    None where samples are not square, in one or three colours."""
    cells = sorted((run.path / CELLS).glob("*")) or [run.path]
    tables = [_pictures(Run(cell)) for cell in cells]
    found = {cell.name: lines for cell, lines in zip(cells, tables, strict=True) if lines}
    if not found:
        return None
    height = sum(0.28 * len(lines) + 0.12 * (len(found) > 1) for lines in found.values())
    figure = Figure(figsize=(5.2, height), layout="constrained")
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=[len(lines) for lines in found.values()])
    for part, (name, lines) in zip(parts[:, 0], found.items(), strict=True):
        if len(found) > 1:
            part.suptitle(name.partition("-")[2].replace("-", " "), fontsize=7)
        for ax, (method, line) in zip(part.subplots(len(lines), 1, squeeze=False)[:, 0], lines.items(), strict=True):
            ax.imshow((line.clip(-1, 1) + 1) / 2, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_ylabel(method, rotation=0, ha="right", va="center")
    return figure


def _pictures(run: Run) -> dict[str, np.ndarray]:
    """Of every method a line of pictures (height, width) or (height, width, 3); none where they cannot be shown."""
    stored = without_twins(run.arrays("samples.npz"))
    lines = {name: _line(points[0, :_ACROSS]) for name, points in stored.items()}
    return {name: line for name, line in lines.items() if line is not None}


def _line(points: np.ndarray) -> np.ndarray | None:
    """Pictures (n, d) side by side, white between them."""
    for channels in (1, 3):
        side = round((points.shape[-1] / channels) ** 0.5)
        if points.shape[-1] == channels * side**2:
            pictures = points.reshape(-1, channels, side, side)
            framed = np.pad(pictures, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=1)
            line: np.ndarray = framed.transpose(2, 0, 3, 1).reshape(side, -1, channels)
            return line[..., 0] if channels == 1 else line
    return None


class _Drawn(NamedTuple):
    """Samples drawn in one way: by so many evaluations, left alone or attacked."""

    nfe: str
    under: Conditions

    @property
    def title(self) -> str:
        pushed = f", pushed by {float(self.under.budget):g}" if self.under.budget else ""
        return f"{self.nfe} evaluations{pushed}"


def quality(run: Run) -> Figure | None:
    """Fréchet distances of every method's samples to real images with 95 % intervals: a line of panels for each, a
    column for each way to draw samples; lines are real images and what was trained on. None where not measured."""
    rows = [row for row in run.rows if row["metric"].startswith(_DISTANCES)]
    if not rows:
        return None
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    ways = list(dict.fromkeys(_Drawn(row["nfe"], Conditions.of(row)) for row in rows if row["nfe"]))
    key = next(iter(swept(rows)), None)
    figure = Figure(figsize=(min(1.2 + 2.1 * len(ways), 7.0), 0.8 + 1.8 * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), len(ways), squeeze=False, sharey="row", sharex=True)
    for metric, line in zip(metrics, panels, strict=True):
        for ax, way in zip(line, ways, strict=True):
            _panel(ax, [row for row in rows if row["metric"] == metric], metric, key, way)
        line[0].set(ylabel=metric.replace("fd", "FD").replace("fid", "FID").replace("-FD", " FD"), yscale="log")
    for ax, way in zip(panels[0], ways, strict=True):
        ax.set_title(way.title, fontsize=7)
    for ax in panels[-1] if key is not None else ():
        ax.set_xlabel(title_of(key or ""))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7)
    return figure


def _panel(ax: Axes, rows: Sequence[Row], metric: str, key: str | None, way: _Drawn) -> None:
    values = list(dict.fromkeys(row[SET + key] for row in rows)) if key else [""]
    everyone = methods(rows)
    trained = [name for name in everyone if not name.startswith(REFERENCES)]
    for number, name in enumerate(everyone):
        drawn: Mapping[str, str] = {"nfe": ""} if name not in trained else {"nfe": way.nfe, **way.under._asdict()}
        under = UNATTACKED if name not in trained else way.under
        for place, value in enumerate(values):
            own = [row for row in rows if not key or row[SET + key] == value]
            own = [row for row in own if all(row[column] == meant for column, meant in drawn.items())]
            found = interval(own, name, metric, "clean", under=under)
            if found is None:
                continue
            label = name if place == 0 else ""
            if name in trained:
                at = place + 0.7 * ((number + 0.5) / len(trained) - 0.5)
                shape, shade = marker(name, everyone), colour(name, everyone)
                ax.errorbar(at, found.mean, yerr=found.half, fmt=shape, ms=3, lw=1.2, color=shade, label=label)
            else:
                style = ":" if name.startswith("clean") else "--"
                ax.hlines(found.mean, place - 0.45, place + 0.45, ls=style, color="0.5", lw=0.8, label=label)
    ax.set_xticks(range(len(values)), values)
