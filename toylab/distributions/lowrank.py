"""Gaussian mixtures with covariances of low rank plus isotropic, in thousands of dimensions.

With C = F Fᵀ + s² I and F = U diag(f) Vᵀ (thin, U with orthonormal columns), the noised covariance is

    α²C + σ²I = U diag(v) Uᵀ + w (I - U Uᵀ),     v = α²(f² + s²) + σ²,   w = α² s² + σ²

so (α²C + σ²I)⁻¹ z needs Uᵀz alone (Woodbury), and the part normal to U is taken as z - UUᵀz: no difference of
large numbers. Components are visited one after the other; memory is that of the points.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from toylab.distributions.base import SingularLaw, as_weights, device_of, draw_components, space
from toylab.distributions.components import SINGULAR
from toylab.distributions.gaussians import GaussianMixture, as_means, flats
from toylab.errors import BadInput


class LowRankMixture(GaussianMixture):
    """What `GaussianMixture.low_rank` returns. means (K, d), factors (K, d, r), std (K,)."""

    def __init__(
        self,
        means: Tensor | Sequence[Sequence[float]],
        factors: Tensor,
        std: Tensor | Sequence[float] | float,
        weights: Tensor | Sequence[float] | None = None,
    ):
        self.means, self.factors = as_means(means), torch.as_tensor(factors, dtype=torch.float64)
        count, self.dim = self.means.shape
        if self.factors.ndim != 3 or self.factors.shape[:2] != (count, self.dim) or 0 in self.factors.shape:
            raise BadInput(f"factors must be ({count}, {self.dim}, rank), not {tuple(self.factors.shape)}")
        if self.factors.shape[2] > self.dim or not bool(self.factors.isfinite().all()):
            raise BadInput(f"factors must be finite and their rank at most {self.dim}")
        s = torch.as_tensor(std, dtype=torch.float64)
        if s.shape not in {(), (count,)} or not bool(((s >= 0) & s.isfinite()).all()):
            raise BadInput(f"std must be a scalar or ({count},), finite and at least 0")
        self.weights = as_weights(weights, count)
        self.floor = s.expand(count) ** 2
        self._axes, spread, _ = torch.linalg.svd(self.factors, full_matrices=False)
        self._along = spread**2 + self.floor[:, None]
        self._row_cost = 8

    def sample_components(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        law = self._on(device_of(generator))
        label = draw_components(law.weights, n, generator)
        z = torch.randn(
            n, self.dim + self.factors.shape[2], dtype=torch.float64, device=label.device, generator=generator
        )
        wide, narrow = z[:, : self.dim], z[:, self.dim :]
        x = law.means[label] + law.floor.sqrt()[label, None] * wide
        for k, factor in enumerate(law.factors):
            x = torch.where((label == k)[:, None], x + narrow @ factor.mT, x)
        return x, label

    def masked(self, keep: Tensor) -> GaussianMixture:
        full = GaussianMixture.dense(self.means, self._covariances(), self.weights)
        return full.masked(keep)  # a masked low-rank covariance is no longer low-rank plus isotropic

    @property
    def support(self) -> str:
        used = self.weights > 0
        ranks = torch.where(self.floor > 0, self.dim, (self._along > 0).sum(-1))[used]
        return space(self.dim) if int(ranks.max()) == self.dim else flats(len(ranks), int(ranks.max()), self.dim)

    def _distance(self, x: Tensor) -> Tensor:
        nearest = torch.full_like(x[:, 0], math.inf)
        for k in self.weights.nonzero()[:, 0].tolist():
            inside, normal = self._split(x, torch.ones_like(x[:, :1]), k)
            squares = (inside**2 * (self._along[k] == 0)).sum(-1) + (normal**2).sum(-1) * (self.floor[k] == 0)
            nearest = torch.minimum(nearest, squares.sqrt())
        return nearest

    def _covariances(self) -> Tensor:
        return self.factors @ self.factors.mT + self.floor[:, None, None] * torch.eye(self.dim, dtype=torch.float64)

    def _split(self, x: Tensor, alpha: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Uᵀz (n, r) and z - UUᵀz (n, d) of component k."""
        z = x - alpha * self.means[k]
        along = z @ self._axes[k]
        return along, z - along @ self._axes[k].mT

    def _levels(self, alpha: Tensor, sigma: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """v (n, r) and w (n, 1)."""
        return alpha**2 * self._along[k] + sigma**2, alpha**2 * self.floor[k] + sigma**2

    def _log_joint(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        parts = []
        for k in range(len(self.means)):
            (along, normal), (v, w) = self._split(x, alpha, k), self._levels(alpha, sigma, k)
            thin = self.dim - along.shape[1]
            if bool((v == 0).any()) or (thin and bool((w == 0).any())):
                raise SingularLaw(SINGULAR)
            w = torch.where(w == 0, 1.0, w)
            square = (along**2 / v).sum(-1) + (normal**2).sum(-1) / w[:, 0]
            parts.append(-0.5 * (square + v.log().sum(-1) + thin * w[:, 0].log()))
        return self.weights.log() + torch.stack(parts, -1) - 0.5 * self.dim * math.log(2 * math.pi)

    def _responsibilities(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._log_joint(x, alpha, sigma).softmax(-1)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._log_joint(x, alpha, sigma).logsumexp(-1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._mean_over_components(
            x, alpha, sigma, lambda k, along, normal, v, w: -(along / v) @ self._axes[k].mT - normal / w
        )

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        def posterior(k: int, along: Tensor, normal: Tensor, v: Tensor, w: Tensor) -> Tensor:
            drawn = (self._along[k] * along / v) @ self._axes[k].mT + self.floor[k] * normal / w
            return self.means[k] + alpha * drawn

        return self._mean_over_components(x, alpha, sigma, posterior)

    def _mean_over_components(self, x: Tensor, alpha: Tensor, sigma: Tensor, part: Callable[..., Tensor]) -> Tensor:
        r = self._responsibilities(x, alpha, sigma)
        total = torch.zeros_like(x)
        for k in range(len(self.means)):
            v, w = self._levels(alpha, sigma, k)
            total = total + r[:, k : k + 1] * part(k, *self._split(x, alpha, k), v, torch.where(w == 0, 1.0, w))
        return total
