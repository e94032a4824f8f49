"""The laws that have a name: one function each, its defaults the named law."""

import math
from typing import Any

import torch
from torch import Tensor

from toylab.distributions.base import Distribution
from toylab.distributions.boxes import Box
from toylab.distributions.curves import Curve
from toylab.distributions.embedding import Embedded
from toylab.distributions.gaussians import GaussianMixture
from toylab.distributions.mixtures import Convolved, Mixture
from toylab.distributions.spheres import Sphere, Torus
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


# -- manifolds ---------------------------------------------------------------------------------------------------


def oblique_plane(half_width: float = 1.0) -> Embedded:
    """A square with sides 2·half_width in a plane of R³ whose normal is (1, 1, 1)/√3."""
    basis = [[1 / math.sqrt(2), 1 / math.sqrt(6)], [-1 / math.sqrt(2), 1 / math.sqrt(6)], [0.0, -2 / math.sqrt(6)]]
    return Embedded(Box([-half_width] * 2, [half_width] * 2), basis)


def subspace(dim: int = 16, intrinsic: int = 2, std: float = 1.0) -> Embedded:
    """N(0, std² I) of `intrinsic` dimensions in a random subspace of R^dim, the same one every time."""
    return placed(gaussian(intrinsic, std), dim)


def circle(dim: int = 2, radius: float = 1.0) -> Sphere | Embedded:
    """A circle; in R^dim on a random plane, the same one every time."""
    return placed(Sphere(2, radius), dim)


def sphere(dim: int = 3, intrinsic: int | None = None, radius: float = 1.0) -> Sphere | Embedded:
    """The sphere in R^(intrinsic + 1), by default that of R^dim; else in a random subspace of R^dim."""
    own = dim if intrinsic is None else intrinsic + 1
    return placed(Sphere(own, radius), dim)


def torus(circles: int = 2, radius: float = 1.0) -> Torus:
    """The product of circles of one radius, in R^(2·circles)."""
    if not 1 <= circles <= 2048:
        raise BadInput(f"circles must be between 1 and 2048, not {circles}")
    return Torus([radius] * circles)


def swiss_roll(dim: int = 2, size: float = 2.0) -> Curve | Embedded:
    """An Archimedean spiral from one and a half to four and a half half-turns, its outer end at `size`."""
    scale = _positive("size", size) / (4.5 * math.pi)
    return placed(Curve(lambda u: scale * u[:, None] * _direction(u), 1.5 * math.pi, 4.5 * math.pi, 24), dim)


def spiral(turns: float = 2.0, size: float = 2.0) -> Curve:
    """A logarithmic spiral, growing tenfold to `size` in its turns."""
    growth = math.log(10) / (2 * math.pi * _positive("turns", turns))
    end, scale = 2 * math.pi * turns, _positive("size", size) / 10
    return Curve(lambda u: scale * (growth * u).exp()[:, None] * _direction(u), 0.0, end, max(8, math.ceil(12 * turns)))


def two_moons(radius: float = 1.0, std: float = 0.0) -> Distribution:
    """Two interleaved half circles of equal weight, as scikit-learn's make_moons places them; std: of noise added."""
    r = _positive("radius", radius)
    shift = torch.tensor([r, r / 2], dtype=torch.float64)
    upper = Curve(lambda u: r * _direction(u), 0.0, math.pi, 8)
    lower = Curve(lambda u: shift.to(u) - r * _direction(u), 0.0, math.pi, 8)
    moons = Mixture([upper, lower])
    return Convolved(moons, std) if std else moons


def trefoil(size: float = 2.0) -> Curve:
    """The trefoil knot in R³, (sin u + 2 sin 2u, cos u - 2 cos 2u, -sin 3u) scaled to `size`."""
    scale = _positive("size", size) / 3

    def points(u: Tensor) -> Tensor:
        return scale * torch.stack([u.sin() + 2 * (2 * u).sin(), u.cos() - 2 * (2 * u).cos(), -(3 * u).sin()], -1)

    return Curve(points, 0.0, 2 * math.pi, 24)


def placed(law: Distribution, dim: int) -> Any:
    """The law itself where dim is its own, else on a random subspace of R^dim, the same one every time."""
    if not law.dim <= dim <= 4096:
        raise BadInput(f"dim must be between {law.dim} and 4096, not {dim}")
    if dim == law.dim:
        return law
    draw = torch.randn(dim, law.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Embedded(law, torch.linalg.qr(draw).Q)


def _direction(u: Tensor) -> Tensor:
    return torch.stack([u.cos(), u.sin()], -1)


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise BadInput(f"{name} must be finite and positive, not {value}")
    return value
