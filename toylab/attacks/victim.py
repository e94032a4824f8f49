"""Who is attacked, and what the attacker may do."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from toylab.denoisers import Denoiser, NoiseLevel
from toylab.errors import BadInput
from toylab.perturbations import Norm, at_least_zero, known_norm
from toylab.randomness import Generators
from toylab.samplers import Spacing, Walk, cost, evenly_in_t, grid, steps

Share = Literal["step", "total"]


@dataclass(frozen=True)
class Threat:
    """Where ω may push, and how far.

    place: "start", x_T alone; "every", before each step and the last evaluation; or a time, before the step nearest.
    radius: of the ball of one push, in units of noise, as in toylab.perturbations (linf: the largest coordinate; l2:
    root mean square of the coordinates); a number, or a tensor that broadcasts over the points (M, n). budget: whether
    each push has all of it (step), or shares it equally with the others (total), so that the sizes sum to the radius.
    Raises BadInput for negative radii and unknown names.
    """

    radius: float | Tensor = 0.1
    norm: Norm = "linf"
    place: Literal["start", "every"] | float = "start"
    budget: Share = "step"

    def __post_init__(self) -> None:
        at_least_zero("radius", self.radius)
        known_norm(self.norm)
        if self.budget not in get_args(Share):
            raise BadInput(f"budget must be one of {', '.join(get_args(Share))}, not {self.budget!r}")
        if isinstance(self.place, str) and self.place not in ("start", "every"):
            raise BadInput(f"place must be start, every or a time, not {self.place!r}")

    def steps(self, times: Tensor) -> list[int]:
        """The steps before which it pushes, by their number from 0. Raises BadInput for a time off the grid."""
        if self.place == "start":
            return [0]
        if self.place == "every":
            return list(range(len(times)))
        first, last = float(times[0]), float(times[-1])
        if not last <= float(self.place) <= first:
            raise BadInput(f"place must be a time between {last:g} and {first:g}, not {self.place}")
        return [int((times - float(self.place)).abs().argmin())]

    def radii(self, x: Tensor, pushes: int) -> Tensor:
        """The radius of each of the pushes, for every point: (M, n)."""
        whole = torch.as_tensor(self.radius, dtype=x.dtype, device=x.device).expand(x.shape[:-1])
        return whole / pushes if self.budget == "total" else whole


def attackable(walk: Walk) -> None:
    """Raises BadInput for a sampler that has no states to push."""
    if cost(walk) is None:
        raise BadInput("a sampler that chooses its own steps cannot be attacked: it has no states to push")


@dataclass(frozen=True)
class Victim:
    """A sampler at work: from x_T = x, (M, n, d) or (..., d), by at most `nfe` evaluations to E[x_0].

    A push moves the state and nothing else: the walk goes on from there, and a multistep solver remembers the x0 that
    it has predicted at the states before. Raises BadInput for one that chooses its steps.
    """

    walk: Walk
    denoiser: Denoiser
    x: Tensor
    nfe: int
    spacing: Spacing = evenly_in_t

    def __post_init__(self) -> None:
        attackable(self.walk)

    @cached_property
    def times(self) -> Tensor:
        """When a step begins, and the last evaluation: decreasing."""
        return grid(self.denoiser.schedule, steps(self.walk, self.nfe) + 1, self.spacing)

    @property
    def checkpointed(self) -> "Victim":
        """The same victim, less memory: see `Checkpointed`."""
        return dataclasses.replace(self, denoiser=Checkpointed(self.denoiser))

    def end(self, omega: Tensor, steps: Sequence[int], generators: Generators) -> Tensor:
        """x_0 under the pushes omega (P, M, n, d) before the P steps `steps`, differentiable in omega.

        With ω = 0 it is `sample`, bit for bit.
        """
        pushes, x = dict(zip(steps, omega, strict=True)), self.x
        for step, x in enumerate(self.states(generators)):
            if step in pushes:
                x[...] = self.pushed(x, step, pushes[step])
        return self.denoiser.x0(x, self.times[-1])

    def states(self, generators: Generators) -> Iterator[Tensor]:
        """x_t at all the times, by one walk, which goes on from each as it is left: changed in place, or not."""
        x = self.x.clone()
        yield x
        yield from self.walk(self.denoiser, x, self.times, generators)

    def pushed(self, x: Tensor, step: int, omega: Tensor) -> Tensor:
        """x + σ_t ω at a step's time."""
        return x + self.denoiser.schedule(self.times[step])[1] * omega


class Checkpointed(Denoiser):
    """Another denoiser, whose inner activations are computed again for the gradient instead of kept.

    So what a walk keeps of a step are a few states, however large the network; it costs one evaluation more a step. It
    is the denoiser that is computed again, not the step: a walk's own noise is drawn once, its memory is untouched.
    """

    def __init__(self, denoiser: Denoiser):
        self.denoiser, self.schedule = denoiser, denoiser.schedule

    def at(self, t: Tensor | float) -> NoiseLevel:
        return _CheckpointedLevel(self.denoiser.at(t))


class _CheckpointedLevel(NoiseLevel):
    def __init__(self, level: NoiseLevel):
        self.level = level
        self.alpha, self.sigma, self.gain, self.data_std = level.alpha, level.sigma, level.gain, level.data_std

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = checkpoint(self.level.predict, x_t, use_reentrant=False, preserve_rng_state=False)
        return both

    def eps(self, x_t: Tensor) -> Tensor:
        eps: Tensor = checkpoint(self.level.eps, x_t, use_reentrant=False, preserve_rng_state=False)
        return eps
