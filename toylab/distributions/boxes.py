"""The uniform law on a box: an exact background for outliers.

Coordinate by coordinate, given αX + σZ = x the noise Y = (x - αX)/σ is a standard normal truncated to
[a, b] = [(x - αh)/σ, (x - αl)/σ], so that, with mass = Φ(b) - Φ(a) and width w = b - a = α(h - l)/σ,

    p(x) = mass / (σ w)        (log p)' = (φ(b) - φ(a)) / (σ mass) = -E[Y] / σ
    E[X | x] = (l + h)/2 - (h - l)/2 · E[ξ],   Y = (a + b)/2 + (w/2) ξ,   ξ in [-1, 1]

Where the interval is short these differences cancel, and Gauss-Legendre quadrature over ξ, which there
converges beyond double precision, takes their place. Both branches are differentiable.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from toylab.distributions.base import Distribution, SingularLaw, device_of
from toylab.errors import BadInput

_NODES, _NODE_WEIGHTS = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(24))
_ROOT_2 = math.sqrt(2)
_SHORT = 1.0  # quadrature where w·max(1, |a|, |b|) is below this


class Box(Distribution):
    """Uniform on [low_1, high_1] x ... x [low_d, high_d].

    low, high: (d,) numbers, or scalars for an interval. Raises BadInput unless low < high, all finite.
    """

    def __init__(self, low: Tensor | Sequence[float] | float, high: Tensor | Sequence[float] | float):
        self.low = torch.atleast_1d(torch.as_tensor(low, dtype=torch.float64))
        self.high = torch.atleast_1d(torch.as_tensor(high, dtype=torch.float64))
        if self.low.ndim != 1 or self.low.shape != self.high.shape:
            raise BadInput(f"low and high must both be (d,), not {tuple(self.low.shape)} and {tuple(self.high.shape)}")
        if not bool((self.low < self.high).all() and self.low.isfinite().all() and self.high.isfinite().all()):
            raise BadInput("every low must be below its high, and both finite")
        self.dim = len(self.low)
        self._row_cost = 2 * len(_NODES)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        law = self._on(device_of(generator))
        u = torch.rand(n, self.dim, dtype=torch.float64, device=law.low.device, generator=generator)
        return law.low + (law.high - law.low) * u

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def cov(self) -> Tensor:
        return torch.diag((self.high - self.low) ** 2 / 12)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(alpha, sigma)
        inside = (x >= alpha * self.low) & (x <= alpha * self.high)
        sharp = torch.where(inside, -(alpha * (self.high - self.low)).log(), -math.inf)
        a, b = self._interval(x, alpha, sigma)
        short = _is_short(a, b)
        log_mean = torch.where(short, _log_mean_quadrature(*_masked(short, a, b)), 0.0)
        a, b = _masked(~short, a, b)
        log_mean = torch.where(short, log_mean, _log_mass(a, b) - (b - a).log())
        return torch.where(sigma > 0, log_mean - torch.where(sigma > 0, sigma, 1.0).log(), sharp).sum(-1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(alpha, sigma)
        inside = (x >= alpha * self.low) & (x <= alpha * self.high)
        noise, _ = self._posterior(x, alpha, sigma)
        smooth = -noise / torch.where(sigma > 0, sigma, 1.0)
        return torch.where(sigma > 0, smooth, torch.where(inside, 0.0, math.nan))

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(alpha, sigma)
        _, xi = self._posterior(x, alpha, sigma)
        centre, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return torch.where(sigma > 0, centre - half * xi, x / torch.where(alpha > 0, alpha, 1.0))

    def _check(self, alpha: Tensor, sigma: Tensor) -> None:
        if bool(((alpha == 0) & (sigma == 0)).any()):
            raise SingularLaw("alpha = sigma = 0 leaves a single point, which has no density")

    def _interval(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        scale = torch.where(sigma > 0, sigma, 1.0)
        return (x - alpha * self.high) / scale, (x - alpha * self.low) / scale

    def _posterior(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """E[Y] and E[ξ] given x."""
        a, b = self._interval(x, alpha, sigma)
        short = _is_short(a, b)
        xi_short = _mean_xi_quadrature(*_masked(short, a, b))
        noise_short = (a + b) / 2 + (b - a) / 2 * xi_short
        long_a, long_b = _masked(~short, a, b)
        noise_long = _mean_truncated(long_a, long_b)
        xi_long = (2 * noise_long - long_a - long_b) / (long_b - long_a)
        return torch.where(short, noise_short, noise_long), torch.where(short, xi_short, xi_long)


def _is_short(a: Tensor, b: Tensor) -> Tensor:
    return (b - a) * torch.maximum(a.abs(), b.abs()).clamp(min=1) < _SHORT


def _masked(keep: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """a and b where kept, a harmless interval elsewhere: a branch not taken must not yield NaN gradients."""
    return torch.where(keep, a, -0.5), torch.where(keep, b, 0.5)


def _exponent(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """log φ at the nodes of [a, b], (..., nodes), and the nodes ξ."""
    xi = _NODES.to(a)
    y = ((a + b) / 2)[..., None] + ((b - a) / 2)[..., None] * xi
    return _log_phi(y), xi


def _log_mean_quadrature(a: Tensor, b: Tensor) -> Tensor:
    """log of the mean of φ over [a, b]."""
    log_phi, _ = _exponent(a, b)
    return (log_phi + (_NODE_WEIGHTS.to(a) / 2).log()).logsumexp(-1)


def _mean_xi_quadrature(a: Tensor, b: Tensor) -> Tensor:
    log_phi, xi = _exponent(a, b)
    return ((log_phi + _NODE_WEIGHTS.to(a).log()).softmax(-1) * xi).sum(-1)


def _log_mass(a: Tensor, b: Tensor) -> Tensor:
    """log(Φ(b) - Φ(a)), taken in the lower tail, where it does not cancel."""
    flip = a + b > 0
    low, high = torch.where(flip, -b, a), torch.where(flip, -a, b)
    log_high = torch.special.log_ndtr(high)
    return log_high + torch.log1p(-torch.exp(torch.special.log_ndtr(low) - log_high))


def _mean_truncated(a: Tensor, b: Tensor) -> Tensor:
    """E[Y] = (φ(a) - φ(b)) / mass of a standard normal truncated to [a, b].

    In a tail, 0 <= a, both sides are divided by φ(a): (1 - e^-δ) / (√(π/2) (erfcx(a/√2) - e^-δ erfcx(b/√2)))
    with δ = (b² - a²)/2, which keeps its digits however far out a is.
    """
    flip = a + b < 0
    low, high = torch.where(flip, -b, a), torch.where(flip, -a, b)
    tail = low >= 0
    near, far = torch.where(tail, low, 0.0), torch.where(tail, high, 1.0)
    delta = (far - near) * (far + near) / 2
    scaled_mass = torch.special.erfcx(near / _ROOT_2) - torch.exp(-delta) * torch.special.erfcx(far / _ROOT_2)
    in_tail = -torch.expm1(-delta) / (math.sqrt(math.pi / 2) * scaled_mass)
    low, high = torch.where(tail, -1.0, low), torch.where(tail, 1.0, high)
    log_mass = _log_mass(low, high)
    across = torch.exp(_log_phi(low) - log_mass) - torch.exp(_log_phi(high) - log_mass)
    mean = torch.where(tail, in_tail, across)
    return torch.where(flip, -mean, mean)


def _log_phi(y: Tensor) -> Tensor:
    return -0.5 * y * y - 0.5 * math.log(2 * math.pi)
