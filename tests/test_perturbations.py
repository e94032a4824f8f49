"""Radius schedules and directions."""

import pytest
import torch

from toylab.denoisers import Exact
from toylab.distributions import GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.perturbations import FGSM, PGD, Gaussian, Norm, Radius, Random, Scene
from toylab.schedules import DDPM

ALPHA, SIGMA = torch.tensor([[0.8]]), torch.tensor([[0.6]])


def test_radius_formula():
    expected = 2.0 * 0.6**1.5 + 0.1
    assert float(Radius(2.0, 1.5, 0.1, random=False)(ALPHA, SIGMA, None)) == pytest.approx(expected)
    assert float(Radius(2.0, 1.5, 0.1, 0.7, random=False)(ALPHA, SIGMA, None)) == pytest.approx(0.7)
    assert float(Radius(2.0, 0.0, 0.0, random=False)(ALPHA, SIGMA, None)) == pytest.approx(2.0)
    assert float(Radius(1.0, -1.0, 0.0, random=False)(ALPHA, SIGMA, None)) == pytest.approx(1 / 0.6)


def test_radius_follows_the_share_of_noise_where_the_variance_is_not_preserved():
    alpha, sigma = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    assert float(Radius(1.0, 2.0, 0.0, random=False)(alpha, sigma, None)) == pytest.approx(0.9)


def test_random_radius_is_uniform(generator: torch.Generator):
    sigma = torch.full((1, 100_000), 0.6)
    r = Radius(1.0, 0.0, 0.0)(torch.full_like(sigma, 0.8), sigma, generator)
    assert 0 <= float(r.min()) < 1e-3
    assert 1 - 1e-3 < float(r.max()) <= 1
    assert abs(float(r.mean()) - 0.5) < 4 * (1 / 12 / 100_000) ** 0.5


def test_radius_may_differ_per_member():
    r = Radius(torch.tensor([1.0, 2.0]), 0.0, 0.0, random=False)(torch.full((2, 3), 0.8), torch.full((2, 3), 0.6), None)
    assert torch.equal(r, torch.tensor([[1.0] * 3, [2.0] * 3]))


@pytest.mark.parametrize("bad", [{"r0": -1.0}, {"bias": float("nan")}, {"clip": -0.1}, {"rho": float("inf")}])
def test_bad_radii_are_refused(bad: dict[str, float]):
    with pytest.raises(BadInput, match="finite"):
        Radius(**bad)


def test_random_direction_has_the_stated_second_moment(generator: torch.Generator):
    x = torch.zeros(1, 200_000, 2, dtype=torch.float64)
    radius = torch.full((1, 200_000), 0.7, dtype=torch.float64)
    omega = Random()(Scene(None, x, x), radius, generator)[0]  # type: ignore[arg-type]
    assert (omega.abs() <= 0.7).all()
    terms = omega.square() - 0.49 / 3
    assert (terms.mean(0).abs() < 4 * terms.std(0) / 200_000**0.5).all()


def test_fgsm_on_axes_reaches_a_corner():
    """With a diagonal Jacobian the sign of the gradient is that of the start, so ω is a corner of the ball."""
    denoiser = Exact(GaussianMixture([[0.0, 0.0]], std=[[1.0, 0.2]]), DDPM())
    x = torch.randn(2, 50, 2, dtype=torch.float64)
    t, radius = torch.full((2, 50), 0.3, dtype=torch.float64), torch.full((2, 50), 0.5, dtype=torch.float64)
    start = Random()(Scene(denoiser.at(t), x, x), radius, torch.Generator().manual_seed(3))
    omega = FGSM()(Scene(denoiser.at(t), x, x), radius, torch.Generator().manual_seed(3))
    torch.testing.assert_close(omega, 0.5 * start.sign())
    assert not omega.requires_grad


def test_fgsm_is_one_signed_step_that_climbs_and_stays_in_the_ball():
    """A short step from the start drawn with the same stream."""
    denoiser, step = Exact(three_gaussians(), DDPM()), 0.02
    x = torch.randn(1, 200, 2, dtype=torch.float64)
    t, radius = torch.full((1, 200), 0.3, dtype=torch.float64), torch.full((1, 200), 0.5, dtype=torch.float64)
    eps, sigma = denoiser.eps(x, t), float(DDPM()(0.3)[1])
    start = Random()(Scene(denoiser.at(t), x, x), radius, torch.Generator().manual_seed(3))
    omega = FGSM(step)(Scene(denoiser.at(t), x, x, eps), radius, torch.Generator().manual_seed(3))

    def displacement(w: torch.Tensor) -> torch.Tensor:
        return (denoiser.eps(x + sigma * w, t) - eps).square().sum(-1)

    assert (omega.abs() <= 0.5).all()
    free = start.abs() < 0.5 - step * 0.5
    torch.testing.assert_close((omega - start).abs()[free], torch.full_like(start[free], step * 0.5))
    assert (displacement(omega) > displacement(start)).double().mean() > 0.95


def test_fgsm_leans_towards_low_variance_off_the_axes(generator: torch.Generator):
    """In a rotated basis one step moves ω towards the direction in which ε moves most, that of least variance."""
    c, s = 0.5**0.5, 0.5**0.5
    rotation = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    cov = rotation @ torch.diag(torch.tensor([1.0, 0.01], dtype=torch.float64)) @ rotation.T
    denoiser = Exact(GaussianMixture([[0.0, 0.0]], cov=cov), DDPM())
    x = torch.randn(1, 20_000, 2, dtype=torch.float64, generator=generator)
    t, radius = torch.full((1, 20_000), 0.2, dtype=torch.float64), torch.ones(1, 20_000, dtype=torch.float64)
    omega = FGSM()(Scene(denoiser.at(t), x, x), radius, generator)[0] @ rotation
    data, noise = omega.square().mean(0)
    assert noise > 1.5 * data


def test_a_radius_in_units_of_the_data_moves_x0_by_a_fixed_length():
    for alpha, sigma in ((0.8, 0.6), (0.1, 0.995), (1.0, 3.0)):
        a, s = torch.tensor([[alpha]]), torch.tensor([[sigma]])
        r = Radius(0.3, 2.0, 0.1, clip=100.0, random=False, unit="data")(a, s, None)
        assert float(r) * sigma / alpha == pytest.approx(0.4)


def test_l2_draws_fill_the_ball(generator: torch.Generator):
    """Radius r√d; the share within half of it is 2^-d; E|ω|²/d = r² d/(d + 2)."""
    n, d = 100_000, 3
    x, radius = torch.zeros(1, n, d, dtype=torch.float64), torch.full((1, n), 0.7, dtype=torch.float64)
    size = Random("l2")(Scene(None, x, x), radius, generator)[0].norm(dim=-1)  # type: ignore[arg-type]
    largest = 0.7 * d**0.5
    assert 0.99 * largest < float(size.max()) <= largest * (1 + 1e-12)
    share = (size < largest / 2).double()
    assert abs(share.mean() - 2**-d) < 4 * (2**-d / n) ** 0.5
    terms = size.square() / d - 0.49 * d / (d + 2)
    assert abs(terms.mean()) < 4 * terms.std() / n**0.5


def test_gaussian_draws_have_the_moment_of_the_uniform_ones(generator: torch.Generator):
    n = 100_000
    x, radius = torch.zeros(1, n, 2, dtype=torch.float64), torch.full((1, n), 0.7, dtype=torch.float64)
    omega = Gaussian()(Scene(None, x, x), radius, generator)[0]  # type: ignore[arg-type]
    terms = omega.square() - 0.49 / 3
    assert (terms.mean(0).abs() < 4 * terms.std(0) / n**0.5).all()
    assert omega.abs().max() > 0.7


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_steps_climb_higher_and_stay_in_the_ball(norm: Norm):
    denoiser, radius = Exact(three_gaussians(), DDPM()), torch.full((1, 400), 0.8, dtype=torch.float64)
    x = torch.randn(1, 400, 2, dtype=torch.float64)
    t = torch.full((1, 400), 0.3, dtype=torch.float64)
    scene, sigma = Scene(denoiser.at(t), x, x), float(DDPM()(0.3)[1])
    heights = []
    for steps in (1, 4, 16):
        omega = PGD(steps, 0.3, norm)(scene, radius, torch.Generator().manual_seed(3))
        size = omega.abs().amax(-1) if norm == "linf" else omega.norm(dim=-1) / 2**0.5
        assert (size <= 0.8 + 1e-9).all()
        heights.append(float((denoiser.eps(x + sigma * omega, t) - denoiser.eps(x, t)).square().sum(-1).mean()))
    assert heights[0] < heights[1] < heights[2] * 1.001


def test_an_l2_step_of_an_affine_model_is_its_gradient():
    """J = |C ω|² σ²: one step from ω_0 goes along CᵀC ω_0, and ends on the sphere when it is long."""
    law = GaussianMixture([[0.0, 0.0]], cov=[[1.0, 0.5], [0.5, 0.4]])
    denoiser = Exact(law, DDPM())
    x, t = torch.randn(1, 5, 2, dtype=torch.float64), torch.full((1, 5), 0.3, dtype=torch.float64)
    radius = torch.full((1, 5), 0.5, dtype=torch.float64)
    alpha, sigma = (float(v) for v in DDPM()(0.3))
    c = sigma * torch.linalg.inv(alpha**2 * law.cov + sigma**2 * torch.eye(2))
    start = Random("l2")(Scene(denoiser.at(t), x, x), radius, torch.Generator().manual_seed(3))
    omega = FGSM(0.1, "l2")(Scene(denoiser.at(t), x, x), radius, torch.Generator().manual_seed(3))
    gradient = start @ (c.T @ c)
    expected = start + 0.1 * 0.5 * 2**0.5 * gradient / gradient.norm(dim=-1, keepdim=True)
    inside = expected.norm(dim=-1) <= 0.5 * 2**0.5
    assert inside.any()
    torch.testing.assert_close(omega[inside], expected[inside])
    torch.testing.assert_close(omega[~inside].norm(dim=-1), torch.full_like(omega[~inside][:, 0], 0.5 * 2**0.5))


def test_many_draws_ascend_the_mean_over_noises():
    """With 200 draws the step's direction is that of the expected gradient, taken here from 20,000."""
    denoiser, t = Exact(three_gaussians(), DDPM()), torch.full((1, 4), 0.4, dtype=torch.float64)
    x0 = torch.tensor([[[0.0, 2.0], [1.7, -1.0], [0.0, 0.0], [3.0, 3.0]]], dtype=torch.float64)
    level, radius = denoiser.at(t), torch.full((1, 4), 0.8, dtype=torch.float64)
    g = torch.Generator().manual_seed(5)
    scene = Scene(level, x0, level.noised(x0, torch.randn(x0.shape, generator=g, dtype=x0.dtype)))
    start = Random()(scene, radius, torch.Generator().manual_seed(3))
    omega = FGSM(1e-3, draws=200)(scene, radius, torch.Generator().manual_seed(3))
    many = x0.expand(20_000, 4, 2)
    wide = denoiser.at(t.expand(20_000, 4))
    x_t = wide.noised(many, torch.randn(many.shape, generator=g, dtype=x0.dtype))
    free = start.expand_as(many).clone().requires_grad_()
    climbed = (wide.eps(wide.pushed(x_t, free)) - wide.eps(x_t)).square().sum()
    (gradient,) = torch.autograd.grad(climbed, free)
    clear = gradient.mean(0).abs() > 5 * gradient.std(0) / 200**0.5  # where 200 draws tell the sign
    assert clear.any()
    assert torch.equal((omega - start)[0].sign()[clear], gradient.mean(0).sign()[clear])
    assert FGSM(draws=200).evaluations == 200 + 199


@pytest.mark.parametrize(
    "build",
    [
        lambda: Random("l1"),
        lambda: FGSM(norm="l1"),
        lambda: PGD(steps=0),
        lambda: FGSM(draws=0),
        lambda: FGSM(step=-1.0),
        lambda: Radius(unit="pixels"),
    ],
)
def test_bad_directions_are_refused(build):
    with pytest.raises(BadInput):
        build()
