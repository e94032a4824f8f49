"""The table of docs/objectives.md: how F must answer to a push, for equivariance and for invariance."""

import pytest
import torch
from torch import Tensor, nn

from toylab.denoisers import Learned, Parametrization
from toylab.index import SCHEDULES
from toylab.objectives import Batch, Regularised
from toylab.perturbations import Radius, Random

STD, T = 0.7, 0.4
FLAT = Radius(0.5, 0.0, 0.0, random=False)

EQUIVARIANT = {
    "eps": lambda a, s: 1.0,
    "x0": lambda a, s: 0.0,
    "v": lambda a, s: a,
    "flow": lambda a, s: 1.0,
    "edm": lambda a, s: -a * STD / (s**2 + (a * STD) ** 2) ** 0.5,
}
INVARIANT = {
    "eps": lambda a, s: 0.0,
    "x0": lambda a, s: s / a,
    "v": lambda a, s: -(s**2) / a,
    "flow": lambda a, s: -s / a,
    "edm": lambda a, s: s**2 / (a * STD * (s**2 + (a * STD) ** 2) ** 0.5),
}


class Answering(nn.Module):
    """F = slope · (x - x_t)/σ in the units of x_t: it moves by slope · ω where x_t moves by σω."""

    def __init__(self, slope: float, scale: float, sigma: float):
        super().__init__()
        self.slope, self.scale, self.sigma = slope, scale, sigma
        self.own = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.slope * x / (self.scale * self.sigma)


@pytest.mark.parametrize("schedule_name", SCHEDULES)
@pytest.mark.parametrize("parametrization", EQUIVARIANT)
@pytest.mark.parametrize("equivariant", [True, False])
def test_what_is_asked_of_the_network(parametrization: Parametrization, schedule_name: str, equivariant: bool):
    schedule = SCHEDULES.load(schedule_name)()
    alpha, sigma = (float(level) for level in schedule(T))
    scale = (sigma**2 + (alpha * STD) ** 2) ** -0.5 if parametrization == "edm" else (alpha**2 + sigma**2) ** -0.5
    slope = (EQUIVARIANT if equivariant else INVARIANT)[parametrization](alpha, sigma)
    g = torch.Generator().manual_seed(0)
    x0, eps = (torch.randn(1, 50, 3, dtype=torch.float64, generator=g) for _ in range(2))
    batch = Batch(x0, torch.full((1, 50), T, dtype=torch.float64), eps)
    penalties = []
    for answer in (slope, slope + 1.0):
        denoiser = Learned(Answering(answer, scale, sigma), schedule, parametrization, STD).double()
        losses = [
            Regularised(lam, FLAT, Random(), equivariant)(denoiser, batch, torch.Generator().manual_seed(1))
            for lam in (0.0, 1.0)
        ]
        penalties.append(float(losses[1] - losses[0]))
    assert penalties[0] == pytest.approx(0.0, abs=1e-9 * penalties[1])
    gain = float(torch.as_tensor(denoiser.at(batch.t).gain).flatten()[0])
    assert penalties[1] == pytest.approx(gain**2 * 0.5**2 / 3, rel=0.2)  # one more unit of slope: b²ω², 150 draws
