"""The log-likelihood of points under a denoiser, by the probability-flow ODE.

A denoiser defines a law: what the flow dy/dφ = v(y, φ) makes of a terminal law at t_max (samplers/probability_flow.py).
The density of points x at t_min is that of the terminal law where the flow carries them, and the volume it changes by,

    log p(x) = log p_T(x_T) + ∫ ∇·v(y_φ, φ) dφ + d log (r_T/r),     from φ(t_min) to φ(t_max),  r = √(α² + σ²)

(instantaneous change of variables: Song et al., arXiv:2011.13456, eq. 39). With the exact denoiser and the law itself
as terminal law it is the law's own density, to the tolerance; with the prior N(0, r² I), from which samplers start, the
difference is the prior's part of the error (`prior_gap`). It is the likelihood of the deterministic samplers' law, in
the limit of many steps. For the reverse SDE see `metrics.likelihood.girsanov_bound`.
"""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.randomness import Generators
from toylab.samplers import Counted, ProbabilityFlow
from toylab.samplers.probability_flow import State
from toylab.schedules import Schedule

Terminal: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (..., d), α, σ) -> log-density (...): `law.log_prob`, or `prior_log_prob`."""

MOST = 20_000
"""Evaluations of the denoiser after which a likelihood is given up."""


class LogLikelihood(NamedTuple):
    """value (...) in nats; stderr (...), that of the divergence's estimate, 0 where it is exact; how many evaluations
    of the denoiser it took, a gradient or more with each."""

    value: Tensor
    stderr: Tensor
    evaluations: int


def prior_log_prob(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """log N(x; 0, (α² + σ²) I): (..., d) -> (...)."""
    variance = alpha**2 + sigma**2
    return -0.5 * (x.square().sum(-1) / variance + x.shape[-1] * (2 * math.pi * variance).log())


def prior_gap(law: Distribution, schedule: Schedule, x: Tensor, terminal: Terminal = prior_log_prob) -> Tensor:
    """log p_T - log prior, in nats, at states x_T (..., d) of the law at t_max: (...).

    By so much log-likelihoods fall when the flow starts from the prior, N(0, (α² + σ²) I), or the terminal law given,
    instead of the law's own x_T: it carries both densities by the same volume. The mean over the law is
    KL(p_T ‖ prior), and with the exact denoiser that of what the flow makes of either.
    """
    alpha, sigma = schedule(schedule.t_max)
    return law.log_prob(x, alpha, sigma) - terminal(x, alpha, sigma)


def log_likelihood(
    denoiser: Denoiser,
    x: Tensor,
    terminal: Terminal = prior_log_prob,
    probes: int | None = None,
    generators: Generators = None,
    tolerance: float = 1e-8,
) -> LogLikelihood:
    """Log-density, in nats, of points x (M, n, d) or (..., d) of the noised law at t_min; float64.

    probes: None for the exact divergence, by d gradients an evaluation; else Hutchinson's estimate from that many
    random signs a point, ∇·v = E[zᵀ(∂v/∂y)z], drawn once and kept along the path (as arXiv:1810.01367): unbiased, its
    standard error over the probes (NaN for one). tolerance: relative and absolute, of y and of the integral; the error
    of the result is some tens of times it. A network is evaluated in float64. Raises BadInput for less than one probe,
    and where the tolerance cannot be met by `MOST` evaluations.
    """
    if probes is not None and probes < 1:
        raise BadInput(f"probes must be at least 1, or None for the exact divergence, not {probes}")
    counted = Counted(_in_double(denoiser), most=MOST)
    flow, schedule = ProbabilityFlow(counted), denoiser.schedule
    x = x.double()
    first, last = schedule(schedule.t_min), schedule(schedule.t_max)
    signs = None if probes is None else _signs(x, probes, generators)

    def field(state: State, angle: Tensor) -> State:
        with torch.enable_grad():
            y = state[0].detach().requires_grad_()
            velocity = flow.velocity(y, angle)
            divergence = _exact(velocity, y) if signs is None else _hutchinson(velocity, y, signs)
        return velocity.detach(), divergence

    with torch.no_grad():
        angles = torch.stack([flow.angle(schedule.t_min), flow.angle(schedule.t_max)]).to(x.device)
        start = (x / torch.hypot(*first), x.new_zeros((*x.shape[:-1], probes or 1)))
        y, gained = (part[-1] for part in flow.solve(field, start, angles, tolerance, tolerance))
        volume = x.shape[-1] * (torch.hypot(*last) / torch.hypot(*first)).log()
        at_end = terminal(torch.hypot(*last) * y, *last)
    spread = torch.zeros_like(at_end) if probes is None else _stderr(gained)
    return LogLikelihood(at_end + gained.mean(-1) + volume, spread, counted.evaluations)


def _in_double(denoiser: Denoiser) -> Denoiser:
    """A network's rounding in float32 would hide what the solver controls."""
    return copy.deepcopy(denoiser).double() if isinstance(denoiser, nn.Module) else denoiser


def _signs(x: Tensor, probes: int, generators: Generators) -> Tensor:
    """±1 (probes, ..., d), drawn with the leading axes of x first."""
    drawn = randomness.rand((*x.shape[:-1], probes, x.shape[-1]), generators, x)
    return (2 * (drawn < 0.5).to(x) - 1).movedim(-2, 0)


def _stderr(estimates: Tensor) -> Tensor:
    """Standard error of the mean over the last axis; that of a single one is NaN."""
    n = estimates.shape[-1]
    return estimates.std(-1) / n**0.5 if n > 1 else torch.full_like(estimates[..., 0], torch.nan)


def _exact(velocity: Tensor, y: Tensor) -> Tensor:
    """∇·v (..., 1): the points do not see each other, so a gradient gives a row of every point's Jacobian."""
    parts = [torch.autograd.grad(velocity[..., i].sum(), y, retain_graph=True)[0][..., i] for i in range(y.shape[-1])]
    return torch.stack(parts).sum(0)[..., None]


def _hutchinson(velocity: Tensor, y: Tensor, signs: Tensor) -> Tensor:
    """zᵀ(∂v/∂y)z (..., probes)."""
    rows = [(z * torch.autograd.grad(velocity, y, z, retain_graph=True)[0]).sum(-1) for z in signs]
    return torch.stack(rows, -1)
