"""Errors of the exact laws against their references; docs/exactness.md explains the scales and the points."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks import references
from benchmarks.families import FAMILIES, Family
from benchmarks.integrals import Real, mp
from benchmarks.references import Answer
from toylab.distributions import Distribution, Empirical

REGIONS = ("on", "near", "ridge", "far")
SINGLE_BOUND = 1e-4
EPSILON = torch.finfo(torch.float64).eps


class Row(NamedTuple):
    """The worst errors over the points of one cell: a law, a region, a noise level.

    rounding: what a rounding of x does to the true score, where on a ridge that is needed to explain an error above the
    bound, else 0; missed: points whose error is above both; float32: the worst error of any kind at a float32 point.
    """

    law: str
    reference: str
    region: str
    ratio: float
    alpha: float
    sigma: float
    points: int
    score: float
    log_prob: float
    denoise: float
    bound: float
    rounding: float
    missed: int
    float32: float


# -- points ----------------------------------------------------------------------------------------------------------


def level(ratio: float) -> tuple[float, float]:
    """α and σ of this σ/α with α² + σ² = 1."""
    return 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio)


def size_of(law: Distribution) -> float:
    return float(law.sample(1001, torch.Generator().manual_seed(0)).norm(dim=-1).median())


def points_of(law: Distribution, region: str, alpha: float, sigma: float, n: int) -> tuple[Tensor, Tensor]:
    """n points (n, dim) of a region, the last of them a point of float32 as well, and unit vectors across the ridge."""
    g = torch.Generator().manual_seed(1000 * REGIONS.index(region) + round(1e6 * sigma))
    start, end = law.sample(n, g), law.sample(n, g)
    z = torch.randn(n, law.dim, dtype=torch.float64, generator=g)
    x = alpha * start
    if region == "near":
        x = x + sigma * z
    if region == "ridge":
        x = ridge(law, start, end, alpha, sigma)
    if region == "far":
        reach = 3 * (1000 / 3) ** torch.rand(n, 1, dtype=torch.float64, generator=g)
        aside = (alpha * size_of(law) + sigma * math.sqrt(law.dim)) * _unit(z)
        x = reach * torch.where((torch.arange(n) % 2 == 0)[:, None], aside, x + sigma * z)
    x[-1] = x[-1].float().double()
    return x, _unit(end - start)


def ridge(law: Distribution, start: Tensor, end: Tensor, alpha: float, sigma: float) -> Tensor:
    """Where, on the way between two points of the law, the score turns most, from pointing back to pointing ahead."""
    line, low = (end - start)[:, None], torch.zeros(len(start), 1, dtype=torch.float64)
    for digit in range(13):  # of 4 bits
        t = low + torch.arange(17) / 16.0 ** (digit + 1)
        score = law.score(alpha * (start[:, None] + t[..., None] * line), alpha, sigma)
        turn = (score * line).sum(-1).diff(dim=1).argmax(1, keepdim=True)
        low = low + turn / 16.0 ** (digit + 1)
    return alpha * (start + low * line[:, 0])


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


# -- errors ----------------------------------------------------------------------------------------------------------


def measure(name: str, region: str, ratio: float, points: int) -> Row:
    """The worst errors over so many points."""
    family, (alpha, sigma) = FAMILIES[name], level(ratio)
    bound = math.inf if region == "ridge" and not family.ridges else family.bound
    size, most, rounding, missed = size_of(family.law), (0.0, 0.0, 0.0), 0.0, 0
    for x, across in zip(*points_of(family.law, region, alpha, sigma, points), strict=True):
        true = family.reference(exactly(x), mp.mpf(alpha), mp.mpf(sigma))
        found = errors(family, true, x, alpha, sigma, size)
        most = (max(most[0], found[0]), max(most[1], found[1]), max(most[2], found[2]))
        if max(found) > bound:
            felt = rounding_felt(family, true, x, across, alpha, sigma) if region == "ridge" else 0.0
            rounding, missed = max(rounding, felt), missed + (max(found) > felt)
    single = max(errors(family, true, x.float(), alpha, sigma, size))
    missed += single > SINGLE_BOUND
    return Row(name, family.route, region, ratio, alpha, sigma, points, *most, bound, rounding, missed, single)


def errors(
    family: Family, true: Answer, x: Tensor, alpha: float, sigma: float, size: float
) -> tuple[float, float, float]:
    """Of score, log-density and posterior mean, on their scales; infinite where one is not finite."""
    law = family.law
    found = [method(x, alpha, sigma).reshape(-1) for method in (law.score, law.log_prob, law.denoise)]
    if not all(bool(value.isfinite().all()) for value in found):
        return math.inf, math.inf, math.inf
    score, log_prob, mean = (exactly(value) for value in found)
    reach = max(norm(exactly(x)), sigma, alpha * size)
    return (
        float(gap(score, true.score) / _score_scale(family, true, alpha, sigma)),
        float(abs(log_prob[0] - true.log_p) / max(1, abs(true.log_p))),
        float(alpha * gap(mean, true.mean) / reach),
    )


def rounding_felt(family: Family, true: Answer, x: Tensor, across: Tensor, alpha: float, sigma: float) -> float:
    """By how much the true score changes, on its scale, when x moves by |x| times the precision of float64."""
    step = exactly(EPSILON * x.norm() * across)
    moved = [v + w for v, w in zip(exactly(x), step, strict=True)]
    other = family.reference(moved, mp.mpf(alpha), mp.mpf(sigma))
    return float(gap(true.score, other.score) / _score_scale(family, true, alpha, sigma))


def midway(sigma: float, aside: float) -> tuple[float, float]:
    """Halfway between two point masses of R², so far aside: the error of the score, and the rounding felt there."""
    points = torch.tensor([[0.3, -0.7], [1.1, 0.9]], dtype=torch.float64)
    across = _unit(points[1] - points[0])
    x = points.mean(0) + aside * torch.stack([-across[1], across[0]])
    family = Family(Empirical(points), "", references.empirical(points.tolist()))
    true = family.reference(exactly(x), mp.mpf(1), mp.mpf(sigma))
    return errors(family, true, x, 1.0, sigma, 1.0)[0], rounding_felt(family, true, x, across, 1.0, sigma)


def _score_scale(family: Family, true: Answer, alpha: float, sigma: float) -> Real:
    return max(norm(true.score), 1 / mp.mpf(math.hypot(sigma, alpha * family.floor)))


def exactly(x: Tensor) -> list[Real]:
    """The numbers that x holds."""
    return [mp.mpf(v) for v in x.tolist()]


def norm(x: Sequence[Real]) -> Real:
    return mp.sqrt(mp.fdot(x, x))


def gap(x: Sequence[Real], y: Sequence[Real]) -> Real:
    return norm([a - b for a, b in zip(x, y, strict=True)])
