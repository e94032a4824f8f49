"""Cases of the divergences in nats: one Gaussian's denoiser in place of another's, where all is Gaussian."""

import math

import numpy as np

from toylab.calibration.case import Case
from toylab.calibration.fields import OTHER, gaussian_squared_gap
from toylab.calibration.line import Line
from toylab.calibration.standins import SCHEDULE, exact, fresh

MODEL = Line((1.2,), (0.8,))

_NODES = 20_001


def gaussian_divergence(m1: float, s1: float, m2: float, s2: float) -> float:
    """KL(N(m1, s1²) ‖ N(m2, s2²)) = log s2/s1 + (s1² + (m1 - m2)²)/2s2² - ½, in nats."""
    return math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5


def generated() -> tuple[float, float]:
    """Mean and standard deviation at t_min of what the model's probability flow makes of the prior.

    The flow of a Gaussian keeps (x - αm)/√(α²s² + σ²).
    """
    (m,), (s,), ((a0, b0), (a1, b1)) = MODEL.means, MODEL.stds, ends()
    shrink = math.hypot(a0 * s, b0) / math.hypot(a1 * s, b1)
    return a0 * m - shrink * a1 * m, shrink * math.hypot(a1, b1)


def flow_divergence() -> float:
    """KL of the law, noised to t_min, from that."""
    (m,), (s,), ((alpha, sigma), _) = OTHER.means, OTHER.stds, ends()
    return gaussian_divergence(alpha * m, math.hypot(alpha * s, sigma), *generated())


def path_divergence() -> float:
    """Girsanov's bound: KL(p_T ‖ prior) at t_max, and the integral of E‖ε_θ - ε‖² over log σ/α."""
    (m,), (s,), ((a0, b0), (a1, b1)) = OTHER.means, OTHER.stds, ends()
    log_ratio = np.linspace(math.log(b0 / a0), math.log(b1 / a1), _NODES)
    alpha = 1 / np.sqrt(1 + np.exp(2 * log_ratio))  # this schedule preserves the variance
    gaps = [gaussian_squared_gap(MODEL, OTHER, a, a * math.exp(r)) for a, r in zip(alpha, log_ratio, strict=True)]
    prior = gaussian_divergence(a1 * m, math.hypot(a1 * s, b1), 0.0, math.hypot(a1, b1))
    return prior + float(np.trapezoid(gaps, log_ratio))


def ends() -> tuple[tuple[float, float], tuple[float, float]]:
    """α and σ at t_min and at t_max."""
    first, last = (tuple(float(level) for level in SCHEDULE(t)) for t in (SCHEDULE.t_min, SCHEDULE.t_max))
    return (first[0], first[1]), (last[0], last[1])


_MODEL = "denoiser of N(1.2, 0.8²) for that of N(0.5, 0.7²)"

CASES = (
    Case("kl", _MODEL, flow_divergence, "closed form", 100, fresh(100, denoiser=exact(MODEL), law=OTHER.law)),
    Case("girsanov-bound", _MODEL, path_divergence, "quadrature over log σ/α", 100,
         fresh(100, denoiser=exact(MODEL), law=OTHER.law)),
)  # fmt: skip
