"""Claims: verdicts follow from rows by their rules, and the committed page is what the committed results say."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from toylab.claims import CLAIMS, Claim, Keeps, Less, Measure, More, Results, Verdict, Within, judge, markdown
from toylab.claims.comparisons import each
from toylab.errors import BadInput
from toylab.index import EXPERIMENTS
from toylab.launch import configure
from toylab.results import Measurement, to_csv
from toylab.statistics import Interval

ROOT = Path(__file__).parents[1]
MASS, WIDTH = Measure("mass", "mass"), Measure("width", "width")
SEEDS = range(8)


def measurements(method: str, metric: str, mean: float, spread: float = 0.05, **how: object) -> list[Measurement]:
    """One a seed about `mean`, its noise shared by all methods of that seed, and a little of the method's own."""
    shared, own = random.Random(1), random.Random(f"{method}{metric}{how}")
    noise = [spread * shared.gauss(0, 1) + 0.01 * own.gauss(0, 1) for _ in SEEDS]
    return [
        Measurement(method, seed, metric, "clean", mean + e, 0.0, **how)  # type: ignore[arg-type]
        for seed, e in zip(SEEDS, noise, strict=True)
    ]


def written(
    root: Path, rows: list[Measurement], name: str = "mine", preset: str = "default", **changed: object
) -> Path:
    (root / name).mkdir(parents=True, exist_ok=True)
    text = to_csv(rows, {"experiment": name, "preset": preset}, changed)
    (root / name / "results.csv").write_text(text, encoding="utf-8")
    return root


def flipped(rows: list[Measurement]) -> list[Measurement]:
    return [row._replace(value=-row.value) for row in rows]


BOTH = Claim("lower", "here", "mine", each(Less, (MASS, WIDTH), ("robust",), "ddpm", 0.1))
ROWS = [
    *measurements("ddpm", "mass", 1.0), *measurements("robust", "mass", 0.7),
    *measurements("ddpm", "width", 2.0), *measurements("robust", "width", 1.5),
]  # fmt: skip


def test_what_holds_holds_and_with_the_other_sign_does_not(tmp_path: Path):
    """Differences of 0.3 and 0.5 over a common noise of 0.05: far beyond a margin of 0.1 and 0.2."""
    found = judge(BOTH, Results(written(tmp_path, ROWS)))
    assert found.verdict is Verdict.HOLDS
    assert list(found.passed) == [True, True]
    assert found.findings[0].interval.mean == pytest.approx(-0.3, abs=0.02)
    assert found.findings[0].interval.half < 0.02  # paired: what seeds share is gone
    assert judge(BOTH, Results(written(tmp_path, flipped(ROWS)))).verdict is Verdict.NOT
    higher = Claim("higher", "here", "mine", each(More, (MASS, WIDTH), ("robust",), "ddpm", 0.1))
    assert judge(higher, Results(written(tmp_path, ROWS))).verdict is Verdict.NOT
    assert judge(higher, Results(written(tmp_path, flipped(ROWS)))).verdict is Verdict.HOLDS


def test_one_of_two_comparisons_is_partly(tmp_path: Path):
    rows = [*ROWS[: 3 * len(SEEDS)], *measurements("robust", "width", 2.0)]
    found = judge(BOTH, Results(written(tmp_path, rows)))
    assert found.verdict is Verdict.PARTLY
    assert list(found.passed) == [True, False]


def test_a_difference_short_of_the_margin_does_not_hold(tmp_path: Path):
    """0.95 of ddpm's is surely lower, but not by a tenth."""
    claims = [Claim("lower", "here", "mine", (Less(MASS, "robust", margin=margin),)) for margin in (0.0, 0.1)]
    results = Results(written(tmp_path, measurements("ddpm", "mass", 1.0) + measurements("robust", "mass", 0.95)))
    assert [judge(claim, results).verdict for claim in claims] == [Verdict.HOLDS, Verdict.NOT]


def test_a_negative_margin_asks_for_no_more_than_a_little_worse(tmp_path: Path):
    claim = Claim("no worse", "here", "mine", (Less(MASS, "robust", "oracle", margin=-0.1),))
    for mean, verdict in ((1.05, Verdict.HOLDS), (0.5, Verdict.HOLDS), (1.2, Verdict.NOT)):
        rows = measurements("oracle", "mass", 1.0) + measurements("robust", "mass", mean)
        assert judge(claim, Results(written(tmp_path, rows))).verdict is verdict


def test_a_range_holds_inside_alone(tmp_path: Path):
    claim = Claim("about 2.5", "here", "mine", (Within(MASS, "robust", 2.0, 3.0, over="ddpm"),))
    for mean, verdict in ((5.0, Verdict.HOLDS), (3.9, Verdict.NOT), (6.2, Verdict.NOT), (8.0, Verdict.NOT)):
        rows = measurements("ddpm", "mass", 2.0, 0.01) + measurements("robust", "mass", mean, 0.01)
        assert judge(claim, Results(written(tmp_path, rows))).verdict is verdict


def test_many_comparisons_ask_more_of_each(tmp_path: Path):
    """A p-value of 3 % passes alone, and not beside a second that fails."""
    noise = [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
    ours = [Measurement("robust", s, "mass", "clean", -0.93 + e, 0.0) for s, e in zip(SEEDS, noise, strict=True)]
    theirs = [Measurement("ddpm", s, "mass", "clean", 0.0, 0.0) for s in SEEDS]
    same = [row._replace(metric="width", method=method) for row in theirs for method in ("ddpm", "robust")]
    results = Results(written(tmp_path, ours + theirs + same))
    alone = judge(Claim("lower", "here", "mine", (Less(MASS, "robust"),)), results)
    assert 0.025 < alone.findings[0].p < 0.05
    assert alone.verdict is Verdict.HOLDS
    assert judge(BOTH, results).verdict is Verdict.NOT


def test_what_is_not_there_is_not_tested_and_says_why(tmp_path: Path):
    def reason(rows: list[Measurement], **changed: object) -> str:
        found = judge(BOTH, Results(written(tmp_path, rows, **changed)))  # type: ignore[arg-type]
        assert found.verdict is Verdict.UNTESTED
        assert not found.findings
        return found.reason

    assert judge(BOTH, Results(tmp_path)).reason == f"no {tmp_path}/mine/results.csv"
    assert reason(measurements("ddpm", "mass", 1.0)) == "no method robust in its results"
    assert reason(ROWS[:16]) == "no width of robust in its results"
    assert reason([row for row in ROWS if row.seed == 0]) == "fewer than two seeds in common in its results"
    infinite = [row._replace(value=float("inf")) if row.method == "robust" else row for row in ROWS]
    assert reason(infinite) == "mass of robust is not finite"
    assert "is not of the preset default" in reason(ROWS, preset="smoke")
    assert "is not of the preset default" in reason(ROWS, steps=3)
    page = markdown([judge(BOTH, Results(tmp_path))])
    assert "made by `toylab figures mine`" in page
    assert "not tested here: 1" in page


def test_seeds_are_paired_by_their_number(tmp_path: Path):
    """Of seeds that one method lacks, none counts."""
    rows = [row for row in ROWS if row.method == "ddpm" or row.seed > 2]
    found = judge(BOTH, Results(written(tmp_path, rows)))
    expected = [
        {row.method: row.value for row in ROWS if row.seed == seed and row.metric == "mass"} for seed in SEEDS[3:]
    ]
    assert found.findings[0].interval == pytest.approx(Interval.of([one["robust"] - one["ddpm"] for one in expected]))


def test_attacks_are_those_of_the_largest_budget_and_steps_the_fewest_against_the_most(tmp_path: Path):
    attacked = Measure("harm", "harm", attack="greedy", place="every")
    growth = Measure("w2", "w2", steps="fewer")
    rows = []
    for method, factor in (("ddpm", 1.0), ("robust", 0.5)):
        for budget in (0.05, 0.4, 0.1):
            how = {"attack": "greedy", "place": "every", "budget": budget}
            rows += measurements(method, "harm", factor * budget * 10, **how)
        rows += [row for nfe in (100, 5, 20) for row in measurements(method, "w2", 1 + factor * 10 / nfe, nfe=nfe)]
    claim = Claim("less", "here", "mine", (Less(attacked, "robust"), Less(growth, "robust")))
    found = judge(claim, Results(written(tmp_path, rows)))
    assert found.verdict is Verdict.HOLDS
    assert found.findings[0].interval.mean == pytest.approx(-2.0, abs=0.02)  # at budget 0.4
    assert found.findings[1].interval.mean == pytest.approx(-0.95, abs=0.02)  # 0.5 (10/5 - 10/100)
    (tmp_path / "mine" / "results.csv").unlink()
    found = judge(claim, Results(written(tmp_path, [row for row in rows if row.nfe != 5 and row.nfe != 20])))
    assert found.reason == "no samples of robust by fewer steps in its results"


def test_a_place_of_a_sweep_and_what_does_not_depend_on_its_keys(tmp_path: Path):
    """robust at either λ beside ddpm, which has none and is there once a law."""
    rows = []
    for law, base in (("box", 1.0), ("circle", 10.0)):
        rows += [(row, {"law": law, "lam": ""}) for row in measurements("ddpm", "mass", base)]
        for lam, factor in (("0.3", 0.8), ("1.0", 0.5)):
            rows += [(row, {"law": law, "lam": lam}) for row in measurements("robust", "mass", factor * base)]
    texts = [to_csv([row], {"experiment": "mine", "preset": "default"}, at).splitlines() for row, at in rows]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/results.csv").write_text("\n".join([texts[0][0], *(line for _, line in texts)]) + "\n")
    results = Results(tmp_path)

    def at(law: str, lam: str) -> Measure:
        return Measure("mass", "mass", at=(("law", law), ("lam", lam)))

    for law, base in (("box", 1.0), ("circle", 10.0)):
        for lam, factor in (("0.3", 0.8), ("1.0", 0.5)):
            found = judge(Claim("less", "here", "mine", (Less(at(law, lam), "robust"),)), results)
            assert found.findings[0].interval.mean == pytest.approx(base * (factor - 1), abs=0.02)
            assert found.verdict is Verdict.HOLDS
    across = Less(at("box", "1.0"), "robust", "robust", 0.1, at("box", "0.3"))
    found = judge(Claim("more λ, less", "here", "mine", (across,)), results)
    assert found.verdict is Verdict.HOLDS
    assert found.findings[0].subject == "mass at law box, lam 1.0, robust − robust's mass at law box, lam 0.3"
    missing = judge(Claim("less", "here", "mine", (Less(at("box", "0.5"), "robust"),)), results)
    assert missing.reason == "no robust at lam = 0.5 in its results"
    for share, verdict in ((0.3, Verdict.HOLDS), (0.5, Verdict.NOT)):  # 0.2 of 0.5
        keeps = Keeps(at("box", "0.3"), at("box", "1.0"), "robust", share)
        assert judge(Claim("keeps", "here", "mine", (keeps,)), results).verdict is verdict


def test_an_effect_that_is_none_cannot_be_kept(tmp_path: Path):
    """Of something that rises where the full method does not lower it, nothing is kept."""
    rows = measurements("ddpm", "mass", 1.0) + measurements("robust", "mass", 0.5) + measurements("robust", "full", 1.2)
    rows += measurements("ddpm", "full", 1.0)
    claim = Claim("keeps", "here", "mine", (Keeps(MASS, Measure("full", "full"), "robust"),))
    assert judge(claim, Results(written(tmp_path, rows))).verdict is Verdict.NOT
    rows = [row._replace(value=0.1) if (row.method, row.metric) == ("robust", "full") else row for row in rows]
    assert judge(claim, Results(written(tmp_path, rows))).verdict is Verdict.HOLDS


def test_run_folders_serve_as_well_the_newest_finished_default_one(tmp_path: Path):
    for number, (preset, date, rows) in enumerate(
        [("default", "2026-01-01", flipped(ROWS)), ("default", "2026-01-03", ROWS), ("smoke", "2026-01-04", [])]
    ):
        folder = tmp_path / f"mine-{preset}-{number}"
        written(tmp_path, rows, folder.name, preset)
        (folder / "config.json").write_text(json.dumps({"experiment": "mine", "preset": preset}))
        (folder / "finished.json").write_text(json.dumps({"date": date, "version": "0"}))
    unfinished = written(tmp_path, flipped(ROWS), "mine-default-9") / "mine-default-9"
    (unfinished / "config.json").write_text(json.dumps({"experiment": "mine", "preset": "default"}))
    assert judge(BOTH, Results(tmp_path)).verdict is Verdict.HOLDS


def test_the_committed_page_is_what_the_command_prints(toylab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    code, out, err = toylab("claims", "--markdown")
    assert (code, err) == (0, "")
    assert out == (ROOT / "docs/claims.md").read_text(encoding="utf-8"), "toylab claims -o docs/claims.md"


def test_the_page_goes_into_a_folder_that_is_there(toylab, tmp_path: Path):
    for bad in ("no/page.md", "page.txt"):
        code, _, err = toylab("claims", "--results", tmp_path, "-o", tmp_path / bad)
        assert (code, err.startswith("error: -o must name a .md file in an existing folder")) == (2, True)


def test_the_command(toylab, tmp_path: Path):
    written(tmp_path, ROWS)
    code, out, _ = toylab("claims", "--results", tmp_path)
    assert code == 0
    assert out.count("not tested here") >= len(CLAIMS)
    assert "Holm" in out
    code, out, _ = toylab("claims", "--results", tmp_path, "-o", tmp_path / "page.md")
    assert (code, out) == (0, f"{tmp_path / 'page.md'}\n")
    assert (tmp_path / "page.md").read_text().startswith("# Claims")
    for bad in (["--results", tmp_path / "no"], ["--results", tmp_path, "-o", tmp_path / "no" / "page.md"]):
        code, _, err = toylab("claims", *bad)
        assert code == 2
        assert err.count("\n") == 1


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text[:40])
def test_claims_name_methods_and_measures_that_their_experiments_have(claim: Claim):
    """Where an experiment is missing, or renames a method, a claim would be left untested for ever."""
    if claim.command:
        assert claim.experiment not in EXPERIMENTS
        return
    settings: Any = configure(claim.experiment).settings
    known = {*settings.objectives, *(f"implied-{name}" for name in settings.objectives)}
    grid: dict[str, set[str]] = {}
    for axis in getattr(settings, "axes", ()):
        for key, value in (label for point in axis.points for label in axis.labels(point).items()):
            grid.setdefault(key, set()).add(str(value))
    for comparison in claim.comparisons:
        assert set(comparison.methods) <= known
        for measure in (value for value in vars(comparison).values() if isinstance(value, Measure)):
            assert measure.metric.removeprefix("excess-") in {*settings.evaluation.metrics, "displacement"}
            for key, value in measure.at:
                assert value in grid[key]


def test_unreadable_results_are_refused(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="can be read"):
        judge(BOTH, Results(tmp_path))
