"""Student's t law: a heavy tail whose noised score is known.

X = m + s Z/√W with W ~ Gamma(ν/2, ν/2) is a mixture of Gaussians over the scale, so

    p(x) = ∫ N(x; αm, (α²s²/w + σ²) I) Gamma(w; ν/2, ν/2) dw,     E[X | x] = m + α E[s²/(w v_w) | x] (x - αm)

with v_w = α²s²/w + σ². In y = log w the integrand is analytic and decays exponentially at both ends, where the
trapezoidal rule converges geometrically. The step resolves the narrowest peak, of width √(2/(ν + d)). The range begins
at -60, which covers |x| up to 1e8 scales, and ends 4 above log((ν + d)/ν), the highest place of a peak (for x at the
centre), where e^-49 of it is left. Score and log-density are then exact to below 1e-9 on the scale of max(|score|, 1/τ)
and max(1, |log p|), τ² = α²s² + σ².
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toylab.distributions.base import Distribution, SingularLaw, device_of
from toylab.errors import BadInput

_LOW, _BEYOND = -60.0, 4.0  # where log w begins, and ends: so far above its highest peak


class StudentT(Distribution):
    """The multivariate t law about `centre` (d,), with `df` degrees of freedom, a whole number, and a scale.

    df = 1 is Cauchy's law. mean and cov are undefined or infinite for df = 1 and df <= 2: BadInput there, and
    unless 1 <= df <= 1000 and 0 < scale < ∞.
    """

    exact_by = "quadrature, error below 1e-9"

    def __init__(self, centre: Tensor | Sequence[float], df: int = 3, scale: float = 1.0):
        self.centre = torch.as_tensor(centre, dtype=torch.float64)
        if self.centre.ndim != 1 or not len(self.centre) or not bool(self.centre.isfinite().all()):
            raise BadInput(f"centre must be finite, of shape (d,), not {tuple(self.centre.shape)}")
        if df != int(df) or not 1 <= df <= 1000 or not 0 < scale < math.inf:
            raise BadInput(f"df must be a whole number from 1 to 1000 and scale positive, not {df} and {scale}")
        self.df, self.scale, self.dim = int(df), float(scale), len(self.centre)
        step = min(0.2, 0.6 * math.sqrt(2 / (self.df + self.dim)))
        high = math.log1p(self.dim / self.df) + _BEYOND
        self._y = torch.arange(_LOW, high, step, dtype=torch.float64)
        half = self.df / 2
        self._log_weights = half * self._y - half * self._y.exp() + half * math.log(half) - math.lgamma(half)
        self._log_weights = self._log_weights + math.log(step)
        self._row_cost = 1 + 4 * len(self._y) // self.dim

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        law = self._on(device_of(generator))
        z = torch.randn(n, self.dim + self.df, dtype=torch.float64, device=law.centre.device, generator=generator)
        z, chi = z[:, : self.dim], z[:, self.dim :].square().sum(-1, keepdim=True)
        return law.centre + self.scale * z / (chi / self.df).sqrt()

    @property
    def mean(self) -> Tensor:
        if self.df < 2:
            raise BadInput("the t law with df = 1 has no mean")
        return self.centre

    @property
    def cov(self) -> Tensor:
        if self.df < 3:
            raise BadInput(f"the t law with df = {self.df} has an infinite variance")
        return self.scale**2 * self.df / (self.df - 2) * torch.eye(self.dim, dtype=torch.float64)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._log_terms(x, alpha, sigma)[0].logsumexp(-1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        log_terms, v = self._log_terms(x, alpha, sigma)
        return -(log_terms.softmax(-1) / v).sum(-1, keepdim=True) * (x - alpha * self.centre)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        log_terms, v = self._log_terms(x, alpha, sigma)
        pull = (log_terms.softmax(-1) * self.scale**2 * (-self._y).exp() / v).sum(-1, keepdim=True)
        return self.centre + alpha * pull * (x - alpha * self.centre)

    def _log_terms(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """log of the integrand at every node, and v_w there: (n, nodes)."""
        if bool(((alpha == 0) & (sigma == 0)).any()):
            raise SingularLaw("alpha = sigma = 0 leaves a single point, which has no density")
        v = (alpha * self.scale) ** 2 * (-self._y).exp() + sigma**2
        square = (x - alpha * self.centre).square().sum(-1, keepdim=True)
        return self._log_weights - 0.5 * (square / v + self.dim * (2 * math.pi * v).log()), v
