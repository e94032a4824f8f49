"""How exact the exact laws are: each against a reference of 50 digits, at every noise level.

    python -m benchmarks.exactness                        about 15 minutes; writes docs/exactness.md and .csv
    python -m benchmarks.exactness --families box,torus   these alone, printed

docs/exactness.md explains the scales, the points and the references. Ends with 1 if a bound is missed.
"""

import argparse
import csv
import math
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch

from benchmarks.errors import REGIONS, Row, measure, midway
from benchmarks.families import FAMILIES

RATIOS = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
"""σ/α."""
DOCS = Path(__file__).parent.parent / "docs"


def rows_of(names: Sequence[str]) -> Iterator[Row]:
    for name in names:
        start = time.perf_counter()
        for region in REGIONS:
            for ratio in RATIOS:
                yield measure(name, region, ratio, FAMILIES[name].points)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


# -- the page --------------------------------------------------------------------------------------------------------

EXPLANATION = f"""\
# How exact the exact laws are

Every law of toylab answers three questions about αX + σZ, the law's X scaled and with Gaussian noise added: its
log-density, its score (the gradient of that) and the posterior mean E[X | x]. They are called exact because no
sampling, no training and no approximation stands between the definition and the number: what is left is the rounding
of float64 and, for curves and Student's t, a quadrature. This page says how much that is, against references of 50
digits.

{{}}

**The scale.** A relative error has no meaning where a score is 0, an absolute one none for a score that grows as 1/σ².
So the error of a score is divided by max(|score|, 1/τ), where τ is the smallest standard deviation of αX + σZ given a
component of the law (σ for points, boxes, curves, spheres): 1/τ is the score one standard deviation from a component.
The error of a log-density is divided by max(1, |log p|). That of α E[X | x] is divided by max(|x|, σ, α·size), which is
the scale of the other terms of Tweedie's formula, α E[X | x] = x + σ² score; size is the median of |X|.

**The points.** *On*: samples of the law. *Near*: samples of the noised law. *Ridge*: on the way from one sample to
another, the point at which the score turns most from pointing back to pointing ahead; parts of the law are equally
likely there. *Far*: 3 to 1000 times as far out as the noised law, in random directions and outwards through samples;
log-densities reach -1e12 there.

**The bound** on all three errors is 1e-9, and 1e-8 for curves, at σ/α from 1e-3 to 1e2 and for laws whose size is of
order 1. Points given in float32 are answered in float32, after arithmetic in float64: bound 1e-4. On a ridge the true
score may change by more than the bound when x moves by its own rounding, |x| times the precision of float64; an error
no larger than this change is then allowed, and the table says so.

**The references** take routes of their own, with mpmath (`benchmarks/references.py`). Covariances are factored instead
of diagonalised; everything else is integrated from the definition, p(x) = ∫ N(x; αu, σ²I) dX(u), and so are E[X | x]
and, under the integral, the score. Each integral is taken twice, in different panels, and the two agree to 30 digits.

Made by `python -m benchmarks.exactness` with torch {torch.__version__}; the errors at every noise level are in
[exactness.csv](exactness.csv).
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
HEAD = "| law | reference | region | σ/α | points | score | log p | posterior mean | bound | float32 |"


def report(rows: Sequence[Row]) -> str:
    """Markdown: the worst errors and what they mean, a line for every law and region, and the limits."""
    groups = groupby(rows, lambda row: (row.law, row.region))
    lines = [EXPLANATION.format("\n".join(summary(rows))), HEAD, "|" + "---|" * 10]
    lines += [line_of(list(cells)) for _, cells in groups]
    halfway = [(sigma, aside, *midway(sigma, aside)) for sigma in (1e-3, 1e-2, 0.1) for aside in (0.0, 1.0, 1000.0)]
    table = [f"| {sigma:g} | {aside:g} | {error:.0e} | {felt:.0e} |" for sigma, aside, error, felt in halfway]
    return "\n".join([*lines, "", LIMITS.format("\n".join(table))])


def summary(rows: Sequence[Row]) -> list[str]:
    away = [row for row in rows if row.region != "ridge"]
    ridges = [row for row in rows if row.region == "ridge" and row.bound < math.inf]
    lines = [
        f"The worst errors at {sum(row.points for row in rows)} points of {len({row.law for row in rows})} laws:",
        "",
    ]
    for where, chosen in (("on, near and far", away), ("on ridges, where there is a bound", ridges)):
        if chosen:
            score, log_prob, denoise, single = worst(chosen)
            lines.append(
                f"* {where}: score {score}, log-density {log_prob}, posterior mean {denoise}; in float32 {single};"
            )
    return [*lines, f"* points that miss their bound: {sum(row.missed for row in rows)}."]


def line_of(cells: Sequence[Row]) -> str:
    """A law and a region, at all noise levels."""
    first, last = cells[0], cells[-1]
    *exact, single = worst(cells)
    bound = "none" if first.bound == math.inf else f"{first.bound:.0e}"
    if felt := max(row.rounding for row in cells):
        bound += f", or a rounding of x: {felt:.0e}"
    span, points = f"{first.ratio:g} to {last.ratio:g}", sum(row.points for row in cells)
    return (
        "| " + " | ".join([first.law, first.reference, first.region, span, str(points), *exact, bound, single]) + " |"
    )


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
