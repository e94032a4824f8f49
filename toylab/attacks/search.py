"""Finding the pushes.

    random     uniform in the ball
    greedy     push by push in the order of time, each where the predicted noise at that state moves most: the attack of
               one-step adversarial training, repeated (arXiv:2505.21742). It does not look ahead, and has no aim
    adaptive   projected gradient ascent on the aim itself, on all pushes at once, through all remaining steps (Madry et
               al., arXiv:1706.06083); for a sampler with noise, on the mean over several fixed noises (Athalye et al.,
               arXiv:1707.07397). It is to be judged on fresh ones

Pushes are chosen before the sampler's noise is drawn: an attacker who also sees the noise could do more.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from toylab import randomness
from toylab.attacks.aims import Aim
from toylab.attacks.victim import Threat, Victim
from toylab.errors import BadInput
from toylab.perturbations import PGD, Scene, at_least_zero, projected, steepest, uniform
from toylab.randomness import Generators

_MOST = 10_000


class Attack(Protocol):
    """Chooses the pushes of a victim (M, n, d) at P steps: ω (P, M, n, d), each in its ball, without gradient."""

    def __call__(self, victim: Victim, threat: Threat, aim: Aim, generators: Generators) -> Tensor: ...


@dataclass(frozen=True)
class Random:
    """Uniform in the ball: the best of so many draws by the aim; with one the aim is not asked.

    draws: noises of the sampler that the aim is averaged over.
    """

    restarts: int = 1
    draws: int = 1

    def __post_init__(self) -> None:
        _check_counts(restarts=self.restarts, draws=self.draws)

    @torch.no_grad()
    def __call__(self, victim: Victim, threat: Threat, aim: Aim, generators: Generators) -> Tensor:
        hill = Hill(victim, threat, aim, self.draws, generators)
        if self.restarts == 1:
            return hill.start(generators)
        best = Best(hill)
        for _ in range(self.restarts):
            omega = hill.start(generators)
            best.offer(omega, hill.height(omega))
        return best.omega


@dataclass(frozen=True)
class Greedy:
    """At each push, so many steps of length `step`, in units of the radius, uphill on ‖ε(x_t + σω) - ε(x_t)‖², from a
    uniform start. A sampler with noise is followed along one path."""

    steps: int = 3
    step: float = 0.5

    def __post_init__(self) -> None:
        PGD(self.steps, self.step)  # raises BadInput for counts and lengths

    @torch.no_grad()
    def __call__(self, victim: Victim, threat: Threat, aim: Aim, generators: Generators) -> Tensor:
        steps, (noise,) = threat.steps(victim.times), randomness.replays(generators, 1)
        radii = threat.radii(victim.x, len(steps))
        climb, pushes = PGD(self.steps, self.step, threat.norm), []
        for step, x in enumerate(victim.states(noise())):
            if step in steps:
                pushes.append(climb(Scene(victim.denoiser.at(victim.times[step]), x, x), radii, generators))
                x[...] = victim.pushed(x, step, pushes[-1])
            if step == steps[-1]:
                break
        return torch.stack(pushes)


@dataclass(frozen=True)
class Adaptive:
    """Projected gradient ascent from `restarts` uniform starts; of all ω seen, and 0, a point keeps its highest.

    steps: of each ascent; their length falls evenly from `step`, in units of the radius, towards 0. draws: noises of
    the sampler that heights and gradients are averaged over. checkpoint: save memory, see `Checkpointed`.
    """

    steps: int = 20
    step: float = 0.5
    restarts: int = 1
    draws: int = 1
    checkpoint: bool = True

    def __post_init__(self) -> None:
        _check_counts(steps=self.steps, restarts=self.restarts, draws=self.draws)
        at_least_zero("step", self.step)

    def __call__(self, victim: Victim, threat: Threat, aim: Aim, generators: Generators) -> Tensor:
        hill = Hill(victim.checkpointed if self.checkpoint else victim, threat, aim, self.draws, generators)
        best, r = Best(hill), hill.radii[..., None]
        for _ in range(self.restarts):
            omega = hill.start(generators)
            for number in range(self.steps):
                height, gradient = hill.slope(omega)
                best.offer(omega, height)
                length = self.step * (1 - number / self.steps)
                omega = projected(omega + length * steepest(gradient, r, threat.norm), r, threat.norm)
            with torch.no_grad():
                best.offer(omega, hill.height(omega))
        return best.omega


class Hill:
    """The aim as a function of ω, its mean over fixed noises of the sampler."""

    def __init__(self, victim: Victim, threat: Threat, aim: Aim, draws: int, generators: Generators):
        self.victim, self.aim, self.norm = victim, aim, threat.norm
        self.steps = threat.steps(victim.times)
        self.radii = threat.radii(victim.x, len(self.steps))
        self.noises = randomness.replays(generators, draws)

    @property
    def level_ground(self) -> Tensor:
        """ω = 0."""
        return self.victim.x.new_zeros(len(self.steps), *self.victim.x.shape)

    def start(self, generators: Generators) -> Tensor:
        """ω uniform in the balls."""
        return torch.stack([uniform(self.victim.x, self.radii, self.norm, generators) for _ in self.steps])

    @cached_property
    def unattacked(self) -> list[Tensor]:
        """The ends without attack, of each noise."""
        with torch.no_grad():
            return [self.victim.end(self.level_ground, self.steps, noise()) for noise in self.noises]

    def height(self, omega: Tensor) -> Tensor:
        """(P, M, n, d) -> (M, n)."""
        return torch.stack([self._of(number, omega) for number in range(len(self.noises))]).mean(0)

    def slope(self, omega: Tensor) -> tuple[Tensor, Tensor]:
        """Heights and their gradient in ω; one noise's graph is held at a time."""
        height, gradient = torch.zeros_like(self.radii), torch.zeros_like(omega)
        for number in range(len(self.noises)):
            free = omega.detach().requires_grad_()
            with torch.enable_grad():
                one = self._of(number, free)
                (uphill,) = torch.autograd.grad(one.sum(), free)
            height, gradient = height + one.detach(), gradient + uphill
        return height / len(self.noises), gradient / len(self.noises)

    def _of(self, number: int, omega: Tensor) -> Tensor:
        return self.aim(self.victim.end(omega, self.steps, self.noises[number]()), self.unattacked[number])


class Best:
    """The highest ω of each point so far, from ω = 0 on: heights never fall, and what is not a number is never best."""

    def __init__(self, hill: Hill):
        self.omega = hill.level_ground
        with torch.no_grad():
            self.height = hill.height(self.omega)

    def offer(self, omega: Tensor, height: Tensor) -> None:
        """Keep it where it is higher."""
        higher = height > self.height
        self.height = torch.where(higher, height, self.height)
        self.omega = torch.where(higher[..., None], omega, self.omega)


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if not 1 <= count <= _MOST:
            raise BadInput(f"{name} must be between 1 and {_MOST}, not {count}")
