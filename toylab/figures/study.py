"""Figures of a study: what its run folder holds, drawn."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.configuration import ScheduleChoice, validate
from toylab.figures.style import LONGEST, arrows, colour, frame, methods, panels, without_twins
from toylab.metrics.support import MOST_DECIBELS
from toylab.results import REFERENCES, interval
from toylab.runs import Run

_IMAGES = 16  # a line
_AGAINST = {
    "clean": "against the clean law's score",
    "contaminated": "against the contaminated law's score",
    "theory": "against the objective's optimum",
}


def samples(run: Run) -> Figure:
    """Samples of the first seed of every method over the clean law's density."""
    stored, grid = without_twins(run.arrays("samples.npz")), run.arrays("fields.npz")
    dim = next(iter(stored.values())).shape[-1]
    reach = 1.05 * _reach(stored) or 1.0
    figure, axes = panels(len(stored))
    for ax, (name, points) in zip(axes, stored.items(), strict=False):
        x = points[0]
        beyond = float(np.mean(~(np.abs(x) <= reach).all(1)))
        if dim == 1:
            _histogram(ax, x[:, 0], grid, reach, colour(name, list(stored)))
        else:
            _scatter(ax, x, grid, reach, colour(name, list(stored)))
        ax.set_title(name + (f"\n{100 * beyond:.0f} % outside the frame" if beyond > 0.005 else ""))
    return figure


def _reach(stored: Mapping[str, np.ndarray]) -> float:
    """What holds the clean law, and of what was trained on all but the last of long tails."""
    found = float(np.nanmax(np.abs(stored["clean-samples"])))
    seen = stored.get("contaminated-samples")
    return found if seen is None else max(found, float(np.nanquantile(np.abs(seen), 0.995)))


def score_error(run: Run) -> Figure | None:
    """Mean squared error of ε over noise levels against each exact law, with 95 % intervals over seeds; None where it
    was not measured."""
    rows = [row for row in run.rows if row["metric"] == "eps-mse" and row["t"]]
    schedule = validate(ScheduleChoice, run.config["schedule"]).build()
    levels = sorted({row["t"] for row in rows}, key=float)
    ratios = [float(sigma / alpha) for alpha, sigma in (schedule(float(t)) for t in levels)]
    laws = [law for law in ("clean", "contaminated", "theory") if any(row["against"] == law for row in rows)]
    if not laws:
        return None
    figure = Figure(figsize=(3.3 * len(laws), 2.6), layout="tight")
    axes = figure.subplots(1, len(laws), sharey=True, squeeze=False)
    everyone = methods(run.rows)
    for ax, law in zip(axes[0], laws, strict=True):
        for name in without_twins(dict.fromkeys(everyone)):
            found = [interval(rows, name, "eps-mse", law, t) for t in levels]
            means = np.array([i.mean if i else np.nan for i in found])
            half = np.array([i.half if i else np.nan for i in found])
            if not (means > 1e-9).any():
                continue  # the law's own score has no error to draw
            style = "--" if name.startswith(REFERENCES) else "-"
            ax.plot(ratios, means, style, color=colour(name, everyone), lw=1.2, label=name)
            low, high = np.maximum(means - np.nan_to_num(half), means / 10), means + np.nan_to_num(half)
            ax.fill_between(ratios, low, high, color=colour(name, everyone), alpha=0.2, lw=0)
        ax.set(xscale="log", yscale="log", xlabel="noise level σ/α", title=_AGAINST[law])
    axes[0][0].set_ylabel("mean squared error of ε")
    handles = {label: h for ax in axes[0] for h, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def outlier_mass(run: Run) -> Figure | None:
    """Outlier mass of every method with its 95 % interval, beside the two laws' own; None where it was not measured."""
    return _dots(run, "outlier-mass", "share of samples outside the clean law's 99.9 % region")


def psnr(run: Run) -> Figure | None:
    """PSNR of samples against their projections on the clean law's subspace, beside that of points trained on; without
    what lies on the subspace, where it is infinite."""
    return _dots(run, "psnr", "PSNR of samples against the subspace, dB", hidden=MOST_DECIBELS)


def images(run: Run) -> Figure | None:
    """Samples of the first seed as square images, black -1 and white 1, a line a method; None where they are not
    square."""
    stored = without_twins(run.arrays("samples.npz"))
    side = round(next(iter(stored.values())).shape[-1] ** 0.5)
    if any(points.shape[-1] != side**2 for points in stored.values()):
        return None
    figure = Figure(figsize=(5.2, 0.28 * len(stored)), layout="constrained")
    for ax, (name, points) in zip(figure.subplots(len(stored), 1, squeeze=False)[:, 0], stored.items(), strict=True):
        row = points[0, :_IMAGES].reshape(-1, side, side)
        ax.imshow(np.pad(row, ((0, 0), (0, 0), (0, 1)), constant_values=1).transpose(1, 0, 2).reshape(side, -1),
                  cmap="gray", vmin=-1, vmax=1)  # fmt: skip
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
    return figure


def _dots(run: Run, metric: str, label: str, hidden: float = math.inf) -> Figure | None:
    """A metric of every method with its 95 % interval, lines for the two laws' own; without what reaches `hidden`."""
    rows = run.rows
    found = {name: interval(rows, name, metric, "clean") for name in without_twins(dict.fromkeys(methods(rows)))}
    known = {name: value for name, value in found.items() if value is not None and not value.mean >= hidden}
    if not known:
        return None
    names = [name for name, value in found.items() if value is None or name in known]
    figure = Figure(figsize=(4.2, 0.27 * len(names) + 0.7), layout="tight")
    ax = figure.subplots()
    for y, name in enumerate(reversed(names)):
        if name in known:
            mean, half = known[name]
            ax.errorbar(mean, y, xerr=half, fmt="o", ms=4, capsize=2, color=colour(name, names), lw=1.2)
    for name, style in (("clean-samples", ":"), ("contaminated-samples", "--")):
        if name in known:
            ax.axvline(known[name].mean, ls=style, color="0.5", lw=0.8, zorder=0)
    ax.set_yticks(range(len(names)), list(reversed(names)))
    ax.set_xlabel(label)
    ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    return figure


def score_field(run: Run) -> Figure | None:
    """The score of every denoiser at one noise level beside the exact ones, first seed; None beyond 2-D."""
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
            _density(ax, grid)
            arrows(ax, x, score, color=colour(name, methods(run.rows)))
            frame(ax)
        ax.set_title(name)
    cut = f", arrows cut at {LONGEST:g}" if x.shape[1] == 2 else ""
    figure.suptitle(f"σ · score at σ/α = {float(grid['drawn_ratio']):.2g}{cut}", fontsize=8)
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
        shown: list[tuple[str, str | tuple[float, ...], str, float]] = [
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


def _scatter(ax: Axes, x: np.ndarray, grid: dict[str, np.ndarray], reach: float, colour: tuple[float, ...]) -> None:
    ax.scatter(x[:, 0], x[:, 1], s=1.5, color=colour, alpha=0.35, lw=0, rasterized=True)
    _density(ax, grid)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    frame(ax)


def _histogram(ax: Axes, x: np.ndarray, grid: dict[str, np.ndarray], reach: float, colour: tuple[float, ...]) -> None:
    inside = x[np.abs(x) <= reach]
    heights, edges = np.histogram(inside, bins=80, range=(-reach, reach))
    ax.stairs(heights / (len(x) * np.diff(edges)), edges, fill=True, color=colour, alpha=0.5)
    if "log_density" in grid:
        ax.plot(grid["axis"], np.exp(grid["log_density"]), color="0.3", lw=0.8)
    ax.set(xlim=(-reach, reach), yticks=[])


def _density(ax: Axes, grid: dict[str, np.ndarray]) -> None:
    """Contours of the clean law at 1, 10 and 50 % of its peak."""
    if "log_density" in grid:
        axis = grid["axis"]
        density = np.exp(grid["log_density"] - grid["log_density"].max()).reshape(len(axis), len(axis))
        ax.contour(axis, axis, density.T, levels=[0.01, 0.1, 0.5], colors="0.3", linewidths=0.5)
