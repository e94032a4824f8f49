"""What an objective is, and the baseline.

    x_t = α x_0 + σ ε,     L_DM  = w(t) ‖ε_θ(x_t) - ε‖²

An objective is called with a denoiser, a Batch and the perturbation stream, and returns one loss a member. Norms are
means over coordinates and samples; w is a weighting of the noise levels.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.randomness import Generators
from toylab.weightings import Weighting

BOUNDED = Weighting()
"""The default weighting: 1, but where a parametrisation magnifies the network's error in ε (x0 at low noise)."""


@dataclass(frozen=True)
class Batch:
    """One step's data: x0 and eps (M, n, d), t (M, n), and where in training it is.

    noisy: which points are contaminated (M, n), told to an oracle that asks for it and to no other objective.
    """

    x0: Tensor
    t: Tensor
    eps: Tensor
    step: int = 0
    steps: int = 1
    noisy: Tensor | None = None

    def part(self, which: slice) -> "Batch":
        """Some of its samples."""
        noisy = None if self.noisy is None else self.noisy[:, which]
        return Batch(self.x0[:, which], self.t[:, which], self.eps[:, which], self.step, self.steps, noisy)


class Objective(Protocol):
    """(denoiser, batch, generators of the perturbation) -> loss (M,).

    One that is an oracle says so by an attribute `oracle`: "clean" is trained on the clean law, "labelled" on the same
    points as all others, with Batch.noisy. One with a part whose gradient changes slowly has a method `lasting`, called
    as the objective is: that part's loss (M,), whose gradient is then added in this and every later step until the next
    one, or None where the last one still serves. One that does not compute the same in every step has a method `kind`,
    called with a batch: equal for two steps of the same computation, of `step`, `steps` and sizes alone; to be hashed.
    """

    @property
    def evaluations(self) -> float:
        """Of the denoiser at a whole batch, per step on average."""
        ...

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor: ...


@dataclass(frozen=True)
class Denoising:
    """L_DM, the baseline (Ho et al., arXiv:2006.11239, eq. 14)."""

    weighting: Weighting = BOUNDED

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        level = denoiser.at(batch.t)
        loss = square(level.eps(level.noised(batch.x0, batch.eps)) - batch.eps)
        return (self.weighting(level) * loss).mean(-1)

    @property
    def evaluations(self) -> float:
        return 1


@dataclass(frozen=True)
class OnCleanData(Denoising):
    """An oracle: L_DM on a training set of the clean law, of the same size and seed. What robustness can hope for."""

    oracle = "clean"


def square(x: Tensor) -> Tensor:
    """The mean square over coordinates."""
    return x.square().mean(-1)
