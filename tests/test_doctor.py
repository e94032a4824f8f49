"""`toylab doctor`: what is there, and what is wrong."""

import importlib.metadata
import json
import shutil
from email.message import Message
from pathlib import Path

import pytest
import torch

from toylab import diagnosis, process
from toylab.diagnosis import diagnose


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Message:
    """What the package's metadata say: as pip writes them."""
    message = Message()
    message["Provides-Extra"] = "fine"
    message["Provides-Extra"] = "lacking"
    for needed in (
        "torch>=2.6", "numpy>=2.0", 'rich>=13; extra == "fine"', 'toylab[lacking]; extra == "fine"',
        'no-such-package>=1; extra == "lacking"', 'rich>=999; extra == "lacking"',
    ):  # fmt: skip
        message["Requires-Dist"] = needed
    monkeypatch.setattr(diagnosis, "_metadata", lambda: message)
    return message


def test_a_good_installation_has_no_problems(toylab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = toylab("doctor")
    assert (code, err) == (0, "")
    assert f"torch {importlib.metadata.version('torch')}" in out
    assert f"{torch.get_num_threads()} threads at work" in out
    assert "extra fine: installed" in out
    rich = importlib.metadata.version("rich")
    missing = f"no-such-package is missing; rich {rich} is not >=999"
    assert f"extra lacking: {missing}: pip install 'toylab[lacking]'" in out
    assert out.endswith("no problem found\n")
    assert list(tmp_path.iterdir()) == []
    code, out, err = toylab("doctor", "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert (code, err, found["problems"]) == (0, "", [])
    assert found["disk"]["free"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert found["extras"]["lacking"]["pip"] == "pip install 'toylab[lacking]'"
    assert not found["extras"]["lacking"]["installed"]
    assert 2**28 < found["memory"]["available"] <= found["memory"]["total"]


def test_what_is_missing_or_too_old_is_a_problem(installed: Message):
    installed["Requires-Dist"] = "no-such-package>=1"
    installed["Requires-Dist"] = "scipy>=999"
    found = diagnose(Path("runs"))
    assert "no-such-package is missing: pip install 'no-such-package>=1'" in found.problems
    assert f"scipy {importlib.metadata.version('scipy')} is not >=999: pip install 'scipy>=999'" in found.problems
    assert found.versions["no-such-package"] is None


def test_a_torchvision_that_does_not_go_with_torch_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "torchvision"
    package.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (package / "__init__.py").write_text("")
    assert diagnose(tmp_path).problems == []
    (package / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    (problem,) = diagnose(tmp_path).problems
    assert "(RuntimeError: operator torchvision::nms does not exist)" in problem
    assert problem.endswith("pip uninstall torchvision")


def test_places_that_cannot_be_written_and_full_ones_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    (problem,) = diagnose(tmp_path / "file").problems
    assert problem.startswith(f"runs cannot be written to {tmp_path / 'file'}")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**29))
    (problem,) = diagnose(tmp_path / "runs").problems
    assert problem == f"only 0.5 GiB are free where runs are kept, in {tmp_path / 'runs'}"


def test_a_container_may_use_less_memory_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "_CGROUP", tmp_path / "memory.max")
    (tmp_path / "memory.current").write_text(str(2**28))
    (tmp_path / "memory.max").write_text("max\n")
    free = diagnose(tmp_path).memory["total"]
    (tmp_path / "memory.max").write_text(str(2**29))
    found = diagnose(tmp_path)
    assert (found.memory, free != 2**29) == ({"total": 2**29, "available": 2**28}, True)
    assert found.problems == ["only 0.2 GiB of memory are available"]


def test_a_torch_that_cannot_be_imported_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(name: str) -> None:
        raise OSError("libcudart.so.12: cannot open\nshared object file")

    monkeypatch.setattr(diagnosis.importlib, "import_module", broken)
    found = diagnose(tmp_path)
    (problem,) = found.problems
    assert problem.startswith("torch cannot be imported: libcudart.so.12: cannot open shared object file")
    assert [*found.devices] == ["cpu"]
