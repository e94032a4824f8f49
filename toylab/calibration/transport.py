"""Cases of transport metrics: samples against fresh exact samples, group by group.

A distance of finite samples depends on their number. So three things are asked for:

    the floor       exact samples, whose value minus the floor is 0
    a shift         of a Gaussian by m: by far more than its width, so that the bias, at most E W2²(centred)/2m, is
                    nothing beside the interval; the closed form for two Gaussians is then m
    another scale   mostly on the line, with the expectation at this very number of points: of W1 by binomials, of
                    squared W2 by order statistics, of Fréchet's distance by χ laws; of Sinkhorn's from draws
    other axes      in the plane, where no coordinate can be matched by itself and covariances do not commute: from
                    draws, of W1 and W2 by scipy's assignment, of Fréchet's distance by a form that holds in the plane
"""

from functools import cache

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln, ndtr
from scipy.stats import binom

from toylab.calibration.case import Case
from toylab.calibration.line import Line
from toylab.calibration.standins import compared
from toylab.distributions import GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.metrics.groups import typical_distance

SIZE, GROUPS = 25, 8
FEW, THREE = 10, 3
"""Size and number of the groups for `sinkhorn`, which is slow."""

FAR = 1000.0
NORMAL = Line()
BROAD = Line((0.5,), (2.0,))
PLANE = GaussianMixture([[0.0, 0.0]], std=1.0)
SHIFTED = GaussianMixture([[0.6 * FAR, 0.8 * FAR]], std=torch.tensor([[0.5, 1.5]], dtype=torch.float64))
SCALED = GaussianMixture([[0.0, 0.0]], std=2.0)

LONG, TURN = np.array([2.0, 0.5]), np.array([[1.0, -1.0], [1.0, 1.0]]) / 2**0.5
"""Standard deviations of a Gaussian in the plane, and by what another one like it is turned: 45°."""
UPRIGHT = GaussianMixture([[0.0, 0.0]], cov=np.diag(LONG**2).tolist())
TURNED = GaussianMixture([[0.0, 0.0]], cov=(TURN * LONG**2 @ TURN.T).tolist())

BLUR = 0.5
"""Of `sinkhorn` in the last of its cases: the larger, the further from W2."""

_DRAWS = 100_000
_SLOW_DRAWS, _ITERATIONS = 5_000, 60


# -- true values -------------------------------------------------------------------------------------------------------


def mean_w1(one: Line, other: Line, n: int) -> float:
    """E W1 of n points of either, ∫ E|F_n - G_n| dx: n F_n(x) and n G_n(x) are independent binomials."""
    x = np.linspace(-16, 16, 8001)
    k = np.arange(n)[:, None]
    low, high = (binom.cdf(k, n, line.cdf(x)) for line in (one, other))
    return float(np.trapezoid((low * (1 - high) + high * (1 - low)).sum(0) / n, x))


@cache
def normal_order_statistics(n: int) -> np.ndarray:
    """E of the i-th smallest of n standard normal numbers (n,), by quadrature."""
    z = np.linspace(-12, 12, 4001)
    i = np.arange(1, n + 1)[:, None]
    log_density = (
        gammaln(n + 1) - gammaln(i) - gammaln(n - i + 1) - 0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        + (i - 1) * np.log(ndtr(z)) + (n - i) * np.log(ndtr(-z))
    )  # fmt: skip
    return np.asarray(np.trapezoid(z * np.exp(log_density), z))


def mean_squared_w2(one: Line, other: Line, n: int) -> float:
    """E W2² of n points of either of two Gaussians: on a line the i-th smallest are matched."""
    (m1,), (s1,), (m2,), (s2,) = one.means, one.stds, other.means, other.stds
    return (m1 - m2) ** 2 + s1**2 + s2**2 - 2 * s1 * s2 * float(np.mean(normal_order_statistics(n) ** 2))


def mean_w2(one: Line, other: Line, n: int) -> float:
    """E W2 = (E W2² - Var W2)^½, the variance alone from draws: of order 1/n, known to half a percent."""
    (m1,), (s1,), (m2,), (s2,) = one.means, one.stds, other.means, other.stds
    noise = np.random.default_rng(0)
    x, y = (np.sort(m + s * noise.standard_normal((_DRAWS, n)), 1) for m, s in ((m1, s1), (m2, s2)))
    variance = np.sqrt(((x - y) ** 2).mean(1)).var()
    return float(np.sqrt(mean_squared_w2(one, other, n) - variance))


def mean_sliced(std: float, n: int, projections: int = 200) -> float:
    """E of sliced W2 between N(0, I) and N(0, std² I) in the plane, likewise: every projection is the line's."""
    noise = np.random.default_rng(0)
    distances = []
    for _ in range(_DRAWS // 50):
        x, y = noise.standard_normal((n, 2)), std * noise.standard_normal((n, 2))
        angle = noise.uniform(0, 2 * np.pi, projections)
        directions = np.stack([np.cos(angle), np.sin(angle)])
        gap = np.sort(x @ directions, 0) - np.sort(y @ directions, 0)
        distances.append(np.sqrt((gap**2).mean()))
    squared = mean_squared_w2(NORMAL, Line((0.0,), (std,)), n)
    return float(np.sqrt(squared - np.var(distances)))


def mean_assigned(power: int, n: int = SIZE, draws: int = _DRAWS // 5) -> float:
    """E of the Wasserstein distance of this power between n points of UPRIGHT and of TURNED: between equal samples the
    best plan is an assignment."""
    values = []
    for x, y in zip(*drawn_in_plane(draws, n), strict=True):
        cost = np.linalg.norm(x[:, None] - y, axis=-1) ** power
        values.append(cost[linear_sum_assignment(cost)].mean() ** (1 / power))
    return float(np.mean(values))


def frechet_in_plane(gap: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """W2 of Gaussians from the gap of their means (..., 2) and their covariances (..., 2, 2): in the plane
    tr (AB)^½ = (tr AB + 2 √(det A det B))^½, whether they commute or not."""
    product = np.einsum("...ij,...ji->...", one, other)
    root = np.sqrt(product + 2 * np.sqrt(np.linalg.det(one) * np.linalg.det(other)))
    traces = np.trace(one, axis1=-2, axis2=-1) + np.trace(other, axis1=-2, axis2=-1)
    return np.asarray(np.sqrt((gap**2).sum(-1) + traces - 2 * root))


def mean_frechet_in_plane(n: int = SIZE) -> float:
    """E of Fréchet's distance between n points of UPRIGHT and of TURNED."""
    means, covs = [], []
    for z in drawn_in_plane(_DRAWS, n):
        means.append(z.mean(1))
        centred = z - z.mean(1, keepdims=True)
        covs.append(np.einsum("kni,knj->kij", centred, centred) / (n - 1))
    return float(frechet_in_plane(means[0] - means[1], *covs).mean())


def drawn_in_plane(draws: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of UPRIGHT and of TURNED, (draws, n, 2) both."""
    x, y = np.random.default_rng(0).standard_normal((2, draws, n, 2)) * LONG
    return x, y @ TURN.T


def mean_sinkhorn(one: Line, other: Line, n: int) -> tuple[float, float]:
    """E S^½ of n points of either, and its standard error, from draws, by Sinkhorn's iteration."""
    noise = np.random.default_rng(0)
    draws = (_SLOW_DRAWS, n)
    x, y = (line.means[0] + line.stds[0] * noise.standard_normal(draws) for line in (one, other))
    reg = BLUR * typical_distance(one.law) ** 2
    divergence = _entropic(x, y, reg) - (_entropic(x, x, reg) + _entropic(y, y, reg)) / 2
    roots = np.sqrt(np.clip(divergence, 0, None))
    return float(roots.mean()), float(roots.std() / len(roots) ** 0.5)


def _entropic(x: np.ndarray, y: np.ndarray, reg: float) -> np.ndarray:
    """OT_ε of every pair of samples (draws, n) on the line, the mean of the dual potentials f and g."""

    def softmin(cost: np.ndarray) -> np.ndarray:
        least = cost.min(-1, keepdims=True)
        return np.asarray(least[..., 0] - np.log(np.exp(least - cost).mean(-1)))

    cost = (x[:, :, None] - y[:, None]) ** 2 / reg
    f = np.zeros_like(x)
    for _ in range(_ITERATIONS):
        g = softmin(cost.transpose(0, 2, 1) - f[:, None])
        f = softmin(cost - g[:, None])
    return np.asarray(reg * (f + g).mean(-1))


def mean_frechet(one: Line, other: Line, n: int) -> float:
    """E ((x̄ - ȳ)² + (s_x - s_y)²)^½ of n points of either of two Gaussians: x̄ is normal and s_x a scaled χ."""
    (m1,), (s1,), (m2,), (s2,) = one.means, one.stds, other.means, other.stds
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    gap = m1 - m2 + np.hypot(s1, s2) / n**0.5 * nodes
    r = np.linspace(1e-9, 3.0, 601)  # s/σ
    density = r ** (n - 2) * np.exp(-0.5 * (n - 1) * (r**2 - 1))
    density /= density.sum()
    spread = (s1 * r[:, None] - s2 * r) ** 2
    value = sum(w * np.sqrt(g**2 + spread) for g, w in zip(gap, weights / weights.sum(), strict=True))
    return float(density @ value @ density)


# -- what stands in for a model ----------------------------------------------------------------------------------------


def floor_of(metric: str, size: int = SIZE, groups: int = GROUPS) -> Case:
    """Exact samples of three Gaussians in the plane."""
    law = three_gaussians()
    return Case(metric, "exact samples, minus the floor", lambda: 0.0, "the same law twice", size,
                compared(law, law, size, groups), groups, floor=True)  # fmt: skip


def shift_of(metric: str, truth: float = FAR, size: int = SIZE, groups: int = GROUPS) -> Case:
    """A Gaussian in the plane moved far away, and stretched."""
    return Case(metric, "samples of another Gaussian, 1000 away", lambda: truth, "closed form", size,
                compared(PLANE, SHIFTED, size, groups), groups)  # fmt: skip


_SCALE = "samples of N(0.5, 2²) for N(0, 1)"
_ON_LINE = compared(NORMAL, BROAD, SIZE, GROUPS)
_AXES = "samples of a long Gaussian in the plane, turned by 45°"
_ASSIGNED = "20,000 draws, to 0.002; at this n"
_IN_PLANE = compared(UPRIGHT, TURNED, SIZE, GROUPS)

CASES = (
    floor_of("w1"),
    shift_of("w1"),
    Case("w1", _SCALE, lambda: mean_w1(NORMAL, BROAD, SIZE), "binomials, at this n", SIZE, _ON_LINE, GROUPS),
    Case("w1", _AXES, lambda: mean_assigned(1), _ASSIGNED, SIZE, _IN_PLANE, GROUPS),
    floor_of("w2"),
    shift_of("w2"),
    Case("w2", _SCALE, lambda: mean_w2(NORMAL, BROAD, SIZE), "order statistics, at this n", SIZE, _ON_LINE, GROUPS),
    Case("w2", _AXES, lambda: mean_assigned(2), _ASSIGNED, SIZE, _IN_PLANE, GROUPS),
    floor_of("sliced-w2"),
    shift_of("sliced-w2", FAR / 2**0.5),
    Case("sliced-w2", "samples of N(0, 4 I) for N(0, I) in the plane", lambda: mean_sliced(2.0, SIZE),
         "order statistics, at this n", SIZE, compared(PLANE, SCALED, SIZE, GROUPS), GROUPS),
    floor_of("sinkhorn", FEW, THREE),
    shift_of("sinkhorn", FAR, FEW, THREE),
    Case("sinkhorn", f"{_SCALE}, blur {BLUR}", lambda: mean_sinkhorn(NORMAL, BROAD, FEW)[0],
         "5,000 draws, to 0.007; at this n", FEW, compared(NORMAL, BROAD, FEW, THREE, blur=BLUR), THREE),
    floor_of("frechet"),
    shift_of("frechet"),
    Case("frechet", _SCALE, lambda: mean_frechet(NORMAL, BROAD, SIZE), "χ laws, at this n", SIZE, _ON_LINE, GROUPS),
    Case("frechet", _AXES, mean_frechet_in_plane, "100,000 draws, to 0.001; at this n", SIZE, _IN_PLANE, GROUPS),
)  # fmt: skip
