"""Figures of attacks on the sampling trajectory."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.figures.style import marker, stroke
from toylab.results import Conditions, Row, interval
from toylab.runs import Run

_PLACES = {"start": "at the start", "middle": "in the middle", "every": "at every step"}


def displacement(run: Run) -> Figure | None:
    """How far attacks move the end point, against their budget; None where nothing was attacked."""
    return _curves(run.rows, "displacement", "displacement of x₀", log=True)


def outlier_mass(run: Run) -> Figure | None:
    """Outlier mass under attack, against the budget; None where nothing was attacked, or there is no such mass."""
    return _curves(run.rows, "outlier-mass", "outlier mass")


def _curves(rows: Sequence[Row], metric: str, label: str, log: bool = False) -> Figure | None:
    """A line a place, a column an attack, one scale in a line: means and 95 % intervals over seeds."""
    rows = [row for row in rows if row["metric"] == metric and row["attack"]]
    rows = [row for row in rows if float(row["budget"]) > 0 or not log]
    if not rows:
        return None
    attacks, places, everyone = (list(dict.fromkeys(row[k] for row in rows)) for k in ("attack", "place", "method"))
    figure = Figure(figsize=(min(2.2 * len(attacks) + 0.6, 7.0), 1.9 * len(places) + 0.8), layout="constrained")
    axes = figure.subplots(len(places), len(attacks), squeeze=False, sharex=True, sharey="row")
    for line, place in zip(axes, places, strict=True):
        for ax, attack in zip(line, attacks, strict=True):
            _panel(ax, [row for row in rows if (row["attack"], row["place"]) == (attack, place)], everyone, log)
        line[0].set_ylabel(f"{label}\n{_PLACES.get(place, place)}")
        if not log:
            line[0].set_ylim(bottom=0)
    for ax, attack in zip(axes[0], attacks, strict=True):
        ax.set_title(attack)
    for ax in axes[-1]:
        ax.set_xlabel("budget, noise units")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _panel(ax: Axes, rows: Sequence[Row], everyone: Sequence[str], log: bool) -> None:
    budgets = sorted({row["budget"] for row in rows}, key=float)
    x = np.array([float(budget) for budget in budgets])
    for number, name in enumerate(everyone):
        under = [Conditions(rows[0]["attack"], rows[0]["place"], budget) for budget in budgets]
        found = [interval(rows, name, rows[0]["metric"], "clean", under=one) for one in under]
        means = np.array([i.mean if i else np.nan for i in found])
        half = np.nan_to_num([i.half if i else np.nan for i in found])
        low = np.minimum(half, 0.9 * means if log else means)  # what the axis can show
        apart = (number - (len(everyone) - 1) / 2) / len(everyone)  # bars beside each other, within a budget
        at = x * 1.3**apart if log else x + 0.07 * apart * x.max()
        shade, style = stroke(name, everyone)
        ax.errorbar(
            at, means, yerr=(low, half), ls=style, color=shade, lw=1, elinewidth=0.7, ms=2, label=name,
            marker=marker(name, everyone),
        )  # fmt: skip
    if log:
        ax.set(xscale="log", yscale="log")
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.minorticks_off()
