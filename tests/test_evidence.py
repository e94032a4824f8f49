"""What is said of our own objectives, of savings and of attacks, from the committed rows."""

import csv
import math
import statistics
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.robust import page
from toylab.figures.savings import BAND, shares
from toylab.results import Row
from toylab.runs import Run
from toylab.statistics import difference, holm, p_value

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures"


def rows(folder: str) -> list[dict[str, str]]:
    with (FIGURES / folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def damage(metric: str) -> dict[tuple[str, ...], dict[float, list[float]]]:
    """Method, attack and place -> budget, rising -> one number a seed."""
    found: dict[tuple[str, ...], dict[float, list[float]]] = {}
    attacked = [row for row in rows("trajectory-attack") if row["metric"] == metric and row["attack"]]
    for row in sorted(attacked, key=lambda row: (float(row["budget"]), int(row["seed"]))):
        how = row["method"], row["attack"], row["place"]
        found.setdefault(how, {}).setdefault(float(row["budget"]), []).append(float(row["value"]))
    return found


@pytest.mark.parametrize("metric", ["displacement", "log-density-drop", "outlier-mass"])
def test_the_damage_of_an_attack_never_falls_with_its_budget_beyond_the_intervals(metric: str):
    """From every budget to the next, paired over seeds; p-values adjusted for all of them (Holm)."""
    falls = []
    for by_budget in damage(metric).values():
        for less, more in pairwise(by_budget.values()):
            p = p_value([b - a for a, b in zip(less, more, strict=True)])
            falls.append(p if difference(more, less).mean < 0 else 1.0)
    assert len(falls) >= 9 * 3 * 3 * 4
    assert min(holm(falls)) > 0.05


def test_the_largest_budget_of_an_attack_moves_the_end_farthest():
    """By every attack at every place, from 0 without one; the interval of the gain is above 0."""
    for by_budget in damage("displacement").values():
        none, *others = by_budget.values()
        assert max(none) == 0
        gain = difference(others[-1], others[0])
        assert gain.mean - gain.half > 0


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
