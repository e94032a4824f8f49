"""Cases of the metrics that ask for nearest neighbours: precision, recall, density, coverage, and memorisation.

On the line a ball is an interval, so that its probability is known, and the distance to the k-th nearest of n points
has the law of an order statistic: probabilities of balls are Beta. For precision and recall that leaves unions of
balls, which are one interval where a ball reaches the farthest other point: groups of k + 1.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from scipy.special import bdtr
from scipy.stats import beta

from toylab.calibration.case import Case
from toylab.calibration.line import Line
from toylab.calibration.standins import Given, compared, drawn
from toylab.metrics.coverage import K
from toylab.metrics.memorization import SHARE

NORMAL = Line()
OTHER = Line((1.0,), (0.8,))
LOOSE = Line((2.2,), (1.2,))
TIGHT = Line((1.5,), (0.6,))

TRAINING = (-1.7, -0.9, -0.2, 0.3, 0.6, 1.1, 2.1)
COPIES = Line(TRAINING, (0.05,) * 7, (1 / 7,) * 7)
"""What a model that memorised them would make."""

FEW = 999
"""Samples held against one threshold: the tenth nearest of as many."""

_NODES = 801


# -- true values -------------------------------------------------------------------------------------------------------


def mean_precision(balls: Line, points: Line, n: int = K + 1) -> float:
    """P(a point lies in the union of the balls of n = K + 1): [2a - b, 2b - a], from their extremes a and b."""
    x = np.linspace(-9, 9, 2 * _NODES)
    a, b = x[:, None], x[None]
    between = np.clip(balls.cdf(b) - balls.cdf(a), 0, 1)
    joint = n * (n - 1) * balls.density(x)[:, None] * balls.density(x) * between ** (n - 2)
    inside = points.cdf(2 * b - a) - points.cdf(2 * a - b)
    return float(np.trapezoid(np.trapezoid(np.where(a < b, joint * inside, 0.0), x), x))


def mean_density(balls: Line, points: Line, n: int) -> float:
    """(n/K) P(a point lies in a ball): fewer than K of the n - 1 others are nearer to its centre."""
    x = np.linspace(-9, 9, 2 * _NODES)
    centre, point = x[:, None], x[None]
    r = np.abs(point - centre)
    nearer = np.clip(balls.cdf(centre + r) - balls.cdf(centre - r), 0, 1)
    inside = bdtr(K - 1, n - 1, nearer) * balls.density(x)[:, None] * points.density(x)
    return float(n / K * np.trapezoid(np.trapezoid(inside, x), x))


def mean_coverage(balls: Line, points: Line, n: int) -> float:
    """1 - P(none of n points lies in a ball), whose own probability is Beta(K, n - K)."""
    x, r = np.linspace(-9, 9, _NODES), np.linspace(0, 12, 4 * _NODES)
    centre, radius = x[:, None], r[None]
    own = balls.cdf(centre + radius) - balls.cdf(centre - radius)
    held = points.cdf(centre + radius) - points.cdf(centre - radius)
    steps = np.diff(beta.cdf(own, K, n - K), axis=1)
    empty = ((1 - (held[:, 1:] + held[:, :-1]) / 2) ** n * steps).sum(1)
    return float(1 - np.trapezoid(empty * balls.density(x), x))


def coverage_of_exact(n: int) -> float:
    """1 - Π_{i=1..K} (n - i)/(2n - i): the next K of all 2n - 1 other points are of the same sample."""
    return 1 - float(np.prod([(n - i) / (2 * n - i) for i in range(1, K + 1)]))


def mass_near(line: Line, radius: np.ndarray) -> np.ndarray:
    """P(the nearest training point is within these radii), cell by cell."""
    ends = [-np.inf, *((a + b) / 2 for a, b in pairwise(TRAINING)), np.inf]
    cells = zip(TRAINING, pairwise(ends), strict=True)
    return np.asarray(
        sum(line.cdf(np.minimum(t + radius, high)) - line.cdf(np.maximum(t - radius, low)) for t, (low, high) in cells)
    )


def mean_nearest(line: Line) -> float:
    """E of the distance to the nearest training point, ∫ P(it is more) dr."""
    r = np.linspace(0, 12, 200_001)
    return float(np.trapezoid(1 - mass_near(line, r), r))


def mean_duplicates(line: Line, size: int) -> float:
    """P(nearer than the threshold), whose probability under the law is Beta(rank, size + 1 - rank)."""
    r = np.linspace(0, 3, 400_001)
    rank = max(1, round(SHARE * (size + 1)))
    steps = np.diff(beta.cdf(mass_near(NORMAL, r), rank, size + 1 - rank))
    share = mass_near(line, r)
    return float(((share[1:] + share[:-1]) / 2 * steps).sum())


# -- what stands in for a model ----------------------------------------------------------------------------------------


def beside_training(samples: Line, n: int, **known: Any) -> Given:
    """n samples, the training set, and its law."""
    points, law = torch.tensor(TRAINING, dtype=torch.float64)[:, None], NORMAL.law
    return lambda generators: {
        "samples": drawn(samples, n, generators), "training": points.expand(len(generators), -1, -1),
        "law": law, "generators": generators, **known,
    }  # fmt: skip


def union(metric: str, model: str, samples: Line, truth: Callable[[], float]) -> Case:
    """Samples for N(0, 1), in groups of K + 1."""
    size, groups = K + 1, 48
    return Case(metric, model, truth, _ORDER, size, compared(NORMAL, samples, size, groups), groups)


def balls(metric: str, model: str, samples: Line, truth: Callable[[int], float], size: int = 25) -> Case:
    """Samples for N(0, 1), in groups of any size."""
    known = "closed form" if samples is NORMAL else _ORDER
    return Case(metric, model, partial(truth, size), known, size, compared(NORMAL, samples, size, 8), 8)


_ORDER = "order statistics, at this n"
_COPIES = "near copies of seven training points of N(0, 1)"

CASES = (
    union("precision", "samples of N(2.2, 1.2²) for N(0, 1)", LOOSE, lambda: mean_precision(NORMAL, LOOSE)),
    union("recall", "samples of N(1.5, 0.6²) for N(0, 1)", TIGHT, lambda: mean_precision(TIGHT, NORMAL)),
    balls("density", "samples of N(1, 0.8²) for N(0, 1)", OTHER, partial(mean_density, NORMAL, OTHER)),
    balls("density", "exact samples", NORMAL, lambda n: 1.0),
    balls("coverage", "samples of N(1, 0.8²) for N(0, 1)", OTHER, partial(mean_coverage, NORMAL, OTHER)),
    balls("coverage", "exact samples", NORMAL, coverage_of_exact, size=200),
    Case("nearest-ratio", _COPIES, lambda: mean_nearest(COPIES) / mean_nearest(NORMAL), "quadrature on the line", 100,
         beside_training(COPIES, 100)),
    Case("nearest-ratio", "samples of N(1, 0.8²) for N(0, 1)", lambda: mean_nearest(OTHER) / mean_nearest(NORMAL),
         "quadrature on the line", 100, beside_training(OTHER, 100)),
    Case("duplicate-share", _COPIES, lambda: mean_duplicates(COPIES, FEW), _ORDER, FEW,
         beside_training(COPIES, 4 * FEW, size=FEW), 4),
    Case("duplicate-share", "exact samples", lambda: SHARE, "closed form", FEW,
         beside_training(NORMAL, 4 * FEW, size=FEW), 4),
)  # fmt: skip
