"""Records: what was measured of every method in one place, one number a task, metric and seed.

A record is scored by its own plain denoising and its own exact reference, which it must hold, so that no difference
between machines or versions enters a score. As CSV it can be published, and put beside somebody else's.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from toylab import __version__
from toylab.errors import BadInput, one_line
from toylab.files import read_given
from toylab.suite.tasks import BASELINE, FIELD, TASKS, VERSION, ZERO

COLUMNS = ("suite", "preset", "toylab", "task", "method", "oracle", "evaluations", "metric", "seed", "value")
_METHOD = re.compile(r"[\w.:-]{1,120}", re.ASCII)

Values = dict[tuple[str, str], dict[int, float]]
"""(Task, metric) -> seed -> value."""


@dataclass(frozen=True)
class Line:
    """What was measured of one method or reference. evaluations: of the denoiser a step, NaN for a reference."""

    method: str
    oracle: bool
    evaluations: float
    values: Values

    @property
    def tasks(self) -> list[str]:
        """Those it was measured on, in the order of the suite."""
        return [task for task in TASKS if any(task == of for of, _ in self.values)]


@dataclass(frozen=True)
class Record:
    """Lines by method, made in one place; among them are plain denoising and the exact reference, on every task.
    Raises BadInput where they are not, or where a method has other seeds than they."""

    origin: str
    lines: Mapping[str, Line]

    def __post_init__(self) -> None:
        needed = [(task, metric) for task in TASKS for metric in (TASKS[task].metric, FIELD)]
        for name in (BASELINE, ZERO):
            if name not in self.lines or not set(needed) <= set(self.lines[name].values):
                raise BadInput(f"{self.origin}: {name} is not there for every task, so nothing can be scored")
        for line in self.lines.values():
            for key, values in line.values.items():
                if any(self.lines[name].values[key].keys() != values.keys() for name in (BASELINE, ZERO)):
                    raise BadInput(
                        f"{self.origin}: {line.method} has not the seeds of {BASELINE} and {ZERO} in {key[0]}"
                    )

    def of(self, method: str, task: str, metric: str) -> list[float]:
        """One metric of a method, one value a seed in their order; empty where it was not measured."""
        return [value for _, value in sorted(self.lines[method].values.get((task, metric), {}).items())]


def to_csv(record: Record, preset: str) -> str:
    """A record as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in record.lines.values():
        about = (line.method, int(line.oracle), line.evaluations)
        for (task, metric), values in line.values.items():
            for seed, value in values.items():
                writer.writerow((VERSION, preset, __version__, task, *about, metric, seed, value))
    return text.getvalue()


def from_csv(text: str, origin: str, preset: str) -> Record | None:
    """What a CSV holds of a preset, None if nothing. Raises BadInput for a table of another suite or form."""
    reader = csv.DictReader(io.StringIO(text))
    try:
        columns, rows = tuple(reader.fieldnames or ()), [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise BadInput(f"{origin}, line {reader.line_num}: {one_line(error)}") from None
    if columns != COLUMNS:
        raise BadInput(f"{origin} is no record of the benchmark: its columns must be {', '.join(COLUMNS)}")
    if not text.endswith("\n"):
        raise BadInput(f"{origin}: its last line has no end, as where a file was cut")
    lines: dict[str, Line] = {}
    for number, row in rows:
        try:
            if None in row or None in row.values():
                raise BadInput("it must have as many fields as the heading")
            if row["suite"] != VERSION:
                raise BadInput(f"it is of suite {row['suite']}, this one is {VERSION}")
            if row["preset"] == preset:
                _take(row, lines)
        except (BadInput, ValueError, TypeError) as error:
            raise BadInput(f"{origin}, line {number}: {one_line(error)}") from None
    return Record(origin, lines) if lines else None


def _take(row: Mapping[str, str], lines: dict[str, Line]) -> None:
    method, task, metric = row["method"], row["task"], row["metric"]
    if not _METHOD.fullmatch(method):
        raise BadInput("a method's name has at most 120 of letters, digits and _ . : -")
    if task not in TASKS or metric not in (TASKS[task].metric, FIELD):
        raise BadInput(f"there is no task '{task[:60]}' with the metric '{metric[:60]}'")
    line = lines.setdefault(method, Line(method, row["oracle"] == "1", float(row["evaluations"]), {}))
    if method != ZERO and not 0 < line.evaluations < math.inf:
        raise BadInput(f"evaluations must be a positive number, not {line.evaluations}")
    values, seed = line.values.setdefault((task, metric), {}), int(row["seed"])
    if seed in values:
        raise BadInput(f"{method} has {metric} of seed {seed} in {task} twice")
    values[seed] = float(row["value"])


def read(path: Path, preset: str) -> Record:
    """A record from a file. Raises BadInput where there is none of this preset."""
    try:
        text = read_given(path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path}: {one_line(error)}") from None
    record = from_csv(text, path.stem, preset)
    if record is None:
        raise BadInput(f"{path} holds nothing of the preset {preset}")
    return record


def shipped(preset: str) -> Record | None:
    """What toylab's authors measured of its own objectives, None for a preset they did not run."""
    return from_csv(resources.files("toylab.suite").joinpath("builtin.csv").read_text("utf-8"), "shipped", preset)


def record_of(lines: Iterable[Line]) -> Record:
    """The record of this place."""
    return Record("here", {line.method: line for line in lines})


def reference(values: Values) -> Line:
    """The line of the exact reference."""
    return Line(ZERO, False, math.nan, values)
