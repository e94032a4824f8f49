"""The law of a finite set of points: what a model that memorises its training set has learned."""

from torch import Tensor

from toylab.distributions.gaussians import GaussianMixture


class Empirical(GaussianMixture):
    """Equal point masses at points (n, dim); singular at sigma = 0. Raises BadInput unless finite and (n, dim)."""

    def __init__(self, points: Tensor):
        super().__init__(points, std=0.0)
