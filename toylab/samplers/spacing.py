"""Where the steps of a sampler lie: n times from t_max down to t_min, both among them."""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from toylab.errors import BadInput
from toylab.schedules import Schedule

Spacing = Callable[[Schedule, int], Tensor]
"""(schedule, n) -> n decreasing times (n,) float64."""


def evenly_in_t(schedule: Schedule, n: int) -> Tensor:
    """Evenly spaced in t: what the schedule itself thinks even."""
    return torch.linspace(schedule.t_max, schedule.t_min, n, dtype=torch.float64)


def evenly_in_log_snr(schedule: Schedule, n: int) -> Tensor:
    """Evenly spaced in log α²/σ²: the same whatever the schedule between the same ends."""
    first, last = _ends(schedule).log().tolist()
    return _times(schedule, torch.linspace(first, last, n, dtype=torch.float64).exp())


def edm(schedule: Schedule, n: int, rho: Annotated[float, Field(ge=1, le=100)] = 7.0) -> Tensor:
    """Evenly spaced in (σ/α)^(1/ρ) (Karras et al., arXiv:2206.00364, eq. 5): denser at low noise the larger ρ is."""
    if not 1 <= rho <= 100:
        raise BadInput(f"rho must be between 1 and 100, not {rho}")
    first, last = (_ends(schedule) ** (1 / rho)).tolist()
    return _times(schedule, torch.linspace(first, last, n, dtype=torch.float64) ** rho)


def grid(schedule: Schedule, nfe: int, spacing: Spacing = evenly_in_t) -> Tensor:
    """nfe times from t_max to t_min, (nfe,) float64. Raises BadInput unless nfe >= 2."""
    if nfe < 2:
        raise BadInput(f"nfe must be at least 2, not {nfe}")
    return spacing(schedule, nfe)


def _ends(schedule: Schedule) -> Tensor:
    """σ/α at t_max and at t_min."""
    alpha, sigma = schedule(torch.tensor([schedule.t_max, schedule.t_min], dtype=torch.float64))
    return sigma / alpha


def _times(schedule: Schedule, ratios: Tensor) -> Tensor:
    """The times of these σ/α; the ends exactly."""
    inner = schedule.times(ratios[1:-1])
    return torch.cat([inner.new_tensor([schedule.t_max]), inner, inner.new_tensor([schedule.t_min])])
