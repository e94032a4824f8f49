"""Training objectives: what a denoiser is asked for.

    x_t = α x_0 + σ ε,     x_t^ω = α x_0 + σ (ε + ω) = x_t + σ ω
    L_DM  = ‖ε_θ(x_t) - ε‖²                                              ddpm
    L_AT  = L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t) - ω‖²                        robust-ran, robust-adv
    L_inv = L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t)‖²                            invariance

(Briglia et al., arXiv:2505.21742.) Pushing the noisy state by ω noise units must move the predicted noise by
ω: *equivariance*, that is, a denoiser x0 = (x_t - σ ε)/α that is locally constant. Norms are means over
coordinates and samples, so λ weighs the two terms in the same units; a weighting of the noise levels multiplies their
sum. ω carries no gradient to the weights.

An objective is called with a denoiser, a Batch and the perturbation stream, and returns one loss a member;
with λ = 0 for all members a regulariser takes the baseline's path bit for bit.
"""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, NoiseLevel
from toylab.perturbations import FGSM, Direction, Radius, Random, Scalar, at_least_zero, per_member
from toylab.randomness import Generators
from toylab.weightings import Weighting

PAPER_RADIUS = Radius()
"""σ² + 8/255 (in VP), times a random draw."""
BOUNDED = Weighting()
"""The default weighting: 1, but where a parametrisation magnifies the network's error in ε (x0 at low noise)."""


@dataclass(frozen=True)
class Batch:
    """One step's data: x0 and eps (M, n, d), t (M, n), and where in training it is."""

    x0: Tensor
    t: Tensor
    eps: Tensor
    step: int = 0
    steps: int = 1


class Objective(Protocol):
    """(denoiser, batch, generators of the perturbation) -> loss (M,)."""

    @property
    def evaluations(self) -> int:
        """Of the denoiser, per step."""
        ...

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor: ...


@dataclass(frozen=True)
class Denoising:
    """L_DM, the baseline (Ho et al., arXiv:2006.11239, eq. 14)."""

    weighting: Weighting = BOUNDED

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        level = denoiser.at(batch.t)
        loss = _square(level.eps(level.noised(batch.x0, batch.eps)) - batch.eps)
        return (self.weighting(level) * loss).mean(-1)

    @property
    def evaluations(self) -> int:
        """Of the denoiser, per step."""
        return 1


@dataclass(frozen=True)
class Regularised:
    """L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t) - target‖², the target ω (equivariance) or 0 (invariance).

    lam and the radius are numbers or one a member (M,). through: whether the gradient also flows through
    ε_θ(x_t) in the second term. Raises BadInput for negative λ.
    """

    lam: Scalar = 0.3
    radius: Radius = field(default_factory=Radius)
    direction: Direction = field(default_factory=Random)
    equivariant: bool = True
    through: bool = True
    weighting: Weighting = BOUNDED
    _off: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least_zero("lam", self.lam)
        object.__setattr__(self, "_off", not bool(torch.as_tensor(self.lam).any()))  # asked once, not in the loop

    @property
    def evaluations(self) -> int:
        """Of the denoiser, per step."""
        return 2 + self.direction.evaluations

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        if self._off:
            return Denoising(self.weighting)(denoiser, batch, generator)
        level = denoiser.at(batch.t)
        x_t = level.noised(batch.x0, batch.eps)
        radius = self.radius(level.alpha, level.sigma, generator)
        eps, moved, omega = self._pushed(denoiser, level, x_t, batch.t, radius, generator)
        gap = moved - (eps if self.through else eps.detach())
        penalty = _square(gap - omega if self.equivariant else gap)
        loss = _square(eps - batch.eps) + per_member(self.lam, penalty) * penalty
        return (self.weighting(level) * loss).mean(-1)

    def _pushed(
        self, denoiser: Denoiser, level: NoiseLevel, x_t: Tensor, t: Tensor, radius: Tensor, generator: Generators
    ) -> tuple[Tensor, Tensor, Tensor]:
        """ε(x_t), ε(x_t + σω) and ω; both from one pass where ω does not depend on the model."""
        if self.direction.evaluations:
            eps = level.eps(x_t)
            omega = self.direction(level, x_t, eps.detach(), radius, generator)
            return eps, level.eps(level.pushed(x_t, omega)), omega
        omega = self.direction(level, x_t, x_t, radius, generator)
        eps, moved = denoiser.at(torch.cat([t, t], 1)).eps(torch.cat([x_t, level.pushed(x_t, omega)], 1)).chunk(2, 1)
        return eps, moved, omega


def robust_ran(
    lam: float = 0.3, radius: Radius = PAPER_RADIUS, through: bool = True, weighting: Weighting = BOUNDED
) -> Regularised:
    """Equivariance to ω uniform in the ball (randomized smoothing)."""
    return Regularised(lam, radius, Random(), through=through, weighting=weighting)


def robust_adv(
    lam: float = 0.3,
    radius: Radius = PAPER_RADIUS,
    step: float = 1.0,
    through: bool = True,
    weighting: Weighting = BOUNDED,
) -> Regularised:
    """Equivariance to one FGSM step from a uniform start."""
    return Regularised(lam, radius, FGSM(step), through=through, weighting=weighting)


def invariance(
    lam: float = 0.3,
    radius: Radius = PAPER_RADIUS,
    direction: Literal["random", "fgsm"] = "fgsm",
    weighting: Weighting = BOUNDED,
) -> Regularised:
    """What adversarial training of a classifier would ask for; here it must fail."""
    direct = Random() if direction == "random" else FGSM()
    return Regularised(lam, radius, direct, equivariant=False, weighting=weighting)


def _square(x: Tensor) -> Tensor:
    """The mean over coordinates."""
    return x.square().mean(-1)
