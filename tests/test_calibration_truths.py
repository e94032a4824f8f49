"""The true values of the calibration, each by a route of its own.

Densities and scores by the exact laws or scipy, integrals by scipy's adaptive quadrature, finite samples by brute force
with scipy, POT and NumPy: Monte Carlo agrees within 4 of its standard errors.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, permutations

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch
from scipy.spatial import cKDTree

from toylab.calibration import CASES, discrepancies, divergences, fields, flows, neighbours, samples, transport
from toylab.calibration.line import Line
from toylab.calibration.standins import ALPHA, SCHEDULE, SIGMA
from toylab.distributions import Distribution, Empirical
from toylab.metrics.coverage import K
from toylab.metrics.groups import typical_distance

Function = Callable[[np.ndarray], np.ndarray]


def integral(f: Function, low: float = -15.0, high: float = 15.0, at: Sequence[float] = ()) -> float:
    """Gauss-Legendre's rule in 60 panels between any two of the points `at`, where f has a kink."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    total = 0.0
    for start, end in pairwise([low, *at, high]):
        edges = np.linspace(start, end, 61)
        half = np.diff(edges)[:, None] / 2
        total += float((f((edges[:-1, None] + half * (1 + nodes)).ravel()).reshape(60, 16) * weights * half).sum())
    return total


def agrees(values: np.ndarray, truth: float) -> bool:
    """Whether a mean is within 4 standard errors of it."""
    return abs(values.mean() - truth) < 4 * values.std() / math.sqrt(len(values))


def points(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x)[:, None]


def eps(law: Distribution, x: np.ndarray) -> np.ndarray:
    """Of the exact law, at the level of all fields."""
    return -SIGMA * law.score(points(x), ALPHA, SIGMA)[:, 0].numpy()


def density(law: Distribution, x: np.ndarray) -> np.ndarray:
    return law.log_prob(points(x), ALPHA, SIGMA).exp().numpy()


NOISE = np.random.default_rng(7)


# -- the line ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [fields.MODES, fields.TAILED, fields.WIDE], ids=["modes", "tailed", "wide"])
def test_the_line_against_scipy_and_the_exact_laws(line: Line):
    x = np.linspace(-3, 4, 15)
    parts = [(w, scipy.stats.norm(m, s)) for m, s, w in zip(line.means, line.stds, line.weights, strict=True)]
    np.testing.assert_allclose(line.density(x), sum(w * n.pdf(x) for w, n in parts), rtol=1e-12)
    np.testing.assert_allclose(line.cdf(x), sum(w * n.cdf(x) for w, n in parts), rtol=1e-12)
    np.testing.assert_allclose(line.eps(x, ALPHA, SIGMA), eps(line.law, x), rtol=1e-9, atol=1e-12)
    slope = (line.eps(x + 1e-5, ALPHA, SIGMA) - line.eps(x - 1e-5, ALPHA, SIGMA)) / 2e-5
    np.testing.assert_allclose(line.slope(x, ALPHA, SIGMA), SIGMA * slope, rtol=1e-6, atol=1e-8)
    assert line.mean_of(np.square, ALPHA, SIGMA) == pytest.approx(
        ALPHA**2 * (float(line.law.cov) + float(line.law.mean) ** 2) + SIGMA**2, rel=1e-12
    )
    smooth = integral(lambda v: np.abs(v - 0.3) * line.density(v), -20, 20, at=[0.3])
    assert line.mean_of(lambda v: np.abs(v - 0.3)) == pytest.approx(smooth, abs=1e-7)


# -- fields ------------------------------------------------------------------------------------------------------------


def test_squared_gaps():
    """In closed form, on the line, and adaptively with the exact laws."""
    closed = fields.gaussian_squared_gap(fields.NORMAL, fields.OTHER, ALPHA, SIGMA)
    assert fields.squared_gap(fields.NORMAL, fields.OTHER) == pytest.approx(closed, rel=1e-10)
    normal, modes = fields.NORMAL.law, fields.MODES.law
    expected = integral(lambda x: (eps(normal, x) - eps(modes, x)) ** 2 * density(modes, x), -8, 8)
    assert fields.squared_gap(fields.NORMAL, fields.MODES) == pytest.approx(expected, rel=1e-8)
    memory, other = Empirical(torch.tensor(fields.TRAINING, dtype=torch.float64)[:, None]), fields.OTHER.law
    expected = integral(lambda x: (eps(other, x) - eps(memory, x)) ** 2 * density(normal, x), -8, 8)
    found = fields.squared_gap(fields.OTHER, fields.MEMORY, over=fields.NORMAL)
    assert found == pytest.approx(expected, rel=1e-6)


def test_shares():
    normal, other, wide, tailed, modes = (
        line.law for line in (fields.NORMAL, fields.OTHER, fields.WIDE, fields.TAILED, fields.MODES)
    )
    memory = Empirical(torch.tensor(fields.TRAINING, dtype=torch.float64)[:, None])

    def expected(
        learned: Distribution, towards: Distribution, over: Distribution, origin: Distribution | None
    ) -> float:
        def gaps(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            base = 0.0 if origin is None else eps(origin, x)
            return eps(learned, x) - base, eps(towards, x) - base

        first = integral(lambda x: np.prod(gaps(x), axis=0) * density(over, x), -8, 8)
        return first / integral(lambda x: gaps(x)[1] ** 2 * density(over, x), -8, 8)

    ours = fields.share(fields.WIDE, fields.MODES, fields.MODES)
    assert ours == pytest.approx(expected(wide, modes, modes, None), rel=1e-7)
    ours = fields.share(fields.WIDE, fields.TAILED, fields.TAILED, origin=fields.NORMAL)
    assert ours == pytest.approx(expected(wide, tailed, tailed, normal), rel=1e-7)
    ours = fields.share(fields.OTHER, fields.MEMORY, fields.NORMAL, origin=fields.NORMAL)
    assert ours == pytest.approx(expected(other, memory, normal, normal), rel=1e-6)
    assert fields.share(fields.TAILED, fields.TAILED, fields.TAILED, origin=fields.NORMAL) == pytest.approx(1.0)


def test_jacobians_in_the_plane_by_hessians_of_the_exact_laws():
    """-σ² times the Hessian of the log-density, at fresh points."""
    n = 4000
    g = torch.Generator().manual_seed(0)
    x0 = fields.PLANE.sample(n, g)
    x = ALPHA * x0 + SIGMA * torch.randn(n, 2, dtype=torch.float64, generator=g)
    step = 1e-4

    def jacobian(law: Distribution) -> torch.Tensor:
        columns = []
        for i in range(2):
            shift = step * torch.eye(2, dtype=torch.float64)[i]
            columns.append((law.score(x + shift, ALPHA, SIGMA) - law.score(x - shift, ALPHA, SIGMA)) / (2 * step))
        return -(SIGMA**2) * torch.stack(columns, -1)

    own, gaussian = jacobian(fields.PLANE), jacobian(fields.GAUSSIAN)
    assert agrees(((own - gaussian) ** 2).sum((1, 2)).numpy() / 2, fields.jacobian_gap())
    spectra, other = (torch.linalg.eigvalsh((j + j.mT) / 2).flip(-1) for j in (own, gaussian))
    for rank in range(2):
        assert agrees(spectra[:, rank].numpy(), fields.mean_eigenvalue(rank))
    assert agrees(((spectra - other) ** 2).mean(1).numpy(), fields.spectrum_gap())
    angle = 2 * math.pi * torch.rand(n, dtype=torch.float64, generator=g)
    omega = torch.stack([angle.cos(), angle.sin()], -1)
    moved = -SIGMA * (fields.GAUSSIAN.score(x + SIGMA * omega, ALPHA, SIGMA) - fields.GAUSSIAN.score(x, ALPHA, SIGMA))
    assert agrees((moved - omega).square().sum(-1).numpy(), fields.push_gap())


def test_the_push_of_modes():
    modes = fields.MODES.law
    expected = integral(
        lambda x: sum((eps(modes, x + w * SIGMA) - eps(modes, x) - w) ** 2 for w in (1, -1)) / 2 * density(modes, x),
        -8,
        8,
    )
    assert fields.push_gap_of_modes() == pytest.approx(expected, rel=1e-8)


# -- divergences -------------------------------------------------------------------------------------------------------


def test_divergence_of_gaussians_by_quadrature():
    p, q = scipy.stats.norm(0.3, 0.8), scipy.stats.norm(-0.2, 1.3)
    expected = integral(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)))
    assert divergences.gaussian_divergence(0.3, 0.8, -0.2, 1.3) == pytest.approx(expected, rel=1e-9)


def test_what_the_flow_of_the_model_generates():
    """Two noises, followed along dx̄/du = ε by DOP853; the map is affine."""
    (a0, b0), (a1, b1) = divergences.ends()
    law = divergences.MODEL.law

    def velocity(u: float, x: np.ndarray) -> np.ndarray:
        return -u * law.score(torch.from_numpy(x)[:, None], 1.0, u)[:, 0].numpy()

    prior = math.hypot(a1, b1)
    solved = scipy.integrate.solve_ivp(
        velocity, (b1 / a1, b0 / a0), np.array([0.0, prior / a1]), "DOP853", rtol=1e-11, atol=1e-11
    )
    mean, end = a0 * solved.y[:, -1]
    assert divergences.generated() == pytest.approx((mean, end - mean), rel=1e-7)


def test_the_bound_on_paths():
    """With gaps by quadrature at Gauss-Legendre levels; it is no less than the divergence of the ends."""
    (a0, b0), (a1, b1) = divergences.ends()
    nodes, weights = np.polynomial.legendre.leggauss(40)
    low, high = math.log(b0 / a0), math.log(b1 / a1)
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        ratio = math.exp((low + high) / 2 + (high - low) / 2 * node)
        alpha, sigma = (float(level) for level in SCHEDULE(SCHEDULE.time(ratio)))
        gap = divergences.OTHER.mean_of(
            lambda x, a=alpha, s=sigma: (divergences.MODEL.eps(x, a, s) - divergences.OTHER.eps(x, a, s)) ** 2,
            alpha,
            sigma,
        )
        total += (high - low) / 2 * weight * gap
    end = scipy.stats.norm(a1 * 0.5, math.hypot(a1 * 0.7, b1))
    prior = scipy.stats.norm(0, math.hypot(a1, b1))
    total += integral(lambda x: end.pdf(x) * (end.logpdf(x) - prior.logpdf(x)))
    assert divergences.path_divergence() == pytest.approx(total, rel=1e-5)
    assert divergences.path_divergence() >= divergences.flow_divergence()


# -- flows -------------------------------------------------------------------------------------------------------------


def ddim_paths(eps_of: Callable[[np.ndarray, float, float], np.ndarray], z: np.ndarray) -> np.ndarray:
    """x/α on the way, from the DDIM formula x' = α' x̂_0 + σ' ε, written in α and σ: (steps, ...)."""
    times = np.linspace(SCHEDULE.t_max, SCHEDULE.t_min, flows.NFE)
    levels = [tuple(float(level) for level in SCHEDULE(t)) for t in times] + [(1.0, 0.0)]
    x = math.hypot(*levels[0]) * z
    path = [x / levels[0][0]]
    for (alpha, sigma), (alpha_next, sigma_next) in pairwise(levels):
        noise = eps_of(x, alpha, sigma)
        x = alpha_next * (x - sigma * noise) / alpha + sigma_next * noise
        path.append(x / alpha_next)
    return np.stack(path)


def test_the_discretised_flow_of_a_gaussian():
    """The plane's paths, step by step, and their lengths, excess and curvature from noises."""
    stds = np.array(flows.STRETCHED)[:, None]
    z = NOISE.standard_normal((2, 20_000))
    path = ddim_paths(lambda x, alpha, sigma: sigma * x / ((alpha * stds) ** 2 + sigma**2), z)
    for i, std in enumerate(flows.STRETCHED):
        np.testing.assert_allclose(flows.linear_path(std)[:, None] * z[i], path[:, i], rtol=1e-9)
    steps = np.diff(path, axis=0)
    length = np.linalg.norm(steps, axis=1)
    assert agrees(length.sum(0), flows.mean_length())
    assert agrees(1 - np.linalg.norm(steps.sum(0), axis=0) / length.sum(0), flows.mean_excess())
    cosines = (steps[1:] * steps[:-1]).sum(1) / (length[1:] * length[:-1])
    assert agrees(np.arccos(np.clip(cosines, -1, 1)).sum(0), flows.mean_curvature())


def test_the_stretch_of_modes():
    """Against differences of the map, adaptive quadrature of it, and its maximum by search."""

    def end(z: np.ndarray) -> np.ndarray:
        return ddim_paths(lambda x, alpha, sigma: fields.MODES.eps(x, alpha, sigma), z)[-1]

    z = np.linspace(-3, 3, 13)
    np.testing.assert_allclose(flows.stretch(fields.MODES, z), (end(z + 1e-5) - end(z - 1e-5)) / 2e-5, rtol=1e-6)
    log_stretch = integral(lambda v: np.log(np.abs(flows.stretch(fields.MODES, v))) * scipy.stats.norm.pdf(v), -9, 9)
    assert flows.mean_log_stretch() == pytest.approx(log_stretch, rel=1e-6)
    least = scipy.optimize.minimize_scalar(
        lambda v: -abs(flows.stretch(fields.MODES, np.array([v]))[0]), bounds=(-1, 1), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    assert flows.worst_stretch() == pytest.approx(-least.fun, rel=1e-8)


def test_the_largest_stretch_of_modes_in_the_plane():
    """By singular values of differences of the map, in the turned coordinates."""

    def end(z: np.ndarray) -> np.ndarray:
        def noise(x: np.ndarray, alpha: float, sigma: float) -> np.ndarray:
            return -sigma * flows.PLANE.score(torch.from_numpy(x), alpha, sigma).numpy()

        return ddim_paths(noise, z)[-1]

    z = NOISE.standard_normal((4000, 2))
    columns = [(end(z + h) - end(z - h)) / 2e-5 for h in 1e-5 * np.eye(2)]
    largest = np.linalg.svd(np.stack(columns, -1), compute_uv=False)[:, 0]
    assert agrees(np.log(largest), flows.mean_log_largest())


# -- samples -----------------------------------------------------------------------------------------------------------


def test_the_mass_outside_a_region():
    """|X|²/s² is χ² of 2 degrees; the level is that of 99.9 % within 4 of its own standard errors."""
    squared = -2 * (samples.region_of(samples.PLANE).level + math.log(2 * math.pi))
    assert samples.mass_outside(samples.WIDE) == pytest.approx(scipy.stats.chi2.sf(squared / 4, 2), rel=1e-12)
    assert abs(samples.mass_outside(1.0) - 0.001) < 4 * math.sqrt(0.001 / 1e6)


def test_modes_by_the_exact_law_and_adaptive_quadrature():
    law, region = samples.modes(), samples.region_of(samples.modes())
    edges = sorted(
        scipy.optimize.brentq(lambda x: float(law.log_prob(points(np.array([x])))[0]) - region.level, *bracket)
        for bracket in ((-6.0, -1.0), (1.0, 6.0))
    )

    def moment(k: int, power: int) -> float:
        def f(x: np.ndarray) -> np.ndarray:
            return law.responsibilities(points(x))[:, k].numpy() * x**power * samples.UNEVEN.density(x)

        return integral(f, *edges)

    for k in range(2):
        mass, first, second = (moment(k, power) for power in range(3))
        total = mass + moment(1 - k, 0)
        assert samples.weight_of_mode(k) == pytest.approx(mass / total, abs=1e-6)
        assert samples.width_of_mode(k) == pytest.approx(math.sqrt(second / mass - (first / mass) ** 2), abs=1e-5)


def test_the_weight_of_a_rare_mode():
    """Modes this far apart lose the same to the region, and nothing to one another."""
    assert samples.weight_of_mode(0, samples.APART, samples.RARE) == pytest.approx(0.03, abs=1e-6)


def test_the_distance_to_a_circle():
    law = scipy.stats.rayleigh(scale=samples.DISC)
    expected = integral(lambda r: np.abs(r - 1) * law.pdf(r), 0, 12, at=[1.0])
    assert samples.distance_to_circle() == pytest.approx(expected, rel=1e-8)


def test_the_plane_in_space():
    """Spreads along and off it, from the covariance alone; decibels from noises."""
    basis, centre = samples.plane_in_space()
    law = samples.about_plane()
    torch.testing.assert_close(basis.mT @ basis, torch.eye(2, dtype=torch.float64))
    torch.testing.assert_close(law.mean, centre)
    spreads = torch.diag(basis.mT @ law.cov @ basis)
    torch.testing.assert_close(spreads, torch.tensor(samples.TANGENT, dtype=torch.float64) ** 2)
    assert float(law.cov.trace() - spreads.sum()) == pytest.approx(samples.NOISE**2)
    noise = samples.NOISE * NOISE.standard_normal(100_000)
    assert agrees(10 * np.log10(4 / (noise**2 / 3)), samples.mean_decibels())


# -- transport ---------------------------------------------------------------------------------------------------------


def drawn(line: Line, shape: tuple[int, ...]) -> np.ndarray:
    """Samples of a single Gaussian."""
    return line.means[0] + line.stds[0] * NOISE.standard_normal(shape)


def test_w1_of_finite_samples():
    pairs = zip(*(drawn(line, (4000, 12)) for line in (transport.NORMAL, transport.BROAD)), strict=True)
    values = np.array([scipy.stats.wasserstein_distance(x, y) for x, y in pairs])
    assert agrees(values, transport.mean_w1(transport.NORMAL, transport.BROAD, 12))


def test_order_statistics():
    """Of two and three normal numbers in closed form; the squares of all add up to the variance of a sorted sample."""
    np.testing.assert_allclose(transport.normal_order_statistics(2), [-1 / math.sqrt(math.pi), 1 / math.sqrt(math.pi)])
    end = 3 / (2 * math.sqrt(math.pi))
    np.testing.assert_allclose(transport.normal_order_statistics(3), [-end, 0, end], atol=1e-12)
    third = integral(
        lambda z: z * scipy.stats.norm.pdf(z) * scipy.stats.beta.pdf(scipy.stats.norm.cdf(z), 3, 23), -8, 8
    )
    assert transport.normal_order_statistics(25)[2] == pytest.approx(third, rel=1e-8)


def test_w2_of_finite_samples():
    x, y = (np.sort(drawn(line, (20_000, 12)), 1) for line in (transport.NORMAL, transport.BROAD))
    squared = ((x - y) ** 2).mean(1)
    assert agrees(squared, transport.mean_squared_w2(transport.NORMAL, transport.BROAD, 12))
    assert agrees(np.sqrt(squared), transport.mean_w2(transport.NORMAL, transport.BROAD, 12))


def test_sliced_w2_of_finite_samples():
    import ot

    values = [
        ot.sliced_wasserstein_distance(
            NOISE.standard_normal((12, 2)), 2 * NOISE.standard_normal((12, 2)), n_projections=50, seed=i
        )
        for i in range(600)
    ]
    assert agrees(np.array(values), transport.mean_sliced(2.0, 12, projections=50))


def test_frechet_of_finite_samples():
    x, y = (drawn(line, (50_000, 12)) for line in (transport.NORMAL, transport.BROAD))
    values = np.hypot(x.mean(1) - y.mean(1), x.std(1, ddof=1) - y.std(1, ddof=1))
    assert agrees(values, transport.mean_frechet(transport.NORMAL, transport.BROAD, 12))


def test_the_best_assignment_in_the_plane():
    """Of four points, by trying all permutations of points drawn by the laws themselves."""
    g = torch.Generator().manual_seed(0)
    x, y = (law.sample(4 * 3000, g).reshape(3000, 4, 2).numpy() for law in (transport.UPRIGHT, transport.TURNED))
    distance = np.linalg.norm(x[:, :, None] - y[:, None], axis=-1)
    for power in (1, 2):
        plans = [(distance[:, range(4), p] ** power).mean(1) for p in map(list, permutations(range(4)))]
        assert agrees(np.min(plans, 0) ** (1 / power), transport.mean_assigned(power, 4))


def test_frechet_in_the_plane():
    """Against scipy's matrix square root, of the two laws and of samples of six."""

    def distance(gap: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
        root = scipy.linalg.sqrtm(one @ other).real
        return math.sqrt(gap @ gap + np.trace(one + other - 2 * root))

    laws = [law.cov.numpy() for law in (transport.UPRIGHT, transport.TURNED)]
    assert np.abs(laws[0] @ laws[1] - laws[1] @ laws[0]).max() > 1
    zero = np.zeros(2)
    assert float(transport.frechet_in_plane(zero, *laws)) == pytest.approx(distance(zero, *laws), rel=1e-9)
    g = torch.Generator().manual_seed(0)
    x, y = (law.sample(6 * 2000, g).reshape(2000, 6, 2).numpy() for law in (transport.UPRIGHT, transport.TURNED))
    values = [distance(a.mean(0) - b.mean(0), np.cov(a.T), np.cov(b.T)) for a, b in zip(x, y, strict=True)]
    assert agrees(np.array(values), transport.mean_frechet_in_plane(6))


@pytest.mark.parametrize(("metric", "error"), [("w1", 0.002), ("w2", 0.002), ("frechet", 0.001)])
def test_the_error_of_draws_in_the_plane_is_what_the_table_says(metric: str, error: float):
    """From the spread of one group, within 4 of its own standard errors, to the digit given."""
    (case,) = [case for case in CASES if case.metric == metric and "turned" in case.model]
    count = int(case.known.split(" draws")[0].replace(",", ""))
    assert f"draws, to {error}; at this n" in case.known
    assert count == {"frechet": transport._DRAWS}.get(metric, transport._DRAWS // 5)
    g = [torch.Generator().manual_seed(seed) for seed in range(60)]
    one_group = case._measured(g).stderr.square().mean().sqrt() * transport.GROUPS**0.5
    assert float(one_group) / math.sqrt(count) * (1 + 4 / math.sqrt(2 * 60 * 7)) < error + 0.0005


def test_entropic_costs():
    """Against POT's, converged in the log domain, whose cost has ε Σ P log P instead of the divergence from a ⊗ b."""
    import ot

    x, y = (drawn(line, (10, 6)) for line in (transport.NORMAL, transport.BROAD))
    ours = transport._entropic(x, y, 3.0)
    for i in range(10):
        cost, weights = (x[i][:, None] - y[i]) ** 2, np.full(6, 1 / 6)
        plan = ot.sinkhorn(weights, weights, cost, 3.0, method="sinkhorn_log", numItermax=10_000, stopThr=1e-10)
        primal = (plan * cost).sum() + 3.0 * (plan * np.log(plan * 36)).sum()
        assert ours[i] == pytest.approx(primal, abs=1e-6)


def test_the_error_of_sinkhorn_s_draws_is_what_the_table_says(monkeypatch: pytest.MonkeyPatch):
    """From a tenth of them; ten times as many iterations move the mean by far less."""
    (case,) = [case for case in CASES if case.metric == "sinkhorn" and "draws" in case.known]
    assert "5,000 draws, to 0.007" in case.known
    assert transport._SLOW_DRAWS == 5000
    monkeypatch.setattr(transport, "_SLOW_DRAWS", 500)
    value, stderr = transport.mean_sinkhorn(transport.NORMAL, transport.BROAD, transport.FEW)
    assert stderr / math.sqrt(10) == pytest.approx(0.007, rel=4 / math.sqrt(2 * 500))
    monkeypatch.setattr(transport, "_ITERATIONS", 600)
    assert abs(transport.mean_sinkhorn(transport.NORMAL, transport.BROAD, transport.FEW)[0] - value) < 0.0007


def test_a_shift_dwarfs_the_bias():
    """W2 ≤ m + along + W2²(centred)/2m: the excess over m is a thousandth, beside an interval of tenths."""
    centred = transport.SHIFTED.cov.trace() + 2.0  # E W2² of a pair of points is at most the sum of the variances
    assert float(centred) / (2 * transport.FAR) < 0.003
    assert float(transport.SHIFTED.mean.norm()) == transport.FAR
    m, d, projections = transport.FAR, 2, 200
    directions = NOISE.standard_normal((20_000, projections, d))
    along = (directions[..., 0] ** 2 / (directions**2).sum(-1)).mean(1)
    bias = m * (np.sqrt(along).mean() - 1 / math.sqrt(2))
    assert abs(bias) < np.sqrt(along).std() * m / math.sqrt(transport.GROUPS) * 2.36 / 50


# -- discrepancies -----------------------------------------------------------------------------------------------------


def test_mean_distances():
    """On the line the folded normal law, in the plane Rice's."""
    folded = scipy.stats.foldnorm(0.7 / 1.3, scale=1.3).mean()
    assert discrepancies.mean_distance(0.7, 1.69, dim=1) == pytest.approx(folded, rel=1e-10)
    assert discrepancies.mean_distance(0.7, 1.69) == pytest.approx(
        scipy.stats.rice(0.7 / 1.3, scale=1.3).mean(), rel=1e-10
    )


def test_energy_distance_on_the_line_is_that_of_distribution_functions():
    """2 ∫ (F - G)² dx (Székely), with the terms of which the plane's is made."""
    own = discrepancies.mean_distance(0, 2, 1) + discrepancies.mean_distance(0, 2 * 2.25, 1)
    found = 2 * discrepancies.mean_distance(0.8, 1 + 2.25, 1) - own
    f, g = scipy.stats.norm(), scipy.stats.norm(0.8, 1.5)
    assert found == pytest.approx(2 * integral(lambda x: (f.cdf(x) - g.cdf(x)) ** 2), rel=1e-9)
    assert discrepancies.energy(0.0, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_mean_kernels():
    law = scipy.stats.norm(0.7, 1.3)
    expected = integral(lambda x: np.exp(-(x**2) / (2 * 0.9**2)) * law.pdf(x))
    assert discrepancies.mean_kernel(0.7, 1.69, 0.9, dim=1) == pytest.approx(expected, rel=1e-9)
    across = integral(lambda x: np.exp(-(x**2) / (2 * 0.9**2)) * scipy.stats.norm(0, 1.3).pdf(x))
    assert discrepancies.mean_kernel(0.7, 1.69, 0.9) == pytest.approx(expected * across, rel=1e-9)


def test_both_discrepancies_from_pairs_of_points():
    n = 200_000
    x, other = NOISE.standard_normal((2, n, 2))
    y, second = (np.array(discrepancies.SHIFT) + discrepancies.STD * NOISE.standard_normal((n, 2)) for _ in range(2))
    width, shift = typical_distance(discrepancies.PLANE), math.hypot(*discrepancies.SHIFT)
    assert width == pytest.approx(math.sqrt(2) * math.sqrt(2 * math.log(2)), rel=0.02)  # the median of Rayleigh's law
    across, own, its = (np.linalg.norm(a - b, axis=1) for a, b in ((x, y), (x, other), (y, second)))
    assert agrees(2 * across - own - its, discrepancies.energy(shift, discrepancies.STD))

    def kernel(r: np.ndarray) -> np.ndarray:
        return np.exp(-(r**2) / (2 * width**2))

    assert agrees(kernel(own) + kernel(its) - 2 * kernel(across), discrepancies.squared_mmd(shift, discrepancies.STD))


# -- neighbours --------------------------------------------------------------------------------------------------------


def held(balls: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points (n,) lie in which balls about centres (m,), to the K-th nearest other centre: (n, m)."""
    radius = cKDTree(balls[:, None]).query(balls[:, None], k=K + 1)[0][:, -1]
    return np.abs(points[:, None] - balls) <= radius


@pytest.mark.parametrize(
    ("balls", "points"), [(neighbours.NORMAL, neighbours.LOOSE), (neighbours.TIGHT, neighbours.NORMAL)]
)
def test_unions_of_balls(balls: Line, points: Line):
    values = np.array([held(drawn(balls, (K + 1,)), drawn(points, (8,))).any(1).mean() for _ in range(4000)])
    assert agrees(values, neighbours.mean_precision(balls, points))


def test_density_and_coverage():
    """Of exact samples in closed form (Naeem et al.), of others by brute force."""
    normal, other = neighbours.NORMAL, neighbours.OTHER
    for n in (12, 25):
        assert neighbours.mean_density(normal, normal, n) == pytest.approx(1.0, abs=1e-5)
        assert neighbours.mean_coverage(normal, normal, n) == pytest.approx(neighbours.coverage_of_exact(n), abs=1e-5)
    found = [held(drawn(normal, (12,)), drawn(other, (12,))) for _ in range(4000)]
    assert agrees(np.array([h.sum(1).mean() / K for h in found]), neighbours.mean_density(normal, other, 12))
    assert agrees(np.array([h.any(0).mean() for h in found]), neighbours.mean_coverage(normal, other, 12))


def test_the_nearest_training_point():
    training = np.array(neighbours.TRAINING)

    def nearest(x: np.ndarray) -> np.ndarray:
        return np.abs(x[:, None] - training).min(1)

    kinks = sorted([*training, *(training[1:] + training[:-1]) / 2])
    for line in (neighbours.NORMAL, neighbours.OTHER):
        law = scipy.stats.norm(line.means[0], line.stds[0])
        expected = integral(lambda x, law=law: nearest(x) * law.pdf(x), -9, 9, at=kinks)
        assert neighbours.mean_nearest(line) == pytest.approx(expected, rel=1e-6)
    picked = NOISE.choice(training, 200_000) + 0.05 * NOISE.standard_normal(200_000)
    gaps = np.abs(picked[:, None] - training).min(1)
    assert agrees(gaps, neighbours.mean_nearest(neighbours.COPIES))
    assert agrees((gaps < 0.04).astype(float), float(neighbours.mass_near(neighbours.COPIES, np.array(0.04))))


def test_duplicates():
    """Exact samples are duplicates as often as the threshold's rank says; copies, by draws of the threshold."""
    assert neighbours.mean_duplicates(neighbours.NORMAL, neighbours.FEW) == pytest.approx(0.01, abs=1e-6)
    assert neighbours.mean_duplicates(neighbours.NORMAL, 99) == pytest.approx(0.01, abs=1e-6)
    training = np.array(neighbours.TRAINING)
    values = []
    for _ in range(4000):
        threshold = np.abs(NOISE.standard_normal(99)[:, None] - training).min(1).min()
        copies = NOISE.choice(training, 99) + 0.05 * NOISE.standard_normal(99)
        values.append((np.abs(copies[:, None] - training).min(1) < threshold).mean())
    assert agrees(np.array(values), neighbours.mean_duplicates(neighbours.COPIES, 99))
