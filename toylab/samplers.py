"""Samplers: from noise to data along a decreasing grid of times.

A sampler walks x from times[0] to times[-1]; with s < t two neighbours of the grid, both samplers here are
the Gaussian q(x_s | x_t, x_0 = x0(x_t)) of DDIM (Song et al., arXiv:2010.02502, eq. 7 and 12) written for any
(α, σ),

    x_s = α_s x0(x_t) + √(σ_s² - c²) eps(x_t) + c z,     c² = η² (σ_s²/σ_t²) (σ_t² - (α_t/α_s)² σ_s²)

η = 0 is DDIM, a first-order solver of the probability-flow ODE; η = 1 is DDPM's ancestral sampling with the
posterior variance (Ho et al., arXiv:2006.11239, eq. 6-7). `sample` starts from the prior
N(0, (α² + σ²) I) at t_max, walks to t_min, and ends with E[x_0 | x_{t_min}].
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.randomness import Generators
from toylab.schedules import Schedule

Walk = Callable[[Denoiser, Tensor, Tensor, Generators], Iterator[Tensor]]
"""(denoiser, x at times[0], times (K+1,), generators) -> x at times[1], ..., times[K]; one evaluation each."""


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


def grid(schedule: Schedule, nfe: int) -> Tensor:
    """nfe times, evenly spaced from t_max to t_min, (nfe,) float64. Raises BadInput unless nfe >= 2."""
    if nfe < 2:
        raise BadInput(f"nfe must be at least 2, not {nfe}")
    return torch.linspace(schedule.t_max, schedule.t_min, nfe, dtype=torch.float64)


def prior(schedule: Schedule, shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """N(0, (α² + σ²) I) at t_max: N(0, I) where the variance is preserved."""
    alpha, sigma = schedule(schedule.t_max)
    return float(torch.hypot(alpha, sigma)) * randomness.randn(shape, generators, like)


@torch.no_grad()
def walk_to_data(
    walk: Walk, denoiser: Denoiser, x: Tensor, nfe: int, generators: Generators = None
) -> Iterator[Tensor]:
    """From x at t_max to E[x_0 | x_{t_min}]: nfe states, one evaluation of the denoiser each."""
    times = grid(denoiser.schedule, nfe)
    state = x
    for state in walk(denoiser, x, times, generators):
        yield state
    yield denoiser.x0(state, times[-1])


def sample(walk: Walk, denoiser: Denoiser, x: Tensor, nfe: int, generators: Generators = None) -> Tensor:
    """Samples from the noise x (M, n, d), or (..., d): the last state of `walk_to_data`."""
    for state in walk_to_data(walk, denoiser, x, nfe, generators):
        x = state
    return x
