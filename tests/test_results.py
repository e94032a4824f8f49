"""The results table and its summary."""

import math

import pytest

from toylab.results import COLUMNS, Measurement, from_csv, interval, markdown, summary, to_csv

MEASURED = [
    Measurement("ddpm", seed, "outlier-mass", "clean", value, 0.01, sampler="ddim", nfe=50)
    for seed, value in enumerate([0.1, 0.2, 0.3])
] + [Measurement("ddpm", seed, f"mode-width-{part}", "clean", 0.1 * part, 0.01) for seed in range(3) for part in (1, 2)]


def test_round_trip_keeps_every_bit():
    value = 0.1 + 0.2
    text = to_csv(
        [Measurement("m", 0, "w2", "clean", value, math.nan, t=1 / 3)],
        {"experiment": "e", "preset": "p"},
        {"training.steps": 5},
    )
    (row,) = from_csv(text)
    assert float(row["value"]) == value
    assert float(row["t"]) == 1 / 3
    assert math.isnan(float(row["stderr"]))
    assert list(row) == [*COLUMNS, "set.training.steps"]
    assert (row["set.training.steps"], row["nfe"]) == ("5", "")


def test_summary_averages_parts_within_a_seed():
    rows = from_csv(to_csv(MEASURED, {"experiment": "e", "preset": "p"}, {}))
    found = interval(rows, "ddpm", "mode-width", "clean")
    assert found is not None
    assert (found.mean, found.half) == (pytest.approx(0.15), pytest.approx(0.0, abs=1e-12))
    assert interval(rows, "ddpm", "w2", "clean") is None
    table = summary(rows)
    assert table[0] == ["method", "outlier mass", "mode width"]
    assert table[1][:2] == ["ddpm", "0.20 ± 0.25"]
    assert markdown(table).splitlines()[1] == "| --- | --- | --- |"
