"""Smoothness of the learned field: its Jacobian and its equivariance, against those of the exact one.

With J = σ ∂ε/∂x_t, of the exact denoiser J = I - (α²/σ²) Cov[x_0 | x_t]: symmetric, its eigenvalues at most 1. They
are near 1 across the data, near 0 along it, and negative between modes.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate
from toylab.randomness import Generators


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


def jacobian_spectrum(denoiser: Denoiser, x_t: Tensor, t: float) -> Estimate:
    """Mean eigenvalues of (J + Jᵀ)/2 over the points (..., n, d), by rank, the largest first: (..., d). No unit."""
    return Estimate.of_mean(_eigenvalues(denoiser, x_t, t).mT)


def spectrum_error(denoiser: Denoiser, law: Distribution, x_t: Tensor, t: float) -> Estimate:
    """E Σ_i (λ_i - λ*_i)²/d over the points given, λ* the eigenvalues for `law`, by rank. No unit.

    At most `jacobian_error` (Hoffman and Wielandt 1953): what is left of it are eigenvectors, and rotation.
    """
    gap = _eigenvalues(denoiser, x_t, t) - _eigenvalues(Exact(law, denoiser.schedule), x_t.double(), t)
    return Estimate.of_mean(gap.square().mean(-1))


@torch.no_grad()
def equivariance_error(
    denoiser: Denoiser, x_t: Tensor, t: float, generators: Generators, radius: float = 1.0
) -> Estimate:
    """E ‖ε(x_t + σω) - ε(x_t) - ω‖²/‖ω‖² over the points given, ω uniform on the sphere of `radius` noise units.

    0 for a field that moves with the push, 1 for one that stays. The exact denoiser has an error of its own, since the
    data are no single point: read it beside `exact-clean` and `exact-contaminated`. Their ω are the same.
    """
    z = randomness.randn(x_t.shape, generators, x_t)
    omega = radius * z / z.norm(dim=-1, keepdim=True)
    level = denoiser.at(t)
    gap = level.eps(level.pushed(x_t, omega)) - level.eps(x_t) - omega
    return Estimate.of_mean(gap.double().square().sum(-1) / radius**2)


def _eigenvalues(denoiser: Denoiser, x_t: Tensor, t: float) -> Tensor:
    """Of the symmetric part of J (..., d), the largest first."""
    jacobian = eps_jacobian(denoiser, x_t, t).double()
    return where_finite(torch.linalg.eigvalsh, (jacobian + jacobian.mT) / 2).flip(-1)


def where_finite(spectrum: Callable[[Tensor], Tensor], matrices: Tensor) -> Tensor:
    """The spectra (..., d) of matrices (..., d, d), NaN where one is not finite: LAPACK would refuse them all."""
    finite = matrices.isfinite().all(-1).all(-1)
    values = spectrum(torch.where(finite[..., None, None], matrices, 0.0))
    return torch.where(finite[..., None], values, torch.nan)
