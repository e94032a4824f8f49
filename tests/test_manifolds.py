"""What manifolds, embeddings, heavy tails and low rank have of their own; their exactness: test_exactness.py."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

from tests.conftest import FULL, LOW_RANK
from toylab.distributions import (
    Box,
    Curve,
    Embedded,
    Empirical,
    GaussianMixture,
    Product,
    Sphere,
    StudentT,
    rotated,
    scaled,
    shifted,
)
from toylab.distributions.spheres import bessel_quotient, log_bessel
from toylab.errors import BadInput
from toylab.index import LAWS


def relative(found: torch.Tensor, expected: torch.Tensor, tau: float) -> float:
    """Worst error of a score on the scale max(|score|, 1/τ)."""
    scale = expected.norm(dim=-1).clamp(min=1 / tau)
    return float(((found - expected).norm(dim=-1) / scale).max())


# -- spheres -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [0.0, 1e-8, 1e-3, 0.3, 7.5, 40.0, 300.0, 1e4, 1e6, 1e9])
@pytest.mark.parametrize("dim", [2, 3, 7, 50, 102, 512, 4096])
def test_bessel_functions_against_50_digits(dim: int, kappa: float):
    """The quotient to 2e-15, the logarithm to 1e-13 for every 1 + ν log ν."""
    order = dim / 2 - 1
    with mpmath.workdps(60):
        nu, k = mpmath.mpf(order), mpmath.mpf(kappa)
        if kappa:
            top, bottom = mpmath.besseli(nu + 1, k), mpmath.besseli(nu, k)
            quotient = top / (k * bottom)
            logarithm = mpmath.log(mpmath.gamma(nu + 1) * (2 / k) ** nu * bottom) - k
        else:
            quotient, logarithm = 1 / (2 * nu + 2), mpmath.mpf(0)
        expected = float(quotient), float(logarithm)
    at = torch.tensor(kappa, dtype=torch.float64)
    size = 1 + order * math.log(max(order, 1)) + abs(expected[1])
    assert float(bessel_quotient(at, order)) == pytest.approx(expected[0], rel=2e-15, abs=0)
    assert float(log_bessel(at, order)) == pytest.approx(expected[1], abs=1e-13 * size)


@pytest.mark.parametrize("dim", [2, 3, 20])
def test_bessel_derivatives(dim: int):
    """In reverse and in forward mode."""
    kappa = torch.tensor([0.0, 1e-3, 0.5, 3.0, 60.0, 500.0], dtype=torch.float64, requires_grad=True)
    for bessel in (log_bessel, bessel_quotient):
        assert torch.autograd.gradcheck(
            lambda k, f=bessel: f(k + 1e-3, dim / 2 - 1), kappa, eps=1e-5, rtol=1e-6, check_forward_ad=True
        )


# -- curves ------------------------------------------------------------------------------------------------------


def ring(start: float = 0.0, end: float = 2 * math.pi) -> Curve:
    return Curve(lambda u: torch.stack([u.cos(), u.sin()], -1), start, end, 16)


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 0.1, 1.0, 100.0])
def test_a_circle_by_quadrature_meets_the_closed_form(sigma: float, generator: torch.Generator):
    """On, near, far and at the centre, within the bound that Curve states."""
    circle, curve = Sphere(2), ring()
    draws = torch.randn(100, 2, dtype=torch.float64, generator=generator)
    x = torch.cat([circle.sample(100, generator) + sigma * draws, 3 * draws, 1e3 * draws, 1e-4 * draws, 0 * draws[:1]])
    assert relative(curve.score(x, 1.0, sigma), circle.score(x, 1.0, sigma), sigma) < 1e-8
    log_p, expected = curve.log_prob(x, 1.0, sigma), circle.log_prob(x, 1.0, sigma)
    assert float(((log_p - expected).abs() / expected.abs().clamp(min=1)).max()) < 1e-9


@pytest.mark.parametrize("sigma", [1e-3, 0.05, 1.0])
@pytest.mark.parametrize("point", [(0.3, 0.0), (-2.0, 0.0), (4.0, 0.001), (0.5, 3.0)])
def test_a_segment_is_a_box_on_a_line(point: tuple[float, float], sigma: float):
    """With its end points, beyond which the integrand is far narrower than σ."""
    segment = Curve(lambda u: torch.stack([u, 0 * u], -1), -1.0, 2.0, 4)
    law = Embedded(Box(-1.0, 2.0), [[1.0], [0.0]])
    x = torch.tensor([point], dtype=torch.float64)
    assert relative(segment.score(x, 1.0, sigma), law.score(x, 1.0, sigma), sigma) < 1e-8
    assert float(segment.log_prob(x, 1.0, sigma)) == pytest.approx(float(law.log_prob(x, 1.0, sigma)), rel=1e-9)


def test_a_curve_is_evaluated_in_several_threads(generator: torch.Generator):
    """Subjects are measured side by side: forward mode in two threads at once crashed the process."""
    x = torch.randn(50, 2, dtype=torch.float64, generator=generator)
    expected = ring().score(x, 0.9, 0.05)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: ring().score(x, 0.9, 0.05), range(40)):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_distance_to_a_curve_and_uniform_arc_length(generator: torch.Generator):
    x = torch.randn(200, 2, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(ring().distance(x), Sphere(2).distance(x))
    roll = LAWS.load("swiss-roll")()
    u = roll._at_arc_length(torch.linspace(0, roll.length, 101, dtype=torch.float64))
    fine = torch.stack([roll.points(torch.linspace(float(a), float(b), 2001, dtype=u.dtype)) for a, b in pairwise(u)])
    lengths = fine.diff(dim=1).norm(dim=-1).sum(-1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, roll.length / 100), rtol=1e-6, atol=0)
    assert float(roll.distance(roll.sample(100, generator)).max()) < 1e-7


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Curve(lambda u: torch.stack([u, u], -1), 1.0, 0.0), "start < end"),
        (lambda: Curve(lambda u: torch.stack([u**2, u**2], -1), -1.0, 1.0, 1), "not resolve|must not stop"),
        (lambda: Curve(lambda u: torch.stack([(40 * u).sin(), u], -1), 0.0, 1.0, 2), "do not resolve"),
        (lambda: Sphere(1), "dim must be"),
        (lambda: Sphere(3, -1.0), "radius"),
        (lambda: Embedded(FULL, [[1.0, 0.0], [1.0, 0.0]]), "orthonormal"),
        (lambda: Embedded(FULL, [[1.0, 0.0]]), "basis must be"),
        (lambda: Embedded(FULL, offset=[1.0]), "offset must be"),
        (lambda: scaled(FULL, 0.0), "scale must be"),
        (lambda: Product([]), "at least one"),
        (lambda: StudentT([0.0], df=0), "df must be"),
        (lambda: StudentT([], df=3), "centre must be"),
        (lambda: GaussianMixture.low_rank([[0.0, 0.0]], torch.ones(1, 3, 1), 0.1), "factors must be"),
        (lambda: GaussianMixture.low_rank([[0.0, 0.0]], torch.ones(1, 2, 1), -0.1), "std must be"),
        (lambda: FULL.mapped([[1.0]]), "matrix must be"),
        (lambda: LAWS.load("circle")(dim=1), "dim must be"),
    ],
)
def test_constructors_validate(build, message: str):
    with pytest.raises(BadInput, match=message):
        build()


# -- embeddings --------------------------------------------------------------------------------------------------


def test_an_embedded_gaussian_is_a_gaussian(generator: torch.Generator):
    basis = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64, generator=generator)).Q
    law = Embedded(FULL, basis, torch.arange(5.0), scale=0.7)
    expected = FULL.mapped(0.7 * basis, torch.arange(5.0).double())
    x = law.sample(50, generator) + 0.3 * torch.randn(50, 5, dtype=torch.float64, generator=generator)
    for method in ("log_prob", "score", "denoise"):
        torch.testing.assert_close(getattr(law, method)(x, 0.8, 0.6), getattr(expected, method)(x, 0.8, 0.6))
    torch.testing.assert_close(law.mean, expected.mean)
    torch.testing.assert_close(law.cov, expected.cov)


def test_similarities_of_a_gaussian_are_its_linear_maps():
    rotation = [[0.6, -0.8], [0.8, 0.6]]
    x = torch.randn(20, 2, dtype=torch.float64)
    for law, expected in [
        (shifted(FULL, [1.0, 2.0]), FULL.mapped(torch.eye(2), torch.tensor([1.0, 2.0]))),
        (scaled(FULL, 3.0), FULL.mapped(3 * torch.eye(2))),
        (rotated(FULL, rotation), FULL.mapped(rotation)),
    ]:
        torch.testing.assert_close(law.score(x, 0.8, 0.6), expected.score(x, 0.8, 0.6))
        torch.testing.assert_close(law.log_prob(x), expected.log_prob(x))


def test_distance_in_tangent_and_normal_directions():
    plane = LAWS.load("oblique-plane")()
    assert plane.law.dim == 2
    normal = torch.ones(3, dtype=torch.float64) / 3**0.5
    x = plane.sample(20, torch.Generator().manual_seed(0))
    sphere = Embedded(Sphere(2, 2.0), plane.basis, normal)
    torch.testing.assert_close(sphere.distance(sphere.sample(20) + 0.3 * normal), torch.full((20,), 0.3).double())
    assert float((x @ normal).abs().max()) < 1e-14


# -- heavy tails and low rank ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "df"), [(1, 1), (2, 2), (3, 5), (40, 3)])
def test_student_without_noise_against_scipy(dim: int, df: int):
    law = StudentT([0.5] * dim, df, 0.7)
    x = torch.randn(20, dim, dtype=torch.float64) * torch.logspace(-2, 8, 20, dtype=torch.float64)[:, None]
    reference = scipy.stats.multivariate_t([0.5] * dim, 0.49 * np.eye(dim), df=df)
    np.testing.assert_allclose(
        law.log_prob(x).numpy(), np.atleast_1d(reference.logpdf(x.numpy())), rtol=1e-9, atol=1e-9
    )


def test_heavy_tails_say_which_moments_they_lack():
    with pytest.raises(BadInput, match="no mean"):
        _ = StudentT([0.0], df=1).mean
    with pytest.raises(BadInput, match="infinite variance"):
        _ = StudentT([0.0], df=2).cov


def test_low_rank_equals_the_full_covariance(generator: torch.Generator):
    full = GaussianMixture(LOW_RANK.means, cov=LOW_RANK._covariances(), weights=LOW_RANK.weights)
    x = 2 * torch.randn(50, 4, dtype=torch.float64, generator=generator)
    for alpha, sigma in [(1.0, 0.0), (0.8, 0.6), (1.0, 1e-3), (0.0, 1.0)]:
        for method in ("log_prob", "score", "denoise", "responsibilities"):
            torch.testing.assert_close(
                getattr(LOW_RANK, method)(x, alpha, sigma), getattr(full, method)(x, alpha, sigma)
            )
    torch.testing.assert_close(LOW_RANK.cov, full.cov)


def test_low_rank_in_thousands_of_dimensions(generator: torch.Generator):
    """Rank 32 in R^3072: Tweedie, and the score along a direction of the subspace as in one dimension."""
    factors = torch.linalg.qr(torch.randn(1, 3072, 32, dtype=torch.float64, generator=generator)).Q * 2
    law = GaussianMixture.low_rank(torch.zeros(1, 3072), factors, 0.1)
    x = law.sample(100, generator)
    score = law.score(x, 0.8, 0.6)
    torch.testing.assert_close(0.8 * law.denoise(x, 0.8, 0.6), x + 0.36 * score, rtol=1e-9, atol=1e-12)
    along = factors[0, :, 0] / 2
    torch.testing.assert_close(score @ along, -(x @ along) / (0.64 * 4.01 + 0.36))


def test_distance_to_a_finite_set():
    points, x = torch.randn(30, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(Empirical(points).distance(x), torch.cdist(x, points).amin(-1))
