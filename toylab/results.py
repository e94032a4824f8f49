"""Results: one tidy table of measurements, and its summary over seeds.

results.csv has one row a measurement. `against` is the law compared with (clean, contaminated or theory), t the
noise level (empty: averaged over log-SNR, or no noise level at all), nfe the steps of the samples. `attack`, `place`
and `budget` (in units of noise) say under which attack on the sampling trajectory a number was measured, and are empty
elsewhere. A `set.KEY` column stands for every configuration key that differs from the preset.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from toylab.statistics import Interval

COLUMNS = (
    "experiment", "preset", "method", "seed", "metric", "against", "sampler", "t", "nfe", "attack", "place", "budget",
    "value", "stderr",
)  # fmt: skip

Row = dict[str, str]


class Measurement(NamedTuple):
    """One number: what was measured of which member, and how well it is known."""

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
    columns = [*COLUMNS, *(f"set.{key}" for key in changed)]
    constant = {**run, **{f"set.{key}": value for key, value in changed.items()}}
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for m in measurements:
        writer.writerow({**constant, **{k: "" if v is None else v for k, v in m._asdict().items()}})
    return text.getvalue()


def from_csv(text: str) -> list[Row]:
    """The rows of results.csv, as text; columns that an older table lacks are empty."""
    return [dict.fromkeys(COLUMNS, "") | row for row in csv.DictReader(io.StringIO(text))]


class Column(NamedTuple):
    """A column of the summary: its heading, and the metric it averages (over parts such as modes, and seeds)."""

    heading: str
    metric: str
    against: str


SUMMARY = (
    Column("outlier mass", "outlier-mass", "clean"),
    Column("W2 to clean", "w2", "clean"),
    Column("W2 to contam.", "w2", "contaminated"),
    Column("mode width", "mode-width", "clean"),
    Column("leakage", "leakage", "clean"),
    Column("ε MSE to clean", "eps-mse", "clean"),
    Column("ε MSE to contam.", "eps-mse", "contaminated"),
    Column("ε MSE to optimum", "eps-mse", "theory"),
    Column("Jacobian err.", "jacobian-error", "clean"),
)


def summary(rows: Sequence[Row]) -> list[list[str]]:
    """Heading, then one line a method: mean and 95 % interval over seeds, a dash where nothing was measured."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    body = [[method, *(_cell(rows, method, column) for column in SUMMARY)] for method in methods]
    used = [i for i in range(len(SUMMARY) + 1) if i == 0 or any(line[i] != "-" for line in body)]
    heading = ["method", *(column.heading for column in SUMMARY)]
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
        if same and (row["metric"] == metric or _is_part(row["metric"], metric)):
            steps = row["nfe"] if steps is None else steps
            if row["nfe"] == steps:
                found.setdefault(int(row["seed"]), []).append(float(row["value"]))
    return {seed: math.fsum(values) / len(values) for seed, values in sorted(found.items())}


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table as Markdown."""
    lines = ["| " + " | ".join(line) + " |" for line in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])


def _cell(rows: Sequence[Row], method: str, column: Column) -> str:
    found = interval(rows, method, column.metric, column.against)
    return "-" if found is None else str(found)


def _is_part(name: str, metric: str) -> bool:
    stem, _, part = name.rpartition("-")
    return stem == metric and part.isdigit()
