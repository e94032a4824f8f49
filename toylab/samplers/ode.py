"""Solvers of the probability-flow ODE: Euler in t, Heun in σ/α, and to a tolerance."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.randomness import Generators
from toylab.samplers.probability_flow import ProbabilityFlow, State, Tolerance
from toylab.samplers.walks import costing


def euler(denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators = None) -> Iterator[Tensor]:
    """x_s = x_t + (s - t) (α' x0 + σ' eps): first order in t.

    On rectified flow this is DDIM, and flow matching's own sampler. Elsewhere DDIM is Euler's method in a better
    variable, and this one is less accurate where the schedule is steep.
    """
    for t, s in pairwise(times):
        alpha_rate, sigma_rate = denoiser.schedule.rates(t)
        x0, eps = denoiser.predict(x, t)
        x = x + (s - t) * (alpha_rate * x0 + sigma_rate * eps)
        yield x


@costing(2)
def heun(denoiser: Denoiser, x: Tensor, times: Tensor, generators: Generators = None) -> Iterator[Tensor]:
    """x_s/α_s = x_t/α_t + (u_s - u_t) (eps_t + eps_s)/2, u = σ/α: second order in u.

    eps_s is predicted where DDIM's step ends. Two evaluations a step. On VE it is the deterministic sampler of Karras
    et al. (arXiv:2206.00364, algorithm 1).
    """
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.schedule(t), denoiser.schedule(s)
        step = sigma_s / alpha_s - sigma_t / alpha_t
        eps = denoiser.eps(x, t)
        end = denoiser.eps(alpha_s * (x / alpha_t + step * eps), s)
        x = alpha_s * (x / alpha_t + step * (eps + end) / 2)
        yield x


@costing(None)
def adaptive(
    denoiser: Denoiser,
    x: Tensor,
    times: Tensor,
    generators: Generators = None,
    rtol: Tolerance = 1e-6,
    atol: Tolerance = 1e-6,
) -> Iterator[Tensor]:
    """The flow to a tolerance, by steps of its own that end at the given times; in float64, in the angle atan σ/α.

    Members share their steps, which suit the worst of them: a member is the same to the tolerance, not to the last
    bit, however many there are. Raises BadInput for a tolerance that is not between 0 and 1, or cannot be met.
    """
    flow = ProbabilityFlow(denoiser)
    angles = torch.stack([flow.angle(t) for t in times.double()]).to(x.device)
    scales = [torch.hypot(*denoiser.schedule(t)) for t in times]

    def field(state: State, angle: Tensor) -> State:
        return (flow.velocity(state[0], angle),)

    (path,) = flow.solve(field, (x.double() / scales[0],), angles, rtol, atol)
    for scale, y in zip(scales[1:], path[1:], strict=True):
        yield (scale * y).to(x.dtype)
