"""How far the exact optimum of adversarial training on a Gaussian is from the best affine model.

    python -m benchmarks.affine_gap      seconds; writes figures/affine-gap/affine-gap.{csv,png,svg}

The closed form on Gaussians (toylab.theory.gaussian_optimum) is the best *affine* model; over all functions the optimum
(toylab.theory.grid_optimum) bends, as pushes from where the data is dense count for more. One Gaussian N(0, 1) on the
line, α = 0.8, σ = 0.6, λ = 0.7, a fixed radius r: the root mean square, under p_t, of the distance between the two, and
of the distance of the affine one to the exact ε, which is what training does at all. The first falls as r⁴, the second
as r², so that the closed form is right for small pushes.
"""

import csv
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.figure import Figure

from toylab.distributions import GaussianMixture
from toylab.figures.style import STYLE, save
from toylab.objectives import Regularised, invariance, robust_adv, robust_ran
from toylab.perturbations import Radius
from toylab.theory import Fitted, gaussian_optimum, grid_optimum

HERE = Path(__file__).parents[1] / "figures" / "affine-gap"
ALPHA, SIGMA, LAMBDA = 0.8, 0.6, 0.7
RADII = [0.1 * 2 ** (k / 2) for k in range(11)]
LAW = GaussianMixture([[0.0]], std=1.0)


def objectives(r: float) -> dict[str, Regularised]:
    radius = Radius(r, 0.0, 0.0, random=False)
    return {
        "robust-ran": robust_ran(LAMBDA, radius),
        "robust-adv": robust_adv(LAMBDA, radius),
        "invariance": invariance(LAMBDA, radius, "random"),
    }


def distances(objective: Regularised, r: float) -> tuple[float, float]:
    """RMS of grid optimum minus affine optimum, and of affine optimum minus exact ε."""
    solution = grid_optimum(objective, LAW, ALPHA, SIGMA, Fitted(step=min(1 / 24, r / 16), most=12_001))
    x, p = solution.grid.points(), solution.density[:, None]
    matrix, bias = gaussian_optimum(objective, LAW, ALPHA, SIGMA)
    affine, exact = x @ matrix.mT + bias, -SIGMA * LAW.score(x, ALPHA, SIGMA)

    def rms(change: torch.Tensor) -> float:
        return float(((change.square() * p).sum() / p.sum()).sqrt())

    return rms(solution.eps(x) - affine), rms(affine - exact)


def main() -> None:
    rows = [(name, r, *distances(objective, r)) for r in RADII for name, objective in objectives(r).items()]
    HERE.mkdir(parents=True, exist_ok=True)
    with (HERE / "affine-gap.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["objective", "radius", "gap", "shift"])
        writer.writerows([name, f"{r:.6g}", f"{gap:.6g}", f"{shift:.6g}"] for name, r, gap, shift in rows)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.8), layout="tight")
        ax = figure.subplots()
        for colour, name in zip(("#de8f05", "#029e73", "#d55e00"), objectives(1.0), strict=True):
            mine = [row for row in rows if row[0] == name]
            radii = [row[1] for row in mine]
            ax.loglog(radii, [row[3] for row in mine], ":", color=colour, lw=1)
            ax.loglog(radii, [row[2] for row in mine], "o-", ms=3, color=colour, lw=1, label=name)
        ax.set(xlabel="radius r, in noise units", ylabel="RMS of ε")
        ax.set_title("solid: best function - best affine; dotted: best affine - exact")
        ax.legend()
        for suffix in (".png", ".svg"):
            save(figure, HERE / f"affine-gap{suffix}")


if __name__ == "__main__":
    main()
