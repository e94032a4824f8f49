"""Reproducing a run: its configuration carried out again, and what came out beside what had.

The same bits are promised on the same machine with the same versions and number of threads. Elsewhere the mean over
seeds of every measure should lie within the sum of the 95 % half-widths of the two runs; where a number is exact (the
score of the law itself, say) that width is 0 or nearly so, and only rounding may differ.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from toylab.errors import BadInput
from toylab.launch import Configured, configure
from toylab.results import SET, Row
from toylab.runs import Run, readable
from toylab.statistics import Interval

ROUNDING = 1e-9
"""What two numbers may differ by in any case: relative to the larger, and absolute."""

_KEY = ("method", "metric", "against", "sampler", "t", "nfe", "attack", "place", "budget")


class Gap(NamedTuple):
    """A measure that does not agree, in words; after: None where the repetition does not have it."""

    measure: str
    before: Interval
    after: Interval | None

    def __str__(self) -> str:
        return f"{self.measure}: {self.before} before, {'not measured' if self.after is None else self.after} now"


class Outcome(NamedTuple):
    """same_bits: results.csv is byte-equal; measures: how many there were; gaps: those that do not agree; environment:
    what differs in it, in words, None where the run's own was not recorded."""

    same_bits: bool
    measures: int
    gaps: Sequence[Gap]
    environment: Sequence[str] | None


def configured_as(path: Path) -> Configured:
    """The settings of a finished run, or of any folder with its config.json and results.csv. Raises BadInput."""
    for name in ("config.json", "results.csv"):
        if not (path / name).is_file():
            raise BadInput(f"{path} has no {name}: give a finished run's folder, or one of the figures")
    with readable(path):
        run = Run(path)
        name, rows = str(run.config["experiment"]), run.rows
        _values(rows, _keys(rows))
    return configure(name, file=path / "config.json")


def compare(before: Run, after: Run) -> Outcome:
    """Of a run and its repetition. What only the repetition measured is no gap."""
    same = before.read("results.csv") == after.read("results.csv")
    keys = _keys(before.rows)
    old, new = _values(before.rows, keys), _values(after.rows, keys)
    gaps = [] if same else [gap for measure in old if (gap := _gap(measure, old, new)) is not None]
    environment = None
    if (before.path / "environment.json").is_file():
        environment = differences(before.environment, after.environment)
    return Outcome(same, len(old), gaps, environment)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two environments of all that results may depend on, in words."""
    packages = [environment.get("packages", {}) for environment in (before, after)]
    pairs = [
        (key, before.get(key), after.get(key)) for key in ("python", "platform", "device", "device_name", "threads")
    ]
    pairs += [(name, *(some.get(name) for some in packages)) for name in {**packages[0], **packages[1]}]
    changed = [f"{name} {old} before, {new} now" for name, old, new in pairs if old != new]
    return changed + (["toylab's own files"] if before.get("sources") != after.get("sources") else [])


def _keys(rows: Sequence[Row]) -> list[str]:
    """The columns that tell measures apart: settings too, where a sweep goes over them."""
    settings = [column for column in rows[0] if column.startswith(SET)]
    return [*_KEY, *(column for column in settings if len({row[column] for row in rows}) > 1)]


def _values(rows: Sequence[Row], keys: Sequence[str]) -> dict[str, dict[str, float]]:
    """Measure, in words, -> seed -> value."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        named = {key: row[key] for key in keys if row.get(key)}
        if "t" in named:
            named["t"] = f"{float(named['t']):.6g}"  # its last digits are those of a machine
        measure = " ".join(f"{key}={value}" for key, value in named.items())
        found.setdefault(measure, {})[row["seed"]] = float(row["value"])
    return found


def _gap(measure: str, old: Mapping[str, Mapping[str, float]], new: Mapping[str, Mapping[str, float]]) -> Gap | None:
    before = Interval.of([*old[measure].values()])
    if measure not in new:
        return Gap(measure, before, None)
    after = Interval.of([*new[measure].values()])
    return None if _agree(before, after) else Gap(measure, before, after)


def _agree(a: Interval, b: Interval) -> bool:
    """Within the sum of the half-widths, or of rounding; two infinities or two NaNs agree, and a single seed, which has
    no interval, must agree to rounding."""
    if not (math.isfinite(a.mean) and math.isfinite(b.mean)):
        return str(a.mean) == str(b.mean)
    width = sum(0.0 if math.isnan(one.half) else one.half for one in (a, b))
    return abs(a.mean - b.mean) <= width + ROUNDING * max(1.0, abs(a.mean), abs(b.mean))
