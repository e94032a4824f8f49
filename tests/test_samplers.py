"""Samplers on the exact denoiser, where the right answer is known."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch

from toylab.denoisers import Exact, Learned
from toylab.distributions import GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import SAMPLERS, SCHEDULES, SPACINGS
from toylab.metrics.robustness import Region, mode_width
from toylab.metrics.transport import w2, w2_floor
from toylab.networks import MLP
from toylab.samplers import (
    Counted,
    ProbabilityFlow,
    adaptive,
    cost,
    ddim,
    ddpm,
    edm,
    euler,
    evenly_in_log_snr,
    grid,
    heun,
    prior,
    sample,
    walk_to_data,
)
from toylab.schedules import DDPM, VE, RectifiedFlow, VPLinear


def last(states):
    for state in states:
        x = state
    return x


OWN_STEPS = {name for name in SAMPLERS if cost(SAMPLERS.load(name)) is None}


def budget(name: str) -> int:
    return 1000 if name in OWN_STEPS else 10


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule_name", SCHEDULES)
def test_contract(name: str, schedule_name: str):
    """Shapes, evaluations within the budget and the schedule, reproducibility, members that ignore each other."""
    schedule, walk, nfe, seen = SCHEDULES.load(schedule_name)(), SAMPLERS.load(name), budget(name), []

    class Watched(Exact):
        def at(self, t):
            seen.append(float(t))
            return super().at(t)

    denoiser = Counted(Watched(three_gaussians(), schedule))

    def draw(*seeds: int) -> torch.Tensor:
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        x = prior(schedule, (len(seeds), 8, 2), noise, torch.empty(0, dtype=torch.float64))
        return sample(walk, denoiser, x, nfe, noise)

    x = draw(1, 2)
    spent = denoiser.evaluations
    assert (x.shape, x.dtype) == ((2, 8, 2), torch.float64)
    assert x.isfinite().all()
    assert spent == len(seen) <= nfe
    assert (seen[0], seen[-1]) == (pytest.approx(schedule.t_max), pytest.approx(schedule.t_min))
    assert schedule.t_min <= min(seen) <= max(seen) <= schedule.t_max
    if name not in OWN_STEPS:
        assert spent == {"heun": 9}.get(name, 10)
        assert seen == sorted(seen, reverse=True)
    assert torch.equal(draw(1, 2), x)
    alone = 1e-4 if name in OWN_STEPS else 1e-12  # steps that are shared agree to the tolerance, others to rounding
    assert (draw(2)[0] - x[1]).abs().max() < alone


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_walk_yields_a_state_at_every_time(name: str):
    """Of the state's shape and dtype, with a network and without members; only the stochastic ones use the noise."""
    network = MLP(2, width=8, depth=1, generators=[torch.Generator().manual_seed(0)])
    denoiser, walk = Learned(network.requires_grad_(False), DDPM(), "edm"), SAMPLERS.load(name)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    times, noises = grid(DDPM(), 4), (torch.Generator().manual_seed(seed) for seed in (0, 1))
    paths = [torch.stack([*walk(denoiser, x, times, noise)]) for noise in noises]
    assert (paths[0].shape, paths[0].dtype) == ((3, 5, 2), torch.float32)
    assert torch.equal(*paths) == (name not in {"ddpm", "euler-maruyama", "sde-dpm-solver++"})


@pytest.mark.parametrize("name", SAMPLERS)
def test_many_steps_reach_the_law(name: str):
    """Mean, second moments and widths of the modes from 300 evaluations, within 4 standard errors of the law's."""
    law, n = three_gaussians(), 1000
    noise = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, dtype=torch.float64, generator=noise)
    x = sample(SAMPLERS.load(name), Exact(law, DDPM()), x, 300, noise)
    moments = torch.cat([x, x.square(), x.prod(-1, keepdim=True)], -1)
    second = law.cov + torch.outer(law.mean, law.mean)
    exact = torch.cat([law.mean, second.diagonal(), second[0, 1:]])
    assert ((moments.mean(0) - exact).abs() < 4 * moments.std(0) / n**0.5).all()
    region = Region(law, torch.Generator().manual_seed(1), n=100_000)
    found, fresh = mode_width(x, region), mode_width(law.sample(20 * n, torch.Generator().manual_seed(2)), region)
    assert ((found.value - fresh.value).abs() < 4 * found.stderr.hypot(fresh.stderr)).all()


def test_euler_on_rectified_flow_is_ddim_and_on_ve_karras_s_heun_is_heun():
    law, flow, ve = three_gaussians(), RectifiedFlow(), VE()
    x = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pair = [sample(walk, Exact(law, flow), x, 20) for walk in (ddim, euler)]
    torch.testing.assert_close(*pair, rtol=1e-9, atol=1e-9)

    times = grid(ve, 18)
    (_, sigmas), y = ve(times), 80 * x
    ours = last(heun(Exact(law, ve), y, times))
    for a, b in pairwise(sigmas):  # algorithm 1 of arXiv:2206.00364, d = (x - D)/σ
        d = (y - law.denoise(y, 1.0, a)) / a
        ahead = y + (b - a) * d
        y = y + (b - a) * (d + (ahead - law.denoise(ahead, 1.0, b)) / b) / 2
    torch.testing.assert_close(ours, y, rtol=1e-10, atol=1e-10)


def test_adaptive_meets_its_tolerance():
    """End states against those at 1e-9, and evaluations, over tolerances; through intermediate times as well."""
    denoiser = Counted(Exact(three_gaussians(), DDPM()))
    x = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([1.0, 0.001], dtype=torch.float64)
    reference, spent = last(adaptive(denoiser, x, ends, rtol=1e-9, atol=1e-9)), []
    for tolerance in (1e-3, 1e-6):
        before = denoiser.evaluations
        end = last(adaptive(denoiser, x, ends, rtol=tolerance, atol=tolerance))
        spent.append(denoiser.evaluations - before)
        assert (end - reference).square().mean().sqrt() < 10 * tolerance
    assert spent == sorted(spent)
    times = grid(DDPM(), 4)
    path = [*adaptive(denoiser, x, times, rtol=1e-7, atol=1e-7)]
    torch.testing.assert_close(path[-1], reference, rtol=0, atol=1e-5)
    again = last(adaptive(denoiser, path[1], times[2:], rtol=1e-7, atol=1e-7))
    torch.testing.assert_close(again, reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("times", [torch.tensor([0.8, 0.5]), torch.tensor([0.5, 0.001])])
def test_ancestral_step_is_the_posterior_of_ho_et_al(times: torch.Tensor):
    """Mean and variance of one step against eq. 6-7, written with β̃ and the coefficients of x_0 and x_t."""
    law, schedule = GaussianMixture([[0.3]], std=0.5), DDPM()
    denoiser = Exact(law, schedule)
    n = 400_000
    x = torch.full((n, 1), 0.7, dtype=torch.float64)
    out = last(ddpm(denoiser, x, times.double(), torch.Generator().manual_seed(0)))
    (alpha_t, _), (alpha_s, _) = (schedule(float(t)) for t in times)
    abar_t, abar_s = float(alpha_t) ** 2, float(alpha_s) ** 2
    step_alpha = abar_t / abar_s
    variance = (1 - abar_s) / (1 - abar_t) * (1 - step_alpha)
    x0 = float(denoiser.x0(x[:1], float(times[0])))
    mean = (
        math.sqrt(abar_s) * (1 - step_alpha) / (1 - abar_t) * x0
        + math.sqrt(step_alpha) * (1 - abar_s) / (1 - abar_t) * 0.7
    )
    assert abs(float(out.mean()) - mean) < 4 * math.sqrt(variance / n)
    assert abs(float(out.var()) / variance - 1) < 4 * math.sqrt(2 / n)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_moments_of_a_gaussian_in_closed_form(eta: float):
    """On N(m, s²) every step is affine in x, so mean and variance follow a recursion without sampling error."""
    m, s, schedule, nfe = 0.5, 0.8, VPLinear(), 50
    times = grid(schedule, nfe)
    mean, variance = 0.0, 1.0
    for t, u in pairwise(times):
        (a, b), (c, d) = ((float(v) for v in schedule(float(w))) for w in (t, u))
        total = a * a * s * s + b * b
        noise = (eta * d / b) ** 2 * (b * b - (a / c * d) ** 2)
        k0, ke = a * s * s / total, b / total  # slopes of x0 and eps in x - a m
        slope = c * k0 + math.sqrt(d * d - noise) * ke
        mean = c * m + slope * (mean - a * m)
        variance = slope**2 * variance + noise
    n = 200_000
    x = torch.randn(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    walk = ddim(Exact(GaussianMixture([[m]], std=s), schedule), x, times, torch.Generator().manual_seed(1), eta=eta)
    end = last(walk)
    assert abs(float(end.mean()) - mean) < 4.5 * math.sqrt(variance / n)
    assert abs(float(end.var()) / variance - 1) < 4.5 * math.sqrt(2 / n)


@pytest.mark.parametrize("size", [700, pytest.param(2000, marks=pytest.mark.slow)])
def test_samples_of_the_exact_denoiser_reach_the_floor(size: int):
    """W2 over 20 pairs is within 3 combined standard errors of that between exact samples at 200 steps, not at 5."""
    law = three_gaussians()
    floor = w2_floor(law, torch.Generator().manual_seed(2), size=size, pairs=20)
    x = torch.randn(20 * size, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for nfe, reaches in ((200, True), (5, False)):
        samples = sample(ddim, Exact(law, DDPM()), x, nfe)
        measured = w2(samples, law, torch.Generator().manual_seed(1), size=size)
        combined = math.hypot(float(measured.stderr), float(floor.stderr))
        assert (abs(float(measured.value) - float(floor.value)) < 3 * combined) == reaches, nfe


def test_the_walk_ends_with_the_posterior_mean():
    denoiser = Exact(three_gaussians(), DDPM())
    states = list(walk_to_data(ddim, denoiser, torch.randn(3, 2, dtype=torch.float64), 7))
    assert len(states) == 7
    assert len([*walk_to_data(heun, denoiser, torch.randn(3, 2), 8)]) == 4
    torch.testing.assert_close(states[-1], denoiser.x0(states[-2], denoiser.schedule.t_min))


@pytest.mark.parametrize("eta", [-0.1, 1.5])
def test_bad_eta_is_refused(eta: float):
    with pytest.raises(BadInput, match="eta must be"):
        last(ddim(Exact(three_gaussians(), DDPM()), torch.zeros(1, 2), torch.tensor([0.5, 0.4]), eta=eta))


@pytest.mark.parametrize("name", SPACINGS)
@pytest.mark.parametrize("schedule_name", SCHEDULES)
def test_every_spacing_goes_from_end_to_end(name: str, schedule_name: str):
    schedule, spacing = SCHEDULES.load(schedule_name)(), SPACINGS.load(name)
    times = grid(schedule, 17, spacing)
    assert (times.shape, times.dtype) == ((17,), torch.float64)
    assert (float(times[0]), float(times[-1])) == (schedule.t_max, pytest.approx(schedule.t_min, rel=1e-15))
    assert (times.diff() < 0).all()
    assert grid(schedule, 2, spacing).tolist() == pytest.approx([schedule.t_max, schedule.t_min], rel=1e-15)


@pytest.mark.parametrize("schedule_name", SCHEDULES)
def test_spacings_are_even_in_what_they_say(schedule_name: str):
    schedule = SCHEDULES.load(schedule_name)()
    assert torch.equal(grid(schedule, 9), torch.linspace(schedule.t_max, schedule.t_min, 9, dtype=torch.float64))
    for spacing, even in (
        (evenly_in_log_snr, torch.log),
        (edm, lambda u: u ** (1 / 7)),
        (partial(edm, rho=3.0), lambda u: u ** (1 / 3)),
    ):
        alpha, sigma = schedule(grid(schedule, 9, spacing))
        steps = even(sigma / alpha).diff()
        torch.testing.assert_close(steps, steps.mean().expand(8), rtol=1e-9, atol=0)
    with pytest.raises(BadInput, match="rho must be between 1 and 100"):
        grid(schedule, 9, partial(edm, rho=0.5))


def test_on_ve_edm_s_steps_are_even_in_t():
    torch.testing.assert_close(grid(VE(), 18, edm), grid(VE(), 18), rtol=1e-12, atol=0)


def test_bad_budgets_are_refused():
    x, denoiser = torch.zeros(1, 2), Exact(three_gaussians(), DDPM())
    with pytest.raises(BadInput, match="nfe must be at least 2"):
        grid(DDPM(), 1)
    with pytest.raises(BadInput, match="nfe must be at least 2 for this sampler, 1 a step and 1 at the end, not 1"):
        sample(ddim, denoiser, x, 1)
    with pytest.raises(BadInput, match="nfe must be at least 3 for this sampler, 2 a step and 1 at the end, not 2"):
        sample(partial(heun), denoiser, x, 2)
    with pytest.raises(BadInput, match="30 evaluations of the denoiser are not enough"):
        sample(adaptive, denoiser, x, 30)
    with pytest.raises(BadInput, match="9 evaluations"):  # what hides its cost is stopped at the budget all the same
        sample(lambda *given: heun(*given), denoiser, x, 9)


def test_the_solver_of_the_flow_stays_between_its_ends():
    """A field so slow that a first trial step would leave them; y and what goes with it, against exp and a line."""
    seen, rate = [], 1e-4

    def field(state, angle):
        seen.append(float(angle))
        return rate * state[0], torch.full_like(state[1], 2.0)

    angles = torch.tensor([0.3, 0.9, 1.5], dtype=torch.float64)
    start = (torch.ones(3, 2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    y, line = ProbabilityFlow(Exact(three_gaussians(), DDPM())).solve(field, start, angles, 1e-9, 1e-9)
    assert 0.3 <= min(seen) <= max(seen) <= 1.5
    passed = angles - 0.3
    torch.testing.assert_close(y, (rate * passed).exp()[:, None, None].expand(3, 3, 2), rtol=1e-12, atol=0)
    torch.testing.assert_close(line, 2 * passed[:, None].expand(3, 3), rtol=1e-12, atol=0)


def test_bad_tolerances_are_refused():
    x, times, denoiser = torch.zeros(1, 2), grid(DDPM(), 2), Exact(three_gaussians(), DDPM())
    with pytest.raises(BadInput, match="rtol must be between 0 and 1"):
        last(adaptive(denoiser, x, times, rtol=0.0))
    with pytest.raises(BadInput, match="atol must be between 0 and 1"):
        last(adaptive(denoiser, x, times, atol=2.0))

    class Broken(Exact):
        def predict(self, x_t, t):
            return x_t * torch.nan, x_t * torch.nan

    with pytest.raises(BadInput, match="cannot be met: underflow in dt"):
        last(adaptive(Broken(three_gaussians(), DDPM()), x, times))


def test_counting_changes_nothing():
    law, t = three_gaussians(), 0.5
    plain, counted = Exact(law, DDPM()), Counted(Exact(law, DDPM()), most=4)
    x = law.sample(5, torch.Generator().manual_seed(0))
    for mine, theirs in zip(counted.predict(x, t), plain.predict(x, t), strict=True):
        assert torch.equal(mine, theirs)
    for quantity in ("x0", "eps", "score"):
        assert torch.equal(getattr(counted, quantity)(x, t), getattr(plain, quantity)(x, t))
    assert counted.evaluations == 4
    with pytest.raises(BadInput, match="4 evaluations of the denoiser are not enough"):
        counted.eps(x, t)
