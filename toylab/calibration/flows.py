"""Cases of the metrics of a sampler's flow: DDIM with the exact denoiser, in 9 steps and one to E[x_0].

In x̄ = x/α and u = σ/α a step is x̄ + (u' - u) ε, and the last one goes to u' = 0. So the discretised flow of a
Gaussian is linear, of a product a product, and what is left are integrals over an angle or over one coordinate of
the noise.
"""

from itertools import pairwise

import numpy as np
import torch

from toylab.calibration.case import Case
from toylab.calibration.fields import MODES, NORMAL, turned
from toylab.calibration.line import Line
from toylab.calibration.standins import SCHEDULE, exact, walked
from toylab.distributions import GaussianMixture

NFE = 10
STRETCHED = (1.0, 0.3)
ACROSS = 0.9
PLANE = turned([[m, 0.0] for m in MODES.means], [[s, ACROSS] for s in MODES.stds], MODES.weights)
"""Modes in the plane, wider across: between them the flow stretches most along, at them across."""

_ANGLES = (np.arange(20_000) + 0.5) / 20_000 * (np.pi / 2)  # a quarter of the circle: the rest is its mirror image
_WORST = np.linspace(-8, 8, 400_001)


# -- true values -------------------------------------------------------------------------------------------------------


def levels() -> np.ndarray:
    """σ/α on the way, and 0 at its end (NFE + 1,): times are evenly spaced."""
    times = torch.linspace(SCHEDULE.t_max, SCHEDULE.t_min, NFE, dtype=torch.float64)
    alpha, sigma = SCHEDULE(times)
    return np.append((sigma / alpha).numpy(), 0.0)


def start() -> float:
    """x̄ at the first level over z, standard normal."""
    return float(np.hypot(1.0, levels()[0]))


def linear_path(std: float) -> np.ndarray:
    """x̄ on the way (NFE + 1,) over z, of N(0, std²): ε = u x̄/(std² + u²)."""
    u = levels()
    factors = 1 + np.diff(u) * u[:-1] / (std**2 + u[:-1] ** 2)
    return start() * np.cumprod(np.append(1.0, factors))


def stretch(line: Line, z: np.ndarray) -> np.ndarray:
    """∂x_0/∂z of a law on the line, at the noise z (n,), by the chain rule along the path."""
    x, slope, u = start() * z, np.full_like(z, start()), levels()
    for now, after in pairwise(u):
        step = after - now
        x, slope = x + step * line.eps(x, 1.0, now), slope * (1 + step / now * line.slope(x, 1.0, now))
    return slope


def mean_log_stretch() -> float:
    """E log |∂x_0/∂z| of the modes."""
    return NORMAL.mean_of(lambda z: np.log(np.abs(stretch(MODES, z))))


def mean_log_largest() -> float:
    """E log s₁ of the modes in the plane: along and across them ∂x_0/∂z is diagonal, and either may be the larger."""
    across = linear_path(ACROSS)[-1]
    return NORMAL.mean_of(lambda z: np.log(np.maximum(np.abs(stretch(MODES, z)), across)))


def worst_stretch() -> float:
    """The largest |∂x_0/∂z| of the modes."""
    return float(np.abs(stretch(MODES, _WORST)).max())


def segments() -> np.ndarray:
    """The steps of x̄ (NFE, 2, angles) of the stretched Gaussian from the unit circle: they grow with |z|."""
    directions = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    return np.stack([np.diff(linear_path(s)) for s in STRETCHED], 1)[..., None] * directions


def mean_length() -> float:
    """E|z| = √(π/2), times the mean length from the unit circle."""
    return float(np.sqrt(np.pi / 2) * np.linalg.norm(segments(), axis=1).sum(0).mean())


def mean_excess() -> float:
    """1 - chord/length depends on the angle alone."""
    steps = segments()
    return float(np.mean(1 - np.linalg.norm(steps.sum(0), axis=0) / np.linalg.norm(steps, axis=1).sum(0)))


def mean_curvature() -> float:
    """And so do the angles between the steps."""
    before, after = segments()[:-1], segments()[1:]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return float(np.arctan2(np.abs(cross), (before * after).sum(1)).sum(0).mean())


_GAUSSIAN = exact(GaussianMixture([[0.0, 0.0]], std=torch.tensor([STRETCHED], dtype=torch.float64)))
_PLANE = "denoiser of a Gaussian in the plane"
_MODES = "denoiser of two modes on the line"
_ANGLE = "quadrature over an angle"

CASES = (
    Case("lipschitz", _PLANE, lambda: float(linear_path(STRETCHED[0])[-1]), "closed form", 20,
         walked(_GAUSSIAN, 20, NFE), below=1e-9),
    Case("lipschitz", _MODES, worst_stretch, "maximum over a grid", 200,
         walked(exact(MODES), 200, NFE), below=0.1),
    Case("lyapunov", _MODES, mean_log_stretch, "quadrature on the line", 100, walked(exact(MODES), 100, NFE)),
    Case("lyapunov", "denoiser of two modes in the plane", mean_log_largest, "quadrature on the line", 100,
         walked(exact(PLANE), 100, NFE)),
    Case("path-length", _PLANE, mean_length, _ANGLE, 100, walked(_GAUSSIAN, 100, NFE)),
    Case("path-excess", _PLANE, mean_excess, _ANGLE, 100, walked(_GAUSSIAN, 100, NFE)),
    Case("path-curvature", _PLANE, mean_curvature, _ANGLE, 100, walked(_GAUSSIAN, 100, NFE)),
)  # fmt: skip
