"""How much contamination an objective can remove, and what that costs on clean data: exactly, without a network.

    python -m benchmarks.frontier        about half an hour on one core; goes on where it stopped
                                         writes figures/frontier/frontier.{csv,png,svg}

For every setting of equivariant training with random pushes, the exact optimum over all functions (toylab.theory) is
sampled as a trained network would be, twice: trained on the contaminated law and trained on the clean one. Two
Gaussians on the line, 10 % of the points uniform on [-6, 6]; 100 DDIM steps from 5,000 quantiles of N(0, 1), so that
nothing is random. The settings: λ_t = λ s^q and a fixed radius r = r0 s^ρ, at most 10, with s = σ_t; the gradient
through ε(x_t) or not (where not, only the pushed point is drawn to the other: `through` of the objective).

    outliers     share of the samples beyond 4 standard deviations of a mode, trained on the contaminated law
    width        root mean square distance of the others to their mode, over the clean law's 0.3
    distance     W2 of the samples to the clean law
    price        W2 of the samples to the clean law, trained on the clean law, less that of plain denoising
"""

import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from torch import Tensor

from toylab.contamination import outliers
from toylab.denoisers import Denoiser
from toylab.distributions import Distribution
from toylab.distributions.named import two_gaussians
from toylab.figures.style import STYLE, save
from toylab.objectives import Plan, robust_ran
from toylab.perturbations import Radius
from toylab.samplers import ddim, sample
from toylab.schedules import DDPM
from toylab.theory import Fitted, GridOptimum

HERE = Path(__file__).parents[1] / "figures" / "frontier"
CLEAN = two_gaussians()
SEEN = outliers(CLEAN, 0.1)
STEPS, POINTS = 100, 5_000
GRID = Fitted(step=1 / 6, most=1201)


class Setting(NamedTuple):
    """Of the regulariser; λ = 0 is plain denoising."""

    lam: float
    r0: float = 1.0
    rho: float = 0.0
    q: float = 0.0
    through: bool = True

    def optimum(self, law: Distribution) -> Denoiser:
        radius = Radius(self.r0, self.rho, 0.0, random=False)
        objective = robust_ran(self.lam, radius, through=self.through, plan=Plan(rho=self.q))
        return GridOptimum(objective, law, DDPM(), GRID)


class Outcome(NamedTuple):
    """What the module's text names."""

    outliers: float
    width: float
    distance: float
    price: float


def settings() -> Iterator[Setting]:
    """Plain denoising, then the map."""
    yield Setting(0.0)
    for values in itertools.product(
        (0.1, 0.3, 1.0, 3.0), (1.0, 3.0, 6.0, 10.0), (-1.0, -0.5, 0.0, 1.0, 2.0), (0.0, 1.0), (True, False)
    ):
        yield Setting(*values)


def samples(denoiser: Denoiser) -> Tensor:
    """(n,), in order."""
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    start = torch.special.ndtri(share)[:, None]
    return sample(ddim, denoiser, start, STEPS)[:, 0].sort().values


def quantiles() -> Tensor:
    """The clean law's, at the same shares (n,): by interpolation of its distribution function."""
    x = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
    cdf = torch.special.ndtr((x - CLEAN.means) / 0.3).mean(0)
    share = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    above = torch.searchsorted(cdf, share)
    weight = (share - cdf[above - 1]) / (cdf[above] - cdf[above - 1])
    return torch.lerp(x[above - 1], x[above], weight)


def judged(setting: Setting, plain: float, law: Tensor) -> Outcome:
    """plain: W2 to the clean law of plain denoising on it."""
    x = samples(setting.optimum(SEEN))
    off = (x[:, None] - CLEAN.means[:, 0]).abs().amin(1)
    inside = off < 4 * 0.3
    return Outcome(
        1 - float(inside.double().mean()),
        float(off[inside].square().mean().sqrt()) / 0.3,
        w2(x, law),
        w2(samples(setting.optimum(CLEAN)), law) - plain,
    )


def w2(x: Tensor, y: Tensor) -> float:
    """Of two ordered samples of one size."""
    return float((x - y).square().mean().sqrt())


def mapped(path: Path) -> list[dict[str, str]]:
    """The rows of the map, those that are missing computed and written one by one."""
    law = quantiles()
    plain = w2(samples(Setting(0.0).optimum(CLEAN)), law)
    columns = [*Setting._fields, *Outcome._fields]
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    known = {tuple(row[key] for key in Setting._fields) for row in rows}
    everything = list(settings())
    for number, setting in enumerate(everything, start=1):
        named = {key: str(value) for key, value in setting._asdict().items()}
        if tuple(named.values()) in known:
            continue
        print(f"{number} of {len(everything)}: {setting}", file=sys.stderr, flush=True)
        outcome = judged(setting, plain, law)
        rows.append(named | {key: f"{value:.5g}" for key, value in outcome._asdict().items()})
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return rows


def drawn(rows: list[dict[str, str]]) -> Figure:
    """Outliers left against the price on clean data, and against the width of the modes."""
    figure = Figure(figsize=(6.6, 2.9), layout="tight")
    for ax, key, label in zip(
        figure.subplots(1, 2, sharey=True),
        ("price", "width"),
        ("price on clean data, in W2", "mode width, true = 1"),
        strict=True,
    ):
        for through, colour, name in (("True", "#0173b2", "both ends move"), ("False", "#d55e00", "one end moves")):
            some = [row for row in rows if row["through"] == through and float(row["lam"]) > 0]
            at = [[float(row[k]) for row in some] for k in (key, "outliers")]
            ax.scatter(*at, s=5, color=colour, alpha=0.6, lw=0, label=name)
        (plain,) = (row for row in rows if float(row["lam"]) == 0)
        ax.plot(float(plain[key]), float(plain["outliers"]), "k*", ms=7, label="plain denoising")
        ax.set_xlabel(label)
    figure.axes[0].set_ylabel("outlier mass")
    figure.axes[0].set_xscale("symlog", linthresh=1e-2)
    figure.axes[0].set_xlim(left=-1e-3)
    figure.axes[0].legend(loc="upper left")
    return figure


def main() -> None:
    HERE.mkdir(parents=True, exist_ok=True)
    rows = mapped(HERE / "frontier.csv")
    with mpl.rc_context(STYLE):
        figure = drawn(rows)
        for suffix in (".png", ".svg"):
            save(figure, HERE / f"frontier{suffix}")


if __name__ == "__main__":
    main()
