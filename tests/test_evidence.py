"""What README says of our own objectives, of the frontier, of savings and of attacks, from the committed rows."""

import csv
import math
import statistics
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import ideas
from benchmarks.frontier import SHIPPED, Setting, points
from benchmarks.frontier_figure import KINDS, undominated
from benchmarks.robust import page
from toylab.figures.savings import BAND, MEASURES, shares
from toylab.results import Row, by_seed
from toylab.runs import Run
from toylab.statistics import Interval, difference, holm, paired

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "figures"


README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
Rows = list[dict[str, str]]


def rows(folder: str, name: str = "results") -> Rows:
    with (FIGURES / folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cost(method: str) -> float:
    """The median over turns, as the table has it."""
    return statistics.median(float(row["value"]) for row in rows("objectives") if row["method"] == method)


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
            p = paired([b - a for a, b in zip(less, more, strict=True)]).p
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
    """Its cost of a step; every measure's interval within a tenth of the full effect."""
    assert cost(f"{method}, one step in 10") <= most
    run = Run(FIGURES / "cost")
    assert len(run.seeds) == 16
    assert {"leakage", "outlier-mass", "eps-mse"} <= {metric for metric, _ in MEASURES.values()}
    for mean, half in shares(run)[f"{method}-step-in-10"].values():
        assert math.fabs(mean) + half <= BAND


def test_the_costs_of_a_step_are_those_of_the_rows():
    ran, adv = cost("robust-ran"), cost("robust-adv")
    assert f"A step of robust-ran costs {ran:.2f} of one of ddpm, of robust-adv {adv:.2f}" in README
    ran, adv = (cost(f"{name}, one step in 10") for name in ("robust-ran", "robust-adv"))
    assert f"one step of ten, {ran:.2f} and {adv:.2f} (`plan = {{every = 10}}`)" in README
    table = (ROOT / "benchmarks/objectives.md").read_text(encoding="utf-8")
    for method in {row["method"] for row in rows("objectives")}:
        (line,) = (line for line in table.splitlines() if line.startswith(f"| {method} |"))
        assert line.endswith(f" {cost(method):.2f} |")


def test_what_is_said_of_our_objectives_is_what_their_rows_say():
    def of(law: str, method: str, metric: str, unit: str | None = None) -> Interval:
        some: list[Row] = [row for row in rows("robust") if row["law"] == law]  # type: ignore[misc]
        scale = statistics.fmean(by_seed(some, unit, metric, "clean")) if unit else 1.0
        values = by_seed(some, method, metric, "clean")
        return Interval.of([value / scale for value in values if math.isfinite(value)])

    three, ring, ours = "three-gaussians", "ring-of-gaussians", "robust-onesided"
    left, w2 = of(three, ours, "outlier-mass"), of(three, ours, "w2", "clean-samples")
    assert f"mass of {left.mean:.3f} ± {left.half:.3f} of ddpm's {of(three, 'ddpm', 'outlier-mass').mean:.3f}" in README
    left, far = of(ring, ours, "outlier-mass"), of(ring, ours, "w2", "clean-samples")
    assert f"{left.mean:.3f} of {of(ring, 'ddpm', 'outlier-mass').mean:.3f} on a ring" in README
    assert f"W2 {w2.mean:.2f} ± {w2.half:.2f} and {far.mean:.2f} ± {far.half:.2f} of the floor" in README
    width = of(three, ours, "mode-width", "clean-samples")
    assert f"({width.mean:.3f} ± {width.half:.3f} of the clean samples')" in README
    plane, subspace = (of(law, "robust-l2", "normal-std", "ddpm") for law in ("oblique-plane", "subspace"))
    assert f"leaves {plane.mean:.3f} ± {plane.half:.3f} of ddpm's width across an oblique plane" in README
    assert f"{subspace.mean:.2f} ± {subspace.half:.2f} of it across a plane" in README


def test_what_is_said_of_prior_art_is_what_its_rows_say():
    def mean(folder: str, method: str, metric: str) -> float:
        some: list[Row] = rows(folder)  # type: ignore[assignment]
        return statistics.fmean(by_seed(some, method, metric, "clean"))

    methods = ("trimmed", "pseudo-huber", "ddpm", "robust-onesided")
    mass, w2, width = (
        {method: mean("prior-art", method, metric) for method in methods}
        for metric in ("outlier-mass", "w2", "mode-width")
    )
    trimmed, huber = (round(100 * (1 - width[method] / width["ddpm"])) for method in methods[:2])
    assert "{trimmed:.3f} and a pseudo-Huber loss {pseudo-huber:.3f} of ddpm's {ddpm:.3f}".format(**mass) in README
    assert f"narrower by {trimmed} % and {huber} %" in README
    assert "W2 at {trimmed:.2f} and {pseudo-huber:.2f}, hardly below ddpm's {ddpm:.2f}".format(**w2) in README
    assert f"`robust-onesided` leaves {mass['robust-onesided']:.3f}, at {w2['robust-onesided']:.2f}" in README
    normal = {m: mean("prior-art-plane", m, "normal-std") for m in ("ddpm", *methods[:2], "dro", "robust-l2")}
    assert all(abs(normal[method] / normal["ddpm"] - 1) < 0.02 for method in (*methods[:2], "dro"))
    assert f"ddpm's normal width of {normal['ddpm']:.3f} by more than 2 %" in README
    assert f"`robust-l2` leaves {normal['robust-l2']:.3f}" in README


def setting(method: str) -> Setting:
    return Setting.of(SHIPPED[method]())


def row_of(some: Rows, **values: object) -> dict[str, str]:
    """The one with these."""
    (row,) = (row for row in some if all(row[key] == str(value) for key, value in values.items()))
    return row


def at(row: dict[str, str]) -> tuple[float, float]:
    """Price and outlier mass."""
    return float(row["price"]), float(row["outliers"])


def no_worse(a: dict[str, str], b: dict[str, str]) -> bool:
    return all(x <= y for x, y in zip(at(a), at(b), strict=True))


def test_the_frontier_has_every_setting_and_what_is_shipped():
    found = rows("frontier", "frontier")
    assert [tuple(row[key] for key in ("method", *Setting._fields)) for row in found] == [p.key for p in points()]
    assert row_of(found, method="robust-onesided", **setting("robust-onesided")._asdict())
    assert {row["unsettled"] for row in found if row["direction"] == "random"} == {"0"}
    assert all(float(row["unsettled"]) > 0 for row in found if row["direction"] == "fgsm")


def test_what_is_said_of_the_frontier_is_what_its_rows_say():
    found = rows("frontier", "frontier")
    by_kind = {(kind.direction, kind.through): [row for row in found if kind.has(row)] for kind in KINDS}
    one, two = by_kind["random", False], by_kind["random", True]
    assert all(any(no_worse(a, b) and at(a) != at(b) for a in one) for b in undominated(two))
    everything = [row for row in found if row["method"] == "map"]
    assert f"Over {len(everything)} settings" in README
    assert len(undominated(everything)) > 1
    ours, plain = row_of(found, method="robust-onesided"), row_of(found, method="ddpm")
    better = row_of(found, method="map", **Setting(0.1, 3.0, -0.5, 0.0, False)._asdict())
    assert no_worse(better, ours)
    said = "{1:.4f} of plain denoising's {2:.4f}, at a price of {0:.3f}"
    assert said.format(*at(ours), at(plain)[1]) in README
    assert "λ = 0.1, r0 = 3, ρ = -0.5 with a flat λ {1:.4f} at {0:.3f}".format(*at(better)) in README
    fgsm = row_of(found, method="map", **Setting(0.1, 3.0, -0.5, 0.0, False, "fgsm")._asdict())
    said = "by FGSM {1:.4f} at {0:.3f}, as far as its fixed point settles, to {2:.3f} noise units"
    assert said.format(*at(fgsm), float(fgsm["unsettled"])) in README


def test_what_is_said_of_ideas_is_what_their_rows_say():
    """Those that are below the line of every setting, and what they do elsewhere."""
    found, line = rows("frontier", "ideas"), [row for row in rows("frontier", "frontier") if row["method"] == "map"]
    assert [tuple(row[key] for key in ideas.NAMES) for row in found] == list(ideas.points())

    def of(law: str, name: str, lam: float, value: float) -> dict[str, str]:
        return row_of(found, **dict(zip(ideas.NAMES, (law, *ideas.Idea(name, lam, value=value)), strict=True)))

    told, own = of("frontier", "downhill", 1.0, 4.0), of("frontier", "own density", 1.0, 6.0)
    below = [
        row
        for row in found
        if row["law"] == "frontier"
        and at(row)[0] > 0
        and at(row)[1] < min((at(other)[1] for other in line if at(other)[0] <= at(row)[0]), default=1.0) / 2
    ]
    assert {row["idea"] for row in below} == {"downhill", "own density"}
    assert told in below
    assert own in below
    assert "Told the density it leaves {1:.4f} at {0:.3f}".format(*at(told)) in README
    assert "with the density of the model's own ε, {1:.4f} at {0:.3f}".format(*at(own)) in README
    assert float(own["unsettled"]) > 0.05
    elsewhere, one_sided = of("unequal", "own density", 1.0, 6.0), of("unequal", "one-sided", 0.1, 0.0)
    assert not no_worse(elsewhere, one_sided)
    said = "on three unequal modes it leaves {1:.4f} at {0:.3f}".format(*at(elsewhere))
    assert f"{said} where the one-sided setting leaves {at(one_sided)[1]:.4f} at {at(one_sided)[0]:.3f}" in README
