"""Likelihoods against exact densities, divergences against closed forms on Gaussians."""

import math

import pytest
import scipy.integrate
import torch
from torch import Tensor

from tests.conftest import FULL
from toylab.contamination import outliers
from toylab.denoisers import Denoiser, Exact, Given, Learned
from toylab.distributions import Distribution, GaussianMixture
from toylab.distributions.named import subspace, three_gaussians
from toylab.errors import BadInput
from toylab.index import SCHEDULES
from toylab.likelihood import _signs, log_likelihood, prior_gap, prior_log_prob
from toylab.metrics.likelihood import girsanov_bound, kl
from toylab.networks import MLP
from toylab.samplers import ddim, grid, prior
from toylab.schedules import DDPM, VE, RectifiedFlow, Schedule, VPLinear

CORRELATED = GaussianMixture([[0.3, -0.2]], cov=[[1.0, 0.5], [0.5, 0.6]])
OTHER = GaussianMixture([[0.0, 0.1]], cov=[[0.8, 0.2], [0.2, 0.9]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at_t_min(law: Distribution, schedule: Schedule, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """n points of the noised law at t_min, with α and σ there."""
    alpha, sigma = schedule(schedule.t_min)
    x0 = law.sample(n, seeded())
    return alpha * x0 + sigma * torch.randn(x0.shape, dtype=x0.dtype, generator=seeded(1)), alpha, sigma


def marginal(law: GaussianMixture, schedule: Schedule, t: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of a Gaussian law at time t."""
    alpha, sigma = schedule(t)
    return alpha * law.mean, alpha**2 * law.cov + sigma**2 * torch.eye(law.dim, dtype=torch.float64)


def gaussian_kl(p: tuple[Tensor, Tensor], q: tuple[Tensor, Tensor]) -> float:
    """KL(N(m, S) ‖ N(m', S'))."""
    (m, s), (m_q, s_q) = p, q
    solved = torch.linalg.solve(s_q, torch.cat([s, (m_q - m)[:, None]], 1))
    quadratic = (m_q - m) @ solved[:, -1]
    return 0.5 * float(solved[:, :-1].trace() + quadratic - len(m) + s_q.logdet() - s.logdet())


@pytest.mark.parametrize(
    ("law", "schedule_name"),
    [pytest.param(CORRELATED, name, id=f"gaussian-{name}") for name in SCHEDULES]
    + [
        pytest.param(FULL, name, id=f"mixture-{name}", marks=[] if name in {"ddpm", "ve"} else pytest.mark.slow)
        for name in SCHEDULES
    ],
)
def test_the_exact_denoiser_has_the_density_of_the_law(law: Distribution, schedule_name: str):
    """Within 1e-5 nats at every point, on and off the law, with the law itself as terminal law."""
    schedule = SCHEDULES.load(schedule_name)()
    x, alpha, sigma = at_t_min(law, schedule, 12)
    x = torch.cat([x, torch.tensor([[3.0, 3.0], [-2.0, 0.0]], dtype=torch.float64)])
    found = log_likelihood(Exact(law, schedule), x, law.log_prob)
    torch.testing.assert_close(found.value, law.log_prob(x, alpha, sigma), rtol=0, atol=1e-5)
    assert (found.stderr == 0).all()
    assert 50 < found.evaluations < 1000


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(outliers(three_gaussians(), 0.1), id="contaminated", marks=pytest.mark.slow),
        pytest.param(subspace(dim=3), id="subspace"),
    ],
)
def test_laws_that_are_no_mixtures_of_gaussians_too(law: Distribution):
    """One with edges, one without any density of its own."""
    x, alpha, sigma = at_t_min(law, DDPM(), 8)
    found = log_likelihood(Exact(law, DDPM()), x, law.log_prob).value
    torch.testing.assert_close(found, law.log_prob(x, alpha, sigma), rtol=0, atol=1e-5)


@pytest.mark.parametrize("schedule", [DDPM(), VE(), RectifiedFlow()], ids=lambda s: type(s).__name__)
def test_from_the_prior_it_is_the_density_of_what_the_flow_makes_of_it(schedule: Schedule):
    """On N(m, s²) the flow to t_max is affine: its density in closed form, and the gap to the law's own is the prior's
    part of the error."""
    m, s = 0.7, 1.5
    law = GaussianMixture([[m]], std=s)
    x, alpha, sigma = at_t_min(law, schedule, 9)
    alpha_end, sigma_end = schedule(schedule.t_max)
    stretch = torch.sqrt((alpha_end * s) ** 2 + sigma_end**2) / torch.sqrt((alpha * s) ** 2 + sigma**2)
    end = alpha_end * m + stretch * (x - alpha * m)
    exact = prior_log_prob(end, alpha_end, sigma_end) + stretch.log()
    found = log_likelihood(Exact(law, schedule), x).value
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-6)
    gap = law.log_prob(x, alpha, sigma) - found
    assert gap.abs().max() > 1e-4
    torch.testing.assert_close(gap, prior_gap(law, schedule, end), rtol=0, atol=1e-6)


def test_the_prior_is_that_of_the_samplers():
    alpha, sigma = RectifiedFlow()(RectifiedFlow().t_max)
    x = prior(RectifiedFlow(), (6, 3), seeded(), torch.empty(0, dtype=torch.float64))
    exact = torch.distributions.Normal(0.0, math.hypot(alpha, sigma)).log_prob(x).sum(-1)
    torch.testing.assert_close(prior_log_prob(x, alpha, sigma), exact)


def test_hutchinson_s_estimate_is_unbiased_and_knows_its_error():
    """With members; 2,000 estimates from one probe, and the interval of eight, in 4 dimensions."""
    basis = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=seeded(3))).Q
    law = GaussianMixture([[0.0] * 4], cov=basis @ torch.diag(torch.tensor([2.0, 1.0, 0.3, 0.05])).double() @ basis.mT)
    denoiser, x = Exact(law, VPLinear()), torch.tensor([[[1.0, 0.5, -0.5, 0.2]], [[0.0, 0.0, 1.0, -1.0]]]).double()
    exact = log_likelihood(denoiser, x, tolerance=1e-6).value
    many = log_likelihood(denoiser, x.expand(2, 2000, 4), probes=1, generators=[seeded(1), seeded(2)], tolerance=1e-6)
    assert many.stderr.isnan().all()
    assert (many.value.std(1) > 0.1).all()
    assert ((many.value.mean(1) - exact[:, 0]).abs() < 4 * many.value.std(1) / 2000**0.5).all()
    eight = log_likelihood(denoiser, x.expand(2, 200, 4), probes=8, generators=[seeded(1), seeded(2)], tolerance=1e-6)
    assert eight.value.shape == eight.stderr.shape == (2, 200)
    assert ((eight.value.mean(1) - exact[:, 0]).abs() < 4 * eight.value.std(1) / 200**0.5).all()
    # 4 standard errors of such a ratio are 0.22: √(2/7)/√200 relatively above, √(2/2000) below
    torch.testing.assert_close(eight.stderr.square().mean(1), many.value.var(1) / 8, rtol=0.22, atol=0)
    alone = log_likelihood(denoiser, x[1:].expand(1, 200, 4), probes=8, generators=[seeded(2)], tolerance=1e-6)
    torch.testing.assert_close(alone.value[0], eight.value[1], rtol=0, atol=1e-4)


def test_probes_are_fair_signs_of_each_member_s_own():
    x = torch.zeros(2, 500, 4, dtype=torch.float64)
    signs = _signs(x, 8, [seeded(1), seeded(2)])
    assert signs.shape == (8, 2, 500, 4)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 4 / signs.numel() ** 0.5
    assert torch.equal(_signs(x[1:], 8, [seeded(2)])[:, 0], signs[:, 1])


def test_a_network_s_likelihood_is_that_of_its_own_deterministic_samples():
    """In 1-D an untrained network moves the points of the prior in order: the density of DDIM's samples is that of the
    prior over the distance to the neighbour. In float64, and the network itself stays in float32."""
    network = MLP(1, width=16, depth=2, generators=[seeded()])
    denoiser = Learned(network, VPLinear(), "v")
    start = torch.linspace(-2, 2, 401, dtype=torch.float64)[:, None]
    double = Learned(MLP(1, width=16, depth=2, generators=[seeded()]), VPLinear(), "v").double()
    with torch.no_grad():
        *_, end = ddim(double, start[None], grid(VPLinear(), 2000))
    slope = (end[0, 2:, 0] - end[0, :-2, 0]) / (start[2:, 0] - start[:-2, 0])
    alpha, sigma = VPLinear()(1.0)
    pushed = prior_log_prob(start[1:-1], alpha, sigma) - slope.log()
    found = log_likelihood(denoiser, end[:, 1:-1][:, ::40])
    torch.testing.assert_close(found.value[0], pushed[::40], rtol=0, atol=5e-3)
    assert next(denoiser.parameters()).dtype == torch.float32


def test_bad_input_is_refused():
    x, denoiser = torch.zeros(1, 2), Exact(CORRELATED, DDPM())
    with pytest.raises(BadInput, match="probes must be at least 1, or None"):
        log_likelihood(denoiser, x, probes=0)
    with pytest.raises(BadInput, match="rtol must be between 0 and 1"):
        log_likelihood(denoiser, x, tolerance=0.0)
    with pytest.raises(BadInput, match="levels must be at least 1"):
        girsanov_bound(denoiser, CORRELATED, seeded(), levels=0)


def flow_law(model: GaussianMixture, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """Mean and covariance at t_min of what the probability flow of a Gaussian model makes of the prior."""
    (m_0, s_0), (m_1, s_1) = (marginal(model, schedule, t) for t in (schedule.t_min, schedule.t_max))
    root = [(v @ torch.diag(w.sqrt()) @ v.mT) for w, v in (torch.linalg.eigh(s) for s in (s_0, s_1))]
    gain = root[0] @ root[1].inverse()  # they commute
    return m_0 - gain @ m_1, prior_variance(schedule) * gain @ gain.mT


def prior_variance(schedule: Schedule) -> float:
    alpha, sigma = schedule(schedule.t_max)
    return float(alpha**2 + sigma**2)


def reverse_sde_law(model: GaussianMixture, schedule: VPLinear) -> tuple[Tensor, Tensor]:
    """The same for the reverse SDE with the model's score, by solve_ivp of the moments' equations in t:
    dx = (-β x/2 - β s(x)) dt + √β dw̄, s(x) = -S⁻¹(x - μ) of the model's marginals."""
    d, eye = model.dim, torch.eye(model.dim, dtype=torch.float64)

    def rates(t: float, state):
        beta = schedule.beta_min + t * (schedule.beta_max - schedule.beta_min)
        mean, cov = torch.from_numpy(state[:d]), torch.from_numpy(state[d:].reshape(d, d))
        mu, s = marginal(model, schedule, t)
        slope = -beta / 2 * eye + beta * s.inverse()
        cov_rate = slope @ cov + cov @ slope.mT - beta * eye  # time runs backwards
        return torch.cat([slope @ mean - beta * s.inverse() @ mu, cov_rate.ravel()]).numpy()

    start = torch.cat([torch.zeros(d), eye.ravel()]).double().numpy()
    solved = scipy.integrate.solve_ivp(rates, (schedule.t_max, schedule.t_min), start, "DOP853", rtol=1e-10, atol=1e-12)
    end = torch.from_numpy(solved.y[:, -1].copy())
    return end[:d], end[d:].reshape(d, d)


def within(found, exact: float, errors: float = 4) -> bool:
    return abs(float(found.value) - exact) < errors * float(found.stderr)


def test_kl_of_the_probability_flow_on_gaussians():
    schedule = VPLinear()
    exact = gaussian_kl(marginal(CORRELATED, schedule, schedule.t_min), flow_law(OTHER, schedule))
    found = kl(Exact(OTHER, schedule), CORRELATED, seeded(), size=4000)
    assert exact > 0.2
    assert within(found, exact)
    assert float(found.stderr) < 0.05 * exact


def test_kl_has_a_value_a_member_and_is_nothing_but_the_prior_for_the_exact_denoiser():
    schedule = DDPM()
    found = kl(Exact(CORRELATED, schedule), CORRELATED, [seeded(1), seeded(2)], size=100, terminal=CORRELATED.log_prob)
    assert found.value.shape == found.stderr.shape == (2,)
    assert found.value.abs().max() < 1e-6
    prior_part = kl(Exact(CORRELATED, schedule), CORRELATED, [seeded(1), seeded(2)], size=100)
    exact = gaussian_kl(
        marginal(CORRELATED, schedule, schedule.t_max), (torch.zeros(2).double(), torch.eye(2).double())
    )
    assert ((prior_part.value - exact).abs() < 4 * prior_part.stderr).all()
    alone = kl(Exact(CORRELATED, schedule), CORRELATED, [seeded(2)], size=100)
    torch.testing.assert_close(alone.value[0], prior_part.value[1], rtol=0, atol=1e-6)


def test_kl_in_many_dimensions_takes_probes():
    law, model = (GaussianMixture([[mean] * 20], std=1.0) for mean in (0.0, 0.3))
    schedule = VPLinear()
    exact = gaussian_kl(marginal(law, schedule, schedule.t_min), flow_law(model, schedule))
    found = kl(Exact(model, schedule), law, seeded(), size=400)
    assert within(found, exact)


@pytest.mark.parametrize("schedule_name", SCHEDULES)
def test_girsanov_is_an_equality_between_two_forward_processes(schedule_name: str):
    """Where the model is the exact denoiser of another law, started from that law's own marginal, the two path measures
    are two laws pushed through one forward process: their divergence is that of their beginnings, at t_min."""
    schedule = SCHEDULES.load(schedule_name)()
    exact = gaussian_kl(*(marginal(law, schedule, schedule.t_min) for law in (CORRELATED, OTHER)))
    found = girsanov_bound(Exact(OTHER, schedule), CORRELATED, seeded(), 5000, OTHER.log_prob)
    assert within(found, exact)
    assert float(found.stderr) < 0.02 * exact


class Shifted(Denoiser):
    """The exact ε of a law plus a constant vector: the reverse SDE drifts by a known amount."""

    def __init__(self, law: Distribution, schedule: Schedule, by: Tensor):
        self.exact, self.schedule, self.by = Exact(law, schedule), schedule, by

    def at(self, t):
        level, by = self.exact.at(t), self.by

        class Level(type(level)):
            def eps(self, x_t: Tensor) -> Tensor:
                return level.eps(x_t) + by

        return Level(level.law, level.alpha, level.sigma)


def test_girsanov_s_integral_of_a_constant_error():
    """ε off by b: ½∫ g² ‖b/σ‖² dt = ‖b‖² log(u_max/u_min), here by quadrature in t with g² = β; without Monte Carlo
    error but for the prior's, which is 0 on N(0, I)."""
    schedule, by = VPLinear(), torch.tensor([0.3, -0.4], dtype=torch.float64)
    law = GaussianMixture([[0.0, 0.0]], std=1.0)

    def integrand(t: float) -> float:
        beta = schedule.beta_min + t * (schedule.beta_max - schedule.beta_min)
        return 0.5 * beta * float(by.square().sum()) / float(schedule(t)[1]) ** 2

    exact, _ = scipy.integrate.quad(integrand, schedule.t_min, schedule.t_max, epsabs=0, epsrel=1e-11, limit=200)
    found = girsanov_bound(Shifted(law, schedule, by), law, [seeded(1), seeded(2)], size=10)
    torch.testing.assert_close(found.value, torch.full((2,), exact, dtype=torch.float64), rtol=1e-9, atol=0)
    assert (found.stderr < 1e-9).all()


@pytest.mark.parametrize("model", [OTHER, GaussianMixture([[1.0, -1.0]], std=0.4)], ids=["near", "far"])
def test_girsanov_bounds_the_reverse_sde(model: GaussianMixture):
    """From the prior: not below the exact divergence of the SDE's law by more than 4 standard errors; and hardly above
    it, since p_T is nearly the prior."""
    schedule = VPLinear()
    exact = gaussian_kl(marginal(CORRELATED, schedule, schedule.t_min), reverse_sde_law(model, schedule))
    bound = girsanov_bound(Exact(model, schedule), CORRELATED, seeded(), size=10_000)
    assert float(bound.value) > exact - 4 * float(bound.stderr)
    assert float(bound.value) < exact + 0.01 + 4 * float(bound.stderr)


def test_a_flow_that_cannot_be_followed_has_no_divergence():
    """A denoiser that is not finite in the middle of the way: said by NaN, not by a number, and not by an error."""
    law = GaussianMixture([[0.0]], std=1.0)
    wild = Given(lambda x, t: torch.where((t - 0.5).abs() < 0.1, torch.nan, x), DDPM(), dtype=torch.float64)
    with pytest.raises(BadInput):
        log_likelihood(wild, torch.zeros(3, 1))
    found = kl(wild, law, seeded(), size=3)
    assert bool(found.value.isnan() and found.stderr.isnan())
