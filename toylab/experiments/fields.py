"""What figures are drawn from besides samples: fields on a grid, and the paths that samples take.

A law in one or two dimensions is drawn whole. One that lies on a known subspace of more is drawn on a cut through its
mean, spanned by a tangent and a normal direction of the subspace: what is added to the data and how it is removed show
along the normal. Elsewhere there is nothing to draw on.
"""

import contextlib
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from toylab.denoisers import Denoiser
from toylab.distributions import Distribution, Embedded, SingularLaw
from toylab.experiments.laboratory import Laboratory
from toylab.samplers import cost, grid, steps, walk_to_data

FINE, COARSE = 201, 21
"""Points an axis: of densities and curves, and of arrows."""
PATHS, STATES = 30, 101
"""How many paths are stored, and at most so many states of each."""
LEVELS, SPARSE = 21, 15
"""At most so many noise levels of fields along the paths, and points an axis of each."""

_PRIOR = 3.0
"""Half-width of what holds nearly all of the prior, on the scale of paths."""


class Cut(NamedTuple):
    """The plane of a figure: origin (d,), axes (k, d) orthonormal rows; k = d in one and two dimensions, else 2."""

    origin: Tensor
    axes: Tensor

    @classmethod
    def of(cls, law: Distribution) -> Self | None:
        """That of a law; None where there is none. The tangent is the first direction of the basis, the normal the part
        outside the subspace of that coordinate axis which has the longest."""
        if law.dim <= 2:
            return cls(torch.zeros(law.dim, dtype=torch.float64), torch.eye(law.dim, dtype=torch.float64))
        if not isinstance(law, Embedded) or law.basis is None or law.dim == law.law.dim:
            return None
        outside = torch.eye(law.dim, dtype=torch.float64) - law.basis @ law.basis.mT
        lengths = outside.norm(dim=1)
        longest = int((lengths > lengths.max() * (1 - 1e-9)).nonzero()[0])  # the first of those that tie
        return cls(law.mean, torch.stack([law.basis[:, 0], outside[longest] / lengths[longest]]))

    def to(self, device: torch.device) -> "Cut":
        """The same on a device."""
        return Cut(self.origin.to(device), self.axes.to(device))

    def place(self, u: Tensor) -> Tensor:
        """x (..., d) at coordinates u (..., k)."""
        return self.origin + u @ self.axes

    def coordinates(self, x: Tensor) -> Tensor:
        """Those (..., k) of the projection of x (..., d)."""
        return (x - self.origin) @ self.axes.mT


@torch.no_grad()
def on_grid(denoisers: Mapping[str, Denoiser], lab: Laboratory) -> dict[str, np.ndarray]:
    """Density and scores of the first seed at σ/α = `drawn_ratio`; empty where the law has no cut.

    axis (n,) with log_density (n^d,); x (m, k) with score/NAME (m, k), the score at αx in units of 1/σ. On a cut of
    more than two dimensions x are coordinates in it, score/NAME those of the score, origin (d,) and axes (2, d) say
    which, and instead of log_density, log_density_within (n,) is that within the subspace along the first of them.
    """
    law, cut = lab.clean, Cut.of(lab.clean)
    if cut is None:
        return {}
    cut = cut.to(lab.exact_device)
    half = _half_width(law, cut)
    axis = torch.linspace(-half, half, FINE, dtype=torch.float64, device=lab.exact_device)
    x = _grid(axis if law.dim == 1 else axis[:: (FINE - 1) // (COARSE - 1)], len(cut.axes))
    t = lab.schedule.time(lab.study.evaluation.drawn_ratio)
    alpha, sigma = (float(level) for level in lab.schedule(t))
    at = (alpha * cut.place(x)).expand(len(lab.seeds), len(x), law.dim)
    stored = {
        "axis": axis,
        "x": x,
        "drawn_ratio": torch.tensor(sigma / alpha),
    }
    if law.dim > 2:
        stored |= cut._asdict()
    with contextlib.suppress(SingularLaw):  # a law without a density has samples and noised scores all the same
        if isinstance(law, Embedded) and law.dim > 2:
            along = cut.place(torch.stack([axis, torch.zeros_like(axis)], -1))
            within = (along - law.offset.to(along)) @ law.basis.to(along)  # type: ignore[union-attr]
            stored["log_density_within"] = law.law.log_prob(within, law.scale)
        else:
            stored["log_density"] = law.log_prob(_grid(axis, law.dim))
    stored |= {f"score/{name}": -denoiser.eps(at, t)[0] @ cut.axes.mT for name, denoiser in denoisers.items()}
    return {name: tensor.cpu().numpy() for name, tensor in stored.items()}


@torch.no_grad()
def paths(denoisers: Mapping[str, Denoiser], lab: Laboratory) -> dict[str, np.ndarray]:
    """The states that samples of the first seed go through, from the same noise for all; empty where the law has no
    cut, and where the sampler chooses its own steps and so has no states to tell.

    t (k,) from t_max down, 0 for the last state, E[x_0]; NAME (n, k, 1 or 2), coordinates in the cut of x_t/√(α² + σ²),
    which goes from the prior to data on the same scale with every schedule.
    """
    study, cut = lab.study, Cut.of(lab.clean)
    walk, spacing = study.sampler.bind(), study.spacing.bind()
    if cut is None or cost(walk) is None:
        return {}
    cut = cut.to(lab.exact_device)
    times = grid(lab.schedule, steps(walk, study.nfe) + 1, spacing)
    scales = [torch.hypot(*lab.schedule(t)) for t in times] + [1.0]
    kept = torch.linspace(0, len(times), min(len(times) + 1, STATES)).round().long().tolist()
    stored = {"t": torch.cat([times, times.new_zeros(1)])[kept].numpy()}
    for name, denoiser in denoisers.items():
        x, noise = lab.start(PATHS, "trajectories")
        states = [x, *walk_to_data(walk, denoiser, x, study.nfe, noise, spacing)]
        path = torch.stack([cut.coordinates((states[k][0] / scales[k]).double()) for k in kept], 1)
        stored[name] = path.float().cpu().numpy()
    return stored


@torch.no_grad()
def along_paths(denoisers: Mapping[str, Denoiser], lab: Laboratory) -> dict[str, np.ndarray]:
    """Scores of the first seed at noise levels that paths go through, on their scale; empty where there are no paths.

    along/t (l,) from t_max down; along/u (m, k) coordinates in the cut of x_t/√(α² + σ²); along/score/NAME (l, m, k),
    the score there in units of 1/σ.
    """
    study, cut = lab.study, Cut.of(lab.clean)
    walk = study.sampler.bind()
    if cut is None or cost(walk) is None:
        return {}
    cut = cut.to(lab.exact_device)
    times = grid(lab.schedule, steps(walk, study.nfe) + 1, study.spacing.bind())
    times = times[torch.linspace(0, len(times) - 1, min(len(times), LEVELS)).round().long()]
    half = max(_half_width(lab.clean, cut), _PRIOR)
    u = _grid(torch.linspace(-half, half, SPARSE, dtype=torch.float64, device=lab.exact_device), len(cut.axes))
    stored = {"along/t": times, "along/u": u}
    for name, denoiser in denoisers.items():
        levels = []
        for t in times.tolist():
            x = float(torch.hypot(*(torch.as_tensor(level) for level in lab.schedule(t)))) * cut.place(u)
            eps = denoiser.eps(x.expand(len(lab.seeds), *x.shape), t)[0]
            levels.append(-eps @ cut.axes.mT.to(eps))
        stored[f"along/score/{name}"] = torch.stack(levels).float()
    return {name: tensor.cpu().numpy() for name, tensor in stored.items()}


def _grid(axis: Tensor, dim: int) -> Tensor:
    return torch.cartesian_prod(*[axis] * dim).reshape(-1, dim)


def _half_width(law: Distribution, cut: Cut) -> float:
    """Far enough to show the clean law with room around it."""
    centre = cut.coordinates(law.mean.to(cut.origin))
    variances = (cut.axes @ law.cov.to(cut.axes) @ cut.axes.mT).diagonal()
    return float((centre.abs() + 3 * variances.clamp(min=0).sqrt()).max())
