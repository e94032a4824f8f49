"""Smoothness of the learned field: its Jacobian against the exact one."""

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate


def eps_jacobian(denoiser: Denoiser, x_t: Tensor, t: float) -> Tensor:
    """σ ∂ε_θ/∂x_t (..., d, d), row i the gradient of ε_i: how the predicted noise answers to a push by one
    noise unit. Perfect equivariance is the identity."""
    x = x_t.detach().requires_grad_()
    with torch.enable_grad():
        eps = denoiser.eps(x, t)
        rows = [torch.autograd.grad(eps[..., i].sum(), x, retain_graph=True)[0] for i in range(x.shape[-1])]
    return float(denoiser.schedule(t)[1]) * torch.stack(rows, -2)


def jacobian_error(denoiser: Denoiser, law: Distribution, x_t: Tensor, t: float) -> Estimate:
    """E ‖σ ∂(ε_θ - ε*)/∂x_t‖_F²/d over the points given, ε* of `law`. No unit."""
    exact = eps_jacobian(Exact(law, denoiser.schedule), x_t.double(), t)
    gap = eps_jacobian(denoiser, x_t, t).double() - exact
    return Estimate.of_mean(gap.square().sum((-2, -1)) / x_t.shape[-1])
