"""Figures of sweeps, from rows made by hand: every number is where it belongs."""

import itertools
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toylab.figures.sweep import sweep
from toylab.results import Measurement, from_csv, to_csv
from toylab.runs import Run

Values = dict[tuple[str, tuple[tuple[str, object], ...]], float]


def run_of(values: Values, metric: str = "w2", config: dict | None = None, **how: int) -> Run:
    """(method, cell) -> a mean over three seeds 0.01 apart."""
    measured = [
        Measurement(method, seed, metric, "clean", value + 0.01 * (seed - 1), 0.0, cell=dict(cell), **how)  # type: ignore[arg-type]
        for (method, cell), value in values.items() for seed in range(3)
    ]  # fmt: skip
    return cast(
        Run,
        SimpleNamespace(rows=from_csv(to_csv(measured, {"experiment": "e", "preset": "p"}, {})), config=config or {}),
    )


def drawn(run: Run, metric: str = "w2") -> tuple[Figure, list[Axes]]:
    figure = sweep(run, metric)
    assert figure is not None
    return figure, [ax for ax in figure.axes if ax.get_visible() and ax.get_label() != "<colorbar>"]


def curves(ax: Axes) -> dict[str, dict[float, float]]:
    """Label -> x -> y."""
    handles, labels = ax.get_legend_handles_labels()
    lines = [handle if hasattr(handle, "get_xdata") else handle[0] for handle in handles]
    return {
        label: dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for label, line in zip(labels, lines, strict=True)
    }


def test_what_lies_on_the_subspace_takes_no_place_in_a_psnr():
    values: Values = {("a", (("dim", d),)): 20.0 + d for d in (2, 64)}
    _, (ax,) = drawn(run_of(values | {("exact-clean", ()): 100.01}, "psnr"), "psnr")
    assert set(curves(ax)) == {"a"}
    assert ax.get_ylabel() == "PSNR against the subspace, dB"


def test_over_one_number_a_curve_a_method_with_its_band():
    values: Values = {("a", (("dim", d),)): 1 / d for d in (2, 64, 8)}
    values |= {("ddpm", ()): 0.4, ("exact-clean", ()): 0.0, ("clean-samples", ()): 0.1, ("optimum-a", ()): 0.3}
    _, (ax,) = drawn(run_of(values))
    found = curves(ax)
    assert set(found) == {"a", "ddpm", "optimum-a"}  # exact samples have no place here, and 0 is nothing to see
    assert found["a"] == pytest.approx({2: 1 / 2, 8: 1 / 8, 64: 1 / 64})
    assert found["ddpm"] == pytest.approx({2: 0.4, 8: 0.4, 64: 0.4})
    assert ax.get_xscale() == "log"
    (band, *_) = ax.collections
    low, high = (f(band.get_paths()[0].vertices[:, 1]) for f in (np.min, np.max))
    half = 4.302652729911275 * 0.01 / np.sqrt(3)  # Student's, two degrees of freedom
    assert (low, high) == (pytest.approx(1 / 64 - half), pytest.approx(1 / 2 + half))


def test_words_make_panels_and_alone_an_axis():
    values: Values = {
        (m, (("law", law), ("dim", d))): k + d / 10
        for k, m in enumerate("ab", 1)
        for law in ("circle", "line")
        for d in (2, 4)
    }
    _, axes = drawn(run_of(values))
    assert [ax.get_title() for ax in axes] == ["law circle", "law line"]
    assert curves(axes[1])["b"] == pytest.approx({2: 2.2, 4: 2.4})
    _, (ax,) = drawn(
        run_of({("a", (("law", law), ("spacing", law[0]))): v for law, v in (("circle", 1.0), ("line", 2.0))})
    )
    assert [text.get_text() for text in ax.get_xticklabels()] == ["circle", "line"]
    assert list(curves(ax)["a"].values()) == pytest.approx([1.0, 2.0])


def test_over_two_numbers_a_map_a_method_and_a_line_of_them_for_a_third():
    keys = ("lam", "r0", "rho")
    cells = [
        tuple(zip(keys, point, strict=True)) for point in itertools.product([0.3, 1.0], [1.0, 2.0], [-0.5, 0.0, 10.0])
    ]
    values: Values = {(m, cell): k + sum(cast(float, v) for _, v in cell) for k, m in enumerate("ab") for cell in cells}
    figure, axes = drawn(run_of(values | {("ddpm", ()): 0.5}))
    assert [ax.get_title() for ax in axes] == ["a\nλ 0.3", "b\nλ 0.3", "a\nλ 1", "b\nλ 1"]
    (image,) = axes[3].images
    expected = [[1 + 1.0 + r0 + rho for rho in (-0.5, 0.0, 10.0)] for r0 in (1.0, 2.0)]
    assert np.asarray(image.get_array()) == pytest.approx(np.array(expected))
    assert {text.get_text() for text in axes[3].texts} >= {"2.5", "3", "14"}
    assert figure.get_suptitle().startswith("ddpm 0.50")


def test_the_number_of_steps_is_a_key_where_there_are_several():
    few = run_of({("a", (("sampler", s),)): 2.0 for s in ("ddim", "heun")}, config={"few_steps": [5]}, nfe=5)
    many = run_of({("a", (("sampler", s),)): 1.0 for s in ("ddim", "heun")}, config={"few_steps": [5]}, nfe=50)
    run = cast(Run, SimpleNamespace(rows=many.rows + few.rows, config=few.config))
    _, axes = drawn(run)
    assert [ax.get_title() for ax in axes] == ["sampler ddim", "sampler heun"]
    assert curves(axes[0])["a"] == pytest.approx({5: 2.0, 50: 1.0})


def test_parts_of_a_metric_are_averaged_and_others_are_not_mixed_in():
    one, two = ({("a", (("dim", d),)): v for d in (1, 2)} for v in (1.0, 3.0))
    rows = run_of(one, "mode-width-1").rows + run_of(two, "mode-width-2").rows + run_of(two, "mode-width-error").rows
    _, (ax,) = drawn(cast(Run, SimpleNamespace(rows=rows, config={})), "mode-width")
    assert curves(ax)["a"] == pytest.approx({1: 2.0, 2: 2.0})


def test_a_run_that_is_no_sweep_has_no_such_figure():
    assert sweep(run_of({("a", ()): 1.0}), "w2") is None
    assert sweep(run_of({("a", (("dim", d),)): 1.0 for d in (1, 2)}), "outlier-mass") is None
