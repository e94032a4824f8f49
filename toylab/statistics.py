"""Statistics over seeds: intervals, paired differences, shares of an effect, many comparisons at once.

Seeds are the unit: all methods of one seed see the same data and noise, so that methods are compared by what
differs within each seed.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple, Self

LEVEL = 0.95
NORMAL = NormalDist().inv_cdf((1 + LEVEL) / 2)
"""The half-width of a 95 % interval in standard errors that are known well."""


class Interval(NamedTuple):
    """A mean over seeds and the half-width of its 95 % Student interval; NaN for a single seed."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The interval of one number a seed."""
        n = len(values)
        return cls(mean(values), math.nan if n == 1 else student(n) * stderr(values))

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "nan"
        digits = decimals(self)
        return f"{self.mean:.{digits}f}" + ("" if math.isnan(self.half) else f" ± {self.half:.{digits}f}")

    def within(self, low: float, high: float) -> bool:
        """Whether all of it lies between low and high; never where it is NaN."""
        return low <= self.mean - self.half and self.mean + self.half <= high


class Difference(NamedTuple):
    """A difference of means, its standard error, and the degrees of freedom of that; NaN for too few values."""

    value: float
    stderr: float
    dof: float

    @property
    def ratio(self) -> float:
        """The difference in standard errors; infinite where there is one, and no error."""
        if self.stderr == 0:
            return math.copysign(math.inf, self.value) if self.value else 0.0
        return self.value / self.stderr

    @property
    def p(self) -> float:
        """Of Student's two-sided test that it is 0; NaN where nothing varies."""
        return 2 * self.tail(abs(self.ratio)) if math.isfinite(self.ratio) and self.stderr > 0 else math.nan

    def tail(self, ratio: float) -> float:
        """The chance that an estimate of 0 is so many standard errors above it, or more."""
        from scipy.stats import t

        return float(t.sf(ratio, self.dof))


def paired(gaps: Sequence[float]) -> Difference:
    """The mean of differences, one a seed."""
    return Difference(mean(gaps), stderr(gaps), len(gaps) - 1)


def welch(a: Sequence[float], b: Sequence[float]) -> Difference:
    """mean(b) - mean(a) of independent values (Welch 1947):

    se² = s_a²/n_a + s_b²/n_b,    dof = se⁴ / (s_a⁴/(n_a² (n_a - 1)) + s_b⁴/(n_b² (n_b - 1)))
    """
    squares = [stderr(values) ** 2 for values in (a, b)]
    total = math.fsum(squares) if all(map(math.isfinite, squares)) else math.nan
    parts = [square**2 / (len(values) - 1) for square, values in zip(squares, (a, b), strict=True) if square > 0]
    return Difference(mean(b) - mean(a), math.sqrt(total), total**2 / math.fsum(parts) if parts else math.nan)


def mean(values: Sequence[float]) -> float:
    """The mean, rounded once; NaN as soon as one is NaN, and for infinities of either sign, or beyond all numbers."""
    return _sum(values) / len(values)


def stderr(values: Sequence[float]) -> float:
    """The standard error of the mean; NaN for a single value."""
    n = len(values)
    return math.nan if n == 1 else _std(values, mean(values)) / math.sqrt(n)


def decimals(interval: Interval) -> int:
    """Decimals that show two digits of the half-width, between 0 and 5."""
    scale = interval.half if interval.half > 0 else abs(interval.mean) / 10
    return 3 if not math.isfinite(scale) or scale == 0 else min(5, max(0, 1 - math.floor(math.log10(scale))))


def difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """a - b, seed by seed."""
    return Interval.of([x - y for x, y in zip(a, b, strict=True)])


def share_of_effect(variant: Sequence[float], full: Sequence[float], base: Sequence[float]) -> Interval:
    """How far a variant of a method is from the full method, as a share of what the full method does to the base:

        mean(variant - full) / |mean(full - base)|

    over the same seeds, the effect's own uncertainty in the interval.
    """
    gap = [v - f for v, f in zip(variant, full, strict=True)]
    effect = [f - b for f, b in zip(full, base, strict=True)]
    share = ratio(gap, effect)
    return Interval(math.copysign(1, mean(effect)) * share.mean, share.half)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """mean(numerators)/mean(denominators), one of each a seed, the interval by the delta method: the uncertainty of
    either, and what they share, is in it. NaN where the denominators' mean is 0."""
    n, size = len(numerators), mean(denominators)
    if size == 0:
        return Interval(math.nan, math.nan)
    value = mean(numerators) / size
    residual = [a - value * b for a, b in zip(numerators, denominators, strict=True)]
    half = math.nan if n == 1 else student(n) * _std(residual, mean(residual)) / math.sqrt(n) / abs(size)
    return Interval(value, half)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being many (Holm 1979): the chance of any false rejection at level a is at most a. What is
    NaN was not tested: it stays so, and does not count."""
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=p_values.__getitem__)
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def student(n: int) -> float:
    """The half-width of a 95 % interval over n values, in standard errors of their mean."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, n - 1))


def _std(values: Sequence[float], centre: float) -> float:
    squares = [(v - centre) * (v - centre) for v in values]  # ** raises where * is infinite
    return math.sqrt(_sum(squares) / (len(values) - 1))


def _sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # beyond all numbers, or infinities of either sign
        return math.nan
