"""Ideas for a better objective against outliers than pushes in all directions alike, by their exact optima.

    python -m benchmarks.ideas          about five minutes on one core; goes on where it stopped
                                        writes figures/frontier/ideas.csv

Judged as in benchmarks/frontier.py, whose settings and measures these are (`unsettled` is that of `own density`), on
its law and on others on the line, in units of each mode's own width. All are one-sided, random and flat in λ. With p
the density of x_t, k the law of pushes and j -> i a push, the optimum of

    L_DM + λ E g_ji ‖ε(x_i) - ε(x_j) - κ ω‖²         ε(x_j), g and κ without gradient, x_i = x_j + σω

solves p_i (u_i - u*_i) + λ Σ_j p_j k_ji g_ji (u_i - u_j) = 0 for u = x - σε, and κ ≠ 1 adds (κ - 1) x to u. The ideas:

    one-sided    g = κ = 1: the comparison
    early, late  λ only where σ_t is above, below `value`
    data         r = r0 α/σ, a length in the data: r0 of theirs; at most 10 noise units
    two radii    half of the pushes have the radius `value` s^ρ instead
    width told   κ = σ²/(σ² + α²v²), v = `value`: a Gaussian of standard deviation v is then learned without shrinkage
    capped       neighbours weigh at most `value` times what the point itself does
    downhill     g = 1/(1 + p_i e^c/p_j), c = `value`: only places less dense than the other learn from it; p is told
    own density  downhill, with the density whose score is -ε/σ for the optimum's own ε, by iteration
"""

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.frontier import GRID, HERE, MODES, Modes, Outcome, beside, completed, quantiles, samples, w2
from benchmarks.frontier_figure import saved, tried
from toylab.contamination import outliers
from toylab.denoisers import Given
from toylab.distributions import Distribution
from toylab.schedules import DDPM
from toylab.theory.lattice import Grid, uniform_law
from toylab.theory.smoothing import on_a_line
from toylab.theory.splines import Spline

NAMES = ("law", "idea", "lam", "r0", "rho", "value")
CLIP = 10.0  # noise units
ITERATIONS = 12  # of the optimum's own density


class Idea(NamedTuple):
    """Its name and settings, as in the module's text."""

    name: str
    lam: float = 0.0
    r0: float = 3.0
    rho: float = -0.5
    value: float = 0.0


PLAIN = Idea("one-sided")
"""Plain denoising, λ = 0."""


class Law(NamedTuple):
    """A clean law on the line, and its share of outliers, uniform on [-6, 6]."""

    modes: Modes
    share: float = 0.1


LAWS = {
    "frontier": Law(MODES),
    "few outliers": Law(MODES, 0.03),
    "many outliers": Law(MODES, 0.3),
    "unequal": Law(Modes((-3, 0, 2.5), (0.3, 0.15, 0.5), (0.6, 0.3, 0.1))),
    "broad": Law(Modes((-2, 1), (0.3, 1.5), (0.7, 0.3))),
}
"""The last has a broad mode of its own, which is no outlier."""


@dataclass
class Scene:
    """One noise level on the nodes of a grid: density p (n,), log p, exact ε and u* (n, 1)."""

    idea: Idea
    law: Distribution
    alpha: float
    sigma: float

    def __post_init__(self) -> None:
        idea, s = self.idea, self.sigma
        size = idea.r0 * (self.alpha / s if idea.name == "data" else s**idea.rho)
        self.radii = [min(r, CLIP) for r in ([size, idea.value * s**idea.rho] if idea.name == "two radii" else [size])]
        self.grid: Grid = GRID(self.law, self.alpha, s, max(self.radii))
        self.x = self.grid.points()
        self.log_p = self.law.log_prob(self.x, self.alpha, s)
        self.log_p = (self.log_p - self.log_p.max()).clamp(min=-69)
        self.exact = -s * self.law.score(self.x, self.alpha, s)
        self.target = self.x - s * self.exact

    def shift(self) -> tuple[Tensor, float]:
        """ε - ε* at the nodes (n, 1), and how far an iteration still moves it, root mean square over p."""
        name, lam, value = self.idea.name, self.idea.lam, self.idea.value
        if lam == 0 or (name == "early" and self.sigma < value) or (name == "late" and self.sigma >= value):
            return torch.zeros_like(self.x), 0.0
        if name != "own density":
            return self.solved(self.pushes(self.log_p)), 0.0
        shift, step = torch.zeros_like(self.x), torch.zeros_like(self.x)
        for _ in range(ITERATIONS):
            step = self.solved(self.pushes(self.potential(self.exact + shift))) - shift
            shift = shift + step / 2
        p = self.log_p.exp()
        return shift, float(((step[:, 0].square() * p).sum() / p.sum()).sqrt())

    def solved(self, pushes: tuple[Tensor, Tensor]) -> Tensor:
        p, target = self.log_p.exp(), self.target
        if self.idea.name == "width told":
            target = target - self.x * (1 - self.kappa())
        return -on_a_line(p, target, *pushes, self.idea.lam, False) / self.sigma

    def kappa(self) -> float:
        """σ times the slope of the exact ε of a Gaussian of the standard deviation told."""
        return self.sigma**2 / (self.sigma**2 + (self.alpha * self.idea.value) ** 2)

    def potential(self, eps: Tensor) -> Tensor:
        """The log-density whose score is -ε/σ (n,), up to a constant."""
        flow = -eps[:, 0] / self.sigma * self.grid.step[0]
        return torch.cat([flow.new_zeros(1), ((flow[1:] + flow[:-1]) / 2).cumsum(0)])

    def pushes(self, log_p: Tensor) -> tuple[Tensor, Tensor]:
        """k g of i -> i + j and of i -> i - j (m + 1, n)."""
        laws = [uniform_law(r * self.sigma / self.grid.step[0]) for r in self.radii]
        k = torch.zeros(max(map(len, laws)), dtype=torch.float64)
        for law in laws:
            k[: len(law)] += law / len(laws)
        n = len(log_p)
        right = k[:, None].expand(-1, n).clone()
        left = right.clone()
        name, value = self.idea.name, self.idea.value
        for j in range(1, min(len(k), n)):
            if name in ("downhill", "own density"):
                fall = log_p[:-j] - log_p[j:]  # from i to i + j
                right[j, :-j] *= torch.sigmoid(fall - value)
                left[j, j:] *= torch.sigmoid(-fall - value)
        if name == "capped":
            p = log_p.exp()
            heard = torch.nn.functional.conv1d(
                p[None, None], torch.cat([k.flip(0)[:-1], k])[None, None], padding="same"
            )
            least = (value * p / (self.idea.lam * heard[0, 0])).clamp(max=1)
            for j in range(1, min(len(k), n)):
                right[j, :-j] *= least[j:]
                left[j, j:] *= least[:-j]
        return right, left


class Optimum(Given):
    """At every noise level asked for: the exact ε plus a spline through the difference. unsettled: the most so far."""

    def __init__(self, idea: Idea, law: Distribution):
        super().__init__(self.eps_at, DDPM(), torch.float64)
        self.idea, self.law, self.unsettled = idea, law, 0.0

    def eps_at(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = map(float, self.schedule(t))
        scene = Scene(self.idea, self.law, alpha, sigma)
        shift, unsettled = scene.shift()
        self.unsettled = max(self.unsettled, unsettled)
        return -sigma * self.law.score(x, alpha, sigma) + Spline(scene.grid, shift)(x)


def ideas() -> Iterator[Idea]:
    """Those tried on the law of the frontier."""
    yield PLAIN
    yield Idea("one-sided", 0.1)
    for name, value in itertools.product(("early", "late"), (0.4, 0.7)):
        yield Idea(name, 0.1, value=value)
    for lam, r0 in itertools.product((0.1, 0.3), (1.0, 2.0)):
        yield Idea("data", lam, r0, 0.0)
    yield Idea("two radii", 0.1, 1.0, value=6.0)
    for lam in (0.1, 0.3):
        yield Idea("width told", lam, value=0.3)
    for value in (0.3, 1.0):
        yield Idea("capped", 1.0, value=value)
    for name, lam, value in itertools.product(("downhill", "own density"), (1.0, 3.0), (2.0, 4.0, 6.0)):
        yield Idea(name, lam, value=value)


def elsewhere() -> Iterator[tuple[str, Idea]]:
    """On the other laws: settings on the frontier's line, and what beats them there."""
    line = (PLAIN, Idea("one-sided", 0.1), Idea("one-sided", 0.1, 6.0, 0.0))
    better = (Idea("downhill", 1.0, value=4.0), Idea("own density", 1.0, value=4.0))
    yield from itertools.product((name for name in LAWS if name != "frontier"), (*line, *better))
    yield from itertools.product(("unequal", "broad"), (Idea("own density", 1.0, value=6.0),))


@cache
def plain(modes: Modes) -> float:
    """W2 to the clean law of plain denoising on it."""
    return w2(samples(Optimum(PLAIN, modes.law)), quantiles(modes))


def judged(idea: Idea, law: Law) -> Outcome:
    """Trained on the contaminated law and on the clean one."""
    clean, wanted = law.modes.law, quantiles(law.modes)
    trained = [Optimum(idea, seen) for seen in (outliers(clean, law.share), clean)]
    contaminated, fair = map(samples, trained)
    price = w2(fair, wanted) - plain(law.modes)
    unsettled = max(optimum.unsettled for optimum in trained)
    return Outcome(*beside(law.modes, contaminated), w2(contaminated, wanted), price, unsettled)


def points() -> dict[tuple[str, ...], tuple[str, Idea]]:
    """The rows of the table by their first columns."""
    everything = [*(("frontier", idea) for idea in ideas()), *elsewhere()]
    return {(law, *map(str, idea)): (law, idea) for law, idea in everything}


def main() -> None:
    everything = points()

    def outcome(key: tuple[str, ...]) -> Outcome:
        law, idea = everything[key]
        return judged(idea, LAWS[law])

    rows = completed(HERE / "ideas.csv", NAMES, everything, Outcome._fields, outcome)
    known = list(csv.DictReader((HERE / "frontier.csv").open()))
    saved(lambda: tried(rows, known), HERE / "ideas")


if __name__ == "__main__":
    main()
