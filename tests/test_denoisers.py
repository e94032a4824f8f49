"""Denoisers: the identities that tie their predictions, in every parametrisation."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from toylab.denoisers import Denoiser, Exact, Learned, Parametrization
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import SCHEDULES
from toylab.networks import MLP

X = torch.randn(2, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
T = torch.tensor([[0.01], [0.9]], dtype=torch.float64)


def learned(parametrization: Parametrization, schedule_name: str = "ddpm") -> Learned:
    network = MLP(2, 16, 2, members=2, generators=[torch.Generator().manual_seed(k) for k in range(2)])
    schedule = SCHEDULES.load(schedule_name)()
    return Learned(network, schedule, parametrization, torch.tensor([1.5, 0.5])).double()


@pytest.mark.parametrize("schedule_name", SCHEDULES)
@pytest.mark.parametrize("parametrization", [*get_args(Parametrization), "exact"])
def test_predictions_are_tied(parametrization: str, schedule_name: str):
    schedule = SCHEDULES.load(schedule_name)()
    denoiser: Denoiser = (
        Exact(three_gaussians(), schedule) if parametrization == "exact" else learned(parametrization, schedule_name)
    )
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * T
    alpha, sigma = (level[..., None] for level in schedule(t))
    x0, eps = denoiser.predict(X, t)
    assert x0.shape == eps.shape == X.shape
    torch.testing.assert_close(alpha * x0 + sigma * eps, X)
    torch.testing.assert_close(denoiser.x0(X, t), x0)
    torch.testing.assert_close(denoiser.eps(X, t), eps, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(denoiser.score(X, t), -eps / sigma, rtol=1e-6, atol=1e-6)


class Told(nn.Module):
    """A network that returns what a parametrisation asks for, from the true x_0 and ε."""

    def __init__(self, output: Tensor):
        super().__init__()
        self.output = output

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.output


@pytest.mark.parametrize("parametrization", get_args(Parametrization))
def test_each_parametrisation_recovers_x0_and_eps_from_its_own_target(parametrization: Parametrization):
    """Targets as published: ε; x_0; α ε - σ x_0; EDM's (D - c_skip x̃)/c_out with x̃ = x_t/α, σ̃ = σ/α."""
    schedule, std = SCHEDULES.load("vp-linear")(), 1.7
    x0, eps = X, torch.randn_like(X)
    alpha, sigma = (level[..., None] for level in schedule(T))
    x_t = alpha * x0 + sigma * eps
    noise = sigma / alpha
    c_skip, c_out = std**2 / (noise**2 + std**2), noise * std / (noise**2 + std**2).sqrt()
    target = {
        "eps": eps,
        "x0": x0,
        "v": alpha * eps - sigma * x0,
        "flow": eps - x0,
        "edm": (x0 - c_skip * x_t / alpha) / c_out,
    }[parametrization]
    denoiser = Learned(Told(target), schedule, parametrization, std).double()
    denoiser.data_std = torch.tensor([std], dtype=torch.float64)
    torch.testing.assert_close(denoiser.x0(x_t, T), x0)
    torch.testing.assert_close(denoiser.eps(x_t, T), eps)


def test_exact_eps_is_the_regression_of_the_noise(generator: torch.Generator):
    """E⟨ε - ε*(x_t), g(x_t)⟩ = 0 for a test function g: ε* is the conditional mean of ε."""
    law, schedule, t, n = three_gaussians(), SCHEDULES.load("ddpm")(), 0.3, 200_000
    alpha, sigma = schedule(t)
    eps = torch.randn(n, 2, dtype=torch.float64, generator=generator)
    x_t = alpha * law.sample(n, generator) + sigma * eps
    gap = eps - Exact(law, schedule).eps(x_t, t)
    for g in (x_t, x_t.sin(), x_t.square()):
        terms = (gap * g).sum(-1)
        assert abs(terms.mean() / (terms.std() / n**0.5)) < 4.5


@pytest.mark.parametrize("parametrization", get_args(Parametrization))
def test_one_member_takes_points_with_any_leading_axes(parametrization: Parametrization):
    network = MLP(2, 16, 2, generators=[torch.Generator().manual_seed(0)])
    denoiser = Learned(network, SCHEDULES.load("ddpm")(), parametrization, 1.5)
    x, t = torch.randn(2, 3, 4, 2), torch.rand(3, 1)
    rows = denoiser.predict(x.reshape(1, -1, 2), t.expand(2, 3, 4).reshape(1, -1))
    for prediction, row in zip(denoiser.predict(x, t), rows, strict=True):
        torch.testing.assert_close(prediction, row.reshape(x.shape))
    torch.testing.assert_close(denoiser.eps(x[0, 0, 0], 0.3), denoiser.eps(x[:1, 0, :1], 0.3)[0, 0])


def test_dtype_of_predictions_is_that_of_the_points():
    denoiser = learned("eps").float()
    for dtype in (torch.float32, torch.float64):
        x0, eps = denoiser.predict(X.to(dtype), 0.5)
        assert x0.dtype == eps.dtype == dtype


def test_unknown_parametrisation_is_refused():
    with pytest.raises(BadInput, match="eps, x0, v, flow, edm"):
        Learned(nn.Identity(), SCHEDULES.load("ddpm")(), "score")  # type: ignore[arg-type]
