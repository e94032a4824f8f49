"""`import toylab as tl`: nouns that cost nothing until they are used, runs, and what is read of them."""

import ast
import io
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import toylab as tl
from tests.test_experiments import TINY
from toylab import index, launch, report, runs
from toylab.experiments.experiment import flat
from toylab.ledger import accounts
from toylab.results import COLUMNS
from toylab.statistics import Interval

ROOT = Path(__file__).parents[1]
STUB = ast.parse((ROOT / "toylab/__init__.pyi").read_text(encoding="utf-8"))


# -- the nouns ---------------------------------------------------------------------------------------------------


def test_importing_toylab_loads_nothing():
    code = """
        import sys
        before = set(sys.modules)
        import toylab as tl
        assert tl.__version__ and "run" in dir(tl) and "GaussianMixture" in tl.__all__
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(loaded & {"torch", "numpy", "pandas", "matplotlib", "pydantic"})
        tl.BadInput, tl.settle, tl.admit, tl.LAWS
        print("torch" in sys.modules, "toylab.api" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == ["set()", "False False"]


def test_the_stub_says_what_type_checkers_take_for_exported_and_what_there_is():
    """`from M import N as N`, each once, and each is what it is in its module."""
    nouns: list[str] = []
    for node in STUB.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name
                nouns.append(alias.name)
                module = __import__(str(node.module), fromlist=[alias.name])
                assert getattr(tl, alias.name) is getattr(module, alias.name)
    assert len(nouns) == len(set(nouns)) > 80
    assert set(tl.__all__) == {"__version__", *nouns}
    assert set(dir(tl)) == set(tl.__all__)


def test_no_noun_has_the_name_of_another_module():
    """Else which of the two it is would depend on what was imported before."""
    for node in STUB.body:
        if isinstance(node, ast.ImportFrom) and node.module != "toylab":
            for alias in node.names:
                assert not (ROOT / "toylab" / alias.name).exists()
                assert not (ROOT / "toylab" / f"{alias.name}.py").exists()


@pytest.mark.parametrize("section", [index.OBJECTIVES, index.SCHEDULES, index.SAMPLERS], ids=lambda s: s.kind)
def test_every_built_in_is_a_noun(section: index.Index):
    for name in section:
        assert getattr(tl, section[name].target.partition(":")[2]) is section.load(name)


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'toylab' has no attribute 'rnu'"):
        _ = tl.rnu  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="rnu"):
        from toylab import rnu  # type: ignore[attr-defined]  # noqa: F401


# -- errors ------------------------------------------------------------------------------------------------------


def test_errors_have_one_base_and_their_old_ones():
    for error, before in (
        (tl.BadInput, ValueError), (tl.Unable, RuntimeError), (tl.UnknownName, KeyError), (tl.SingularLaw, ValueError),
        (tl.Damaged, ValueError),
    ):  # fmt: skip
        assert issubclass(error, tl.ToylabError)
        assert issubclass(error, before)
    assert str(tl.UnknownName("one line")) == "one line"
    with pytest.raises(tl.ToylabError, match="has no density"):
        tl.Sphere(2).score(torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("gmm-outlier",), {}, "unknown experiment 'gmm-outlier'; did you mean 'gmm-outliers'"),
        (("gmm-outliers", "smok"), {}, "unknown preset 'smok'; did you mean 'smoke'"),
        (("gmm-outliers", "smoke", ["robust"]), {}, "unknown method 'robust'"),
        (("gmm-outliers",), {"sedes": 8}, "sedes"),
        (("gmm-outliers",), {"training.step": 8}, "step"),
        (("gmm-outliers",), {"training..steps": 8}, "'training..steps' is no key of a setting"),
        (("lab",), {"objective": "mine:Mine"}, "'mine:Mine' names code"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(arguments, settings, message: str, tmp_path: Path):
    with pytest.raises(tl.BadInput) as told:
        tl.run(*arguments, out=tmp_path, settings=settings)
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


# -- a run -------------------------------------------------------------------------------------------------------

EVALUATION = {"levels": 2, "points": 20, "pair": 30, "ledger": True, "metrics": ["eps-mse", "outlier-mass", "w2"]}
RUN: dict[str, Any] = {
    "name": "gmm-outliers", "preset": "smoke", "methods": ["ddpm"], "seeds": 2,
    "settings": {"training.steps": 6, "network.width": 8}, "training": {"batch": 16},
    "nfe": 3, "samples": 60, "size": 100, "evaluation": EVALUATION,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tl.Run:
    """A tiny run, with a ledger."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("toylab.figures.draw", lambda run, names, into=None: [])
        return tl.run(out=tmp_path_factory.mktemp("runs"), progress=False, **RUN)


def test_the_command_makes_the_same_run_and_nothing_is_printed_without_progress(
    toylab, undrawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The same folder by name, and the same bytes."""
    ours = tl.run("lab", "smoke", settings=flat(TINY), out=tmp_path / "ours", progress=False)
    assert capsys.readouterr() == ("", "")
    words = [word for key, value in flat(TINY).items() for word in ("--set", f"{key}={value}")]
    assert toylab("run", "lab", "--preset", "smoke", *words, "--out", tmp_path / "theirs")[0] == 0
    (theirs,) = (tmp_path / "theirs").iterdir()
    assert theirs.name == ours.path.name
    for name in ("config.json", "results.csv", *(f"weights/{method}.safetensors" for method in ours.methods)):
        assert (theirs / name).read_bytes() == (ours.path / name).read_bytes()


@pytest.mark.slow
def test_the_smoke_preset_by_command_and_from_python_is_byte_equal(tmp_path: Path):
    """In processes of their own, as users have them; figures too."""
    out = {how: tmp_path / how for how in ("command", "python")}
    command = [sys.executable, "-m", "toylab", "run", "gmm-outliers", "--preset", "smoke", "--out", str(out["command"])]
    subprocess.run(command, check=True, capture_output=True)
    code = f"import toylab as tl; tl.settle(); print(tl.run('gmm-outliers', 'smoke', out={str(out['python'])!r}))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "robust-adv" in done.stdout
    (one,), (other,) = (list(folder.iterdir()) for folder in out.values())
    assert one.name == other.name
    names = ["results.csv", "samples.npz", *(f"figures/{path.name}" for path in (one / "figures").iterdir())]
    assert len(names) > 5
    for name in names:
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_finished_run_is_reused_and_loaded(found: tl.Run, capsys: pytest.CaptureFixture[str]):
    again = tl.run(out=found.path.parent, **RUN)
    assert again.path == found.path
    assert capsys.readouterr().out.startswith("reusing the run finished 20")
    loaded = tl.load(str(found.path))
    assert isinstance(loaded, tl.Run)
    assert loaded.seeds == [0, 1]
    assert repr(loaded) == f"Run('{found.path}')"
    with pytest.raises(tl.BadInput, match="is no run folder"):
        tl.load(found.path.parent)


def test_the_table_is_that_of_the_summary_as_numbers(found: tl.Run):
    table = found.table()
    (shown,) = report.tables(found).tables.values()
    assert table.index.name == "method"
    assert [*table.index] == [line[0].removesuffix(" †") for line in shown[1:]]
    assert [*table.columns.get_level_values(0)[::2]] == shown[0][1:]
    for line, (_, row) in zip(shown[1:], table.iterrows(), strict=True):
        pairs = zip(row.iloc[::2], row.iloc[1::2], strict=True)
        cells = ["-" if cell == "nan" else cell for cell in line[1:]]  # of an error that is not finite
        assert ["-" if np.isnan(mean) else str(Interval(mean, half)) for mean, half in pairs] == cells
    values = found.results.query("method == 'ddpm' and metric == 'outlier-mass' and attack.isna()")["value"]
    assert table.loc["ddpm", ("outlier mass", "mean")] == pytest.approx(values.mean(), rel=1e-12)
    title, heading, first, *_ = str(found).splitlines()
    assert title == "mean ± 95 % interval over 2 seeds"
    assert heading.split() == " ".join(shown[0]).split()
    assert first.split() == " ".join(shown[1]).split()


def test_a_sweeps_table_has_its_keys_in_the_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Two shares of contamination, two seeds: means and Student's intervals by hand, t(0.975, 1) = 12.7062."""
    rows = [
        dict.fromkeys(COLUMNS, "") | {"method": "ddpm", "metric": "w2", "against": "clean"}
        | {"seed": seed, "value": value, "set.contamination.fraction": share}
        for share, seed, value in (("0.1", "0", "1"), ("0.1", "1", "2"), ("0.3", "0", "5"), ("0.3", "1", "5"))
    ]  # fmt: skip
    run = tl.Run(tmp_path)
    monkeypatch.setitem(run.__dict__, "rows", rows)
    table = run.table()
    assert table.index.names == ["method", "fraction"]
    assert [*table.index] == [("ddpm", "0.1"), ("ddpm", "0.3")]
    assert [*table.columns] == [("W2 to clean", "mean"), ("W2 to clean", "±")]
    assert table.to_numpy() == pytest.approx(np.array([[1.5, 12.7062 * 0.5], [5.0, 0.0]]), rel=1e-5)


def test_the_ledger_is_the_accounts_as_numbers(found: tl.Run):
    table = found.ledger()
    assert table.index.names == ["quantity", "method"]
    for quantity, of in accounts(found.rows).items():
        for method, account in of.items():
            for part, values in account.items():
                pair = table.loc[(quantity, method), part]
                assert tuple(pair) == pytest.approx(tuple(Interval.of(values)), nan_ok=True)
    assert table.loc[("nats", "ddpm"), ("prior", "mean")] > 0
    assert np.isnan(table.loc[("nats", "ddpm"), ("total", "mean")])


def test_a_run_without_a_ledger_says_how_to_get_one(found: tl.Run, monkeypatch: pytest.MonkeyPatch):
    kept = [row for row in found.rows if not row["metric"].startswith("ledger")]
    monkeypatch.setitem(found.__dict__, "rows", kept)
    with pytest.raises(tl.BadInput, match=r"run it with --set evaluation.ledger=true"):
        found.ledger()


def test_samples_are_tensors_read_when_they_are_asked_for(found: tl.Run, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []
    original = np.lib.npyio.NpzFile.__getitem__
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda self, key: read.append(key) or original(self, key))
    samples = tl.load(found.path).samples
    assert {"ddpm", "exact-clean", "clean-samples"} <= set(samples)
    assert "nobody" not in samples
    assert read == []
    x = samples["ddpm"]
    assert (x.shape, x.dtype, read) == ((2, 60, 2), torch.float32, ["ddpm"])
    assert np.array_equal(x.numpy(), np.load(io.BytesIO((found.path / "samples.npz").read_bytes()))["ddpm"])
    with pytest.raises(tl.UnknownName, match="unknown method 'dppm'; did you mean 'ddpm'"):
        _ = samples["dppm"]


def test_figures_are_drawn_by_name(found: tl.Run):
    drawn = found.plot("outlier-mass")
    assert isinstance(drawn["outlier-mass"], Figure)
    labels = [label.get_text() for label in drawn["outlier-mass"].axes[0].get_yticklabels()]
    assert {"ddpm", "clean-samples"} <= set(labels)
    with pytest.raises(tl.BadInput, match="unknown figure 'outlier-mas'; did you mean 'outlier-mass'"):
        found.plot("outlier-mas")
    with pytest.raises(tl.BadInput, match="has nothing to show as 'normal-std'; figures of its experiment: samples"):
        found.plot("normal-std")


def test_without_names_those_of_the_experiment_are_drawn(found: tl.Run, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr("toylab.figures.FIGURES", Drawn(asked))
    drawn = found.plot()
    assert asked == [*index.EXPERIMENTS.load("gmm-outliers").figures]
    assert [*drawn] == [name for name in asked if name != "normal-std"]


class Drawn(dict):
    """Figures that only say that they were asked for; one has nothing to show."""

    def __init__(self, asked: list[str]):
        self.asked = asked

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str):
        return lambda run: self.asked.append(name) or (None if name == "normal-std" else Figure())


def test_a_sweep_says_where_its_samples_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = runs.Run(tmp_path)
    folder.write("config.json", "{}")
    folder.finish()
    with pytest.raises(tl.BadInput, match=r"stores no samples$"):
        _ = tl.load(tmp_path).samples
    (tmp_path / "cells").mkdir()
    with pytest.raises(tl.BadInput, match=r"a sweep's are in the folders of .*cells"):
        _ = tl.load(tmp_path).samples


def test_a_full_disk_is_told_as_what_toylab_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(self: launch.Launch):
        raise OSError(28, "No space left on device", str(self.folder.path / "samples.npz"))
        yield

    monkeypatch.setattr(launch.Launch, "carry_out", full)
    with pytest.raises(tl.Unable, match=r"samples.npz: No space left on device; the same call goes on$"):
        tl.run("lab", "smoke", out=tmp_path, progress=False, **TINY)
    (folder,) = tmp_path.iterdir()
    assert "No space left on device" in (folder / "log.txt").read_text()
