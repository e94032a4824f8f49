"""The tables of docs/objectives.md: how F must answer to a push, for equivariance and for invariance; what the other
losses are in units of F; and that no objective is missing."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from toylab.denoisers import Learned, Parametrization
from toylab.index import OBJECTIVES, SCHEDULES
from toylab.objectives import DRO, Batch, Denoising, PseudoHuber, Regularised, Trimmed
from toylab.perturbations import FGSM, Radius, Random

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


GAIN = {  # b of eps = a x_t + b F, without its sign: L_DM is b² ‖ΔF‖²
    "eps": lambda a, s: 1.0,
    "x0": lambda a, s: a / s,
    "v": lambda a, s: a / (a**2 + s**2),
    "flow": lambda a, s: a / (a + s),
    "edm": lambda a, s: a * STD / (s**2 + (a * STD) ** 2) ** 0.5,
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


class Erring(nn.Module):
    """F that is off by ΔF, which depends on x alone, from the one that predicts ε = 0."""

    def __init__(self, zero: float, change: Tensor):
        super().__init__()
        self.zero, self.change = zero, nn.Parameter(change)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.zero * x + self.change * x.sin()


def huber(error: Tensor) -> Tensor:
    delta = 0.1**T
    return (2 * delta**2 * ((1 + (error / delta) ** 2).sqrt() - 1)).mean((-2, -1))


def trimmed(error: Tensor) -> Tensor:
    return error.square().mean(-1).sort().values[:, :36].mean(-1)


ROWS = {
    "ddpm": (Denoising(), lambda error: error.square().mean((-2, -1))),
    "pseudo-huber": (PseudoHuber(), huber),
    "trimmed": (Trimmed(0.1, 40), trimmed),
    "dro": (DRO(FLAT, FGSM(step=0.0)), lambda error: error.square().mean((-2, -1))),
}


@pytest.mark.parametrize("schedule_name", SCHEDULES)
@pytest.mark.parametrize("parametrization", GAIN)
@pytest.mark.parametrize("name", ROWS)
def test_what_a_loss_is_in_units_of_the_network(name: str, parametrization: Parametrization, schedule_name: str):
    """The loss of F is the row's function of b ΔF, ΔF what F is off from the F that would be right; for dro at the
    pushed state, from what would be right there."""
    objective, row = ROWS[name]
    schedule = SCHEDULES.load(schedule_name)()
    alpha, sigma = (float(level) for level in schedule(T))
    g = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(1, 40, 3, dtype=torch.float64, generator=g) for _ in range(2))
    omega = torch.zeros_like(x0)
    if name == "dro":
        omega = 0.5 * (2 * torch.rand(x0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1)
    x_t, eps = alpha * x0 + sigma * (noise + omega), noise + omega
    s = (sigma**2 + (alpha * STD) ** 2) ** 0.5
    right = {
        "eps": eps,
        "x0": x0,
        "v": alpha * eps - sigma * x0,
        "flow": eps - x0,
        "edm": (x0 - alpha * STD**2 / s**2 * x_t) * s / (sigma * STD),
    }[parametrization]
    scale = 1 / s if parametrization == "edm" else (alpha**2 + sigma**2) ** -0.5
    network = Erring(0.3, torch.tensor([0.2, -1.0, 0.5], dtype=torch.float64))
    off = network(scale * x_t, x_t) - right
    denoiser = Learned(network, schedule, parametrization, STD).double()
    batch = Batch(x0, torch.full((1, 40), T, dtype=torch.float64), noise)
    loss = objective(denoiser, batch, torch.Generator().manual_seed(1))
    torch.testing.assert_close(loss, row(GAIN[parametrization](alpha, sigma) * off), rtol=1e-5, atol=0)


def test_the_tables_name_every_objective():
    page = Path(__file__).parent.parent.joinpath("docs", "objectives.md").read_text()
    named = {
        name for line in page.splitlines() if line.startswith("| ") for name in line.split("|")[1].strip().split(", ")
    }
    assert set(OBJECTIVES) <= named
