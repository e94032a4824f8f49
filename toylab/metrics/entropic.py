"""Entropic optimal transport between two samples, by its dual.

    OT_ε(x, y) = min_P ⟨P, C⟩ + ε KL(P ‖ a ⊗ b) = max_g  mean_i f_i + mean_j g_j
    f_i = -ε log mean_j exp((g_j - C_ij)/ε)

with C = |x - y|² and equal weights a, b. Between modes that are far apart Sinkhorn's iteration takes thousands of
steps, so it only begins, and the concave function of g is then maximised by L-BFGS: a few tens of evaluations.
"""

import math

import numpy as np
import scipy.optimize
import torch
from torch import Tensor

from toylab.metrics.groups import distances

_BEGINNING = 20  # steps of Sinkhorn's iteration; for x = y they are enough
_TOLERANCE = 1e-3  # largest error of a column's mass, relative: the value is off by its square, times ε


def sinkhorn_between(x: Tensor, y: Tensor, reg: float) -> Tensor:
    """Debiased Sinkhorn divergence OT_ε(x, y) - ½ OT_ε(x, x) - ½ OT_ε(y, y) of two samples (n, d) and (m, d), in
    squared units of x; at least 0. NaN where ε = reg is 0 or a cost did not converge."""
    own = 0.5 * (entropic_cost(x, x, reg) + entropic_cost(y, y, reg))
    return (entropic_cost(x, y, reg) - own).clamp(min=0)


def entropic_cost(x: Tensor, y: Tensor, reg: float) -> Tensor:
    """OT_ε of two equally weighted samples (n, d) and (m, d), ε = reg; NaN where that is 0 or it did not converge."""
    cost = distances(x, y).square()
    if not reg > 0:
        return torch.full_like(cost[0, 0], torch.nan)
    cost = cost / reg
    f, g = torch.zeros_like(cost[:, 0]), torch.zeros_like(cost[0])
    for _ in range(_BEGINNING):  # both at once and half-way, which keeps f = g where x = y
        f, g = (f + _softmin(cost - g)) / 2, (g + _softmin(cost.mT - f)) / 2

    def negated(potential: np.ndarray) -> tuple[float, np.ndarray]:
        g = torch.from_numpy(potential).to(cost)
        f = _softmin(cost - g)
        mass = (f[:, None] + g - cost).exp().mean(0)
        return -float(f.mean() + g.mean()), ((mass - 1) / len(g)).cpu().numpy()

    tolerance = _TOLERANCE / len(g)
    _, least, found = scipy.optimize.fmin_l_bfgs_b(
        negated, g.cpu().numpy(), m=20, factr=0.0, pgtol=tolerance, maxfun=4000, maxiter=2000
    )
    converged = np.abs(found["grad"]).max() <= 10 * tolerance  # rounding may end the line search before
    return torch.as_tensor(-reg * least if converged else torch.nan, dtype=cost.dtype, device=cost.device)


def _softmin(cost: Tensor) -> Tensor:
    """-log mean_j exp(-c_ij)."""
    return math.log(cost.shape[-1]) - (-cost).logsumexp(-1)
