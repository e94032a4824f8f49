"""Files from strangers run no code, write nowhere else, and take no more memory or time than is allowed."""

import ast
import io
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny import finished, offered
from toylab import configuration, process, results, runs
from toylab.api import load
from toylab.checkpoints import Checkpoints
from toylab.errors import BadInput
from toylab.launch import configure

PACKAGE = Path(__file__).parents[1] / "toylab"
MODULES = sorted(PACKAGE.rglob("*.py"))
UNPICKLING = {"pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle", "joblib", "yaml"}
CALLS_THAT_RUN_WHAT_THEY_ARE_GIVEN = {"eval", "exec", "os.system", "os.popen", "torch.load", "pandas.read_pickle"}
SCRIPTS = "images/features.py"
"""A TorchScript module is code, loaded where it was allowed on the command line (toylab/outside.py)."""


def dangers(tree: ast.AST) -> list[str]:
    """What could run what is in a file."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in UNPICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLING:
            found.append(str(node.module))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            options = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in CALLS_THAT_RUN_WHAT_THEY_ARE_GIVEN or options.get("shell") == "True":
                found.append(name)
            if name in ("np.load", "numpy.load") and options.get("allow_pickle") != "False":
                found.append(name)
            if name == "torch.jit.load":
                found.append(name)
    return found


def test_nothing_of_ours_is_unpickled_or_evaluated():
    found = {str(path.relative_to(PACKAGE)): dangers(ast.parse(path.read_text())) for path in MODULES}
    assert {name: of for name, of in found.items() if of} == {SCRIPTS: ["torch.jit.load"]}


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "np.load(x)", "np.load(x, allow_pickle=True)", "torch.load(x)",
     "eval(x)", "subprocess.run(x, shell=True)", "torch.jit.load(x)"],
)  # fmt: skip
def test_what_would_be_found(text: str):
    assert dangers(ast.parse(text))


STRANGE = ["../evil", "os:system"]
STRANGER = ["..", "/tmp/evil", "a/b", "a\0b", "x" * 300, ".", "", "CON:", "%2e%2e"]


@pytest.mark.parametrize("name", [*STRANGE, *(pytest.param(name, marks=pytest.mark.slow) for name in STRANGER)])
@pytest.mark.parametrize("key", ["experiment", "preset", "methods", "law", "objective-of-a-method"])
def test_names_of_a_stranger_are_no_paths(key: str, name: str, toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = {
        "methods": {"methods": {name: "ddpm"}},
        "law": {"law": {"name": name}},
        "objective-of-a-method": {"methods": {"mine": {"name": name}}},
    }.get(key, {key: name})
    (tmp_path / "theirs").mkdir()
    monkeypatch.chdir(tmp_path / "theirs")
    file = tmp_path / "theirs/config.json"
    file.write_text(json.dumps({"experiment": "gmm-outliers"} | given))
    code, _, err = toylab("run", "gmm-outliers", "--config", file, "--out", tmp_path / "theirs/runs")
    assert (code, err.count("\n")) == (2, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    assert not (tmp_path / "theirs/runs").exists()


HUGE = [
    {"seeds": 10**9}, {"samples": 10**9}, {"size": 10**12}, {"nfe": 10**9}, {"training": {"steps": 10**12}},
    {"training": {"batch": 10**9}}, {"network": {"width": 10**9}}, {"network": {"depth": 10**9}},
    {"evaluation": {"levels": 10**9}}, {"evaluation": {"points": 10**12}}, {"schedule": {"name": "ddpm", "T": 10**9}},
    {"few_steps": [10**9]}, {"few_steps": [*range(2, 200)]}, {"law": {"name": "gaussian", "dim": 10**9}},
    {"law": {"name": "ring-of-gaussians", "count": 10**9}}, {"law": {"name": "sphere", "dim": 10**9}},
    {"law": {"name": "subspace", "dim": 10**9}}, {"law": {"name": "swiss-roll", "dim": 10**6}},
    {"law": {"name": "torus", "radii": [1.0] * 100_000}}, {"contamination": [{"name": "outliers"}] * 1000},
    {"methods": {f"m{number}": "ddpm" for number in range(100_000)}},
]  # fmt: skip
LIMITED = """
import json, sys
from toylab import launch
from toylab.errors import BadInput
import resource
resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]),) * 2)
for given in json.load(sys.stdin):
    try:
        launch.configure_from(given, "lab", "smoke")
        print("taken")
    except BadInput as error:
        print(str(error)[:100].replace(chr(10), " "))
"""


@pytest.mark.slow
def test_absurd_sizes_are_refused_and_cost_nothing():
    """Each of them, in a process of 6 GB and a minute."""
    limit = 6 * 2**30
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "60"], input=json.dumps(HUGE), capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert len(said) == len(HUGE)
    assert [given for given, line in zip(HUGE, said, strict=True) if line == "taken"] == []


def test_a_sweep_of_absurd_size_is_refused(tmp_path: Path, toylab):
    file = tmp_path / "sweep.json"
    grid = {"nfe": [*range(2, 1000)], "samples": [*range(2, 1000)]}
    file.write_text(json.dumps({"experiment": "gmm-outliers", "grid": grid}))
    code, _, err = toylab("sweep", file, "--dry-run")
    assert (code, err.count("\n")) == (2, 1)
    assert "combinations" in err


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deep.json", '{"law": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("deeper.json", '{"a": ' * 500 + "1" + "}" * 500),
        ("deep.toml", "law = " + "[" * 2000 + "]" * 2000),
        ("keys.toml", ".".join("a" * 500) + " = 1"),
    ],
)
def test_deep_nesting_is_refused(name: str, text: str, toylab, tmp_path: Path):
    (tmp_path / name).write_text(text)
    code, _, err = toylab("run", "gmm-outliers", "--config", tmp_path / name, "--out", tmp_path / "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot read the configuration" in err


def test_a_forged_folder_takes_no_memory(tmp_path: Path):
    """Seeds without end, a tensor that is longer than its file, an array of another kind."""
    (tmp_path / "weights").mkdir()
    head = json.dumps({"network.x": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    (tmp_path / "weights/ddpm.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    (tmp_path / "config.json").write_text(json.dumps({"seed": 0, "seeds": 10**12}))
    run = runs.Run(tmp_path)
    with pytest.raises(BadInput, match="seeds from 1 to"):
        _ = run.seeds
    with pytest.raises(BadInput, match="no safetensors file"):
        run.load_tensors("weights/ddpm.safetensors")


# -- run folders of strangers ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def theirs(made: Path, tmp_path: Path) -> Path:
    """A finished run as a stranger may send it: without checksums."""
    folder = Path(shutil.copytree(made, tmp_path / "runs" / made.name))
    (folder / "finished.json").write_text('{"date": "2000-01-01", "version": "0"}')
    return folder


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


@pytest.mark.parametrize("odd", [pipe, device, huge])
@pytest.mark.parametrize(
    "name", ["config.json", "environment.json", "results.csv", "finished.json", "timings.csv", "samples.npz"]
)
def test_what_is_no_file_or_has_no_end_is_not_read(odd, name: str, theirs: Path, toylab, never_waiting):
    (theirs / name).unlink()
    odd(theirs / name)
    code, _, err = toylab("report", theirs, "-o", theirs.parent / "page.html")
    assert (code, err.count("\n")) == (2, 1)
    assert str(theirs) in err
    assert any(words in err for words in ("a pipe or a device", "larger than", "it has no config.json"))


@pytest.mark.parametrize("odd", [pipe, device, huge])
@pytest.mark.parametrize("name", ["1.json", "1.safetensors"])
def test_checkpoints_that_are_no_files_are_passed_over(odd, name: str, tmp_path: Path, never_waiting):
    own = Checkpoints(runs.Run(tmp_path), "ddpm")
    own.save({"step": torch.tensor(1)}, 1, 0.5)
    (tmp_path / "checkpoints/ddpm" / name).unlink()
    odd(tmp_path / "checkpoints/ddpm" / name)
    if odd is huge and name.endswith("safetensors"):  # it may be whole
        with pytest.raises(BadInput, match="larger than half of the memory"):
            own.latest()
    else:
        assert own.latest() is None


def test_arrays_that_fit_into_no_memory_are_not_unpacked(theirs: Path, toylab, monkeypatch: pytest.MonkeyPatch):
    """More than the machine has, by what the archive says; and by what a head in it says, of less than that."""
    np.savez_compressed(theirs / "samples.npz", ddpm=np.zeros((1, 10_000, 2)))
    with monkeypatch.context() as patch:
        patch.setattr(process, "memory", lambda: process.Memory(200_000, None))
        code, _, err = toylab("report", theirs, "-o", theirs.parent / "page.html")
    assert (code, err.count("\n")) == (2, 1)
    assert "samples.npz, unpacked, is larger than half of the memory" in err
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1, 10**12, 2)})
    with zipfile.ZipFile(theirs / "samples.npz", "w") as packed:
        packed.writestr("ddpm.npy", head.getvalue() + b"\0" * 1000)
    code, _, err = toylab("report", theirs, "-o", theirs.parent / "page.html")
    assert (code, err.count("\n")) == (2, 1)
    with pytest.raises(BadInput, match=r"Unable to allocate|EOF"):
        _ = load(theirs).samples["ddpm"]


@pytest.mark.parametrize("odd", [pipe, device, huge])
def test_pictures_are_files(odd, theirs: Path, toylab, never_waiting):
    (theirs / "figures").mkdir()
    odd(theirs / "figures/outlier-mass.png")
    code, _, err = toylab("report", theirs, "-o", theirs.parent / "page.html")
    assert (code, err.count("\n")) == ((2, 1) if odd is huge else (0, 0))
    assert ("outlier-mass.png is larger than half of the memory" in err) == (odd is huge)


@pytest.mark.parametrize("name", ["config.json", "timings.csv"])
@pytest.mark.parametrize("odd", [pipe, device, huge])
def test_figures_of_strangers_runs(odd, name: str, theirs: Path, toylab, never_waiting):
    """By other sources, so that it is looked at for its settings and how long it took; its date is for a terminal."""
    made_with = json.loads((theirs / "environment.json").read_text()) | {"sources": "others"}
    (theirs / "environment.json").write_text(json.dumps(made_with))
    (theirs / "finished.json").write_text(json.dumps({"date": "[/red]" + ESCAPE, "version": "0"}))
    (theirs / name).unlink()
    odd(theirs / name)
    with offered():
        code, out, err = toylab("figures", "tiny", "--list", "--redraw", "--runs", theirs.parent)
    assert code in (0, 2)
    assert err.count("\n") == (code == 2)
    assert hidden(out + err) == []


def test_no_memory_left_is_told_in_one_line(toylab, monkeypatch: pytest.MonkeyPatch):
    def more(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("toylab.cli.reading._load", more)
    code, _, err = toylab("show", "runs/x")
    assert (code, err) == (1, "error: this needs more memory than there is: MemoryError\n")


ESCAPE = "\x1b[31m\x1b]0;title\x07\x9b1m\u202e"


def hidden(text: str) -> list[str]:
    """Characters that do something, and are not seen."""
    return [one for one in text if unicodedata.category(one) in ("Cc", "Cf") and one != "\n"]


@pytest.mark.parametrize("options", [(), ("--markdown",), ("--compare",), ("--json",), ("--charts",)])
def test_what_strangers_write_does_nothing_to_a_terminal(options, theirs: Path, toylab):
    text = (theirs / "results.csv").read_text()
    (theirs / "results.csv").write_text(text.replace("robust-adv", "robust-adv" + ESCAPE))
    made_with = json.loads((theirs / "environment.json").read_text()) | {"toylab": "1" + ESCAPE}
    (theirs / "environment.json").write_text(json.dumps(made_with))
    code, out, err = toylab("show", theirs, *options)
    assert (code, err) == (0, "")
    assert "robust-adv" in out
    assert hidden(out) == []


@pytest.mark.parametrize("values", [{"law": "x" + ESCAPE}, {"methods": {"x" + ESCAPE: "ddpm"}}, {"x" + ESCAPE: 1}])
def test_nor_does_what_is_wrong_with_it(values, tmp_path: Path, toylab):
    (tmp_path / "theirs.json").write_text(json.dumps(values))
    code, _, err = toylab("run", "gmm-outliers", "--config", tmp_path / "theirs.json", "--out", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert hidden(err) == []


def test_settings_without_end_are_refused_and_pipes_are_read(toylab, tmp_path: Path):
    """As a shell makes them of `<(command)`."""
    code, _, err = toylab("run", "gmm-outliers", "--config", "/dev/zero", "--out", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "/dev/zero is larger than 16777216 bytes" in err
    end, start = os.pipe()
    os.write(start, b'{"nfe": 7}')
    os.close(start)
    try:
        assert configuration.read(Path(f"/dev/fd/{end}")) == {"nfe": 7}
    finally:
        os.close(end)


HALF = r'"\ud800"'  # of a character


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", f'{{"law": {HALF}}}'),
        ("a.json", f"{{{HALF}: 1}}"),
        ("a.toml", "nfe = 1979-05-27"),
        ("a.toml", "law = {name = 07:32:00}"),
        ("a.toml", f"seed = 0x{'f' * 5000}"),
    ],
)
def test_settings_that_no_file_can_hold_are_refused(name: str, text: str, toylab, tmp_path: Path):
    (tmp_path / name).write_text(text)
    code, _, err = toylab("run", "gmm-outliers", "--config", tmp_path / name, "--dry-run")
    assert (code, err.count("\n")) == (2, 1)
    assert name in err


@pytest.mark.parametrize("value", [f"law={HALF}", f"sampler={HALF}", f"evaluation.metrics=[{HALF}]", "law=\udcff"])
def test_nor_can_they_be_set(value: str, toylab):
    code, _, err = toylab("run", "lab", "--set", value, "--dry-run")
    assert (code, err.count("\n"), "half of a character" in err) == (2, 1, True)


@pytest.mark.parametrize("value", ["\ud800", 10**5000], ids=["half", "long"])
def test_nor_given_in_python(value: object):
    with pytest.raises(BadInput, match=r"half of a character|thousands of digits") as caught:
        configure("lab", "smoke", changes=[{"law": value} if value == "\ud800" else {"nfe": value}])
    assert "\n" not in str(caught.value)


def test_nor_be_a_strangers(theirs: Path, toylab):
    config = json.loads((theirs / "config.json").read_text())
    (theirs / "config.json").write_text(json.dumps(config | {"x": "\ud800"}))
    code, _, err = toylab("results", theirs.parent, "-o", theirs.parent / "all.csv")
    assert (code, err.count("\n"), "half of a character" in err) == (2, 1, True)


@pytest.mark.parametrize("evaluations", ["1e3", "3.5", "nan", "inf"])
def test_numbers_of_evaluations_are_whole(evaluations: str):
    heading = ",".join(results.COLUMNS)
    row = ",".join(
        {"seed": "0", "value": "1.0", "nfe": evaluations}.get(name, "x" * (name == "method"))
        for name in results.COLUMNS
    )
    with pytest.raises(BadInput, match=r"results\.csv, line 2: "):
        results.from_csv(f"{heading}\n{row}\n")


def test_a_run_uses_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refused(*arguments: object) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex", "sendto", "bind"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert runs.Run(finished(tmp_path)).is_done
