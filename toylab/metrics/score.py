"""Errors of the learned field against exact ones, in units of ε.

ε*(x_t) = -σ ∇ log p_t(x_t) is exact for a known law, and the exact optimum of an objective for some; points x_t are
given, so these functions are exact in them and Monte Carlo only in how the points were drawn.
"""

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate


@torch.no_grad()
def eps_mse(denoiser: Denoiser, reference: Denoiser, x_t: Tensor, t: float) -> Estimate:
    """E ‖ε_θ(x_t) - ε*(x_t)‖²/d over the points given, ε* of an exact denoiser. Unit: squared noise units."""
    gap = denoiser.eps(x_t, t).double() - reference.eps(x_t.double(), t)
    return Estimate.of_mean(gap.square().mean(-1))


@torch.no_grad()
def noise_share(denoiser: Denoiser, reference: Denoiser, x_t: Tensor, t: float) -> Estimate:
    """How much of the noise that is to be predicted is, over the points given, ε* of an exact denoiser:

        E⟨ε_θ, ε*⟩ / E‖ε*‖²

    1 is all of it. With less, sampling does not come down to the law; more makes it too narrow.
    """
    exact = reference.eps(x_t.double(), t)
    return Estimate.of_ratio((denoiser.eps(x_t, t).double() * exact).sum(-1), exact.square().sum(-1))


@torch.no_grad()
def leakage(denoiser: Denoiser, clean: Distribution, contaminated: Distribution, x_t: Tensor, t: float) -> Estimate:
    """How much of the contamination was learned, over points of the contaminated law at time t:

        leak = E⟨ε_θ - ε_clean, ε_cont - ε_clean⟩ / E‖ε_cont - ε_clean‖²

    0 is the clean score, 1 the contaminated one.
    """
    points = x_t.double()
    eps_clean = Exact(clean, denoiser.schedule).eps(points, t)
    shift = Exact(contaminated, denoiser.schedule).eps(points, t) - eps_clean
    learned = denoiser.eps(x_t, t).double() - eps_clean
    return Estimate.of_ratio((learned * shift).sum(-1), shift.square().sum(-1))
