"""From a clean law to the law the trainer sees, exact as well.

A contaminated law is a mixture of the clean law and of what replaces it, so its score is known at every
noise level. `sample_labelled` tells which points are contaminated: for evaluation, and for training to oracles alone.
"""

import math
from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from toylab import randomness
from toylab.distributions import Box, Convolved, Distribution, Empirical, GaussianMixture, Mixture, StudentT
from toylab.distributions.base import device_of, draw_components
from toylab.distributions.guises import as_gaussians
from toylab.errors import BadInput

_MOST_NUMBERS = 1 << 27  # in covariances: 1 GiB


class Contaminated(Mixture):
    """(1 - fraction)·clean + fraction·other. Raises BadInput unless 0 <= fraction <= 1."""

    def __init__(self, clean: Distribution, other: Distribution, fraction: float):
        if not 0 <= fraction <= 1:
            raise BadInput(f"fraction must be between 0 and 1, not {fraction}")
        super().__init__([clean, other], [1 - fraction, fraction])

    def sample_labelled(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The n points (n, dim) that `sample` draws from this generator, and whether each is contaminated (n,) bool, by
        this step or by an earlier one."""
        replaced = draw_components(self.weights.to(device_of(generator)), n, generator) == 1
        clean, other = self.laws
        if isinstance(clean, Contaminated):
            points, earlier = clean.sample_labelled(n, generator)
        else:
            points, earlier = clean.sample(n, generator), torch.zeros_like(replaced)
        return torch.where(replaced[:, None], other.sample(n, generator), points), replaced | earlier


def compose(law: Distribution, *contaminations: Callable[[Distribution], Distribution]) -> Distribution:
    """One contamination after the other, each a function of a law:
    compose(law, partial(inlier_noise, fraction=0.9), outliers)."""
    return reduce(lambda seen, contaminate: contaminate(seen), contaminations, law)


def none(law: Distribution) -> Distribution:
    """The clean law, untouched."""
    return law


def outliers(law: Distribution, fraction: float = 0.1, low: float = -6.0, high: float = 6.0) -> Contaminated:
    """A fraction of the points is replaced by points uniform on [low, high]^d."""
    return Contaminated(law, Box([low] * law.dim, [high] * law.dim), fraction)


def far_cluster(law: Distribution, fraction: float = 0.1, distance: float = 6.0, std: float = 0.3) -> Contaminated:
    """A fraction is replaced by N(m, std² I), m at `distance` from the law's mean along (1, ..., 1)."""
    if not (math.isfinite(distance) and 0 < std < math.inf):
        raise BadInput(f"distance must be finite and std positive, not {distance} and {std}")
    centre = law.mean + distance / math.sqrt(law.dim)
    return Contaminated(law, GaussianMixture(centre[None], std=std), fraction)


def heavy_tail(law: Distribution, fraction: float = 0.1, df: int = 2, scale: float = 1.0) -> Contaminated:
    """A fraction is replaced by Student's t law about the law's mean, with `df` degrees of freedom."""
    return Contaminated(law, StudentT(law.mean, df, scale), fraction)


def inlier_noise(law: Distribution, fraction: float = 0.9, std: float = 0.2) -> Contaminated:
    """A fraction of the points gets Gaussian noise of standard deviation `std` in every coordinate."""
    return Contaminated(law, Convolved(law, std), fraction)


def missing(law: Distribution, fraction: float = 0.5, block: int = 1) -> Contaminated:
    """A fraction of the points has a block of coordinates set to 0: one of ⌈d/block⌉ neighbours, at random.

    Exact for Gaussian mixtures, also embedded, mixed or noised ones, as a mixture with one component for every block
    and component; singular at sigma = 0. Raises BadInput for other laws, and where covariances would fill the memory.
    """
    mixture = as_gaussians(law)
    if not 1 <= block <= law.dim:
        raise BadInput(f"block must be between 1 and {law.dim}, not {block}")
    blocks = -(-law.dim // block)
    if blocks * len(mixture.means) * law.dim**2 > _MOST_NUMBERS:
        raise BadInput(f"{blocks} blocks of {len(mixture.means)} components in R^{law.dim} are too many: larger blocks")
    keep = torch.ones(blocks, law.dim, dtype=torch.float64)
    for row, start in enumerate(range(0, law.dim, block)):
        keep[row, start : start + block] = 0
    return Contaminated(law, mixture.masked(keep), fraction)


def duplicates(law: Distribution, fraction: float = 0.1, points: int = 10, seed: int = 0) -> Contaminated:
    """A fraction is replaced by copies of a few points of the law itself, drawn from the seed."""
    if not 1 <= points <= 100_000 or seed < 0:
        raise BadInput(f"points must be between 1 and 100,000 and seed at least 0, not {points} and {seed}")
    return Contaminated(law, Empirical(law.sample(points, randomness.stream(seed, "duplicates"))), fraction)
