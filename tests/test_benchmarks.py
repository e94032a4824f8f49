"""The arithmetic of the benchmark tables."""

import math
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import is_slower
from benchmarks.affine_gap import distances, objectives
from benchmarks.frontier import GRID, SEEN, SHIPPED, Modes, Outcome, Setting, judged, quantiles
from benchmarks.frontier_figure import undominated
from benchmarks.ideas import Idea, Scene
from benchmarks.objectives import tidy
from benchmarks.peers import PEERS
from benchmarks.time_to_accuracy import PARAMETRISATIONS, reached, table
from toylab.claims import CLAIMS, Results, Verdict, judge
from toylab.distributions import Distribution
from toylab.objectives import Plan, robust_onesided
from toylab.schedules import DDPM
from toylab.theory import grid_optimum


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


@pytest.mark.slow
def test_the_frontier_judges_plain_denoising_as_it_should():
    """As sampling the contaminated law does elsewhere (tests/test_grid_optimum.py), and the clean law well."""
    law = quantiles()
    assert float(law.square().mean()) == pytest.approx(4 + 0.3**2, rel=1e-3)
    found = judged(Setting(0.0), 0.0, law)
    assert 0 < found.price < 0.03
    assert found == Outcome(*(pytest.approx(v, rel=0.03) for v in (0.0606, 1.073, 0.455)), found.price, 0.0)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_objective_is_on_the_frontier_as_it_is(name: str):
    """Its λ, radius with bias and draw, direction and sides: the optimum of its setting is its own."""
    objective, level = SHIPPED[name](), DDPM()(0.5)
    alpha, sigma = map(float, level)
    own = grid_optimum(objective, SEEN, alpha, sigma, GRID)
    assert float(own.shift.abs().max()) > 1e-4
    assert torch.equal(Setting.of(objective).optimum(SEEN).solution(0.5).shift, own.shift)


def test_the_pareto_line_is_what_no_other_setting_beats():
    rows = [
        {"price": p, "outliers": o}
        for p, o in (("3", "1"), ("1", "5"), ("1.5", "5"), ("2", "4"), ("2", "3"), ("4", "2"))
    ]
    assert [(row["price"], row["outliers"]) for row in undominated(rows)] == [("1", "5"), ("2", "3"), ("3", "1")]


def scene(name: str, law: Distribution = SEEN, lam: float = 0.3, value: float = 0.0) -> Scene:
    return Scene(Idea(name, lam, value=value), law, 0.9, math.sqrt(1 - 0.9**2))


def test_the_ideas_begin_with_the_one_sided_optimum():
    """And go back to it: every level, no cap, the same radius twice, every place below every other."""
    here = scene("one-sided")
    objective = robust_onesided(0.3, plan=Plan())
    wanted = grid_optimum(objective, SEEN, here.alpha, here.sigma, GRID).shift
    assert float(wanted.abs().max()) > 0.1
    for name, value in (("one-sided", 0.0), ("early", 0.0), ("late", 2.0), ("capped", math.inf), ("downhill", -300.0)):
        assert torch.allclose(scene(name, value=value).shift()[0], wanted, rtol=0, atol=1e-9), name
    assert torch.allclose(scene("two radii", value=3.0).shift()[0], wanted, rtol=0, atol=1e-9)
    assert not torch.allclose(scene("downhill").shift()[0], wanted, rtol=0, atol=0.1)
    for name, value in (("early", 2.0), ("late", 0.0)):
        assert not scene(name, value=value).shift()[0].any()


def test_who_is_told_the_width_of_a_gaussian_does_not_shrink_it():
    """Its exact ε is equivariant up to κ; the ends of the grid, where pushes are cut, are left out."""
    law = Modes((0,), (0.5,), (1.0,)).law
    told, untold = (scene(name, law, value=0.5) for name in ("width told", "one-sided"))
    inside = told.log_p > -8
    assert float(told.shift()[0][inside].abs().max()) < 1e-9
    assert float(untold.shift()[0][inside].abs().max()) > 0.1


def test_a_capped_neighbour_weighs_no_more_than_it_may():
    """p (u - u*) = Σ (u_j - u) w_j with Σ w_j <= value p, so that u moves by at most value times the range of u."""
    here = scene("capped", lam=1.0, value=0.01)
    (right, left), p = here.pushes(here.log_p), here.log_p.exp()
    heard = torch.zeros_like(p)
    for j in range(1, min(len(right), len(p))):
        heard[j:] += p[:-j] * right[j, :-j]
        heard[:-j] += p[j:] * left[j, j:]
    share = heard / p
    assert float(share.max()) <= 0.01 * (1 + 1e-9)
    assert float(share.max()) > 0.0099


def test_the_exact_noise_is_that_of_its_own_density():
    here = scene("own density")
    gap = here.potential(here.exact) - here.log_p
    assert float((gap - gap[here.log_p.argmax()])[here.log_p > -8].abs().max()) < 0.02
    shift, unsettled = here.shift()
    again = here.solved(here.pushes(here.potential(here.exact + shift)))
    p = here.log_p.exp()
    assert unsettled < 0.01
    assert float(((again - shift)[:, 0].square() * p).sum().sqrt()) < 0.02 * float(p.sum().sqrt())
