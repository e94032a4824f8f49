"""Figures of a study: what its run folder holds, drawn."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.figures.fields import density, projected
from toylab.figures.style import colour, frame, marker, methods, panels, without_twins
from toylab.metrics.support import MOST_DECIBELS
from toylab.results import interval
from toylab.runs import Run

_WIDE = 300.0
"""Ratio of the largest to the smallest of dots from which their scale is logarithmic."""


def samples(run: Run) -> Figure:
    """Samples of the first seed of every method over the clean law's density; beyond 2-D by their coordinates on the
    run's cut, or else their first two."""
    stored, grid = without_twins(run.arrays("samples.npz")), run.arrays("fields.npz")
    stored = {name: projected(points, grid) for name, points in stored.items()}
    dim = next(iter(stored.values())).shape[-1]
    reach = 1.05 * _reach(stored) or 1.0
    figure, axes = panels(len(stored))
    for ax, (name, points) in zip(axes, stored.items(), strict=False):
        x = points[0]
        beyond = float(np.mean(~(np.abs(x) <= reach).all(1)))
        if dim == 1:
            _histogram(ax, x[:, 0], grid, reach, colour(name, list(stored)))
        else:
            _scatter(ax, x, grid, reach, colour(name, list(stored)))
        ax.set_title(name + (f"\n{100 * beyond:.0f} % outside the frame" if beyond > 0.005 else ""))
    return figure


def _reach(stored: Mapping[str, np.ndarray]) -> float:
    """What holds the clean law, and of what was trained on all but the last of long tails; where neither was drawn,
    that of every method. 0 where nothing is finite."""
    shares = {"clean-samples": 1.0, "contaminated-samples": 0.995}
    asked = {name: share for name, share in shares.items() if name in stored} or dict.fromkeys(stored, 0.995)
    found = [
        np.nanquantile(points, share)
        for name, share in asked.items()
        if not np.isnan(points := np.abs(stored[name])).all()
    ]
    return float(max(found, default=0.0))


def outlier_mass(run: Run) -> Figure | None:
    """Outlier mass of every method with its 95 % interval, beside the two laws' own; None where it was not measured."""
    return _dots(run, "outlier-mass", "share of samples outside the clean law's 99.9 % region")


def normal_std(run: Run) -> Figure | None:
    """How far samples are from the clean law's subspace, with 95 % intervals; None where it has none, or it was not
    measured."""
    return _dots(run, "normal-std", "standard deviation of samples off the clean law's subspace")


def w2(run: Run) -> Figure | None:
    """W2 of samples to the clean law with 95 % intervals; fresh exact samples are the floor. None where it was not
    measured."""
    return _dots(run, "w2", "W2 of samples to the clean law")


def psnr(run: Run) -> Figure | None:
    """PSNR of samples against their projections on the clean law's subspace, beside that of points trained on; without
    what lies on the subspace, where it is infinite."""
    return _dots(run, "psnr", "PSNR of samples against the subspace, dB", hidden=MOST_DECIBELS)


def _dots(run: Run, metric: str, label: str, hidden: float = math.inf) -> Figure | None:
    """A metric of every method with its 95 % interval, lines for the two laws' own; without what reaches `hidden`."""
    rows = run.rows
    found = {name: interval(rows, name, metric, "clean") for name in without_twins(dict.fromkeys(methods(rows)))}
    known = {name: value for name, value in found.items() if value is not None and not value.mean >= hidden}
    if not known:
        return None
    everyone, names = methods(rows), [name for name, value in found.items() if value is None or name in known]
    figure = Figure(figsize=(4.2, 0.27 * len(names) + 0.7), layout="tight")
    ax = figure.subplots()
    for y, name in enumerate(reversed(names)):
        if name in known:
            mean, half = known[name]
            shade, shape = colour(name, everyone), marker(name, everyone)
            ax.errorbar(mean, y, xerr=half, fmt=shape, ms=4, capsize=2, color=shade, lw=1.2)
    for name, style in (("clean-samples", ":"), ("contaminated-samples", "--")):
        if name in known:
            ax.axvline(known[name].mean, ls=style, color="0.5", lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), list(reversed(names)))
    ax.set_xlabel(label)
    means = [mean for mean, _ in known.values()]
    if min(means) > 0 and max(means) > _WIDE * min(means):
        ax.set(xscale="log", xlim=(min(means) / 1.5, 1.5 * max(means)))
        ax.xaxis.set_major_formatter("{x:g}")
    else:
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    return figure


def _scatter(ax: Axes, x: np.ndarray, grid: dict[str, np.ndarray], reach: float, colour: str) -> None:
    ax.scatter(x[:, 0], x[:, 1], s=1.5, color=colour, alpha=0.35, lw=0, rasterized=True)
    density(ax, grid)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    frame(ax)


def _histogram(ax: Axes, x: np.ndarray, grid: dict[str, np.ndarray], reach: float, colour: str) -> None:
    inside = x[np.abs(x) <= reach]
    heights, edges = np.histogram(inside, bins=80, range=(-reach, reach))
    ax.stairs(heights / (len(x) * np.diff(edges)), edges, fill=True, color=colour, alpha=0.5)
    if "log_density" in grid:
        ax.plot(grid["axis"], np.exp(grid["log_density"]), color="0.3", lw=0.8)
    ax.set(xlim=(-reach, reach), yticks=[])
