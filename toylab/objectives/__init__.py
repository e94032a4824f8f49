"""Training objectives: what a denoiser is asked for. They see predictions, never a network, so each works in every
parametrisation and on every schedule."""

from toylab.objectives.adapted import robust_l2, robust_onesided
from toylab.objectives.ambient import Ambient
from toylab.objectives.base import Batch, Denoising, Objective, OnCleanData
from toylab.objectives.distributional import DRO
from toylab.objectives.equivariance import Plan, Regularised, invariance, robust_adv, robust_pgd, robust_ran
from toylab.objectives.robust_losses import PseudoHuber, Trimmed

__all__ = [
    "DRO",
    "Ambient",
    "Batch",
    "Denoising",
    "Objective",
    "OnCleanData",
    "Plan",
    "PseudoHuber",
    "Regularised",
    "Trimmed",
    "invariance",
    "robust_adv",
    "robust_l2",
    "robust_onesided",
    "robust_pgd",
    "robust_ran",
]
