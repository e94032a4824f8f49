"""Exact laws: sample, log-density, score and posterior mean of alpha X + sigma Z, at every noise level."""

from toylab.distributions.base import Distribution, SingularLaw
from toylab.distributions.boxes import Box
from toylab.distributions.curves import Curve
from toylab.distributions.embedding import Embedded, Product, rotated, scaled, shifted
from toylab.distributions.empirical import Empirical
from toylab.distributions.gaussians import GaussianMixture
from toylab.distributions.images import SubspaceMixture
from toylab.distributions.mixtures import Convolved, Mixture
from toylab.distributions.spheres import Sphere, Torus
from toylab.distributions.tails import StudentT

__all__ = [
    "Box",
    "Convolved",
    "Curve",
    "Distribution",
    "Embedded",
    "Empirical",
    "GaussianMixture",
    "Mixture",
    "Product",
    "SingularLaw",
    "Sphere",
    "StudentT",
    "SubspaceMixture",
    "Torus",
    "rotated",
    "scaled",
    "shifted",
]
