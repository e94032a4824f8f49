"""Uniform laws on smooth curves, by adaptive quadrature.

For a curve γ of length L, uniform in arc length s,

    p(x) = 1/L ∫ N(x; αγ(s), σ² I) ds,     E[X | x] = ∫ γ N(x; αγ, σ² I) ds / ∫ N(x; αγ, σ² I) ds

The integrand is a peak that may be far narrower than σ: beyond an end point at distance D it has width σ²/D. So
every point gets its own panels: they are halved until the exponent |x - αγ|²/2σ² varies by at most 5 within one,
where 16 Gauss-Legendre nodes are exact to about 1e-13, and left out where they add less than e^-45 of the rest.
The error of score and log-density is below 1e-8 on the scale of max(|score|, 1/σ) and max(1, |log p|)
for σ/α from 1e-3 of the curve's size upwards, for curves whose panels resolve them (checked at construction). Where two
parts of the curve are equally likely and σ/α is 1e-3, roundings of x itself are felt: up to 1e-7 in the score.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from toylab.distributions.base import Distribution, SingularLaw, device_of, space
from toylab.errors import BadInput
from toylab.process import FORWARD_MODE

_NODES, _NODE_WEIGHTS = (torch.from_numpy(v / 2) for v in np.polynomial.legendre.leggauss(16))
_NODES = _NODES + 0.5  # on [0, 1]
_VARIATION = 5.0  # of the exponent within a panel
_NEGLIGIBLE = 45.0
_SPACING = 0.1  # every point of a panel is nearer to a node than this share of its length
_HALVINGS = 60


class Curve(Distribution):
    """Uniform in arc length on {points(u): start <= u <= end}.

    points: u (n,) -> (n, dim), smooth, without stops, made of torch functions. panels: how many equal intervals of u
    the quadrature begins with. Raises BadInput where the curve is not finite, stops, or is not resolved: its length
    must not change by more than 1e-11 of it when panels are halved.
    """

    exact_by = "quadrature, error below 1e-8"

    def __init__(self, points: Callable[[Tensor], Tensor], start: float, end: float, panels: int = 32):
        if not -math.inf < start < end < math.inf or panels < 1:
            raise BadInput(f"start < end, both finite, and panels >= 1 are needed, not {start}, {end} and {panels}")
        self.points, self.start, self.end = points, float(start), float(end)
        self._edges = torch.linspace(self.start, self.end, panels + 1, dtype=torch.float64)
        low, high = self._edges[:-1], self._edges[1:]
        self._gamma, self._weights = gamma, weights = self._nodes(low, high)
        if gamma.ndim != 3 or not bool(gamma.isfinite().all() and (weights > 0).all() and weights.isfinite().all()):
            raise BadInput("points must map (n,) to finite (n, dim), and the curve must not stop")
        self.dim = gamma.shape[-1]
        self._lengths = weights.sum(-1)
        self.length = float(self._lengths.sum())
        middle = (low + high) / 2
        halved = float(sum(self._nodes(*ends)[1].sum() for ends in ((low, middle), (middle, high))))
        if abs(halved - self.length) > 1e-11 * self.length:
            raise BadInput(f"{panels} panels do not resolve this curve: its length is {self.length} or {halved}")
        w = weights / self.length
        self._mean = torch.einsum("pk,pki->i", w, gamma)
        self._cov = torch.einsum("pk,pki,pkj->ij", w, gamma - self._mean, gamma - self._mean)
        self._row_cost = 32 * panels

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        law = self._on(device_of(generator))
        goal = self.length * torch.rand(n, dtype=torch.float64, device=law._lengths.device, generator=generator)
        return law.points(law._at_arc_length(goal))

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def cov(self) -> Tensor:
        return self._cov

    @property
    def support(self) -> str:
        return f"a curve in {space(self.dim)}"

    def _distance(self, x: Tensor) -> Tensor:
        """A fine grid's three best, refined by bisection on the slope."""
        u = torch.linspace(self.start, self.end, 32 * len(self._edges), dtype=x.dtype, device=x.device)
        nearest = torch.cdist(x, self.points(u)).topk(3, largest=False).indices.flatten()
        rows = x.repeat_interleave(3, 0)
        low, high = u[(nearest - 1).clamp(min=0)], u[(nearest + 1).clamp(max=len(u) - 1)]
        for _ in range(50):
            middle = (low + high) / 2
            gamma, velocity = self._moving(middle)
            beyond = ((gamma - rows) * velocity).sum(-1) > 0
            low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
        ends = torch.stack([(self.points(end) - rows).norm(dim=-1) for end in (low, high)])
        return ends.amin(0).reshape(-1, 3).amin(-1)

    # -- the curve -----------------------------------------------------------------------------------------------

    def _moving(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """γ(u) and γ'(u)."""
        with FORWARD_MODE:
            gamma, velocity = torch.func.jvp(self.points, (u,), (torch.ones_like(u),))[:2]
        return gamma, velocity

    def _nodes(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """γ (P, 16, dim) at the nodes of P intervals of u, and their weights in arc length (P, 16)."""
        width = (high - low)[:, None]
        u = low[:, None] + width * _NODES.to(low)
        gamma, velocity = self._moving(u.flatten())
        speed = velocity.norm(dim=-1).reshape(u.shape)
        return gamma.reshape(*u.shape, -1), width * _NODE_WEIGHTS.to(low) * speed

    def _at_arc_length(self, goal: Tensor) -> Tensor:
        """u at which the length from the start is `goal`: Newton's method from a linear guess within the panel."""
        ends = self._lengths.cumsum(0)
        panel = torch.searchsorted(ends, goal).clamp(max=len(ends) - 1)
        low, high = self._edges[panel], self._edges[panel + 1]
        rest = goal - (ends - self._lengths)[panel]
        u = low + rest / self._lengths[panel] * (high - low)
        for _ in range(4):
            gap = self._nodes(low, u)[1].sum(-1) - rest
            u = torch.clamp(u - gap / self._moving(u)[1].norm(dim=-1), low, high)
        return u

    # -- the quadrature ------------------------------------------------------------------------------------------

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(sigma)
        log_mass, _ = self._integrals(x, alpha, sigma)
        return log_mass - math.log(self.length) - self.dim * (sigma[:, 0].log() + 0.5 * math.log(2 * math.pi))

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(sigma)
        return (alpha * self._denoise(x, alpha, sigma) - x) / sigma**2

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._integrals(x, alpha, sigma)[1]

    def _check(self, sigma: Tensor) -> None:
        if bool((sigma == 0).any()):
            raise SingularLaw("a law on a curve has no density at sigma = 0")

    def _integrals(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """log ∫ exp(-|x - αγ|²/2σ²) ds (n,), and the mean of γ under that weight (n, dim)."""
        row, gamma, weights = self._panels(x.detach(), alpha, sigma)
        log_w = weights.log() + _exponent(x[row], alpha[row], sigma[row], gamma)
        top = torch.full((len(x),), -math.inf, dtype=x.dtype, device=x.device)
        top = top.scatter_reduce(0, row, log_w.detach().amax(-1), "amax")
        w = (log_w - top[row, None]).exp()
        mass = torch.zeros_like(top).index_add(0, row, w.sum(-1))
        moment = torch.zeros_like(x).index_add(0, row, torch.einsum("pk,pki->pi", w, gamma))
        return top + mass.log(), moment / mass[:, None]

    @torch.no_grad()
    def _panels(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The panels of every point: the row they belong to (P,), γ at their nodes (P, 16, dim), weights (P, 16)."""
        count = len(self._gamma)
        row = torch.arange(len(x), device=x.device).repeat_interleave(count)
        panel = torch.arange(count, device=x.device).repeat(len(x))
        low, high, gamma, weights = self._edges[panel], self._edges[panel + 1], self._gamma[panel], self._weights[panel]
        best = torch.full((len(x),), -math.inf, dtype=x.dtype, device=x.device)
        done: list[tuple[Tensor, Tensor, Tensor]] = []
        for _ in range(_HALVINGS):
            least, most = _exponent(x[row], alpha[row], sigma[row], gamma).aminmax(dim=-1)
            best = best.scatter_reduce(0, row, most, "amax")
            gap = _SPACING * (alpha[row] / sigma[row])[:, 0] * weights.sum(-1)
            matters = -0.5 * ((-2 * most).sqrt() - gap).clamp(min=0) ** 2 > best[row] - _NEGLIGIBLE
            smooth = most - least <= _VARIATION
            kept, split = matters & smooth, matters & ~smooth
            done.append((row[kept], gamma[kept], weights[kept]))
            if not bool(split.any()):
                break
            row, low, high = row[split], low[split], high[split]
            middle = (low + high) / 2
            row, low, high = row.repeat(2), torch.cat([low, middle]), torch.cat([middle, high])
            gamma, weights = self._nodes(low, high)
        rows, gammas, all_weights = zip(*done, strict=True)
        return torch.cat(rows), torch.cat(gammas), torch.cat(all_weights)


def _exponent(x: Tensor, alpha: Tensor, sigma: Tensor, gamma: Tensor) -> Tensor:
    """-|x - αγ|²/2σ² at nodes (P, 16, dim) of the points (P, dim) they belong to: (P, 16)."""
    squares = ((x[:, None] - alpha[:, None] * gamma) / sigma[:, None]).square()
    return squares @ squares.new_full((squares.shape[-1],), -0.5)  # far faster than a sum over so short an axis
