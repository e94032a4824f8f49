"""Figures of what a run has stored of its denoisers: score fields, and the paths of samples.

In one or two dimensions, or on a cut (experiments/fields.py).
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.figures.style import LONGEST, arrows, colour, frame, methods, panels, without_twins
from toylab.runs import Run

Arrays = Mapping[str, np.ndarray]

_CUT = "cut through the mean: across, along the law's subspace; upwards, normal to it"


def score_field(run: Run) -> Figure | None:
    """The score of every denoiser at one noise level beside the exact ones, first seed; None where none are
    stored."""
    grid = run.arrays("fields.npz")
    scores = {name.removeprefix("score/"): v for name, v in grid.items() if name.startswith("score/")}
    scores = without_twins(scores)
    if not scores:
        return None
    x = grid["x"]
    figure, axes = panels(len(scores))
    for ax, (name, score) in zip(axes, scores.items(), strict=False):
        if x.shape[1] == 1:
            ax.plot(x[:, 0], scores["exact-clean"][:, 0], color="0.6", lw=2)
            ax.plot(x[:, 0], score[:, 0], color=colour(name, methods(run.rows)), lw=1)
        else:
            density(ax, grid)
            arrows(ax, x, score, color=colour(name, methods(run.rows)))
            frame(ax)
        ax.set_title(name)
    longest = f", arrows cut at {LONGEST:g}" if x.shape[1] == 2 else ""
    _say_cut(figure, f"σ · score at σ/α = {float(grid['drawn_ratio']):.2g}{longest}", grid)
    return figure


def what_is_learned(run: Run) -> Figure | None:
    """ε of the clean and contaminated laws, of each objective's exact optimum and of what a network learned of it, at
    one noise level, first seed; below, what differs from the contaminated law's. None without optima, and beyond 1-D.
    """
    grid = run.arrays("fields.npz")
    names = [name.removeprefix("score/optimum-") for name in grid if name.startswith("score/optimum-")]
    if not names or grid["x"].shape[1] != 1:
        return None
    everyone, seen = methods(run.rows), "exact-contaminated" if "score/exact-contaminated" in grid else "exact-clean"
    eps = {name.removeprefix("score/"): -v[:, 0] for name, v in grid.items() if name.startswith("score/")}
    figure = Figure(figsize=(1.7 * len(names) + 0.6, 3.4), layout="tight")
    rows = figure.subplots(2, len(names), sharex=True, sharey="row", squeeze=False)
    for (above, below), name in zip(rows.T, names, strict=True):
        shown: list[tuple[str, str, str, float]] = [
            (seen, "0.7", "-", 2.5),
            ("exact-clean", "0.5", ":", 1.0),
            (name, colour(name, everyone), "-", 1.6),
            (f"optimum-{name}", "black", "--", 0.8),
        ]
        for line, shade, style, width in shown:
            for ax, base in ((above, 0.0), (below, eps[seen])):
                ax.plot(grid["x"][:, 0], eps[line] - base, style, color=shade, lw=width)
        above.set_title(name)
        below.set_xlabel("x_t / α")
    most = max(np.abs(eps[f"optimum-{name}"] - eps[seen]).max() for name in names)
    rows[1][0].set_ylim(-1.5 * most, 1.5 * most)  # the clean law's goes far beyond
    rows[0][0].set_ylabel("ε")
    rows[1][0].set_ylabel(f"ε minus {seen}'s")
    lines = f"colour: learned; black: exact optimum; grey: {seen}; dotted: exact-clean"
    figure.suptitle(f"{lines}; σ/α = {float(grid['drawn_ratio']):.2g}", fontsize=8)
    return figure


def trajectories(run: Run) -> Figure | None:
    """Paths of samples of every denoiser, first seed, from the same noise, over the clean law's density: x_t on the
    scale of unit noise, x_t/√(α² + σ²); dots are where they end. None where none are stored."""
    stored, grid = without_twins(run.arrays("trajectories.npz")), run.arrays("fields.npz")
    if not stored:
        return None
    times, everyone = stored.pop("t"), methods(run.rows)
    exact = [path for name, path in stored.items() if name.startswith("exact-")] or [*stored.values()]
    reach = max(float(np.abs(grid["axis"]).max()), *(1.05 * float(np.abs(path).max()) for path in exact))
    figure, axes = panels(len(stored))
    for ax, (name, path) in zip(axes, stored.items(), strict=False):
        _paths(ax, times, path, reach, colour(name, everyone))
        if path.shape[-1] == 2:
            density(ax, grid)
        ax.set_title(name)
    if path.shape[-1] == 1:
        figure.supxlabel("t", fontsize=8)
        figure.supylabel("x_t / √(α² + σ²)", fontsize=8)
    _say_cut(figure, "paths from the same noise to data", grid)
    return figure


def _paths(ax: Axes, times: np.ndarray, path: np.ndarray, reach: float, shade: str) -> None:
    """Of points (n, k, d): in the plane, or over time from right to left on a line."""
    ends = path[:, -1]
    if path.shape[-1] == 1:
        lines = ax.plot(times, path[..., 0].T, color=shade)
        ax.scatter(np.zeros(len(ends)), ends, s=6, color=[shade], lw=0, zorder=3)
        ax.set(ylim=(-reach, reach))
    else:
        lines = [line for one in path for line in ax.plot(*one.T, color=shade)]
        ax.scatter(ends[:, 0], ends[:, 1], s=6, color=[shade], lw=0, zorder=3)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
        frame(ax)
    for line in lines:
        line.set(linewidth=0.5, alpha=0.6, rasterized=True)


def projected(points: np.ndarray, grid: Arrays) -> np.ndarray:
    """Points (n, d) in the coordinates of what is drawn: their own, or those of the cut."""
    return (points - grid["origin"]) @ grid["axes"].T if "axes" in grid else points


def _say_cut(figure: Figure, title: str, grid: Arrays) -> None:
    figure.suptitle(f"{title}\n{_CUT}" if "axes" in grid else title, fontsize=8)


def density(ax: Axes, grid: Arrays) -> None:
    """The clean law: contours of its density at 1, 10 and 50 % of its peak; on a cut, a line where it lies, as far as
    its density there is 1 % of its peak."""
    if "log_density" in grid:
        axis = grid["axis"]
        relative = np.exp(grid["log_density"] - grid["log_density"].max()).reshape(len(axis), len(axis))
        ax.contour(axis, axis, relative.T, levels=[0.01, 0.1, 0.5], colors="0.3", linewidths=0.5)
    if "log_density_within" in grid:
        relative = np.exp(grid["log_density_within"] - grid["log_density_within"].max())
        on = np.where(relative >= 0.01, grid["axis"], np.nan)
        ax.plot(on, np.zeros_like(on), color="0.2", lw=1.0, zorder=0.5)
