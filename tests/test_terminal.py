"""What a terminal is given: completed words, bars, and no escape code where none is wanted."""

import io
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toylab import index
from toylab.cli import printing
from toylab.cli.charts import Bar, bars

ESCAPE = "\x1b"


class Terminal(io.TextIOWrapper):
    """A stream that says it is one."""

    def __init__(self, encoding: str = "utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


# -- completion --------------------------------------------------------------------------------------------------


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch, toylab):
    """What bash is offered for the last word of a line."""

    def call(*words: str) -> list[str]:
        monkeypatch.setenv("_TOYLAB_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(["toylab", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        code, out, err = toylab()
        assert (code, err) == (0, "")
        return out.split()

    return call


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ru"], ["run"]),
        (["run", "gmm"], ["gmm-outliers"]),
        (["run", "gmm-outliers", "--preset", ""], ["smoke", "default", "ledger", "paper"]),
        (["figures", "prior-art", "--preset", "p"], ["plane"]),
        (["run", "--preset", "l"], ["ledger"]),
        (["run", "lab", "--device", "c"], ["cpu", "cuda"]),
        (["run", "lab", "--set", "law=sw"], ["law=swiss-roll"]),
        (["run", "lab", "--set", "sa"], ["sampler="]),
        (["laws", "--plot", "two-"], ["two-gaussians", "two-moons"]),
        (["benchmark", "trimmed", "robust-o"], ["robust-onesided"]),
        (["sweep", "a.toml", "--engine", ""], ["local", "slurm"]),
        (["calibrate", "outlier-m"], ["outlier-mass"]),
        (["show", "fi"], ["figures/"]),
        (["compare", "figures/one", "figures/"], ["figures/one"]),
        (["sample", "figures/one", "--method", ""], ["ddpm", "mine"]),
        (["show", "nowhere/"], []),
    ],
)
def test_names_are_completed(completed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words, offered):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures/one/weights").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("config.json", "weights/ddpm.safetensors", "weights/mine.safetensors"):
        (tmp_path / "figures/one" / name).write_text("")
    assert completed(*words) == offered


def test_presets_are_those_of_the_experiments():
    assert {name: [*index.presets(name)] for name in index.EXPERIMENTS} == {
        name: [*index.EXPERIMENTS.load(name).presets] for name in index.EXPERIMENTS
    }


def test_a_word_is_completed_without_torch_and_at_once():
    """By processor time: 0.2 s where it was measured."""
    code = (
        "import sys\nfrom toylab.cli import main\n"
        "try: main()\n"
        "finally: print({'torch', 'numpy', 'pandas', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    said = {"_TOYLAB_COMPLETE": "complete_bash", "COMP_WORDS": "toylab run gmm-outliers --preset ", "COMP_CWORD": "4"}
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | said)
    after = os.times()
    assert (done.stdout.split()[0], done.stderr) == ("smoke", "set()\n")
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1


@pytest.mark.slow
def test_completion_is_installed_for_the_shell_it_is_asked_from(tmp_path: Path):
    """By bash itself: it reads what was installed, and completes."""
    command = f"{sys.executable} -m toylab --install-completion; true"
    home = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=home)
    assert "installed" in done.stdout
    (tmp_path / "toylab").write_text(f'#!/bin/sh\nexec {sys.executable} -m toylab "$@"\n')
    (tmp_path / "toylab").chmod(0o755)
    ask = "COMP_WORDS=(toylab run gmm); COMP_CWORD=2; _toylab_completion toylab; echo ${COMPREPLY[@]}"
    asked = f"source {tmp_path}/.bashrc; {ask}"
    home |= {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, env=home)
    assert done.stdout == "gmm-outliers\n"


# -- bars --------------------------------------------------------------------------------------------------------


def test_bars_are_as_long_as_values_and_whiskers_as_errors():
    """A column is 0.1: 4 of them, 2 more for the error; the largest ends at the edge."""
    lines = bars([Bar("a", 0.4, 0.2), Bar("long", 0.9, 0.1), Bar("c", 0.0, math.nan)], 10, "ascii")
    assert lines == [
        "a     ####--      0.4 +- 0.2",
        "long  #########-  0.9 +- 0.1",
        "c     |           0",
    ]
    assert bars([Bar("a", 0.4, 0.2)], 6)[0] == "a  ████──  0.4 ± 0.2"


def test_bars_go_to_the_left_of_zero_and_what_is_not_finite_has_none():
    lines = bars([Bar("a", -0.2, 0.2), Bar("b", 0.6, math.nan), Bar("c", math.nan, math.nan)], 10, "latin-1")
    assert lines == ["a  --##|       -0.2 +- 0.2", "b      ######  0.6", "c      |       nan"]
    assert bars([Bar("a", math.inf, math.nan)], 4, None) == ["a  |     inf"]


# -- escape codes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "codes"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"CLICOLOR": "0"}, False),
        ({"NO_COLOR": ""}, True),
    ],
)
def test_a_terminal_gets_escape_codes_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch, wish, codes: bool):
    for name in ("NO_COLOR", "CLICOLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm-256color"} | wish).items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    printing.print_lines("title", [["heading"], ["line"]])
    with printing.progress_bar() as bar:
        bar.update(bar.add_task("work", total=2), completed=1)
        bar.print("said", markup=False)
    assert (ESCAPE in terminal.shown) == codes
    assert all(word in terminal.shown for word in ("title", "heading", "line", "said"))


def test_where_a_bar_cannot_move_a_line_is_written_now_and_then(capsys, monkeypatch: pytest.MonkeyPatch):
    now = time.monotonic()
    with printing.progress_bar(err=True) as bar:
        task = bar.add_task("work", total=4)
        for done in range(5):
            monkeypatch.setattr(time, "monotonic", lambda done=done: now + 40 * done)
            bar.update(task, completed=done)
        monkeypatch.undo()
    assert capsys.readouterr() == ("", "work: 50 %\nwork: 100 %\n")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"b": [math.nan, -math.inf, 0.5], "c": Path("x")}, {"b": [None, None, 0.5], "c": "x"}),
        ({1: (True, None, "é")}, {"1": [True, None, "é"]}),
    ],
)  # fmt: skip
def test_json_is_json(capsys, content, text):
    printing.print_json(content)
    out = capsys.readouterr().out
    assert json.loads(out, parse_constant=lambda word: pytest.fail(word)) == text
    assert out.isascii()
