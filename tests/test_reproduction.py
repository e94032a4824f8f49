"""`toylab reproduce`: the same bits, within intervals, or what differs."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import tiny
from toylab.reproduction import compare, differences
from toylab.results import Row
from toylab.runs import Run


@pytest.fixture(autouse=True)
def offered() -> Iterator[None]:
    with tiny.offered():
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.finished(tmp_path_factory.mktemp("runs"))


def altered(run: Path, to: Path, change: Callable[[Row], None]) -> Path:
    """A copy of a run whose rows are changed."""
    shutil.copytree(run, to)
    (to / "finished.json").unlink()  # as of a run before there were checksums
    with (run / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        change(row)
    with (to / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return to


def shifted(by: float) -> Callable[[Row], None]:
    def change(row: Row) -> None:
        if (row["method"], row["metric"], row["t"]) == ("ddpm", "eps-mse", ""):
            row["value"] = str(by + float(row["value"]))

    return change


def test_the_same_machine_gives_the_same_bits(toylab, finished: Path):
    code, out, err = toylab("reproduce", finished)
    assert (code, err) == (0, "")
    assert "the same bits are promised" in out
    assert "same bits: results.csv is byte-equal" in out


def test_a_folder_of_figures_serves_as_well(toylab, finished: Path, tmp_path: Path):
    """It has no environment, so nothing is promised; and the repetition is kept and used again."""
    bare = tmp_path / "figures"
    bare.mkdir()
    for name in ("config.json", "results.csv"):
        shutil.copyfile(finished / name, bare / name)
    code, out, _ = toylab("reproduce", bare, "--out", tmp_path / "again")
    assert code == 0
    assert "was not recorded, so the same bits are not promised" in out
    assert "same bits: results.csv is byte-equal" in out
    code, out, _ = toylab("reproduce", bare, "--out", tmp_path / "again")
    assert code == 0
    assert "comparing with the repetition finished 20" in out
    assert len(list((tmp_path / "again").iterdir())) == 1


def test_other_numbers_agree_within_intervals_or_are_listed(toylab, finished: Path, tmp_path: Path):
    near = altered(finished, tmp_path / "near", shifted(1e-6))
    environment = json.loads((near / "environment.json").read_text())
    environment["packages"]["torch"], environment["threads"] = "1.0", 99
    (near / "environment.json").write_text(json.dumps(environment))
    code, out, _ = toylab("reproduce", near, "--out", tmp_path / "again")
    assert code == 0
    assert "these differ: threads 99 before, " in out
    assert "torch 1.0 before, " in out
    assert "within intervals: all " in out
    assert "though they are promised" not in out

    far = altered(finished, tmp_path / "far", shifted(1000.0))
    code, out, err = toylab("reproduce", far, "--out", tmp_path / "again")
    assert code == 1
    assert out.count("differs: ") == out.count("differs: method=ddpm metric=eps-mse against=") == 2  # of two laws
    assert err.startswith("error: 2 of ")


def test_a_broken_promise_is_told(toylab, finished: Path, tmp_path: Path):
    near = altered(finished, tmp_path / "near", shifted(1e-6))
    code, out, _ = toylab("reproduce", near, "--out", tmp_path / "again")
    assert code == 0
    assert "and not the same bits, though they are promised" in out


def test_what_is_measured_no_more_is_a_gap_and_what_is_new_is_not(finished: Path, tmp_path: Path):
    renamed = Run(altered(finished, tmp_path / "old", lambda row: row.update(metric=row["metric"] + "-of-old")))
    assert len(compare(renamed, Run(finished)).gaps) == compare(renamed, Run(finished)).measures
    assert "not measured now" in str(compare(renamed, Run(finished)).gaps[0])
    whole = Run(finished)
    fewer = Run(altered(finished, tmp_path / "fewer", shifted(0.0)))
    lines = (fewer.path / "results.csv").read_text().splitlines()
    (fewer.path / "results.csv").write_text("\n".join(lines[:9]) + "\n")
    assert not compare(fewer, whole).gaps
    assert compare(whole, fewer).gaps


@pytest.mark.parametrize(
    ("before", "after", "agree"),
    [
        (["1.0", "1.2"], ["1.1", "1.3"], True),
        (["1.0", "1.01"], ["1.2", "1.21"], False),
        (["1.0", "1.0"], ["1.0", "1.0000000001"], True),  # no width: rounding
        (["0.0", "0.0"], ["1e-6", "1e-6"], False),
        (["inf", "1.0"], ["1.0", "1.0"], False),
        (["nan", "1.0"], ["nan", "1.0"], True),
        (["nan", "1.0"], ["1.0", "1.0"], False),
        (["1.0"], ["1.0"], True),
        (["1.0"], ["1.1"], False),  # a single seed has no interval
    ],
)
def test_agreement(before: list[str], after: list[str], agree: bool, tmp_path: Path):
    folders = []
    for name, stderr, values in (("before", 0.1, before), ("after", 0.2, after)):
        folder = tmp_path / name
        folder.mkdir()
        rows = [f"ddpm,{seed},w2,clean,{stderr},{value}" for seed, value in enumerate(values)]
        (folder / "results.csv").write_text("method,seed,metric,against,stderr,value\n" + "\n".join(rows) + "\n")
        folders.append(Run(folder))
    assert (not compare(*folders).gaps) == agree


def test_environments_differ_in_what_results_depend_on():
    one = {"python": "3.11", "threads": 2, "sources": "a", "packages": {"torch": "2", "numpy": "1"}, "git": "x"}
    assert differences(one, one | {"git": "y", "seed": 3}) == []
    other = one | {"threads": 4, "sources": "b", "packages": {"torch": "3", "numpy": "1"}}
    assert differences(one, other) == ["threads 2 before, 4 now", "torch 2 before, 3 now", "toylab's own files"]


def test_bad_input(toylab, finished: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    for arguments, message in (
        (["nowhere"], "nowhere has no config.json"),
        ([tmp_path], "has no results.csv"),
        ([finished, "--out", finished.parent], "--out must be another folder"),
        ([finished, "--device", "gpu"], "unknown device"),
    ):
        code, _, err = toylab("reproduce", *arguments)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
    (tmp_path / "results.csv").write_text("")
    assert "has no run that can be read" in toylab("reproduce", tmp_path)[2]
    shutil.copyfile(finished / "config.json", tmp_path / "config.json")
    for text in ("", "a,b\n", "a,b\n1,2\n"):
        (tmp_path / "results.csv").write_text(text)
        said = toylab("reproduce", tmp_path)[2]
        assert "has no run that can be read" in said or f"{tmp_path}/results.csv, line 2: " in said


def test_a_failing_repetition_exits_1(toylab, finished: Path, monkeypatch: pytest.MonkeyPatch):
    from toylab.experiments import pipeline

    monkeypatch.setattr(pipeline, "measure", lambda *a: (_ for _ in ()).throw(MemoryError("out of memory")))
    code, _, err = toylab("reproduce", finished)
    assert code == 1
    assert err.startswith("error: the run failed: out of memory")
