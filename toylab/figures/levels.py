"""Figures over noise levels: the error of the score, and how much of the contamination was learned."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from toylab.configuration import ScheduleChoice, validate
from toylab.figures.style import methods, stroke, without_twins
from toylab.results import REFERENCES, Row, interval
from toylab.runs import Run

_AGAINST = {
    "clean": "against the clean score",
    "contaminated": "against the contaminated score",
    "theory": "against its optimum",
}
_NOTHING = 1e-9
"""Below it is rounding: an exact score's own error."""
_DEEP = 30.0
"""How far a curve may go below all that was trained: exact optima may have no error to speak of."""
_OPTIMUM = "exact optimum\nin its colour"
_SEEN = (-0.75, 1.75)
"""What is drawn of leakage at most: further away is neither law."""


def score_error(run: Run) -> Figure | None:
    """Mean squared error of ε over noise levels against each exact law, with 95 % intervals over seeds; None where it
    was not measured."""
    rows = _by_level(run, "eps-mse")
    laws = [law for law in _AGAINST if any(row["against"] == law for row in rows)]
    if not laws:
        return None
    figure = Figure(figsize=(2.0 * len(laws) + 1.5, 2.3), layout="constrained")
    axes = figure.subplots(1, len(laws), sharey=True, squeeze=False)[0]
    for ax, law in zip(axes, laws, strict=True):
        _curves(ax, run, [row for row in rows if row["against"] == law], log=True)
        ax.set(xscale="log", yscale="log", xlabel="noise level σ/α", title=_AGAINST[law])
    trained = [row for row in rows if not row["method"].startswith(REFERENCES)]
    lowest = min((float(row["value"]) for row in trained if float(row["value"]) > 0), default=0.0)
    if lowest / _DEEP > axes[0].get_ylim()[0]:
        axes[0].set_ylim(bottom=lowest / _DEEP)
    axes[0].set_ylabel("mean squared error of ε")
    _legend(figure, axes)
    return figure


def leakage(run: Run) -> Figure | None:
    """Leakage over noise levels with 95 % intervals over seeds, 0 the clean law's score and 1 the contaminated law's;
    None where it was not measured."""
    rows = _by_level(run, "leakage")
    if not rows:
        return None
    figure = Figure(figsize=(4.4, 2.4), layout="constrained")
    ax = figure.subplots()
    for level in (0, 1):
        ax.axhline(level, color="0.8", lw=0.8, zorder=0)
    _curves(ax, run, rows)
    low, high = ax.get_ylim()
    ax.set(xscale="log", xlabel="noise level σ/α", ylim=(max(low, _SEEN[0]), min(high, _SEEN[1])))
    ax.set_ylabel("leakage: 0 clean, 1 contaminated score")
    _legend(figure, [ax])
    return figure


def _by_level(run: Run, metric: str) -> list[Row]:
    return [row for row in run.rows if row["metric"] == metric and row["t"]]


def _curves(ax: Axes, run: Run, rows: Sequence[Row], log: bool = False) -> None:
    """Means and 95 % intervals of every method that is not exactly right, over σ/α."""
    schedule = validate(ScheduleChoice, run.config["schedule"]).build()
    levels = sorted({row["t"] for row in rows}, key=float)
    ratios = [float(sigma / alpha) for alpha, sigma in (schedule(float(t)) for t in levels)]
    everyone = methods(run.rows)
    for name in without_twins(dict.fromkeys(methods(rows))):
        found = [interval(rows, name, rows[0]["metric"], rows[0]["against"], t) for t in levels]
        means = np.array([i.mean if i else np.nan for i in found])
        half = np.nan_to_num([i.half if i else np.nan for i in found])
        if not (np.abs(means) > _NOTHING).any():
            continue  # the law's own score has no error to draw
        shade, style = stroke(name, everyone)
        label = _OPTIMUM if name.startswith("optimum-") else name
        ax.plot(ratios, means, ls=style, color=shade, lw=0.8 if label == _OPTIMUM else 1.2, label=label)
        low = np.maximum(means - half, means / 10) if log else means - half
        ax.fill_between(ratios, low, means + half, color=shade, alpha=0.2, lw=0)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    handles = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    if _OPTIMUM in handles:
        handles[_OPTIMUM] = Line2D([], [], ls="--", lw=0.8, color="0.2")
    figure.legend(handles.values(), handles.keys(), loc="outside right center")
