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
        n, centre = len(values), mean(values)
        return cls(centre, math.nan if n == 1 else student(n) * _std(values, centre) / math.sqrt(n))

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "nan"
        digits = decimals(self)
        return f"{self.mean:.{digits}f}" + ("" if math.isnan(self.half) else f" ± {self.half:.{digits}f}")

    def within(self, low: float, high: float) -> bool:
        """Whether all of it lies between low and high; never where it is NaN."""
        return low <= self.mean - self.half and self.mean + self.half <= high


def mean(values: Sequence[float]) -> float:
    """The mean, rounded once; NaN as soon as one is NaN, and for infinities of either sign, or beyond all numbers."""
    return _sum(values) / len(values)


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


def p_value(differences: Sequence[float]) -> float:
    """Of Student's two-sided test that the mean of paired differences is 0; NaN for a single one."""
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue) if len(differences) > 1 else math.nan


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being many (Holm 1979): the chance of any false rejection at level a is at most a."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
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
