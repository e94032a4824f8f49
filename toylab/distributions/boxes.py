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

from toylab.distributions.base import Distribution, SingularLaw, device_of, space
from toylab.errors import BadInput

_NODES, _NODE_WEIGHTS = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(24))
_ROOT_2 = math.sqrt(2)
_SHORT = 1.0  # quadrature where w·max(1, |a|, |b|) is below this


class Box(Distribution):
    """Uniform on [low_1, high_1] x ... x [low_d, high_d].

    low, high: (d,) numbers, or scalars for an interval. Raises BadInput unless low < high, all finite.
    """

    exact_by = "error functions, quadrature where they cancel"

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

    @property
    def support(self) -> str:
        return f"a box in {space(self.dim)}"

    def _distance(self, x: Tensor) -> Tensor:
        return (x - torch.minimum(torch.maximum(x, self.low), self.high)).norm(dim=-1)

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
        _, xi = self._posterior(x, alpha, sigma)
        return (self.low + self.high) / 2 - (self.high - self.low) / 2 * xi

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
    """log(Φ(b) - Φ(a)): in a tail as log φ there and a scaled mass, elsewhere in the lower tail's log Φ."""
    low, high, tail = _towards_the_right(a, b)
    near, _, scaled, _ = _scaled_tail(tail, low, high)
    in_tail = _log_phi(near) + (math.sqrt(math.pi / 2) * scaled).log()
    low, high = torch.where(tail, -1.0, -high), torch.where(tail, 1.0, -low)  # mirrored: high is the larger Φ
    log_high = torch.special.log_ndtr(high)
    return torch.where(tail, in_tail, log_high + torch.log1p(-torch.exp(torch.special.log_ndtr(low) - log_high)))


def _mean_truncated(a: Tensor, b: Tensor) -> Tensor:
    """E[Y] = (φ(a) - φ(b)) / mass of a standard normal truncated to [a, b]; in a tail both are divided by φ."""
    low, high, tail = _towards_the_right(a, b)
    _, _, scaled, delta = _scaled_tail(tail, low, high)
    in_tail = -torch.expm1(-delta) / (math.sqrt(math.pi / 2) * scaled)
    low, high = torch.where(tail, -1.0, low), torch.where(tail, 1.0, high)
    log_mass = _log_mass(low, high)
    across = torch.exp(_log_phi(low) - log_mass) - torch.exp(_log_phi(high) - log_mass)
    mean = torch.where(tail, in_tail, across)
    return torch.where(a + b < 0, -mean, mean)


def _towards_the_right(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The interval, mirrored to where most of it is positive, and whether all of it is: a tail."""
    flip = a + b < 0
    low, high = torch.where(flip, -b, a), torch.where(flip, -a, b)
    return low, high, low >= 0


def _scaled_tail(tail: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """low, high, (Φ(high) - Φ(low))/(√(π/2) φ(low)) = erfcx(low/√2) - e^-δ erfcx(high/√2), δ = (high² - low²)/2.

    These keep their digits however far out the interval is; where it is no tail, those of [0, 1].
    """
    near, far = torch.where(tail, low, 0.0), torch.where(tail, high, 1.0)
    delta = (far - near) * (far + near) / 2
    scaled = torch.special.erfcx(near / _ROOT_2) - torch.exp(-delta) * torch.special.erfcx(far / _ROOT_2)
    return near, far, scaled, delta


def _log_phi(y: Tensor) -> Tensor:
    return -0.5 * y * y - 0.5 * math.log(2 * math.pi)
