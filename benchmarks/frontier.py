"""How much contamination an objective can remove, and what that costs on clean data: exactly, without a network.

    python -m benchmarks.frontier        about three quarters of an hour on one core, half a minute a setting of FGSM;
                                         goes on where it stopped, writes figures/frontier/frontier.{csv,png,svg}

For every setting of equivariant training, the exact optimum over all functions (toylab.theory) is sampled as a trained
network would be, twice: trained on the contaminated law and trained on the clean one. Two Gaussians on the line, 10 %
of the points uniform on [-6, 6]; 100 DDIM steps from 5,000 quantiles of N(0, 1), so that nothing is random. The
settings: λ_t = λ s^q and a radius r = r0 s^ρ + bias, at most 10, with s = σ_t, fixed or (`draw`) uniform up to that;
pushes that are random or by FGSM; the gradient through ε(x_t) or not (where not, *one-sided*, only the pushed point is
drawn to the other: `through` of the objective). `method` is `map`, or a shipped objective with its own setting, plain
denoising (`ddpm`), or that on clean data (`oracle-clean`).

    outliers     share of the samples beyond 4 standard deviations of a mode, trained on the contaminated law
    width        root mean square distance of the others to their mode, over the clean law's 0.3
    distance     W2 of the samples to the clean law
    price        W2 of the samples to the clean law, trained on the clean law, less that of plain denoising
    unsettled    how far FGSM's fixed point is from being one: the most over both laws and all levels, in noise units,
                 root mean square (toylab/theory/adversarial.py); 0 for random pushes

FGSM, which takes longest, is mapped at fewer settings: λ flat and at most 1, r0 at most 3. Its fixed point does not
settle at every level: where `unsettled` is above 0.01 the figure has a setting hollow.
"""

import csv
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.frontier_figure import Row, drawn, saved
from toylab.contamination import outliers
from toylab.denoisers import Denoiser
from toylab.distributions import Distribution, GaussianMixture
from toylab.objectives import Plan, Regularised, robust_adv, robust_onesided, robust_ran
from toylab.perturbations import FGSM, Direction, Radius, Random
from toylab.samplers import ddim, sample
from toylab.samplers.spacing import grid
from toylab.schedules import DDPM
from toylab.theory import Fitted, GridOptimum

HERE = Path(__file__).parents[1] / "figures" / "frontier"


class Modes:
    """A mixture of Gaussians on the line: means, std (K, 1) and weights (K,), which sum to 1."""

    def __init__(self, means: Sequence[float], std: Sequence[float], weights: Sequence[float]):
        self.means, self.std = (torch.tensor(v, dtype=torch.float64)[:, None] for v in (means, std))
        self.weights = torch.tensor(weights, dtype=torch.float64)
        self.law = GaussianMixture(self.means, std=self.std, weights=self.weights)


MODES = Modes((-2, 2), (0.3, 0.3), (0.5, 0.5))
CLEAN = MODES.law
SEEN = outliers(CLEAN, 0.1)
STEPS, POINTS = 100, 5_000
GRID = Fitted(step=1 / 6, most=1201)


DIRECTIONS: dict[str, Direction] = {"random": Random(), "fgsm": FGSM()}


class Setting(NamedTuple):
    """Of the regulariser; λ = 0 is plain denoising."""

    lam: float
    r0: float = 1.0
    rho: float = 0.0
    q: float = 0.0
    through: bool = True
    direction: str = "random"
    bias: float = 0.0
    draw: bool = False

    @classmethod
    def of(cls, asked: Regularised) -> "Setting":
        """That of an objective as it is shipped."""
        r = asked.radius
        (direction,) = (name for name, known in DIRECTIONS.items() if known == asked.direction)
        lam, r0, rho, bias = (float(torch.as_tensor(v, dtype=torch.float64)) for v in (asked.lam, r.r0, r.rho, r.bias))
        return cls(lam, r0, rho, asked.plan.rho, asked.through, direction, bias, r.random)

    def optimum(self, law: Distribution) -> GridOptimum:
        radius = Radius(self.r0, self.rho, self.bias, random=self.draw)
        objective = Regularised(
            self.lam, radius, DIRECTIONS[self.direction], through=self.through, plan=Plan(rho=self.q)
        )
        return GridOptimum(objective, law, DDPM(), GRID)


class Outcome(NamedTuple):
    """What the module's text names."""

    outliers: float
    width: float
    distance: float
    price: float
    unsettled: float


class Point(NamedTuple):
    """A row: of the map, or the shipped objective of this name."""

    method: str
    setting: Setting

    @property
    def key(self) -> tuple[str, ...]:
        """Its row's first columns."""
        return self.method, *map(str, self.setting)


PLAIN = Point("ddpm", Setting(0.0))
CLEAN_SCORE = Point("oracle-clean", Setting(0.0))
"""Plain denoising on the clean law, whatever is contaminated."""
SHIPPED: dict[str, Callable[[], Regularised]] = {
    "robust-onesided": robust_onesided,
    "robust-ran": robust_ran,
    "robust-adv": robust_adv,
}


def points() -> Iterator[Point]:
    """Plain denoising, the shipped objectives, the map of random pushes, and that of FGSM."""
    yield PLAIN
    yield CLEAN_SCORE
    for name, objective in SHIPPED.items():
        yield Point(name, Setting.of(objective()))
    for values in itertools.product(
        (0.1, 0.3, 1.0, 3.0), (1.0, 3.0, 6.0, 10.0), (-1.0, -0.5, 0.0, 1.0, 2.0), (0.0, 1.0), (True, False)
    ):
        yield Point("map", Setting(*values))
    for lam, r0, rho, through in itertools.product((0.1, 0.3, 1.0), (1.0, 3.0), (-0.5, 0.0, 2.0), (True, False)):
        yield Point("map", Setting(lam, r0, rho, 0.0, through, "fgsm"))


def samples(denoiser: Denoiser) -> Tensor:
    """(n,), in order."""
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    start = torch.special.ndtri(share)[:, None]
    return sample(ddim, denoiser, start, STEPS)[:, 0].sort().values


def quantiles(modes: Modes = MODES) -> Tensor:
    """At the same shares (n,): by interpolation of the distribution function."""
    x = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
    cdf = modes.weights @ torch.special.ndtr((x - modes.means) / modes.std)
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    above = torch.searchsorted(cdf, share)
    weight = (share - cdf[above - 1]) / (cdf[above] - cdf[above - 1])
    return torch.lerp(x[above - 1], x[above], weight)


def beside(modes: Modes, x: Tensor) -> tuple[float, float]:
    """The outlier mass of samples (n,), and the width of the modes that the others make, true = 1."""
    off = ((x - modes.means) / modes.std).abs().amin(0)
    inside = off < 4
    return 1 - float(inside.double().mean()), float(off[inside].square().mean().sqrt())


def judged(setting: Setting, plain: float, law: Tensor, seen: Distribution = SEEN) -> Outcome:
    """plain: W2 to the clean law of plain denoising on it; law: its quantiles; seen: what the optimum is trained on."""
    contaminated, clean = setting.optimum(seen), setting.optimum(CLEAN)
    x = samples(contaminated)
    return Outcome(
        *beside(MODES, x),
        w2(x, law),
        w2(samples(clean), law) - plain,
        max(optimum.solution(t).unsettled for optimum in (contaminated, clean) for t in grid(DDPM(), STEPS).tolist()),
    )


def w2(x: Tensor, y: Tensor) -> float:
    """Of two ordered samples of one size."""
    return float((x - y).square().mean().sqrt())


def mapped(path: Path) -> list[Row]:
    """The rows of the map, those that are missing computed."""
    law = quantiles()
    plain = w2(samples(PLAIN.setting.optimum(CLEAN)), law)

    def outcome(key: tuple[str, ...]) -> Outcome:
        point = everything[key]
        return judged(point.setting, plain, law, CLEAN if point == CLEAN_SCORE else SEEN)

    everything = {point.key: point for point in points()}
    return completed(path, ("method", *Setting._fields), everything, Outcome._fields, outcome)


def completed(
    path: Path,
    names: Sequence[str],
    keys: Iterable[tuple[str, ...]],
    measures: Sequence[str],
    measured: Callable[[tuple[str, ...]], Iterable[float]],
) -> list[Row]:
    """The rows of a table, one a key and in their order, those that are missing measured and written one by one."""
    known = list(csv.DictReader(path.open())) if path.exists() else []
    rows = {tuple(row[name] for name in names): row for row in known}
    keys = list(keys)
    for number, key in enumerate(keys, start=1):
        if key in rows:
            continue
        print(f"{number} of {len(keys)}: {', '.join(key)}", file=sys.stderr, flush=True)
        values = (*key, *(f"{value:.5g}" for value in measured(key)))
        rows[key] = dict(zip((*names, *measures), values, strict=True))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*names, *measures], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows[key] for key in keys if key in rows)
    return [rows[key] for key in keys]


def main() -> None:
    HERE.mkdir(parents=True, exist_ok=True)
    rows = mapped(HERE / "frontier.csv")
    saved(lambda: drawn(rows), HERE / "frontier")


if __name__ == "__main__":
    main()
