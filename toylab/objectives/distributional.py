"""Distributionally robust training: denoise the worst state near x_t.

    L_DRO = w(t) ‖ε_θ(x_t + σω) - (ε + ω)‖²,    ω ascends this very loss in the ball

x_t + σω = α x_0 + σ(ε + ω), so ε + ω is the noise consistent with x_0, and what is asked for is the x_0 of the sample,
also from states that the forward process hardly visits. For ω independent of x_t it is denoising with the law of ε + ω
as the noise; on a Gaussian its affine optimum is that of L_AT with λ = 1.
"""

from dataclasses import dataclass, replace

from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.objectives.base import BOUNDED, Batch, square
from toylab.objectives.equivariance import ONE_STEP
from toylab.perturbations import FGSM, FLAT, Radius, Random, Scene
from toylab.randomness import Generators
from toylab.weightings import Weighting

SMALL_RADIUS = replace(FLAT, r0=0.1)


@dataclass(frozen=True)
class DRO:
    """Adversarial training in the sense of Wang et al. (arXiv:2502.17099), with x_0's own noise as target.

    Kept: the perturbed state and its consistent target, in place of the plain loss. Ours: ω by FGSM from a uniform
    start instead of their free adversarial training, which reuses the gradients of several steps on one batch.
    """

    radius: Radius = SMALL_RADIUS
    ascent: FGSM = ONE_STEP
    weighting: Weighting = BOUNDED

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        level = denoiser.at(batch.t)
        x_t = level.noised(batch.x0, batch.eps)
        radius = self.radius(level.alpha, level.sigma, generator)

        def losses(omega: Tensor) -> Tensor:
            return square(level.eps(level.pushed(x_t, omega)) - batch.eps - omega)

        start = Random(self.ascent.norm)(Scene(level, batch.x0, x_t), radius, generator)
        omega = self.ascent.climbed(lambda omega: losses(omega).sum(), start, radius)
        return (self.weighting(level) * losses(omega)).mean(-1)

    @property
    def evaluations(self) -> float:
        return 1 + self.ascent.steps
