"""Denoisers for other libraries and from them, held against our own samplers and against the law."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

import toylab as tl
from toylab import randomness
from toylab.interop import from_azula, sample_by_scheduler, to_azula
from toylab.interop.azula import Mean
from toylab.samplers import ddim, ddpm, heun, walk_to_data

LAW = tl.outliers(tl.GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], std=0.3), fraction=0.1)
BETAS = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
DDIM = partial(diffusers.DDIMScheduler, **BETAS, clip_sample=False, steps_offset=0)


MEAN, STD, N = 1.5, 0.5, 4000
GAUSSIAN = tl.GaussianMixture([[MEAN]], std=STD)


def check_flow(flow: Callable[[Tensor, int], Tensor], order: int) -> None:
    """On a Gaussian a deterministic sampler is affine, x -> a + b x, so that two points say all: at x_T = 0 the exact
    flow is α_T m s/c off the mean m, with c² = α_T² s² + σ_T², and its slope is s/c. The first within 1e-3; the
    slope's error is below 7 % in 50 steps of first order, and half in twice the steps; of second order below 1 %.
    """
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    alpha, sigma = (float(level) for level in tl.DDPM()(1.0))
    c = math.hypot(alpha * STD, sigma)
    errors = []
    for steps in (50, 100):
        (a,), (end,) = flow(x, steps).tolist()
        assert abs(a - (MEAN - alpha * MEAN * STD / c)) < 1e-3
        errors.append(abs((end - a) / (STD / c) - 1))
    assert max(errors) < (0.07 if order == 1 else 0.01)
    assert order > 1 or 0.45 < errors[1] / errors[0] < 0.55


def check_draws(x: Tensor) -> None:
    """N samples by a hundred ancestral steps: mean and deviation within 5 standard errors, and what such steps and the
    prior do by themselves: 0.005 to the mean, 3 % to the deviation."""
    assert abs(float(x.mean()) - MEAN) < 5 * STD / math.sqrt(N) + 0.005
    assert abs(float(x.std()) / STD - 1) < 5 / math.sqrt(2 * N) + 0.03


def noise(n: int, dim: int = 2) -> Tensor:
    return torch.randn(n, dim, dtype=torch.float64, generator=randomness.stream(0, "test"))


# -- azula's protocol --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schedule", [tl.DDPM(), tl.Cosine(), tl.VE(), tl.RectifiedFlow()], ids=lambda s: type(s).__name__
)
def test_there_and_back_nothing_changes(schedule: tl.Schedule):
    """One time for all points, and one a point; to rounding in double precision, which 1/α and 1/σ enlarge."""
    ours = tl.Exact(LAW, schedule)
    back = from_azula(to_azula(ours), schedule.t_min, schedule.t_max, torch.float64)
    x = noise(7)
    for t in (torch.tensor(0.5, dtype=torch.float64), torch.linspace(0.2, 0.9, 7, dtype=torch.float64)):
        for mine, theirs in zip(ours.predict(x, t), back.predict(x, t), strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-10, atol=1e-10)


def test_an_azula_denoiser_is_a_schedule_and_a_mean():
    ours = to_azula(tl.Exact(LAW, tl.DDPM()))
    x, t = noise(5), torch.tensor(0.3, dtype=torch.float64)
    alpha, sigma = ours.schedule(t)
    assert torch.equal(ours(x, t).mean, LAW.denoise(x, alpha, sigma))


def test_a_posterior_mean_in_closed_form_is_measured_as_exact():
    """Somebody's denoiser of N(m, s²), written down as azula would have it: its ε is that of the law."""

    @dataclasses.dataclass
    class Theirs:
        schedule: Callable[[Tensor], tuple[Tensor, Tensor]]

        def __call__(self, x_t: Tensor, t: Tensor) -> Mean:
            alpha, sigma = (level[..., None] for level in self.schedule(t))
            return Mean((x_t * alpha * 0.25 + sigma**2 * 1.5) / (alpha**2 * 0.25 + sigma**2))

    law = tl.GaussianMixture([[1.5]], std=0.5)
    denoiser = from_azula(Theirs(lambda t: (1 - t, t + 0.01)), 0.01, 0.95, torch.float64)
    x, t = noise(20, 1), torch.linspace(0.05, 0.9, 20, dtype=torch.float64)
    torch.testing.assert_close(denoiser.eps(x, t), tl.Exact(law, denoiser.schedule).eps(x, t), rtol=1e-10, atol=1e-10)


def test_a_schedule_that_does_not_grow_is_refused():
    backwards = dataclasses.make_dataclass("Backwards", ["schedule"])(lambda t: (t, 1 - t))
    with pytest.raises(tl.BadInput, match="sigma/alpha must grow with t"):
        from_azula(backwards, 0.1, 0.9)


@pytest.mark.parametrize(("name", "order"), [("DDIMSampler", 1), ("HeunSampler", 2)])
def test_azulas_samplers_give_the_laws_moments(name: str, order: int):
    sample: Any = pytest.importorskip("azula.sample")

    def flow(x: Tensor, steps: int) -> Tensor:
        ours = to_azula(tl.Exact(GAUSSIAN, tl.DDPM()))
        sampler = getattr(sample, name)(ours, start=1.0, stop=1e-3, steps=steps, silent=True, dtype=torch.float64)
        return sampler(x)

    check_flow(flow, order)


def test_azulas_ancestral_sampler_gives_the_laws_moments():
    sample: Any = pytest.importorskip("azula.sample")
    ours = to_azula(tl.Exact(GAUSSIAN, tl.DDPM()))
    check_draws(
        sample.DDPMSampler(ours, start=1.0, stop=1e-3, steps=100, silent=True, dtype=torch.float64)(noise(N, 1))
    )


@pytest.mark.parametrize(("name", "walk"), [("DDIMSampler", ddim), ("HeunSampler", heun)])
def test_azulas_samplers_are_ours(name: str, walk: tl.samplers.Walk):
    """The same steps from the same noise, to rounding: azula's, then ours, which ends with E[x_0]."""
    sample: Any = pytest.importorskip("azula.sample")
    exact, x = tl.Exact(LAW, tl.DDPM()), noise(50)
    sampler = getattr(sample, name)(
        to_azula(exact), start=1.0, stop=exact.schedule.t_min, steps=20, silent=True, dtype=torch.float64
    )
    *_, last, _ = walk_to_data(walk, exact, x, nfe=20 * (2 if walk is heun else 1) + 1)
    torch.testing.assert_close(sampler(x), last, rtol=1e-9, atol=1e-9)


def test_azulas_own_denoiser_is_measured_as_ours():
    """Its analytic Gaussian, on its cosine schedule."""
    theirs: Any = pytest.importorskip("azula.denoise")
    from azula.linalg.covariance import IsotropicCovariance
    from azula.noise import CosineSchedule

    mean = torch.tensor([1.5, -0.5], dtype=torch.float64)
    model = theirs.GaussianDenoiser(
        mean, IsotropicCovariance(torch.tensor(0.25, dtype=torch.float64)), CosineSchedule()
    )
    ours = from_azula(model, dtype=torch.float64)
    exact = tl.Exact(tl.GaussianMixture(mean[None], std=0.5), ours.schedule)
    for t in (0.1, 0.5, 0.9):
        torch.testing.assert_close(ours.eps(noise(9), t), exact.eps(noise(9), t), rtol=1e-9, atol=1e-9)


# -- schedulers of diffusers -------------------------------------------------------------------------------------


def in_double(scheduler: Any) -> Any:
    """Its table as ours has it, in double precision."""
    rows = torch.arange(1, 1001, dtype=torch.float64) / 1000
    scheduler.alphas_cumprod = tl.DDPM()(rows)[0].square()
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    return scheduler


def our_ddim(denoiser: tl.Denoiser, x: Tensor, steps: int) -> Tensor:
    """Our DDIM on diffusers' times, "leading": rows 1, 1 + 1000/steps, ...; then E[x_0] at row 1."""
    rows = torch.arange(0, 1000, 1000 // steps).flip(0) + 1
    *_, last = ddim(denoiser, x, rows.double() / 1000)
    return denoiser.x0(last, 1 / 1000)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_diffusers_ddim_is_ours(prediction: str):
    """To rounding with its table in double precision."""
    exact, x = tl.Exact(LAW, tl.DDPM()), noise(40)
    found = sample_by_scheduler(in_double(DDIM(prediction_type=prediction)), exact, x, 20)
    torch.testing.assert_close(found, our_ddim(exact, x, 20), rtol=1e-9, atol=1e-9)


def test_its_own_table_differs_by_single_precision():
    exact, x = tl.Exact(LAW, tl.DDPM()), noise(40)
    gap = (sample_by_scheduler(DDIM(), exact, x, 20) - our_ddim(exact, x, 20)).abs().max()
    assert 1e-12 < gap < 1e-4


def test_a_denoiser_of_another_schedule_is_asked_at_the_same_noise():
    """σ/α is what says how noisy a point is: the exact score is that of the law on any schedule that reaches it."""
    x = noise(40)
    wide = tl.VE(sigma_min=1e-3, sigma_max=200.0)
    one, other = (sample_by_scheduler(in_double(DDIM()), tl.Exact(LAW, s), x, 20) for s in (tl.DDPM(), wide))
    torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "settings", "order"),
    [
        ("DDIMScheduler", {"clip_sample": False}, 1),
        ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "prediction_type": "v_prediction"}, 1),
        ("DPMSolverMultistepScheduler", {}, 2),
        ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}, 2),
        ("HeunDiscreteScheduler", {}, 2),
        ("UniPCMultistepScheduler", {}, 2),
    ],
)
def test_schedulers_give_the_laws_moments(name: str, settings: dict[str, Any], order: int):
    def flow(x: Tensor, steps: int) -> Tensor:
        scheduler = getattr(diffusers, name)(**BETAS, **settings)
        return sample_by_scheduler(scheduler, tl.Exact(GAUSSIAN, tl.DDPM()), x, steps)

    check_flow(flow, order)


@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler"])
def test_schedulers_that_draw_give_the_laws_moments(name: str):
    scheduler = getattr(diffusers, name)(**BETAS, **({"clip_sample": False} if name == "DDPMScheduler" else {}))
    x = sample_by_scheduler(scheduler, tl.Exact(GAUSSIAN, tl.DDPM()), noise(N, 1), 100, randomness.stream(2, "test"))
    assert x.dtype == torch.float64
    check_draws(x)


def test_draws_come_from_the_generator():
    scheduler = diffusers.DDPMScheduler(**BETAS, clip_sample=False)
    exact, x = tl.Exact(LAW, tl.DDPM()), noise(5)
    one, same, other = (
        sample_by_scheduler(scheduler, exact, x, 10, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (
            lambda: diffusers.DDIMScheduler(**BETAS),
            "DDIMScheduler changes every predicted x_0: make it with clip_sample=False",
        ),
        (lambda: DDIM(thresholding=True), "thresholding=False"),
        (
            lambda: diffusers.FlowMatchEulerDiscreteScheduler(),
            "FlowMatchEulerDiscreteScheduler has no table of alphas_cumprod",
        ),
        (
            lambda: diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction"),
            "no table",
        ),
        (lambda: diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction"), "unknown prediction_type"),
        (
            lambda: diffusers.DDIMScheduler(clip_sample=False, beta_end=0.05),
            "only from 157.4 to 0.01: give both the same betas",
        ),
    ],
    ids=["clip", "threshold", "flow", "flow-sigmas", "prediction", "range"],
)
def test_what_would_not_be_the_denoisers_own_is_refused(scheduler: Callable[[], Any], message: str):
    with pytest.raises(tl.BadInput) as told:
        sample_by_scheduler(scheduler(), tl.Exact(LAW, tl.DDPM()), noise(3), 10)
    assert message in str(told.value)


def test_ours_and_diffusers_are_both_ancestral():
    """Its ancestral step and ours, row by row, with the same draws; the last 20 rows."""
    exact, start = tl.Exact(LAW, tl.DDPM()), noise(30)
    rows = torch.arange(20, 0, -1, dtype=torch.float64) / 1000
    alpha, sigma = exact.schedule(rows[0])
    x = alpha * LAW.sample(30, randomness.stream(3, "test")) + sigma * start
    *_, mine = ddpm(exact, x, rows, torch.Generator().manual_seed(5))
    scheduler = in_double(diffusers.DDPMScheduler(**BETAS, clip_sample=False))
    scheduler.set_timesteps(1000)
    state, draws = x, torch.Generator().manual_seed(5)
    for row in range(19, 0, -1):
        state = scheduler.step(exact.eps(state, (row + 1) / 1000), row, state, generator=draws).prev_sample
    torch.testing.assert_close(state, mine, rtol=1e-6, atol=1e-6)
