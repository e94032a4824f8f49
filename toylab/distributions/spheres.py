"""The uniform law on a sphere, and products of circles.

With ν = d/2 - 1 and κ = αR|x|/σ², averaging the Gaussian kernel over the sphere of radius R gives

    log p(x) = -d log √(2πσ²) - (|x| - αR)²/(2σ²) + log[Γ(ν+1) (2/κ)^ν I_ν(κ) e^-κ]
    E[X | x] = R A(κ) x/|x|,     A(κ) = I_{ν+1}(κ)/I_ν(κ)

(the von Mises-Fisher law; Mardia and Jupp, Directional Statistics, 2000, section 9.3.2). The Bessel functions
enter through Q_ν = I_{ν+1}(κ)/(κ I_ν(κ)) alone, which is smooth at κ = 0, obeys

    Q_ν = 1/(2(ν+1) + κ² Q_{ν+1}),     dQ_ν/dκ² = Q_ν (Q_{ν+1} - Q_ν)/2

and is computed downwards, where this recurrence is stable, from an order of at least 50, where Debye's uniform
expansion (DLMF 10.41.3) holds to rounding for every κ.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toylab.distributions.base import Distribution, SingularLaw, device_of, space
from toylab.distributions.embedding import Product
from toylab.errors import BadInput

_DEBYE_ORDER = 50  # from here on upwards the expansion is used
_DEBYE_TERMS = 14


class Sphere(Distribution):
    """Uniform on {x in R^dim: |x| = radius}; dim is the ambient dimension, so Sphere(2) is a circle.

    Raises BadInput unless 2 <= dim and 0 < radius < ∞. Singular at sigma = 0.
    """

    exact_by = "ratios of Bessel functions"

    def __init__(self, dim: int, radius: float = 1.0):
        if dim < 2 or not 0 < radius < math.inf:
            raise BadInput(f"dim must be at least 2 and radius finite and positive, not {dim} and {radius}")
        self.dim, self.radius = int(dim), float(radius)
        self._row_cost = 2

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        z = torch.randn(n, self.dim, dtype=torch.float64, device=device_of(generator), generator=generator)
        return self.radius * z / z.norm(dim=-1, keepdim=True)

    @property
    def mean(self) -> Tensor:
        return torch.zeros(self.dim, dtype=torch.float64)

    @property
    def cov(self) -> Tensor:
        return self.radius**2 / self.dim * torch.eye(self.dim, dtype=torch.float64)

    @property
    def support(self) -> str:
        return f"a {'circle' if self.dim == 2 else 'sphere'} in {space(self.dim)}"

    def _distance(self, x: Tensor) -> Tensor:
        return (x.norm(dim=-1) - self.radius).abs()

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(sigma)
        r, a, s = torch.linalg.vector_norm(x, dim=-1), alpha[:, 0] * self.radius, sigma[:, 0]
        kernel = -0.5 * ((r - a) / s) ** 2 - self.dim * (s.log() + 0.5 * math.log(2 * math.pi))
        return kernel + log_bessel(a * r / s**2, self.dim / 2 - 1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(sigma)
        return (alpha * self._denoise(x, alpha, sigma) - x) / sigma**2

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        scale = alpha * self.radius / sigma**2
        kappa = scale[:, 0] * torch.linalg.vector_norm(x, dim=-1)
        return self.radius * scale * bessel_quotient(kappa, self.dim / 2 - 1)[:, None] * x

    def _check(self, sigma: Tensor) -> None:
        if bool((sigma == 0).any()):
            raise SingularLaw("a law on a sphere has no density at sigma = 0")


class Torus(Product):
    """Uniform on the product of circles of these radii, in R^(2 len(radii)). Raises BadInput for bad radii."""

    def __init__(self, radii: Sequence[float] = (1.0, 1.0)):
        super().__init__([Sphere(2, radius) for radius in radii])
        self.radii = tuple(radii)


# -- Bessel functions ------------------------------------------------------------------------------------------


def log_bessel(kappa: Tensor, order: float) -> Tensor:
    """log[Γ(ν+1) (2/κ)^ν I_ν(κ) e^-κ], 0 at κ = 0; for κ >= 0 of any size, differentiable."""
    return _LogBessel.apply(kappa, order)


def bessel_quotient(kappa: Tensor, order: float) -> Tensor:
    """Q_ν(κ) = I_{ν+1}(κ)/(κ I_ν(κ)), 1/(2ν+2) at κ = 0; for κ >= 0 of any size, differentiable."""
    return _BesselQuotient.apply(kappa, order)


class _OfOrder(torch.autograd.Function):
    """A function of κ, of one order, by its derivative `slope`: in reverse and forward mode."""

    @staticmethod
    def slope(kappa: Tensor, order: float) -> Tensor:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        kappa, ctx.order = inputs
        ctx.save_for_backward(kappa)
        ctx.save_for_forward(kappa)

    @classmethod
    def backward(cls, ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (kappa,) = ctx.saved_tensors
        return grads[0] * cls.slope(kappa, ctx.order), None

    @classmethod
    def jvp(cls, ctx: Any, *tangents: Any) -> Tensor:
        (kappa,) = ctx.saved_tensors
        return tangents[0] * cls.slope(kappa, ctx.order)


class _LogBessel(_OfOrder):
    @staticmethod
    def forward(kappa: Tensor, order: float) -> Tensor:
        top, quotients = _downwards(kappa, order)
        log_top = _log_debye(kappa, top) - sum(q.log() for q in quotients[1:])
        return log_top + order * math.log(2) + math.lgamma(order + 1)

    @staticmethod
    def slope(kappa: Tensor, order: float) -> Tensor:
        return kappa * bessel_quotient(kappa, order) - 1


class _BesselQuotient(_OfOrder):
    @staticmethod
    def forward(kappa: Tensor, order: float) -> Tensor:
        return _downwards(kappa, order)[1][-1]

    @staticmethod
    def slope(kappa: Tensor, order: float) -> Tensor:
        q, above = bessel_quotient(kappa, order), bessel_quotient(kappa, order + 1)
        return kappa * q * (above - q)


def _downwards(kappa: Tensor, order: float) -> tuple[float, list[Tensor]]:
    """The order μ >= 50 at which to begin, and Q_μ, Q_{μ-1}, ..., Q_ν."""
    top = order + max(0, math.ceil(_DEBYE_ORDER - order))
    quotients = [_debye_quotient(kappa, top)]
    mu = top
    while mu > order + 0.5:
        mu -= 1
        quotients.append(1 / (2 * (mu + 1) + kappa**2 * quotients[-1]))
    return top, quotients


def _log_debye(kappa: Tensor, mu: float) -> Tensor:
    """log[κ^-μ I_μ(κ) e^-κ], by the uniform expansion in 1/μ."""
    root = torch.sqrt(mu**2 + kappa**2)
    exponent = mu**2 / (root + kappa) - mu * (mu + root).log()
    return exponent - 0.5 * (2 * math.pi * root).log() + _debye_series(mu / root, mu).log()


def _debye_quotient(kappa: Tensor, mu: float) -> Tensor:
    """Q_μ as the exponential of a difference of two `_log_debye`, taken term by term so that no digits are lost."""
    low, high = torch.sqrt(mu**2 + kappa**2), torch.sqrt((mu + 1) ** 2 + kappa**2)
    gap = (2 * mu + 1) / (high + low)  # high - low
    exponent = gap - mu * torch.log1p((1 + gap) / (mu + low))
    series = _debye_series((mu + 1) / high, mu + 1) / _debye_series(mu / low, mu)
    return exponent.exp() / (mu + 1 + high) * (low / high).sqrt() * series


def _debye_series(p: Tensor, mu: float) -> Tensor:
    """Σ_k U_k(p)/μ^k."""
    total = torch.zeros_like(p)
    for coefficients in reversed(_debye_polynomials()):
        total = total / mu + _horner(coefficients, p)
    return total


def _horner(coefficients: tuple[float, ...], p: Tensor) -> Tensor:
    value = torch.zeros_like(p)
    for c in reversed(coefficients):
        value = value * p + c
    return value


@cache
def _debye_polynomials() -> tuple[tuple[float, ...], ...]:
    """U_0 ... U_K by U_{k+1}(p) = p²(1-p²)/2 U_k'(p) + 1/8 ∫_0^p (1-5t²) U_k(t) dt (DLMF 10.41.9)."""
    polynomial = np.polynomial.Polynomial
    result = [polynomial([1.0])]
    for _ in range(_DEBYE_TERMS):
        u = result[-1]
        result.append(polynomial([0, 0, 0.5, 0, -0.5]) * u.deriv() + (polynomial([1, 0, -5]) * u).integ() / 8)
    return tuple(tuple(u.coef) for u in result)
