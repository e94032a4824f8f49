"""Learning the clean law from noisy points, by an oracle that is told which they are and how noisy.

A noisy point y = x_0 + σ_n z carries noise already. Where x_t carries more, σ > ασ_n, it is made of y by what lacks,

    x_t = α y + τ ε,     τ² = σ² - α²σ_n²

and is then α x_0 plus noise σε̃ with σε̃ = ασ_n z + τ ε: it has the law of the x_t of a clean point. Of ε̃, which is
standard normal and independent of x_0, z and ε are the parts E[z | ε̃] = (ασ_n/σ) ε̃ and E[ε | ε̃] = (τ/σ) ε̃. So with
ε*(x_t) = E[ε̃ | x_t], the clean law's exact ε, Tweedie's formula applies twice:

    E[x_0 | x_t] = (x_t - σ ε*)/α
    E[y | x_t]   = E[x_0 | x_t] + σ_n E[z | x_t] = (x_t - (τ²/σ) ε*)/α     affine in E[x_0 | x_t] at given x_t

y is x_t with its noise τε removed, so predicting y is predicting ε, whose mean is κ ε*(x_t) with κ = τ/σ:

    L = w(t) ‖κ ε_θ(x_t) - ε‖²  =  w(t) (α/τ)² ‖ŷ_θ(x_t) - y‖²,     κ = τ/σ for noisy points, 1 for clean ones

whose minimiser over all functions is ε*, for clean and noisy points alike and at any mixture of them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.objectives.base import BOUNDED, Batch, square
from toylab.randomness import Generators
from toylab.weightings import Weighting


@dataclass(frozen=True)
class Ambient:
    """An oracle: L_DM on the clean points, and on the noisy ones, at levels σ > ασ_n, by double Tweedie (L above).

    std: σ_n, the noise that the points of `Batch.noisy` carry. Up to σ = ασ_n the clean points alone teach; where every
    point is noisy nothing does, and a network is left to extrapolate. The loss is the mean over the points that teach,
    0 without any. What is given is believed: with another std, or where labelled points are not x_0 + σ_n z
    (outliers, also as one of several contaminations, whose labels are those of any of them), the optimum is not the
    clean law's.

    Kept (Daras et al., arXiv:2404.10177): double Tweedie above the noise of the data; and training on clean and noisy
    points together (arXiv:2411.02780). Not kept: the consistency loss that extends the first to the levels below. Ours:
    that clean points teach at every level, and the scale. The error of ŷ is counted in units of the noise τ/α that
    x_t/α has around y, as that of a clean point is in units of σ/α. In units of ε̃ it would be w ‖ε_θ - ε/κ‖², whose
    gradient has unbounded variance as σ falls to ασ_n; ours is κ² times that, which is the inverse of its target's
    variance where ε̃ is unpredictable from x_t (Var ε̃ = 1), and fades to nothing at the threshold. A scale that depends
    on t and the label alone moves no optimum.

    Raises BadInput unless std is finite and at least 0, and for batches without labels.
    """

    std: float = 0.2
    weighting: Weighting = BOUNDED
    oracle = "labelled"

    def __post_init__(self) -> None:
        if not 0 <= self.std < math.inf:
            raise BadInput(f"std must be finite and at least 0, not {self.std}")

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        if batch.noisy is None:
            raise BadInput("ambient is an oracle: its batches must say which points are noisy")
        level = denoiser.at(batch.t)
        carried = (level.alpha * self.std / level.sigma).square()  # share of σ² that a noisy point has already
        kappa = torch.where(batch.noisy, (1 - carried).clamp(min=0).sqrt(), 1.0)
        teaches, scale = kappa > 0, kappa[..., None]
        x_t = level.noised(batch.x0, scale * batch.eps)  # the batch's own ε: methods are compared in pairs
        loss = square(scale * level.eps(x_t) - batch.eps)
        return (self.weighting(level) * teaches * loss).sum(-1) / teaches.sum(-1).clamp(min=1)

    @property
    def evaluations(self) -> float:
        return 1
