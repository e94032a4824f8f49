"""Run folders, read and checked before anything is shown of them."""

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from toylab.configuration import ScheduleChoice, validate
from toylab.errors import BadInput, one_line
from toylab.results import Measurement, Row
from toylab.runs import CELLS, UNREADABLE, Run, load
from toylab.schedules import Schedule

_FIELDS = {"axis": 1, "log_density": 1, "x": 2, "origin": 1, "axes": 2, "along/t": 1, "along/u": 2}
"""Dimensions of what is drawn of fields.npz."""
_MOST = len(string.ascii_uppercase)

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shown:
    """A run on the page. label: A, B, ... among several runs, empty for one alone."""

    run: Run
    label: str = ""

    @property
    def name(self) -> str:
        """That of its folder."""
        return self.run.path.resolve().name

    @property
    def title(self) -> str:
        """Its label, if it has one, and its name."""
        return f"{self.label}: {self.name}" if self.label else self.name

    @property
    def rows(self) -> list[Row]:
        """results.csv as rows of text."""
        return self.run.rows

    @property
    def experiment(self) -> str:
        """The name of what was run."""
        return str(self.run.config["experiment"])

    @cached_property
    def cells(self) -> "list[Shown]":
        """The studies of a sweep that have a folder of their own."""
        folders = sorted((self.run.path / CELLS).glob("*/config.json"))
        return [Shown(Run(path.parent), self.label) for path in folders]

    @cached_property
    def schedule(self) -> Schedule:
        """That of its configuration. Raises BadInput."""
        return validate(ScheduleChoice, self.run.config["schedule"]).build()

    @cached_property
    def samples(self) -> Arrays:
        """samples.npz, as (seeds, n, d)."""
        return {name: x for name, x in self._arrays("samples.npz") if _is(x, 3)}

    @property
    def is_drawn(self) -> bool:
        """Whether samples are points in the plane, or of a cut through more dimensions; pixels are neither."""
        return bool(self.samples) and ("axes" in self.fields or all(x.shape[2] <= 2 for x in self.samples.values()))

    @cached_property
    def fields(self) -> Arrays:
        """fields.npz."""
        return {name: x for name, x in self._arrays("fields.npz") if _is(x, _FIELDS.get(name, x.ndim))}

    @cached_property
    def paths(self) -> Arrays:
        """trajectories.npz: t (k,), and (n, k, 1 or 2) by name; empty where it has no such t."""
        found = dict(self._arrays("trajectories.npz"))
        times = found.pop("t", np.zeros(0))
        fitting = {name: x for name, x in found.items() if _is(x, 3) and x.shape[1] == len(times) and x.shape[2] <= 2}
        return {"t": times, **fitting} if _is(times, 1) and fitting else {}

    def check(self) -> None:
        """Read all that is shown. Raises BadInput where it cannot be read, or is not what a run folder holds."""
        try:
            _check(self.run)
            for part in (self, *self.cells):
                _ = part.schedule if "schedule" in part.run.config else None
                _ = part.samples, part.fields, part.run.timings
        except UNREADABLE as error:
            raise BadInput(f"cannot read {self.run.path}: {one_line(error)[:200]}") from None

    def _arrays(self, name: str) -> Iterator[tuple[str, np.ndarray]]:
        yield from self.run.arrays(name).items()


def read(paths: Sequence[Path]) -> list[Shown]:
    """Finished runs, labelled in their order. Raises BadInput."""
    if not 1 <= len(paths) <= _MOST:
        raise BadInput(f"a page shows between 1 and {_MOST} runs, not {len(paths)}")
    labels = string.ascii_uppercase if len(paths) > 1 else ("",)
    shown = [Shown(load(path), label) for path, label in zip(paths, labels, strict=False)]
    for each in shown:
        each.check()
    return shown


def _check(run: Run) -> None:
    config, made_by = run.config, run.environment
    for key, kind in (("experiment", str), ("preset", str), ("seed", int), ("seeds", int)):
        if not isinstance(config[key], kind):
            raise ValueError(f"{key} in config.json is no {kind.__name__}")
    if not isinstance(made_by["packages"], dict) or not run.rows:
        raise ValueError("no packages in environment.json, or no rows in results.csv")
    for row in run.rows:
        if not row["method"] or None in row or any(not isinstance(value, str) for value in row.values()):
            raise ValueError("a row of results.csv is incomplete")
        _ = Measurement.of(row), float(row["value"])
        if row["t"] and not math.isfinite(float(row["t"])):
            raise ValueError("a noise level of results.csv is not finite")
    _ = (run.finished or {})["date"]


def _is(array: np.ndarray, dimensions: int) -> bool:
    return array.ndim == dimensions and array.dtype.kind == "f" and array.size > 0
