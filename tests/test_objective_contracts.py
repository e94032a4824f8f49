"""Every objective with every parametrisation on every schedule: finite, the same for the same predictions, and the
baseline bit for bit where λ = 0."""

import inspect
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from tests.test_objectives import batch_for
from toylab import randomness
from toylab.denoisers import Denoiser, Learned, Parametrization
from toylab.index import OBJECTIVES, SCHEDULES
from toylab.networks import MLP
from toylab.objectives import Denoising, Objective
from toylab.schedules import Schedule

PARAMETRIZATIONS: tuple[Parametrization, ...] = get_args(Parametrization)
STD = 0.7
ALL_SCHEDULES: list[Schedule] = [SCHEDULES.load(name)() for name in SCHEDULES]


def graded(objective: Objective, denoiser: Denoiser, parameters: list[Tensor], t: Tensor) -> list[Tensor]:
    """The loss (M,) and its gradients, at these times."""
    batch = batch_for(objective)
    batch = replace(batch, x0=batch.x0.to(t), t=t, eps=batch.eps.to(t))
    loss = objective(denoiser, batch, randomness.streams([0, 1], "perturbation"))
    return [loss, *torch.autograd.grad(loss.sum(), parameters)]


def mlp() -> MLP:
    return MLP(2, 8, 1, members=2, generators=randomness.streams([0, 1], "weights"))


@pytest.mark.parametrize("parametrization", PARAMETRIZATIONS)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_finite_and_the_baseline_without_penalty(name: str, parametrization: Parametrization):
    """From one end of each schedule to the other."""
    build = OBJECTIVES.load(name)
    for schedule in ALL_SCHEDULES:
        denoiser = Learned(mlp(), schedule, parametrization, STD)
        parameters = list(denoiser.parameters())
        t = torch.linspace(schedule.t_min, schedule.t_max, 64).expand(2, 64)
        found = graded(build(), denoiser, parameters, t)
        assert found[0].shape == (2,)
        assert all(value.isfinite().all() for value in found)
        if "lam" in inspect.signature(build).parameters:
            plain = graded(Denoising(), denoiser, parameters, t)
            assert all(map(torch.equal, graded(build(lam=0.0), denoiser, parameters, t), plain))
            assert not torch.equal(found[0], plain[0])


class Translated(nn.Module):
    """A network that predicts ε from x_t/√(α²+σ²), as one of another parametrisation at one noise level."""

    def __init__(self, network: MLP, parametrization: Parametrization, alpha: float, sigma: float):
        super().__init__()
        total, s = (alpha**2 + sigma**2) ** 0.5, (sigma**2 + (alpha * STD) ** 2) ** 0.5
        self.network, self.scale = network, s if parametrization == "edm" else total
        self.total, self.alpha, self.sigma, self.parametrization = total, alpha, sigma, parametrization

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        x_t = self.scale * x
        eps = self.network(x_t / self.total, level)
        x0 = (x_t - self.sigma * eps) / self.alpha
        skip, s = self.alpha * STD**2 / self.scale**2, self.scale
        return {
            "eps": eps,
            "x0": x0,
            "v": self.alpha * eps - self.sigma * x0,
            "flow": eps - x0,
            "edm": (x0 - skip * x_t) * s / (self.sigma * STD),
        }[self.parametrization]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_sees_predictions_never_a_network(name: str):
    """A network that says the same in other units has the same loss and the same gradients."""
    objective = OBJECTIVES.load(name)()
    for schedule in ALL_SCHEDULES:
        t = schedule.time(0.75)
        alpha, sigma = (float(level) for level in schedule(t))
        first: list[Tensor] = []
        for parametrization in PARAMETRIZATIONS:
            network = mlp().double()
            translated = Translated(network, parametrization, alpha, sigma)
            denoiser = Learned(translated, schedule, parametrization, STD).double()
            times = torch.full((2, 64), t, dtype=torch.float64)
            found = graded(objective, denoiser, list(network.parameters()), times)
            first = first or found
            torch.testing.assert_close(found, first, rtol=1e-6, atol=1e-9)
