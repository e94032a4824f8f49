"""Equivariant adversarial training, and the invariance that it is not.

    x_t^ω = α x_0 + σ (ε + ω) = x_t + σ ω
    L_AT  = L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t) - ω‖²                        robust-ran, robust-adv
    L_inv = L_DM + λ ‖ε_θ(x_t^ω) - ε_θ(x_t)‖²                            invariance

(Briglia et al., arXiv:2505.21742.) Pushing the noisy state by ω noise units must move the predicted noise by
ω: *equivariance*, that is, a denoiser x0 = (x_t - σ ε)/α that is locally constant. Both terms are in ε units and
weighted alike over t, so λ means the same in every parametrisation. ω carries no gradient to the weights. With λ = 0
for all members, and until the regulariser begins, the baseline's path is taken bit for bit.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, NoiseLevel
from toylab.errors import BadInput
from toylab.objectives.base import BOUNDED, Batch, Denoising, square
from toylab.perturbations import (
    FGSM,
    PAPER,
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

ONE_STEP, SEVERAL_STEPS = FGSM(), PGD()


@dataclass(frozen=True)
class Plan:
    """Where in noise and training the regulariser acts, and how much of each batch.

    rho: λ_t = λ s^rho, s = σ/√(α² + σ²); start: share of training before it begins (late: the paper's fine-tuning);
    ramp, widen: shares over which λ, and the radius, then grow linearly from 0; one_in: it sees one sample in so many
    of each batch; every: its gradient is computed in one step of so many, and serves until the next. Raises BadInput
    for anything else.

    (Acting in one step of k with k λ instead, the gradients of loss and penalty would no longer cancel within a step:
    clipping tips their balance, and Adam, which divides by their size, goes slower.)
    """

    rho: float = 0.0
    start: float = 0.0
    ramp: float = 0.0
    one_in: int = 1
    every: int = 1
    widen: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.start < 1 and 0 <= self.ramp <= 1 and 0 <= self.widen <= 1 and math.isfinite(self.rho)):
            raise BadInput(f"0 <= start < 1, ramp and widen from 0 to 1 and a finite rho are needed, not {self}")
        if self.one_in < 1 or self.every < 1:
            raise BadInput(f"one_in and every must be at least 1, not {self.one_in} and {self.every}")

    def strength(self, batch: Batch) -> float:
        """What λ is multiplied by in this step."""
        return self._grown(batch, self.ramp)

    def width(self, batch: Batch) -> float:
        """What the radius is multiplied by in this step."""
        return self._grown(batch, self.widen)

    def _grown(self, batch: Batch, over: float) -> float:
        """From 0 at the start to 1, linearly over this share of training."""
        since = batch.step / batch.steps - self.start
        if since < 0:
            return 0.0
        return min(1.0, since / over) if over else 1.0

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

    @property
    def evaluations(self) -> float:
        ends = 1 if self.plan.every == 1 else 2  # with the loss, or by itself
        return 1 + self.plan.share * (ends + self.direction.evaluations)

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        if self.plan.every > 1 or not self._acts(batch):
            return Denoising(self.weighting)(denoiser, batch, generator)
        level = denoiser.at(batch.t)
        eps, penalty = self._penalised(denoiser, batch, level, self.plan.some(batch), generator)
        return (self.weighting(level) * square(eps - batch.eps)).mean(-1) + penalty

    def lasting(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor | None:
        """The penalty, where the plan computes it by itself and in this step, else None."""
        if self.plan.every == 1 or not self._acts(batch):
            return None
        part = batch.part(self.plan.some(batch))
        return self._penalised(denoiser, part, denoiser.at(part.t), slice(None), generator)[1]

    def kind(self, batch: Batch) -> tuple[int, int]:
        """How many points are pushed in this step, and how far the plan has grown, in quarters."""
        if not self._acts(batch):
            return 0, 0
        pushed = range(batch.x0.shape[1])[self.plan.some(batch)]
        return len(pushed), math.ceil(4 * min(self.plan.strength(batch), self.plan.width(batch)))

    def _acts(self, batch: Batch) -> bool:
        """Whether the penalty is computed in this step."""
        return not self._off and batch.step % self.plan.every == 0 and self.plan.strength(batch) > 0

    def _penalised(
        self, denoiser: Denoiser, batch: Batch, level: NoiseLevel, which: slice, generator: Generators
    ) -> tuple[Tensor, Tensor]:
        """ε at all points of a batch (M, n, d), and λ times the penalty on some of them (M,)."""
        x_t, t = level.noised(batch.x0, batch.eps), batch.t[:, which]
        part = level if t.shape == batch.t.shape else denoiser.at(t)
        scene = Scene(part, batch.x0[:, which], x_t[:, which])
        radius = self.radius(part.alpha, part.sigma, generator)
        if self.plan.widen:
            radius = radius * self.plan.width(batch)
        if self.direction.evaluations:
            eps = level.eps(x_t)
            omega = self.direction(scene._replace(eps=eps[:, which].detach()), radius, generator)
            moved = part.eps(part.pushed(scene.x_t, omega))
        else:  # both from one pass
            omega = self.direction(scene, radius, generator)
            both = denoiser.at(torch.cat([batch.t, t], 1))
            pushed = part.pushed(scene.x_t, omega)
            eps, moved = both.eps(torch.cat([x_t, pushed], 1)).tensor_split([x_t.shape[1]], 1)
        gap = moved - (eps[:, which] if self.through else eps[:, which].detach())
        penalty = self.weighting(part) * square(gap - omega if self.equivariant else gap)
        if self.plan.rho:
            penalty = penalty * (part.sigma / torch.hypot(part.alpha, part.sigma)) ** self.plan.rho
        penalty = penalty.mean(-1)
        return eps, self.plan.strength(batch) * per_member(self.lam, penalty) * penalty


def robust_ran(
    lam: float = 0.3,
    radius: Radius = PAPER,
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
    radius: Radius = PAPER,
    ascent: FGSM = ONE_STEP,
    through: bool = True,
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """Equivariance to one FGSM step from a uniform start."""
    return Regularised(lam, radius, ascent, through=through, weighting=weighting, plan=plan)


def robust_pgd(
    lam: float = 0.3,
    radius: Radius = PAPER,
    ascent: PGD = SEVERAL_STEPS,
    through: bool = True,
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """Equivariance to several projected ascent steps from a uniform start."""
    return Regularised(lam, radius, ascent, through=through, weighting=weighting, plan=plan)


def invariance(
    lam: float = 0.3,
    radius: Radius = PAPER,
    direction: Literal["random", "fgsm"] = "fgsm",
    weighting: Weighting = BOUNDED,
    plan: Plan = ALWAYS,
) -> Regularised:
    """What adversarial training of a classifier would ask for; here it must fail."""
    direct = Random() if direction == "random" else FGSM()
    return Regularised(lam, radius, direct, equivariant=False, weighting=weighting, plan=plan)
