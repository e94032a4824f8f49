"""Fields on a grid, for figures: the clean law's density, and score fields of every denoiser beside the exact
ones. Laws in one or two dimensions only; elsewhere there is nothing to draw them on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.distributions import Distribution
from toylab.schedules import Schedule

if TYPE_CHECKING:
    from toylab.experiments.study import Study

FINE, COARSE = 201, 21


@torch.no_grad()
def on_grid(
    denoisers: Mapping[str, Denoiser], clean: Distribution, schedule: Schedule, study: "Study"
) -> dict[str, np.ndarray]:
    """axis (n,) and log_density; x (m, d) and score/NAME (m, d), in units of 1/σ, of the first member at the
    noise level `evaluation.drawn_ratio`."""
    if clean.dim > 2:
        return {}
    half = _half_width(clean)
    axis = torch.linspace(-half, half, FINE, dtype=torch.float64)
    t = schedule.time(study.evaluation.drawn_ratio)
    alpha, sigma = (float(level) for level in schedule(t))
    x = _points(torch.linspace(-half, half, COARSE if clean.dim == 2 else FINE, dtype=torch.float64), clean.dim)
    stored = {"axis": axis, "log_density": clean.log_prob(_points(axis, clean.dim)), "x": x}
    stored["drawn_ratio"] = torch.tensor(sigma / alpha)
    for name, denoiser in denoisers.items():
        at = (alpha * x).to(_device(denoiser))
        stored[f"score/{name}"] = -_one_member(denoiser, at, t)
    return {name: tensor.cpu().numpy() for name, tensor in stored.items()}


def _one_member(denoiser: Denoiser, x: Tensor, t: float) -> Tensor:
    members = len(denoiser.data_std) if hasattr(denoiser, "data_std") else 1
    return denoiser.eps(x.expand(members, *x.shape), t)[0]


def _points(axis: Tensor, dim: int) -> Tensor:
    return torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)


def _half_width(law: Distribution) -> float:
    """Far enough to show the clean law with room around it."""
    return float((law.mean.abs() + 3 * law.cov.diagonal().sqrt()).max())


def _device(denoiser: Denoiser) -> torch.device:
    return denoiser.data_std.device if isinstance(denoiser, torch.nn.Module) else torch.device("cpu")
