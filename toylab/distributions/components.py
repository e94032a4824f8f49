"""The components of a Gaussian mixture at given points: log w_k p_k, and their averages over the posterior of k.

A component N(μ, C) with C = Q diag(λ) Qᵀ noised to (α, σ) has, with v = α²λ + σ² and z = Qᵀ(x - αμ),

    log p = -½ Σ_i [z_i²/v_i + log 2π v_i],   score = -Q (z/v),   E[X | x] = μ + α Q (λ z/v)

`Differences` computes just that. `Natural` expands the square about a common centre c: with y = x - αc,
m_k = α(μ_k - c), P_k = Q diag(1/v) Qᵀ and η_k = P_k m_k,

    log w_k p_k = η_k·y - ½ yᵀP_k y + const_k,   score = Σ_k r_k (η_k - P_k y),   E[X | x] = Σ_k r_k (a_k + B_k y)

so that points meet components in matrix products alone, many times faster. The expansion loses the digits of
|y|²/v, so it serves where that is at most 1e5, which leaves an error of about 1e-11 in log p; farther out, where few
components matter, it finds those.
"""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from toylab.distributions.base import SingularLaw

if TYPE_CHECKING:
    from toylab.distributions.gaussians import GaussianMixture

FARTHEST = 1e5
"""|y|²/v up to which squares are expanded."""
_NEGLIGIBLE = 45.0  # e^-45: what a component may be below the largest and be left out
SINGULAR = "a component with a singular covariance has no density at sigma = 0"


class Components(ABC):
    """The components at n points."""

    @abstractmethod
    def log_joint(self) -> Tensor:
        """log w_k p_k, (n, K), or of those that matter."""

    @abstractmethod
    def score(self) -> Tensor:
        """Σ_k r_k ∇ log p_k, (n, d)."""

    @abstractmethod
    def denoise(self) -> Tensor:
        """Σ_k r_k E[X | x, k], (n, d)."""

    def responsibilities(self) -> Tensor:
        """r_k, (n, K)."""
        return self.log_joint().softmax(-1)


class Differences(Components):
    """x (n, d), alpha and sigma (n, 1); nearest: the components (n, M) that matter at each point, by default all."""

    def __init__(self, law: "GaussianMixture", x: Tensor, alpha: Tensor, sigma: Tensor, nearest: Tensor | None = None):
        self.law, self.alpha, self.nearest = law, alpha, nearest
        which = slice(None) if nearest is None else nearest.mT
        self.means, self.variances = law.means[which], law._variances[which]
        self.log_weights = law.weights.log()[which]
        if nearest is None:
            self.means, self.variances = self.means[:, None], self.variances[:, None]
            self.log_weights = self.log_weights[:, None]
        self.z = x - alpha * self.means  # (K or M, n, d)
        if law._basis is not None:
            self.z = self.z @ law._basis
        self.v = alpha**2 * self.variances + sigma**2
        if bool((self.v == 0).any()):
            raise SingularLaw(SINGULAR)

    def log_joint(self) -> Tensor:
        d = self.z.shape[-1]
        squares = self.z * self.z / self.v
        log_det = self.v.log().sum(-1) * (d / self.v.shape[-1])
        half = squares @ squares.new_full((d,), 0.5)  # far faster than a sum over so short an axis
        return (self.log_weights - half - 0.5 * (log_det + d * math.log(2 * math.pi))).mT

    def responsibilities(self) -> Tensor:
        r = self.log_joint().softmax(-1)
        return r if self.nearest is None else r.new_zeros(len(r), len(self.law.means)).scatter(1, self.nearest, r)

    def score(self) -> Tensor:
        return -self._average(self.z / self.v)

    def denoise(self) -> Tensor:
        r = self._posterior()
        return (r * self.means).sum(0) + self.alpha * self._average(self.variances * self.z / self.v)

    def _posterior(self) -> Tensor:
        return self.log_joint().softmax(-1).mT[..., None]

    def _average(self, y: Tensor) -> Tensor:
        """Σ_k r_k Q_k y_k."""
        parts = self._posterior() * y
        return (parts if self.law._basis is None else parts @ self.law._basis.mT).sum(0)


class Natural:
    """A mixture's natural parameters at one level (α, σ)."""

    def __init__(self, law: "GaussianMixture", alpha: float, sigma: float):
        self.level, self.alpha = (alpha, sigma), alpha
        v = alpha**2 * law._variances + sigma**2
        if bool((v == 0).any()):
            raise SingularLaw(SINGULAR)
        self.centre = law.weights @ law.means
        means = law.means - self.centre
        m = alpha * means
        inverse, gain = _matrices(1 / v, law._basis), _matrices(alpha * law._variances / v, law._basis)
        self.eta, self.shift = _times(inverse, m), means - _times(gain, m)
        self.blocks = _blocks(law.dim) if law._basis is not None else None
        self.inverse, self.gain = _flat(inverse, self.blocks), _flat(gain, self.blocks)
        log_det = v.log().sum(-1) * (law.dim / v.shape[-1])
        square = (m * self.eta).sum(-1) + log_det + law.dim * math.log(2 * math.pi)
        self.constant = law.weights.log() - 0.5 * square
        self.smallest = v.amin() if self.blocks else v.amin(0)  # variance, in each coordinate
        self.farthest_mean = float((m.square() / self.smallest).sum(-1).max())

    def centred(self, x: Tensor) -> tuple[Tensor, float]:
        """y = x - αc, and the largest |y|²/v."""
        y = x - self.alpha * self.centre
        return y, max(self.farthest_mean, float((y.detach().square() / self.smallest).sum(-1).max()))

    @torch.no_grad()
    def nearest(self, y: Tensor, reach: float) -> Tensor | None:
        """The components (n, M) that matter at each point, whatever the rounding of their squares; None for most."""
        joint = Expanded(self, y.detach()).log_joint()
        doubt = 2 * (y.shape[-1] + 8) * torch.finfo(y.dtype).eps * reach
        count = int((joint >= joint.amax(-1, keepdim=True) - _NEGLIGIBLE - doubt).sum(-1).max())
        return joint.topk(count, -1).indices if 4 * count <= joint.shape[-1] else None


class Expanded(Components):
    """The components at y (n, d), in natural parameters."""

    def __init__(self, natural: Natural, y: Tensor):
        self.natural, self.y = natural, y

    def log_joint(self) -> Tensor:
        natural, y = self.natural, self.y
        if natural.blocks is not None:
            products = [(y[:, i, None] * y[:, None, j]).flatten(1) * (1 if i == j else 2) for i, j in natural.blocks]
            squares = torch.cat(products, 1)
        else:
            squares = y.square() if natural.inverse.shape[-1] > 1 else y.square().sum(-1, keepdim=True)
        return torch.addmm(natural.constant, y, natural.eta.mT).addmm(squares, natural.inverse.mT, alpha=-0.5)

    def score(self) -> Tensor:
        r = self.responsibilities()
        return r @ self.natural.eta - self._averaged(r, self.natural.inverse)

    def denoise(self) -> Tensor:
        r = self.responsibilities()
        return self.natural.centre + r @ self.natural.shift + self._averaged(r, self.natural.gain)

    def _averaged(self, r: Tensor, matrices: Tensor) -> Tensor:
        """(Σ_k r_k A_k) y."""
        mean, y, blocks = r @ matrices, self.y, self.natural.blocks
        if blocks is None:
            return mean * y
        result = torch.zeros_like(y)
        parts = mean.split([(i.stop - i.start) * (j.stop - j.start) for i, j in blocks], 1)
        for (i, j), part in zip(blocks, parts, strict=True):
            block = part.reshape(len(y), i.stop - i.start, -1)
            result[:, i] += (block @ y[:, j, None])[..., 0]
            if i != j:
                result[:, j] += (block.mT @ y[:, i, None])[..., 0]
        return result


def _matrices(diagonal: Tensor, axes: Tensor | None) -> Tensor:
    """Q diag(a) Qᵀ, (K, d, d); the diagonals themselves where Q is the identity."""
    return diagonal if axes is None else (axes * diagonal[:, None, :]) @ axes.mT


def _times(matrices: Tensor, y: Tensor) -> Tensor:
    return matrices * y if matrices.ndim == 2 else (matrices @ y[..., None])[..., 0]


def _blocks(d: int) -> list[tuple[slice, slice]]:
    """The blocks on and above the diagonal of a matrix cut in at most four: a symmetric one is these."""
    size = max(16, -(-d // 4))
    cuts = [slice(start, min(start + size, d)) for start in range(0, d, size)]
    return [(i, j) for n, i in enumerate(cuts) for j in cuts[n:]]


def _flat(matrices: Tensor, blocks: list[tuple[slice, slice]] | None) -> Tensor:
    """Those blocks of (K, d, d), row after row: (K, entries); diagonals as they are."""
    return matrices if blocks is None else torch.cat([matrices[:, i, j].flatten(1) for i, j in blocks], 1)
