"""The laws that have a name: one function each, its defaults the named law."""

import math

import torch

from toylab.distributions.boxes import Box
from toylab.distributions.mixtures import GaussianMixture
from toylab.errors import BadInput


def ring_of_gaussians(modes: int = 8, radius: float = 2.0, std: float = 0.2) -> GaussianMixture:
    """`modes` equal isotropic Gaussians, their means evenly spaced on a circle, the first at the top."""
    if not 1 <= modes <= 4096:
        raise BadInput(f"modes must be between 1 and 4096, not {modes}")
    angle = math.pi / 2 + 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    return GaussianMixture(radius * torch.stack([angle.cos(), angle.sin()], -1), std=std)


def three_gaussians(radius: float = 2.0, std: float = 0.3) -> GaussianMixture:
    """Three equal isotropic Gaussians, their means on a circle."""
    return ring_of_gaussians(3, radius, std)


def two_gaussians(distance: float = 4.0, std: float = 0.3) -> GaussianMixture:
    """Two equal Gaussians on the line, their means `distance` apart."""
    return GaussianMixture([[-distance / 2], [distance / 2]], std=std)


def gaussian(dim: int = 2, std: float = 1.0, condition: float = 1.0) -> GaussianMixture:
    """N(0, C), C diagonal: standard deviations log-spaced from `std` down to std/condition."""
    if not 1 <= dim <= 4096 or condition < 1:
        raise BadInput(f"dim must be between 1 and 4096 and condition at least 1, not {dim} and {condition}")
    stds = std * torch.logspace(0, -math.log10(condition), dim, dtype=torch.float64)
    return GaussianMixture(torch.zeros(1, dim), std=stds[None])


def box(dim: int = 2, low: float = -1.0, high: float = 1.0) -> Box:
    """Uniform on [low, high]^dim."""
    if not 1 <= dim <= 4096:
        raise BadInput(f"dim must be between 1 and 4096, not {dim}")
    return Box([low] * dim, [high] * dim)
