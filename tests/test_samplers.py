"""Samplers on the exact denoiser, where the right answer is known."""

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate
import torch

from toylab.denoisers import Exact
from toylab.distributions import GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import SAMPLERS, SCHEDULES
from toylab.metrics import Estimate
from toylab.metrics.transport import w2, w2_floor
from toylab.samplers import ddim, ddpm, grid, prior, sample, walk_to_data
from toylab.schedules import DDPM, VPLinear


def last(states):
    for state in states:
        x = state
    return x


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule_name", SCHEDULES)
def test_contract(name: str, schedule_name: str):
    """Shapes, the count of evaluations, reproducibility, and members that do not depend on each other."""
    schedule = SCHEDULES.load(schedule_name)()
    walk, calls = SAMPLERS.load(name), []

    class Counted(Exact):
        def at(self, t):
            calls.append(float(t))
            return super().at(t)

    denoiser = Counted(three_gaussians(), schedule)

    def draw(*seeds: int) -> torch.Tensor:
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        x = prior(schedule, (len(seeds), 8, 2), noise, torch.empty(0, dtype=torch.float64))
        return sample(walk, denoiser, x, 10, noise)

    x = draw(1, 2)
    assert x.shape == (2, 8, 2)
    assert len(calls) == 10
    assert calls == sorted(calls, reverse=True)
    assert (calls[0], calls[-1]) == (schedule.t_max, pytest.approx(schedule.t_min))
    assert torch.equal(draw(2)[0], x[1])
    assert x.isfinite().all()


@pytest.mark.parametrize("schedule_name", SCHEDULES)
def test_ddim_converges_at_first_order(schedule_name: str):
    """Pathwise, from σ/α = 5 to 0.1, against DOP853 at 1e-12 in the variable log σ/α."""
    law, schedule = three_gaussians(), SCHEDULES.load(schedule_name)()
    high, low = schedule.time(5.0), schedule.time(0.1)
    start = law.sample(64, torch.Generator().manual_seed(0)) + 5.0 * torch.randn(
        64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )

    def velocity(log_ratio: float, y: np.ndarray) -> np.ndarray:
        """x/α follows d(x/α)/d(σ/α) = ε, so d(x/α)/d log(σ/α) = (σ/α) ε."""
        ratio = math.exp(log_ratio)
        x = torch.from_numpy(y.reshape(64, 2))
        return (-(ratio**2) * law.score(x, 1.0, ratio)).numpy().ravel()

    solved = scipy.integrate.solve_ivp(
        velocity, (math.log(5.0), math.log(0.1)), start.numpy().ravel(), method="DOP853", rtol=1e-12, atol=1e-12
    )
    reference = torch.from_numpy(solved.y[:, -1].reshape(64, 2))
    steps = [64, 128, 256, 512, 1024]
    errors = []
    for n in steps:
        times = torch.linspace(high, low, n + 1, dtype=torch.float64)
        alpha_start, alpha_end = schedule(times[0])[0], schedule(times[-1])[0]
        end = last(ddim(Exact(law, schedule), alpha_start * start, times)) / alpha_end
        errors.append(float((end - reference).norm(dim=-1).mean()))
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.15)


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


@pytest.fixture(scope="module")
def floor() -> Estimate:
    """W2 between exact samples: the mean over 20 pairs of n = 2,000."""
    return w2_floor(three_gaussians(), torch.Generator().manual_seed(2), size=2000, pairs=20)


@pytest.mark.parametrize(("nfe", "reaches"), [(200, True), (5, False)])
def test_samples_of_the_exact_denoiser_reach_the_floor(nfe: int, reaches: bool, floor: Estimate):
    """W2 over 20 pairs of n = 2,000 is within 3 combined standard errors of the floor at 200 steps, not at 5."""
    law = three_gaussians()
    x = torch.randn(20 * 2000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    samples = sample(ddim, Exact(law, DDPM()), x, nfe)
    measured = w2(samples, law, torch.Generator().manual_seed(1), size=2000)
    combined = math.hypot(float(measured.stderr), float(floor.stderr))
    assert (abs(float(measured.value) - float(floor.value)) < 3 * combined) == reaches


def test_the_walk_ends_with_the_posterior_mean():
    denoiser = Exact(three_gaussians(), DDPM())
    states = list(walk_to_data(ddim, denoiser, torch.randn(3, 2, dtype=torch.float64), 7))
    assert len(states) == 7
    torch.testing.assert_close(states[-1], denoiser.x0(states[-2], denoiser.schedule.t_min))


@pytest.mark.parametrize("eta", [-0.1, 1.5])
def test_bad_eta_is_refused(eta: float):
    with pytest.raises(BadInput, match="eta must be"):
        last(ddim(Exact(three_gaussians(), DDPM()), torch.zeros(1, 2), torch.tensor([0.5, 0.4]), eta=eta))


def test_bad_nfe_is_refused():
    with pytest.raises(BadInput, match="at least 2"):
        grid(DDPM(), 1)
