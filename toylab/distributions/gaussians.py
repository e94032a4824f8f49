"""Gaussian mixtures."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toylab.distributions.base import Distribution, as_weights, device_of, draw_components, space, total_covariance
from toylab.distributions.components import FARTHEST, Components, Differences, Expanded, Natural
from toylab.errors import BadInput


class GaussianMixture(Distribution):
    """Σ_k w_k N(μ_k, C_k), with isotropic, diagonal or full covariances.

    means: (K, d). Exactly one of std, a scalar, (K,) or (K, d) standard deviations, and cov, (d, d) or
    (K, d, d) positive semidefinite matrices. weights: (K,), normalised here; equal by default.
    Raises BadInput for anything else.
    """

    def __init__(
        self,
        means: Tensor | Sequence[Sequence[float]],
        *,
        std: Tensor | Sequence[float] | float | None = None,
        cov: Tensor | Sequence[Sequence[float]] | None = None,
        weights: Tensor | Sequence[float] | None = None,
    ):
        self.means = as_means(means)
        count, self.dim = self.means.shape
        self.weights = as_weights(weights, count)
        if (std is None) == (cov is None):
            raise BadInput("give exactly one of std and cov")
        self._basis: Tensor | None = None
        if cov is None:
            self._variances = _variances(std, count, self.dim)
        else:
            self._variances, self._basis = _spectrum(cov, count, self.dim)
        self._row_cost = 3 * count + (self.dim if cov is not None else 0)

    @staticmethod
    def low_rank(
        means: Tensor | Sequence[Sequence[float]],
        factors: Tensor,
        std: Tensor | Sequence[float] | float,
        weights: Tensor | Sequence[float] | None = None,
    ) -> "GaussianMixture":
        """Σ_k w_k N(μ_k, F_k F_kᵀ + s_k² I), for thousands of dimensions.

        means (K, d), factors F (K, d, r) with r <= d, std s a scalar or (K,). Raises BadInput for anything else.
        """
        from toylab.distributions.lowrank import LowRankMixture

        return LowRankMixture(means, factors, std, weights)

    def mapped(self, matrix: Tensor | Sequence[Sequence[float]], offset: Tensor | None = None) -> "GaussianMixture":
        """The law of A X + b: matrix A (e, dim), offset b (e,), 0 by default. Raises BadInput where they do not fit."""
        a = torch.as_tensor(matrix, dtype=torch.float64)
        if a.ndim != 2 or a.shape[1] != self.dim:
            raise BadInput(f"matrix must be (e, {self.dim}), not {tuple(a.shape)}")
        b = torch.zeros(len(a), dtype=torch.float64) if offset is None else torch.as_tensor(offset, dtype=torch.float64)
        if b.shape != (len(a),):
            raise BadInput(f"offset must be ({len(a)},), not {tuple(b.shape)}")
        return GaussianMixture.dense(self.means @ a.mT + b, a @ self._covariances() @ a.mT, self.weights)

    @staticmethod
    def dense(means: Tensor, cov: Tensor, weights: Tensor) -> "GaussianMixture":
        """With full covariances (K, d, d), symmetric up to rounding."""
        return GaussianMixture(means, cov=(cov + cov.mT) / 2, weights=weights)

    def masked(self, keep: Tensor) -> "GaussianMixture":
        """The law of m * X, m one of the rows of keep (B, dim) of 0 and 1, each as likely: B K components."""
        means = (keep[:, None] * self.means).flatten(0, 1)
        weights = self.weights.repeat(len(keep))
        if self._basis is None:
            std = (keep[:, None] * self._variances.sqrt()).flatten(0, 1)
            return GaussianMixture(means, std=std, weights=weights)
        cov = keep[:, None, :, None] * self._covariances() * keep[:, None, None, :]
        return GaussianMixture(means, cov=cov.flatten(0, 1), weights=weights)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.sample_components(n, generator)[0]

    def sample_components(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n points (n, dim) and the component each came from (n,)."""
        law = self._on(device_of(generator))
        label = draw_components(law.weights, n, generator)
        z = torch.randn(n, self.dim, dtype=torch.float64, device=label.device, generator=generator)
        x = z * law._variances.sqrt()[label]
        if law._basis is not None:
            rows = max(1, self._chunk // self.dim**2)  # a matrix for every row of a part; no count reaches the host
            parts = zip(x.split(rows), label.split(rows), strict=True)
            x = torch.cat([torch.einsum("ni,nji->nj", part, law._basis[which]) for part, which in parts])
        return law.means[label] + x, label

    @property
    def mean(self) -> Tensor:
        return self.weights @ self.means

    @property
    def cov(self) -> Tensor:
        return total_covariance(self.weights, self.means, self._covariances())

    @property
    def support(self) -> str:
        spread = (self._variances > 0).expand(len(self.means), self.dim).sum(-1)[self.weights > 0]
        return space(self.dim) if int(spread.max()) == self.dim else flats(len(spread), int(spread.max()), self.dim)

    def responsibilities(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """Posterior probability of each component at points of αX + σZ: (..., dim) -> (..., K)."""
        return self._evaluate("_responsibilities", x, alpha, sigma)

    def _distance(self, x: Tensor) -> Tensor:
        """To the nearest of the affine subspaces on which the components live."""
        used = self.weights > 0
        flat = (self._variances[used] == 0).to(x)  # the axes in which a component does not spread
        if bool((flat.sum(-1) == 0).any()):
            return torch.zeros_like(x[:, 0])
        z = x - self.means[used, None]
        z = z if self._basis is None else z @ self._basis[used]
        return (z * flat[:, None]).norm(dim=-1).amin(0)

    def _covariances(self) -> Tensor:
        variances = self._variances.expand(len(self.means), self.dim)
        if self._basis is None:
            return torch.diag_embed(variances)
        return torch.einsum("kij,kj,klj->kil", self._basis, variances, self._basis)

    def _components(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Components:
        """The components at these points, by the faster of the two ways that keeps the digits."""
        level = self._one_level(alpha, sigma)
        if level is None:
            return Differences(self, x, alpha, sigma)
        y, reach = level.centred(x)
        if reach <= FARTHEST:
            return Expanded(level, y)
        return Differences(self, x, alpha, sigma, None if self._basis is not None else level.nearest(y, reach))

    def _one_level(self, alpha: Tensor, sigma: Tensor) -> Natural | None:
        """The natural parameters where one level holds for all rows, kept for the next chunk; None elsewhere."""
        few = self._basis is not None and 4 * len(self.means) < self.dim  # then matrices cost more than components
        fixed = not (few or alpha.requires_grad or sigma.requires_grad) and self.precision == torch.float64
        if not fixed or not len(alpha) or not bool(((alpha == alpha[0]) & (sigma == sigma[0])).all()):
            return None
        level = (float(alpha[0]), float(sigma[0]))
        kept: Natural | None = self.__dict__.get("_natural")
        if kept is None or kept.level != level:
            kept = self._natural = Natural(self, *level)
        return kept

    def _responsibilities(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._components(x, alpha, sigma).responsibilities()

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._components(x, alpha, sigma).log_joint().logsumexp(-1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._components(x, alpha, sigma).score()

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._components(x, alpha, sigma).denoise()


def as_means(means: Tensor | Sequence[Sequence[float]]) -> Tensor:
    """Means of components (K, d) float64. Raises BadInput."""
    found = torch.as_tensor(means, dtype=torch.float64)
    if found.ndim != 2 or 0 in found.shape or not bool(found.isfinite().all()):
        raise BadInput(f"means must be finite, of shape (K, d), not {tuple(found.shape)}")
    return found


def flats(count: int, rank: int, dim: int) -> str:
    """Points, or affine subspaces of `rank` dimensions, in words."""
    if rank == 0:
        return f"{count} points of {space(dim)}"
    return f"{f'{count} ' if count > 1 else ''}{rank}-dimensional subspace{'s' * (count > 1)} of {space(dim)}"


def _variances(std: Tensor | Sequence[float] | float | None, count: int, dim: int) -> Tensor:
    """(K, 1) for isotropic components, (K, d) for diagonal ones."""
    s = torch.as_tensor(std, dtype=torch.float64)
    if s.shape not in {(), (count,), (count, dim)}:
        raise BadInput(f"std must be a scalar, ({count},) or ({count}, {dim}), not {tuple(s.shape)}")
    if not bool((s >= 0).all()) or not bool(s.isfinite().all()):
        raise BadInput("std must be finite and at least 0")
    return (s if s.ndim == 2 else s.expand(count)[:, None]) ** 2


def _spectrum(cov: Tensor | Sequence[Sequence[float]], count: int, dim: int) -> tuple[Tensor, Tensor]:
    """Eigenvalues (K, d) and eigenvectors (K, d, d) of the covariances."""
    c = torch.as_tensor(cov, dtype=torch.float64)
    if c.shape not in {(dim, dim), (count, dim, dim)}:
        raise BadInput(f"cov must be ({dim}, {dim}) or ({count}, {dim}, {dim}), not {tuple(c.shape)}")
    if not bool(c.isfinite().all()) or not torch.allclose(c, c.mT, rtol=1e-10, atol=1e-12 * float(c.abs().max())):
        raise BadInput("cov must be finite and symmetric")
    values, vectors = torch.linalg.eigh(c.expand(count, dim, dim))
    greatest = values.abs().amax(-1, keepdim=True)
    if bool((values < -1e-12 * greatest).any()):
        raise BadInput(f"cov must be positive semidefinite; its smallest eigenvalue is {float(values.min()):.3g}")
    noise = 4 * math.sqrt(dim) * torch.finfo(c.dtype).eps * greatest  # what rounding leaves of an eigenvalue of 0
    return torch.where(values > noise, values, 0.0), vectors
