"""Cases of the metrics of a field: score, smoothness, and what was learned of it.

The exact denoiser of another law stands in for a trained one. On the line the true values are integrals over one
variable; in the plane the laws are products, turned by 30°, so that Jacobians are diagonal in a basis that no metric
knows.
"""

import math
from functools import partial

import numpy as np
import torch

from toylab.calibration.case import Case
from toylab.calibration.line import Line
from toylab.calibration.standins import ALPHA, SIGMA, Given, Streams, at_points, drawing, exact
from toylab.distributions import GaussianMixture

NORMAL = Line()
OTHER = Line((0.5,), (0.7,))
WIDE = Line((0.6,), (1.7,))
MODES = Line((-1.0, 1.0), (0.5, 0.5), (0.4, 0.6))
TAILED = Line((0.0, 3.0), (1.0, 0.5), (0.8, 0.2))

TRAINING = (-1.9, -1.2, -0.8, -0.5, -0.1, 0.2, 0.5, 0.7, 1.3, 1.6)
"""A training set of ten points."""
MEMORY = Line(TRAINING, (0.0,) * len(TRAINING), (1 / len(TRAINING),) * len(TRAINING))
"""Its law."""

ACROSS = 0.6
"""Standard deviation of the modes in the plane, across the line through them."""
STRETCHED = (1.4, 0.5)
"""Those of a Gaussian along the same axes."""


# -- true values -------------------------------------------------------------------------------------------------------


def squared_gap(one: Line, true: Line, over: Line | None = None) -> float:
    """E (ε_one - ε_true)² over points of `over`, by default `true`."""
    return (over or true).mean_of(lambda x: (one.eps(x, ALPHA, SIGMA) - true.eps(x, ALPHA, SIGMA)) ** 2, ALPHA, SIGMA)


def gaussian_squared_gap(one: Line, true: Line, alpha: float, sigma: float) -> float:
    """The same of two Gaussians, at any level: their gap is affine in x."""
    (m1,), (s1,), (m2,), (s2,) = one.means, one.stds, true.means, true.stds
    v1, v2 = (alpha * s1) ** 2 + sigma**2, (alpha * s2) ** 2 + sigma**2
    slope, at_mean = sigma * (1 / v1 - 1 / v2), sigma * alpha * (m2 - m1) / v1
    return slope**2 * v2 + at_mean**2


def share(learned: Line, towards: Line, over: Line, origin: Line | None = None) -> float:
    """E ⟨ε_learned - ε_o, ε_towards - ε_o⟩ / E (ε_towards - ε_o)² over points of `over`; ε_o = 0 without an origin."""

    def gap(line: Line, x: np.ndarray) -> np.ndarray:
        return line.eps(x, ALPHA, SIGMA) - (0.0 if origin is None else origin.eps(x, ALPHA, SIGMA))

    product = over.mean_of(lambda x: gap(learned, x) * gap(towards, x), ALPHA, SIGMA)
    return product / over.mean_of(lambda x: gap(towards, x) ** 2, ALPHA, SIGMA)


def spectrum(x: np.ndarray) -> np.ndarray:
    """Eigenvalues of σ ∂ε/∂x of the modes in the plane, at x along them: (2, n), the largest first."""
    along, across = MODES.slope(x, ALPHA, SIGMA), np.full_like(x, _stiffness(ACROSS))
    return np.stack([np.maximum(along, across), np.minimum(along, across)])


def mean_eigenvalue(rank: int) -> float:
    """Its mean over points of the modes."""
    return MODES.mean_of(lambda x: spectrum(x)[rank], ALPHA, SIGMA)


def jacobian_gap() -> float:
    """E ‖J - J*‖_F²/2 of the stretched Gaussian at points of the modes: both are diagonal in the turned basis."""
    along, across = (_stiffness(std) for std in STRETCHED)
    first = MODES.mean_of(lambda x: (along - MODES.slope(x, ALPHA, SIGMA)) ** 2, ALPHA, SIGMA)
    return (first + (across - _stiffness(ACROSS)) ** 2) / 2


def spectrum_gap() -> float:
    """E Σ (λ_i - λ*_i)²/2 there, by rank."""
    own = np.array([_stiffness(std) for std in sorted(STRETCHED)])[:, None]
    return MODES.mean_of(lambda x: ((own - spectrum(x)) ** 2).mean(0), ALPHA, SIGMA)


def push_gap() -> float:
    """E ‖(J - I) ω‖²/‖ω‖² = ‖J - I‖_F²/2 of the stretched Gaussian, ω in any direction."""
    return sum((_stiffness(std) - 1) ** 2 for std in STRETCHED) / 2


def push_gap_of_modes() -> float:
    """E (ε(x ± σ) - ε(x) ∓ 1)² on the line, either sign as likely."""

    def gap(x: np.ndarray, push: float) -> np.ndarray:
        return (MODES.eps(x + push * SIGMA, ALPHA, SIGMA) - MODES.eps(x, ALPHA, SIGMA) - push) ** 2

    return MODES.mean_of(lambda x: (gap(x, 1.0) + gap(x, -1.0)) / 2, ALPHA, SIGMA)


def _stiffness(std: float) -> float:
    """σ ∂ε/∂x = σ²/(α² std² + σ²) of a Gaussian on the line: larger where it is narrow."""
    return SIGMA**2 / ((ALPHA * std) ** 2 + SIGMA**2)


# -- what stands in for a model ----------------------------------------------------------------------------------------


def turned(means: list[list[float]], stds: list[list[float]], weights: tuple[float, ...]) -> GaussianMixture:
    """A mixture in the plane, turned by 30°."""
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    return GaussianMixture(means, std=torch.tensor(stds, dtype=torch.float64), weights=weights).mapped(
        [[c, -s], [s, c]]
    )


PLANE = turned([[m, 0.0] for m in MODES.means], [[s, ACROSS] for s in MODES.stds], MODES.weights)
GAUSSIAN = turned([[0.0, 0.0]], [list(STRETCHED)], (1.0,))


def beside_training(given: Given) -> Given:
    """And the training set, the same in every replication."""
    points = torch.tensor(TRAINING, dtype=torch.float64)[:, None]

    def with_points(generators: Streams) -> dict[str, object]:
        return {**given(generators), "training": points.expand(len(generators), -1, -1)}

    return with_points


_LINE = "quadrature on the line"
_FOR_MODES = "denoiser of a Gaussian for that of two modes in the plane"
_TRAINED = "denoiser of N(0.5, 0.7²); ten training points of N(0, 1)"

CASES = (
    Case("eps-mse", "denoiser of N(0, 1) for that of N(0.5, 0.7²)",
         lambda: gaussian_squared_gap(NORMAL, OTHER, ALPHA, SIGMA), "closed form", 200,
         at_points(OTHER, 200, denoiser=exact(NORMAL), reference=exact(OTHER))),
    Case("eps-mse", "denoiser of N(0, 1) for that of two modes", lambda: squared_gap(NORMAL, MODES), _LINE, 200,
         at_points(MODES, 200, denoiser=exact(NORMAL), reference=exact(MODES))),
    Case("noise-share", "denoiser of N(0.6, 1.7²) for that of two modes", lambda: share(WIDE, MODES, MODES), _LINE, 200,
         at_points(MODES, 200, denoiser=exact(WIDE), reference=exact(MODES))),
    Case("leakage", "denoiser of N(0.6, 1.7²); N(0, 1) with 20 % of N(3, 0.5²)",
         lambda: share(WIDE, TAILED, TAILED, origin=NORMAL), _LINE, 200,
         at_points(TAILED, 200, denoiser=exact(WIDE), clean=NORMAL.law, contaminated=TAILED.law)),
    Case("training-mse", _TRAINED, lambda: squared_gap(OTHER, MEMORY, over=NORMAL), _LINE, 200,
         beside_training(at_points(NORMAL, 200, denoiser=exact(OTHER)))),
    Case("training-leakage", _TRAINED,
         lambda: share(OTHER, MEMORY, NORMAL, origin=NORMAL), _LINE, 500,
         beside_training(at_points(NORMAL, 500, denoiser=exact(OTHER), law=NORMAL.law))),
    Case("jacobian-error", _FOR_MODES, jacobian_gap, _LINE, 200,
         at_points(PLANE, 200, denoiser=exact(GAUSSIAN), law=PLANE)),
    *(Case("jacobian-spectrum", f"denoiser of two modes in the plane, eigenvalue {rank + 1}",
           partial(mean_eigenvalue, rank), _LINE, 200, at_points(PLANE, 200, denoiser=exact(PLANE)), part=rank)
      for rank in range(2)),
    Case("spectrum-error", _FOR_MODES, spectrum_gap, _LINE, 200,
         at_points(PLANE, 200, denoiser=exact(GAUSSIAN), law=PLANE)),
    Case("equivariance-error", "denoiser of a Gaussian in the plane", push_gap, "closed form", 100,
         drawing(at_points(GAUSSIAN, 100, denoiser=exact(GAUSSIAN)))),
    Case("equivariance-error", "denoiser of two modes on the line", push_gap_of_modes, _LINE, 200,
         drawing(at_points(MODES, 200, denoiser=exact(MODES)))),
)  # fmt: skip
