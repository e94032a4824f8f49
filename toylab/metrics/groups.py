"""Samples against fresh exact samples of a law, group by group.

Most distances between a finite sample and a law depend on its size, and are not 0 for exact samples. So the n samples
are cut into n/size disjoint groups, each compared with `size` fresh exact samples: the groups are independent, and
their mean has an honest standard error, NaN for a single group; with few of them a 95 % interval takes Student's
quantile, 3.18 standard errors for four groups. A distance is read beside its *floor*, the same metric of exact samples:
in a study, that of the references `clean-samples` and `contaminated-samples`; in Python,
metric(law.sample(n, g), law, g).
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor

from toylab import randomness
from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate
from toylab.randomness import Generators

PAIR = 1000
"""Points on either side of one comparison."""


class Drawn(Protocol):
    """Where exact samples come from: a law, or a finite set of points that are dealt out."""

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n points, (n, d) float64."""
        ...


Pair = tuple[Tensor, Tensor, torch.Generator]
"""Samples (size, d), as many exact ones, and the stream they came from."""


def compared(
    statistic: Callable[[Tensor, Tensor, torch.Generator], Tensor | float],
    samples: Tensor,
    law: Drawn,
    generators: Generators,
    size: int,
    over: Callable[[Callable[[Pair], Tensor], list[Pair]], Iterable[Tensor]] = map,
) -> Estimate:
    """Mean of a statistic over the groups of samples (M, n, d) or (n, d); NaN where a sample is not finite.

    generators: one a member. over: how the groups are gone through; `map` one after the other.
    """
    members = with_members(samples)
    size = min(size, members.shape[1])
    groups = members.shape[1] // size
    pairs = [
        (x.double(), law.sample(size, g).to(x.device), g)
        for member, g in zip(members, per_member(generators, len(members)), strict=True)
        for x in member[: groups * size].split(size)
    ]

    def value(pair: Pair) -> Tensor:
        x, y, g = pair
        found = statistic(x, y, g) if bool(x.isfinite().all()) else torch.nan
        return torch.as_tensor(found, dtype=torch.float64, device=x.device)

    table = torch.stack(list(over(value, pairs))).reshape(len(members), groups)
    return Estimate.of_mean(as_given(table, samples))


def typical_distance(law: Distribution, pairs: int = 20_000) -> float:
    """The median distance of two points of the law, in units of x, the same every time: a length to measure it by."""
    x, y = law.sample(2 * pairs, randomness.stream(0, "typical-distance")).chunk(2)
    return float((x - y).norm(dim=-1).median())


def distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (..., n, m) of points (..., n, d) and (..., m, d); near zero they keep their digits."""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def with_members(x: Tensor) -> Tensor:
    """Points (M, n, d), M = 1 where there are no members."""
    return x if x.ndim == 3 else x[None]


def as_given(table: Tensor, samples: Tensor) -> Tensor:
    """A table with a leading axis of members, without it where the samples have none."""
    return table if samples.ndim == 3 else table[0]


def per_member(generators: Generators, count: int) -> list[torch.Generator]:
    """One generator a member."""
    if generators is None or isinstance(generators, torch.Generator):
        return [generators] * count  # type: ignore[list-item]
    return list(generators)
