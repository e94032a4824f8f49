"""What README says of our own objectives and of savings, from the committed rows."""

import csv
import math
import statistics
from pathlib import Path

import pytest

from benchmarks.robust import page
from toylab.figures.savings import BAND, shares
from toylab.results import Row
from toylab.runs import Run

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures"


def rows(folder: str) -> list[dict[str, str]]:
    with (FIGURES / folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_of_our_objectives_is_that_of_its_rows():
    by_law: dict[str, list[Row]] = {}
    for row in rows("robust"):
        by_law.setdefault(row["law"], []).append(row)  # type: ignore[arg-type]
    assert page(by_law) == (FIGURES / "robust" / "table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("method", "most"), [("robust-ran", 1.15), ("robust-adv", 1.3)])
def test_a_saving_within_its_cost_keeps_the_effect(method: str, most: float):
    """The median cost of a step, as the table has it; every measure's interval within a tenth of the full effect."""
    costs = [float(row["value"]) for row in rows("objectives") if row["method"] == f"{method}, one step in 10"]
    assert statistics.median(costs) <= most
    run = Run(FIGURES / "cost")
    assert len(run.seeds) == 16
    for mean, half in shares(run)[f"{method}-step-in-10"].values():
        assert math.fabs(mean) + half <= BAND
