"""Results: one tidy table of measurements, and its summary over seeds.

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
from collections.abc import Collection, Iterable, Mapping, Sequence
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
        for column in ("value", *(key for key in ("stderr", "t", "nfe", "budget") if row[key])):
            float(row[column] or "")
    except ValueError as error:
        raise BadInput(f"results.csv, line {number}: {error}") from None


DAGGER = "†"


class Column(NamedTuple):
    """A column of the summary: its heading, and the metric it averages (over parts such as modes, and seeds)."""

    heading: str
    metric: str
    against: str


SUMMARY = (
    Column("FD-digits", "fd-digits", "clean"),
    Column("FID", "fid", "clean"),
    Column("pixel FD", "pixel-fd", "clean"),
    Column("KD-digits", "kd-digits", "clean"),
    Column("KID", "kid", "clean"),
    Column("IS-digits", "is-digits", "clean"),
    Column("IS", "is", "clean"),
    Column("precision", "feature-precision-digits", "clean"),
    Column("recall", "feature-recall-digits", "clean"),
    Column("nearest, features", "feature-nearest-ratio-digits", "clean"),
    Column("PSNR, dB", "psnr", "clean"),
    Column("normal std", "normal-std", "clean"),
    Column("tangent std", "tangent-std", "clean"),
    Column("outlier mass", "outlier-mass", "clean"),
    Column("W2 to clean", "w2", "clean"),
    Column("W2 to contam.", "w2", "contaminated"),
    Column("mode width", "mode-width", "clean"),
    Column("leakage", "leakage", "clean"),
    Column("ε MSE to clean", "eps-mse", "clean"),
    Column("ε MSE to contam.", "eps-mse", "contaminated"),
    Column("ε MSE to optimum", "eps-mse", "theory"),
    Column("Jacobian err.", "jacobian-error", "clean"),
    Column("noise share", "noise-share", "clean"),
    Column("nearest ratio", "nearest-ratio", "clean"),
    Column("duplicates", "duplicate-share", "clean"),
    Column("training leak.", "training-leakage", "clean"),
)

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


class Line(NamedTuple):
    """What was measured of a method, in a cell of the sweep: the columns of SUMMARY that there are -> value by seed."""

    method: str
    cell: Cell
    found: dict[Column, dict[int, float]]

    @property
    def intervals(self) -> dict[str, Interval]:
        """Heading -> mean and 95 % interval over seeds."""
        return {column.heading: Interval.of([*values.values()]) for column, values in self.found.items()}


def lines(rows: Sequence[Row]) -> list[Line]:
    """One a method, and a cell of the sweep."""
    made = []
    for cell, own in by_cell(rows, swept(rows)).items():
        for method in dict.fromkeys(row["method"] for row in own):
            found = {column: of_seeds(own, method, column.metric, column.against) for column in SUMMARY}
            made.append(Line(method, cell, {column: values for column, values in found.items() if values}))
    return made


def summary(rows: Sequence[Row], marked: Collection[tuple[Cell, str]] = ()) -> list[list[str]]:
    """Heading, then `lines` as text: mean and 95 % interval, a dash where nothing was measured or a key has no part in
    it. marked: whose names get a dagger."""
    keys = swept(rows)
    body = []
    for line in lines(rows):
        name = line.method + (f" {DAGGER}" if (line.cell, line.method) in marked else "")
        found = line.intervals
        cells = (str(found.get(column.heading, "-")) for column in SUMMARY)
        body.append([name, *(value or "-" for value in line.cell), *cells])
    used = [i for i in range(1 + len(keys) + len(SUMMARY)) if i == 0 or any(line[i] != "-" for line in body)]
    heading = ["method", *short(keys), *(column.heading for column in SUMMARY)]
    return [[line[i] for i in used] for line in [heading, *body]]


def attacked_summary(rows: Sequence[Row], metric: str = "displacement") -> list[list[str]]:
    """Heading, then one line an attack and place, a column a method: `metric` at the largest budget, mean and 95 %
    interval over seeds; empty where nothing was attacked."""
    rows = [row for row in rows if row["attack"] and row["metric"] == metric]
    if not rows:
        return []
    methods = list(dict.fromkeys(row["method"] for row in rows))
    largest = max((row["budget"] for row in rows), key=float)
    conditions = dict.fromkeys(Conditions.of(row) for row in rows if row["budget"] == largest)
    body = [
        [under.attack, under.place, *(str(interval(rows, method, metric, "clean", under=under)) for method in methods)]
        for under in conditions
    ]
    return [["attack", "place", *methods], *body]


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


def footnote(rows: Sequence[Row]) -> str:
    """Who diverged, and in which step; empty where nobody did."""
    failed = [f"{method}, seed {seed}, in step {step}" for method, seed, step in divergences(rows)]
    return f"nan: no mean leaves out what diverged: {'; '.join(failed)}" if failed else ""


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(line) + " |" for line in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])


def aligned(table: Sequence[Sequence[str]]) -> str:
    """A table as text, its columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in table)


def is_of(name: str, metric: str) -> bool:
    """Whether a row's metric is this one, or one of its parts, METRIC-1, METRIC-2, ..."""
    stem, _, part = name.rpartition("-")
    return name == metric or (stem == metric and part.isdigit())
