"""Training objectives: what a denoiser is asked for. They see predictions, never a network, so each works in every
parametrisation and on every schedule."""

from toylab.objectives.base import Batch, Denoising, Objective
from toylab.objectives.equivariance import Plan, Regularised, invariance, robust_adv, robust_pgd, robust_ran

__all__ = [
    "Batch",
    "Denoising",
    "Objective",
    "Plan",
    "Regularised",
    "invariance",
    "robust_adv",
    "robust_pgd",
    "robust_ran",
]
