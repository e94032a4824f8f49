"""The results table and its summary."""

import math

import pytest

from toylab.results import COLUMNS, Measurement, by_cell, from_csv, interval, short, swept, to_csv
from toylab.summaries import markdown, summary

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


def swept_rows(*cells: dict[str, object]) -> list[dict[str, str]]:
    """A row in each of these cells, of a method `a` where the cell says nothing of `lam`, else of `b`."""
    measured = [
        Measurement("b" if "methods.*.lam" in cell else "a", seed, "w2", "clean", number + 0.1 * seed, 0.01, cell=cell)
        for number, cell in enumerate(cells) for seed in range(2)
    ]  # fmt: skip
    return from_csv(to_csv(measured, {"experiment": "e", "preset": "p"}, {"nfe": 7}))


def test_a_measurement_comes_back_from_its_row():
    one = Measurement("m", 3, "w2", "clean", 0.1 + 0.2, math.inf, t=1 / 3, sampler="ddim", nfe=50, budget=0.5)
    (row,) = from_csv(to_csv([one], {"experiment": "e", "preset": "p"}, {"training.steps": 5}))
    assert Measurement.of(row) == one
    plain = Measurement("m", 0, "w2", "clean", 1.0, 0.0)
    (row,) = from_csv(to_csv([plain], {"experiment": "e", "preset": "p"}, {}))
    assert Measurement.of(row) == plain


def test_the_keys_of_a_sweep_are_those_that_vary():
    """Not a key that is the same everywhere, nor one that another decides: `told` goes with `std`, and `spacing` is the
    same for two schedules."""
    rows = swept_rows(
        *({"law.dim": d, "std": s, "told": s, "schedule": n, "spacing": p}
          for d in (2, 8) for s, n, p in ((0.1, "ddpm", "t"), (0.2, "ve", "edm"), (0.3, "flow", "t"))),
    )  # fmt: skip
    assert swept(rows) == ["law.dim", "std"]
    assert [row["set.nfe"] for row in rows] == ["7"] * 12
    assert swept(swept_rows({"std": 0.1})) == []
    assert swept([]) == []
    finer_last = [{"spacing": p, "schedule": n} for n, p in (("ddpm", "t"), ("ve", "edm"), ("flow", "t"))]
    assert swept(swept_rows(*finer_last)) == ["schedule"]


def test_rows_say_nothing_of_keys_that_they_do_not_depend_on():
    rows = swept_rows({"std": 0.1}, {"std": 0.2}, *({"std": s, "methods.*.lam": k} for s in (0.1, 0.2) for k in (1, 3)))
    assert swept(rows) == ["std", "methods.*.lam"]
    assert list(by_cell(rows, ["methods.*.lam"])) == [("",), ("1",), ("3",)]
    table = summary(rows, {(("0.2", "3"), "b")})
    assert table[0] == ["method", "std", "lam", "W2 to clean"]
    assert [line[:3] for line in table[1:]] == [
        ["a", "0.1", "-"], ["a", "0.2", "-"],
        ["b", "0.1", "1"], ["b", "0.1", "3"], ["b", "0.2", "1"], ["b †", "0.2", "3"],
    ]  # fmt: skip
    assert table[3][3].startswith("2.05 ± ")


def test_keys_are_short_where_that_is_enough():
    assert short(["methods.*.lam", "law.dim"]) == ["lam", "dim"]
    assert short(["law.std", "contamination.std"]) == ["law.std", "contamination.std"]
