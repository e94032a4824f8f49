"""Statistics over seeds, against scipy and by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from toylab.statistics import Interval, difference, holm, paired, share_of_effect


def test_interval_is_students():
    values = [0.1, 0.2, 0.4]
    found = Interval.of(values)
    low, high = scipy.stats.t.interval(0.95, 2, loc=found.mean, scale=scipy.stats.sem(values))
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(Interval.of([1.0]).half)
    assert math.isnan(Interval.of([1.0, math.nan]).mean)


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.123456, 0.0123, "0.123 ± 0.012"),
        (12.3, 4.56, "12.3 ± 4.6"),
        (0.5, math.nan, "0.500"),
        (math.nan, 1.0, "nan"),
        (0.0, 0.0, "0.000 ± 0.000"),
    ],
)
def test_intervals_are_shown_with_two_digits_of_their_width(mean: float, half: float, text: str):
    assert str(Interval(mean, half)) == text


def test_paired_differences_are_those_of_a_paired_test():
    a, b = [1.0, 2.0, 4.0, 3.5], [0.5, 1.7, 3.1, 3.6]
    found, test = difference(a, b), scipy.stats.ttest_rel(a, b)
    low, high = test.confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == (pytest.approx(low), pytest.approx(high))
    assert paired([x - y for x, y in zip(a, b, strict=True)]).p == pytest.approx(test.pvalue)
    assert math.isnan(paired([1.0]).p)


def test_share_of_an_effect():
    """A variant that does nine tenths of it in every seed misses a tenth, exactly, whichever way the effect goes."""
    base, full = [1.0, 1.2, 0.9], [0.4, 0.5, 0.1]
    variant = [b + 0.9 * (f - b) for f, b in zip(full, base, strict=True)]
    assert share_of_effect(variant, full, base) == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-12))
    up, down = ([-v for v in values] for values in (variant, full))
    assert share_of_effect(up, down, [-b for b in base]).mean == pytest.approx(-0.1)
    assert share_of_effect([0.5], [0.4], [1.0]).mean == pytest.approx(1 / 6)


def test_intervals_of_a_share_cover_it():
    """2,000 draws of 8 seeds with a true share of 0.1: coverage within 3.5 binomial standard errors of 95 %, and a
    shortfall of up to 1 % for the delta method."""
    g, covered, draws = np.random.default_rng(0), 0, 2000
    for _ in range(draws):
        base = g.normal(1.0, 0.1, 8)
        full = base - g.normal(0.5, 0.05, 8)
        variant = full + 0.05 + g.normal(0.0, 0.03, 8)
        found = share_of_effect(variant, full, base)
        covered += abs(found.mean - 0.1) <= found.half
    slack = 3.5 * math.sqrt(0.95 * 0.05 / draws)
    assert 0.94 - slack < covered / draws < 0.95 + slack


def test_within():
    assert Interval(0.02, 0.05).within(-0.1, 0.1)
    assert not Interval(0.06, 0.05).within(-0.1, 0.1)
    assert not Interval(0.0, math.nan).within(-0.1, 0.1)


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
