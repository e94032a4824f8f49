"""Distances between laws that are averages over pairs of points: energy distance and maximum mean discrepancy.

Both are 2 E k(x, y) - E k(x, x') - E k(y, y') up to sign, estimated without the pairs of a point with itself: unbiased
at every size, so that their floor is 0, and values below it mean no more than noise. Those of exact samples are skewed:
intervals hold them from about 60 groups on, and with fewer only their difference to the floor.
"""

from torch import Tensor

from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate
from toylab.metrics.groups import PAIR, compared, distances, typical_distance
from toylab.randomness import Generators


def energy_distance(samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR) -> Estimate:
    """Energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of samples (M, n, d) or (n, d) to the law, in units of x.

    Unbiased, so it can be negative; mean and standard error over groups of `size`. scipy's is the square root of this
    one with the pairs of a point with itself. (Székely and Rizzo 2013, J. Statistical Planning and Inference 143.)
    """
    return compared(lambda x, y, _: energy_between(x, y), samples, law, generators, size)


def mmd(samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR) -> Estimate:
    """Squared maximum mean discrepancy E k(x, x') + E k(y, y') - 2 E k(x, y) of samples to the law. No unit.

    k(x, y) = exp(-|x - y|²/2h²), h the median distance of two points of the law, the same for all that is compared
    with it; NaN where that is 0. Unbiased, so it can be negative; mean and standard error over groups of `size`.
    (Gretton et al. 2012, JMLR 13.)
    """
    width = typical_distance(law)
    return compared(lambda x, y, _: mmd_between(x, y, width), samples, law, generators, size)


def energy_between(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased energy distance of two samples (n, d) and (m, d), both of at least two points."""
    return 2 * distances(x, y).mean() - _mean_of_pairs(distances(x, x)) - _mean_of_pairs(distances(y, y))


def mmd_between(x: Tensor, y: Tensor, width: float) -> Tensor:
    """Unbiased squared MMD of two samples (n, d) and (m, d), both of at least two points, kernel of this width."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (-0.5 * (distances(a, b) / width).square()).exp()

    return _mean_of_pairs(kernel(x, x)) + _mean_of_pairs(kernel(y, y)) - 2 * kernel(x, y).mean()


def _mean_of_pairs(matrix: Tensor) -> Tensor:
    """Mean off the diagonal."""
    n = len(matrix)
    return (matrix.sum() - matrix.diagonal().sum()) / (n * (n - 1))
