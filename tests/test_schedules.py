"""Schedules: the published tables, the endpoint rules, the inverse."""

import math

import numpy as np
import pytest
import torch

from toylab.errors import BadInput
from toylab.index import SCHEDULES
from toylab.schedules import DDPM, VE, Cosine, RectifiedFlow, VPLinear


@pytest.mark.parametrize("name", SCHEDULES)
def test_contract(name: str):
    schedule = SCHEDULES.load(name)()
    assert 0 < schedule.t_min < schedule.t_max <= 1
    t = torch.linspace(0, schedule.t_max, 10_001, dtype=torch.float64)
    alpha, sigma = schedule(t)
    assert alpha.shape == sigma.shape == t.shape
    if name not in {"ve", "rectified-flow"}:
        torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t), rtol=0, atol=1e-12)
    assert (alpha.diff() < 0).all() or (alpha == 1).all()
    assert (sigma.diff() > 0).all()
    assert (float(alpha[0]), float(sigma[0])) == (1.0, 0.0)
    assert float(schedule(schedule.t_max)[0]) > 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_float32_times_lose_nothing_that_matters(name: str):
    schedule = SCHEDULES.load(name)()
    t = torch.linspace(schedule.t_min, schedule.t_max, 1000, dtype=torch.float64)
    for single, double in zip(schedule(t.float()), schedule(t), strict=True):
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), double, rtol=3e-4, atol=0)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("ratio", [0.02, 0.5, 1.0, 8.0, 79.0])
def test_time_inverts_the_schedule(name: str, ratio: float):
    schedule = SCHEDULES.load(name)()
    alpha, sigma = schedule(schedule.time(ratio))
    assert float(sigma / alpha) == pytest.approx(ratio, rel=1e-9)
    with pytest.raises(BadInput, match="spans"):
        schedule.time(1e9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_many_times_are_inverted_at_once(name: str):
    """To rounding, in any shape, and as `time` does one by one; the nearer end beyond the ends."""
    schedule = SCHEDULES.load(name)()
    t = torch.linspace(schedule.t_min, schedule.t_max, 12, dtype=torch.float64).reshape(3, 4)
    alpha, sigma = schedule(t)
    found = schedule.times(sigma / alpha)
    torch.testing.assert_close(found, t, rtol=1e-13, atol=0)
    assert float(found[1, 1]) == pytest.approx(schedule.time(float(sigma[1, 1] / alpha[1, 1])), rel=1e-13)
    beyond = schedule.times(torch.tensor([0.0, 1e9]))
    assert beyond.tolist() == pytest.approx([schedule.t_min, schedule.t_max], rel=1e-15)


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_the_derivatives(name: str):
    """By central differences, away from the rows of the table; of t's shape."""
    schedule = SCHEDULES.load(name)()
    t = torch.tensor([[0.1004, 0.5004], [0.9004, 0.9984]], dtype=torch.float64)
    step = 1e-6
    for rate, after, before in zip(schedule.rates(t), schedule(t + step), schedule(t - step), strict=True):
        torch.testing.assert_close(rate, (after - before) / (2 * step), rtol=1e-6, atol=1e-8)
    assert float(schedule.rates(0.5004)[1]) == pytest.approx(float(schedule.rates(t)[1][0, 1]))


def test_ddpm_is_the_table_of_ho_et_al():
    betas = np.linspace(1e-4, 0.02, 1000)
    alphas_bar = np.cumprod(1 - betas)
    k = torch.arange(1, 1001, dtype=torch.float64)
    alpha, sigma = DDPM()(k / 1000)
    np.testing.assert_allclose(alpha.numpy(), np.sqrt(alphas_bar), rtol=1e-12)
    np.testing.assert_allclose(sigma.numpy(), np.sqrt(1 - alphas_bar), rtol=1e-12)


def test_ddpm_between_rows_is_linear_in_log_snr():
    schedule = DDPM()

    def log_snr(t: float) -> float:
        alpha, sigma = schedule(t)
        return 2 * math.log(float(alpha / sigma))

    assert log_snr(0.5004) == pytest.approx(0.6 * log_snr(0.5) + 0.4 * log_snr(0.501), rel=1e-10)
    assert float(schedule(0.0005)[1]) ** 2 == pytest.approx(0.5e-4, rel=1e-10)


def test_vp_linear_is_the_integral_of_beta():
    alpha, _ = VPLinear()(0.3)
    beta = np.linspace(0.1, 0.1 + 0.3 * 19.9, 100_001)
    integral = np.trapezoid(beta, dx=0.3 / 100_000)
    assert float(alpha) ** 2 == pytest.approx(math.exp(-integral), rel=1e-9)


def test_cosine_is_the_published_curve():
    def f(t: float) -> float:
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    for t in (0.01, 0.4, 0.99):
        alpha, sigma = Cosine()(t)
        assert float(alpha) ** 2 == pytest.approx(f(t) / f(0), rel=1e-12)
        assert float(sigma) ** 2 == pytest.approx(1 - f(t) / f(0), rel=1e-10)


def test_ve_has_the_steps_of_karras_et_al():
    steps, rho = 18, 7
    i = np.arange(steps)
    sigmas = (80 ** (1 / rho) + i / (steps - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
    schedule = VE()
    alpha, sigma = schedule(torch.linspace(schedule.t_max, schedule.t_min, steps, dtype=torch.float64))
    np.testing.assert_allclose(sigma.numpy(), sigmas, rtol=1e-12)
    assert (alpha == 1).all()


def test_rectified_flow_is_straight():
    alpha, sigma = RectifiedFlow()(torch.tensor([0.25, 0.5]))
    assert (alpha.tolist(), sigma.tolist()) == ([0.75, 0.5], [0.25, 0.5])


@pytest.mark.parametrize(
    "build",
    [
        lambda: DDPM(T=1),
        lambda: VPLinear(beta_min=3.0, beta_max=1.0),
        lambda: Cosine(t_max=1.5),
        lambda: Cosine(t_max=1.0),
        lambda: DDPM(beta_last=0.99),
        lambda: VE(sigma_max=1e5),
        lambda: VE(sigma_min=3.0, sigma_max=2.0),
        lambda: VE(rho=0.5),
        lambda: RectifiedFlow(t_max=1.0),
    ],
)
def test_parameters_are_checked(build):
    with pytest.raises(BadInput):
        build()
