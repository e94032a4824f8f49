"""The flow of a deterministic sampler, from noise to data: how it stretches, and how straight its paths are.

The flow map takes z = x_T/√(α_T² + σ_T²), standard normal noise, to the sample x_0, so that its Jacobian ∂x_0/∂z does
not depend on how a schedule is scaled. A path is followed as x̄ = x/α from σ_T/α_T to 0, where the probability flow is
dx̄/d(σ/α) = ε and the paths of an isotropic Gaussian are straight lines. All of it is the discretised flow, of
as many steps as `nfe` evaluations pay for.

Noise x_T is (M, n, d) or (n, d). A sampler that draws noise on its way has no flow map.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.metrics.estimate import Estimate
from toylab.metrics.smoothness import where_finite
from toylab.process import FORWARD_MODE
from toylab.samplers import Spacing, Walk, evenly_in_t, grid, sample, steps, walk_to_data
from toylab.schedules import Schedule


def is_deterministic(walk: Walk, denoiser: Denoiser, noise: Tensor) -> bool:
    """Whether a sampler draws nothing on its way from this noise."""
    generator = randomness.stream(0, "walk", noise.device)
    before = generator.get_state()
    sample(walk, denoiser, noise, 10, generator)
    return torch.equal(generator.get_state(), before)


def flow_jacobian(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Tensor:
    """∂x_0/∂z (..., n, d, d) of the flow map at noise (..., n, d): forward mode through the whole walk, one tangent
    a coordinate."""

    def end(x: Tensor) -> Tensor:
        return sample(walk, denoiser, x, nfe, None, spacing)

    columns = []
    for i in range(noise.shape[-1]):
        tangent = torch.zeros_like(noise)
        tangent[..., i] = _prior_std(denoiser.schedule)
        with FORWARD_MODE:
            columns.append(torch.func.jvp(end, (noise,), (tangent,))[1])
    return torch.stack(columns, -1)


def lipschitz(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Estimate:
    """The largest singular value of ∂x_0/∂z over the points given, in units of x: the Lipschitz constant of the flow
    map from below. A maximum has no honest standard error: NaN."""
    largest = _stretch(walk, denoiser, noise, nfe, spacing)[..., 0].amax(-1)
    return Estimate(largest, torch.full_like(largest, torch.nan))


def lyapunov(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Estimate:
    """Finite-time Lyapunov exponent E log s₁ of the flow map, s₁ the largest singular value of ∂x_0/∂z, over the whole
    walk (not divided by its time), in nats of units of x: log of the standard deviation for an isotropic Gaussian."""
    return Estimate.of_mean(_stretch(walk, denoiser, noise, nfe, spacing)[..., 0].log())


def path_length(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Estimate:
    """Mean length of the paths x̄, in units of x."""
    return Estimate.of_mean(_segments(walk, denoiser, noise, nfe, spacing).norm(dim=-1).sum(0))


def path_excess(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Estimate:
    """Mean share 1 - |chord|/length of the paths x̄ beyond the straight line between their ends: 0 for straight ones.

    Most of a path lies where noise dwarfs the data, so this is small; `path_curvature` does not depend on lengths.
    """
    segments = _segments(walk, denoiser, noise, nfe, spacing)
    return Estimate.of_mean(1 - segments.sum(0).norm(dim=-1) / segments.norm(dim=-1).sum(0))


def path_curvature(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Estimate:
    """Mean total curvature of the paths x̄: the sum of the angles by which they turn, in radians."""
    segments = _segments(walk, denoiser, noise, nfe, spacing)
    lengths = segments.norm(dim=-1)
    unit = segments / torch.where(lengths == 0, 1.0, lengths)[..., None]
    # Kahan's angle, which keeps its digits where it is small; a step of length 0 does not turn
    turns = 2 * torch.atan2((unit[1:] - unit[:-1]).norm(dim=-1), (unit[1:] + unit[:-1]).norm(dim=-1))
    still = (lengths[1:] == 0) | (lengths[:-1] == 0)
    return Estimate.of_mean(torch.where(still, 0.0, turns).sum(0))


def _stretch(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Tensor:
    """Singular values of ∂x_0/∂z (..., n, d), the largest first."""
    return where_finite(torch.linalg.svdvals, flow_jacobian(walk, denoiser, noise, nfe, spacing).double())


def _segments(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Tensor:
    """The steps of the path x̄ (K+1, ..., n, d)."""
    path = torch.stack(list(_path(walk, denoiser, noise, nfe, spacing)))
    return path.diff(dim=0)


def _path(walk: Walk, denoiser: Denoiser, noise: Tensor, nfe: int, spacing: Spacing = evenly_in_t) -> Iterator[Tensor]:
    """x̄ = x/α from the noise to the data, float64."""
    schedule = denoiser.schedule
    alphas = [*schedule(grid(schedule, steps(walk, nfe) + 1, spacing))[0].tolist(), 1.0]
    states = [noise, *walk_to_data(walk, denoiser, noise, nfe, None, spacing)]
    for alpha, x in zip(alphas, states, strict=True):
        yield x.double() / alpha


def _prior_std(schedule: Schedule) -> float:
    return float(torch.hypot(*schedule(schedule.t_max)))
