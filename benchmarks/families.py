"""The laws whose exactness is measured, each with its reference.

Every class of law and every contamination is here at least once, with parameters that are ordinary or, as
`full-16d`, whose covariance has eigenvalues from 1 down to 1e-13, hard.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import references as r
from benchmarks.integrals import Real, Vector, mp
from benchmarks.references import Reference, Shape
from toylab.contamination import compose, duplicates, far_cluster, heavy_tail, inlier_noise, missing, outliers
from toylab.distributions import (
    Box,
    Convolved,
    Distribution,
    Embedded,
    Empirical,
    GaussianMixture,
    Mixture,
    Product,
    Sphere,
    StudentT,
    SubspaceMixture,
    Torus,
    named,
    rotated,
    scaled,
    shifted,
)

CHOLESKY = "covariance factored (Cholesky)"
SUM = "sum over the points"
INTERVALS = "an integral per coordinate"
ANGLE = "integral over the polar angle"
LENGTH = "integral over the curve's parameter"
PARTS = "references of its parts, summed"
SHELLS = "density convolved with the noise, in shells"


class Family(NamedTuple):
    """A law, its reference in words and as a function, and what is claimed of it.

    bound: of all errors; floor: the smallest standard deviation of a component of X itself; points: in each cell of the
    measurement, 2 where the reference is slow; ridges: whether the bound is claimed on them.
    """

    law: Distribution
    route: str
    reference: Reference
    bound: float = 1e-9
    floor: float = 0.0
    points: int = 3
    ridges: bool = True


def _draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(11))


# -- ingredients ---------------------------------------------------------------------------------------------------

FULL_MEANS = [[0.0, 1.0], [1.5, -1.0]]
FULL_COVS = [[[1.0, 0.5], [0.5, 0.4]], [[0.2, 0.0], [0.0, 0.05]]]
FULL_FLOOR = 0.2236  # √0.05
FULL = GaussianMixture(FULL_MEANS, cov=torch.tensor(FULL_COVS, dtype=torch.float64), weights=[0.3, 0.7])
FULL_REFERENCE = r.gaussians(FULL_MEANS, FULL_COVS, [0.3, 0.7])
DIAGONAL_MEANS = [[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]]
DIAGONAL_STD = [[0.3, 1.0, 0.1], [0.5, 0.2, 0.7]]
DIAGONAL = GaussianMixture(DIAGONAL_MEANS, std=torch.tensor(DIAGONAL_STD, dtype=torch.float64))
DIAGONAL_COVS = [r.diagonal(s) for s in DIAGONAL_STD]
DIAGONAL_REFERENCE = r.gaussians(DIAGONAL_MEANS, DIAGONAL_COVS)
OBLIQUE = torch.linalg.qr(_draw(4, 2)).Q
ROTATION = [[0.6, -0.8], [0.8, 0.6]]
LOW, HIGH = [-1.0, 0.0], [1.0, 0.5]


def basis_of(law: Distribution) -> Tensor:
    assert isinstance(law, Embedded)
    assert law.basis is not None
    return law.basis


def isotropic(law: GaussianMixture, std: float) -> Reference:
    return r.gaussians(law.means.tolist(), [r.diagonal([std] * law.dim)] * len(law.means))


def hard_gaussians() -> tuple[Tensor, Tensor]:
    """Means and covariances in R^16 whose eigenvalues are spread over thirteen orders of magnitude."""
    means = _draw(2, 16) / 4
    bases = torch.linalg.qr(_draw(2, 16, 16)).Q
    cov = bases * torch.logspace(0, -13, 16, dtype=torch.float64) @ bases.mT
    return means, (cov + cov.mT) / 2


def masked(means: list[Vector], covs: Sequence[Any], keep: Sequence[int], weights: list[float]) -> Reference:
    """Gaussians with the coordinates that are not kept set to 0."""
    cut = [[k * m for k, m in zip(keep, mean, strict=True)] for mean in means]
    return r.gaussians(cut, [r.mapped(c, mp.diag(keep)) for c in covs], weights)


def similar(scale: float, offset: Sequence[float]) -> Reference:
    """FULL rotated, scaled and shifted: its means and covariances mapped."""
    a = mp.matrix(ROTATION) * scale
    means = [list(a * mp.matrix(m) + mp.matrix(offset)) for m in FULL_MEANS]
    return r.gaussians(means, [r.mapped(c, a) for c in FULL_COVS], [0.3, 0.7])


# -- curves ----------------------------------------------------------------------------------------------------------


def swiss_roll(u: Real) -> tuple[Vector, Real]:
    (c, s), scale = mp.cos_sin(u), 2 / (mp.mpf("4.5") * mp.pi)
    return [scale * u * c, scale * u * s], scale * mp.sqrt(1 + u**2)


def spiral(u: Real) -> tuple[Vector, Real]:
    (c, s), growth = mp.cos_sin(u), mp.log(10) / (4 * mp.pi)
    radius = mp.exp(growth * u) / 5
    return [radius * c, radius * s], radius * mp.sqrt(1 + growth**2)


def upper_moon(u: Real) -> tuple[Vector, Real]:
    return list(mp.cos_sin(u)), mp.mpf(1)


def lower_moon(u: Real) -> tuple[Vector, Real]:
    c, s = mp.cos_sin(u)
    return [1 - c, mp.mpf("0.5") - s], mp.mpf(1)


def trefoil(u: Real) -> tuple[Vector, Real]:
    (c1, s1), (c2, s2), (c3, s3), scale = mp.cos_sin(u), mp.cos_sin(2 * u), mp.cos_sin(3 * u), mp.mpf(2) / 3
    velocity = [c1 + 4 * c2, -s1 + 4 * s2, -3 * c3]
    return [scale * (s1 + 2 * s2), scale * (c1 - 2 * c2), -scale * s3], scale * mp.sqrt(mp.fdot(velocity, velocity))


def placed(shape: Shape, basis: Tensor) -> Shape:
    """A plane curve on the plane spanned by basis (D, 2)."""
    rows = [r.numbers(row) for row in basis.tolist()]

    def lifted(u: Real) -> tuple[Vector, Real]:
        gamma, speed = shape(u)
        return [mp.fdot(row, gamma) for row in rows], speed

    return lifted


def pieces(start: float, end: float, parts: int = 1) -> list[Real]:
    """From start·π to end·π in steps of about π/parts."""
    steps = math.ceil(parts * (end - start))
    return [mp.pi * (start + (end - start) * mp.mpf(k) / steps) for k in range(steps + 1)]


TURN, MOON, ROLL = pieces(0, 2), pieces(0, 1), pieces(1.5, 4.5)
MOONS = [r.curve(upper_moon, MOON), r.curve(lower_moon, MOON)]
CIRCLE = r.curve(upper_moon, TURN)


# -- the families ------------------------------------------------------------------------------------------------------


def _gaussians() -> dict[str, Family]:
    three, plane = named.three_gaussians(), named.subspace()
    means, covs = hard_gaussians()
    factors = _draw(2, 64, 4) / 4
    thin = GaussianMixture.low_rank(_draw(2, 64) / 8, factors, [0.01, 0.1], [0.4, 0.6])
    cloud = Empirical(_draw(20, 2))
    flat = r.gaussians([[0.0] * 16], [r.mapped(r.diagonal([1.0, 1.0]), basis_of(plane).tolist())])
    low_rank = r.gaussians(
        thin.means.tolist(), [r.low_rank(f, s) for f, s in zip(factors.tolist(), [0.01, 0.1], strict=True)], [0.4, 0.6]
    )
    return {
        "isotropic": Family(three, CHOLESKY, isotropic(three, 0.3), floor=0.3),
        "diagonal": Family(DIAGONAL, CHOLESKY, DIAGONAL_REFERENCE, floor=0.1),
        "full": Family(FULL, CHOLESKY, FULL_REFERENCE, floor=FULL_FLOOR),
        "full-16d": Family(
            GaussianMixture(means, cov=covs),
            CHOLESKY,
            r.gaussians(means.tolist(), covs.tolist()),
            floor=10**-6.5,
            ridges=False,
        ),
        "low-rank-64d": Family(thin, CHOLESKY, low_rank, floor=0.01, points=2),
        "empirical": Family(cloud, SUM, r.empirical(cloud.means.tolist())),
        "moved": Family(
            shifted(scaled(rotated(FULL, ROTATION), 0.5), [1.0, -2.0]),
            CHOLESKY,
            similar(0.5, [1.0, -2.0]),
            floor=0.5 * FULL_FLOOR,
        ),
        "subspace": Family(plane, CHOLESKY, flat),
    }


def _boxes() -> dict[str, Family]:
    wide, oblique = Box([-3.0, -3.0], [3.0, 3.0]), named.oblique_plane()
    both = Embedded(Mixture([FULL, Box(LOW, HIGH)]), OBLIQUE, [1.0, 0.0, 0.0, 2.0])
    columns = mp.matrix(OBLIQUE.tolist())
    lifted = [list(columns * mp.matrix(m) + mp.matrix([1.0, 0.0, 0.0, 2.0])) for m in FULL_MEANS]
    gaussians = r.gaussians(lifted, [r.mapped(c, columns) for c in FULL_COVS], [0.3, 0.7])
    return {
        "box": Family(Box([-1.0, 0.0, 0.0], [2.0, 0.5, 0.01]), INTERVALS, r.box([-1.0, 0.0, 0.0], [2.0, 0.5, 0.01])),
        "convolved": Family(
            Convolved(Box(LOW, HIGH), 0.2), f"{INTERVALS}, of X + std·Z", r.box(LOW, HIGH, 0.2), floor=0.2, points=2
        ),
        "mixture": Family(
            Mixture([FULL, wide], [0.8, 0.2]),
            PARTS,
            r.mixed([FULL_REFERENCE, r.box([-3.0, -3.0], [3.0, 3.0])], [0.8, 0.2]),
        ),
        "oblique-plane": Family(
            oblique,
            "integral over the square, in R^3",
            r.plane([-1.0, -1.0], [1.0, 1.0], basis_of(oblique).tolist(), [0.0] * 3),
        ),
        "subspace-mixture": Family(SubspaceMixture(FULL, OBLIQUE, [1.0, 0.0, 0.0, 2.0]), CHOLESKY, gaussians),
        "embedded-mixture": Family(
            both,
            f"{PARTS}, each in R^4",
            r.mixed([gaussians, r.plane(LOW, HIGH, OBLIQUE.tolist(), [1.0, 0.0, 0.0, 2.0])]),
            points=2,
        ),
        "product": Family(
            Product([FULL, Box(-1.0, 1.0), Sphere(2)]),
            "references of its parts, multiplied",
            r.side_by_side([(FULL_REFERENCE, 2), (r.box([-1.0], [1.0]), 1), (r.sphere(2), 2)]),
        ),
    }


def _manifolds() -> dict[str, Family]:
    spheres = {
        f"sphere-{d}d": Family(Sphere(d), ANGLE, r.sphere(d), points=2 if d > 64 else 3) for d in (2, 3, 7, 64, 4096)
    }
    roll = named.swiss_roll(dim=6)
    noisy = r.blurred(r.mixed(MOONS), 0.1)
    return spheres | {
        "torus": Family(Torus([1.0, 2.0]), ANGLE, r.side_by_side([(r.sphere(2), 2), (r.sphere(2, 2.0), 2)]), points=2),
        "swiss-roll": Family(named.swiss_roll(), LENGTH, r.curve(swiss_roll, ROLL), 1e-8),
        "swiss-roll-6d": Family(
            roll, f"{LENGTH}, in R^6", r.curve(placed(swiss_roll, basis_of(roll)), ROLL), 1e-8, points=2
        ),
        "spiral": Family(named.spiral(), LENGTH, r.curve(spiral, pieces(0, 4)), 1e-8, points=2),
        "two-moons": Family(named.two_moons(), LENGTH, r.mixed(MOONS), 1e-8, points=2),
        "noisy-moons": Family(named.two_moons(std=0.1), LENGTH, noisy, 1e-8, floor=0.1, points=2),
        "trefoil": Family(named.trefoil(), LENGTH, r.curve(trefoil, pieces(0, 2, 2)), 1e-8),
    }


def _tails() -> dict[str, Family]:
    rows = [([0.5], 1, 1.0), ([1.0, -1.0], 12, 0.5), ([0.1] * 40, 3, 0.2)]
    return {
        f"student-{len(c)}d": Family(StudentT(c, df, scale), SHELLS, r.student(c, df, scale), points=2)
        for c, df, scale in rows
    }


def _contaminations() -> dict[str, Family]:
    three, unit = named.three_gaussians(), Box([-1.0, -1.0], [1.0, 1.0])
    clean, square = isotropic(three, 0.3), r.box([-1.0, -1.0], [1.0, 1.0])
    background = r.box([-6.0, -6.0], [6.0, 6.0])
    copied = duplicates(unit, 0.3)
    far = far_cluster(named.circle(), 0.2)
    points = copied.laws[1].means.tolist()  # type: ignore[attr-defined]
    cluster = r.gaussians(far.laws[1].means.tolist(), [r.diagonal([0.3, 0.3])])  # type: ignore[attr-defined]
    blocks = [masked(DIAGONAL_MEANS, DIAGONAL_COVS, keep, [0.5, 0.5]) for keep in ([0, 0, 1], [1, 1, 0])]
    sides = [masked(FULL_MEANS, FULL_COVS, keep, [0.3, 0.7]) for keep in ([0, 1], [1, 0])]
    noised = r.mixed([CIRCLE, r.blurred(CIRCLE, 0.2)], [0.1, 0.9])
    return {
        "outliers": Family(outliers(three, 0.1), PARTS, r.mixed([clean, background], [0.9, 0.1])),
        "far-cluster": Family(far, PARTS, r.mixed([CIRCLE, cluster], [0.8, 0.2]), points=2),
        "heavy-tail": Family(
            heavy_tail(three, 0.1),
            PARTS,
            r.mixed([clean, r.student([0.0, 0.0], 2, 1.0)], [0.9, 0.1]),
            points=2,
        ),
        "inlier-noise": Family(
            inlier_noise(unit), PARTS, r.mixed([square, r.box([-1.0] * 2, [1.0] * 2, 0.2)], [0.1, 0.9]), points=2
        ),
        "missing": Family(
            missing(DIAGONAL, 0.5, block=2), CHOLESKY, r.mixed([DIAGONAL_REFERENCE, *blocks], [0.5, 0.25, 0.25])
        ),
        "missing-full": Family(missing(FULL, 1.0), CHOLESKY, r.mixed(sides)),
        "duplicates": Family(copied, PARTS, r.mixed([square, r.empirical(points)], [0.7, 0.3])),
        "composed": Family(
            compose(named.circle(), inlier_noise, outliers), PARTS, r.mixed([noised, background], [0.9, 0.1]), points=2
        ),
    }


FAMILIES: dict[str, Family] = _gaussians() | _boxes() | _manifolds() | _tails() | _contaminations()
