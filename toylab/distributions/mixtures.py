"""Gaussian mixtures, mixtures of any laws, and laws with Gaussian noise added.

The component index k given a point x of αX + σZ has the posterior (the *responsibility*)
r_k(x) ∝ w_k p_k(x; α, σ). Score and posterior mean of the mixture are those of its components, averaged
with these weights. A Gaussian component N(μ, C) with C = Q diag(λ) Qᵀ noised to (α, σ) has

    log p = -½ Σ_i [z_i² / v_i + log 2π v_i],   z = Qᵀ(x - αμ),   v = α²λ + σ²
    score = -Q (z / v),                          E[X | x] = μ + α Q (λ z / v)
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toylab.distributions.base import Distribution, SingularLaw, as_weights, device_of, draw_components
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
        self.means = torch.as_tensor(means, dtype=torch.float64)
        if self.means.ndim != 2 or 0 in self.means.shape or not bool(self.means.isfinite().all()):
            raise BadInput(f"means must be finite, of shape (K, d), not {tuple(self.means.shape)}")
        count, self.dim = self.means.shape
        self.weights = as_weights(weights, count)
        if (std is None) == (cov is None):
            raise BadInput("give exactly one of std and cov")
        self._basis: Tensor | None = None
        if cov is None:
            self._variances = _variances(std, count, self.dim)
        else:
            self._variances, self._basis = _spectrum(cov, count, self.dim)
        self._row_cost = 3 * count

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
        cov = a @ self._covariances() @ a.mT
        return GaussianMixture(self.means @ a.mT + b, cov=(cov + cov.mT) / 2, weights=self.weights)

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
        z = z * law._variances.sqrt()[label]
        x = z
        for k, basis in enumerate(law._basis if law._basis is not None else ()):
            x = torch.where((label == k)[:, None], z @ basis.mT, x)
        return law.means[label] + x, label

    @property
    def mean(self) -> Tensor:
        return self.weights @ self.means

    @property
    def cov(self) -> Tensor:
        return _total_covariance(self.weights, self.means, self._covariances())

    def responsibilities(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """Posterior probability of each component at points of αX + σZ: (..., dim) -> (..., K)."""
        return self._evaluate("_responsibilities", x, alpha, sigma)

    def _covariances(self) -> Tensor:
        variances = self._variances.expand(len(self.means), self.dim)
        if self._basis is None:
            return torch.diag_embed(variances)
        return torch.einsum("kij,kj,klj->kil", self._basis, variances, self._basis)

    def _residuals(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """z (n, K, d) in each component's own axes, and its variances v (n, K, d or 1)."""
        z = x[:, None, :] - alpha[..., None] * self.means
        if self._basis is not None:
            z = torch.einsum("nki,kij->nkj", z, self._basis)
        return z, alpha[..., None] ** 2 * self._variances + sigma[..., None] ** 2

    def _joint(self, z: Tensor, v: Tensor) -> Tensor:
        """log w_k p_k, (n, K)."""
        if bool((v == 0).any()):
            raise SingularLaw("a component with a singular covariance has no density at sigma = 0")
        log_det = v.log().sum(-1) * (self.dim / v.shape[-1])
        return self.weights.log() - 0.5 * ((z * z / v).sum(-1) + log_det + self.dim * math.log(2 * math.pi))

    def _responsibilities(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._joint(*self._residuals(x, alpha, sigma)).softmax(-1)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return self._joint(*self._residuals(x, alpha, sigma)).logsumexp(-1)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        z, v = self._residuals(x, alpha, sigma)
        return -self._average(self._joint(z, v).softmax(-1), z / v)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        z, v = self._residuals(x, alpha, sigma)
        r = self._joint(z, v).softmax(-1)
        return r @ self.means + alpha * self._average(r, self._variances * z / v)

    def _average(self, r: Tensor, y: Tensor) -> Tensor:
        """Σ_k r_k Q_k y_k."""
        if self._basis is None:
            return torch.einsum("nk,nki->ni", r, y)
        return torch.einsum("nk,kij,nkj->ni", r, self._basis, y)


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
        return _total_covariance(self.weights, means, covs)

    def responsibilities(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """Posterior probability of each component at points of αX + σZ: (..., dim) -> (..., K)."""
        return self._evaluate("_responsibilities", x, alpha, sigma)

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


def _total_covariance(weights: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    """Covariance of a mixture: within components and between their means."""
    centred = means - weights @ means
    return torch.einsum("k,kij->ij", weights, covs) + torch.einsum("k,ki,kj->ij", weights, centred, centred)


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
    noise = 1e-12 * values.abs().amax(-1, keepdim=True)
    if bool((values < -noise).any()):
        raise BadInput(f"cov must be positive semidefinite; its smallest eigenvalue is {float(values.min()):.3g}")
    return torch.where(values > noise, values, 0.0), vectors
