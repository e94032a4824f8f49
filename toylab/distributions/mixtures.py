"""Mixtures of any laws, and laws with Gaussian noise added.

The component index k given a point x of αX + σZ has the posterior (the *responsibility*)
r_k(x) ∝ w_k p_k(x; α, σ). Score and posterior mean of the mixture are those of its components, averaged
with these weights.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toylab.distributions.base import Distribution, as_weights, device_of, draw_components, total_covariance
from toylab.errors import BadInput


class Mixture(Distribution):
    """Σ_k w_k law_k, for any laws of one dimension. Raises BadInput where dimensions or weights do not fit."""

    def __init__(self, laws: Sequence[Distribution], weights: Tensor | Sequence[float] | None = None):
        self.laws = list(laws)
        if not self.laws or len({law.dim for law in self.laws}) != 1:
            raise BadInput(f"a mixture needs laws of one dimension, not {[law.dim for law in self.laws]}")
        self.dim = self.laws[0].dim
        self.weights = as_weights(weights, len(self.laws))
        self._row_cost = max(law._row_cost for law in self.laws)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.sample_components(n, generator)[0]

    def sample_components(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n points (n, dim) and the component each came from (n,).

        n points of every law are drawn and then chosen among: no count has to reach the host.
        """
        label = draw_components(self.weights.to(device_of(generator)), n, generator)
        points = torch.stack([law.sample(n, generator) for law in self.laws])
        return points[label, torch.arange(n, device=label.device)], label

    @property
    def mean(self) -> Tensor:
        return self.weights @ torch.stack([law.mean for law in self.laws])

    @property
    def cov(self) -> Tensor:
        means, covs = (torch.stack([getattr(law, moment) for law in self.laws]) for moment in ("mean", "cov"))
        return total_covariance(self.weights, means, covs)

    def responsibilities(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """Posterior probability of each component at points of αX + σZ: (..., dim) -> (..., K)."""
        return self._evaluate("_responsibilities", x, alpha, sigma)

    @property
    def exact_by(self) -> str:  # type: ignore[override]
        return "; ".join(dict.fromkeys(law.exact_by for law in self._used()))

    @property
    def support(self) -> str:
        return " and ".join(dict.fromkeys(law.support for law in self._used()))

    def _used(self) -> list[Distribution]:
        return [law for law, weight in zip(self.laws, self.weights.tolist(), strict=True) if weight > 0]

    def _distance(self, x: Tensor) -> Tensor:
        return torch.stack([law._on(x.device)._distance(x) for law in self._used()]).amin(0)

    def _joint(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = [law._on(x.device)._log_prob(x, alpha, sigma) for law in self.laws]
        return self.weights.log() + torch.stack(parts, -1)

    def _responsibilities(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._joint(x, alpha, sigma).softmax(-1)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._joint(x, alpha, sigma).logsumexp(-1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._average("_score", x, alpha, sigma)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._average("_denoise", x, alpha, sigma)

    def _average(self, method: str, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        r = self._responsibilities(x, alpha, sigma)[..., None]
        total = torch.zeros_like(x)
        for k, law in enumerate(self.laws):
            part = getattr(law._on(x.device), method)(x, alpha, sigma)
            total = total + torch.where(r[:, k] == 0, 0, r[:, k] * part)  # outside its support a part is NaN
        return total


class Convolved(Distribution):
    """The law of X + std·Z: Gaussian noise added to another law. Raises BadInput unless std >= 0.

    αX' + σZ with X' = X + sZ₁ is αX + τZ with τ² = σ² + α²s², and
    E[X' | x] = E[X | x] + (αs²/τ²)(x - αE[X | x]).
    """

    def __init__(self, law: Distribution, std: float):
        if not 0 <= std < math.inf:
            raise BadInput(f"std must be a finite number of at least 0, not {std}")
        self.law, self.std, self.dim = law, float(std), law.dim
        self._row_cost = law._row_cost

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        x = self.law.sample(n, generator)
        return x + self.std * torch.randn(x.shape, dtype=x.dtype, device=x.device, generator=generator)

    @property
    def mean(self) -> Tensor:
        return self.law.mean

    @property
    def cov(self) -> Tensor:
        return self.law.cov + self.std**2 * torch.eye(self.dim, dtype=torch.float64)

    @property
    def exact_by(self) -> str:  # type: ignore[override]
        return self.law.exact_by

    @property
    def support(self) -> str:
        return super().support if self.std else self.law.support

    def _distance(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, 0]) if self.std else self.law._on(x.device)._distance(x)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self.law._on(x.device)._log_prob(x, alpha, torch.hypot(sigma, alpha * self.std))

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self.law._on(x.device)._score(x, alpha, torch.hypot(sigma, alpha * self.std))

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        tau = torch.hypot(sigma, alpha * self.std)
        inner = self.law._on(x.device)._denoise(x, alpha, tau)
        if self.std == 0:
            return inner
        return inner + alpha * (self.std / tau) ** 2 * (x - alpha * inner)
