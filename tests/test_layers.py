"""The house: a room imports only from those below it, and nothing stands about unused."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports
from vulture import Vulture

ROOT = Path(__file__).parents[1]


def test_a_room_imports_only_from_those_below_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


def test_the_picture_in_the_docs_is_of_these_imports():
    drawn = runpy.run_path(str(ROOT / "docs" / "architecture.py"))["svg"]()
    assert drawn == (ROOT / "docs" / "architecture.svg").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.short
def test_nothing_is_unused(monkeypatch: pytest.MonkeyPatch):
    """By name: the index's names are used, and those that pydantic, typer and others call, as pyproject.toml says."""
    monkeypatch.chdir(ROOT)
    settings = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["vulture"]
    indexed = re.findall(r'"toylab[\w.]*:(\w+)"', (ROOT / "toylab" / "index.py").read_text(encoding="utf-8"))
    found = Vulture(ignore_names=settings["ignore_names"] + indexed, ignore_decorators=settings["ignore_decorators"])
    found.scavenge(settings["paths"])
    unused = [one for one in found.get_unused_code() if ROOT / "toylab" in one.filename.resolve().parents]
    assert [one.get_report() for one in unused] == []
