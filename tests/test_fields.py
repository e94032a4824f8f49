"""What a run stores to be drawn, against closed forms; and the figures of it, from arrays and rows made by hand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from scipy.stats import norm

from toylab.denoisers import Exact
from toylab.distributions.named import oblique_plane
from toylab.experiments.fields import LEVELS, PATHS, STATES, along_paths, on_grid, paths
from toylab.experiments.laboratory import Laboratory
from toylab.figures import fields, levels, study
from toylab.launch import configure
from toylab.results import Measurement, from_csv, to_csv
from toylab.runs import Run
from toylab.samplers import sample


def laboratory(name: str, **changes: Any) -> Laboratory:
    return Laboratory(configure(name, "smoke", changes=[changes]).settings, torch.device("cpu"))


def exact(lab: Laboratory) -> dict[str, Exact]:
    laws = {"exact-clean": lab.clean, "exact-contaminated": lab.seen}
    return {name: Exact(law, lab.schedule) for name, law in laws.items()}


def test_the_scores_on_the_cut_of_the_plane_are_those_of_the_square_and_its_noise():
    """In x/α: a square with sides 2 and noise of deviation r, or √(r² + 0.2²), differentiated along the cut."""
    lab = laboratory("plane-inliers")
    found = on_grid(exact(lab), lab)
    tangent, normal = found["axes"]
    assert np.abs(normal) == pytest.approx(np.full(3, 3**-0.5))
    assert np.array([tangent @ normal, tangent @ tangent]) == pytest.approx(np.array([0, 1]), abs=1e-12)
    r, x = float(found["drawn_ratio"]), found["x"]

    def log_density(u: np.ndarray, v: np.ndarray, parts: list[tuple[float, float]]) -> np.ndarray:
        square = sum(
            w * norm.pdf(v, scale=s) * (norm.cdf((1 - u) / s) - norm.cdf((-1 - u) / s)) * (2 * norm.cdf(1 / s) - 1)
            for w, s in parts
        )
        return np.log(square)

    for name, parts in (
        ("exact-clean", [(1.0, r)]),
        ("exact-contaminated", [(0.1, r), (0.9, float(np.hypot(r, 0.2)))]),
    ):
        u, v, h = *x.T, 1e-5
        along = (log_density(u + h, v, parts) - log_density(u - h, v, parts)) / (2 * h)
        off = (log_density(u, v + h, parts) - log_density(u, v - h, parts)) / (2 * h)
        assert found[f"score/{name}"] == pytest.approx(r * np.stack([along, off], -1), abs=1e-6)
    inside = np.abs(found["axis"]) < 1
    assert found["log_density_within"] == pytest.approx(np.where(inside, -np.log(4), -np.inf))


def test_a_law_without_a_known_subspace_has_neither_fields_nor_paths():
    lab = laboratory("lab", law={"name": "sphere", "dim": 3})
    assert on_grid(exact(lab), lab) == along_paths(exact(lab), lab) == {}
    assert paths(exact(lab), lab) == {}
    lab = laboratory("lab", sampler="adaptive", nfe=1000)
    assert paths(exact(lab), lab) == {}


@pytest.mark.parametrize("schedule", ["ddpm", "ve"])
def test_fields_along_paths_are_those_of_the_law_at_levels_the_paths_go_through(schedule: str):
    """One Gaussian N(0, diag(v)): on the scale of √(α² + σ²), σ · score = -σ √(α² + σ²) u / (α² v + σ²)."""
    lab = laboratory("lab", law={"name": "gaussian", "dim": 2, "std": 0.9, "condition": 3.0}, schedule=schedule, nfe=60)
    found = along_paths({"exact-clean": Exact(lab.clean, lab.schedule)}, lab)
    times, u = found["along/t"], found["along/u"]
    assert len(times) == LEVELS
    assert np.isin(times, paths({}, lab)["t"]).all()
    for t, score in zip(times.tolist(), found["along/score/exact-clean"], strict=True):
        alpha, sigma = (float(level) for level in lab.schedule(t))
        want = -sigma * np.hypot(alpha, sigma) * u / (alpha**2 * np.array([0.81, 0.09]) + sigma**2)
        assert score == pytest.approx(want, abs=1e-5)


@pytest.mark.parametrize("schedule", ["ddpm", "ve"])
def test_paths_are_those_of_the_flow_from_noise_to_data(schedule: str):
    """On N(0, s² I) the flow is x_t ~ √(α²s² + σ²); Heun's 199 steps follow it to 1 %, and 101 states of each stay."""
    lab = laboratory(
        "lab", law={"name": "gaussian", "std": 0.5}, schedule=schedule, sampler="heun", spacing="log-snr", nfe=400
    )
    found = paths({"exact-clean": Exact(lab.clean, lab.schedule)}, lab)
    t, path = found["t"], found["exact-clean"]
    assert path.shape == (PATHS, STATES, 2)
    assert (t[0], t[-1]) == (lab.schedule.t_max, 0)
    assert (np.diff(t) < 0).all()
    alpha, sigma = lab.schedule(torch.from_numpy(t[:-1]))
    scale = np.append(((0.25 * alpha**2 + sigma**2) / (alpha**2 + sigma**2)).sqrt().numpy(), 0.5)
    expected = path[:, :1] * (scale / scale[0])[:, None]
    assert np.abs(path - expected).max() <= 0.01 * np.abs(path).max()
    assert path[:, 0].std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * path[:, 0].size))  # five standard errors


def test_all_start_from_the_same_noise_and_end_at_samples_on_the_cut():
    lab = laboratory("plane-inliers")
    denoisers = exact(lab)
    found = paths(denoisers, lab)
    assert (found["exact-clean"][:, 0] == found["exact-contaminated"][:, 0]).all()
    x, noise = lab.start(PATHS, "trajectories")
    ends = sample(lab.study.sampler.bind(), denoisers["exact-contaminated"], x, lab.study.nfe, noise)[0]
    law = oblique_plane()
    assert law.basis is not None
    assert found["exact-contaminated"][:, -1, 0] == pytest.approx((ends.double() @ law.basis[:, 0]).numpy(), abs=1e-6)
    off = np.abs((ends.double().sum(-1) / 3**0.5).numpy())
    assert np.abs(found["exact-contaminated"][:, -1, 1]) == pytest.approx(off, abs=1e-6)
    assert np.abs(found["exact-clean"][:, -1, 1]).max() < 1e-6


# -- drawn -------------------------------------------------------------------------------------------------------


def run_of(tmp_path: Path, **arrays: dict[str, np.ndarray]) -> Run:
    run = Run(tmp_path)
    for name, stored in arrays.items():
        run.write_arrays(f"{name}.npz", stored)
    run.write("results.csv", to_csv([Measurement(m, 0, "w2", "clean", 1.0, 0.0) for m in ("ddpm", "mine")], {}, {}))
    return run


CUT = {
    "axis": np.linspace(-2, 2, 5), "x": np.zeros((1, 2)), "drawn_ratio": np.array(0.2), "score/ddpm": np.ones((1, 2)),
    "origin": np.array([0, 1.0, 0]), "axes": np.array([[0, 1.0, 0], [0, 0, 1.0]]),
    "log_density_within": np.log(np.array([1e-12, 0.5, 0.5, 0.5, 1e-9])),
}  # fmt: skip


def test_trajectories_are_drawn_from_their_noise_to_their_ends_where_the_law_lies(tmp_path: Path):
    path = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2) / 12
    stored = {"t": np.array([1.0, 0.5, 0.0]), "ddpm": path, "mine": 100 * path, "exact-clean": 3 * path}
    figure = fields.trajectories(run_of(tmp_path, trajectories=stored, fields=CUT))
    assert figure is not None
    panels = {ax.get_title(): ax for ax in figure.axes if ax.get_visible()}
    assert list(panels) == ["ddpm", "mine", "exact-clean"]
    *lines, law = panels["mine"].lines
    for line, points in zip(lines, 100 * path, strict=True):
        assert np.asarray(line.get_xydata()) == pytest.approx(points)
    assert np.asarray(panels["ddpm"].collections[0].get_offsets()) == pytest.approx(path[:, -1])
    assert (np.nanmin(law.get_xdata()), np.nanmax(law.get_xdata())) == (-1, 1)
    assert panels["mine"].get_xlim() == pytest.approx((-1.05 * 3 * 11 / 12, 1.05 * 3 * 11 / 12))  # the exact one's
    assert "normal to it" in figure.get_suptitle()
    assert fields.trajectories(run_of(tmp_path / "none", trajectories={}, fields=CUT)) is None


def test_samples_beyond_two_dimensions_are_drawn_on_the_cut(tmp_path: Path):
    points = np.array([[[9.0, 1.0, 2.0], [9.0, -1.0, 0.5]]])
    stored = {"ddpm": points, "clean-samples": points}
    figure = study.samples(run_of(tmp_path, samples=stored, fields=CUT))
    assert np.asarray(figure.axes[0].collections[0].get_offsets()) == pytest.approx(points[0, :, 1:] - [1, 0])


def test_samples_without_references_are_drawn_on_their_own_scale(tmp_path: Path):
    """All but the last 0.5 % of every method, but not what diverged."""
    stored = {"ddpm": np.full((1, 4, 2), 2.0), "wide": np.full((1, 4, 2), -3.0), "broken": np.full((1, 4, 2), np.nan)}
    grid = {"axis": np.linspace(-1, 1, 5), "log_density": np.zeros((5, 5))}
    figure = study.samples(run_of(tmp_path, samples=stored, fields=grid))
    assert figure.axes[0].get_xlim() == pytest.approx((-1.05 * 3, 1.05 * 3))


def measured(values: dict[str, list[float]], metric: str, levels: int = 1) -> Run:
    """Method -> a mean over three seeds 0.01 apart, at each noise level."""
    rows = [
        Measurement(method, seed, metric, "clean", value + 0.01 * (seed - 1), 0.0, 0.2 * number if levels > 1 else None)
        for method, own in values.items() for number, value in enumerate(own, 1) for seed in range(3)
    ]  # fmt: skip
    config = {"schedule": {"name": "rectified-flow"}}
    return cast(Run, SimpleNamespace(rows=from_csv(to_csv(rows, {}, {})), config=config))


def curves(ax: Axes) -> dict[str, np.ndarray]:
    return {label: np.asarray(line.get_xydata()) for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}


def test_leakage_is_drawn_over_noise_levels_within_what_can_be_read():
    """σ/α of rectified flow at t is t/(1 - t)."""
    run = measured({"a": [0.2, 0.4], "broken": [0.9, 50.0], "exact-clean": [0.0, 0.0]}, "leakage", levels=2)
    run.rows[:] = [row | {"value": "0.0"} if row["method"] == "exact-clean" else row for row in run.rows]
    figure = levels.leakage(run)
    assert figure is not None
    (ax,) = figure.axes
    found = curves(ax)
    assert set(found) == {"a", "broken"}
    assert found["a"] == pytest.approx(np.array([[0.2 / 0.8, 0.2], [0.4 / 0.6, 0.4]]))
    assert ax.get_ylim()[1] == 1.75
    assert levels.leakage(measured({"a": [1.0]}, "w2")) is None


def test_w2_stands_on_a_line_for_each_method_its_scale_wide_enough_for_what_broke():
    figure = study.w2(measured({"a": [0.5], "b": [1.0], "clean-samples": [0.1]}, "w2"))
    assert figure is not None
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.get_yticklabels()] == ["clean-samples", "b", "a"]
    assert (ax.get_xscale(), ax.get_xlim()[0]) == ("linear", 0.0)
    assert [float(bar[0].get_xdata()[0]) for bar in ax.containers] == pytest.approx([0.1, 1.0, 0.5])
    figure = study.w2(measured({"a": [0.5], "b": [1000.0]}, "w2"))
    assert figure is not None
    assert figure.axes[0].get_xscale() == "log"
