"""Outliers and modes: what of a sample lies where the clean law does not, and how its modes look.

Both are read off the clean law's 99.9 % highest-density region {x : log p(x) >= level}: outside lies the
outlier mass, 0.001 for the law itself unless its density is flat; inside, samples are given to modes by
responsibility. So widths and weights are to be compared with those of exact samples of the clean law measured
in the same way.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.metrics.estimate import Estimate


@runtime_checkable
class Modal(Protocol):
    """A law with components to call modes."""

    def responsibilities(self, x: Tensor) -> Tensor: ...


_CHUNK = 100_000  # exact samples held at a time


class Region:
    """A law's highest-density region of probability `mass`. Raises SingularLaw for a law without a density.

    Its level is the (1 - mass) quantile of log p over n exact samples, so the mass outside is known to
    √(mass(1 - mass)/n), 3e-5 at the defaults.
    """

    def __init__(
        self, law: Distribution, generator: torch.Generator | None = None, mass: float = 0.999, n: int = 1_000_000
    ):
        self.law, self.mass = law, mass
        sizes = [_CHUNK] * (n // _CHUNK) + [n % _CHUNK]
        log_p = torch.cat([law.log_prob(law.sample(size, generator)) for size in sizes])
        self.level = float(log_p.kthvalue(max(1, round(n * (1 - mass)))).values)

    def contains(self, x: Tensor) -> Tensor:
        """(..., d) -> (...) bool."""
        return self.law.log_prob(x.double()) >= self.level


def outlier_mass(samples: Tensor, region: Region) -> Estimate:
    """Share of the samples (..., n, d) outside the region; a sample that is not finite is outside. Its interval holds
    from 5 expected outliers on, and below is wider than it need be."""
    return Estimate.of_share(~region.contains(samples))


def mode_weight(samples: Tensor, modal_region: Region) -> Estimate:
    """Share of each mode among the samples inside the region: (..., n, d) -> (..., K). Its interval holds from 5
    expected samples of the mode on, and below is wider than it need be."""
    inside, r = _responsibilities(samples, modal_region)
    return Estimate.of_share(r, among=inside[..., None, :])


def mode_width(samples: Tensor, modal_region: Region) -> Estimate:
    """Standard deviation per coordinate of each mode, about its own centre, inside the region, in units of x:
    (..., n, d) -> (..., K). NaN for a mode of less than two samples.

    Squares are divided by Σr - Σr²/Σr, r the responsibilities, as the centre comes from the same samples; the interval
    holds from about 60 samples a mode.
    """
    _, r = _responsibilities(samples, modal_region)
    x = torch.where(r.sum(-2)[..., None] > 0, samples.double(), 0.0)
    centres = torch.einsum("...kn,...nd->...kd", r, x) / r.sum(-1)[..., None]
    deviation = (x[..., None, :, :] - centres[..., None, :]).square().mean(-1)
    freedom = 1 - r.square().sum(-1) / r.sum(-1).square()
    return Estimate.of_ratio(r * deviation, r).scaled(1 / freedom).root()


def _responsibilities(samples: Tensor, region: Region) -> tuple[Tensor, Tensor]:
    """inside (..., n) and r (..., K, n), zero outside the region."""
    if not isinstance(region.law, Modal):
        raise BadInput(f"{type(region.law).__name__} has no modes")
    x = samples.double()
    inside = region.contains(x)
    r = torch.where(inside[..., None], region.law.responsibilities(x), 0.0)
    return inside, r.mT
