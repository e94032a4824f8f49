"""The command line: what works, what is refused, and how it exits."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer.main

from tests.test_terminal import ESCAPE, Terminal
from toylab import environment, launch, runs
from toylab.cli.app import app
from toylab.errors import BadInput

TINY = [
    "--set", "training.steps=6", "--set", "training.batch=16", "--set", "network.width=8", "--set", "nfe=3",
    "--set", "samples=60", "--set", "evaluation.levels=2", "--set", "evaluation.points=20",
    "--set", "evaluation.pair=30", "--set", "size=100", "--seeds", "2",
]  # fmt: skip


COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EXAMPLES = {name: command.epilog.split("\n  ")[1:] for name, command in COMMANDS.items()}
LONG = {"run", "benchmark", "reproduce"}
"""Commands whose examples take long: they are looked at, and not carried out."""
DEAR = {"laws", "claims", "report", "calibrate"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of gmm-outliers with two methods, made by the command itself."""
    out = tmp_path_factory.mktemp("runs")
    command = [
        sys.executable,
        "-m",
        "toylab",
        "run",
        "gmm-outliers",
        "--preset",
        "smoke",
        "--methods",
        "ddpm,robust-adv",
    ]
    subprocess.run([*command, *TINY, "--out", str(out)], check=True, capture_output=True)
    (folder,) = out.iterdir()
    return folder


def test_help_and_list_import_neither_torch_nor_pandas_nor_ot():
    helps = [["--help"], ["list"], ["list", "--json"], *([command, "--help"] for command in COMMANDS)]
    code = (
        "import sys\n"
        "from toylab.cli import main\n"
        f"for sys.argv[1:] in {helps}:\n"
        "    try: main()\n"
        "    except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'pandas', 'ot', 'numpy', 'scipy', 'matplotlib', 'submitit', 'duckdb', 'plotly', 'jinja2'}\n"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "set()\n")
    assert all(f"Usage: toylab {command} " in done.stdout for command in COMMANDS)


@pytest.fixture
def place(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which the example of `toylab run` was typed."""
    (tmp_path / "runs").symlink_to(finished.parent)
    (tmp_path / "figures").symlink_to(Path(__file__).parents[1] / "figures")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expanded(line: str) -> list[str]:
    """As a shell does."""
    return [word for part in shlex.split(line) for word in sorted(map(str, Path().glob(part))) or [part]]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in DEAR)) for n in COMMANDS])
def test_the_example_in_every_commands_help_works_as_it_is_typed(toylab, place: Path, name: str):
    code, text, _ = toylab(name, "--help")
    assert code == 0
    assert EXAMPLES[name]
    assert all(f"    {line}\n" in text for line in EXAMPLES[name])  # in one piece
    *before, line = EXAMPLES[name]
    for other in before:
        subprocess.run(["sh", "-c", other], check=True)
    words = expanded(line)
    assert words[:2] == ["toylab", name]
    if name in LONG:
        given = COMMANDS[name].make_context(name, words[2:]).params
        assert name != "run" or launch.configure(given["name"], given["preset"])
        return
    code, out, err = toylab(*words[1:])
    assert (code, ESCAPE in out + err) == (0, False)
    assert out
    assert "*" not in " ".join(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_errors_are_plain_text_also_in_a_terminal(monkeypatch: pytest.MonkeyPatch, name: str):
    from toylab import cli

    monkeypatch.setenv("NO_COLOR", "1")
    for words, code in (([name, "--help"], 0), ([name, "--no-such-option"], 2)):
        out, err = Terminal(), Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setattr(sys, "argv", ["toylab", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == code
        assert ESCAPE not in out.shown + err.shown
        assert (f"Usage: toylab {name}" in out.shown) == (code == 0)
        assert err.shown.count("\n") == (code == 2)


def test_a_terminal_is_shown_charts_and_no_escape_code_where_it_wants_none(
    monkeypatch: pytest.MonkeyPatch, place: Path, toylab
):
    run = expanded("runs/*")[0]
    chart = "outlier mass: mean and standard error over 2 seeds\n"
    assert chart not in toylab("show", run)[1]
    assert chart in toylab("show", run, "--charts")[1]
    assert toylab("show", run, "--charts", "--markdown")[0] == 2
    for wish, escape, charts in (("1", False, []), ("", True, []), ("1", False, ["--no-charts"])):
        terminal = Terminal()
        monkeypatch.setenv("NO_COLOR", wish)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", terminal)
        assert toylab("show", run, *charts)[0] == 0
        assert (ESCAPE in terminal.shown, chart in terminal.shown) == (escape, not charts)


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("list", "experiments laws objectives metrics samplers"),
        ("show runs/*", "summary run experiment config files under_trained diverged"),
        ("show runs/* --compare", "differences run compared_with"),
        pytest.param("show figures/gmm-outliers-ledger --ledger", "ledger run", marks=pytest.mark.slow),
        ("results runs", "rows runs unfinished settings"),
        ('results runs --sql "select method, avg(value) as x from results group by all"', "rows runs unfinished"),
        ("claims --results runs", "claims"),
        pytest.param("claims --results figures", "claims", marks=pytest.mark.slow),
        ("compare runs/* runs/*", "differences runs settings by_chance"),
        ("doctor", "versions devices memory disk extras problems"),
    ],
)
def test_json_is_one_document_and_nothing_else(toylab, place: Path, command: str, keys: str):
    code, out, _ = toylab(*expanded(command), "--json")
    assert code == 0
    found = json.loads(out, parse_constant=pytest.fail)
    assert {*keys.split()} <= found.keys()
    assert found[keys.split()[0]]  # something is in it


def test_json_holds_the_numbers_of_the_rows(toylab, finished: Path):
    run = runs.load(finished)
    values = [
        float(r["value"]) for r in run.rows if (r["method"], r["metric"], r["against"]) == ("ddpm", "w2", "clean")
    ]
    found = json.loads(toylab("show", finished, "--json")[1])
    (entry,) = (e for e in found["summary"] if (e["method"], e["metric"], e["against"]) == ("ddpm", "w2", "clean"))
    assert [*entry["values"].values()] == values
    assert entry["mean"] == pytest.approx(np.mean(values))
    assert entry["stderr"] == pytest.approx(np.std(values, ddof=1) / len(values) ** 0.5)
    assert found["config"] == json.loads((finished / "config.json").read_text())
    assert str(finished / "results.csv") in found["files"]
    rows = json.loads(toylab("results", finished.parent, "--json")[1])["rows"]
    values = [float(row["value"]) for row in run.rows]
    assert [row["value"] for row in rows] == [value if np.isfinite(value) else None for value in values]
    assert {row["t"] for row in rows} == {float(row["t"]) if row["t"] else None for row in run.rows}
    assert {type(row["seed"]) for row in rows} == {int}


def test_list_names_everything(toylab):
    code, out, _ = toylab("list")
    assert code == 0
    for name in ("gmm-outliers", "lab", "robust-adv", "three-gaussians", "outliers", "cosine", "ddim", "leakage"):
        assert name in out


def test_run_writes_the_folder(finished: Path):
    for name in (
        "config.json", "environment.json", "results.csv", "timings.csv", "samples.npz", "fields.npz", "log.txt",
        "trajectories.npz", "finished.json", "weights/ddpm.safetensors", "weights/robust-adv.safetensors",
        *(f"figures/{name}.png" for name in ("samples", "score-error", "outlier-mass", "score-field")),
        *(f"figures/{name}.svg" for name in ("samples", "score-error", "outlier-mass", "score-field")),
    ):  # fmt: skip
        assert (finished / name).stat().st_size > 0
    environment = json.loads((finished / "environment.json").read_text())
    assert {"toylab", "sources", "packages", "device", "threads", "seed"} <= set(environment)
    assert not list(finished.rglob("*.part"))


def test_a_finished_run_is_reused(toylab, finished: Path):
    before = (finished / "results.csv").stat().st_mtime_ns
    code, out, _ = toylab(
        "run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm,robust-adv", *TINY, "--out", finished.parent
    )
    assert code == 0
    assert "reusing the run finished 20" in out
    assert (finished / "results.csv").stat().st_mtime_ns == before


def test_fresh_runs_and_a_repetition_from_config_json_are_byte_equal(toylab, undrawn, finished: Path, tmp_path: Path):
    expected = (finished / "results.csv").read_bytes()
    arguments = ["run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm,robust-adv", *TINY]
    assert toylab(*arguments, "--fresh", "--out", tmp_path / "a")[0] == 0
    assert toylab("run", "gmm-outliers", "--config", finished / "config.json", "--out", tmp_path / "b")[0] == 0
    folders = [folder for out in "ab" for folder in (tmp_path / out).iterdir()]
    assert [folder.name for folder in folders] == [finished.name] * 2
    assert [(folder / "results.csv").read_bytes() == expected for folder in folders] == [True] * 2


def test_an_interrupted_run_goes_on(toylab, undrawn, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from toylab.experiments import pipeline

    arguments = ["run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm,robust-adv", *TINY, "--out", tmp_path]
    original = pipeline.measure
    monkeypatch.setattr(pipeline, "measure", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, err = toylab(*arguments)
    assert code == 130
    assert "goes on" in err
    (folder,) = tmp_path.iterdir()
    with pytest.raises(BadInput, match="not finished"):
        runs.load(folder)
    monkeypatch.setattr(pipeline, "measure", original)
    assert toylab(*arguments)[0] == 0
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "results.csv").read_bytes() == (finished / "results.csv").read_bytes()


def test_a_failing_run_exits_1_with_one_line(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from toylab.experiments import pipeline

    monkeypatch.setattr(pipeline, "measure", lambda *a: (_ for _ in ()).throw(MemoryError("out of\nmemory")))
    code, _, err = toylab("run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm", *TINY, "--out", tmp_path)
    assert code == 1
    assert err.startswith("error: the run failed: out of memory (see ")
    assert "Traceback" in next(tmp_path.rglob("log.txt")).read_text()


def test_runs_of_other_sources_are_left_alone(toylab, undrawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arguments = ["run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm", *TINY, "--out", tmp_path]
    assert toylab(*arguments)[0] == 0
    monkeypatch.setattr(environment, "sources_hash", lambda: "other")
    assert toylab(*arguments)[0] == 0
    assert sorted(p.name[-2:] for p in tmp_path.iterdir())[0] == "-2"
    assert len(list(tmp_path.iterdir())) == 2


def test_show(toylab, finished: Path):
    code, out, _ = toylab("show", finished)
    assert code == 0
    assert "gmm-outliers (smoke), seeds 0 to 1" in out
    assert "outlier mass" in out
    assert "samples.png" in out
    code, out, _ = toylab("show", finished, "--markdown")
    assert code == 0
    assert out.startswith("| method | outlier mass |")


def test_sample(toylab, finished: Path, tmp_path: Path):
    """What is asked for decides what is drawn, and the same again gives the same."""

    def draw(*options: object) -> np.ndarray:
        target = tmp_path / "x.npz"
        code, out, _ = toylab("sample", finished, "-n", 7, "-o", target, *options)
        assert code == 0
        assert "7 samples of " in out
        with np.load(target) as stored:
            return stored["samples"]

    first = draw("--method", "robust-adv")
    assert first.shape == (7, 2)
    assert np.isfinite(first).all()
    assert np.array_equal(first, draw("--method", "robust-adv", "--seed", 0, "--draw", 0))
    for other in (["--method", "ddpm"], ["--seed", 1], ["--draw", 1], ["--nfe", 7]):
        options = other if "--method" in other else ["--method", "robust-adv", *other]
        assert not np.array_equal(first, draw(*options))


def test_a_loaded_denoiser_is_the_trained_one(finished: Path):
    run = runs.load(finished)
    x, t = torch.randn(1, 5, 2), 0.3
    both = [run.denoiser("robust-adv", seed).eps(x, t) for seed in (0, 1)]
    assert both[0].shape == (1, 5, 2)
    assert not torch.allclose(*both)
    weights = run.load_tensors("weights/robust-adv.safetensors")
    assert torch.equal(
        run.denoiser("robust-adv", 1).state_dict()["network.layers.0.weight"][0], weights["network.layers.0.weight"][1]
    )
    assert list(run.results["method"].unique())[:2] == ["ddpm", "robust-adv"]
    with pytest.raises(BadInput, match="unknown method 'dpm'; did you mean 'ddpm'"):
        run.denoiser("dpm")
    with pytest.raises(BadInput, match="unknown seed"):
        run.denoiser("ddpm", 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "gmm-outlier"], "unknown experiment 'gmm-outlier'; did you mean 'gmm-outliers'?"),
        (["run", "gmm-outliers", "--preset", "smok"], "unknown preset 'smok'; did you mean 'smoke'?"),
        (["run", "gmm-outliers", "--methods", "ddpm,robust"], "unknown method 'robust'; did you mean 'robust-"),
        (["run", "gmm-outliers", "--methods", ""], "unknown method ''"),
        (["run", "gmm-outliers", "--set", "training.stepz=3"], "training: unknown key 'stepz'; did you mean 'steps'?"),
        (["run", "gmm-outliers", "--set", "methods.ddpm.lam=3"], "methods.ddpm: unknown key 'lam'"),
        (["run", "gmm-outliers", "--set", "methods.robust-adv.lam=-1"], "lam must be finite and at least 0"),
        (["run", "gmm-outliers", "--set", "training.steps=0"], "training.steps: Input should be greater than or equal"),
        (["run", "gmm-outliers", "--set", "contamination.fraction=2"], "fraction must be between 0 and 1"),
        (["run", "gmm-outliers", "--set", "evaluation.ratio_high=1e9"], "spans"),
        (["run", "gmm-outliers", "--set", "steps"], "--set takes key=value"),
        (["run", "gmm-outliers", "--set", "training.steps.x.x.x.x.x.x.x.x=1"], "--set takes key=value"),
        (["run", "gmm-outliers", "--set", "law=" + "[" * 5000], "law: unknown law"),
        (["run", "gmm-outliers", "--set", "law=a\nb"], "unknown law 'a b'"),
        (["run", "gmm-outliers", "--set", "methods.robust-adv.radius.rho=NaN"], "radius.rho: Input should be a finite"),
        (["run", "gmm-outliers", "--set", "methods.exact-clean=ddpm"], "does not begin with exact-"),
        (["run", "gmm-outliers", "--set", "methods.A=ddpm"], "not 'A'"),
        (["run", "gmm-outliers", "--set", "schedule.T=100000000000"], "T must be at most"),
        (["run", "gmm-outliers", "--set", "schedule.beta_last=0.99"], "schedule: alpha/sigma at t_max"),
        (["run", "gmm-outliers", "--set", "evaluation.ratio_low=9"], "ratio_low must be below ratio_high"),
        (["run", "gmm-outliers", "--set", "network.width=99999999999"], "network.width"),
        (["run", "gmm-outliers", "--set", "training.lr=[0.1, 0.2]"], "one for each of the 4 seeds"),
        (["run", "gmm-outliers", "--set", "size=99999999999999999999"], "size"),
        (["run", "gmm-outliers", "--seeds", "99999999999"], "seeds"),
        (["run", "gmm-outliers", "--preset", ""], "unknown preset ''"),
        (["run", "gmm-outliers", "--out", "a" * 300], "cannot write to"),
        (["run", "gmm-outliers", "--set", "sampler=eulr"], "unknown sampler 'eulr'; did you mean 'euler'?"),
        (["run", "gmm-outliers", "--set", "sampler.eta=2"], "eta"),
        (["run", "gmm-outliers", "--seeds", "0"], "seeds: Input should be greater than or equal to 1"),
        (["run", "gmm-outliers", "--seed", "x"], "seed"),
        (["run", "gmm-outliers", "--config", "missing.toml"], "cannot read the configuration missing.toml"),
        (["run", "gmm-outliers", "--device", "gpu"], "unknown device 'gpu'"),
        (["run", "lab", "--set", "law=three-gausians"], "did you mean 'three-gaussians'?"),
        (["run", "lab", "--methods", "invariance"], "unknown method 'invariance'"),
        (["run"], "Missing argument"),
        (["rum"], "No such command"),
        (["run", "gmm-outliers", "--sed", "1"], "No such option"),
        (["show", "nowhere"], "nowhere is no run folder"),
        (["sample", "nowhere", "--method", "ddpm", "-o", "x.npz"], "no run folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_exit_2_and_no_folder(toylab, tmp_path: Path, monkeypatch, arguments, message: str):
    monkeypatch.chdir(tmp_path)
    code, _, err = toylab(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_cuda_without_one_is_refused(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = toylab("run", "gmm-outliers", "--device", "cuda", "--out", tmp_path / "runs")
    assert (code, err) == (2, "error: there is no cuda device here; allowed: auto, cpu\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.gpu
def test_smoke_on_cuda(toylab, tmp_path: Path):
    assert toylab("run", "gmm-outliers", "--preset", "smoke", "--device", "cuda", "--out", tmp_path)[0] == 0
    (folder,) = tmp_path.iterdir()
    assert json.loads((folder / "environment.json").read_text())["device"] == "cuda"


def test_an_unwritable_out_is_refused(toylab, tmp_path: Path):
    (tmp_path / "file").write_text("")
    code, _, err = toylab("run", "gmm-outliers", "--preset", "smoke", "--out", tmp_path / "file")
    assert code == 2
    assert err == f"error: cannot write to {tmp_path / 'file'}: Not a directory\n"


def test_a_configuration_of_another_experiment_is_refused(toylab, finished: Path, tmp_path: Path):
    code, _, err = toylab("run", "lab", "--config", finished / "config.json", "--out", tmp_path / "runs")
    assert code == 2
    assert "is a configuration of gmm-outliers, not of lab" in err


def test_bad_output_for_samples_is_refused(toylab, finished: Path, tmp_path: Path):
    for target in ("x.txt", "no/such/x.npz"):
        code, _, err = toylab("sample", finished, "--method", "ddpm", "-o", tmp_path / target)
        assert code == 2
        assert "-o must name a .npz file" in err


@pytest.mark.parametrize(
    ("line", "ends", "said"),
    [
        ("toylab list >&-", 0, ""),
        ("toylab show {run} <&- >&-", 0, ""),
        ("toylab show {run} >&- 2>&-", 0, ""),
        ("toylab show {run} > /dev/full", 1, "error: cannot write the output: No space left on device\n"),
        ("toylab results {runs} --json > /dev/full", 1, "error: cannot write the output: No space left on device\n"),
        ("toylab show {run} | head -1 > /dev/null", 0, ""),
        ("toylab show {run} | true", 0, ""),
        ("MPLBACKEND=nope toylab laws --plot circle -o {runs}/c.png > /dev/null", 0, ""),
    ],
)
def test_standard_output_that_is_closed_or_full(line: str, ends: int, said: str, finished: Path):
    """And drawing where the environment names what matplotlib does not know."""
    words = line.format(run=finished, runs=finished.parent).replace("toylab ", f"{sys.executable} -m toylab ")
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1:]) == (ends, "", said.splitlines())


def test_names_that_are_too_long(toylab, finished: Path):
    for arguments in (
        ["results", finished.parent, "-o", "x" * 300 + ".csv"],
        ["report", finished, "-o", "x" * 300 + ".html"],
        ["laws", "--plot", "circle", "-o", "x" * 300 + ".png"],
        ["doctor", "--out", "x" * 300],
    ):
        code, _, err = toylab(*arguments)
        assert (code, err.count("\n"), "File name too long" in err) == (2, 1, True)


@pytest.mark.parametrize(
    ("law", "key"), [("circle", "radius"), ("two-moons", "std"), ("subspace", "std"), ("box", "high")]
)
def test_laws_beyond_all_numbers(law: str, key: str, toylab, tmp_path: Path):
    code, _, err = toylab("laws", "--plot", law, "--set", f"{key}=1e200", "-o", tmp_path / "a.png")
    assert (code, err.count("\n"), "beyond all numbers" in err) == (2, 1, True)
    code, out, _ = toylab("laws", "--plot", law, "--set", f"{key}=1e100", "-o", tmp_path / "a.png")
    assert (code, out) == (0, f"{tmp_path / 'a.png'}\n")
