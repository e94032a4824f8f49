"""Calibration: every metric has a case, the page is complete, and a defect is found out."""

import math
import re
from pathlib import Path

import pytest
import scipy.stats
import torch

from toylab import calibration
from toylab.calibration import CASES, Case, Outcome, calibrate, chosen
from toylab.calibration.standins import Streams
from toylab.index import METRICS
from toylab.metrics import Estimate, score, transport
from toylab.statistics import student

PAGE = Path(__file__).parents[1] / "docs/calibration.md"


def outcomes(cases: list[Case], replications: int) -> list[Outcome]:
    return [progress.outcome for progress in calibrate(cases, replications) if progress.outcome is not None]


# -- the cases ---------------------------------------------------------------------------------------------------------


def test_every_metric_has_a_case_and_no_case_names_an_unknown_one():
    assert {case.metric for case in CASES} == set(METRICS)
    assert len({(case.metric, case.model) for case in CASES}) == len(CASES)  # a case's draws are named after it
    assert not any("|" in case.model + case.known for case in CASES)  # it would end a cell of the table


def test_transport_has_its_floor_and_the_closed_form_for_two_gaussians():
    for metric in ("w1", "w2", "sliced-w2", "sinkhorn", "frechet"):
        own = [case for case in CASES if case.metric == metric]
        assert any(case.floor for case in own)
        assert any("Gaussian" in case.model and case.known == "closed form" for case in own)


def test_only_a_metric_without_a_standard_error_goes_without_an_interval():
    for case in CASES:
        assert (case.below is not None) == (case.metric == "lipschitz")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.metric}: {case.model}")
def test_every_case_can_be_measured(case: Case):
    """Three replications, which do not depend on which others are made beside them."""
    seeds = [3, 4, 5]
    three, one = case.replicate(seeds), case.replicate(seeds[:1])
    assert three.value.shape == three.stderr.shape == (3,)
    assert three.value.isfinite().all()
    torch.testing.assert_close(three.value[:1], one.value, rtol=1e-6, atol=1e-9)
    assert len(three.value.unique()) > 1 or case.below == 1e-9  # a linear flow has one answer


# -- what is counted ---------------------------------------------------------------------------------------------------


def known(estimate: Estimate, truth: float = 0.0, **changed: object) -> Case:
    """A case whose measurements are given, one a replication."""

    def given(generators: Streams) -> dict[str, object]:
        raise AssertionError("measured before")

    return Case("w2", "numbers", lambda: truth, "nothing", 1, given, **changed)  # type: ignore[arg-type]


def test_an_interval_covers_within_its_quantile_of_standard_errors():
    value = torch.tensor([0.0, 1.95, -1.95, 1.97, torch.nan, 0.0], dtype=torch.float64)
    stderr = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, torch.nan], dtype=torch.float64)
    estimate = Estimate(value, stderr)
    assert known(estimate).covers(estimate, 0.0).tolist() == [True, True, True, False, False, False]
    wide = known(estimate, groups=8)
    assert wide.quantile == pytest.approx(float(scipy.stats.t.ppf(0.975, 7)))
    assert wide.covers(estimate, 0.0).tolist() == [True, True, True, True, False, False]
    assert known(estimate, groups=8, floor=True).quantile == pytest.approx(float(scipy.stats.t.ppf(0.975, 14)))
    assert known(estimate).quantile == pytest.approx(1.959964, abs=1e-6)


def test_a_bound_from_below_is_never_above_and_not_far_below():
    value = torch.tensor([2.0, 1.9, 1.7, 2.1], dtype=torch.float64)
    estimate = Estimate(value, torch.full_like(value, torch.nan))
    case = known(estimate, 2.0, below=0.1)
    assert case.covers(estimate, 2.0).tolist() == [True, True, False, False]
    outcome = Outcome.of(case, [Estimate(*(part[:2] for part in estimate))])
    assert (outcome.coverage, outcome.band, outcome.holds) == (1.0, (1.0, 1.0), True)
    assert not Outcome.of(case, [estimate]).holds


def test_the_band_is_that_of_a_binomial_share():
    value = torch.zeros(1000, dtype=torch.float64)
    value[:76] = 3.0
    estimate = Estimate(value, torch.ones_like(value))
    outcome = Outcome.of(
        known(estimate), [Estimate(*(part[a:b] for part in estimate)) for a, b in ((0, 500), (500, 1000))]
    )
    half = 3.5 * math.sqrt(0.95 * 0.05 / 1000)
    assert outcome.band == pytest.approx((0.95 - half, 0.95 + half))
    assert (outcome.coverage, outcome.replications, outcome.holds) == (0.924, 1000, False)
    assert outcome.z == pytest.approx(0.228 / float(value.std()) * math.sqrt(1000))


def test_measurements_of_different_cases_and_seeds_are_independent():
    """The same metric and law in two cases: other names, other streams."""
    first, second = [case for case in CASES if case.metric == "equivariance-error"]
    twin = Case(first.metric, second.model, first.truth, first.known, first.points, first.given)
    a, b = first.replicate(range(200)).value, twin.replicate(range(200)).value
    assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 4 / math.sqrt(200)
    assert abs(float(torch.corrcoef(torch.stack([a[1:], a[:-1]]))[0, 1])) < 4 / math.sqrt(200)


# -- it holds, and a defect is found out -------------------------------------------------------------------------------

QUICK = [case for case in CASES if case.metric in {"eps-mse", "energy-distance"} and not case.floor]


def test_cheap_cases_hold():
    for outcome in outcomes(QUICK, 300):
        assert outcome.holds, outcome
        assert abs(outcome.z) < 4


@pytest.mark.parametrize("defect", ["a standard error half of what it should be", "a value 20 % too large"])
def test_a_defect_is_found_out(defect: str, monkeypatch: pytest.MonkeyPatch):
    """In one metric, at fewer replications than the command's."""
    value, stderr = (1.0, 0.5) if "half" in defect else (1.2, 1.0)
    original = score.eps_mse

    def defective(*args: object, **kwargs: object) -> Estimate:
        found = original(*args, **kwargs)  # type: ignore[arg-type]
        return Estimate(value * found.value, stderr * found.stderr)

    monkeypatch.setattr(score, "eps_mse", defective)
    for outcome in outcomes(chosen(["eps-mse"]), 300):
        assert not outcome.holds
        assert (abs(outcome.z) > 4) == ("too large" in defect)


def test_another_distance_in_place_of_w2_is_found_out(monkeypatch: pytest.MonkeyPatch):
    """The mean of distances instead of the root of their mean square: less by a fifth, seen from the mean of values."""
    (case,) = [case for case in CASES if case.metric == "w2" and "order statistics" in case.known]
    monkeypatch.setattr(transport, "w2_between", transport.w1_between)
    (outcome,) = outcomes([case], 100)
    assert not outcome.holds
    assert outcome.z < -4


def by_first_coordinate(x: torch.Tensor, y: torch.Tensor) -> float:
    """A plan that is right on the line."""
    pairs = zip(*(points[points[:, 0].argsort()] for points in (x, y)), strict=True)
    return float(torch.stack([(a - b).square().sum() for a, b in pairs]).mean().sqrt())


def as_if_they_commuted(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Fréchet's distance with |C₁^½ - C₂^½|² for the covariances' part."""
    roots = [transport._root(transport._covariance(points)) for points in (x, y)]
    return ((x.mean(0) - y.mean(0)).square().sum() + (roots[0] - roots[1]).square().sum()).sqrt()


@pytest.mark.parametrize(
    ("metric", "name", "defective"),
    [("w2", "w2_between", by_first_coordinate), ("frechet", "frechet_between", as_if_they_commuted)],
)
def test_what_is_right_on_the_line_alone_is_found_out_in_the_plane(
    metric: str, name: str, defective: object, monkeypatch: pytest.MonkeyPatch
):
    """A wrong plan, covariances that do not commute: the other cases of the metric let them pass."""
    monkeypatch.setattr(transport, name, defective)
    for outcome in outcomes([case for case in CASES if case.metric == metric and "1000" not in case.model], 100):
        assert outcome.holds == ("turned" not in outcome.case.model)
        assert (outcome.z > 4) == ("turned" in outcome.case.model)


def test_a_bias_is_said_beside_what_holds():
    value = torch.full((1000,), 0.2, dtype=torch.float64)
    value[:50] = 5.0
    estimate = Estimate(value, torch.ones_like(value))
    for shift, biased in ((0.0, True), (float(value.mean()), False)):
        outcome = Outcome.of(known(estimate, shift), [estimate])
        assert (outcome.holds, outcome.biased) == (True, biased)
        assert calibration.table([outcome])[1][-1] == ("holds, biased" if biased else "holds")
    page = calibration.markdown([outcome], "a command")
    assert "0 with a bias z beyond ±4.\nThe mean coverage of the 1 that have an interval is 0.9500;" in page


# -- the command and its page ------------------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_exits_0(toylab, tmp_path: Path):
    code, out, err = toylab("calibrate", "psnr", "distance", "--replications", 100)
    assert (code, err) == (0, "")
    title, *lines = out.strip().splitlines()
    assert title.strip() == "100 measurements of each, by the seeds 0 to 99"
    assert [line.split()[0] for line in lines] == ["metric", "distance", "psnr"]
    code, page, _ = toylab("calibrate", "psnr", "--replications", 100, "--markdown")
    assert code == 0
    assert page.startswith("# Calibration")
    assert "Made by `toylab calibrate psnr --replications 100 --markdown`" in page
    path = tmp_path / "page.md"
    code, out, _ = toylab("calibrate", "psnr", "--replications", 100, "-o", path)
    assert (code, out.strip()) == (0, str(path))
    assert path.read_text(encoding="utf-8") == page.replace("--markdown", f"-o {path}")


def test_a_case_outside_its_band_makes_the_command_exit_1(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Estimate, "of_mean", classmethod(lambda cls, terms: cls(terms.mean(-1), 0 * terms.mean(-1))))
    path = tmp_path / "page.md"
    code, _, err = toylab("calibrate", "psnr", "--replications", 50, "-o", path)
    assert code == 1
    assert err.startswith("error: psnr is outside its band: coverage 0.0000, not 0.842 to 1.000 (samples about a plane")
    assert len(err.splitlines()) == 1
    assert "**misses**" in path.read_text(encoding="utf-8")


def test_bad_input_is_refused_before_anything_is_measured(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibration, "calibrate", lambda *args: pytest.fail("measured"))
    code, _, err = toylab("calibrate", "w22")
    assert code == 2
    assert err.startswith("error: unknown metric 'w22'; did you mean 'w2'? allowed: eps-mse, ")
    for output in (tmp_path, tmp_path / "page.txt", tmp_path / "none" / "page.md"):
        code, _, err = toylab("calibrate", "psnr", "-o", output)
        assert code == 2
        assert err.startswith("error: -o must name a .md file in an existing folder")
    assert toylab("calibrate", "--replications", 10)[0] == 2


def rows_of(page: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "---" not in line]


def test_the_committed_page_has_every_case_and_every_row_within_its_band():
    page = PAGE.read_text(encoding="utf-8")
    assert "Made by `toylab calibrate -o docs/calibration.md`" in page
    heading, *rows = rows_of(page)
    assert heading == calibration.table([])[0]
    assert [(row[0], row[1], row[3]) for row in rows] == [(case.metric, case.model, case.known) for case in CASES]
    assert {row[0] for row in rows} == set(METRICS)
    for case, row in zip(CASES, rows, strict=True):
        coverage, band, replications = float(row[7]), row[8], int(row[5])
        half = 3.5 * math.sqrt(0.95 * 0.05 / replications)
        low, high = (1.0, 1.0) if case.below is not None else (0.95 - half, 0.95 + half)
        assert low <= coverage <= high
        assert band == ("all" if case.below is not None else f"{low:.3f} to {high:.3f}")
        assert replications == 1000
        assert row[9] in ("holds", "holds, biased")
        assert row[6] == "-" or abs(abs(float(row[6])) - 4) < 0.06 or ("biased" in row[9]) == (abs(float(row[6])) > 4)


def test_the_committed_page_counts_its_rows():
    page = PAGE.read_text(encoding="utf-8")
    rows = rows_of(page)[1:]
    biased = sum("biased" in row[9] for row in rows)
    found = re.search(r"(\d+) cases of (\d+) metrics: (\d+) within their band, 0 outside; (\d+) with a bias", page)
    coverages = [float(row[7]) for row in rows if row[8] != "all"]
    mean = re.search(r"The mean coverage of the (\d+) that have an interval is (0\.\d+);", page)
    assert mean is not None
    assert int(mean[1]) == len(coverages)
    assert float(mean[2]) == pytest.approx(sum(coverages) / len(coverages), abs=1e-3)
    assert found is not None
    assert [int(number) for number in found.groups()] == [len(CASES), len(METRICS), len(CASES), biased]


def test_the_quantile_of_many_points_is_the_normal_one():
    assert student(10**9) == pytest.approx(float(scipy.stats.norm.ppf(0.975)), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["eps-mse", "w2", "--replications", "100"], marks=pytest.mark.short, id="two"),
        pytest.param([], id="all"),
    ],
)
def test_every_interval_holds_the_truth_as_often_as_it_says(arguments: list[str], toylab, tmp_path: Path):
    """All cases, 1,000 replications each, take some six minutes."""
    code, _, err = toylab("calibrate", *arguments, "-o", tmp_path / "calibration.md")
    assert (code, err) == (0, "")
