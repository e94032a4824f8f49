"""Laws that are Gaussian mixtures in another guise: embedded, moved, mixed, with noise added."""

import torch

from toylab.distributions.base import Distribution
from toylab.distributions.embedding import Embedded
from toylab.distributions.gaussians import GaussianMixture
from toylab.distributions.mixtures import Convolved, Mixture
from toylab.errors import BadInput


def as_gaussians(law: Distribution) -> GaussianMixture:
    """The same law as a GaussianMixture. Raises BadInput where it is none.

    Covariances become full ones, (K, dim, dim), unless the law is a GaussianMixture already.
    """
    match law:
        case GaussianMixture():
            return law
        case Embedded():
            basis = torch.eye(law.dim, dtype=torch.float64) if law.basis is None else law.basis
            return as_gaussians(law.law).mapped(law.scale * basis, law.offset)
        case Convolved():
            inner = as_gaussians(law.law)
            noise = law.std**2 * torch.eye(law.dim, dtype=torch.float64)
            return GaussianMixture.dense(inner.means, inner._covariances() + noise, inner.weights)
        case Mixture():
            parts = [as_gaussians(part) for part in law.laws]
            means, covs = (torch.cat(v) for v in zip(*((p.means, p._covariances()) for p in parts), strict=True))
            weights = torch.cat([w * part.weights for w, part in zip(law.weights, parts, strict=True)])
            return GaussianMixture.dense(means, covs, weights)
    raise BadInput(f"a Gaussian mixture is needed, in whatever guise, not a {type(law).__name__}")
