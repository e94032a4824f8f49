"""Weightings: each is the loss it is named after, and none moves an optimum."""

from typing import get_args

import pytest
import torch

from toylab.denoisers import Learned, Parametrization
from toylab.errors import BadInput
from toylab.networks import MLP
from toylab.objectives import Batch, Denoising, robust_ran
from toylab.schedules import DDPM
from toylab.weightings import Kind, Weighting

STD = 0.7


def learned(parametrization: str) -> Learned:
    network = MLP(2, 16, 2, generators=[torch.Generator().manual_seed(0)]).double()
    return Learned(network, DDPM(), parametrization, STD)  # type: ignore[arg-type]


def one_level(t: float) -> Batch:
    g = torch.Generator().manual_seed(1)
    x0, eps = (torch.randn(1, 50, 2, generator=g, dtype=torch.float64) for _ in range(2))
    return Batch(x0, torch.full((1, 50), t, dtype=torch.float64), eps)


@pytest.mark.parametrize("parametrization", get_args(Parametrization))
@pytest.mark.parametrize("t", [0.002, 0.3, 0.9])
def test_losses_in_x0(parametrization: str, t: float):
    denoiser, batch = learned(parametrization), one_level(t)
    alpha, sigma = DDPM()(t)
    x_t, snr = alpha * batch.x0 + sigma * batch.eps, float((alpha / sigma) ** 2)
    of_x0 = (denoiser.x0(x_t, batch.t) - batch.x0).square().mean()
    of_eps = (denoiser.eps(x_t, batch.t) - batch.eps).square().mean()
    karras = (sigma / alpha) ** 2 + denoiser.data_std.double() ** 2  # λ(σ) of their table 1
    karras = karras / (sigma / alpha * denoiser.data_std.double()) ** 2
    velocity = (denoiser.eps(x_t, batch.t) - denoiser.x0(x_t, batch.t) - (batch.eps - batch.x0)).square().mean()
    expected = {
        "eps": of_eps,
        "flow": velocity,
        "x0": of_x0,
        "snr-clipped": min(snr, 5.0) * of_x0,
        "edm": karras[0] * of_x0,
    }
    for kind, loss in expected.items():
        assert Denoising(Weighting(kind, 5.0))(denoiser, batch).item() == pytest.approx(loss.item(), rel=1e-6), kind


@pytest.mark.parametrize("t", [0.002, 0.03, 0.9])
def test_the_default_holds_back_x0_alone(t: float):
    batch = one_level(t)
    losses = {p: {k: Denoising(Weighting(k))(learned(p), batch).item() for k in get_args(Kind)} for p in ("eps", "x0")}
    assert losses["eps"]["bounded"] == losses["eps"]["eps"]
    bounded, eps, clipped = (losses["x0"][kind] for kind in ("bounded", "eps", "snr-clipped"))
    assert bounded == pytest.approx(clipped, rel=1e-12)
    assert bounded <= eps
    for parametrization in ("v", "flow", "edm"):
        level = learned(parametrization).at(batch.t)
        assert bool((torch.as_tensor(Weighting()(level)) == 1).all())


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_penalty_is_weighted_with_the_loss(kind: Kind):
    denoiser, batch = learned("x0"), one_level(0.005)
    plain, weighted = (
        robust_ran(0.5, weighting=w)(denoiser, batch, torch.Generator().manual_seed(3)).item()
        for w in (Weighting("eps"), Weighting(kind))
    )
    w = torch.as_tensor(Weighting(kind)(denoiser.at(batch.t)), dtype=torch.float64).mean()
    assert weighted == pytest.approx(plain * float(w), rel=1e-12)


def test_bad_weightings():
    with pytest.raises(BadInput, match="one of bounded, eps"):
        Weighting("snr")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="positive"):
        Weighting("bounded", 0.0)
