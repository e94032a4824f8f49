"""How exact the exact laws are: each against a reference of 50 digits, at every noise level.

    python -m benchmarks.exactness                        about 15 minutes; writes docs/exactness.md and .csv
    python -m benchmarks.exactness --families box,torus   these alone, printed

With τ the smallest standard deviation of αX + σZ given a component of the law, errors are

    of the score            |found - true| / max(|true|, 1/τ)
    of the log-density      |found - true| / max(1, |true|)
    of the posterior mean   α |found - true| / max(|x|, σ, α·size)

|x| is the size of the other terms of Tweedie's formula α E[X | x] = x + σ² score, size that of the law: the median of
|X|. Ends with 1 if a bound is missed.
"""

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks import references
from benchmarks.families import FAMILIES, Family
from benchmarks.integrals import Real, mp
from benchmarks.references import Answer
from toylab.distributions import Distribution, Empirical

RATIOS = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""σ/α."""
REGIONS = ("on", "near", "ridge", "far")
SINGLE_BOUND = 1e-4
DOCS = Path(__file__).parent.parent / "docs"
EPSILON = torch.finfo(torch.float64).eps


class Row(NamedTuple):
    """The worst errors over the points of one cell: a law, a region, a noise level."""

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
    float32: float

    @property
    def missed(self) -> bool:
        return not (max(self.score, self.log_prob, self.denoise) <= self.bound and self.float32 <= SINGLE_BOUND)


# -- points ----------------------------------------------------------------------------------------------------------


def level(ratio: float) -> tuple[float, float]:
    """α and σ of this ratio with α² + σ² = 1."""
    return 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio)


def size_of(law: Distribution) -> float:
    return float(law.sample(1001, torch.Generator().manual_seed(0)).norm(dim=-1).median())


def points_of(law: Distribution, region: str, alpha: float, sigma: float, n: int) -> Tensor:
    """n points (n, dim) of a region, the last of them a point of float32 as well."""
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
        aside = (alpha * size_of(law) + sigma * math.sqrt(law.dim)) * z / z.norm(dim=-1, keepdim=True)
        x = reach * torch.where((torch.arange(n) % 2 == 0)[:, None], aside, x + sigma * z)
    x[-1] = x[-1].float().double()
    return x


def ridge(law: Distribution, start: Tensor, end: Tensor, alpha: float, sigma: float) -> Tensor:
    """Where, on the way between two points of the law, the score turns most, from pointing back to pointing ahead."""
    line, low = (end - start)[:, None], torch.zeros(len(start), 1, dtype=torch.float64)
    for digit in range(13):  # of 4 bits
        t = low + torch.arange(17) / 16.0 ** (digit + 1)
        score = law.score(alpha * (start[:, None] + t[..., None] * line), alpha, sigma)
        turn = (score * line).sum(-1).diff(dim=1).argmax(1, keepdim=True)
        low = low + turn / 16.0 ** (digit + 1)
    return alpha * (start + low * line[:, 0])


# -- errors ----------------------------------------------------------------------------------------------------------


def measure(name: str, region: str, ratio: float, points: int) -> Row:
    """The worst errors over so many points."""
    family, (alpha, sigma) = FAMILIES[name], level(ratio)
    size, most = size_of(family.law), (0.0, 0.0, 0.0)
    x = points_of(family.law, region, alpha, sigma, points)
    for point in x:
        true = family.reference(exactly(point), mp.mpf(alpha), mp.mpf(sigma))
        found = errors(family, true, point, alpha, sigma, size)
        most = (max(most[0], found[0]), max(most[1], found[1]), max(most[2], found[2]))
    single = max(errors(family, true, point.float(), alpha, sigma, size))
    bound = math.inf if region == "ridge" and not family.ridges else family.bound
    return Row(name, family.route, region, ratio, alpha, sigma, points, *most, bound, single)


def errors(
    family: Family, true: Answer, x: Tensor, alpha: float, sigma: float, size: float
) -> tuple[float, float, float]:
    """Of score, log-density and posterior mean, on their scales; infinite where one is not finite."""
    law, tau = family.law, mp.mpf(math.hypot(sigma, alpha * family.floor))
    found = [method(x, alpha, sigma).reshape(-1) for method in (law.score, law.log_prob, law.denoise)]
    if not all(bool(value.isfinite().all()) for value in found):
        return math.inf, math.inf, math.inf
    score, log_prob, mean = (exactly(value) for value in found)
    reach = max(norm(exactly(x)), sigma, alpha * size)
    return (
        float(gap(score, true.score) / max(norm(true.score), 1 / tau)),
        float(abs(log_prob[0] - true.log_p) / max(1, abs(true.log_p))),
        float(alpha * gap(mean, true.mean) / reach),
    )


def exactly(x: Tensor) -> list[Real]:
    """The numbers that x holds."""
    return [mp.mpf(v) for v in x.tolist()]


def norm(x: Sequence[Real]) -> Real:
    return mp.sqrt(mp.fdot(x, x))


def gap(x: Sequence[Real], y: Sequence[Real]) -> Real:
    return norm([a - b for a, b in zip(x, y, strict=True)])


def rows_of(names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        start = time.perf_counter()
        for region in REGIONS:
            for ratio in RATIOS:
                yield measure(name, region, ratio, FAMILIES[name].points)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


# -- what no float64 arithmetic resolves -------------------------------------------------------------------------------


def midway(sigma: float, aside: float) -> tuple[float, float]:
    """Halfway between two point masses of R², so far aside: the error of the score, and what a step of εps(|x|) towards
    one of them does to the true score, both on the usual scale."""
    points = [[0.3, -0.7], [1.1, 0.9]]
    (a, b), (c, d) = points
    away = aside / math.hypot(c - a, d - b)
    x = torch.tensor([(a + c) / 2 - away * (d - b), (b + d) / 2 + away * (c - a)], dtype=torch.float64)
    family = Family(Empirical(torch.tensor(points, dtype=torch.float64)), "", references.empirical(points))
    step = EPSILON * float(x.norm()) / math.hypot(c - a, d - b)
    moved = [v + step * w for v, w in zip(exactly(x), (c - a, d - b), strict=True)]
    true, other = (family.reference(y, mp.mpf(1), mp.mpf(sigma)) for y in (exactly(x), moved))
    scale = max(norm(true.score), 1 / mp.mpf(sigma))
    return errors(family, true, x, 1.0, sigma, 1.0)[0], float(gap(true.score, other.score) / scale)


# -- the report ------------------------------------------------------------------------------------------------------

EXPLANATION = """\
# How exact the exact laws are

Every law of toylab answers three questions about αX + σZ, the law's X scaled and with Gaussian noise added: its
log-density, its score (the gradient of that) and the posterior mean E[X | x]. They are called exact because no
sampling, no training and no approximation stands between the definition and the number: what is left is the rounding
of float64 and, for curves and Student's t, a quadrature. This page says how much that is, against references of 50
digits.

**The scale.** A relative error has no meaning where a score is 0, an absolute one none for a score that grows as 1/σ².
So the error of a score is divided by max(|score|, 1/τ), where τ is the smallest standard deviation of αX + σZ given a
component of the law (σ for points, boxes, curves, spheres): 1/τ is the score one standard deviation from a component.
The error of a log-density is divided by max(1, |log p|). That of α E[X | x] is divided by max(|x|, σ, α·size), which is
the scale of the other terms of Tweedie's formula, α E[X | x] = x + σ² score; size is the median of |X|.

**The bound** on all three is 1e-9, and 1e-8 for curves, at σ/α from 1e-3 to 1e2 and for laws whose size is of order 1.
Points given in float32 are answered in float32, after arithmetic in float64: bound 1e-4.

**The points.** *On*: samples of the law. *Near*: samples of the noised law. *Ridge*: on the way from one sample to
another, the point at which the score turns most from pointing back to pointing ahead; parts of the law are equally
likely there. *Far*: 3 to 1000 times as far out as the noised law, in random directions and outwards through samples;
log-densities reach -1e12 there.

**The references** take routes of their own, with mpmath (`benchmarks/references.py`). Covariances are factored instead
of diagonalised; everything else is integrated from the definition, p(x) = ∫ N(x; αu, σ²I) dX(u), and so are E[X | x]
and, under the integral, the score. Each integral is taken twice, in different panels, and the two agree to 30 digits.
"""

LIMITS = """\
## Limits

Where two parts of a law are equally likely although both are many σ away, the score turns from one to the other within
σ²/distance, and roundings are felt. For two point masses 1.8 apart, exactly halfway between them, where the score
cancels, and further aside:

| σ | aside | error of the score | change of the true score when x moves by one rounding |
|---|---|---|---|
{}

So with σ = 1e-3 the bound is kept neither exactly halfway, where x itself would need more digits, nor far aside, where
squared distances are subtracted.

Full covariances are diagonalised, which leaves an error of a few roundings of their largest eigenvalue λ, up to
1e-15 λ: in the score, 1e-15 λ/τ². That is the bound itself where the noise is 1e-3 of the law's size and an eigenvalue
is smaller still. On ridges it is multiplied by the squared distance over τ²: the line without a bound above; roundings
of the matrix itself are felt there too. Diagonal and low-rank covariances do not lose these digits.
"""

ERRORS = ("score", "log_prob", "denoise", "float32")


def report(rows: Sequence[Row]) -> str:
    """Markdown: what is measured, a line for every law and region, and the limits."""
    score, log_prob, denoise, single = worst([row for row in rows if row.bound < math.inf])
    result = (
        f"**The result.** Points: {sum(row.points for row in rows)}, of {len({row.law for row in rows})} laws. Worst "
        f"errors where there is a bound: score {score}, log-density {log_prob}, posterior mean {denoise}, in float32 "
        f"{single}. Cells that miss their bound: {sum(row.missed for row in rows)}."
    )
    made = (
        f"Made by `python -m benchmarks.exactness` with torch {torch.__version__}; the errors at every noise level are "
        "in [exactness.csv](exactness.csv)."
    )
    head = "| law | reference | region | σ/α | points | score | log p | posterior mean | bound | float32 |"
    lines = [EXPLANATION, result, "", made, "", head, "|" + "---|" * 10]
    for (law, reference, region), group in groupby(rows, lambda row: (row.law, row.reference, row.region)):
        cells = list(group)
        span, points = f"{cells[0].ratio:g} to {cells[-1].ratio:g}", sum(row.points for row in cells)
        *exact, single = worst(cells)
        bound = "none" if cells[0].bound == math.inf else f"{cells[0].bound:.0e}"
        lines.append("| " + " | ".join([law, reference, region, span, str(points), *exact, bound, single]) + " |")
    halfway = [(sigma, aside, *midway(sigma, aside)) for sigma in (1e-3, 1e-2, 0.1) for aside in (0.0, 1.0, 1000.0)]
    table = [f"| {sigma:g} | {aside:g} | {error:.0e} | {step:.0e} |" for sigma, aside, error, step in halfway]
    limits = LIMITS.format("\n".join(table))
    return "\n".join([*lines, "", limits])


def worst(rows: Sequence[Row]) -> list[str]:
    """The greatest error of each kind."""
    return [f"{max(getattr(row, name) for row in rows):.0e}" for name in ERRORS]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", help="some of " + ",".join(FAMILIES) + ", separated by commas; printed only")
    given = parser.parse_args()
    names = given.families.split(",") if given.families else list(FAMILIES)
    if unknown := set(names) - set(FAMILIES):
        parser.error(f"no family is called {', '.join(sorted(unknown))}")
    rows = list(rows_of(names))
    text = report(rows)
    print(text)
    if not given.families:
        DOCS.mkdir(exist_ok=True)
        (DOCS / "exactness.md").write_text(text)
        with (DOCS / "exactness.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(Row._fields)
            table.writerows([f"{v:.3g}" if isinstance(v, float) else v for v in row] for row in rows)
    return int(any(row.missed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
