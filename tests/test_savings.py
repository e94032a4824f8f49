"""What a cheaper version keeps, read off a run's rows."""

from types import SimpleNamespace
from typing import cast

import pytest

from toylab.figures.savings import MEASURES, savings, shares
from toylab.results import Measurement, Row, from_csv, to_csv
from toylab.runs import Run

VALUES = {"ddpm": 1.0, "robust-ran": 0.5, "robust-ran-step-in-8": 0.55, "exact-clean": 0.0}


def run_of(values: dict[str, float]) -> Run:
    measured = [
        Measurement(name, seed, metric, against, value * (1 + 0.1 * seed), 0.01)
        for name, value in values.items() for seed in range(3) for metric, against in MEASURES.values()
    ]  # fmt: skip
    rows: list[Row] = from_csv(to_csv(measured, {"experiment": "e", "preset": "p"}, {}))
    return cast(Run, SimpleNamespace(rows=rows))


def test_a_version_that_does_nine_tenths_misses_a_tenth():
    found = shares(run_of(VALUES))
    assert list(found) == ["robust-ran-step-in-8"]
    for share in found["robust-ran-step-in-8"].values():
        assert share == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-12))


def test_the_figure_has_a_panel_a_measure():
    figure = savings(run_of(VALUES))
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == list(MEASURES)
    assert savings(run_of({"ddpm": 1.0, "robust-ran": 0.5})) is None
