"""What README says is true: its table, its code, its commands."""

import re
from pathlib import Path

import pytest

from toylab.judgement import footnote, under_trained
from toylab.results import from_csv, interval
from toylab.summaries import markdown, summary

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = from_csv((ROOT / "figures/gmm-outliers/results.csv").read_text(encoding="utf-8"))


def test_the_table_is_that_of_the_committed_results():
    assert markdown(summary(ROWS, under_trained(ROWS))) in README
    assert footnote(ROWS) in README.replace("\n", " ")


def test_the_committed_results_are_those_of_the_default_run_with_four_seeds():
    assert {(row["experiment"], row["preset"]) for row in ROWS} == {("gmm-outliers", "default")}
    assert {row["seed"] for row in ROWS} == {"0", "1", "2", "3"}
    assert not any(key.startswith("set.") for key in ROWS[0])


def test_invariance_is_visibly_broken_and_ddpm_learned_the_contaminated_law():
    """In the committed default run, by intervals that do not touch."""

    def of(method: str, metric: str):
        found = interval(ROWS, method, metric, "clean")
        assert found is not None
        return found

    for metric in ("outlier-mass", "w2"):
        broken, baseline = of("invariance", metric), of("ddpm", metric)
        assert broken.mean - broken.half > 2 * (baseline.mean + baseline.half)
    own, learned = of("contaminated-samples", "outlier-mass"), of("ddpm", "outlier-mass")
    assert abs(learned.mean - own.mean) < 0.25 * own.mean


def block(name: str) -> str:
    """The code that stands under this mark."""
    (code,) = re.findall(rf"<!-- python: {name} -->\n```python\n(.*?)```", README, flags=re.S)
    return code


def test_a_model_of_another_library_is_measured_in_five_lines(capsys: pytest.CaptureFixture[str]):
    """`.ci/run` installs it; elsewhere it may be missing."""
    pytest.importorskip("azula")
    code = block("measured")
    assert len(code.replace("\n\n", "\n").strip().splitlines()) == 5
    names: dict[str, object] = {}
    exec(block("theirs").replace("range(1000)", "range(50)"), names)
    exec(code, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == [
        "metric", "against", "model", "exact-clean", "exact-contaminated", "clean-samples", "contaminated-samples"
    ]  # fmt: skip
    assert {line.split()[0] for line in printed} >= {"eps-mse", "leakage", "jacobian-error", "w2", "outlier-mass"}


def test_the_quickstart_runs():
    code = block("quickstart")
    assert len(code.strip().splitlines()) == 10
    names: dict[str, object] = {}
    exec(code.partition("run = ")[0], names)  # the run is tests/test_docs.py's
    assert names["x"].shape == (1000, 2)  # type: ignore[attr-defined]
    assert names["score"].shape == (1, 2)  # type: ignore[attr-defined]


def test_the_layout_names_every_module():
    layout = README.split("## Layout")[1].split("## Add your own")[0]
    for path in (ROOT / "toylab").iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            assert path.name in layout
        if path.is_dir() and (path / "__init__.py").exists():
            assert f"{path.name}/" in layout
