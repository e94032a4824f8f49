"""Cases of the metrics of samples alone: robustness and support. Samples of another law stand in for a model's."""

import math
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch

from toylab import randomness
from toylab.calibration.case import Case
from toylab.calibration.line import Line
from toylab.calibration.standins import sampled
from toylab.distributions import Distribution, GaussianMixture, Sphere
from toylab.metrics.robustness import Region
from toylab.metrics.support import Subspace

PLANE = GaussianMixture([[0.0, 0.0]], std=1.0)
WIDE = 2.0
MODES = Line((-1.0, 1.0), (0.5, 0.5), (0.5, 0.5))
UNEVEN = Line((-1.1, 0.9), (0.6, 0.4), (0.3, 0.7))
APART = Line((-3.0, 3.0), (0.5, 0.5), (0.5, 0.5))
RARE = Line(APART.means, APART.stds, (0.03, 0.97))
"""Its first mode has six of 200 samples."""
DISC = 0.8
NOISE, TANGENT = 0.2, (1.0, 0.5)


@cache
def region_of(law: Distribution) -> Region:
    """Its 99.9 % region, as a study makes it: the level is known to the spread of a million samples, and what lies
    outside this very level is what a metric estimates."""
    return Region(law, randomness.stream(0, "region"))


@cache
def modes(line: Line = MODES) -> Distribution:
    """As a law, one and the same."""
    return line.law


# -- true values -------------------------------------------------------------------------------------------------------


def mass_outside(std: float) -> float:
    """P(|X| > r) = exp(-r²/2 std²) of N(0, std² I) in the plane, r the radius of the region of N(0, I)."""
    squared_radius = -2 * (region_of(PLANE).level + math.log(2 * math.pi))
    return math.exp(-squared_radius / (2 * std**2))


def of_mode(k: int, f: Callable[[np.ndarray], np.ndarray], line: Line = MODES, sampled: Line = UNEVEN) -> float:
    """E f(X) r_k(X), X of the law that is sampled, r_k the responsibility of mode k of a line inside its region, else
    0."""
    level = region_of(modes(line)).level

    def weighted(x: np.ndarray) -> np.ndarray:
        parts = line.parts(x)
        inside = np.log(parts.sum(0)) >= level
        return np.where(inside, parts[k] / parts.sum(0), 0.0) * f(x)

    return sampled.mean_of(weighted)


def weight_of_mode(k: int, line: Line = MODES, sampled: Line = UNEVEN) -> float:
    """Its share of what is inside."""
    masses = [of_mode(j, np.ones_like, line, sampled) for j in range(2)]
    return masses[k] / sum(masses)


def width_of_mode(k: int) -> float:
    """Its standard deviation."""
    mass, first, second = of_mode(k, np.ones_like), of_mode(k, lambda x: x), of_mode(k, np.square)
    return math.sqrt(second / mass - (first / mass) ** 2)


def distance_to_circle() -> float:
    """E | |X| - 1 | of N(0, DISC² I) in the plane: |X| has the density r/s² exp(-r²/2s²)."""
    r = np.linspace(0, 12 * DISC, 200_001)
    return float(np.trapezoid(np.abs(r - 1) * r / DISC**2 * np.exp(-(r**2) / (2 * DISC**2)), r))


def mean_decibels() -> float:
    """E 10 log₁₀(4 · 3/z²), z ~ N(0, NOISE²), as E log χ²₁ = ψ(½) + log 2 = -γ - log 2."""
    return 10 / math.log(10) * (math.log(12 / NOISE**2) + float(np.euler_gamma) + math.log(2))


# -- what stands in for a model ----------------------------------------------------------------------------------------


def plane_in_space() -> Subspace:
    """The plane orthogonal to (1, 1, 1), away from the origin."""
    basis = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    return Subspace(basis / basis.norm(dim=0), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))


def about_plane() -> GaussianMixture:
    """A Gaussian about that plane, with unequal standard deviations in it and NOISE off it."""
    basis, centre = plane_in_space()
    normal = torch.ones(3, 1, dtype=torch.float64) / math.sqrt(3)
    axes = torch.cat([basis, normal], 1) * torch.tensor([*TANGENT, NOISE], dtype=torch.float64)
    return GaussianMixture(centre[None], cov=axes @ axes.mT)


_LINE = "quadrature on the line"
_OTHER_MODES = "samples of two other modes on the line, mode"
_OFF_PLANE = "samples about a plane in space, 0.2 off it"

CASES = (
    Case("outlier-mass", "samples of N(0, 4 I) for N(0, I) in the plane", lambda: mass_outside(WIDE),
         "closed form", 100,
         sampled(GaussianMixture([[0.0, 0.0]], std=WIDE), 100, region=lambda: region_of(PLANE))),
    Case("outlier-mass", "exact samples", lambda: mass_outside(1.0), "closed form", 5000,
         sampled(PLANE, 5000, region=lambda: region_of(PLANE))),
    *(Case("mode-weight", f"{_OTHER_MODES} {k + 1}", partial(weight_of_mode, k), _LINE, 200,
           sampled(UNEVEN, 200, modal_region=lambda: region_of(modes())), part=k) for k in range(2)),
    Case("mode-weight", "samples of a rare mode on the line, six expected", lambda: weight_of_mode(0, APART, RARE),
         _LINE, 200, sampled(RARE, 200, modal_region=lambda: region_of(modes(APART))), part=0),
    *(Case("mode-width", f"{_OTHER_MODES} {k + 1}", partial(width_of_mode, k), _LINE, 200,
           sampled(UNEVEN, 200, modal_region=lambda: region_of(modes())), part=k) for k in range(2)),
    Case("distance", "samples of N(0, 0.64 I) for the unit circle", distance_to_circle,
         "quadrature over the radius", 100,
         sampled(GaussianMixture([[0.0, 0.0]], std=DISC), 100, support=lambda: Sphere(2))),
    Case("normal-std", _OFF_PLANE, lambda: NOISE, "closed form", 200,
         sampled(about_plane(), 200, subspace=plane_in_space)),
    Case("tangent-std", _OFF_PLANE, lambda: math.hypot(*TANGENT) / math.sqrt(2), "closed form", 200,
         sampled(about_plane(), 200, subspace=plane_in_space)),
    Case("psnr", _OFF_PLANE, mean_decibels, "closed form", 100,
         sampled(about_plane(), 100, subspace=plane_in_space)),
)  # fmt: skip
