"""Metrics against closed forms and independent computations."""

import inspect
import math
from collections.abc import Collection

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats
import torch

from toylab.contamination import outliers
from toylab.denoisers import Exact
from toylab.distributions import Box, Empirical, GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import METRICS
from toylab.metrics import Estimate
from toylab.metrics.memorization import training_leakage, training_mse
from toylab.metrics.robustness import Region, mode_weight, mode_width, outlier_mass
from toylab.metrics.score import eps_mse, leakage, noise_share
from toylab.metrics.smoothness import eps_jacobian, jacobian_error
from toylab.metrics.support import Subspace, psnr, tangent_std
from toylab.metrics.transport import frechet_between, w2, w2_between, w2_floor
from toylab.samplers import ddim
from toylab.schedules import DDPM


def needs(name: str) -> Collection[str]:
    """What a metric is computed from."""
    return inspect.signature(METRICS.load(name)).parameters


CLEAN = three_gaussians()
SEEN = outliers(CLEAN, 0.1)
T = DDPM().time(0.5)


@pytest.fixture(scope="module")
def region() -> Region:
    return Region(CLEAN, torch.Generator().manual_seed(0))


def noised(law, n: int = 500, members: int = 2) -> torch.Tensor:
    alpha, sigma = DDPM()(T)
    g = torch.Generator().manual_seed(5)
    x0 = law.sample(members * n, g).reshape(members, n, -1)
    return alpha * x0 + sigma * torch.randn(x0.shape, dtype=torch.float64, generator=g)


def measured(name: str, region: Region, members: slice | int = slice(None), **changed: object) -> Estimate:
    """A metric of the contaminated law's samples and exact denoiser, two members, with what is `changed`."""
    seeds = range(2)[members] if isinstance(members, slice) else [members]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    drawn = SEEN.sample(2000, torch.Generator().manual_seed(1)).reshape(2, 1000, 2)
    values = {
        "denoiser": Exact(SEEN, DDPM()), "x_t": noised(SEEN)[members], "t": T, "law": CLEAN, "clean": CLEAN,
        "reference": Exact(CLEAN, DDPM()), "contaminated": SEEN, "samples": drawn[members, :500],
        "training": drawn[members, 500:], "region": region, "modal_region": region, "support": Box([-1] * 2, [1] * 2),
        "subspace": Subspace(torch.tensor([[0.6], [0.8]], dtype=torch.float64), torch.ones(2, dtype=torch.float64)),
        "walk": ddim, "noise": drawn[members, :50], "nfe": 5,
        "generators": generators if isinstance(members, slice) else generators[0], "size": 100,
    } | changed  # fmt: skip
    metric = METRICS.load(name)
    return metric(**{need: values[need] for need in inspect.signature(metric).parameters if need in values})


@pytest.mark.parametrize("name", METRICS)
def test_contract(name: str, region: Region):
    """Every metric gives an Estimate with a leading axis of members, and without members its first entry."""
    both, first = (measured(name, region, members) for members in (slice(None), 0))
    assert isinstance(both, Estimate)
    assert both.value.shape == both.stderr.shape
    assert len(both.value) == 2
    assert both.value.dtype == torch.float64
    assert (both.stderr.isnan() if name == "lipschitz" else both.stderr >= 0).all()
    assert both.value.isfinite().all()
    torch.testing.assert_close(both.value[0], first.value)
    torch.testing.assert_close(both.stderr[0], first.stderr, equal_nan=True)


@pytest.mark.parametrize("name", [name for name in METRICS if "samples" in needs(name)])
def test_metrics_of_samples_do_not_ask_for_their_order(name: str, region: Region):
    """With one group, so that order is all that is changed."""
    x = SEEN.sample(100, torch.Generator().manual_seed(1))[None]
    shuffled = x[:, torch.randperm(100, generator=torch.Generator().manual_seed(2))]
    own, other = (measured(name, region, slice(1), samples=s) for s in (x, shuffled))
    torch.testing.assert_close(own.value, other.value)


@pytest.mark.parametrize("name", [name for name in METRICS if "samples" in needs(name)])
def test_samples_that_are_not_finite_do_not_pass_for_good_ones(name: str, region: Region):
    """NaN, or what it says of them: they are outliers, without a mode, and no duplicates."""
    x = CLEAN.sample(200, torch.Generator().manual_seed(1))[None].repeat(2, 1, 1)
    x[0, 3], x[0, 4, 1] = torch.nan, torch.inf
    found = measured(name, region, samples=x).value[0]
    if name in {"mode-weight", "mode-width", "duplicate-share"}:
        assert found.isfinite().all()
    elif name == "outlier-mass":
        assert float(found) >= 2 / 200
    else:
        assert not found.isfinite().any()


def test_errors_of_the_exact_denoiser_vanish():
    x_t = noised(CLEAN)
    assert eps_mse(Exact(CLEAN, DDPM()), Exact(CLEAN, DDPM()), x_t, T).value.max() < 1e-20
    assert jacobian_error(Exact(CLEAN, DDPM()), CLEAN, x_t, T).value.max() < 1e-20
    assert leakage(Exact(CLEAN, DDPM()), CLEAN, SEEN, noised(SEEN), T).value.abs().max() < 1e-12
    torch.testing.assert_close(leakage(Exact(SEEN, DDPM()), CLEAN, SEEN, noised(SEEN), T).value, torch.ones(2).double())


def test_noise_share_between_two_gaussians():
    """ε = σx/(α²v + σ²): the share is the ratio of the slopes, the same at every point. With more variance than there
    is, as invariance implies it, too little is predicted."""
    one, wide = GaussianMixture([[0.0, 0.0]], std=1.0), GaussianMixture([[0.0, 0.0]], std=1.5)
    alpha, sigma = (float(level) for level in DDPM()(T))
    estimate = noise_share(Exact(wide, DDPM()), Exact(one, DDPM()), noised(one), T)
    share = (alpha**2 + sigma**2) / (2.25 * alpha**2 + sigma**2)
    torch.testing.assert_close(estimate.value, torch.full((2,), share, dtype=torch.float64))
    assert share < 1
    own = noise_share(Exact(one, DDPM()), Exact(one, DDPM()), noised(one), T)
    torch.testing.assert_close(own.value, torch.ones(2).double())


def test_psnr_of_noise_off_a_subspace():
    """Noise of s in k normal directions of d: the mean of 10 log₁₀(4d/(s² χ²_k)) is known, E ln χ²_k = ψ(k/2) + ln 2.
    What lies in the subspace does not count."""
    d, k, s, n = 8, 5, 0.2, 50_000
    basis = torch.eye(d, dtype=torch.float64)[:, : d - k]
    g = torch.Generator().manual_seed(0)
    x = torch.cat(
        [
            9 * torch.randn(n, d - k, dtype=torch.float64, generator=g),
            s * torch.randn(n, k, dtype=torch.float64, generator=g),
        ],
        -1,
    )
    estimate = psnr(x + 1, Subspace(basis, torch.ones(d, dtype=torch.float64)))
    expected = 10 / math.log(10) * (math.log(4 * d / s**2) - float(scipy.special.digamma(k / 2)) - math.log(2))
    assert abs(float(estimate.value) - expected) < 4 * float(estimate.stderr)


def test_psnr_at_a_known_distance_and_on_the_subspace():
    """A deviation of 0.1 of the range in one of four pixels: 20 + 10 log₁₀ 4 dB; 100 where there is none."""
    subspace = Subspace(torch.eye(4, dtype=torch.float64)[:, :3], torch.zeros(4, dtype=torch.float64))
    x = torch.tensor([[0.3, -1.0, 0.5, 0.2], [0.3, -1.0, 0.5, -0.2]], dtype=torch.float64)
    found = psnr(x, subspace)
    assert (float(found.value), float(found.stderr)) == (
        pytest.approx(20 + 10 * math.log10(4)),
        pytest.approx(0.0, abs=1e-12),
    )
    assert float(psnr(x, subspace, span=1.0).value) == pytest.approx(20 + 10 * math.log10(4) - 20 * math.log10(2))
    assert float(psnr(x * torch.tensor([1, 1, 1, 0]), subspace).value) == 100


def test_eps_mse_between_two_gaussians_in_closed_form():
    """ε = σ(x - αm)/(α²s² + σ²): the gap of two of them is affine in x, its square a Gaussian moment."""
    one, two = GaussianMixture([[0.0]], std=1.0), GaussianMixture([[0.5]], std=0.7)
    alpha, sigma = (float(level) for level in DDPM()(T))
    v1, v2 = alpha**2 + sigma**2, 0.49 * alpha**2 + sigma**2
    slope, offset = sigma * (1 / v1 - 1 / v2), sigma * alpha * 0.5 / v2
    expected = slope**2 * v2 + (slope * alpha * 0.5 + offset) ** 2
    n = 200_000
    x_t = noised(two, n, 1)
    estimate = eps_mse(Exact(one, DDPM()), Exact(two, DDPM()), x_t, T)
    assert abs(float(estimate.value[0]) - expected) < 4 * float(estimate.stderr[0])


def test_the_score_of_a_training_set_of_one_point():
    """ε_train = (x - αc)/σ, ε = σx/(α² + σ²) of N(0, I): the gap is affine in x. The point's own denoiser is at 0,
    member by member, where leakage is 1."""
    law, alpha, sigma = GaussianMixture([[0.0, 0.0]], std=1.0), *(float(level) for level in DDPM()(T))
    training = torch.tensor([[[0.6, -0.8]], [[2.0, 0.0]]], dtype=torch.float64)
    x_t = noised(law, 20_000)
    total = alpha**2 + sigma**2
    slope, offset = sigma / total - 1 / sigma, alpha / sigma * training[:, 0].norm(dim=-1)
    found = training_mse(Exact(law, DDPM()), training, x_t, T)
    assert ((found.value - slope**2 * total - offset**2 / 2).abs() < 4 * found.stderr).all()
    for member, points in enumerate(training):
        own = Exact(Empirical(points), DDPM())
        assert float(training_mse(own, points, x_t[member], T).value) < 1e-20
        assert float(training_leakage(own, law, points, x_t[member], T).value) == pytest.approx(1.0)


def test_jacobian_of_eps_is_the_negative_hessian():
    x = noised(CLEAN, 20, 1)[0]
    alpha, sigma = (float(level) for level in DDPM()(T))
    hessian = torch.stack([torch.func.hessian(lambda y: CLEAN.log_prob(y, alpha, sigma))(point) for point in x])
    torch.testing.assert_close(eps_jacobian(Exact(CLEAN, DDPM()), x, T), -(sigma**2) * hessian)


def test_jacobian_error_between_two_gaussians():
    one, two = GaussianMixture([[0.0, 0.0]], std=1.0), GaussianMixture([[0.0, 0.0]], std=[[0.5, 1.0]])
    alpha, sigma = (float(level) for level in DDPM()(T))
    gap = sigma**2 / (alpha**2 + sigma**2) - sigma**2 / (0.25 * alpha**2 + sigma**2)
    estimate = jacobian_error(Exact(one, DDPM()), two, noised(two), T)
    torch.testing.assert_close(estimate.value, torch.full((2,), gap**2 / 2, dtype=torch.float64))


def test_w2_against_the_assignment_problem():
    """Between equal samples optimal transport is an assignment: scipy solves it by another algorithm."""
    x, y = (torch.randn(60, 2, dtype=torch.float64) + k for k in range(2))
    cost = ((x[:, None] - y[None]) ** 2).sum(-1).numpy()
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    assert w2_between(x, y) == pytest.approx(math.sqrt(cost[rows, columns].mean()), rel=1e-9)


def test_w2_in_one_dimension_is_that_of_the_sorted_samples():
    x, y = torch.randn(500, 1, dtype=torch.float64), 2 * torch.randn(500, 1, dtype=torch.float64)
    expected = (x.sort(0).values - y.sort(0).values).square().mean().sqrt()
    assert w2_between(x, y) == pytest.approx(float(expected), rel=1e-9)


def test_w2_of_a_shifted_gaussian(generator: torch.Generator):
    """W2 of N(0, I) and N(m, I) is |m|; finite samples overestimate it by less than the floor."""
    law = GaussianMixture([[0.0, 0.0]], std=1.0)
    estimate = w2(law.sample(4000, generator) + 3.0, law, generator)
    floor = w2_floor(law, generator, 1000, 8)
    distance = 3 * math.sqrt(2)
    assert distance - 4 * float(estimate.stderr) < float(estimate.value) < distance + float(floor.value)


def test_w2_does_not_lose_its_digits_far_from_the_origin():
    x, y = torch.randn(50, 2, dtype=torch.float64), torch.randn(50, 2, dtype=torch.float64)
    assert w2_between(x + 1e6, y + 1e6) == pytest.approx(w2_between(x, y), rel=1e-8)


def test_w2_of_samples_that_are_not_finite_is_nan():
    assert math.isnan(w2_between(torch.tensor([[math.nan, 0.0]]), torch.zeros(1, 2)))


def test_region_of_a_gaussian_in_closed_form():
    """The 99.9 % region of N(0, s²I) in the plane is the disc of radius s√(-2 log 0.001)."""
    law = GaussianMixture([[0.0, 0.0]], std=0.5)
    region = Region(law, torch.Generator().manual_seed(0))
    radius = 0.5 * math.sqrt(-2 * math.log(0.001))
    level = float(law.log_prob(torch.tensor([radius, 0.0], dtype=torch.float64)))
    assert region.level == pytest.approx(
        level, abs=4 * math.sqrt(0.999 / 0.001 / 1e6)
    )  # delta method, d log p = d log q


def test_outlier_mass_of_the_laws_themselves(region: Region):
    """0.001 for the clean law; for the contaminated one 0.9 of that and 0.1 of the box outside three discs."""
    n = 200_000
    own = outlier_mass(CLEAN.sample(n, torch.Generator().manual_seed(1)), region)
    assert abs(float(own.value) - 0.001) < 4 * math.hypot(float(own.stderr), 3.2e-5)
    seen = outlier_mass(SEEN.sample(n, torch.Generator().manual_seed(1)), region)
    area = 3 * math.pi * 0.3**2 * -2 * math.log(0.001)
    assert abs(float(seen.value) - (0.9 * 0.001 + 0.1 * (1 - area / 144))) < 4 * float(seen.stderr)


def test_samples_that_are_not_finite_are_outliers(region: Region):
    assert float(outlier_mass(torch.tensor([[math.nan, 0.0], [math.inf, 1.0]]), region).value) == 1.0


def test_modes_of_a_known_mixture(region: Region, generator: torch.Generator):
    """Unequal weights and a truncated Gaussian's width: per coordinate s² (1 - c e^-c/(1 - e^-c)), c = -log 0.001."""
    law = GaussianMixture(CLEAN.means, std=0.3, weights=[0.5, 0.3, 0.2])
    x = law.sample(200_000, generator)
    weight, width = mode_weight(x, region), mode_width(x, region)
    assert ((weight.value - law.weights).abs() < 4 * weight.stderr).all()
    c = -math.log(0.001)
    truncated = 0.3 * math.sqrt(1 - c * math.exp(-c) / (1 - math.exp(-c)))
    assert ((width.value - truncated).abs() < 4 * width.stderr + 1e-4).all()
    with pytest.raises(BadInput, match="no modes"):
        mode_weight(x, Region(Box([0.0, 0.0], [1.0, 1.0]), n=1000))


@pytest.mark.parametrize("kind", ["mean", "ratio", "width"])
def test_standard_errors_are_those_of_replications(kind: str, region: Region):
    """The spread of 400 replications against the mean of their own standard errors."""
    g = torch.Generator().manual_seed(0)
    x = CLEAN.sample(400 * 300, g).reshape(400, 300, 2)
    a, b = x[..., 0].square(), 1 + x[..., 1].square()
    estimate = {
        "mean": lambda: Estimate.of_mean(a),
        "ratio": lambda: Estimate.of_ratio(a, b),
        "width": lambda: Estimate(*(v[:, 0] for v in mode_width(x, region))),
    }[kind]()
    assert float(estimate.value.std() / estimate.stderr.mean()) == pytest.approx(1.0, abs=4 / math.sqrt(2 * 400))


def test_the_standard_error_of_a_ratio_is_that_of_leaving_one_out():
    a, b = torch.randn(2, 12, dtype=torch.float64), torch.rand(2, 12, dtype=torch.float64)
    estimate = Estimate.of_ratio(a, b)
    torch.testing.assert_close(estimate.value, a.mean(-1) / b.mean(-1))
    for member in range(2):
        without = [a[member].sum() - a[member, i] for i in range(12)]
        ratios = torch.stack([w / (b[member].sum() - b[member, i]) for i, w in enumerate(without)])
        expected = 11 / 12 * (ratios - ratios.mean()).square().sum()
        torch.testing.assert_close(estimate.stderr[member], expected.sqrt())
    mean = Estimate.of_ratio(a, torch.ones_like(a))
    torch.testing.assert_close(mean.stderr, Estimate.of_mean(a).stderr)


def test_the_standard_error_of_a_ratio_that_few_points_carry(generator: torch.Generator):
    """Weights of a lognormal law: the delta method's is too small by more than 4 of the spread's own errors."""
    z = torch.randn(2, 4000, 100, dtype=torch.float64, generator=generator)
    weight = (1.3 * z[0]).exp()
    estimate = Estimate.of_ratio(weight * z[1], weight)
    spread = float(estimate.value.std())
    residual = weight * (z[1] - estimate.value[:, None])
    delta = residual.std(-1) / (weight.mean(-1) * 10)
    jackknife, delta = (float(stderr.square().mean().sqrt()) / spread for stderr in (estimate.stderr, delta))
    assert delta < 1 - 4 / math.sqrt(2 * 4000)
    assert abs(jackknife - 1) < 1 - delta


@pytest.mark.parametrize(("n", "p"), [(20, 0.5), (100, 0.1), (500, 0.01), (5000, 0.001)])
def test_the_interval_of_a_share_holds_from_five_expected_hits_on(n: int, p: float):
    """Exactly, by summing the binomial law: within 2 % of what it says, where the plain one is up to 8 % below it."""
    counts = torch.arange(n + 1)
    estimate = Estimate.of_share(torch.arange(n) < counts[:, None])
    torch.testing.assert_close(estimate.value, counts / n, check_dtype=False)
    covered = (estimate.value - p).abs() <= 1.96 * estimate.stderr
    plain = (estimate.value - p).abs() <= 1.96 * (estimate.value * (1 - estimate.value) / (n - 1)).sqrt()
    chance = torch.from_numpy(scipy.stats.binom.pmf(counts.numpy(), n, p))
    assert abs(float(chance[covered].sum()) - 0.95) < 0.02
    assert float(chance[plain].sum()) <= float(chance[covered].sum())


def test_a_share_of_nothing_is_not_certain():
    estimate = Estimate.of_share(torch.zeros(1000, dtype=torch.bool))
    assert float(estimate.value) == 0
    assert 0.001 < 1.96 * float(estimate.stderr) < 0.004  # that of three expected hits


def test_a_share_of_fractions_among_some_has_the_spread_of_replications(generator: torch.Generator):
    """Responsibilities, two thirds of the points counting: within 4 standard errors of a variance's, and that of whole
    hits would be far off. Among all, whole hits are what they are without."""
    r = torch.rand(4000, 300, dtype=torch.float64, generator=generator).square()
    among = torch.rand(4000, 300, generator=generator) < 2 / 3
    estimate = Estimate.of_share(torch.where(among, r, 0.0), among)
    spread, own = float(estimate.value.std()), float(estimate.stderr.square().mean().sqrt())
    assert abs(own / spread - 1) < 4 / math.sqrt(2 * 4000) + 0.02  # 4 points more among 200
    assert float((estimate.value * (1 - estimate.value) / 200).mean().sqrt()) > 1.3 * spread
    whole = r > 0.5
    pairs = zip(Estimate.of_share(whole), Estimate.of_share(whole, torch.ones_like(whole)), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    nothing = Estimate.of_share(torch.zeros(3), torch.zeros(3, dtype=torch.bool))
    assert bool(nothing.value.isnan() and nothing.stderr.isnan())


def test_a_mode_without_a_sample_is_not_certain_not_to_exist(region: Region, generator: torch.Generator):
    x = CLEAN.means[1] + 0.1 * torch.randn(100, 2, dtype=torch.float64, generator=generator)
    weight = mode_weight(x, region)
    assert float(weight.value[0]) < 1e-6
    assert 0.01 < 1.96 * float(weight.stderr[0]) < 0.04  # that of three expected samples of a hundred


@pytest.mark.parametrize(("n", "first", "second"), [(60, 0.2, 0.1), (200, 0.04, 0.01), (200, 0.03, 0.03)])
def test_the_interval_of_a_gap_of_shares_holds_exactly(n: int, first: float, second: float):
    """By summing the law of the pairs that differ one way and the other: within 2.5 % of what it says."""
    one_way, other_way = (part.flatten() for part in torch.meshgrid(torch.arange(60), torch.arange(40), indexing="ij"))
    possible = one_way + other_way <= n
    one_way, other_way = one_way[possible], other_way[possible]
    place = torch.arange(n)
    hits = place < one_way[:, None], (place >= one_way[:, None]) & (place < (one_way + other_way)[:, None])
    estimate = Estimate.of_gap(*hits)
    torch.testing.assert_close(estimate.value, (one_way - other_way) / n, check_dtype=False)
    ways = torch.stack([one_way, other_way, n - one_way - other_way], 1).numpy()
    chance = torch.from_numpy(scipy.stats.multinomial.pmf(ways, n, [first, second, 1 - first - second]))
    assert float(chance.sum()) > 1 - 1e-6
    covered = (estimate.value - (first - second)).abs() <= 1.96 * estimate.stderr
    assert abs(float(chance[covered].sum()) - 0.95) < 0.025


def test_spreads_about_a_centre_from_the_same_samples_are_not_too_small(region: Region, generator: torch.Generator):
    """Their squares are unbiased with five samples: of a mode, all but untruncated, and within a subspace."""
    n = 5
    x = CLEAN.means[0] + 0.1 * torch.randn(20_000, n, 2, dtype=torch.float64, generator=generator)
    subspace = Subspace(torch.tensor([[0.6], [0.8]], dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    for squares in (mode_width(x, region).value[:, 0].square(), tangent_std(x, subspace).value.square()):
        assert abs(float(squares.mean()) - 0.01) < 4 * float(squares.std()) / math.sqrt(len(squares))
    assert tangent_std(x[:, :1], subspace).value.isnan().all()
    assert mode_width(x[:, :1], region).value[:, 0].isnan().all()


def test_average_of_independent_estimates():
    parts = [Estimate(torch.tensor([1.0]), torch.tensor([0.3])), Estimate(torch.tensor([3.0]), torch.tensor([0.4]))]
    average = Estimate.average(parts)
    assert (float(average.value), float(average.stderr)) == (2.0, pytest.approx(0.25))


def test_a_single_term_has_no_standard_error():
    assert Estimate.of_mean(torch.tensor([[1.0]])).stderr.isnan().all()
    assert np.isfinite(Estimate.of_mean(torch.tensor([[1.0, 2.0]])).stderr.numpy()).all()


def test_frechet_of_covariances_that_do_not_commute(generator: torch.Generator):
    """By scipy's matrix square root; the product of the roots' traces, right only where they commute, is far off."""
    mix = torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.4, 0.7], [0.0, 0.0, 2.0]], dtype=torch.float64)
    x, y = torch.randn(2, 500, 3, dtype=torch.float64, generator=generator)
    x, y = x @ mix, 0.5 + y @ mix.mT
    first, second = (np.cov(points.numpy().T) for points in (x, y))
    gap = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(first) + np.trace(second)
    exact = gap - 2 * np.trace(scipy.linalg.sqrtm(first @ second).real)
    commuting = gap - 2 * np.trace(scipy.linalg.sqrtm(first).real @ scipy.linalg.sqrtm(second).real)
    assert float(frechet_between(x, y)) == pytest.approx(exact**0.5, rel=1e-9)
    assert abs(commuting - exact) > 0.05 * exact
