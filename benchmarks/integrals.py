"""Integrals to 50 digits whose weight may be a peak of any width, each taken twice."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from mpmath import MPContext
from mpmath.calculus.quadrature import GaussLegendre

mp = MPContext()  # one of our own: mpmath's default precision stays as it is
mp.dps = 50

Real = Any  # mpmath has no types: a number of 50 digits, and a list of them
Vector = list[Any]
Integrand = Callable[[Real], tuple[Real, Vector]]
"""u -> the logarithm of a weight, and what is averaged under it."""


class Rule(NamedTuple):
    """Gauss-Legendre, 3·2^(degree - 1) nodes a panel; one in which log weight varies more than `variation` is cut."""

    degree: int
    variation: Real
    cut: Real


RULES = (Rule(6, mp.mpf(50), mp.mpf("0.5")), Rule(6, mp.mpf(35), mp.mpf("0.4")))
"""Every integral is taken by the first, and by the others to check it."""
AGREEMENT = mp.mpf("1e-30")
_NEGLIGIBLE = 80  # panels below e^-80 = 2e-35 of the greatest are left out
_PROBES = [mp.mpf(k) / 20 for k in (1, 3, 6, 9, 11, 14, 17, 19)]


def integrals(f: Integrand, edges: Sequence[Real]) -> tuple[Real, Vector]:
    """log ∫ exp(w(u)) du and the mean of v under that weight, f(u) = (w, v), edges[0] <= u <= edges[-1].

    `edges` must be as fine as the changes of w and v, but not as fine as the peaks of exp(w). Raises ArithmeticError
    where the rules, whose panels differ, do not agree to 30 digits.
    """
    first, *others = RULES
    log_mass, mean = _composite(f, edges, first)
    for rule in others:
        moved = sorted({*edges, *(a + rule.cut * (b - a) for a, b in pairwise(edges))})
        again, mean_again = _composite(f, moved, rule)
        size = max((abs(m) for m in mean), default=0)
        gap = max((abs(m - n) for m, n in zip(mean, mean_again, strict=True)), default=0)
        if abs(log_mass - again) > AGREEMENT or gap > AGREEMENT * size:
            raise ArithmeticError(f"two rules differ by {mp.nstr(log_mass - again, 3)} and {mp.nstr(gap, 3)}")
    return log_mass, mean


def _composite(f: Integrand, edges: Sequence[Real], rule: Rule) -> tuple[Real, Vector]:
    pending, kept, best = list(pairwise(edges)), [], -mp.inf
    while pending:
        found = [(a, b, [f(a + (b - a) * p)[0] for p in _PROBES]) for a, b in pending]
        best = max(best, *(max(w) for _, _, w in found))
        pending = []
        for a, b, w in found:
            most, spread = max(w), max(w) - min(w)
            if most + spread < best - _NEGLIGIBLE:  # w is smooth: it is not that far above its greatest probe
                continue
            if spread <= rule.variation:
                kept.append((a, b))
            else:
                middle = a + rule.cut * (b - a)
                pending += [(a, middle), (middle, b)]
    terms = [(b - a, weight, f(a + (b - a) * node)) for a, b in kept for node, weight in _nodes(rule.degree)]
    shares = [length * weight * mp.exp(w - best) for length, weight, (w, _) in terms]
    mass, columns = mp.fsum(shares), zip(*(v for _, _, (_, v) in terms), strict=True)
    return best + mp.log(mass), [mp.fdot(shares, column) / mass for column in columns]


@cache
def _nodes(degree: int) -> list[tuple[Real, Real]]:
    """Nodes and weights on [0, 1]."""
    return GaussLegendre(mp).get_nodes(mp.mpf(0), mp.mpf(1), degree, mp.prec)
