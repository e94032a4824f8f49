"""The exact optimum of an objective: what training is asked for, without a network.

On Gaussian data N(μ, Σ), among affine models ε(x) = A(x - αμ) at one noise level, with S = E[ωωᵀ] and ω
independent of x_t,

    denoising    A = σ (α²Σ + σ²I)⁻¹
    L_AT         A = σ (I + λS)(α²Σ + σ²(I + λS))⁻¹
    L_inv        A = σ (α²Σ + σ²(I + λS))⁻¹

Setting the derivative in A of tr(A(α²Σ + σ²I)Aᵀ) - 2σ tr A + λ tr((σA - I)S(σA - I)ᵀ) to zero gives the
second; without the I in its last term, the third. For S = sI the second is the exact ε of N(μ, Σ/(1 + λs)):
*equivariant adversarial training learns the data with its covariance divided by 1 + λs*.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from toylab.distributions import GaussianMixture
from toylab.objectives import Denoising, Objective, Regularised
from toylab.perturbations import Radius, Random


class AffineOptimum(NamedTuple):
    """ε(x) = matrix·x + bias: (d, d) and (d,), float64."""

    matrix: Tensor
    bias: Tensor


def gaussian_optimum(objective: Objective, law: GaussianMixture, alpha: float, sigma: float) -> AffineOptimum:
    """The best affine model of `objective` on a single Gaussian at one noise level.

    Raises ValueError for more than one component, and for an objective without a closed form here.
    """
    if len(law.means) != 1:
        raise ValueError("the closed form is for one Gaussian")
    identity = torch.eye(law.dim, dtype=torch.float64)
    lam_s, equivariant = _strength(objective, alpha, sigma)
    inflated = (1 + lam_s) * identity
    inverse = torch.linalg.inv(alpha**2 * law.cov + sigma**2 * inflated)
    matrix = sigma * (inflated if equivariant else identity) @ inverse
    return AffineOptimum(matrix, -alpha * matrix @ law.mean)


def _strength(objective: Objective, alpha: float, sigma: float) -> tuple[float, bool]:
    """λs, where S = sI, and whether the target is equivariant."""
    if isinstance(objective, Denoising):
        return 0.0, True
    if isinstance(objective, Regularised) and isinstance(objective.direction, Random):
        return float(objective.lam) * second_moment(objective.radius, alpha, sigma), objective.equivariant
    raise ValueError(f"no closed form for {objective}")


def second_moment(radius: Radius, alpha: float, sigma: float) -> float:
    """s in E[ωωᵀ] = sI for ω uniform in the L∞ ball of this radius: r²/3, or r²/9 with a uniform draw of r."""
    level = torch.tensor([[alpha]], dtype=torch.float64), torch.tensor([[sigma]], dtype=torch.float64)
    largest = replace(radius, random=False)(*level, None)
    return float(largest) ** 2 / (9 if radius.random else 3)
