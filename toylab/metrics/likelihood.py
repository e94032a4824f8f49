"""Kullback-Leibler divergences between the law and what a denoiser makes of the prior, in nats.

Two different laws come out of one denoiser: that of the probability-flow ODE, whose density is known
(toylab/likelihood.py), and that of the reverse SDE, whose density is not, but which Girsanov's theorem bounds. They are
the same law only where the denoiser is exact. Both are compared at t_min, where every noised law has a density.
"""

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.likelihood import Terminal, log_likelihood, prior_gap, prior_log_prob
from toylab.metrics.estimate import Estimate
from toylab.randomness import Generators

POINTS = 1000

EXACT_DIM = 16
"""Up to how many dimensions `kl` takes the exact divergence."""


def kl(
    denoiser: Denoiser,
    law: Distribution,
    generators: Generators,
    size: int = POINTS,
    terminal: Terminal = prior_log_prob,
) -> Estimate:
    """KL(law ‖ model) = E[log p - log p_θ] over `size` fresh points of the law at t_min, in nats.

    p_θ is what the probability flow makes of the prior N(0, (α² + σ²) I), or of the terminal law given. Monte Carlo in
    the points; the divergence is exact to 16 dimensions, and beyond estimated with one probe a point, without bias and
    within the standard error given. (M,) for one generator a member, () for one. The contamination's, the objective's,
    the learning's and the prior's parts of the error all show in it, the discretisation's does not.
    """
    alpha, sigma = denoiser.schedule(denoiser.schedule.t_min)
    x0, z = _draws(law, generators, size)
    x = alpha * x0 + sigma * z
    probes = None if law.dim <= EXACT_DIM else 1
    own = law.log_prob(x, alpha, sigma)
    try:
        model = log_likelihood(denoiser, x, terminal, probes, generators).value
    except BadInput:
        model = torch.full_like(own, torch.nan)
    return Estimate.of_mean(own - model)


@torch.no_grad()
def girsanov_bound(
    denoiser: Denoiser,
    law: Distribution,
    generators: Generators,
    size: int = POINTS,
    terminal: Terminal = prior_log_prob,
    levels: int = 64,
) -> Estimate:
    """Girsanov's bound on KL(law ‖ model) at t_min, the model being the *reverse SDE* with this denoiser, in nats:

        KL(p_T ‖ prior) + ½ ∫ g² E‖s_θ - s‖² dt  =  KL(p_T ‖ prior) + ∫ E‖ε_θ - ε‖² d log σ/α

    the divergence between the two laws of whole paths (Song et al., arXiv:2101.09258, theorem 1), which bounds that
    between their ends. It says nothing of the probability-flow ODE, whose likelihood is `kl`. Monte Carlo in `size`
    points, each followed through all noise levels; Gauss-Legendre quadrature over `levels` of them in log σ/α. Shapes
    as in `kl`. Raises BadInput unless there is a level.
    """
    if levels < 1:
        raise BadInput(f"levels must be at least 1, not {levels}")
    schedule, exact = denoiser.schedule, Exact(law, denoiser.schedule)
    x0, z = _draws(law, generators, size)
    alpha, sigma = schedule(schedule.t_max)
    terms = prior_gap(law, schedule, alpha * x0 + sigma * z, terminal)
    for t, weight in zip(*_quadrature(denoiser, levels), strict=True):
        alpha, sigma = schedule(t)
        x = alpha * x0 + sigma * z
        terms = terms + weight * (denoiser.eps(x, t) - exact.eps(x, t)).square().sum(-1)
    return Estimate.of_mean(terms)


def _draws(law: Distribution, generators: Generators, size: int) -> tuple[Tensor, Tensor]:
    """x_0 of the law and standard normal noise, (M, size, d) for one generator a member, (size, d) for one."""
    if generators is None or isinstance(generators, torch.Generator):
        x0 = law.sample(size, generators)
    else:
        x0 = torch.stack([law.sample(size, g) for g in generators])
    return x0, randomness.randn(x0.shape, generators, x0)


def _quadrature(denoiser: Denoiser, levels: int) -> tuple[Tensor, Tensor]:
    """Times and weights of the Gauss-Legendre rule in log σ/α between t_min and t_max."""
    import numpy as np

    schedule = denoiser.schedule
    ends = torch.tensor([schedule.t_min, schedule.t_max], dtype=torch.float64)
    alpha, sigma = schedule(ends)
    low, high = (sigma / alpha).log()
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(levels))
    middle, half = (high + low) / 2, (high - low) / 2
    return schedule.times((middle + half * nodes).exp()), half * weights
