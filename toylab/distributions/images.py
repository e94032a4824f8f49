"""Exact laws that look like image data sets: a Gaussian mixture in the images' principal subspace.

The principal components of a data set span an affine subspace; a mixture fitted to the coordinates in it is a law
in pixel space whose density, score and posterior mean are known at every noise level, and which a network cannot
tell from a data set. With one component it is the PCA subspace on which arXiv:2505.21742 projects its images.
"""

import math
from functools import lru_cache
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from toylab.distributions.embedding import Embedded
from toylab.distributions.gaussians import GaussianMixture
from toylab.errors import BadInput, needs


class SubspaceMixture(Embedded):
    """A Gaussian mixture in the affine subspace offset + span(basis) of R^D; singular at sigma = 0.

    law: in R^rank; basis: (D, rank) with orthonormal columns; offset: (D,), 0 by default. `distance` is that to
    the subspace, where no component is singular in it. Raises BadInput for anything else.
    """

    law: GaussianMixture
    image_shape: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image_shape or (self.dim,)

    @classmethod
    def fit(cls, images: Tensor, rank: int = 16, components: int = 10, seed: int = 0) -> Self:
        """The law fitted to images (n, D): principal components, then scikit-learn's EM in their coordinates.

        rank: of the subspace, at most the data's own; components: of the mixture, with full covariances; seed: of the
        EM's start. Same machine and versions, same law. Needs scikit-learn (extra `images`). Raises BadInput.
        """
        x = torch.as_tensor(images, dtype=torch.float64)
        if x.ndim != 2 or len(x) < 2 or not bool(x.isfinite().all()):
            raise BadInput(f"images must be finite, of shape (n, D) with n of at least 2, not {tuple(x.shape)}")
        centre = x.mean(0)
        _, spread, axes = torch.linalg.svd(x - centre, full_matrices=False)
        most = int((spread > 1e-10 * spread[0]).sum()) if float(spread[0]) > 0 else 0
        if not 1 <= rank <= most:
            raise BadInput(f"rank must be between 1 and {most}, that of these images, not {rank}")
        if not 1 <= components <= len(x) // 2:
            raise BadInput(f"components must be between 1 and {len(x) // 2}, half the images, not {components}")
        basis = axes[:rank].mT.contiguous()
        return cls(_mixture(((x - centre) @ basis).numpy(), components, seed), basis, centre)

    def project(self, x: Tensor) -> Tensor:
        """The nearest point of the subspace: (..., D) -> (..., D)."""
        own, rows = self._on(x.device), x.to(self.precision)
        y, _ = own._inwards(rows, torch.ones((), dtype=self.precision, device=x.device))
        return own._outwards(y).to(x.dtype)


def _mixture(coordinates: np.ndarray, components: int, seed: int) -> GaussianMixture:
    """EM with covariances kept at least 1e-3 of the mean variance away from singular."""
    try:
        from sklearn.mixture import GaussianMixture as Fit
    except ImportError:
        raise BadInput(needs("fitting a mixture", "scikit-learn", "images")) from None
    fit = Fit(components, reg_covar=1e-3 * float(coordinates.var(0).mean()), max_iter=500, random_state=seed)
    fit.fit(coordinates)
    cov = (fit.covariances_ + fit.covariances_.swapaxes(1, 2)) / 2
    return GaussianMixture(
        torch.from_numpy(fit.means_), cov=torch.from_numpy(cov), weights=torch.from_numpy(fit.weights_)
    )


_SHAPES = {64: (1, 8, 8), 192: (3, 8, 8), 256: (1, 16, 16), 768: (3, 16, 16), 1024: (1, 32, 32), 3072: (3, 32, 32)}


@lru_cache(maxsize=8)
def digits(rank: int = 24, components: int = 30, dim: Literal[64, 192, 256, 768, 1024, 3072] = 64) -> SubspaceMixture:
    """Like scikit-learn's 1,797 digits, pixels between -1 and 1: a law of R^dim, fitted at first use.

    dim: 64 for 8 x 8 pixels as they are, 256 and 1,024 for images enlarged to 16 x 16 and 32 x 32 bilinearly, three
    times as much for three colours, a hue for each numeral.
    """
    from sklearn.datasets import load_digits

    data, shape = load_digits(), _SHAPES[dim]
    images = torch.from_numpy(data.images)[:, None] / 8 - 1
    if shape[1:] != images.shape[2:]:
        images = torch.nn.functional.interpolate(images, size=shape[1:], mode="bilinear")
    if shape[0] == 3:
        angle = torch.from_numpy(data.target)[:, None] * (math.tau / 10) + torch.arange(3) * (math.tau / 3)
        images = (images + 1) * (0.6 + 0.4 * angle.cos())[..., None, None] - 1
    law = SubspaceMixture.fit(images.flatten(1), rank, components)
    law.image_shape = shape
    return law
