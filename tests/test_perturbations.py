"""Radius schedules and directions."""

import pytest
import torch

from toylab.denoisers import Exact
from toylab.distributions import GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.perturbations import FGSM, Radius, Random
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
    omega = Random()(None, x, x, radius, generator)[0]  # type: ignore[arg-type]
    assert (omega.abs() <= 0.7).all()
    terms = omega.square() - 0.49 / 3
    assert (terms.mean(0).abs() < 4 * terms.std(0) / 200_000**0.5).all()


def test_fgsm_on_axes_reaches_a_corner():
    """With a diagonal Jacobian the sign of the gradient is that of the start, so ω is a corner of the ball."""
    denoiser = Exact(GaussianMixture([[0.0, 0.0]], std=[[1.0, 0.2]]), DDPM())
    x = torch.randn(2, 50, 2, dtype=torch.float64)
    t, radius = torch.full((2, 50), 0.3, dtype=torch.float64), torch.full((2, 50), 0.5, dtype=torch.float64)
    start = Random()(denoiser.at(t), x, x, radius, torch.Generator().manual_seed(3))
    omega = FGSM()(denoiser.at(t), x, denoiser.eps(x, t), radius, torch.Generator().manual_seed(3))
    torch.testing.assert_close(omega, 0.5 * start.sign())
    assert not omega.requires_grad


def test_fgsm_is_one_signed_step_that_climbs_and_stays_in_the_ball():
    """A short step from the start drawn with the same stream."""
    denoiser, step = Exact(three_gaussians(), DDPM()), 0.02
    x = torch.randn(1, 200, 2, dtype=torch.float64)
    t, radius = torch.full((1, 200), 0.3, dtype=torch.float64), torch.full((1, 200), 0.5, dtype=torch.float64)
    eps, sigma = denoiser.eps(x, t), float(DDPM()(0.3)[1])
    start = Random()(denoiser.at(t), x, eps, radius, torch.Generator().manual_seed(3))
    omega = FGSM(step)(denoiser.at(t), x, eps, radius, torch.Generator().manual_seed(3))

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
    omega = FGSM()(denoiser.at(t), x, denoiser.eps(x, t), radius, generator)[0] @ rotation
    data, noise = omega.square().mean(0)
    assert noise > 1.5 * data
