"""DDIM and ancestral sampling.

With s < t two neighbours of the grid, both are the Gaussian q(x_s | x_t, x_0 = x0(x_t)) of DDIM (Song et al.,
arXiv:2010.02502, eq. 7 and 12) written for any (α, σ),

    x_s = α_s x0(x_t) + √(σ_s² - c²) eps(x_t) + c z,     c² = η² (σ_s²/σ_t²) (σ_t² - (α_t/α_s)² σ_s²)

η = 0 is DDIM, Euler's method for d(x/α) = eps du, u = σ/α; η = 1 is DDPM's ancestral sampling with the posterior
variance (Ho et al., arXiv:2006.11239, eq. 6-7), which solves the reverse SDE exactly while x0 does not change. Any η
between them is weakly of first order, in λ = -log u, for

    d(x/α) = (1 + η²) eps du + η √(d(u²)) dw̄

which has the marginals of both.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.randomness import Generators


def ddim(
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    generators: Generators = None,
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Iterator[Tensor]:
    """DDIM with noise share eta: deterministic at 0, ancestral at 1. Raises BadInput for another eta."""
    if not 0 <= eta <= 1:
        raise BadInput(f"eta must be between 0 and 1, not {eta}")
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
        x0, eps = denoiser.predict(x, t)
        if eta == 0:
            x = alpha_s * x0 + sigma_s * eps
        else:
            variance = (eta * sigma_s / sigma_t) ** 2 * (sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2)
            z = randomness.randn(x.shape, generators, x)
            x = alpha_s * x0 + (sigma_s**2 - variance).clamp(min=0).sqrt() * eps + variance.clamp(min=0).sqrt() * z
        yield x


def ddpm(denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators = None) -> Iterator[Tensor]:
    """Ancestral sampling; on DDPM(T) with NFE = T, row by row as published."""
    return ddim(denoiser, x, times, generators, eta=1.0)
