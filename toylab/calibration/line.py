"""Mixtures of Gaussians on the line, once more and by other means: NumPy, from the definition, with expectations by
quadrature. What the exact laws and their denoisers are held against where a metric has no closed form."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from toylab.distributions import GaussianMixture

_NODES = 100_001
_REACH = 12.0  # standard deviations beyond the outermost means

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Line:
    """Σ_k w_k N(m_k, s_k²), and all that follows from it at the points x (n,) of αX + σZ."""

    means: tuple[float, ...] = (0.0,)
    stds: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = (1.0,)

    @property
    def law(self) -> GaussianMixture:
        """The same as a law of toylab, in R^1."""
        return GaussianMixture([[m] for m in self.means], std=self.stds, weights=self.weights)

    def parts(self, x: np.ndarray, alpha: float = 1.0, sigma: float = 0.0) -> np.ndarray:
        """w_k times the density of each component (K, n)."""
        gap, variance = self._gaps(x, alpha, sigma)
        weights = np.asarray(self.weights)[:, None]
        return weights * np.exp(-0.5 * gap**2 / variance) / np.sqrt(2 * np.pi * variance)

    def density(self, x: np.ndarray, alpha: float = 1.0, sigma: float = 0.0) -> np.ndarray:
        """p(x)."""
        return self.parts(x, alpha, sigma).sum(0)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(X <= x), of x's shape."""
        return np.asarray(
            sum(w * ndtr((x - m) / s) for m, s, w in zip(self.means, self.stds, self.weights, strict=True))
        )

    def eps(self, x: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
        """E[ε | x_t = x] = -σ (log p)'."""
        return -sigma * self._derivatives(x, alpha, sigma)[0]

    def slope(self, x: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
        """σ ∂ε/∂x = -σ² (log p)''."""
        return -(sigma**2) * self._derivatives(x, alpha, sigma)[1]

    def mean_of(self, f: Function, alpha: float = 1.0, sigma: float = 0.0) -> float:
        """E f(αX + σZ): the trapezoidal rule, exact to rounding for a smooth f, to its squared step with a kink."""
        spread = _REACH * np.hypot(alpha * max(self.stds), sigma)
        x = np.linspace(alpha * min(self.means) - spread, alpha * max(self.means) + spread, _NODES)
        return float(np.trapezoid(f(x) * self.density(x, alpha, sigma), x))

    def _gaps(self, x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        means, stds = np.asarray(self.means)[:, None], np.asarray(self.stds)[:, None]
        return x - alpha * means, (alpha * stds) ** 2 + sigma**2

    def _derivatives(self, x: np.ndarray, alpha: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """(log p)' and (log p)''."""
        gap, variance = self._gaps(x, alpha, sigma)
        share = self.parts(x, alpha, sigma)
        share = share / share.sum(0)
        first = (share * -gap / variance).sum(0)
        return first, (share * ((gap / variance) ** 2 - 1 / variance)).sum(0) - first**2
