"""Laws moved, scaled, rotated, placed in a higher dimension, and put side by side: exact if the parts are.

With orthonormal columns Q (D, k), X' = s Q X + b and y = Qᵀ(x - αb),

    p'(x) = p_{αs,σ}(y) · N(r; 0, σ² I),   r = x - αb - Q y     normal to the image of Q
    score'(x) = Q score_{αs,σ}(y) - r/σ²,     E[X' | x] = s Q E[X | y] + b

so everything is exact in tangent and normal directions alike; D = k is a similarity, without a normal part.
"""

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from toylab.distributions.base import Distribution, SingularLaw, space
from toylab.errors import BadInput


class Embedded(Distribution):
    """The law of scale·basis·X + offset.

    basis: (D, k) with orthonormal columns, k the law's dimension, or None for the identity; columns orthonormal to
    1e-10 are made so to rounding. offset: (D,), 0 by default; scale > 0. Raises BadInput for anything else. Without
    noise there is a density only where D = k.
    """

    def __init__(
        self,
        law: Distribution,
        basis: Tensor | Sequence[Sequence[float]] | None = None,
        offset: Tensor | Sequence[float] | None = None,
        scale: float = 1.0,
    ):
        self.law, self.scale = law, float(scale)
        if not 0 < self.scale < math.inf:
            raise BadInput(f"scale must be finite and positive, not {scale}")
        self.basis = None if basis is None else _orthonormal(torch.as_tensor(basis, dtype=torch.float64), law.dim)
        self.dim = law.dim if self.basis is None else len(self.basis)
        self.offset = torch.zeros(self.dim, dtype=torch.float64)
        if offset is not None:
            self.offset = torch.as_tensor(offset, dtype=torch.float64)
            if self.offset.shape != (self.dim,) or not bool(self.offset.isfinite().all()):
                raise BadInput(f"offset must be {self.dim} finite numbers, not of shape {tuple(self.offset.shape)}")
        self._row_cost = 3 + law._row_cost

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        x = self.law.sample(n, generator)
        return self._on(x.device)._outwards(x)

    @property
    def mean(self) -> Tensor:
        return self._outwards(self.law.mean)

    @property
    def cov(self) -> Tensor:
        cov = self.scale**2 * self.law.cov
        return cov if self.basis is None else self.basis @ cov @ self.basis.mT

    @property
    def exact_by(self) -> str:  # type: ignore[override]
        return self.law.exact_by

    @property
    def support(self) -> str:
        return f"{self.law.support}, placed in {space(self.dim)}" if self._codimension else self.law.support

    def _distance(self, x: Tensor) -> Tensor:
        y, normal = self._inwards(x, torch.ones_like(x[:, :1]))
        inner = self.scale * self.law._on(x.device)._distance(y / self.scale)
        return torch.hypot(inner, normal.norm(dim=-1))

    def _outwards(self, x: Tensor) -> Tensor:
        return self.scale * (x if self.basis is None else x @ self.basis.mT) + self.offset

    def _inwards(self, x: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """y (n, k) and what is left over (n, D)."""
        centred = x - alpha * self.offset
        if self.basis is None:
            return centred, torch.zeros_like(centred)
        y = centred @ self.basis
        return y, centred - y @ self.basis.mT

    @property
    def _codimension(self) -> int:
        return self.dim - self.law.dim

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(sigma)
        y, normal = self._inwards(x, alpha)
        inner = self.law._on(x.device)._log_prob(y, alpha * self.scale, sigma)
        if not self._codimension:
            return inner
        return inner - 0.5 * (normal / sigma).square().sum(-1) - self._codimension * _log_unit(sigma[:, 0])

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        self._check(sigma)
        y, normal = self._inwards(x, alpha)
        inner = self.law._on(x.device)._score(y, alpha * self.scale, sigma)
        if self.basis is None:
            return inner
        tangent = inner @ self.basis.mT
        return tangent - normal / sigma**2 if self._codimension else tangent

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        y, _ = self._inwards(x, alpha)
        return self._outwards(self.law._on(x.device)._denoise(y, alpha * self.scale, sigma))

    def _check(self, sigma: Tensor) -> None:
        if self._codimension and bool((sigma == 0).any()):
            raise SingularLaw("a law on a subspace has no density at sigma = 0")


def shifted(law: Distribution, offset: Tensor | Sequence[float]) -> Embedded:
    """X + offset."""
    return Embedded(law, offset=offset)


def scaled(law: Distribution, scale: float) -> Embedded:
    """scale·X, by one positive factor."""
    return Embedded(law, scale=scale)


def rotated(law: Distribution, rotation: Tensor | Sequence[Sequence[float]]) -> Embedded:
    """rotation·X, for an orthogonal matrix (dim, dim)."""
    return Embedded(law, rotation)


class Product(Distribution):
    """Independent laws on disjoint coordinates, one after the other. Raises BadInput for an empty list."""

    def __init__(self, laws: Sequence[Distribution]):
        self.laws = list(laws)
        if not self.laws:
            raise BadInput("a product needs at least one law")
        self.sizes = [law.dim for law in self.laws]
        self.dim = sum(self.sizes)
        self._row_cost = max(law._row_cost for law in self.laws)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.cat([law.sample(n, generator) for law in self.laws], -1)

    @property
    def mean(self) -> Tensor:
        return torch.cat([law.mean for law in self.laws])

    @property
    def cov(self) -> Tensor:
        return torch.block_diag(*[law.cov for law in self.laws])

    @property
    def exact_by(self) -> str:  # type: ignore[override]
        return "; ".join(dict.fromkeys(law.exact_by for law in self.laws))

    @property
    def support(self) -> str:
        counts = Counter(law.support for law in self.laws)
        return " x ".join(f"({support})^{n}" if n > 1 else support for support, n in counts.items())

    def _distance(self, x: Tensor) -> Tensor:
        parts = zip(self.laws, x.split(self.sizes, -1), strict=True)
        return torch.stack([law._on(x.device)._distance(part) for law, part in parts]).norm(dim=0)

    def _log_prob(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.stack(self._each("_log_prob", x, alpha, sigma)).sum(0)

    def _score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat(self._each("_score", x, alpha, sigma), -1)

    def _denoise(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat(self._each("_denoise", x, alpha, sigma), -1)

    def _each(self, method: str, x: Tensor, alpha: Tensor, sigma: Tensor) -> list[Tensor]:
        parts = zip(self.laws, x.split(self.sizes, -1), strict=True)
        return [getattr(law._on(x.device), method)(part, alpha, sigma) for law, part in parts]


def _orthonormal(basis: Tensor, dim: int) -> Tensor:
    if basis.ndim != 2 or basis.shape[1] != dim or len(basis) < dim:
        raise BadInput(f"basis must be (D, {dim}) with D of at least {dim}, not {tuple(basis.shape)}")
    excess = basis.mT @ basis - torch.eye(dim, dtype=basis.dtype)
    if not bool((excess.abs() <= 1e-10).all()):
        raise BadInput("the columns of basis must be orthonormal (torch.linalg.qr makes them so)")
    return basis - basis @ excess / 2  # one Newton step: 1e-10 would be felt, divided by σ², in the normal direction


def _log_unit(sigma: Tensor) -> Tensor:
    """log √(2πσ²)."""
    return sigma.log() + 0.5 * math.log(2 * math.pi)
