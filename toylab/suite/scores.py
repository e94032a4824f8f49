"""Scores, and the table of them.

With m, d and e the metric of a method, of plain denoising (ddpm) and of the exact clean score, sent through the same
sampler from the same noise, each averaged over the same seeds, the score of the method on a task is

    (m - e) / (d - e)        0: as good as the exact clean score,   1: as good as plain denoising

On clean data d - e is the learning error alone, too small to measure by: there it is taken from the task of the same
law with contamination, and the score is a price. Seeds are paired, and the interval is that of a ratio by the delta
method. Whether a method is better than plain denoising is told by the differences m - d of the same task, tested by
Student's t over seeds, with Holm's correction over the tasks of the method, at a level of 0.05.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from toylab.statistics import LEVEL, Interval, holm, paired, ratio
from toylab.suite.records import Record
from toylab.suite.tasks import BASELINE, FIELD, TASKS, ZERO


class Comparison(NamedTuple):
    """On how many of its tasks a method is clearly better than plain denoising, and clearly worse."""

    better: int
    worse: int
    tasks: int

    def __str__(self) -> str:
        return f"{self.better} / {self.worse} of {self.tasks}"


def score(record: Record, method: str, task: str, field: bool = False) -> Interval | None:
    """The score of a method on a task; field: by the error of ε instead of by samples. None where it was not measured,
    NaN where samples are not finite, or d - e is not clearly above 0, so that there is no unit."""
    metric, unit = _metric(task, field), TASKS[task].unit or task
    excess = _differences(record, method, ZERO, task, metric)
    scale = _differences(record, BASELINE, ZERO, unit, metric)
    if not excess:
        return None
    return ratio(excess, scale) if Interval.of(scale).within(0, math.inf) else Interval(math.nan, math.nan)


def comparison(record: Record, method: str, field: bool = False) -> Comparison:
    """A method beside plain denoising; samples that are not finite count as not clearly anything."""
    tasks = record.lines[method].tasks
    found = [_differences(record, method, BASELINE, task, _metric(task, field)) for task in tasks]
    p_values = [paired(differences).p for differences in found]
    adjusted = holm([1.0 if math.isnan(p) else p for p in p_values])
    clear = [math.fsum(d) for d, p in zip(found, adjusted, strict=True) if p < 1 - LEVEL]
    return Comparison(sum(d < 0 for d in clear), sum(d > 0 for d in clear), len(tasks))


def table(records: Sequence[Record], field: bool = False) -> list[list[str]]:
    """Heading, then one line a method: its scores, how often it is better and worse than plain denoising, what a step
    costs in evaluations, and where it was measured. Of a method in several records the first is taken."""
    heading = ["method", *TASKS, "better / worse", "cost", "from"]
    found = {method: record for record in reversed(records) for method in record.lines if method != ZERO}
    return [
        heading,
        *(_cells(found[m], m, field) for record in records for m in record.lines if found.get(m) is record),
    ]


def _cells(record: Record, method: str, field: bool) -> list[str]:
    line, scores = record.lines[method], [score(record, method, task, field) for task in TASKS]
    cost = line.evaluations / record.lines[BASELINE].evaluations
    return [
        f"{method} (oracle)" if line.oracle else method,
        *("-" if s is None else str(s) for s in scores),
        "-" if method == BASELINE else str(comparison(record, method, field)),
        f"{cost:.2f}",
        record.origin,
    ]


def _metric(task: str, field: bool) -> str:
    return FIELD if field else TASKS[task].metric


def _differences(record: Record, method: str, other: str, task: str, metric: str) -> list[float]:
    own, theirs = record.of(method, task, metric), record.of(other, task, metric)
    return [a - b for a, b in zip(own, theirs, strict=True)] if own else []
