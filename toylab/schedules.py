"""Noise schedules: x_t = α_t x_0 + σ_t ε for t in [0, 1].

A schedule maps t to (α, σ). Training and samplers stay inside [t_min, t_max]; a sampler's last step goes
from t_min to E[x_0]. Variance-preserving schedules have α² + σ² = 1.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from toylab.errors import BadInput


class Schedule(ABC):
    """t -> (alpha, sigma), with the interval [t_min, t_max] that training and samplers use."""

    t_min: float
    t_max: float

    @abstractmethod
    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """alpha and sigma at t, of t's shape and dtype (float64 for a float)."""

    def time(self, ratio: float) -> float:
        """The t at which σ/α equals `ratio`; BadInput outside [t_min, t_max]."""
        low, high = self._ratio(self.t_min), self._ratio(self.t_max)
        if not low <= ratio <= high:
            raise BadInput(f"sigma/alpha = {ratio:g} is not reached: this schedule spans {low:.3g} to {high:.3g}")
        return float(self.times(torch.tensor(ratio, dtype=torch.float64)))

    def times(self, ratios: Tensor) -> Tensor:
        """The t at which σ/α has each of these values, of their shape, float64; the nearer end outside [t_min, t_max].

        Each round looks at 65 points of what is left of the interval, so that nine leave nothing of it.
        """
        low = torch.full_like(ratios, self.t_min, dtype=torch.float64)[..., None]
        high = torch.full_like(low, self.t_max)
        part = torch.linspace(0, 1, 65, dtype=torch.float64)
        for _ in range(9):
            t = torch.lerp(low, high, part)
            alpha, sigma = self(t)
            below = (sigma < ratios[..., None] * alpha).sum(-1, keepdim=True).clamp(1, 64)
            low, high = t.gather(-1, below - 1), t.gather(-1, below)
        return ((low + high) / 2)[..., 0]

    def rates(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """dα/dt and dσ/dt at t, of t's shape, exact (by forward differentiation)."""
        t = _as_time(t)
        return torch.func.jvp(self, (t,), (torch.ones_like(t),))[1]

    def _ratio(self, t: float) -> float:
        alpha, sigma = self(t)
        return float(sigma / alpha)


@dataclass(frozen=True)
class FromFunction(Schedule):
    """Anybody's schedule: a function from t, a tensor, to (alpha, sigma) of its shape, whose σ/α grows with t."""

    function: Callable[[Tensor], tuple[Tensor, Tensor]]
    t_min: float = 1e-3
    t_max: float = 1.0

    def __post_init__(self) -> None:
        _check_times(self.t_min, self.t_max)
        _check_levels(self)
        alpha, sigma = self(torch.linspace(self.t_min, self.t_max, 100, dtype=torch.float64))
        if not bool(((sigma / alpha).diff() > 0).all()):
            raise BadInput(f"sigma/alpha must grow with t between t_min = {self.t_min} and t_max = {self.t_max}")

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        alpha, sigma = self.function(_as_time(t))
        return torch.as_tensor(alpha), torch.as_tensor(sigma)


@dataclass(frozen=True)
class VPLinear(Schedule):
    """β(t) = β_min + t(β_max - β_min), log ᾱ = -∫β (Song et al., arXiv:2011.13456, eq. 33)."""

    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-3
    t_max: float = 1.0

    def __post_init__(self) -> None:
        _check_times(self.t_min, self.t_max)
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise BadInput(f"0 < beta_min <= beta_max is needed, not {self.beta_min} and {self.beta_max}")
        _check_levels(self)

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _as_time(t)
        log_abar = -(self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t * t)
        return (0.5 * log_abar).exp(), (-torch.expm1(log_abar)).sqrt()


@dataclass(frozen=True)
class DDPM(Schedule):
    """The table of Ho et al. (arXiv:2006.11239, section 4): β_k linear in k from 1e-4 to 0.02.

    t = k/T is row k, ᾱ_k = Π_{j<=k} (1 - β_j), and row 0 is (1, 0). Between rows the log-SNR is linear in
    t, except below row 1, where it is infinite at t = 0 and 1 - ᾱ is linear in t instead.
    For T other than 1000 the same end points are used, as the authors give them for T = 1000 only.
    """

    T: int = 1000
    beta_first: float = 1e-4
    beta_last: float = 0.02

    def __post_init__(self) -> None:
        if self.T < 2 or not 0 < self.beta_first <= self.beta_last < 1:
            raise BadInput("T >= 2 and 0 < beta_first <= beta_last < 1 are needed")
        if self.T > 1_000_000:
            raise BadInput(f"T must be at most 1,000,000, not {self.T}")
        _check_levels(self)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return 1 / self.T

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return 1.0

    @cached_property
    def _log_snr(self) -> Tensor:
        """log(ᾱ/(1 - ᾱ)) of rows 1 ... T."""
        betas = torch.linspace(self.beta_first, self.beta_last, self.T, dtype=torch.float64)
        log_abar = torch.log1p(-betas).cumsum(0)
        return log_abar - torch.log(-torch.expm1(log_abar))

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _as_time(t)
        table = self._table(t)
        row = (t * self.T).clamp(max=self.T)
        below = row.floor().clamp(1, self.T - 1)
        index = below.long() - 1
        log_snr = torch.lerp(table[index], table[index + 1], (row - below).clamp(min=0))
        variance = torch.sigmoid(-log_snr) * row.clamp(max=1)
        return torch.where(row < 1, (1 - variance).sqrt(), torch.sigmoid(log_snr).sqrt()), variance.sqrt()

    def _table(self, t: Tensor) -> Tensor:
        kept: dict[tuple[torch.device, torch.dtype], Tensor] = self.__dict__.setdefault("_kept", {})
        key = (t.device, t.dtype)
        if key not in kept:
            kept[key] = self._log_snr.to(t)
        return kept[key]


@dataclass(frozen=True)
class Cosine(Schedule):
    """ᾱ(t) = cos²(θ(t))/cos²(θ(0)), θ(t) = (t + s)/(1 + s)·π/2 (Nichol and Dhariwal, arXiv:2102.09672, eq. 17).

    α vanishes at t = 1, so training and samplers stop at t_max = 0.999, where σ/α is about 640.
    """

    s: float = 0.008
    t_min: float = 1e-3
    t_max: float = 0.999

    def __post_init__(self) -> None:
        _check_times(self.t_min, self.t_max)
        if not 0 < self.s < 1:
            raise BadInput(f"s must be between 0 and 1, not {self.s}")
        _check_levels(self)

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _as_time(t)
        start = self.s / (1 + self.s) * math.pi / 2
        angle = t / (1 + self.s) * math.pi / 2 + start
        # 1 - cos²a/cos²b = sin(a - b) sin(a + b)/cos²b keeps its digits where t is small
        variance = torch.sin(angle - start) * torch.sin(angle + start) / math.cos(start) ** 2
        return angle.cos() / math.cos(start), variance.clamp(min=0).sqrt()


@dataclass(frozen=True)
class VE(Schedule):
    """Variance exploding, α = 1 and σ = σ_max t^ρ, from σ_min at t_min = (σ_min/σ_max)^(1/ρ).

    Evenly spaced times are the steps of Karras et al. (arXiv:2206.00364, eq. 5), whose defaults these are.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf or not 1 <= self.rho <= 100:
            raise BadInput(
                "0 < sigma_min < sigma_max and 1 <= rho <= 100 are needed, "
                f"not {self.sigma_min}, {self.sigma_max} and {self.rho}"
            )
        _check_levels(self)

    @property
    def t_min(self) -> float:  # type: ignore[override]
        return (self.sigma_min / self.sigma_max) ** (1 / self.rho)

    @property
    def t_max(self) -> float:  # type: ignore[override]
        return 1.0

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _as_time(t)
        return torch.ones_like(t), self.sigma_max * t**self.rho


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """Straight paths, α = 1 - t and σ = t (Liu et al., arXiv:2209.03003; Lipman et al., arXiv:2210.02747).

    Training and samplers stop at t_max = 0.999, where σ/α is 999, and at t_min, where it is about 0.001.
    """

    t_min: float = 1e-3
    t_max: float = 0.999

    def __post_init__(self) -> None:
        _check_times(self.t_min, self.t_max)
        _check_levels(self)

    def __call__(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = _as_time(t)
        return 1 - t, t


def _as_time(t: Tensor | float) -> Tensor:
    return t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)


def _check_levels(schedule: Schedule) -> None:
    """x_0 must still be visible at t_max in single precision."""
    alpha, sigma = schedule(torch.tensor(schedule.t_max))
    if not float(alpha) > 1e-4 * float(sigma):
        raise BadInput(
            f"alpha/sigma at t_max = {schedule.t_max} is {float(alpha / sigma):.2g}; at least 1e-4 is needed"
        )


def _check_times(t_min: float, t_max: float) -> None:
    if not 0 < t_min < t_max <= 1:
        raise BadInput(f"0 < t_min < t_max <= 1 is needed, not {t_min} and {t_max}")
