"""Every block of code in README and docs: Python runs, commands exist and mean something."""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.test_experiments import TINY
from toylab import launch
from toylab.cli.app import app
from toylab.configuration import assignments

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


def _of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


OTHERS = {
    "azula": re.compile(r"azula|given = Given\(eps, FromFunction\(model.schedule\)\)"),
    "wandb": re.compile("import wandb"),
}
"""Libraries that are not among the tests' requirements, and what blocks of code that need them have in them."""
SHORT = {key: value for key, value in TINY.items() if key != "seeds"} | {"methods": ["robust-adv"]}
SHORT["evaluation"] = {"levels": 2, "points": 8, "pair": 20, "metrics": ["outlier-mass"]}
"""Of a run: what it changes."""


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=_of)
def test_python_runs_from_top_to_bottom(page: Path, undrawn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """In one namespace a page, runs and trainings shorter; what is for Jupyter is tested by the notebooks, what needs
    another library where that is."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"SHORT": SHORT}
    ran = 0
    for code in blocks(page, "python"):
        missing = [name for name, marks in OTHERS.items() if not importlib.util.find_spec(name) and marks.search(code)]
        if "%load_ext" in code or missing:
            continue
        short = code.replace("range(1000)", "range(50)").replace('"smoke", seeds=2', '"smoke", seeds=2, **SHORT')
        exec(compile(short, _of(page), "exec"), names)
        ran += 1
    assert ran


def commands(page: Path) -> Iterator[list[str]]:
    """The toylab commands of a page, as words."""
    for block in blocks(page, "sh"):
        joined = re.sub(r"\\\n\s*|\n\s+", " ", block)  # a line that goes on
        for line in joined.splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words and Path(words[0]).name == "toylab":
                    yield words[1:]


COMMANDS = [words for page in PAGES for words in commands(page)]


DEAR = "subspace-images"  # its law takes seconds to fit


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, marks=[pytest.mark.slow] * (DEAR in text))
        for text in dict.fromkeys(map(shlex.join, COMMANDS))
    ],
)
def test_commands_are_understood(text: str):
    """Names, options and values; of `toylab run` also that its settings are valid together."""
    words = shlex.split(text)
    command: Any = typer.main.get_command(app)
    if words[0].startswith("-"):
        assert {*words} <= {option for each in command.params for option in each.opts}
        return
    given = command.commands[words[0]].make_context(words[0], list(words[1:])).params
    if words[0] != "run" or given["config"] or any("mine:" in word or ".weights=" in word for word in words):
        return
    methods = given["methods"].split(",") if given["methods"] else None
    changes = [assignments(given["settings"] or [])] + ([{"seeds": given["seeds"]}] if given["seeds"] else [])
    assert launch.configure(given["name"], given["preset"], changes=changes, methods=methods)


ELSEWHERE = ("--engine slurm", "--install-completion", "data.path=cifar10/")
"""What there are other tests of: a real Slurm, the shells, data sets in their own formats."""


def shortened(words: list[str]) -> list[str]:
    """The same with less to train. The last of `runs` stands for "...", and for one that is repeated."""
    if words[0] in ("run", "benchmark"):
        brief = ["--config", "brief.json"] if words[0] == "run" else []
        return [*words, *brief, *([] if "--preset" in words else ["--preset", "smoke"])]
    last = max(Path("runs").glob("gmm-outliers-*"), default="", key=lambda run: run.stat().st_mtime)
    stands = {word for word in words if word.endswith("-...") or words[0] == "reproduce"} - {"reproduce"}
    return [str(last) if word in stands else word for word in words]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "sh")], ids=_of)
def test_commands_run_from_top_to_bottom(page: Path, toylab, undrawn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Every one, one after the other in one folder, trainings shorter. What sets up an environment is for `.ci/run`."""
    monkeypatch.chdir(tmp_path)
    Path("figures").symlink_to(ROOT / "figures")
    Path("brief.json").write_text(json.dumps({"training": {"steps": 4}, "samples": 200}))
    (sweep,) = (block for page in PAGES for block in blocks(page, "toml"))
    Path("lams.toml").write_text(sweep.replace("[settings]", "[settings]\ntraining.steps = 4"))
    (own,) = re.findall(r"<!-- python: mine -->\n```python\n(.*?)```", PAGES[0].read_text(), flags=re.S)
    Path("mine.py").write_text(own)
    for words in commands(page):
        if not any(text in shlex.join(words) for text in ELSEWHERE):
            code, out, err = toylab(*shortened(words))
            assert (code, bool(out)) == (0, True), f"{shlex.join(words)}: {err}"


def test_there_are_commands_and_code():
    assert len(COMMANDS) > 25
    assert sum(len(blocks(page, "python")) for page in PAGES) > 15


@pytest.mark.slow
@pytest.mark.short
def test_the_site_builds_without_a_warning(tmp_path: Path):
    """Every link and reference is there."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    for name in ("index.html", "concepts/ledger/index.html", "reference/metrics/index.html", "corrections/index.html"):
        assert (tmp_path / "site" / name).stat().st_size > 5000
    assert "Tweedie" in (tmp_path / "site/concepts/exact-laws/index.html").read_text(encoding="utf-8")
    assert "grid_optimum" in (tmp_path / "site/corrections/index.html").read_text(encoding="utf-8")
    home = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    titles = [text.strip() for text in re.findall(r'<span class="md-ellipsis">(.*?)</span>', home, flags=re.S)]
    assert "What adversarial training learns" in titles
    assert not any("None" in title for title in titles)


@pytest.mark.parametrize("name", ["digits-noise", "subspace-images"])
def test_tables_of_images_are_what_the_command_prints(name: str, toylab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    code, out, _ = toylab("show", f"figures/{name}", "--markdown")
    assert code == 0
    made = f"<!-- made by toylab show figures/{name} --markdown -->\n{out.strip()}\n<!-- end -->"
    assert made in (ROOT / "docs/images.md").read_text(encoding="utf-8")
