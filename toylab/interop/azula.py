"""azula's denoisers: a schedule t -> (α, σ), and a call (x_t, t) -> a posterior of x_0 given x_t, of which the mean is

    mean(x_t, t) = E[x_0 | x_t] = x0(x_t, t) = (x_t - σ eps(x_t, t))/α

so that either side can be made of the other (https://github.com/probabilists/azula, tried with 0.11.1).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from toylab.denoisers import Denoiser, Given
from toylab.schedules import FromFunction, Schedule


class Posterior(Protocol):
    """A law of x_0 given x_t, of which the mean is known."""

    @property
    def mean(self) -> Tensor:
        """E[x_0 | x_t], like x_t."""
        ...


class AzulaSchedule(Protocol):
    """t -> (alpha, sigma), of t's shape."""

    def __call__(self, t: Tensor, /) -> tuple[Tensor, Tensor]: ...


class AzulaDenoiser(Protocol):
    """What azula's samplers ask of a denoiser, and what its denoisers are."""

    @property
    def schedule(self) -> AzulaSchedule:
        """The noise levels."""
        ...

    def __call__(self, x_t: Tensor, t: Tensor, /) -> Posterior:
        """x_t (n, d), t () or (n,) -> the posterior of x_0."""
        ...


@dataclass(frozen=True)
class Mean:
    """A posterior of which nothing but the mean is known."""

    mean: Tensor


@dataclass(frozen=True)
class _Ours:
    """One of our denoisers, as azula has them."""

    denoiser: Denoiser

    @property
    def schedule(self) -> Schedule:
        return self.denoiser.schedule

    def __call__(self, x_t: Tensor, t: Tensor, /) -> Mean:
        return Mean(self.denoiser.x0(x_t, t))


def to_azula(denoiser: Denoiser) -> AzulaDenoiser:
    """A denoiser for azula's samplers: x_t (n, d) or (..., d), t () or broadcasting over its leading axes.

    Samplers stay inside [schedule.t_min, schedule.t_max] where they are told to: start=schedule.t_max,
    stop=schedule.t_min, and dtype=torch.float64 for times in double precision.
    """
    return _Ours(denoiser)


def from_azula(
    denoiser: AzulaDenoiser, t_min: float = 1e-3, t_max: float = 1.0, dtype: torch.dtype = torch.float32
) -> Given:
    """A denoiser of azula's to be sampled, attacked and measured as our own are, in `dtype`, which should be that of
    its network. t_min, t_max: the times that samplers stay between. Raises BadInput where σ/α does not grow with t."""

    def eps(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (level[..., None] for level in denoiser.schedule(t))
        return (x_t - alpha * denoiser(x_t, t).mean) / sigma

    return Given(eps, FromFunction(denoiser.schedule, t_min, t_max), dtype)
