"""DPM-Solver++, second order, multistep (Lu et al., arXiv:2211.01095), for the probability flow and the reverse SDE.

In λ = log α/σ both equations are linear but for x0, and are solved exactly while x0 is linear in λ; its slope is that
over the step before. With h = λ_s - λ_t, h' the step before, and

    D = x0 + (h/2h') (x0 - x0')              x0' that of the step before; D = x0 in the first step

    dpm-solver++        x_s = (σ_s/σ_t) x_t + α_s (1 - e^-h) D                                    (algorithm 2)
    sde-dpm-solver++    x_s = (σ_s/σ_t) e^-h x_t + α_s (1 - e^-2h) D + σ_s √(1 - e^-2h) z

Their first steps are those of DDIM and of ancestral sampling.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.randomness import Generators


def dpm_solver_pp(denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators = None) -> Iterator[Tensor]:
    """DPM-Solver++(2M): deterministic, second order in λ."""
    return _multistep(denoiser, x, times, generators, stochastic=False)


def sde_dpm_solver_pp(denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators = None) -> Iterator[Tensor]:
    """SDE-DPM-Solver++(2M): weakly second order in λ."""
    return _multistep(denoiser, x, times, generators, stochastic=True)


def _multistep(
    denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators, stochastic: bool
) -> Iterator[Tensor]:
    before: tuple[Tensor, Tensor] | None = None  # x0 and h of the step before
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
        h = (alpha_s / sigma_s).log() - (alpha_t / sigma_t).log()
        x0 = denoiser.x0(x, t)
        d = x0 if before is None else x0 + h / (2 * before[1]) * (x0 - before[0])
        if stochastic:
            drawn = -torch.expm1(-2 * h)
            z = randomness.randn(x.shape, generators, x)
            x = sigma_s / sigma_t * (-h).exp() * x + alpha_s * drawn * d + sigma_s * drawn.sqrt() * z
        else:
            x = sigma_s / sigma_t * x - alpha_s * torch.expm1(-h) * d
        before = x0, h
        yield x
