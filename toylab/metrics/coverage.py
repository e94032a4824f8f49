"""Precision, recall, density, coverage: whether samples lie where the law does, and whether they lie everywhere there.

Around a point of a sample its k-th nearest other point of the same sample spans a ball; k is 5 here. With balls about
exact samples x_i of the law, samples y_j, and balls about the samples:

    precision   share of the y_j in the ball of any x_i          recall     share of the x_i in the ball of any y_j
    density     mean number of x_i-balls that hold a y_j, / k    coverage   share of the x_i-balls that hold any y_j

(Kynkäänniemi et al., arXiv:1904.06991; Naeem et al., arXiv:2002.09797.) All depend on the size of the groups compared,
and those of exact samples are not 1 but, with n points on either side, 1 in the mean for density and
1 - Π_{i=1..k} (n - i)/(2n - i) for coverage: read them beside `clean-samples`. NaN where a group has no k other points.
Shares near 1 are skewed: intervals hold where the groups together leave out some 40 points.
"""

import torch
from torch import Tensor

from toylab.metrics.estimate import Estimate
from toylab.metrics.groups import PAIR, Drawn, compared, distances
from toylab.randomness import Generators

K = 5
"""Which neighbour spans a ball."""


def precision(samples: Tensor, law: Drawn, generators: Generators, size: int = PAIR, k: int = K) -> Estimate:
    """Share of the samples (M, n, d) or (n, d) in a ball of exact ones; mean and standard error over groups."""
    return compared(lambda x, y, _: within(x, y, k).amax(1).mean(), samples, law, generators, size)


def recall(samples: Tensor, law: Drawn, generators: Generators, size: int = PAIR, k: int = K) -> Estimate:
    """Share of exact samples in a ball of the samples (M, n, d) or (n, d); mean and standard error over groups."""
    return compared(lambda x, y, _: within(y, x, k).amax(1).mean(), samples, law, generators, size)


def density(samples: Tensor, law: Drawn, generators: Generators, size: int = PAIR, k: int = K) -> Estimate:
    """Mean number of balls of exact samples that hold a sample, in units of k; mean and standard error over groups."""
    return compared(lambda x, y, _: within(x, y, k).sum(1).mean() / k, samples, law, generators, size)


def coverage(samples: Tensor, law: Drawn, generators: Generators, size: int = PAIR, k: int = K) -> Estimate:
    """Share of the balls of exact samples that hold a sample; mean and standard error over groups."""
    return compared(lambda x, y, _: within(x, y, k).amax(0).mean(), samples, law, generators, size)


def within(x: Tensor, centres: Tensor, k: int) -> Tensor:
    """Which points (n, d) lie in which balls about centres (m, d): 1 and 0 (n, m), NaN where k >= m."""
    if k >= len(centres):
        return x.new_full((len(x), len(centres)), torch.nan)
    radius = distances(centres, centres).kthvalue(k + 1).values  # each is its own nearest
    return (distances(x, centres) <= radius).to(x.dtype)
