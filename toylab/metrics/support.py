"""How far samples are from where the clean law lives: its support, and the affine subspace that holds it."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from toylab import randomness
from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate

_RANK_TOLERANCE = 1e-12  # of the largest variance: below it is rounding

MOST_DECIBELS = 100.0
"""Of a PSNR: on a subspace it is infinite."""


def is_thin(law: Distribution) -> bool:
    """Whether there is anything outside the law's support: it is not all of R^dim. Seen from noised exact samples."""
    noise = randomness.stream(0, "support")
    x = law.sample(1000, noise)
    return bool((law.distance(x + randomness.randn(x.shape, noise, x)) > 0).any())


class Subspace(NamedTuple):
    """An affine subspace centre + span(basis) of R^d: orthonormal basis (d, k) with 0 < k < d, centre (d,)."""

    basis: Tensor
    centre: Tensor

    @classmethod
    def of(cls, law: Distribution) -> Self | None:
        """The smallest one that holds the law, by its exact covariance; None for a single point, where it is all of
        R^d, and where the covariance is infinite."""
        try:
            centre, (variances, axes) = law.mean, torch.linalg.eigh(law.cov)
        except ValueError:
            return None
        basis = axes[:, variances > _RANK_TOLERANCE * variances[-1]]
        return cls(basis, centre) if 0 < basis.shape[1] < law.dim else None

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates in the subspace (..., k), and what is left over (..., d), float64."""
        basis, centred = self.basis.to(x.device), x.double() - self.centre.to(x.device)
        tangent = centred @ basis
        return tangent, centred - tangent @ basis.mT


def distance(samples: Tensor, support: Distribution) -> Estimate:
    """Mean distance of samples (..., n, d) to the support of a law, in units of x; 0 for its own. (The law is asked
    for its support alone.)"""
    return Estimate.of_mean(support.distance(samples.double()))


def normal_std(samples: Tensor, subspace: Subspace) -> Estimate:
    """Root mean square deviation per normal coordinate of samples (..., n, d) from the clean law's subspace, in units
    of x: 0 for the law itself, s where noise N(0, s² I) was added. Its interval holds from about 200 samples."""
    tangent, normal = subspace.split(samples)
    codimension = samples.shape[-1] - tangent.shape[-1]
    return Estimate.of_mean(normal.square().sum(-1) / codimension).root()


def tangent_std(samples: Tensor, subspace: Subspace) -> Estimate:
    """Standard deviation per coordinate of samples (..., n, d) within the clean law's subspace, about their own mean
    (squares are divided by n - 1), in units of x; NaN for a single sample. Its interval holds from about 200."""
    tangent, _ = subspace.split(samples)
    n = samples.shape[-2]
    squares = (tangent - tangent.mean(-2, keepdim=True)).square().mean(-1)
    return Estimate.of_mean(squares).scaled(n / (n - 1) if n > 1 else math.nan).root()


def psnr(samples: Tensor, subspace: Subspace, span: float = 2.0) -> Estimate:
    """Mean peak signal-to-noise ratio of samples (..., n, d) against their projections on the clean law's subspace, dB.

    10 log₁₀(span²/(|x - Px|²/d)) of each sample, span that of a pixel: 2 from -1 to 1. On the subspace it is infinite;
    it counts as 100 at most, so that the mean over samples says something.
    """
    _, normal = subspace.split(samples)
    decibels = 10 * (span**2 / normal.square().mean(-1)).log10()
    return Estimate.of_mean(decibels.clamp(max=MOST_DECIBELS))
