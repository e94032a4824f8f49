"""Robust losses of statistics: less is made of samples that fit badly. No perturbation, and no knowledge of the noise.

    pseudo-huber   L = w(t) Σ_i 2 δ_t² (√(1 + a_i²/δ_t²) - 1)/d,    a = ε_θ(x_t) - ε
    trimmed        L = L_DM over the samples of a batch with the smallest losses

Neither asks for E[ε | x_t]: that is the mean, and these ask for something between it and the median. On contaminated
data this is their point, on clean data their price.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.errors import BadInput
from toylab.objectives.base import BOUNDED, Batch, square
from toylab.randomness import Generators
from toylab.weightings import Weighting

Decay = Literal["exponential", "constant"]


@dataclass(frozen=True)
class PseudoHuber:
    """The pseudo-Huber loss with a parameter that follows time (Khrapov et al., arXiv:2403.16728).

    delta: δ at t = 1; decay: exponential, δ_t = δ^t, from 1 at t = 0 (the paper's), or constant. Kept: the loss of each
    coordinate and the schedule. Ours: the factor 2, with which it is the squared error where that is small, so that
    learning rates mean the same. Raises BadInput unless δ is positive and finite.
    """

    delta: float = 0.1
    decay: Decay = "exponential"
    weighting: Weighting = BOUNDED

    def __post_init__(self) -> None:
        if not 0 < self.delta < math.inf or self.decay not in get_args(Decay):
            raise BadInput(f"a positive delta and a decay of {', '.join(get_args(Decay))} are needed, not {self}")

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        level = denoiser.at(batch.t)
        gap = level.eps(level.noised(batch.x0, batch.eps)) - batch.eps
        exponent = batch.t if self.decay == "exponential" else torch.ones_like(batch.t)
        delta = (exponent * math.log(self.delta)).exp()[..., None]
        a = (gap / delta).square()
        loss = (2 * delta.square() * a / (1 + (1 + a).sqrt())).mean(-1)  # √(1+a) - 1 without cancellation
        return (self.weighting(level) * loss).mean(-1)

    @property
    def evaluations(self) -> float:
        return 1


@dataclass(frozen=True)
class Trimmed:
    """L_DM over the best-fitting samples of each batch: least trimmed squares (Rousseeuw 1984) within the batch.

    fraction: how many are left out, those with the largest squared error of ε among neighbours in t, so that no noise
    level is trimmed as a whole. neighbours: how many consecutive times are compared, at least 2. Raises BadInput for
    anything else.
    """

    fraction: float = 0.1
    neighbours: int = 32
    weighting: Weighting = BOUNDED

    def __post_init__(self) -> None:
        if not 0 <= self.fraction < 1 or self.neighbours < 2:
            raise BadInput(f"0 <= fraction < 1 and at least 2 neighbours are needed, not {self}")

    def __call__(self, denoiser: Denoiser, batch: Batch, generator: Generators = None) -> Tensor:
        level = denoiser.at(batch.t)
        loss = square(level.eps(level.noised(batch.x0, batch.eps)) - batch.eps)
        kept = self._kept(loss.detach(), batch.t)
        return (self.weighting(level) * kept * loss).sum(-1) / kept.sum(-1)

    def _kept(self, loss: Tensor, t: Tensor) -> Tensor:
        """1 for the samples that stay, 0 for the others, (M, n)."""
        order = t.argsort(-1)
        ordered = loss.gather(-1, order)
        groups = [self._smallest(group) for group in ordered.split(self.neighbours, -1)]
        return torch.zeros_like(loss).scatter(-1, order, torch.cat(groups, -1))

    def _smallest(self, group: Tensor) -> Tensor:
        stay = max(1, round((1 - self.fraction) * group.shape[-1]))
        best = group.topk(stay, -1, largest=False).indices
        return torch.zeros_like(group).scatter(-1, best, 1.0)

    @property
    def evaluations(self) -> float:
        return 1
