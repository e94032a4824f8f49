"""From a clean law to the law the trainer sees, exact as well.

A contaminated law is a mixture of the clean law and of what replaces it, so its score is known at every
noise level. `sample_labelled` tells which points are contaminated: for evaluation, never for training.
"""

import torch
from torch import Tensor

from toylab.distributions import Box, Convolved, Distribution, Mixture
from toylab.errors import BadInput


class Contaminated(Mixture):
    """(1 - fraction)·clean + fraction·other. Raises BadInput unless 0 <= fraction <= 1."""

    def __init__(self, clean: Distribution, other: Distribution, fraction: float):
        if not 0 <= fraction <= 1:
            raise BadInput(f"fraction must be between 0 and 1, not {fraction}")
        super().__init__([clean, other], [1 - fraction, fraction])

    def sample_labelled(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n points (n, dim), and whether each is contaminated (n,) bool."""
        points, component = self.sample_components(n, generator)
        return points, component == 1


def none(law: Distribution) -> Distribution:
    """The clean law, untouched."""
    return law


def outliers(law: Distribution, fraction: float = 0.1, low: float = -6.0, high: float = 6.0) -> Contaminated:
    """A fraction of the points is replaced by points uniform on [low, high]^d."""
    return Contaminated(law, Box([low] * law.dim, [high] * law.dim), fraction)


def inlier_noise(law: Distribution, fraction: float = 0.9, std: float = 0.2) -> Contaminated:
    """A fraction of the points gets Gaussian noise of standard deviation `std` in every coordinate."""
    return Contaminated(law, Convolved(law, std), fraction)
