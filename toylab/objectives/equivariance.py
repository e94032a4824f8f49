"""Equivariant adversarial training, and the invariance that it is not.

    x_t^ω = α x_0 + σ (ε + ω) = x_t + σ ω
    L_AT  = L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t) - ω‖²                        robust-ran, robust-adv
    L_inv = L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t)‖²                            invariance

(Briglia et al., arXiv:2505.21742.) Pushing the noisy state by ω noise units must move the predicted noise by
ω: *equivariance*, that is, a denoiser x0 = (x_t - σ ε)/α that is locally constant. Both terms are in ε units and
weighted alike over t, so λ means the same in every parametrisation. ω carries no gradient to the weights. With λ = 0
for all members, and in steps in which the regulariser rests, the baseline's path is taken bit for bit.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.objectives.base import BOUNDED, Batch, Denoising, square
from toylab.perturbations import (
    FGSM,
    PGD,
    Direction,
    Gaussian,
    Radius,
    Random,
    Scalar,
    Scene,
    at_least_zero,
    per_member,
)
from toylab.randomness import Generators
from toylab.weightings import Weighting

PAPER_RADIUS = Radius()
"""σ² + 8/255 (in VP), times a random draw."""
ONE_STEP, SEVERAL_STEPS = FGSM(), PGD()


@dataclass(frozen=True)
class Plan:
    """Where in noise and training the regulariser acts, and how much of each batch.

    rho: λ_t = λ s^rho, s = σ/√(α² + σ²); start: share of training before it begins (late: the paper's fine-tuning);
    ramp: share over which it then grows linearly from 0; one_in: it sees one sample in so many of each batch; every: it
    acts in one step of so many, with λ times that, so that its mean stays. Raises BadInput for anything else.
    """

    rho: float = 0.0
    start: float = 0.0
    ramp: float = 0.0
    one_in: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.start < 1 and 0 <= self.ramp <= 1) or abs(self.rho) == float("inf") or self.rho != self.rho:
            raise BadInput(f"0 <= start < 1, 0 <= ramp <= 1 and a finite rho are needed, not {self}")
        if self.one_in < 1 or self.every < 1:
            raise BadInput(f"one_in and every must be at least 1, not {self.one_in} and {self.every}")

    def strength(self, batch: Batch) -> float:
        """What λ is multiplied by in this step."""
        since = batch.step / batch.steps - self.start
        if since < 0 or batch.step % self.every:
            return 0.0
        return self.every * (min(1.0, since / self.ramp) if self.ramp else 1.0)

    def some(self, batch: Batch) -> slice:
        """The samples it sees; in turn, and evenly spread where times are."""
        return slice(batch.step // self.every % self.one_in, None, self.one_in)

    @property
    def share(self) -> float:
        """Of all samples of a training."""
        return (1 - self.start) / (self.one_in * self.every)


ALWAYS = Plan()


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
    plan: Plan = ALWAYS
    _off: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least_zero("lam", self.lam)
        object.__setattr__(self, "_off", not bool(torch.as_tensor(self.lam).any()))  # asked once, not in the loop

    def spike(self, batch: Batch) -> float:
        """How many times larger the penalty is in this step than if it acted in every one."""
        return 1.0 if self._off else max(1.0, self.plan.strength(batch))

    @property
    def evaluations(self) -> float:
        return 1 + self.plan.share * (1 + self.direction.evaluations)

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        strength = self.plan.strength(batch)
        if self._off or not strength:
            return Denoising(self.weighting)(denoiser, batch, generator)
        level, which = denoiser.at(batch.t), self.plan.some(batch)
        x_t = level.noised(batch.x0, batch.eps)
        part = denoiser.at(batch.t[:, which]) if self.plan.one_in > 1 else level
        scene = Scene(part, batch.x0[:, which], x_t[:, which])
        radius = self.radius(part.alpha, part.sigma, generator)
        if self.direction.evaluations:
            eps = level.eps(x_t)
            omega = self.direction(scene._replace(eps=eps[:, which].detach()), radius, generator)
            moved = part.eps(part.pushed(scene.x_t, omega))
        else:  # both from one pass
            omega = self.direction(scene, radius, generator)
            both = denoiser.at(torch.cat([batch.t, batch.t[:, which]], 1))
            n = batch.t.shape[1]
            eps, moved = both.eps(torch.cat([x_t, part.pushed(scene.x_t, omega)], 1)).tensor_split([n], 1)
        gap = moved - (eps[:, which] if self.through else eps[:, which].detach())
        penalty = self.weighting(part) * square(gap - omega if self.equivariant else gap)
        if self.plan.rho:
            penalty = penalty * (part.sigma / torch.hypot(part.alpha, part.sigma)) ** self.plan.rho
        loss, penalty = (self.weighting(level) * square(eps - batch.eps)).mean(-1), penalty.mean(-1)
        return loss + strength * per_member(self.lam, penalty) * penalty


def robust_ran(
    lam: float = 0.3,
    radius: Radius = PAPER_RADIUS,
    draw: Literal["linf", "l2", "gaussian"] = "linf",
    through: bool = True,
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """Equivariance to random ω (randomized smoothing): uniform in the ball of a norm, or Gaussian."""
    direction: Direction = Gaussian() if draw == "gaussian" else Random(draw)
    return Regularised(lam, radius, direction, through=through, weighting=weighting, plan=plan)


def robust_adv(
    lam: float = 0.3,
    radius: Radius = PAPER_RADIUS,
    ascent: FGSM = ONE_STEP,
    through: bool = True,
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """Equivariance to one FGSM step from a uniform start."""
    return Regularised(lam, radius, ascent, through=through, weighting=weighting, plan=plan)


def robust_pgd(
    lam: float = 0.3,
    radius: Radius = PAPER_RADIUS,
    ascent: PGD = SEVERAL_STEPS,
    through: bool = True,
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """Equivariance to several projected ascent steps from a uniform start."""
    return Regularised(lam, radius, ascent, through=through, weighting=weighting, plan=plan)


def invariance(
    lam: float = 0.3,
    radius: Radius = PAPER_RADIUS,
    direction: Literal["random", "fgsm"] = "fgsm",
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """What adversarial training of a classifier would ask for; here it must fail."""
    direct = Random() if direction == "random" else FGSM()
    return Regularised(lam, radius, direct, equivariant=False, weighting=weighting, plan=plan)
