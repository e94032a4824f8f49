"""`toylab figures`: what is made, resumed and kept."""

import json
import shutil
from pathlib import Path

import pytest

from toylab import environment, gallery, index, runs
from toylab.entries import Entry
from toylab.errors import BadInput
from toylab.launch import configure, prepare

ROOT = Path(__file__).parents[1]
MADE = {"config.json", "environment.json", "finished.json", "results.csv", "outlier-mass.png", "outlier-mass.svg"}
ENTRIES = {"tiny": Entry("tests.tiny:EXPERIMENT", "tiny"), "lab": index.EXPERIMENTS["lab"]}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """tiny and lab are all the experiments there are, and the working folder is a fresh one."""
    monkeypatch.setattr(index.EXPERIMENTS, "_entries", ENTRIES)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, of tiny."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index.EXPERIMENTS, "_entries", ENTRIES)
        list(prepare(configure("tiny"), "cpu", root).carry_out())
    return root


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """The same, in the runs of the working folder."""
    shutil.copytree(finished, tmp_path / "runs")
    (path,) = (tmp_path / "runs").iterdir()
    return path


def test_figures_are_made_and_a_finished_run_is_drawn_again(toylab, tmp_path: Path):
    code, out, err = toylab("figures")
    assert (code, err) == (0, "")
    assert "1 of 1: figures/tiny" in out
    folder = tmp_path / "figures/tiny"
    assert {path.name for path in folder.iterdir()} == MADE
    (run,) = (tmp_path / "runs").iterdir()
    for name in ("config.json", "environment.json", "finished.json", "results.csv"):
        assert (folder / name).read_bytes() == (run / name).read_bytes()
    before = (run / "results.csv").stat().st_mtime_ns
    svg = (folder / "outlier-mass.svg").read_bytes()
    (folder / "outlier-mass.svg").unlink()
    (folder / "no-more.png").write_text("drawn by an earlier version")
    (folder / "table.md").write_text("kept")
    assert toylab("figures", "tiny")[0] == 0
    assert {path.name for path in folder.iterdir()} == {*MADE, "table.md"}
    assert (folder / "outlier-mass.svg").read_bytes() == svg
    assert (run / "results.csv").stat().st_mtime_ns == before


@pytest.mark.usefixtures("run")
def test_the_readme_says_what_and_when_and_keeps_what_stands_around(toylab, tmp_path: Path):
    readme = tmp_path / "figures/README.md"
    assert toylab("figures")[0] == 0
    text = readme.read_text()
    finished = json.loads((tmp_path / "figures/tiny/finished.json").read_text())
    (line,) = [line for line in text.splitlines() if line.startswith("| [tiny](tiny) |")]
    shows, command, made = (cell.strip() for cell in line.split("|")[2:5])
    assert shows == "an experiment of a second, to be run and drawn by tests"
    assert command == "`toylab figures tiny`"
    assert made.startswith(f"{finished['date'][:10]}, toylab {finished['version']}, torch ")
    readme.write_text("# Mine\n\n" + text.replace("# Figures", "") + "\n## By hand\n")
    assert toylab("figures", "--preset", "other")[0] == 0
    text = readme.read_text()
    assert text.startswith("# Mine\n")
    assert text.endswith("\n## By hand\n")
    assert "| `toylab figures tiny --preset other` |" in text
    assert text.count("| [tiny](tiny) |") == 1
    readme.write_text("# without marks\n")
    code, _, err = toylab("figures")
    assert code == 2
    assert "needs the lines" in err
    assert readme.read_text() == "# without marks\n"


def test_smoke_is_drawn_elsewhere_or_not_at_all(toylab, tmp_path: Path):
    for out in ([], ["--out", tmp_path / "figures"]):
        code, _, err = toylab("figures", "--preset", "smoke", *out)
        assert code == 2
        assert err == "error: smoke runs show nothing and are not drawn into figures; --out DIR names another folder\n"
    assert list(tmp_path.iterdir()) == []
    assert toylab("figures", "--preset", "smoke", "--out", tmp_path / "other")[0] == 0
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"README.md", "tiny-smoke"}


def test_an_interrupted_run_goes_on(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from toylab.experiments import pipeline

    original = pipeline.measure
    monkeypatch.setattr(pipeline, "measure", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, err = toylab("figures")
    assert code == 130
    assert "goes on" in err
    assert not (tmp_path / "figures/tiny").exists()
    monkeypatch.setattr(pipeline, "measure", original)
    code, out, _ = toylab("figures", "--list")
    assert code == 0
    assert "begun" in out
    assert toylab("figures")[0] == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert (tmp_path / "figures/tiny/results.csv").read_bytes() == (run / "results.csv").read_bytes()
    attempts = [line for line in (run / "timings.csv").read_text().splitlines() if ",,run," in line]
    assert len(attempts) == 2
    assert runs.Run(run).seconds == pytest.approx(sum(float(line.split(",")[-1]) for line in attempts))


def test_the_list_makes_nothing_and_estimates(toylab, tmp_path: Path):
    code, out, _ = toylab("figures", "--list")
    assert code == 0
    assert list(tmp_path.iterdir()) == []
    assert "missing" in out
    assert "in all about" in out
    assert "lab" not in out  # has no subject of its own
    (exhibit,) = gallery.exhibits((), "default", tmp_path / "runs")
    assert exhibit.seconds is not None
    assert 0 < exhibit.seconds < 60


def test_a_finished_run_takes_no_time(run: Path):
    (exhibit,) = gallery.exhibits((), "default", run.parent)
    assert exhibit.state.startswith("finished 20")
    assert exhibit.seconds == gallery.LEAST


def test_runs_of_other_sources_are_drawn_if_asked_for(
    toylab, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And their time is the estimate for doing it again. Settings that they did not know do not matter."""
    config = json.loads((run / "config.json").read_text())
    del config["spacing"]
    (run / "config.json").write_text(json.dumps(config))
    (run / "finished.json").write_text('{"date": "2000-01-01", "version": "0"}')  # of before there were checksums
    (run / "timings.csv").write_text("date,method,part,seconds\n,,run,4000.0\n,ddpm,training,1.0\n")
    monkeypatch.setattr(environment, "sources_hash", lambda: "other")
    (exhibit,) = gallery.exhibits((), "default", tmp_path / "runs")
    assert exhibit.run is None
    assert exhibit.state == "finished by other sources; --redraw draws it"
    assert exhibit.seconds == pytest.approx(4000, rel=0.01)
    assert "67 min" in toylab("figures", "--list")[1]
    assert toylab("figures", "--redraw")[0] == 0
    assert list((tmp_path / "runs").iterdir()) == [run]
    assert (tmp_path / "figures/tiny/config.json").read_text() == json.dumps(config)


def test_bad_input_is_one_line_and_told_before_anything_runs(toylab, tmp_path: Path):
    (tmp_path / "file").write_text("")
    for arguments, message in (
        (["tinny"], "unknown experiment 'tinny'; did you mean 'tiny'?"),
        (["tiny", "--preset", "defualt"], "unknown preset 'defualt'; did you mean 'default'?"),
        (["--preset", "defualt"], "no experiment has a preset 'defualt'"),
        (["--out", tmp_path / "file"], "cannot write"),
        (["--device", "gpu"], "unknown device"),
    ):
        code, _, err = toylab("figures", *arguments)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_committed_folder_stands_in_the_readme():
    readme = (ROOT / "figures/README.md").read_text(encoding="utf-8")
    assert gallery.BEGIN in readme
    assert gallery.END in readme
    for folder in (path for path in (ROOT / "figures").iterdir() if path.is_dir()):
        assert f"| [{folder.name}]({folder.name}) |" in readme


def test_a_folder_without_its_environment_is_listed_without_a_date(tmp_path: Path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.json").write_text(json.dumps({"experiment": "gone", "preset": "default"}))
    text = gallery.write_readme(tmp_path).read_text()
    assert "| [old](old) | - | `toylab figures gone` | not recorded |" in text


def test_a_figures_folder_that_cannot_be_written_is_bad_input(run: Path, tmp_path: Path):
    (exhibit,) = gallery.exhibits((), "default", run.parent)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/tiny").write_text("a file")
    with pytest.raises(BadInput, match="cannot write"):
        gallery.hang(runs.Run(run), exhibit, tmp_path / "out")
