"""Exact laws: sample, log-density, score and posterior mean of alpha X + sigma Z, at every noise level."""

from toylab.distributions.base import Distribution, SingularLaw
from toylab.distributions.boxes import Box
from toylab.distributions.mixtures import Convolved, GaussianMixture, Mixture

__all__ = ["Box", "Convolved", "Distribution", "GaussianMixture", "Mixture", "SingularLaw"]
