"""Comparisons: what a claim says of numbers that were measured over the same seeds.

A comparison asks that numbers, one a seed, lie below 0 (its contrasts). It passes where their mean does and Student's
two-sided test of that mean, corrected for the comparisons of the claim by Holm, rejects 0 at 5 %: where the corrected
95 % interval lies wholly below. A margin is a share of the other method's value of the same seed, so that what the
baseline itself varies by is in the test.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from toylab.claims.measure import Measure, Missing, Numbers
from toylab.results import Row
from toylab.statistics import Interval, decimals, paired


class Finding(NamedTuple):
    """What a comparison found: what it is about, the interval of what was measured, the bound asked for, in words, and
    the p-value of its test, uncorrected; 1 where the mean is on the wrong side."""

    subject: str
    interval: Interval
    asked: str
    p: float

    def __str__(self) -> str:
        return f"{self.subject}: {self.interval}, asked: {self.asked}"


class Comparison(Protocol):
    """What a claim says of some measured numbers."""

    @property
    def measure(self) -> Measure:
        """Of what."""

    @property
    def methods(self) -> Sequence[str]:
        """Of which methods."""

    def finding(self, rows: Sequence[Row]) -> Finding:
        """Compare. Raises Missing where rows lack something."""


@dataclass(frozen=True)
class _Difference:
    """`method` against `than`, beyond a share `margin` of the latter; than_measure: of `than`, where it is not the
    same measure."""

    measure: Measure
    method: str
    than: str = "ddpm"
    margin: float = 0.1
    than_measure: Measure | None = None

    @property
    def methods(self) -> Sequence[str]:
        return self.method, self.than

    def _finding(self, rows: Sequence[Row], sign: int) -> Finding:
        """sign: 1 where lower is claimed, -1 where higher is."""
        other = self.than_measure or self.measure
        ours, theirs = _common(self.measure.of(rows, self.method), other.of(rows, self.than))
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        p = _p_below_zero([sign * d + self.margin * abs(b) for d, b in zip(differences, theirs, strict=True)])
        found, bound = Interval.of(differences), -sign * self.margin * math.fsum(map(abs, theirs)) / len(theirs)
        share = f"{bound:.{decimals(found)}f} ({100 * abs(self.margin):.0f} % of {self.than}'s)" if self.margin else "0"
        than = self.than if self.than_measure is None else f"{self.than}'s {other}"
        subject = f"{self.measure}, {self.method} − {than}"
        return Finding(subject, found, f"{'below' if sign > 0 else 'above'} {share}", p)


@dataclass(frozen=True)
class Less(_Difference):
    """`method` is lower than `than`, by a share `margin` of the latter; with a negative margin, no higher than that."""

    def finding(self, rows: Sequence[Row]) -> Finding:
        return self._finding(rows, 1)


@dataclass(frozen=True)
class More(_Difference):
    """`method` is higher than `than`, by a share `margin` of the latter."""

    def finding(self, rows: Sequence[Row]) -> Finding:
        return self._finding(rows, -1)


@dataclass(frozen=True)
class Within:
    """A number of `method`, over that of `over` where there is one, lies between low and high."""

    measure: Measure
    method: str
    low: float
    high: float
    over: str | None = None

    @property
    def methods(self) -> Sequence[str]:
        return (self.method,) if self.over is None else (self.method, self.over)

    def finding(self, rows: Sequence[Row]) -> Finding:
        values, subject = self.measure.of(rows, self.method), f"{self.measure}, {self.method}"
        numbers = [*values.values()]
        if self.over is not None:
            own, units = _common(values, self.measure.of(rows, self.over))
            numbers = [a / b for a, b in zip(own, units, strict=True)]
            subject += f" / {self.over}"
        contrasts = [self.low - v for v in numbers], [v - self.high for v in numbers]
        asked = f"from {self.low:.4g} to {self.high:.4g}"
        return Finding(subject, Interval.of(numbers), asked, max(map(_p_below_zero, contrasts)))


@dataclass(frozen=True)
class Keeps:
    """`method` keeps in `measure` at least a share of what it does to `base` in `full`: that measure of it elsewhere,
    where it is lower than base."""

    measure: Measure
    full: Measure
    method: str
    share: float = 0.5
    base: str = "ddpm"

    @property
    def methods(self) -> Sequence[str]:
        return self.method, self.base

    def finding(self, rows: Sequence[Row]) -> Finding:
        base = self.measure.of(rows, self.base)
        part, whole = (
            [a - b for a, b in zip(*_common(measure.of(rows, self.method), base), strict=True)]
            for measure in (self.measure, self.full)
        )
        contrasts = [p - self.share * w for p, w in zip(part, whole, strict=True)], whole
        effect = Interval.of(whole)
        asked = f"below {self.share * effect.mean:.{decimals(effect)}f} ({100 * self.share:.0f} % of {self.full}'s)"
        subject = f"{self.measure}, {self.method} − {self.base}"
        return Finding(subject, Interval.of(part), asked, max(map(_p_below_zero, contrasts)))


def each(
    kind: Callable[..., Less | More], measures: Sequence[Measure], methods: Sequence[str], than: str, margin: float
) -> tuple[Less | More, ...]:
    """The same comparison of every method in every measure."""
    return tuple(kind(measure, method, than, margin) for measure in measures for method in methods)


def _common(a: Numbers, b: Numbers) -> tuple[list[float], list[float]]:
    """The numbers of the seeds that both have. Raises Missing where these are fewer than two."""
    seeds = [seed for seed in a if seed in b]
    if len(seeds) < 2:
        raise Missing("fewer than two seeds in common in its results")
    return [a[seed] for seed in seeds], [b[seed] for seed in seeds]


def _p_below_zero(contrast: Sequence[float]) -> float:
    """Of the two-sided test, where the mean is below 0; else 1."""
    if len(contrast) < 2:
        raise Missing("fewer than two seeds in its results")
    return paired(contrast).p if math.fsum(contrast) < 0 else 1.0
