"""What is shown of results: their summary over seeds, and tables as text.

What is not finite is never left out of a mean: of a method with a member that diverged every mean over seeds is NaN,
and the footnote says which member it was.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from toylab.results import Cell, Conditions, Row, by_cell, divergences, interval, of_seeds, short, swept
from toylab.statistics import Interval

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
