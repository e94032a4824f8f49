"""Prior art: each loss against its own formula, its limits, and the cases in which it must be plain denoising."""

import pytest
import torch

from tests.test_objectives import batch, network
from toylab.denoisers import Exact
from toylab.distributions.named import gaussian, three_gaussians
from toylab.errors import BadInput
from toylab.objectives import DRO, Batch, Denoising, PseudoHuber, Trimmed
from toylab.perturbations import FGSM, Radius
from toylab.schedules import DDPM
from toylab.weightings import Weighting

LAW = Exact(three_gaussians(), DDPM())
EPS = Weighting("eps")


def gaps(b: Batch) -> torch.Tensor:
    alpha, sigma = (level[..., None] for level in DDPM()(b.t))
    return LAW.eps(alpha * b.x0 + sigma * b.eps, b.t) - b.eps


def test_pseudo_huber_is_its_formula():
    b = batch()
    delta = (0.05**b.t)[..., None]
    expected = (2 * delta**2 * ((1 + (gaps(b) / delta) ** 2).sqrt() - 1)).mean((1, 2))
    torch.testing.assert_close(PseudoHuber(0.05)(LAW, b), expected)


def test_pseudo_huber_lies_between_the_square_and_the_absolute_value():
    b = batch()
    torch.testing.assert_close(PseudoHuber(1e4, "constant")(LAW, b), Denoising(EPS)(LAW, b))
    small = PseudoHuber(1e-4, "constant")(LAW, b) / 2e-4
    torch.testing.assert_close(small, gaps(b).abs().mean((1, 2)), rtol=1e-3, atol=0.0)


def test_trimming_nothing_is_denoising():
    b = batch()
    torch.testing.assert_close(Trimmed(0.0)(LAW, b), Denoising()(LAW, b))


@pytest.mark.parametrize("neighbours", [16, 64])
def test_trimming_leaves_out_the_worst_of_each_neighbourhood(neighbours: int):
    b = batch()
    loss = gaps(b).square().mean(-1)
    expected = []
    for member in range(2):
        order = b.t[member].argsort()
        groups = loss[member][order].split(neighbours)
        kept = [group.sort().values[: round(0.75 * neighbours)] for group in groups]
        expected.append(torch.cat(kept).mean())
    torch.testing.assert_close(Trimmed(0.25, neighbours)(LAW, b), torch.stack(expected))


def test_trimming_keeps_gross_outliers_out_of_the_gradient():
    denoiser, b = network(), batch()
    far = b.x0.clone()
    far[:, ::16] += 1e3
    losses = [Trimmed(0.1, 32)(denoiser, Batch(x0, b.t, b.eps)) for x0 in (b.x0, far)]
    assert (losses[1] < 2 * losses[0]).all()


def test_dro_without_a_radius_is_denoising():
    b, objective = batch(), DRO(Radius(0.0, 0.0, 0.0, random=False))
    torch.testing.assert_close(objective(LAW, b, torch.Generator()), Denoising()(LAW, b))


def test_dro_asks_a_point_mass_for_nothing():
    """ε(x) = x/σ predicts ε + ω wherever it is pushed."""
    b = batch()
    b = Batch(torch.zeros_like(b.x0), b.t, b.eps)
    loss = DRO()(Exact(gaussian(2, std=0.0), DDPM()), b, torch.Generator())
    torch.testing.assert_close(loss, torch.zeros(2), atol=1e-8, rtol=0.0)


def test_dro_looks_for_a_worse_state():
    """Its loss is above that at random states of the same ball."""
    b = batch()
    flat = Radius(0.5, 0.0, 0.0, random=False)
    worst, random = (DRO(flat, FGSM(step))(LAW, b, torch.Generator().manual_seed(3)) for step in (1.0, 0.0))
    assert (worst > random).all()


@pytest.mark.parametrize(
    "build",
    [
        lambda: PseudoHuber(0.0),
        lambda: PseudoHuber(decay="linear"),  # type: ignore[arg-type]
        lambda: Trimmed(1.0),
        lambda: Trimmed(-0.1),
        lambda: Trimmed(neighbours=1),
    ],
)
def test_bad_settings(build):
    with pytest.raises(BadInput):
        build()
