"""Memorisation: are samples nearer to the training points than chance would have it?

Chance is what fresh exact samples of the law do. The law that was trained on tells memorising from learning; held
against the clean law, a method that dropped the outliers is not blamed for living where training points are dense.
"""

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution, Empirical
from toylab.metrics.estimate import Estimate
from toylab.metrics.groups import PAIR, Drawn, as_given, distances, per_member, with_members
from toylab.randomness import Generators

SHARE = 0.01
"""The share of fresh exact samples that count as duplicates, and so set the threshold."""

_CHUNK = 500  # samples whose distances to the training set are held at a time


def nearest_ratio(samples: Tensor, law: Drawn, training: Tensor, generators: Generators) -> Estimate:
    """Mean distance to the nearest training point, of samples (M, n, d) over that of n fresh exact samples of the law.

    1 is chance, 0 a copy of the training set (M, N, d). Standard error of a ratio of means, given the training set.
    """
    own, fresh = _nearest(samples, law, training, generators)
    return Estimate.of_ratio(own, fresh)


def duplicate_share(
    samples: Tensor, law: Distribution, training: Tensor, generators: Generators, size: int = PAIR
) -> Estimate:
    """Share of samples (M, n, d) that are duplicates of a training point: nearer to the nearest one than 1 % of fresh
    exact samples of the law are. 0.01 is chance, 1 a copy of the training set (M, N, d).

    Each group of `size` samples is held against the threshold of as many fresh ones (the nearest of fewer than 100), so
    that the standard error over the groups has the threshold's own, NaN for a single group. Its interval holds for four
    groups of 999; with groups of 99, whose threshold is a minimum, from about 50 groups on.
    """
    own, fresh = _nearest(samples, law, training, generators)
    size = min(size, own.shape[-1])
    groups = own.shape[-1] // size
    own, fresh = (d[..., : groups * size].unflatten(-1, (groups, size)) for d in (own, fresh))
    rank = max(1, round(SHARE * (size + 1)))  # as many exact samples are nearer as the share says, in the mean
    threshold = fresh.kthvalue(rank, -1, keepdim=True).values
    return Estimate.of_mean((own < threshold).double().mean(-1))


@torch.no_grad()
def training_leakage(denoiser: Denoiser, law: Distribution, training: Tensor, x_t: Tensor, t: float) -> Estimate:
    """How much of the training set itself was learned, over points x_t (M, n, d) of the law at time t:

        E⟨ε_θ - ε_law, ε_train - ε_law⟩ / E‖ε_train - ε_law‖²

    ε_train is that of `Empirical(training)`, the optimum of plain denoising on these points (M, N, d): 0 is the law's
    score, 1 the training set's, which samples copies of its points. Beyond the outermost training points few x_t weigh
    much: the interval holds from some 200 points x_t for ten training points and 2,000 for five, and a bias of order
    1/n is up to a third of a standard error.
    """
    exact = Exact(law, denoiser.schedule).eps(x_t.double(), t)
    towards, learned = _memorised(denoiser, training, x_t, t) - exact, denoiser.eps(x_t, t).double() - exact
    return Estimate.of_ratio((learned * towards).sum(-1), towards.square().sum(-1))


@torch.no_grad()
def training_mse(denoiser: Denoiser, training: Tensor, x_t: Tensor, t: float) -> Estimate:
    """Distance to the score of the training set itself, over points x_t (M, n, d) of the law at time t:

        E‖ε_θ - ε_train‖²/d

    ε_train as in `training_leakage`: 0 has learned the points (M, N, d) and nothing else; what the exact law's score
    has is to be read beside it.
    """
    gap = denoiser.eps(x_t, t).double() - _memorised(denoiser, training, x_t, t)
    return Estimate.of_mean(gap.square().mean(-1))


def _memorised(denoiser: Denoiser, training: Tensor, x_t: Tensor, t: float) -> Tensor:
    """ε_train at the points x_t, each member's own: (M, n, d) float64."""
    pairs = zip(with_members(training).double(), with_members(x_t).double(), strict=True)
    return as_given(torch.stack([Exact(Empirical(own), denoiser.schedule).eps(x, t) for own, x in pairs]), x_t)


def _nearest(samples: Tensor, law: Drawn, training: Tensor, generators: Generators) -> tuple[Tensor, Tensor]:
    """Distances to the nearest training point, of samples and of as many fresh exact ones: (M, n) both."""
    members, points = with_members(samples).double(), with_members(training).double()
    streams = per_member(generators, len(members))
    fresh = torch.stack([law.sample(members.shape[1], g).to(members.device) for g in streams])

    def nearest(x: Tensor) -> Tensor:
        parts = [distances(part, points.to(x.device)).amin(-1) for part in x.split(_CHUNK, -2)]
        return as_given(torch.cat(parts, -1), samples)

    return nearest(members), nearest(fresh)
