"""Results: one tidy table of measurements.

results.csv has one row a measurement. `against` is the law compared with (clean, contaminated or theory), t the
noise level (empty: averaged over log-SNR, or no noise level at all), nfe the steps of the samples. `attack`, `place`
and `budget` (in units of noise) say under which attack on the sampling trajectory a number was measured, and are empty
elsewhere. A `set.KEY` column stands for every configuration key that differs from the preset, and for every key that
a sweep goes over; there it is empty in the rows of what does not depend on the key.

What is not finite is never left out of a mean: of a method with a member that diverged every mean over seeds is NaN,
the rows of the other members are there, and the row `diverged-in-step` says which member it was.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from toylab.errors import BadInput
from toylab.statistics import Interval, mean

COLUMNS = (
    "experiment", "preset", "method", "seed", "metric", "against", "sampler", "t", "nfe", "attack", "place", "budget",
    "value", "stderr",
)  # fmt: skip

SET = "set."
"""How the columns of configuration keys begin."""

ENDLESS = "endless-"
"""How the names of methods begin that were trained on endless data instead of the training set."""

REFERENCES = ("exact-", "clean-", "contaminated-", "optimum-", "implied-", ENDLESS)
"""How the names of references begin, which no method's may."""

DIVERGED = "diverged-in-step"
"""The metric of a row that says that a member diverged, and in which step."""

Row = dict[str, str]


class Measurement(NamedTuple):
    """One number: what was measured of which member, and how well it is known. cell: the keys of a sweep on which it
    depends, and their values."""

    method: str
    seed: int
    metric: str
    against: str
    value: float
    stderr: float
    t: float | None = None
    sampler: str = ""
    nfe: int | None = None
    attack: str = ""
    place: str = ""
    budget: float | None = None
    cell: Mapping[str, object] = {}

    @classmethod
    def of(cls, row: Row) -> "Measurement":
        """The one that a row was written from, without its cell."""
        given: dict[str, Any] = {key: row[key] for key in cls._fields if row.get(key)}
        kinds = {"seed": int, "nfe": int, "value": float, "stderr": float, "t": float, "budget": float}
        return cls(**{key: kinds.get(key, str)(value) for key, value in given.items()})


class Conditions(NamedTuple):
    """Under which attack, as rows have it; without one by default."""

    attack: str = ""
    place: str = ""
    budget: str = ""

    @classmethod
    def of(cls, row: Row) -> "Conditions":
        """Those of a row."""
        return cls(row["attack"], row["place"], row["budget"])


UNATTACKED = Conditions()


def to_csv(measurements: Iterable[Measurement], run: Mapping[str, str], changed: Mapping[str, object]) -> str:
    """The text of results.csv. run: experiment and preset; changed: keys that differ from the preset."""
    measurements = list(measurements)
    keys = dict.fromkeys([*changed, *(key for m in measurements for key in m.cell)])
    constant = {**run, **{SET + key: value for key, value in changed.items()}}
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *(SET + key for key in keys)], lineterminator="\n")
    writer.writeheader()
    for m in measurements:
        values = {key: "" if value is None else value for key, value in m._asdict().items() if key != "cell"}
        writer.writerow({**constant, **values, **{SET + key: value for key, value in m.cell.items()}})
    return text.getvalue()


def from_csv(text: str) -> list[Row]:
    """The rows of results.csv, as text; columns that an older table lacks are empty. Raises BadInput for no table."""
    try:
        rows = [dict.fromkeys(COLUMNS, "") | row for row in csv.DictReader(io.StringIO(text))]
        for number, row in enumerate(rows, start=2):
            _check(row, number)
    except csv.Error as error:
        raise BadInput(f"results.csv is no table: {error}") from None
    return rows


def _check(row: Mapping[str | None, str | None], number: int) -> None:
    """Raises BadInput for a row that is not as long as the heading, or has words where numbers belong."""
    if None in row or None in row.values():
        raise BadInput(f"results.csv, line {number}: it must have as many fields as the heading")
    try:
        int(row["seed"] or "")
        int(row["nfe"] or 0)
        for column in ("value", *(key for key in ("stderr", "t", "budget") if row[key])):
            float(row[column] or "")
    except ValueError as error:
        raise BadInput(f"results.csv, line {number}: {error}") from None


Cell = tuple[str, ...]
"""The values of the keys of a sweep, in the order of `swept`; "" where a row does not depend on a key."""


def swept(rows: Sequence[Row]) -> list[str]:
    """The keys that vary over the rows of a sweep, in their order, without those that another one decides: of keys that
    change together the first. None in the rows of any other run."""
    columns = [column for column in (rows[0] if rows else ()) if column.startswith(SET)]
    cells = {tuple(row[column] for column in columns) for row in rows}
    varying = [i for i in range(len(columns)) if len({cell[i] for cell in cells} - {""}) > 1]

    def decides(one: int, other: int) -> bool:
        return len({(cell[one], cell[other]) for cell in cells}) == len({cell[one] for cell in cells})

    def is_decided(i: int) -> bool:
        return any(decides(j, i) and (j < i or not decides(i, j)) for j in varying if j != i)

    return [columns[i].removeprefix(SET) for i in varying if not is_decided(i)]


def by_cell(rows: Sequence[Row], keys: Sequence[str]) -> dict[Cell, list[Row]]:
    """Rows by the values of these keys, in their order."""
    found: dict[Cell, list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[SET + key] for key in keys), []).append(row)
    return found


def short(keys: Sequence[str]) -> list[str]:
    """Keys by their last part, where that names one of them alone."""
    last = [key.rpartition(".")[2] for key in keys]
    return [end if last.count(end) == 1 else key for key, end in zip(keys, last, strict=True)]


def interval(
    rows: Sequence[Row], method: str, metric: str, against: str, t: str = "", under: Conditions = UNATTACKED
) -> Interval | None:
    """Mean and interval of one metric over seeds."""
    values = by_seed(rows, method, metric, against, t, under)
    return Interval.of(values) if values else None


def by_seed(
    rows: Sequence[Row], method: str, metric: str, against: str, t: str = "", under: Conditions = UNATTACKED
) -> list[float]:
    """One metric of every seed in their order, parts (metric-1, metric-2 ...) averaged; empty where not measured.

    Of samples by several numbers of steps those that stand first: the study's own, before those of `few_steps`.
    """
    return [*of_seeds(rows, method, metric, against, t, under).values()]


def of_seeds(
    rows: Sequence[Row], method: str, metric: str, against: str, t: str = "", under: Conditions = UNATTACKED
) -> dict[int, float]:
    """The same, by seed."""
    found: dict[int, list[float]] = {}
    steps: str | None = None
    for row in rows:
        same = (row["method"], row["against"], row["t"], Conditions.of(row)) == (method, against, t, under)
        if same and is_of(row["metric"], metric):
            steps = row["nfe"] if steps is None else steps
            if row["nfe"] == steps:
                found.setdefault(int(row["seed"]), []).append(float(row["value"]))
    return {seed: mean(values) for seed, values in sorted(found.items())}


class Divergence(NamedTuple):
    """Who diverged, and in which step."""

    method: str
    seed: int
    step: int


def divergences(rows: Sequence[Row]) -> list[Divergence]:
    """Those of a run."""
    failed = (row for row in rows if row["metric"] == DIVERGED)
    return [Divergence(row["method"], int(row["seed"]), round(float(row["value"]))) for row in failed]


def is_of(name: str, metric: str) -> bool:
    """Whether a row's metric is this one, or one of its parts, METRIC-1, METRIC-2, ..."""
    stem, _, part = name.rpartition("-")
    return name == metric or (stem == metric and part.isdigit())
