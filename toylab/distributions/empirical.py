"""The law of a finite set of points: what a model that memorises its training set has learned."""

import torch
from torch import Tensor

from toylab.distributions.mixtures import GaussianMixture


class Empirical(GaussianMixture):
    """Equal point masses at points (n, dim); singular at sigma = 0. Raises BadInput unless finite and (n, dim)."""

    def __init__(self, points: Tensor):
        super().__init__(points, std=0.0)

    def distance(self, x: Tensor) -> Tensor:
        """Distance of points (..., dim) to the nearest point of the set."""
        own = self._on(x.device)
        rows = x.to(self.precision).reshape(-1, self.dim)
        size = max(1, self._chunk // (self.dim * len(own.means)))
        parts = [(part[:, None] - own.means).square().sum(-1).amin(-1).sqrt() for part in rows.split(size)]
        return torch.cat(parts).reshape(x.shape[:-1]).to(x.dtype)
