"""What the exact optima need to know of the perturbation ω, in one place.

An objective is read as a `Regularised` one (λ = 0 for denoising). Its ω is r·w: a radius r, fixed or a draw uniform
on [0, R), and a direction w that a module below knows: `moments` and `grid` dispatch on the direction and refuse the
others with BadInput.
"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from toylab.errors import BadInput
from toylab.objectives import Denoising, Objective, Regularised
from toylab.perturbations import Direction, Gaussian, Radius, Scalar


def regularised(objective: Objective) -> Regularised:
    """The objective as denoising plus a penalty. Raises BadInput where it has no such form."""
    if isinstance(objective, Denoising):
        return Regularised(lam=0.0)
    if isinstance(objective, Regularised):
        return objective
    raise BadInput(f"no closed form for {type(objective).__name__}: known are Denoising and Regularised")


def unknown_direction(direction: Direction, known: str) -> BadInput:
    """What a dispatch on the direction raises last."""
    return BadInput(f"no closed form for the direction {direction} here: known are {known}")


def number(value: Scalar, name: str) -> float:
    """A setting as one number. Raises BadInput for one a member."""
    values = torch.as_tensor(value, dtype=torch.float64).flatten()
    if len(values) != 1:
        raise BadInput(f"an exact optimum is that of one member: {name} has {len(values)} values")
    return float(values)


def strength(asked: Regularised, alpha: float, sigma: float) -> float:
    """λ at this level, at the end of training: plans that rest in some samples or steps have the same mean."""
    return number(asked.lam, "lam") * (sigma / math.hypot(alpha, sigma)) ** asked.plan.rho


def largest(radius: Radius, alpha: float, sigma: float) -> float:
    """R, the radius without its draw."""
    r0, rho, bias, clip = (number(getattr(radius, name), name) for name in ("r0", "rho", "bias", "clip"))
    fixed = replace(radius, r0=r0, rho=rho, bias=bias, clip=clip, random=False)
    level = torch.tensor([[alpha]], dtype=torch.float64), torch.tensor([[sigma]], dtype=torch.float64)
    return float(fixed(*level, None))


def reach(asked: Regularised, alpha: float, sigma: float, dim: int) -> float:
    """How far a coordinate of ω goes: R, R√d in the L2 ball, four standard deviations of a Gaussian one."""
    most = largest(asked.radius, alpha, sigma)
    if isinstance(asked.direction, Gaussian):
        return most * 4 / math.sqrt(3)
    return most * math.sqrt(dim) if getattr(asked.direction, "norm", None) == "l2" else most


def mean_square(radius: Radius, alpha: float, sigma: float) -> float:
    """E[r²]: R², or R²/3 with a uniform draw."""
    return largest(radius, alpha, sigma) ** 2 / (3 if radius.random else 1)


def radii(radius: Radius, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
    """The law of r as nodes (q,) and weights (q,): itself where it is fixed, Gauss-Legendre for the uniform draw.

    q = 6 + 2R is exact for polynomials in r to degree 2q - 1; on two Gaussians with outliers 80 nodes move ε by 1e-7.
    """
    most = torch.tensor([largest(radius, alpha, sigma)], dtype=torch.float64)
    if not radius.random:
        return most, torch.ones(1, dtype=torch.float64)
    nodes, weights = np.polynomial.legendre.leggauss(6 + round(2 * float(most)))
    return most * torch.from_numpy(nodes + 1) / 2, torch.from_numpy(weights / 2)
