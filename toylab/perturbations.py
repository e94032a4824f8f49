"""Perturbations ω of the noise: how large, and in which direction.

ω is in units of noise: it moves x_t by σ_t ω. The radius of its ball follows the noise scale,

    r = min(r0·s^ρ + bias, clip),   s = σ/√(α² + σ²)   (= σ_t where α² + σ² = 1)

with any real ρ (0 is flat), or is a fixed length r0 in units of the data, r = min((r0 + bias)·α/σ, clip); it is
multiplied by a uniform draw on [0, 1) per sample where `random` is set. The ball is |ω_i| <= r for every coordinate
(linf), or |ω| <= r√d (l2: r is the root mean square of the coordinates, so that it means the same in any dimension).
The paper (arXiv:2505.21742) ties the radius to the noise scale with exponent 2, a least radius of 8/255 and a
random draw; how these enter is ambiguous in it, and this is our reading.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import NoiseLevel
from toylab.entries import Index
from toylab.errors import BadInput
from toylab.index import RADII
from toylab.randomness import Generators

Scalar = float | Tensor
"""A number, or one a member (M,)."""


Norm = Literal["linf", "l2"]
Unit = Literal["noise", "data"]


@dataclass(frozen=True)
class Radius:
    """The radius schedule; the defaults are the paper's, with the draw applied to all of r, bias included.

    unit: noise, the power law above, or data, a fixed length there (rho is not used). Some have names (RADII), by which
    configurations mean their values. Raises BadInput for negative sizes and unknown units.
    """

    names: ClassVar[Index] = RADII

    r0: Scalar = 1.0
    rho: Scalar = 2.0
    bias: Scalar = 8 / 255
    clip: Scalar = 10.0
    random: bool = True
    unit: Unit = "noise"

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise BadInput(f"unit must be one of {', '.join(get_args(Unit))}, not {self.unit!r}")
        for name in ("r0", "bias", "clip"):
            at_least_zero(name, getattr(self, name))
        if not bool(torch.as_tensor(self.rho).isfinite().all()):
            raise BadInput(f"rho must be finite, not {self.rho}")

    def __call__(self, alpha: Tensor, sigma: Tensor, generators: Generators) -> Tensor:
        """alpha, sigma (M, n) -> r (M, n)."""
        s = sigma / torch.hypot(alpha, sigma)
        if self.unit == "noise":
            r = per_member(self.r0, s) * s ** per_member(self.rho, s) + per_member(self.bias, s)
        else:
            r = (alpha / sigma) * (per_member(self.r0, s) + per_member(self.bias, s))
        r = r.clamp(max=per_member(self.clip, s))
        return r * randomness.rand(r.shape, generators, r) if self.random else r


class Scene(NamedTuple):
    """Where ω acts: the denoiser at the times of the batch, x_0 and x_t (M, n, d), and ε(x_t) without gradient where a
    direction asks for it."""

    level: NoiseLevel
    x0: Tensor
    x_t: Tensor
    eps: Tensor | None = None


class Direction(Protocol):
    """Chooses ω in the ball: a scene, radius (M, n) -> ω (M, n, d)."""

    @property
    def evaluations(self) -> int:
        """Of the denoiser, per perturbation; 0 where ω does not depend on it."""
        ...

    def __call__(self, scene: Scene, radius: Tensor, generators: Generators) -> Tensor: ...


@dataclass(frozen=True)
class Random:
    """ω uniform in the ball: E[ωωᵀ] = r²/3 I for linf, r² d/(d + 2) I for l2."""

    norm: Norm = "linf"
    evaluations: ClassVar[int] = 0

    def __post_init__(self) -> None:
        known_norm(self.norm)

    def __call__(self, scene: Scene, radius: Tensor, generators: Generators) -> Tensor:
        return uniform(scene.x_t, radius, self.norm, generators)


@dataclass(frozen=True)
class Gaussian:
    """ω ~ N(0, r²/3 I): the second moment of the uniform draw from the L∞ ball, without its edge."""

    evaluations: ClassVar[int] = 0

    def __call__(self, scene: Scene, radius: Tensor, generators: Generators) -> Tensor:
        return radius[..., None] / math.sqrt(3) * randomness.randn(scene.x_t.shape, generators, scene.x_t)


class Ascent:
    """Steepest-ascent steps from a uniform start, each projected back onto the ball.

    They climb J(ω) = ‖ε(x_t + σω) - ε(x_t)‖², whose gradient vanishes at 0: hence the random start.
    step: the length of one, in units of the radius. draws: J is averaged over so many noises of the same x_0, the
    batch's own and fresh ones: the expectation over transformations of Athalye et al., arXiv:1707.07397.
    """

    steps: int
    step: float
    norm: Norm
    draws: int

    def __post_init__(self) -> None:
        known_norm(self.norm)
        at_least_zero("step", self.step)
        if not (1 <= self.steps <= 1000 and 1 <= self.draws <= 1000):
            raise BadInput(f"steps and draws must be between 1 and 1000, not {self.steps} and {self.draws}")

    @property
    def evaluations(self) -> int:
        return self.steps * self.draws + self.draws - 1

    def __call__(self, scene: Scene, radius: Tensor, generators: Generators) -> Tensor:
        level = scene.level
        start = Random(self.norm)(scene, radius, generators)
        places = [(scene.x_t, level.eps(scene.x_t).detach() if scene.eps is None else scene.eps)]
        for _ in range(self.draws - 1):
            x_t = level.noised(scene.x0, randomness.randn(scene.x0.shape, generators, scene.x0))
            places.append((x_t, level.eps(x_t).detach()))

        def height(omega: Tensor) -> Tensor:
            moves = [(level.eps(level.pushed(x, omega)) - eps).square().sum() for x, eps in places]
            return torch.stack(moves).sum()

        return self.climbed(height, start, radius)

    def climbed(self, height: Callable[[Tensor], Tensor], start: Tensor, radius: Tensor) -> Tensor:
        """Where the steps lead from `start` on any height, a function of ω summed over samples."""
        omega, r = start, radius[..., None]
        for _ in range(self.steps):
            omega = omega.detach().requires_grad_()
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(height(omega), omega)
            omega = projected(omega.detach() + self.step * steepest(gradient, r, self.norm), r, self.norm)
        return omega


@dataclass(frozen=True)
class FGSM(Ascent):
    """One step, by default of the length of the radius: the paper's choice."""

    step: float = 1.0
    norm: Norm = "linf"
    draws: int = 1
    steps: ClassVar[int] = 1  # type: ignore[misc]


@dataclass(frozen=True)
class PGD(Ascent):
    """Several shorter steps (Madry et al., arXiv:1706.06083)."""

    steps: int = 3
    step: float = 0.5
    norm: Norm = "linf"
    draws: int = 1


def uniform(like: Tensor, radius: Tensor, norm: Norm, generators: Generators) -> Tensor:
    """Uniform draws from the balls of `radius` (M, n), like points (M, n, d)."""
    r = radius[..., None]
    if norm == "linf":
        return r * (2 * randomness.rand(like.shape, generators, like) - 1)
    z = randomness.randn(like.shape, generators, like)
    share = randomness.rand(radius.shape, generators, like)[..., None] ** (1 / like.shape[-1])
    return _length(r, like) * share * z / z.norm(dim=-1, keepdim=True)


def steepest(gradient: Tensor, r: Tensor, norm: Norm) -> Tensor:
    """The direction in the ball that climbs fastest; 0 where the gradient vanishes. r is (..., 1)."""
    if norm == "linf":
        return r * gradient.sign()
    size = gradient.norm(dim=-1, keepdim=True)
    return _length(r, gradient) * gradient / torch.where(size > 0, size, 1.0)


def projected(omega: Tensor, r: Tensor, norm: Norm) -> Tensor:
    """The nearest point of the ball; r is (..., 1)."""
    if norm == "linf":
        return omega.clamp(-r, r)
    longest, size = _length(r, omega), omega.norm(dim=-1, keepdim=True)
    return omega * (longest / torch.where(size > 0, size, 1.0)).clamp(max=1)


def _length(r: Tensor, like: Tensor) -> Tensor:
    """The largest L2 norm: r is a root mean square over coordinates."""
    return r * math.sqrt(like.shape[-1])


def known_norm(norm: str) -> None:
    """BadInput for a norm that there is not."""
    if norm not in get_args(Norm):
        raise BadInput(f"norm must be one of {', '.join(get_args(Norm))}, not {norm!r}")


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


PAPER = Radius()
"""σ² + 8/255 (in VP), times a random draw."""
FLAT = Radius(rho=0.0, bias=0.0, random=False)
"""One noise unit at every level."""
RISING = Radius(r0=3.0, rho=-0.5, bias=0.0, random=False)
"""3/√s noise units, 10 at most."""
DATA = Radius(r0=0.1, bias=0.0, random=False, unit="data")
"""0.1 in the data at every level, 10 noise units at most."""
