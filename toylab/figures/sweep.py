"""A metric over the keys of a sweep: curves over one number, maps over two, panels for the rest."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from toylab.figures.style import marker, methods, stroke
from toylab.metrics.support import MOST_DECIBELS
from toylab.results import REFERENCES, SET, Row, interval, is_of, short, swept
from toylab.runs import Run
from toylab.statistics import Interval

_NFE = "nfe"
_DRAWN = ("exact-", "optimum-", "implied-")
"""Of the references; exact samples have no part in what a sweep goes over."""
_NOTHING = 1e-9
"""Below it is rounding: an exact score's own error, the distance of its samples from their support."""
_INFINITE = {"psnr": MOST_DECIBELS}
"""What stands for infinity: of points on the subspace."""
_WIDE, _APART, _FAR = 20.0, 1.2, 30.0
"""Ratios: of the largest to the smallest from which a scale is logarithmic, of a number to the one before that both are
written on an axis, and of a curve to nearly all others from which on it is not seen."""
_COLUMNS, _ACROSS = 5, 3
"""Panels a line at most, of maps and of curves: readable at the width of a page."""
_COLOURS = "cividis"  # reads the same with any colour blindness

_KEYS = {
    _NFE: "evaluations of the network", "lam": "λ", "r0": "radius r₀, noise units", "rho": "exponent ρ of the radius",
    "size": "training points", "dim": "dimension", "fraction": "contaminated share",
    "start": "share of training before it", "std": "standard deviation of the noise",
}  # fmt: skip
_METRICS = {
    "w2": "W2 to the clean law", "eps-mse": "mean squared error of ε", "normal-std": "deviation off the subspace",
    "tangent-std": "deviation within the subspace", "distance": "distance to the clean law's support",
    "mode-width": "standard deviation of a mode", "psnr": "PSNR against the subspace, dB",
}  # fmt: skip
"""What axes call keys and metrics whose own names do not say it; lengths are in the data's units."""

Place = Mapping[str, str]
"""Columns of the results, and their values."""


def sweep(run: Run, metric: str) -> Figure | None:
    """The metric, held against the clean law where it is against one; None where no sweep has measured it.

    Over one number, or none: a curve for each method, with 95 % intervals over seeds. Over two or more: maps over the
    last two of each method that depends on them. Words, and further numbers, make panels.
    """
    rows = [r for r in run.rows if r["against"] == "clean" and not r["t"] and not r["attack"]]
    rows = [row for row in rows if is_of(row["metric"], metric) and _is_drawn(row["method"])]
    columns = [SET + key for key in swept(rows)]
    if run.config.get("few_steps") and len(_values(rows, _NFE)) > 1:
        columns.append(_NFE)
    if not columns:
        return None
    numbers = [column for column in columns if _are_numbers(_values(rows, column))]
    if len(numbers) > 1:
        return _maps(rows, metric, columns, numbers[-2:])
    return _curves(rows, metric, columns, (numbers or columns)[0])


# -- curves ------------------------------------------------------------------------------------------------------


def _curves(rows: Sequence[Row], metric: str, columns: Sequence[str], along: str) -> Figure:
    places = _places(rows, [column for column in columns if column != along])
    figure, axes = _panels(len(places), _ACROSS, 1.9, 1.9)
    values, everyone = _values(rows, along), methods(rows)
    drawn: list[tuple[str, np.ndarray]] = []
    for ax, place in zip(axes, places, strict=True):
        drawn += _panel(ax, _at(rows, place), metric, {along: values}, everyone)
        ax.set(title=", ".join(_named(place)), xlabel=title_of(along))
    trained = [curve for name, curve in drawn if not name.startswith(REFERENCES)]
    if trained:
        _frame_curves(axes[0], np.concatenate([curve for _, curve in drawn], 1), np.concatenate(trained, 1)[0])
    axes[0].set_ylabel(_heading(metric))
    handles = {label: h for ax in axes for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside right center")
    return figure


def _panel(
    ax: Axes, rows: Sequence[Row], metric: str, along: Mapping[str, Sequence[str]], everyone: Sequence[str]
) -> list[tuple[str, np.ndarray]]:
    """Draws the curves; returns whose they are, and the means and half-widths (2, n) of each."""
    ((column, values),) = along.items()
    in_words, drawn = not _are_numbers(values), []
    places = np.arange(len(values))
    for number, name in enumerate(everyone):
        found = [_interval(rows, name, metric, {column: value}) for value in values]
        if not in_words:  # what was not measured is no gap in a curve, as what diverged is
            places = np.array([float(value) for value, f in zip(values, found, strict=True) if f])
            found = [f for f in found if f]
        means = np.array([f.mean if f else np.nan for f in found])
        half = np.nan_to_num([f.half if f else np.nan for f in found])
        if not (np.abs(means) > _NOTHING).any() or (means >= _INFINITE.get(metric, np.inf)).all():
            continue
        drawn.append((name, np.stack([means, half])))
        (shade, style), shape = stroke(name, everyone), marker(name, everyone)
        if in_words:
            beside = places + 0.7 * ((number + 0.5) / len(everyone) - 0.5)
            inside = "white" if name.startswith(REFERENCES) else shade
            ax.errorbar(beside, means, yerr=half, fmt=shape, ms=3, mfc=inside, lw=1.2, color=shade, label=name)
        else:
            ax.plot(places, means, ls=style, color=shade, lw=1.2, marker=shape, ms=2.5, label=name)
            ax.fill_between(places, means - half, means + half, color=shade, alpha=0.2, lw=0)
    if in_words:
        ax.set_xticks(places, values, rotation=20, ha="right")
    elif _is_wide(numbers := np.array([float(value) for value in values])):
        apart = [number for i, number in enumerate(numbers) if i == 0 or number > _APART * numbers[i - 1]]
        ax.set_xscale("log")
        ax.set_xticks(apart, [f"{number:g}" for number in apart], rotation=45)
        ax.minorticks_off()
    return drawn


def _frame_curves(ax: Axes, drawn: np.ndarray, trained: np.ndarray) -> None:
    """The frame of the curves (2, n), means and half-widths, in all panels; bands wider than all of it are cut, and
    means that left the others far behind. It is logarithmic where that from the least that was trained needs it."""
    trained = trained[np.isfinite(trained)]
    seen = np.isfinite(drawn[0]) & (np.abs(drawn[0]) <= _FAR * np.quantile(np.abs(trained), 0.9))
    means, half = drawn[:, seen]
    low, high, lowest, highest = means.min(), means.max(), (means - half).min(), (means + half).max()
    if low > 0 and high >= _WIDE * trained.min():
        ax.set(yscale="log", ylim=(max(lowest, low / 2) / 1.1, min(highest, 2 * high) * 1.1))
        return
    room = (high - low) or abs(high)
    ax.set_ylim(max(lowest, low - room / 2) - 0.05 * room, min(highest, high + room / 2) + 0.05 * room)


# -- maps --------------------------------------------------------------------------------------------------------


def _maps(rows: Sequence[Row], metric: str, columns: Sequence[str], over: Sequence[str]) -> Figure:
    """Panels for the methods, in a line of them for each combination of the other keys; what depends on no key at all
    is written above."""
    places = _places(rows, [column for column in columns if column not in over])
    ys, xs = (_values(rows, column) for column in over)
    everyone = methods(rows)
    mapped = [name for name in everyone if any(row["method"] == name and all(row[c] for c in over) for row in rows)]

    def table(name: str, place: Place) -> np.ndarray:
        found = [[_interval(rows, name, metric, {**place, over[0]: y, over[1]: x}) for x in xs] for y in ys]
        return np.array([[f.mean if f else np.nan for f in line] for line in found])

    tables = {(name, number): table(name, place) for number, place in enumerate(places) for name in mapped}
    tables = {key: values for key, values in tables.items() if (np.abs(values) > _NOTHING).any()}
    across = len(mapped) if len(places) > 1 else _COLUMNS
    figure, axes = _panels(len(tables), across, 0.38 * len(xs) + 0.25, 0.26 * len(ys) + 0.5)
    scale = _scale(np.concatenate([values.ravel() for values in tables.values()]))
    for ax, ((name, number), values) in zip(axes, tables.items(), strict=True):
        ax.imshow(values, norm=scale, cmap=_COLOURS, aspect="auto", origin="lower")
        _write_values(ax, values, scale)
        ax.set_xticks(range(len(xs)), map(_shortest, xs))
        ax.set_yticks(range(len(ys)), map(_shortest, ys))
        ax.set_title("\n".join([name, *_named(places[number])]), fontsize=7)
    figure.supxlabel(title_of(over[1]), fontsize=8)
    figure.supylabel(title_of(over[0]), fontsize=8)
    figure.colorbar(ScalarMappable(scale, _COLOURS), ax=axes, label=_heading(metric))
    beside = [f"{name} {found}" for name in everyone if (found := _anywhere(rows, name, metric))]
    figure.suptitle("; ".join(beside), fontsize=7)
    return figure


def _write_values(ax: Axes, table: np.ndarray, scale: Normalize) -> None:
    for (y, x), value in np.ndenumerate(table):
        if np.isfinite(value):
            shade = "white" if float(scale(value)) < 0.5 else "black"
            ax.text(x, y, f"{value:.2g}", ha="center", va="center", fontsize=6, color=shade)


def _scale(values: np.ndarray) -> Normalize:
    known = values[np.isfinite(values)]
    return (LogNorm if _is_wide(known) else Normalize)(known.min(), known.max())


def _anywhere(rows: Sequence[Row], name: str, metric: str) -> str:
    """The one value of what depends on no key; empty where it depends on some."""
    own = [row for row in rows if row["method"] == name]
    return "" if swept(own) else str(interval(own, name, metric, "clean") or "")


# -- rows --------------------------------------------------------------------------------------------------------


def _interval(rows: Sequence[Row], name: str, metric: str, place: Place) -> Interval | None:
    return interval([row for row in _at(rows, place) if row["method"] == name], name, metric, "clean")


def _at(rows: Sequence[Row], place: Place) -> list[Row]:
    """Rows at a place; one that says nothing of a key does not depend on it."""
    return [row for row in rows if all(row[column] in ("", value) for column, value in place.items())]


def _places(rows: Sequence[Row], columns: Sequence[str]) -> list[Place]:
    """All combinations of the values of these columns."""
    points = product(*(_values(rows, column) for column in columns))
    return [dict(zip(columns, point, strict=True)) for point in points]


def _values(rows: Sequence[Row], column: str) -> list[str]:
    """Those of a column, numbers in order."""
    found = [value for value in dict.fromkeys(row[column] for row in rows) if value]
    return sorted(found, key=float) if _are_numbers(found) else found


def _is_drawn(method: str) -> bool:
    return not method.startswith(REFERENCES) or method.startswith(_DRAWN)


def _are_numbers(texts: Sequence[str]) -> bool:
    try:
        return bool([float(text) for text in texts])
    except ValueError:
        return False


def _is_wide(values: np.ndarray) -> bool:
    """Whether the largest is many times the smallest, all being positive."""
    return bool(values.min() > 0 and values.max() >= _WIDE * values.min())


# -- texts and panels --------------------------------------------------------------------------------------------


def title_of(column: str) -> str:
    """What an axis calls a column of the results."""
    key = short([column.removeprefix(SET)])[0]
    return _KEYS.get(key, key)


def _named(place: Place) -> list[str]:
    return [f"{title_of(column)} {_shortest(value)}" for column, value in place.items()]


def _shortest(text: str) -> str:
    return f"{float(text):g}" if _are_numbers([text]) else text


def _heading(metric: str) -> str:
    return _METRICS.get(metric, metric.replace("-", " "))


def _panels(count: int, across: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """So many panels with common scales, at most `across` a line, of this size in inches."""
    across = min(across, count)
    down = -(-count // across)
    figure = Figure(figsize=(width * across + 1.4, height * down + 0.4), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[count:]:
        ax.set_visible(False)
    return figure, list(axes.flat[:count])
