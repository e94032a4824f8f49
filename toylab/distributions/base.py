"""What every exact law offers.

A law is the distribution of X in R^d. The noised law at (α, σ) is that of αX + σZ, Z ~ N(0, I) independent
of X. Its log-density, its score ∇ log p and the posterior mean E[X | αX + σZ = x] are linked by Tweedie's
formula (Robbins 1956; Efron 2011):

    α E[X | x] = x + σ² ∇ log p(x)
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from toylab.errors import BadInput


class SingularLaw(BadInput):
    """The law has no density at the noise level asked for."""


class Distribution(ABC):
    """An exact law in R^dim.

    Points are `(..., dim)`; alpha and sigma are floats or tensors that broadcast over the leading axes.
    Results have the dtype and device of the points. The arithmetic inside is done in `precision`; where a
    device lacks float64, set `Distribution.precision = torch.float32` for all laws.
    Subclasses implement the underscored methods on float rows: x (n, dim), alpha (n, 1), sigma (n, 1).
    """

    dim: int
    exact_by: str = "closed form"  # how density, score and posterior mean are computed, for tables
    precision: torch.dtype = torch.float64
    _row_cost: int = 1  # numbers held per row and coordinate while evaluating; bounds the size of a chunk
    _chunk: int = 1 << 23

    # -- to implement ------------------------------------------------------------------------------------

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n independent points, (n, dim) float64 on the generator's device."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[X], (dim,) float64."""

    @property
    @abstractmethod
    def cov(self) -> Tensor:
        """Cov[X], (dim, dim) float64."""

    @property
    def shape(self) -> tuple[int, ...]:
        """That of one sample: (dim,), or of an image (C, H, W)."""
        return (self.dim,)

    @property
    def support(self) -> str:
        """Where the law lives, in words."""
        return space(self.dim)

    @abstractmethod
    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor: ...

    @abstractmethod
    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor: ...

    @abstractmethod
    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor: ...

    def _distance(self, x: Tensor) -> Tensor:
        """Distance of rows to the support; here that is all of R^dim."""
        return torch.zeros_like(x[:, 0])

    # -- the contract ------------------------------------------------------------------------------------

    def log_prob(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """Log-density of αX + σZ at x, in nats: (..., dim) -> (...).

        Raises SingularLaw where αX + σZ has no density.
        """
        return self._evaluate("_log_prob", x, alpha, sigma)

    def score(self, x: Tensor, alpha: Tensor | float = 1.0, sigma: Tensor | float = 0.0) -> Tensor:
        """∇ₓ log-density of αX + σZ at x: (..., dim) -> (..., dim).

        Raises SingularLaw where αX + σZ has no density.
        """
        return self._evaluate("_score", x, alpha, sigma)

    def denoise(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """Posterior mean E[X | αX + σZ = x]: (..., dim) -> (..., dim); x/α where σ = 0, the mean where α = 0."""
        return self._evaluate("_posterior_mean", x, alpha, sigma)

    def distance(self, x: Tensor) -> Tensor:
        """Distance of points to the support of X: (..., dim) -> (...); 0 where the support is all of R^dim."""
        rows, lead = self._points(x)
        own, size = self._on(x.device), self._chunk_rows
        return torch.cat([own._distance(part) for part in rows.split(size)]).reshape(lead).to(x.dtype)

    def _posterior_mean(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        known = (sigma == 0) & (alpha > 0)
        smooth = self._denoise(x, alpha, torch.where(sigma == 0, 1.0, sigma))
        return torch.where(known, x / torch.where(alpha > 0, alpha, 1.0), smooth)

    # -- shapes, dtype, device, memory -------------------------------------------------------------------

    def _evaluate(self, method: str, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        rows, lead = self._points(x)
        a = _level(alpha, "alpha", x, lead, self.precision)
        s = _level(sigma, "sigma", x, lead, self.precision)
        evaluate = getattr(self._on(x.device), method)
        size = self._chunk_rows
        parts = [evaluate(*part) for part in zip(rows.split(size), a.split(size), s.split(size), strict=True)]
        result = torch.cat(parts) if len(parts) > 1 else parts[0]
        return result.reshape((*lead, *result.shape[1:])).to(x.dtype)

    def _points(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        """The points as rows (n, dim) of the precision, and their leading axes."""
        if x.shape[-1] != self.dim:
            raise BadInput(f"points of a law in R^{self.dim} have shape (..., {self.dim}), not {tuple(x.shape)}")
        if not x.is_floating_point():
            raise BadInput(f"points must be floating point, not {x.dtype}")
        return x.to(self.precision).reshape(-1, self.dim), x.shape[:-1]

    @property
    def _chunk_rows(self) -> int:
        return max(1, self._chunk // (self.dim * self._row_cost))

    def _on(self, device: torch.device) -> Self:
        """This law with its own tensors on `device`, made once and kept."""
        kept: dict[tuple[torch.device, torch.dtype], Self] = self.__dict__.setdefault("_kept", {})
        key = (device, self.precision)
        if key not in kept:
            twin = copy.copy(self)
            twin.__dict__ = {
                name: value.to(device, self.precision) if isinstance(value, Tensor) else value
                for name, value in self.__dict__.items()
                if name != "_kept"
            }
            kept[key] = twin
        return kept[key]


def _level(value: Tensor | float, name: str, x: Tensor, lead: torch.Size, precision: torch.dtype) -> Tensor:
    level = torch.as_tensor(value, dtype=precision, device=x.device)
    if not bool(((level >= 0) & level.isfinite()).all()):
        raise BadInput(f"{name} must be finite and at least 0 everywhere")
    try:
        return level.expand(lead).reshape(-1, 1)
    except RuntimeError:
        raise BadInput(
            f"{name} of shape {tuple(level.shape)} does not broadcast over points of shape {tuple(x.shape)}"
        ) from None


def space(dim: int) -> str:
    """R^dim, in words."""
    return "R" if dim == 1 else f"R^{dim}"


def device_of(generator: torch.Generator | None) -> torch.device:
    """Where a generator draws; the CPU without one."""
    return generator.device if generator is not None else torch.device("cpu")


def as_weights(weights: Tensor | Sequence[float] | None, count: int) -> Tensor:
    """Mixture weights (count,) float64 that sum to 1; equal ones by default. Raises BadInput."""
    if weights is None:
        return torch.full((count,), 1 / count, dtype=torch.float64)
    w = torch.as_tensor(weights, dtype=torch.float64)
    if w.shape != (count,) or not bool((w >= 0).all()) or not 0 < float(w.sum()) < float("inf"):
        raise BadInput(f"weights must be {count} numbers of at least 0 with a positive sum, not {w.tolist()}")
    return w / w.sum()


def draw_components(weights: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """n component indices (n,), n possibly 0, on the generator's device."""
    if n == 0:
        return torch.empty(0, dtype=torch.long, device=weights.device)
    return torch.multinomial(weights, n, replacement=True, generator=generator)


def total_covariance(weights: Tensor, means: Tensor, covs: Tensor) -> Tensor:
    """Covariance of a mixture: within components and between their means."""
    centred = means - weights @ means
    return torch.einsum("k,kij->ij", weights, covs) + torch.einsum("k,ki,kj->ij", weights, centred, centred)
