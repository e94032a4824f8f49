"""Perturbations ω of the noise: how large, and in which direction.

ω is in units of noise: it moves x_t by σ_t ω. The radius of its L∞ ball follows the noise scale,

    r = min(r0·s^ρ + bias, clip),   s = σ/√(α² + σ²)   (= σ_t where α² + σ² = 1)

with any real ρ (0 is flat), and is multiplied by a uniform draw on [0, 1) per sample where `random` is set.
The paper (arXiv:2505.21742) ties the radius to the noise scale with exponent 2, a least radius of 8/255 and a
random draw; how these enter is ambiguous in it, and this is our reading.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import NoiseLevel
from toylab.errors import BadInput
from toylab.randomness import Generators

Scalar = float | Tensor
"""A number, or one a member (M,)."""


@dataclass(frozen=True)
class Radius:
    """The radius schedule; the defaults are the paper's, with the draw applied to all of r, bias included.
    Raises BadInput for negative sizes."""

    r0: Scalar = 1.0
    rho: Scalar = 2.0
    bias: Scalar = 8 / 255
    clip: Scalar = 10.0
    random: bool = True

    def __post_init__(self) -> None:
        for name in ("r0", "bias", "clip"):
            at_least_zero(name, getattr(self, name))
        if not bool(torch.as_tensor(self.rho).isfinite().all()):
            raise BadInput(f"rho must be finite, not {self.rho}")

    def __call__(self, alpha: Tensor, sigma: Tensor, generators: Generators) -> Tensor:
        """alpha, sigma (M, n) -> r (M, n)."""
        s = sigma / torch.hypot(alpha, sigma)
        r = per_member(self.r0, s) * s ** per_member(self.rho, s) + per_member(self.bias, s)
        r = r.clamp(max=per_member(self.clip, s))
        return r * randomness.rand(r.shape, generators, r) if self.random else r


class Direction(Protocol):
    """Chooses ω in the ball: the denoiser at the times of x_t (M, n, d), eps = ε(x_t) without gradient, radius (M, n)
    -> ω (M, n, d)."""

    evaluations: int  # of the denoiser, per perturbation; 0 if ω depends on neither `level` nor `eps`

    def __call__(
        self, level: NoiseLevel, x_t: Tensor, eps: Tensor, radius: Tensor, generators: Generators
    ) -> Tensor: ...


@dataclass(frozen=True)
class Random:
    """ω uniform in the L∞ ball: E[ωωᵀ] = r²/3 I."""

    evaluations = 0

    def __call__(self, level: NoiseLevel, x_t: Tensor, eps: Tensor, radius: Tensor, generators: Generators) -> Tensor:
        return radius[..., None] * (2 * randomness.rand(x_t.shape, generators, x_t) - 1)


@dataclass(frozen=True)
class FGSM:
    """One signed gradient step from a uniform start, projected back onto the L∞ ball.

    It ascends J(ω) = ‖ε(x_t + σω) - ε(x_t)‖², whose gradient vanishes at 0: hence the random start.
    step: its length in units of the radius.
    """

    step: float = 1.0
    evaluations = 1

    def __post_init__(self) -> None:
        at_least_zero("step", self.step)

    def __call__(self, level: NoiseLevel, x_t: Tensor, eps: Tensor, radius: Tensor, generators: Generators) -> Tensor:
        start = Random()(level, x_t, eps, radius, generators).requires_grad_()
        with torch.enable_grad():
            displacement = (level.eps(level.pushed(x_t, start)) - eps).square().sum()
            (gradient,) = torch.autograd.grad(displacement, start)
        r = radius[..., None]
        return (start.detach() + self.step * r * gradient.sign()).clamp(-r, r)


def per_member(value: Scalar, like: Tensor) -> Any:
    """A number as it is; (M,) values shaped to broadcast over `like` (M, ...).

    A tensor on another device is copied at every call: keep it where the training is.
    """
    return value.to(like).reshape(-1, *[1] * (like.ndim - 1)) if isinstance(value, Tensor) else value


def at_least_zero(name: str, value: Scalar) -> None:
    """BadInput unless every value is finite and at least 0."""
    v = torch.as_tensor(value)
    if not bool(((v >= 0) & v.isfinite()).all()):
        raise BadInput(f"{name} must be finite and at least 0, not {v.tolist()}")
