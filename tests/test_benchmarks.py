"""The arithmetic of the benchmark tables."""

import math
from pathlib import Path

import pytest

from benchmarks.__main__ import is_slower
from benchmarks.affine_gap import distances, objectives
from benchmarks.frontier import CLEAN, Outcome, Setting, judged, quantiles, samples, w2
from benchmarks.objectives import tidy
from benchmarks.peers import PEERS
from benchmarks.time_to_accuracy import PARAMETRISATIONS, reached, table
from toylab.claims import CLAIMS, Results, Verdict, judge


def test_a_level_counts_from_the_first_point_below_it():
    rows = [{"name": "a", "seconds": s, "mse": m} for s, m in (("1", "0.01"), ("2", "0.004"), ("3", "0.006"))]
    assert reached(rows, "a", 5e-3) == 2.0
    assert reached(rows, "a", 1e-3) == math.inf


def test_a_peer_that_never_arrives_counts_as_the_limit():
    ours = [{"name": f"toylab {p}", "seconds": "2", "mse": "0.0009"} for p in PARAMETRISATIONS]
    theirs = [{"name": p, "seconds": "30", "mse": "0.0015"} for p in PEERS]
    last = table(ours + theirs, dict.fromkeys(PEERS, "1.0"), 300.0).splitlines()[-1]
    assert [cell.strip() for cell in last.split("|")[2:5]] == ["15x", "15x", "at least 150x"]


def test_more_than_a_fifth_above_the_baseline_is_slower():
    assert is_slower("a", 1.21, {"a": 1.0})
    assert not is_slower("a", 1.19, {"a": 1.0})
    assert not is_slower("new", 9.0, {"a": 1.0})


@pytest.mark.parametrize(("ratio", "verdict"), [(2.3, Verdict.HOLDS), (3.4, Verdict.NOT)])
def test_the_cost_of_a_step_is_read_by_the_claim_about_it(ratio: float, verdict: Verdict, tmp_path: Path):
    (tmp_path / "objectives").mkdir()
    text = tidy({"ddpm": [1.0] * 4, "robust-adv": [ratio - 0.1, ratio, ratio, ratio + 0.1]})
    (tmp_path / "objectives/results.csv").write_text(text)
    (claim,) = (claim for claim in CLAIMS if claim.experiment == "objectives")
    assert judge(claim, Results(tmp_path)).verdict is verdict


@pytest.mark.parametrize("name", objectives(1.0))
def test_the_best_affine_model_is_off_by_the_fourth_power_of_the_radius(name: str):
    (gap, shift), (half_gap, half_shift) = (distances(objectives(r)[name], r) for r in (0.2, 0.1))
    assert gap / half_gap == pytest.approx(16, rel=0.05)
    assert shift / half_shift == pytest.approx(4, rel=0.02)


def test_the_frontier_judges_plain_denoising_as_it_should():
    """Its price is 0; the rest is what sampling the contaminated law gives elsewhere (tests/test_grid_optimum.py)."""
    law = quantiles()
    assert float(law.square().mean()) == pytest.approx(4 + 0.3**2, rel=1e-3)
    plain = w2(samples(Setting(0.0).optimum(CLEAN)), law)
    assert 0 < plain < 0.03
    found = judged(Setting(0.0), plain, law)
    assert found.price == pytest.approx(0, abs=1e-12)
    assert found == Outcome(*(pytest.approx(v, rel=0.03) for v in (0.0606, 1.073, 0.455)), found.price)
