"""Denoisers: what predicts x_0 and ε from x_t = α x_0 + σ ε.

`Exact(law, schedule)` is the posterior mean of a known law, `Learned(network, schedule)` a network, `Given(function,
schedule)` whatever somebody else has trained. Samplers,
attacks and metrics take either: Exact with a sampler shows the discretisation error, Learned minus Exact the
learning error. The three predictions of one denoiser are tied together by

    x_t = α x0(x_t) + σ eps(x_t),        score(x_t) = -eps(x_t) / σ

Parametrisations. A network F sees x_t scaled to c x_t and the noise level log σ/α, and

    eps = a x_t + b F,    x0 = (x_t - σ eps) / α = p x_t + q F

with s = √(σ² + α² s_d²), s_d the standard deviation of the data:

    name   c              a              b             p                q             the network predicts
    eps    1/√(α²+σ²)     0              1             1/α              -σ/α          ε
    x0     1/√(α²+σ²)     1/σ            -α/σ          0                1             x_0
    v      1/√(α²+σ²)     σ/(α²+σ²)      α/(α²+σ²)     α/(α²+σ²)        -σ/(α²+σ²)    α ε - σ x_0
    flow   1/√(α²+σ²)     1/(α+σ)        α/(α+σ)       1/(α+σ)          -σ/(α+σ)      ε - x_0
    edm    1/s            σ/s²           -α s_d/s      α s_d²/s²        σ s_d/s       (x_0 - c_skip x_t/α)/c_out

(v: Salimans and Ho, arXiv:2202.00512, appendix D; edm: Karras et al., arXiv:2206.00364, table 1, with x_t/α
for their x and σ/α for their σ; flow: the velocity of straight paths, Liu et al., arXiv:2209.03003.)
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from toylab.distributions import Distribution
from toylab.errors import BadInput
from toylab.schedules import Schedule

Parametrization = Literal["eps", "x0", "v", "flow", "edm"]

_LOG_RATIO_BOUND = 12.0  # log σ/α as the network sees it; finite where α or σ is 0


class Denoiser(ABC):
    """x_t (..., d), or (M, n, d) with members, and t broadcasting over its leading axes -> predictions like x_t."""

    schedule: Schedule

    @abstractmethod
    def at(self, t: Tensor | float) -> "NoiseLevel":
        """The denoiser at the times t: what depends on t alone is computed once, for any number of evaluations."""

    def predict(self, x_t: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """(x0, eps), from one evaluation."""
        return self.at(t).predict(x_t)

    def x0(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """The predicted x_0, an estimate of E[x_0 | x_t]."""
        return self.at(t).predict(x_t)[0]

    def eps(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """The predicted noise, an estimate of E[ε | x_t] = -σ ∇ log p_t(x_t)."""
        return self.at(t).eps(x_t)

    def score(self, x_t: Tensor, t: Tensor | float) -> Tensor:
        """The predicted score ∇ log p_t(x_t) = -eps/σ."""
        level = self.at(t)
        return -level.eps(x_t) / _last(level.sigma)


class NoiseLevel(ABC):
    """A denoiser at given times: x_t -> predictions. alpha, sigma: the schedule there, of t's shape.

    gain: what multiplies a network's output in eps (b of the table above); data_std: s_d. Both broadcast with alpha.
    """

    alpha: Tensor
    sigma: Tensor
    gain: Tensor | float = 1.0
    data_std: Tensor | float = 1.0

    def noised(self, x0: Tensor, eps: Tensor) -> Tensor:
        """x_t = α x_0 + σ ε."""
        return _last(self.alpha) * x0 + _last(self.sigma) * eps

    def pushed(self, x_t: Tensor, omega: Tensor) -> Tensor:
        """x_t + σ ω: moved by ω noise units."""
        return x_t + _last(self.sigma) * omega

    @abstractmethod
    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        """(x0, eps), from one evaluation."""

    def eps(self, x_t: Tensor) -> Tensor:
        """The predicted noise."""
        return self.predict(x_t)[1]


class Exact(Denoiser):
    """The posterior mean of a known law: what plain denoising would learn from it, without error."""

    def __init__(self, law: Distribution, schedule: Schedule):
        self.law, self.schedule = law, schedule

    def at(self, t: Tensor | float) -> NoiseLevel:
        return _ExactLevel(self.law, *self.schedule(t))


class _ExactLevel(NoiseLevel):
    def __init__(self, law: Distribution, alpha: Tensor, sigma: Tensor):
        self.law, self.alpha, self.sigma = law, alpha, sigma

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        x0 = self.law.denoise(x_t, self.alpha, self.sigma)
        return x0, (x_t - _last(self.alpha) * x0) / _last(self.sigma)

    def eps(self, x_t: Tensor) -> Tensor:
        return -_last(self.sigma) * self.law.score(x_t, self.alpha, self.sigma)


class Given(Denoiser):
    """Anybody's denoiser: a function (x_t, t) -> predicted ε, to be sampled, attacked and measured as our own are.

    function: called with x_t (n, d) in `dtype` and t, one number (a tensor without axes) or one a point (n,), returns
    (n, d); predictions have x_t's dtype. schedule: the one it was trained with (`FromFunction` for one of somebody
    else's). A network that predicts x_0 or a velocity is made one of ε by x_t = α x_0 + σ ε.
    """

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], schedule: Schedule, dtype: torch.dtype = torch.float32
    ):
        self.function, self.schedule, self.dtype = function, schedule, dtype

    def at(self, t: Tensor | float) -> NoiseLevel:
        at = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
        return _GivenLevel(self, at, *self.schedule(t))


class _GivenLevel(NoiseLevel):
    def __init__(self, denoiser: Given, t: Tensor, alpha: Tensor, sigma: Tensor):
        self.function, self.t, self.alpha, self.sigma = denoiser.function, t.to(denoiser.dtype), alpha, sigma

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        eps = self.eps(x_t)
        return ((x_t - _last(self.sigma) * eps) / _last(self.alpha)).to(x_t.dtype), eps

    def eps(self, x_t: Tensor) -> Tensor:
        t = self.t.to(x_t.device)
        t = t.reshape(()) if t.numel() == 1 else t.expand(x_t.shape[:-1]).reshape(-1)
        found = self.function(x_t.to(self.t.dtype).reshape(-1, x_t.shape[-1]), t)
        if found.shape != (x_t.shape[:-1].numel(), x_t.shape[-1]):
            raise BadInput(f"the given denoiser returned {tuple(found.shape)} for points of {tuple(x_t.shape)}")
        return found.to(x_t.dtype).reshape(x_t.shape)


class Learned(nn.Module, Denoiser):
    """A network as a denoiser.

    network: called with the scaled x_t (M, n, d) and log σ/α (M, n), returns (M, n, d); it is given its own
    dtype, and predictions have that of x_t. Points with other leading axes go through a network of one member.
    data_std: s_d of the table above, a number or one a member (M,).
    """

    data_std: Tensor

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        parametrization: Parametrization = "eps",
        data_std: Tensor | float = 1.0,
    ):
        super().__init__()
        if parametrization not in get_args(Parametrization):
            raise BadInput(f"parametrization must be one of {', '.join(get_args(Parametrization))}")
        self.network, self.schedule, self.parametrization = network, schedule, parametrization
        self.register_buffer("data_std", torch.atleast_1d(torch.as_tensor(data_std, dtype=torch.float32)))

    def by(self, network: nn.Module) -> "Learned":
        """The same with another network in its place."""
        same = copy.copy(self)
        same._modules = {"network": network}
        return same

    def at(self, t: Tensor | float) -> NoiseLevel:
        return _LearnedLevel(self, *self.schedule(t))


class _LearnedLevel(NoiseLevel):
    def __init__(self, denoiser: Learned, alpha: Tensor, sigma: Tensor):
        self.network, self.own, self.alpha, self.sigma = denoiser.network, denoiser.data_std, alpha, sigma
        self.log_ratio = (sigma.log() - alpha.log()).clamp(-_LOG_RATIO_BOUND, _LOG_RATIO_BOUND)
        std = denoiser.data_std.to(alpha)
        self.data_std = std[:, None] if len(std) > 1 else std[0]
        self.k = _coefficients(denoiser.parametrization, _last(alpha), _last(sigma), _last(self.data_std))
        self.gain = self.k.b[..., 0] if isinstance(self.k.b, Tensor) else self.k.b

    def predict(self, x_t: Tensor) -> tuple[Tensor, Tensor]:
        output = self._output(x_t)
        return (self.k.p * x_t + self.k.q * output).to(x_t.dtype), (self.k.a * x_t + self.k.b * output).to(x_t.dtype)

    def eps(self, x_t: Tensor) -> Tensor:
        return (self.k.a * x_t + self.k.b * self._output(x_t)).to(x_t.dtype)

    def _output(self, x_t: Tensor) -> Tensor:
        """The network's output, with x_t's dtype and leading axes."""
        x, level = (self.k.c * x_t).to(self.own), self.log_ratio.to(self.own).expand(x_t.shape[:-1])
        if x.ndim != 3:
            x, level = x.reshape(1, -1, x.shape[-1]), level.reshape(1, -1)
        return self.network(x, level).to(x_t.dtype).reshape(x_t.shape)


class _Coefficients(NamedTuple):
    c: Tensor
    a: Tensor | float
    b: Tensor | float
    p: Tensor | float
    q: Tensor | float


def _coefficients(parametrization: Parametrization, alpha: Tensor, sigma: Tensor, std: Tensor) -> _Coefficients:
    total = alpha**2 + sigma**2
    c = total.rsqrt()
    match parametrization:
        case "eps":
            return _Coefficients(c, 0.0, 1.0, 1 / alpha, -sigma / alpha)
        case "x0":
            return _Coefficients(c, 1 / sigma, -alpha / sigma, 0.0, 1.0)
        case "v":
            return _Coefficients(c, sigma / total, alpha / total, alpha / total, -sigma / total)
        case "flow":
            span = alpha + sigma
            return _Coefficients(c, 1 / span, alpha / span, 1 / span, -sigma / span)
        case _:
            c = (sigma**2 + (alpha * std) ** 2).rsqrt()
            return _Coefficients(c, sigma * c**2, -alpha * std * c, alpha * (std * c) ** 2, sigma * std * c)


def _last(level: Tensor) -> Tensor:
    """A noise level with an axis for the coordinates."""
    return level[..., None]
