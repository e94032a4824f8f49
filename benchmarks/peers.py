"""Other libraries, each trained as its own README or examples do: generators that yield what is learned so far.

What they yield is an `Eps`: (x_0 + r ε, r) -> the predicted ε, the same variables whatever a library's own.

Two packages that smalldiffusion imports are replaced by stand-ins: torchvision, of which it uses image transforms
only, and accelerate, whose Accelerator on a CPU passes everything through.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import torch
from torch import Tensor, nn

BATCH, WIDTH = 512, 128

Eps = Callable[[Tensor, float], Tensor]


def smalldiffusion(points: Tensor) -> Iterator[Eps]:
    """Its README's ten lines: training_loop, TimeInputMLP, ScheduleLogLinear(200, 0.005, 10), AdamW at 1e-3."""
    transforms = ModuleType("torchvision.transforms")
    for name in ("Compose", "RandomHorizontalFlip", "ToTensor", "Lambda"):
        setattr(transforms, name, lambda *_: None)
    vision, accelerate = ModuleType("torchvision"), ModuleType("accelerate")
    vision.transforms, accelerate.Accelerator = transforms, PassThrough  # type: ignore[attr-defined]
    sys.modules |= {"torchvision": vision, "torchvision.transforms": transforms, "accelerate": accelerate}
    from smalldiffusion import ScheduleLogLinear, TimeInputMLP, training_loop
    from torch.utils.data import DataLoader

    model = TimeInputMLP(dim=2, hidden_dims=(WIDTH,) * 3)
    loader = DataLoader(list(points), batch_size=BATCH, shuffle=True)
    schedule = ScheduleLogLinear(N=200, sigma_min=0.005, sigma_max=10)
    with open(os.devnull, "w") as sys.stderr:  # its progress bar
        for _ in training_loop(loader, model, schedule, PassThrough(), epochs=10**9):
            yield lambda x, r: model(x, torch.tensor(r))


class PassThrough:
    """What accelerate's Accelerator does on a CPU."""

    def prepare(self, *things: object) -> tuple[object, ...]:
        return things

    def backward(self, loss: Tensor) -> None:
        loss.backward()


class TimedMLP(nn.Module):
    """A backbone for azula, which leaves it to the user: SiLU layers that see the time it passes, log σ/α."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [3, WIDTH, WIDTH, WIDTH]
        hidden = [m for i, o in itertools.pairwise(sizes) for m in (nn.Linear(i, o), nn.SiLU())]
        self.net = nn.Sequential(*hidden, nn.Linear(WIDTH, 2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.net(torch.cat([x, t[..., None].expand(*x.shape[:-1], 1)], -1))


def azula(points: Tensor) -> Iterator[Eps]:
    """Its README's loop: KarrasDenoiser on VPSchedule, t uniform, Adam at 1e-3."""
    from azula.denoise import KarrasDenoiser
    from azula.noise import VPSchedule

    schedule = VPSchedule()
    denoiser = KarrasDenoiser(backbone=TimedMLP(), schedule=schedule)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=1e-3)

    def eps(x: Tensor, ratio: float) -> Tensor:
        low, high = 0.0, 1.0
        for _ in range(60):  # σ/α grows with t
            middle = (low + high) / 2
            alpha, sigma = schedule(torch.tensor(middle, dtype=torch.float64))
            low, high = (middle, high) if sigma / alpha < ratio else (low, middle)
        t = torch.tensor(low)
        alpha, sigma = schedule(t)
        x_t = alpha * x
        return (x_t - alpha * denoiser(x_t, t).mean) / sigma

    while True:
        x = points[torch.randint(len(points), (BATCH,))]
        loss = denoiser.loss(x, torch.rand((BATCH,)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        yield eps


def torchcfm(points: Tensor) -> Iterator[Eps]:
    """Its two-dimensional examples' loop: ConditionalFlowMatcher, its MLP with the time as input, Adam's defaults."""
    from torchcfm import ConditionalFlowMatcher
    from torchcfm.models.models import MLP as VelocityMLP

    matcher, model = ConditionalFlowMatcher(sigma=0.0), VelocityMLP(dim=2, w=WIDTH, time_varying=True)
    optimizer = torch.optim.Adam(model.parameters())

    def eps(x: Tensor, ratio: float) -> Tensor:
        t = 1 / (1 + ratio)  # x_t = t x_0 + (1 - t) ε, and the velocity is x_0 - ε
        x_t = t * x
        return x_t - t * model(torch.cat([x_t, torch.full_like(x_t[:, :1], t)], -1))

    while True:
        optimizer.zero_grad()
        x1 = points[torch.randint(len(points), (BATCH,))]
        t, x_t, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        loss = (model(torch.cat([x_t, t[:, None]], -1)) - velocity).square().mean()
        loss.backward()
        optimizer.step()
        yield eps


PEERS = {"smalldiffusion": smalldiffusion, "azula": azula, "torchcfm": torchcfm}
