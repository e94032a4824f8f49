"""Fields on a grid, for figures: the clean law's density, and the score of every denoiser beside the exact ones.

Laws in one or two dimensions only; elsewhere there is no grid to draw them on.
"""

import contextlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.distributions import Distribution, SingularLaw
from toylab.experiments.laboratory import Laboratory

FINE, COARSE = 201, 21
"""Points an axis: of densities and curves, and of arrows."""


@torch.no_grad()
def on_grid(denoisers: Mapping[str, Denoiser], lab: Laboratory) -> dict[str, np.ndarray]:
    """Density and scores of the first seed at σ/α = `drawn_ratio`; empty beyond two dimensions.

    axis (n,) with log_density (n^d,); x (m, d) with score/NAME (m, d), the score at αx in units of 1/σ.
    """
    law = lab.clean
    if law.dim > 2:
        return {}
    half = _half_width(law)
    axis = torch.linspace(-half, half, FINE, dtype=torch.float64, device=lab.exact_device)
    x = _grid(axis if law.dim == 1 else axis[:: (FINE - 1) // (COARSE - 1)], law.dim)
    t = lab.schedule.time(lab.study.evaluation.drawn_ratio)
    alpha, sigma = (float(level) for level in lab.schedule(t))
    at = (alpha * x).expand(len(lab.seeds), *x.shape)
    stored = {
        "axis": axis,
        "x": x,
        "drawn_ratio": torch.tensor(sigma / alpha),
    }
    with contextlib.suppress(SingularLaw):  # a law without a density has samples and noised scores all the same
        stored["log_density"] = law.log_prob(_grid(axis, law.dim))
    stored |= {f"score/{name}": -denoiser.eps(at, t)[0] for name, denoiser in denoisers.items()}
    return {name: tensor.cpu().numpy() for name, tensor in stored.items()}


def _grid(axis: Tensor, dim: int) -> Tensor:
    return torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)


def _half_width(law: Distribution) -> float:
    """Far enough to show the clean law with room around it."""
    return float((law.mean.abs() + 3 * law.cov.diagonal().sqrt()).max())
