"""Cases of energy distance and maximum mean discrepancy: averages over pairs, unbiased at every number of points, so
that the closed forms for two Gaussians hold as they stand."""

import math

from scipy.special import gamma, hyp1f1

from toylab.calibration.case import Case
from toylab.calibration.standins import compared
from toylab.calibration.transport import PLANE, floor_of
from toylab.distributions import GaussianMixture
from toylab.metrics.groups import typical_distance

SIZE, GROUPS = 100, 8
SHIFT, STD = (0.8, -0.6), 1.5
OTHER = GaussianMixture([list(SHIFT)], std=STD)


def mean_distance(shift: float, variance: float, dim: int = 2) -> float:
    """E|X| of N(m, v I), |m| = shift: √(2v) Γ((d+1)/2)/Γ(d/2) ₁F₁(-½; d/2; -|m|²/2v)."""
    lead = math.sqrt(2 * variance) * gamma((dim + 1) / 2) / gamma(dim / 2)
    return float(lead * hyp1f1(-0.5, dim / 2, -(shift**2) / (2 * variance)))


def energy(shift: float, std: float) -> float:
    """Energy distance of N(0, I) and N(m, std² I) in the plane."""
    own = mean_distance(0.0, 2.0) + mean_distance(0.0, 2 * std**2)
    return 2 * mean_distance(shift, 1 + std**2) - own


def mean_kernel(shift: float, variance: float, width: float, dim: int = 2) -> float:
    """E exp(-|X|²/2h²) of N(m, v I), |m| = shift: (h²/(h² + v))^(d/2) exp(-|m|²/2(h² + v))."""
    total = width**2 + variance
    return float((width**2 / total) ** (dim / 2) * math.exp(-(shift**2) / (2 * total)))


def squared_mmd(shift: float, std: float) -> float:
    """Squared MMD of the same, at the metric's own width of the kernel."""
    width = typical_distance(PLANE)
    own = mean_kernel(0.0, 2.0, width) + mean_kernel(0.0, 2 * std**2, width)
    return own - 2 * mean_kernel(shift, 1 + std**2, width)


_MODEL = "samples of N(m, 2.25 I), m of length 1, for N(0, I) in the plane"

CASES = (
    floor_of("energy-distance"),
    Case("energy-distance", _MODEL, lambda: energy(math.hypot(*SHIFT), STD), "closed form", SIZE,
         compared(PLANE, OTHER, SIZE, GROUPS), GROUPS),
    floor_of("mmd"),
    Case("mmd", _MODEL, lambda: squared_mmd(math.hypot(*SHIFT), STD), "closed form", SIZE,
         compared(PLANE, OTHER, SIZE, GROUPS), GROUPS),
)  # fmt: skip
