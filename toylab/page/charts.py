"""The numbers behind the charts: small tables of numbers, thinned where there are many, and how methods look."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toylab.figures.fields import projected
from toylab.figures.style import colour, marker, methods, stroke, without_twins
from toylab.page.reading import Arrays, Shown
from toylab.results import SET, UNATTACKED, Conditions, Row, interval, is_of, short, swept
from toylab.summaries import SUMMARY

POINTS, STATES, DENSITY = 500, 51, 67
"""At most so many samples of a method, states of a path, and places an axis of a density are on a page."""
_SYMBOLS = {"o": "circle", "s": "square", "D": "diamond", "v": "triangle-down", "^": "triangle-up"}
_DASHES = {"-": "solid", "--": "dash", ":": "dot"}
_LEVEL, _RATIO, _STEPS = "noise level t", "noise level σ/α", "evaluations of the network a sample"
_NAMES = {(column.metric, column.against): column.heading for column in SUMMARY}

Data = dict[str, Any]


class _Key(NamedTuple):
    """What one number of a chart is of: values of swept keys, method, metric, law, noise level."""

    cell: tuple[str, ...]
    method: str
    metric: str
    against: str
    t: str


def data(shown: Sequence[Shown]) -> Data:
    """All charts of a page: how methods look; means and intervals by metric; curves; samples; paths with fields."""
    keys = list(dict.fromkeys(key for each in shown for key in swept(each.rows)))
    drawn = [part for each in shown for part in (each, *each.cells) if part.is_drawn or part.paths]
    named = [name for each in shown for name in methods(each.rows)]
    named += [name for each in drawn for name in (*each.samples, *each.paths) if name != "t"]
    numbers = [(each, *one) for each in shown for one in _grouped(each.rows, keys)]
    return {
        "methods": {name: look(name, list(dict.fromkeys(named))) for name in dict.fromkeys(without_twins_of(named))},
        "runs": [each.label for each in shown],
        "keys": [[name, _values(shown, key)] for name, key in zip(short(keys), keys, strict=True)],
        "metrics": _metrics(numbers),
        "curves": _curves(numbers, by_ratio=not any(key.startswith("schedule") for key in keys)),
        "clouds": [_cloud(part, max(50, POINTS // len(drawn))) for part in drawn if part.is_drawn],
        "walks": [_walk(part, max(6, STATES // len(drawn))) for part in drawn if part.paths],
    }


def without_twins_of(names: Iterable[str]) -> list[str]:
    """Names, without those that were measured for the error ledger alone."""
    return list(without_twins(dict.fromkeys(names)))


def look(name: str, everyone: Sequence[str]) -> Data:
    """Colour on paper and on a dark screen, symbol, and colour and dash of a curve, as in the figures of a run."""
    line, dash = stroke(name, everyone)
    shade, ink = _hex(colour(name, everyone)), _hex(line)
    return {
        "light": shade, "dark": lightened(shade), "line": [ink, lightened(ink)],
        "symbol": _SYMBOLS[marker(name, everyone)],
        "dash": _DASHES[dash] if isinstance(dash, str) else ",".join(f"{2 * length}px" for length in dash[1]),
    }  # fmt: skip


def lightened(shade: str, least: float = 4.5, beside: str = "#14171c") -> str:
    """A colour mixed with as much white as it takes to stand out beside a dark one: their contrast is at least `least`
    (WCAG 2.2, relative luminance)."""
    rgb = np.array([int(shade[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    ground = _luminance(np.array([int(beside[i : i + 2], 16) for i in (1, 3, 5)]) / 255)
    mixed = (rgb + (1 - rgb) * share for share in np.linspace(0, 1, 51))
    found = next(m for m in mixed if (_luminance(m) + 0.05) / (ground + 0.05) >= least)
    return "#" + "".join(f"{round(255 * part):02x}" for part in found)


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _hex(shade: str) -> str:
    """matplotlib's "black" and "0.5" as well."""
    from matplotlib.colors import to_hex

    return str(to_hex(shade))


def _values(shown: Sequence[Shown], key: str) -> list[str]:
    found = dict.fromkeys(row.get(SET + key, "") for each in shown for row in each.rows)
    return [value for value in found if value]


def _grouped(rows: Sequence[Row], keys: Sequence[str]) -> Iterator[tuple[_Key, list[Row]]]:
    """Rows that were measured without an attack, by what they are of; parts of a metric together."""
    found: dict[_Key, list[Row]] = {}
    for row in rows:
        if Conditions.of(row) == UNATTACKED:
            stem = row["metric"].rpartition("-")[0]
            metric = stem if is_of(row["metric"], stem) else row["metric"]
            cell = tuple(row.get(SET + key, "") for key in keys)
            found.setdefault(_Key(cell, row["method"], metric, row["against"], row["t"]), []).append(row)
    shown = set(without_twins_of(key.method for key in found))
    yield from ((key, of) for key, of in found.items() if key.method in shown)


def _metrics(numbers: Sequence[tuple[Shown, _Key, list[Row]]]) -> list[Data]:
    """Of every metric: run, method, cell, mean, half-width of its 95 % interval."""
    found: dict[tuple[str, str], list[Any]] = {}
    for each, key, rows in numbers:
        if not key.t:
            point = [each.label, key.method, list(key.cell), *_interval(key, rows)]
            found.setdefault((key.metric, key.against), []).append(point)
    order = [*(name for name in _NAMES if name in found), *(name for name in found if name not in _NAMES)]
    return [{"title": _title(*name), "points": found[name]} for name in order]


def _curves(numbers: Sequence[tuple[Shown, _Key, list[Row]]], by_ratio: bool) -> list[Data]:
    """Of every metric over noise levels, or over numbers of steps: run, method, cell, places, means, half-widths."""
    found: dict[tuple[str, str, str], dict[tuple[Any, ...], list[list[float | None]]]] = {}
    places: Mapping[Any, list[Row]]  # by σ/α, t or number of steps
    for each, key, rows in numbers:
        if key.t:
            over, place = (_RATIO, _ratio(each, key.t)) if by_ratio else (_LEVEL, float(key.t))
            places = {place: rows}
        else:
            counts = dict.fromkeys(row["nfe"] for row in rows if row["nfe"])
            over, places = _STEPS, {}
            for nfe in counts:
                places[float(nfe)] = [row for row in rows if row["nfe"] == nfe]
            if len(places) < 2:
                continue
        curve = found.setdefault((key.metric, key.against, over), {}).setdefault((each.label, key.method, key.cell), [])
        curve += [[place, *_interval(key, own)] for place, own in places.items()]
    return [
        {
            "title": f"{_title(metric, against)} over {over.partition(' of ')[0]}",
            "metric": _title(metric, against),
            "over": over,
            "lines": [
                [run, name, list(cell), *zip(*sorted(line, key=_place), strict=True)]
                for (run, name, cell), line in lines.items()
            ],
        }
        for (metric, against, over), lines in found.items()
    ]  # fmt: skip


def _place(point: Sequence[float | None]) -> float:
    return math.inf if point[0] is None else point[0]


def _cloud(shown: Shown, most: int) -> Data:
    """Samples of the first seed, in the coordinates that are drawn, and the clean density."""
    stored = {name: projected(x[0], shown.fields) for name, x in without_twins(shown.samples).items()}
    exact = stored.get("clean-samples", next(iter(stored.values())))
    reach = float(np.nanmax(np.abs(np.where(np.isfinite(exact), exact, np.nan)))) * 1.3
    kept = {name: x[:: -(-len(x) // most)] for name, x in stored.items()}
    axis = shown.fields.get("axis", np.zeros(0))
    log_density = shown.fields.get("log_density", np.zeros(0))
    found: Data = {"title": shown.title, "reach": _round(reach), "of": max(map(len, stored.values()))}
    found["methods"] = {name: [_column(x[:, i]) for i in range(x.shape[1])] for name, x in kept.items()}
    if axis.size and log_density.size == axis.size ** exact.shape[1]:
        thin = -(-len(axis) // DENSITY)
        cells = tuple(slice(None, None, thin) for _ in range(exact.shape[1]))
        z = np.exp(log_density - log_density.max()).reshape([len(axis)] * exact.shape[1])[cells]
        scale = float(np.exp(log_density.max()))
        found["density"] = {"axis": _column(axis[::thin]), "z": _nested(z.T), "scale": _round(scale)}
    return found


def _walk(shown: Shown, most: int) -> Data:
    """Paths of samples, by state, each a list a coordinate; and score fields at the levels they were stored at."""
    times = shown.paths["t"]
    kept = np.unique(np.linspace(0, len(times) - 1, min(len(times), most)).round().astype(int))
    paths = {name: x[:, kept] for name, x in without_twins(shown.paths).items() if name != "t"}
    dim = next(iter(paths.values())).shape[2]
    found: Data = {
        "title": shown.title,
        "t": _column(times[kept], digits=6),
        "ratio": [_ratio(shown, str(t)) if t else 0.0 for t in times[kept]],
        "of": len(times),
        "dim": dim,
        "paths": {name: [_nested(x[:, :, i].T) for i in range(dim)] for name, x in paths.items()},
    }
    u, levels = shown.fields.get("along/u"), shown.fields.get("along/t")
    if u is not None and levels is not None and u.shape[1] == dim:
        scores = _along(shown.fields, (len(levels), *u.shape))
        used = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), most)).round().astype(int))
        found["field"] = {
            "t": _column(levels[used], digits=6),
            "u": [_column(u[:, i]) for i in range(dim)],
            "scores": {name: [_nested(x[used, :, i], 3) for i in range(dim)] for name, x in scores.items()},
        }
    return found


def _along(fields: Arrays, shape: tuple[int, ...]) -> Mapping[str, np.ndarray]:
    prefix = "along/score/"
    scores = {name.removeprefix(prefix): x for name, x in fields.items() if name.startswith(prefix)}
    return {name: x for name, x in without_twins(scores).items() if x.shape == shape}


def _interval(key: _Key, rows: Sequence[Row]) -> tuple[float | None, float | None]:
    found = interval(rows, key.method, key.metric, key.against, key.t)
    return (None, None) if found is None else (_round(found.mean), _round(found.half))


def _ratio(shown: Shown, t: str) -> float | None:
    """σ/α at a noise level."""
    alpha, sigma = (float(level) for level in shown.schedule(float(t)))
    return _round(sigma / alpha) if alpha else None


def _title(metric: str, against: str) -> str:
    return _NAMES.get((metric, against), metric + (f", against {against}" if against else ""))


def _round(value: float, digits: int = 5) -> float | None:
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _column(values: Iterable[float], digits: int = 4) -> list[float | None]:
    return [_round(float(value), digits) for value in values]


def _nested(values: np.ndarray, digits: int = 4) -> list[Any]:
    return _column(values, digits) if values.ndim == 1 else [_nested(line, digits) for line in values]
