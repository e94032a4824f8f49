"""The reverse SDE by the method of Euler and Maruyama.

For x̄ = x/α the forward process is x̄ = x_0 + u z, u = σ/α: Brownian motion in v = u². Its reverse,

    dx̄ = (eps/u) dv + √|dv| dw̄,      v falling

(arXiv:2011.13456, eq. 6, with score -eps/σ) has noise of constant strength in v, which a step of any size draws
exactly, and a drift that keeps its sign: steps never explode, on whatever grid. Stepping x in t instead, whose drift
grows like 1/α, they do on the schedules that end near α = 0.
"""

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.randomness import Generators


def euler_maruyama(denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators = None) -> Iterator[Tensor]:
    """x̄_s = x̄_t + (v_s - v_t) eps/u_t + √(v_t - v_s) z: weakly first order."""
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
        u_t, u_s = sigma_t / alpha_t, sigma_s / alpha_s
        passed = (u_t - u_s) * (u_t + u_s)
        z = randomness.randn(x.shape, generators, x)
        x = alpha_s * (x / alpha_t - passed / u_t * denoiser.eps(x, t) + passed.sqrt() * z)
        yield x
