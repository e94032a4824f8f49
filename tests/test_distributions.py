"""Contracts every law keeps, and what holds without noise; with noise, see test_exactness.py."""

import itertools
import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ALL_LAWS, DIAGONAL, FULL
from toylab.contamination import outliers
from toylab.distributions import (
    Box,
    Convolved,
    Distribution,
    Embedded,
    Empirical,
    GaussianMixture,
    Mixture,
    Product,
    SingularLaw,
    Sphere,
    StudentT,
    shifted,
)
from toylab.errors import BadInput

HEAVY = ("student", "heavy-tail")
"""With some of their mass beyond every box."""

SLOW = ("swiss-roll", "spiral")
"""Curves, of which two-moons is integrated."""

ROUNDING = 1e-12
"""Of a coordinate that is constant, as a corner of every digit is."""

LEVELS = [(1.0, 0.0), (1.0, 0.01), (0.9, 0.3), (0.3, 0.95), (1e-3, 1.0), (0.0, 1.0)]


def points_of(law: Distribution, alpha: float, sigma: float, n: int = 200) -> torch.Tensor:
    """Points of αX + σZ, and far ones."""
    g = torch.Generator().manual_seed(1)
    x = alpha * law.sample(n, g) + sigma * torch.randn(n, law.dim, dtype=torch.float64, generator=g)
    return torch.cat([x, 3 * x + 0.5]) if sigma else x


def is_singular(law: Distribution) -> bool:
    """Whether the law has no density of its own."""
    try:
        law.log_prob(law.sample(1))
    except SingularLaw:
        return True
    return False


def smallest_std(law: Distribution, alpha: float, sigma: float) -> float:
    """The smallest standard deviation of αX + σZ given a component."""
    if isinstance(law, GaussianMixture):
        return float((alpha**2 * torch.linalg.eigvalsh(law._covariances()).min().clamp(min=0) + sigma**2).sqrt())
    if isinstance(law, Embedded):
        return smallest_std(law.law, law.scale * alpha, sigma)
    if isinstance(law, Mixture | Product):
        return min(smallest_std(part, alpha, sigma) for part in law.laws)
    if isinstance(law, Convolved):
        return math.hypot(sigma, alpha * law.std)
    return sigma or 1.0


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_score_is_the_gradient_of_log_prob(law: Distribution, alpha: float, sigma: float):
    x = points_of(law, alpha, sigma).requires_grad_()
    if sigma == 0 and is_singular(law):
        for method in (law.log_prob, law.score):
            with pytest.raises(SingularLaw):
                method(x, alpha, sigma)
        return
    (gradient,) = torch.autograd.grad(law.log_prob(x, alpha, sigma).sum(), x)
    score = law.score(x, alpha, sigma)
    tolerance = 1e-8 * score.norm(dim=-1) + 1e-8 / smallest_std(law, alpha, sigma)
    assert ((gradient - score).norm(dim=-1) <= tolerance).all()


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS[1::2])
def test_tweedie(law: Distribution, alpha: float, sigma: float):
    x = points_of(law, alpha, sigma)
    score, x0 = law.score(x, alpha, sigma), law.denoise(x, alpha, sigma)
    torch.testing.assert_close(alpha * x0, x + sigma**2 * score, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ratio", [0.1, 3.0])
def test_heat_equation(law: Distribution, ratio: float):
    """How log p changes with σ²: ∂ log p/∂σ² = ½ (Δ log p + |∇ log p|²), on samples and outside."""
    alpha = 1 / math.hypot(1, ratio)
    sigma = ratio * alpha
    x = points_of(law, alpha, sigma, 4).requires_grad_()
    score = law.score(x, alpha, sigma)
    laplacian = sum(torch.autograd.grad(score[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(law.dim))
    right = (0.5 * (laplacian + score.square().sum(-1))).detach()
    h = 1e-3 * sigma**2
    levels = [math.sqrt(sigma**2 + k * h) for k in (-2, -1, 1, 2)]
    with torch.no_grad():
        p = [law.log_prob(x, alpha, s) for s in levels]
    left = (p[0] - 8 * p[1] + 8 * p[2] - p[3]) / (12 * h)  # error of order h⁴
    size = score.detach().square().sum(-1) + law.dim / smallest_std(law, alpha, sigma) ** 2
    assert ((left - right).abs() <= 1e-7 * size).all()


def test_distance_to_the_support(law: Distribution, generator: torch.Generator):
    """0 on samples; at most the distance to any sample; no point is farther than another by more than their gap."""
    samples = law.sample(500, generator)
    scale = float(samples.norm(dim=-1).max())
    assert (law.distance(samples) <= 1e-7 * scale).all()
    x, y = 2 * scale * torch.randn(2, 50, law.dim, dtype=torch.float64, generator=generator) / law.dim**0.5
    near, far = law.distance(x), law.distance(y)
    assert (near >= 0).all()
    assert (near <= torch.cdist(x, samples).amin(-1) * (1 + 1e-9)).all()
    assert ((near - far).abs() <= (x - y).norm(dim=-1) * (1 + 1e-9)).all()
    assert law.distance(x.float()).dtype == torch.float32


@pytest.mark.parametrize(
    ("law", "x", "distance"),
    [
        (Box([0.0, 0.0], [1.0, 2.0]), [4.0, -4.0], 5.0),
        (Box([0.0, 0.0], [1.0, 2.0]), [0.5, 1.0], 0.0),
        (GaussianMixture([[0.0, 0.0], [9.0, 9.0]], std=[[1.0, 0.0], [0.0, 1.0]]), [5.0, 3.0], 3.0),
        (GaussianMixture([[1.0, 0.0]], cov=[[1.0, 1.0], [1.0, 1.0]]), [0.0, 1.0], 2**0.5),
        (GaussianMixture.low_rank([[0.0, 0.0, 0.0]], torch.eye(3)[None, :, :1], 0.0), [7.0, 3.0, 4.0], 5.0),
        (GaussianMixture([[0.0], [5.0]], std=0.0, weights=[1.0, 0.0]), [5.0], 5.0),
        (Mixture([Box(0.0, 1.0), Box(4.0, 5.0)], [1.0, 0.0]), [4.5], 3.5),
        (Convolved(Box(0.0, 1.0), 0.1), [7.0], 0.0),
        (Product([Box(0.0, 1.0), Box(0.0, 1.0)]), [4.0, 5.0], 5.0),
    ],
)
def test_distances(law: Distribution, x: list[float], distance: float):
    assert float(law.distance(torch.tensor(x, dtype=torch.float64))) == pytest.approx(distance, abs=1e-12)


def test_denoise_at_alpha_zero_is_the_mean(law: Distribution):
    x = torch.randn(5, law.dim, dtype=torch.float64)
    torch.testing.assert_close(law.denoise(x, 0.0, 1.0), law.mean.expand(5, -1))


def test_score_is_the_gradient_of_log_prob_far_away(law: Distribution):
    """Up to a million noise units outside."""
    x = torch.randn(20, law.dim, dtype=torch.float64).sign() * torch.logspace(0, 3, 20, dtype=torch.float64)[:, None]
    for sigma in (1e-3, 1e-1):
        point = x.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(law.log_prob(point, 1.0, sigma).sum(), point)
        score = law.score(point, 1.0, sigma)
        tolerance = 1e-8 * score.norm(dim=-1) + 1e-8 / smallest_std(law, 1.0, sigma)
        assert ((gradient - score).norm(dim=-1) <= tolerance).all()


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.0), (0.8, 0.6)])
@pytest.mark.parametrize(
    "name", [name for name, law in ALL_LAWS.items() if law.dim <= 2 and name not in {*HEAVY, *SLOW}]
)
def test_density_integrates_to_one(name: str, alpha: float, sigma: float):
    """By scipy's adaptive cubature, on pieces cut at the edges of the supports so that each is smooth."""
    law = ALL_LAWS[name]

    def density(x: np.ndarray) -> np.ndarray:
        return law.log_prob(torch.from_numpy(np.ascontiguousarray(x)), alpha, sigma).exp().numpy()

    if sigma == 0 and is_singular(law):
        with pytest.raises(SingularLaw):
            law.log_prob(torch.zeros(1, law.dim), alpha, sigma)
        return
    edges = [-6.0, -3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0] if sigma == 0 else [-4.0, -1.0, 1.0, 4.0]
    cuts = alpha * np.array(edges)
    intervals = list(pairwise([-12.0, *cuts, 12.0]))
    total = 0.0
    for piece in itertools.product(intervals, repeat=law.dim):
        low, high = np.transpose(piece)
        total += float(scipy.integrate.cubature(density, low, high, rtol=1e-4, atol=1e-8).estimate)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_moments_against_monte_carlo(law: Distribution, generator: torch.Generator):
    n = 50_000
    x = law.sample(n, generator)
    assert x.shape == (n, law.dim)
    assert x.dtype == torch.float64
    z = (x.mean(0) - law.mean) / (x.std(0) / n**0.5 + ROUNDING)
    assert (z.abs() < 4.5).all()
    apart = x - law.mean
    products = apart.mT @ apart / n
    variance = (apart.square().mT @ apart.square() / n - products.square()).clamp(min=0)  # of one product
    z = (products - law.cov) / ((variance / n).sqrt() + ROUNDING)
    assert (z.abs() < 4.5).all()


def test_samples_follow_the_density(law: Distribution, generator: torch.Generator):
    """Stein's identity, E ⟨score(x), x - mean⟩ = -d over samples of the noised law."""
    n, sigma = 20_000, 0.5
    x = law.sample(n, generator) + sigma * torch.randn(n, law.dim, dtype=torch.float64, generator=generator)
    terms = (law.score(x, 1.0, sigma) * (x - law.mean)).sum(-1) + law.dim
    assert abs(terms.mean() / (terms.std() / n**0.5)) < 4.5


def test_posterior_mean_against_monte_carlo(law: Distribution, generator: torch.Generator):
    """E[X | x] by self-normalised importance sampling from the law itself, with more noise where it is wide."""
    alpha, sigma = (0.7, 0.7) if law.dim <= 16 else (0.2, 0.98)
    n = 50_000
    prior = law.sample(n, generator)
    x = alpha * law.sample(3, generator) + sigma * torch.randn(3, law.dim, dtype=torch.float64, generator=generator)
    for row in x:
        w = (-(row - alpha * prior).square().sum(-1) / (2 * sigma**2)).softmax(0)[:, None]
        estimate = (w * prior).sum(0)
        stderr = (w * (prior - estimate)).square().sum(0).sqrt()
        assert ((estimate - law.denoise(row, alpha, sigma)).abs() < 5 * stderr + ROUNDING).all()


def test_levels_per_row_equal_one_at_a_time(law: Distribution):
    x = torch.randn(2, 3, law.dim, dtype=torch.float64)
    alpha, sigma = torch.rand(3) + 0.1, torch.rand(2, 1) + 0.1
    for method in (law.log_prob, law.score, law.denoise):
        together = method(x, alpha, sigma)
        for i in range(2):
            for j in range(3):
                alone = method(x[i, j], float(alpha[j]), float(sigma[i, 0]))
                torch.testing.assert_close(together[i, j], alone, rtol=1e-12, atol=1e-12)


def test_chunks_change_nothing(law: Distribution, monkeypatch: pytest.MonkeyPatch):
    x = torch.randn(50, law.dim, dtype=torch.float64)
    whole = law.score(x, 0.8, 0.6)
    monkeypatch.setattr(type(law), "_chunk", 7 * law.dim * law._row_cost)
    torch.testing.assert_close(law.score(x, 0.8, 0.6), whole, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_follows_the_points(law: Distribution, dtype: torch.dtype):
    x = torch.randn(5, law.dim, dtype=dtype)
    exact = law.score(x.double(), 0.8, 0.6)
    for result in (law.score(x, 0.8, 0.6), law.denoise(x, 0.8, 0.6), law.log_prob(x, 0.8, 0.6)):
        assert result.dtype == dtype
        assert result.isfinite().all()
    torch.testing.assert_close(law.score(x, 0.8, 0.6).double(), exact, rtol=1e-6, atol=1e-6)


def test_same_generator_same_samples(law: Distribution):
    first, second = (law.sample(10, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_bad_points_and_levels_are_refused(law: Distribution):
    x = torch.zeros(4, law.dim + 1)
    with pytest.raises(BadInput, match="have shape"):
        law.log_prob(x)
    x = torch.zeros(4, law.dim)
    with pytest.raises(BadInput, match="sigma must be finite"):
        law.score(x, 1.0, -0.1)
    for bad in (-2.0, math.nan, math.inf):
        with pytest.raises(BadInput, match="sigma must be"):
            law.score(x, 1.0, torch.tensor(bad))
    with pytest.raises(BadInput, match="floating point"):
        law.score(x.long(), 1.0, 1.0)
    with pytest.raises(BadInput, match="does not broadcast"):
        law.score(x, torch.ones(3), 1.0)


@pytest.mark.gpu
def test_laws_on_cuda_equal_those_on_the_cpu(law: Distribution):
    x = law.sample(100, torch.Generator("cuda").manual_seed(0))
    assert x.device.type == "cuda"
    for method in (law.log_prob, law.score, law.denoise):
        torch.testing.assert_close(method(x, 0.8, 0.6).cpu(), method(x.cpu(), 0.8, 0.6), rtol=1e-10, atol=1e-10)


def simple_law(draw: st.DrawFn, dim: int) -> Distribution:
    """One law of R^dim, its parameters drawn."""
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=g)

    count, size = draw(st.integers(1, 6)), 10 ** draw(st.floats(-1.0, 1.0))
    kinds = ["full", "diagonal", "isotropic", "low-rank", "box", "student", "empirical", *["sphere"] * (dim > 1)]
    match draw(st.sampled_from(kinds)):
        case "full":
            factors = size * normal(count, dim, dim)
            return GaussianMixture(3 * normal(count, dim), cov=factors @ factors.mT + 1e-2 * torch.eye(dim))
        case "diagonal":
            return GaussianMixture(3 * normal(count, dim), std=size * normal(count, dim).exp())
        case "isotropic":
            return GaussianMixture(3 * normal(count, dim), std=size * normal(count).exp(), weights=normal(count).exp())
        case "low-rank":
            factors = normal(count, dim, draw(st.integers(1, dim)))
            return GaussianMixture.low_rank(3 * normal(count, dim), factors, std=size)
        case "box":
            low = 2 * normal(dim)
            return Box(low, low + size * normal(dim).exp())
        case "student":
            return StudentT(normal(dim), df=draw(st.integers(3, 30)), scale=size)
        case "empirical":
            return Empirical(size * normal(draw(st.integers(1, 50)), dim))
        case _:
            return Sphere(dim, size)


@st.composite
def compositions(draw: st.DrawFn) -> Distribution:
    """Laws of 1 to 3 dimensions: mixed, put side by side, moved, placed in more dimensions, noised, contaminated."""
    dim = draw(st.integers(1, 3))
    law = simple_law(draw, dim)
    for step in draw(st.lists(st.sampled_from(["mix", "product", "embed", "move", "noise", "outliers"]), max_size=3)):
        g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
        match step:
            case "mix":
                share = draw(st.floats(0.0, 1.0))
                law = Mixture([law, simple_law(draw, law.dim)], [1 - share, share])
            case "product":
                law = Product([law, simple_law(draw, draw(st.integers(1, 2)))])
            case "embed":
                wide = torch.randn(law.dim + 1, law.dim, dtype=torch.float64, generator=g)
                law = Embedded(law, torch.linalg.qr(wide).Q, scale=10 ** draw(st.floats(-1.0, 1.0)))
            case "move":
                law = shifted(law, 3 * torch.randn(law.dim, dtype=torch.float64, generator=g))
            case "noise":
                law = Convolved(law, draw(st.floats(0.0, 1.0)))
            case _:
                law = outliers(law, draw(st.floats(0.0, 1.0)), -6.0, 6.0)
    return law


@settings(max_examples=100, deadline=None, derandomize=True)
@given(law=compositions(), alpha=st.floats(0.0, 1.0), log_sigma=st.floats(-3.0, 1.0))
def test_random_compositions_keep_the_contract(law: Distribution, alpha: float, log_sigma: float):
    """Score = autograd of log_prob, Tweedie, and the same one by one, at any level, on samples and far from them."""
    sigma = 10**log_sigma
    x = points_of(law, alpha, sigma, 20).requires_grad_()
    log_p = law.log_prob(x, alpha, sigma)
    (gradient,) = torch.autograd.grad(log_p.sum(), x)
    x = x.detach()
    score, x0 = law.score(x, alpha, sigma), law.denoise(x, alpha, sigma)
    tolerance = 1e-8 * score.norm(dim=-1) + 1e-8 / sigma
    assert ((gradient - score).norm(dim=-1) <= tolerance).all()
    size = x.norm(dim=-1) + sigma**2 * score.norm(dim=-1) + alpha * (1 + x0.norm(dim=-1))
    assert ((alpha * x0 - x - sigma**2 * score).norm(dim=-1) <= 1e-9 * size).all()
    alone = torch.stack([law.score(row, alpha, sigma) for row in x[:3]])
    assert ((alone - score[:3]).norm(dim=-1) <= tolerance[:3]).all()
    assert (law.distance(x) >= 0).all()


# -- oracles --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [FULL, DIAGONAL])
def test_gaussian_mixture_without_noise_against_scipy(law: GaussianMixture):
    x = points_of(law, 1.0, 0.0, 50)
    density = sum(
        float(w) * scipy.stats.multivariate_normal(m.numpy(), c.numpy()).pdf(x.numpy())
        for w, m, c in zip(law.weights, law.means, law._covariances(), strict=True)
    )
    np.testing.assert_allclose(law.log_prob(x).exp().numpy(), density, rtol=1e-10)


def test_isotropic_diagonal_and_full_agree():
    means, x = torch.randn(3, 2).double(), torch.randn(20, 2).double()
    laws = [
        GaussianMixture(means, std=0.4),
        GaussianMixture(means, std=[0.4, 0.4, 0.4]),
        GaussianMixture(means, std=torch.full((3, 2), 0.4)),
        GaussianMixture(means, cov=0.16 * torch.eye(2)),
    ]
    for law in laws[1:]:
        torch.testing.assert_close(law.score(x, 0.9, 0.2), laws[0].score(x, 0.9, 0.2))
        torch.testing.assert_close(law.log_prob(x, 0.9, 0.2), laws[0].log_prob(x, 0.9, 0.2))
        torch.testing.assert_close(law.cov, laws[0].cov)


def test_box_without_noise():
    law = Box([-1.0, 0.0], [1.0, 4.0])
    x = torch.tensor([[0.0, 1.0], [2.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(law.log_prob(x), torch.tensor([-math.log(8.0), -math.inf]).double())
    score = law.score(x)
    assert (score[0] == 0).all()
    assert score[1, 0].isnan()


def test_convolved_gaussian_is_a_gaussian():
    x = torch.randn(20, 2, dtype=torch.float64)
    inner = GaussianMixture([[1.0, -1.0]], std=0.3)
    outer, expected = Convolved(inner, 0.4), GaussianMixture([[1.0, -1.0]], std=0.5)
    for method in ("log_prob", "score", "denoise"):
        torch.testing.assert_close(getattr(outer, method)(x, 0.8, 0.6), getattr(expected, method)(x, 0.8, 0.6))
    torch.testing.assert_close(outer.cov, expected.cov)


def test_responsibilities_follow_bayes(generator: torch.Generator):
    """Among samples whose responsibility is near one half, that share of the labels is the component's."""
    law = GaussianMixture([[0.0, 0.0], [1.0, 0.5]], cov=[[[1.0, 0.5], [0.5, 0.4]], [[0.2, 0.0], [0.0, 0.05]]])
    x, label = law.sample_components(100_000, generator)
    r = law.responsibilities(x)[:, 1]
    near = (r - 0.5).abs() < 0.2
    gap = (label[near] == 1).double() - r[near]
    assert len(gap) > 1000
    assert abs(gap.mean() / (gap.std() / len(gap) ** 0.5)) < 4


def test_singular_laws_say_so():
    plane = GaussianMixture([[0.0, 0.0]], cov=[[1.0, 1.0], [1.0, 1.0]])
    x = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(SingularLaw, match="sigma = 0"):
        plane.log_prob(x)
    assert plane.score(x, 1.0, 0.1).isfinite().all()
    with pytest.raises(SingularLaw, match="single point"):
        Box(-1.0, 1.0).log_prob(x[:, :1], 0.0, 0.0)


def test_denoise_without_noise_is_the_point_itself(law: Distribution, generator: torch.Generator):
    x = law.sample(5, generator)
    torch.testing.assert_close(law.denoise(0.5 * x, 0.5, 0.0), x)
    torch.testing.assert_close(law.denoise(x, 0.0, 0.0), law.mean.expand(5, -1))


def test_where_no_component_has_a_density_the_score_is_undefined():
    two = Mixture([Box(0.0, 1.0), Box(2.0, 3.0)])
    score = two.score(torch.tensor([[0.5], [5.0]], dtype=torch.float64))
    assert float(score[0]) == 0
    assert score[1].isnan()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianMixture([0.0, 1.0], std=1.0), "means must be"),
        (lambda: GaussianMixture([[math.nan, 1.0]], std=1.0), "means must be finite"),
        (lambda: GaussianMixture([[0.0]]), "exactly one of"),
        (lambda: GaussianMixture([[0.0]], std=1.0, cov=[[1.0]]), "exactly one of"),
        (lambda: GaussianMixture([[0.0]], std=-1.0), "at least 0"),
        (lambda: GaussianMixture([[0.0, 0.0]], std=[1.0, 2.0, 3.0]), "std must be"),
        (lambda: GaussianMixture([[0.0, 0.0]], cov=[[1.0, 2.0], [2.0, 1.0]]), "positive semidefinite"),
        (lambda: GaussianMixture([[0.0, 0.0]], cov=[[1.0, 0.2], [0.0, 1.0]]), "symmetric"),
        (lambda: GaussianMixture([[0.0], [1.0]], std=1.0, weights=[1.0]), "weights must be"),
        (lambda: GaussianMixture([[0.0], [1.0]], std=1.0, weights=[1.0, -1.0]), "weights must be"),
        (lambda: Box(1.0, -1.0), "below its high"),
        (lambda: Box([0.0, 0.0], [1.0]), "both be"),
        (lambda: Box(0.0, math.inf), "finite"),
        (lambda: Mixture([Box(0.0, 1.0), FULL]), "one dimension"),
        (lambda: Mixture([]), "one dimension"),
        (lambda: Convolved(FULL, -0.1), "std must be"),
    ],
)
def test_constructors_validate(build, message: str):
    with pytest.raises(BadInput, match=message):
        build()
