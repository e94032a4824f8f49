"""What a walk is, what it costs, and the way from the prior to data."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.randomness import Generators
from toylab.samplers.counting import Counted
from toylab.samplers.spacing import Spacing, evenly_in_t, grid
from toylab.schedules import Schedule

Walk = Callable[[Denoiser, Tensor, Tensor, Generators], Iterator[Tensor]]
"""(denoiser, x at times[0], times (K+1,), generators) -> x at times[1], ..., times[K]; `cost` evaluations each.

A walk goes on from the very tensor it has given, so that a state that is changed in place is changed (toylab.attacks).
One that chooses its own steps does not.
"""

W = TypeVar("W", bound=Callable[..., Iterator[Tensor]])


def costing(evaluations: int | None) -> Callable[[W], W]:
    """Marks a walk with what each of its steps costs, where that is not 1; None where it chooses its own steps."""

    def marked(walk: W) -> W:
        walk.evaluations = evaluations  # type: ignore[attr-defined]
        return walk

    return marked


def cost(walk: Walk) -> int | None:
    """Evaluations of the denoiser a step; None where the walk chooses its own steps. Looks through partial()."""
    found: int | None = getattr(getattr(walk, "func", walk), "evaluations", 1)
    return found


def steps(walk: Walk, nfe: int) -> int:
    """The steps that a budget of nfe evaluations pays for, one being kept for E[x_0]; 1, from end to end, where the
    walk chooses its own. Raises BadInput where it pays for none."""
    each = cost(walk) or 1
    if nfe < each + 1:
        raise BadInput(f"nfe must be at least {each + 1} for this sampler, {each} a step and 1 at the end, not {nfe}")
    return 1 if cost(walk) is None else (nfe - 1) // each


def prior(schedule: Schedule, shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
    """N(0, (α² + σ²) I) at t_max: N(0, I) where the variance is preserved."""
    alpha, sigma = schedule(schedule.t_max)
    return float(torch.hypot(alpha, sigma)) * randomness.randn(shape, generators, like)


@torch.no_grad()
def walk_to_data(
    walk: Walk,
    denoiser: Denoiser,
    x: Tensor,
    nfe: int,
    generators: Generators = None,
    spacing: Spacing = evenly_in_t,
) -> Iterator[Tensor]:
    """From x at t_max to E[x_0 | x_{t_min}]: the states on the way, by at most nfe evaluations of the denoiser.

    Raises BadInput where nfe is too small, for a walk that chooses its own steps once it has been spent.
    """
    times = grid(denoiser.schedule, steps(walk, nfe) + 1, spacing)
    counted = Counted(denoiser, most=nfe)
    state = x
    for state in walk(counted, x, times, generators):
        yield state
    yield counted.x0(state, times[-1])


def sample(
    walk: Walk,
    denoiser: Denoiser,
    x: Tensor,
    nfe: int,
    generators: Generators = None,
    spacing: Spacing = evenly_in_t,
) -> Tensor:
    """Samples from the noise x (M, n, d), or (..., d): the last state of `walk_to_data`."""
    for state in walk_to_data(walk, denoiser, x, nfe, generators, spacing):
        x = state
    return x
