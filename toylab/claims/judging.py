"""A claim and its verdict: which rows it is judged by, and what follows from its comparisons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from toylab.claims.comparisons import Comparison, Finding
from toylab.claims.measure import Missing
from toylab.errors import BadInput, one_line
from toylab.files import read_whole
from toylab.results import SET, Row
from toylab.runs import UNREADABLE, Run, readable
from toylab.statistics import LEVEL, holm

PRESET = "default"
"""The preset that claims are judged by."""


class Verdict(StrEnum):
    """holds: every comparison of the claim passes; partly: some do; does not hold: none does."""

    HOLDS = "holds"
    PARTLY = "holds partly"
    NOT = "does not hold"
    UNTESTED = "not tested here"


@dataclass(frozen=True)
class Claim:
    """text: in our words; place: where the paper makes it; experiment: whose default run tests it; command: what makes
    those results, where it is no experiment's."""

    text: str
    place: str
    experiment: str
    comparisons: Sequence[Comparison]
    command: str = ""

    @property
    def made_by(self) -> str:
        """The command that makes its results."""
        return self.command or f"toylab figures {self.experiment}"


class Judgement(NamedTuple):
    """A verdict with what it follows from: findings, and which of them passed; or else why there are none."""

    claim: Claim
    verdict: Verdict
    findings: Sequence[Finding] = ()
    passed: Sequence[bool] = ()
    reason: str = ""


class Source(Protocol):
    """Where rows are."""

    def of(self, experiment: str) -> list[Row]:
        """The rows of an experiment's default run. Raises Missing where there is none."""


class OfRun(NamedTuple):
    """The rows of one run, which may be of any preset."""

    rows: list[Row]

    def of(self, experiment: str) -> list[Row]:
        """These. Raises Missing where they are not of the experiment's default run."""
        if not _is_default(self.rows) or self.rows[0]["experiment"] != experiment:
            raise Missing(f"this run is not of {experiment}'s preset {PRESET} as it stands")
        return self.rows


@dataclass(frozen=True)
class Results:
    """Where rows are: in ROOT/NAME/results.csv, or in finished run folders ROOT/NAME-default-... Raises BadInput for a
    root that is no folder."""

    root: Path
    _rows: dict[str, list[Row]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise BadInput(f"{self.root} is no folder of results")

    def of(self, experiment: str) -> list[Row]:
        """The rows of an experiment's default run. Raises Missing where there is none."""
        if experiment not in self._rows:
            self._rows[experiment] = self._read(experiment)
        return self._rows[experiment]

    def _read(self, experiment: str) -> list[Row]:
        file = self.root / experiment / "results.csv"
        if file.is_file():
            rows = _read(file.parent)
            if not _is_default(rows):
                raise Missing(f"{file} is not of the preset {PRESET} as it stands")
            return rows
        for folder in self._finished.get(experiment, ()):
            rows = _read(folder)
            if _is_default(rows):
                return rows
        raise Missing(f"no {file}")

    @cached_property
    def _finished(self) -> Mapping[str, list[Path]]:
        """Experiment -> its finished run folders of the preset, the newest first."""
        dated: dict[str, list[tuple[str, Path]]] = {}
        for mark in self.root.glob(f"*-{PRESET}-*/finished.json"):
            experiment = _field(mark.with_name("config.json"), "experiment")
            dated.setdefault(experiment, []).append((_field(mark, "date"), mark.parent))
        return {name: [folder for _, folder in sorted(found, reverse=True)] for name, found in dated.items()}


def judge(claim: Claim, results: Source) -> Judgement:
    """The verdict on a claim. A comparison passes where its p-value, corrected by Holm for those of the claim, is at
    most 5 %; what the rows do not have leaves the claim untested."""
    try:
        rows = results.of(claim.experiment)
        findings = [comparison.finding(rows) for comparison in claim.comparisons]
    except Missing as missing:
        return Judgement(claim, Verdict.UNTESTED, reason=str(missing))
    passed = [p <= 1 - LEVEL for p in holm([finding.p for finding in findings])]
    verdict = Verdict.HOLDS if all(passed) else Verdict.PARTLY if any(passed) else Verdict.NOT
    return Judgement(claim, verdict, findings, passed)


def _read(folder: Path) -> list[Row]:
    with readable(folder):
        return Run(folder).rows


def _field(path: Path, key: str) -> str:
    try:
        return str(json.loads(read_whole(path))[key])
    except UNREADABLE as error:
        raise BadInput(f"cannot read {path}: {one_line(error)}") from None


def _is_default(rows: Sequence[Row]) -> bool:
    """Whether these are rows of the preset with nothing changed: a key that differs from it has a column, with one
    value in all rows where it does not belong to a sweep."""
    columns = [column for column in (rows[0] if rows else ()) if column.startswith(SET)]
    changed = any(len({row[column] for row in rows}) == 1 for column in columns)
    return bool(rows) and not changed and all(row["preset"] == PRESET for row in rows)
