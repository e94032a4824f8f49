"""Code from outside: imported when its name was typed, never because a configuration names it."""

import json
import sys
from pathlib import Path

import pytest

from tests.test_experiments import TINY
from toylab import outside
from toylab.configuration import Method, validate
from toylab.errors import BadInput
from toylab.launch import configure
from toylab.objectives import Denoising

LOSS = """
from pathlib import Path
from toylab.objectives import Denoising

Path(__file__).with_name("imported").write_text("here I ran")

def loss(scale: float = 1.0) -> Denoising:
    return Denoising()
"""


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that writes somebody's module into the current folder, unknown to this process; returns its path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(outside, "_admitted", set())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> None:
        outside._imported.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] in ("stranger", "strangers", "mine")]:
            del sys.modules[name]

    def write(code: str = LOSS, name: str = "stranger.py") -> Path:
        forget()
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
        return path

    yield write
    forget()


def configuration(path: Path, methods: dict) -> Path:
    """A file of the smallest run with these methods."""
    path.write_text(json.dumps({**TINY, "seeds": 1, "methods": methods}))
    return path


RUN = ("run", "benchmark-task", "--preset", "smoke")


@pytest.mark.parametrize(
    ("experiment", "settings"),
    [
        ("lab", {"objective": "stranger:loss"}),
        ("lab", {"objective": {"name": "stranger:loss", "code": "0" * 16}}),
        ("gmm-outliers", {"methods": {"ddpm": "stranger:loss"}}),
        ("gmm-outliers", {"methods": {"ddpm": "ddpm", "mine": {"name": "stranger:loss", "scale": 2.0}}}),
        ("benchmark-task", {"methods": {"mine": {"name": "stranger:loss"}}}),
    ],
)
def test_a_hostile_configuration_runs_nothing(toylab, stranger, tmp_path: Path, experiment: str, settings: dict):
    module, file = stranger(), tmp_path / "theirs.json"
    file.write_text(json.dumps({"experiment": experiment, "preset": "smoke", **settings}))
    code, _, err = toylab("run", experiment, "--config", file)
    assert code == 2
    assert err.count("\n") == 1
    assert "'stranger:loss' names code, and a configuration that names code is run only with --allow-code" in err
    assert sorted(tmp_path.iterdir()) == [module, file]
    assert "stranger" not in sys.modules


@pytest.mark.parametrize("law", ["stranger:loss", {"name": "os:system"}])
def test_nothing_but_an_objective_can_be_code(toylab, stranger, tmp_path: Path, law: object):
    module, file = stranger(), tmp_path / "theirs.json"
    file.write_text(json.dumps({"experiment": "lab", "preset": "smoke", "law": law}))
    code, _, err = toylab("run", "lab", "--config", file, "--allow-code")
    assert (code, err.count("\n")) == (2, 1)
    assert "unknown law" in err
    assert sorted(tmp_path.iterdir()) == [module, file]


def test_with_allow_code_it_runs_and_its_folder_has_its_hash(toylab, undrawn, stranger, tmp_path: Path):
    stranger()
    file = configuration(tmp_path / "mine.json", {"mine": {"name": "stranger:loss", "scale": 2.0}})
    assert toylab(*RUN, "--config", file, "--allow-code")[0] == 0
    assert (tmp_path / "imported").exists()
    (folder,) = (tmp_path / "runs").iterdir()
    config = folder / "config.json"
    method = json.loads(config.read_text())["methods"]["mine"]
    assert method == {"name": "stranger:loss", "scale": 2.0, "code": outside.source_hash("stranger")}

    outside._admitted.clear()
    code, _, err = toylab("run", "benchmark-task", "--config", config)
    assert (code, "only with --allow-code" in err) == (2, True)
    code, out, _ = toylab("run", "benchmark-task", "--config", config, "--allow-code")
    assert (code, "reusing the run finished" in out) == (0, True)

    stranger(LOSS + "\n# changed\n")  # the file written by hand means the present code, config.json the code it had
    code, _, err = toylab("run", "benchmark-task", "--config", config, "--allow-code")
    assert (code, "is not that which this configuration names by its hash" in err) == (2, True)
    assert toylab(*RUN, "--config", file, "--allow-code")[0] == 0
    assert len([*(tmp_path / "runs").iterdir()]) == 2


def test_code_is_taken_from_the_command_line(toylab, undrawn, stranger, tmp_path: Path):
    stranger()
    file = configuration(tmp_path / "tiny.json", {"a": "ddpm"})
    assert toylab(*RUN, "--config", file, "--set", "methods.mine=stranger:loss")[0] == 0
    assert (tmp_path / "imported").exists()


def test_the_lab_takes_code_as_its_objective(stranger):
    stranger()
    outside.admit("stranger:loss")
    settings = configure("lab", "smoke", changes=[{"objective": "stranger:loss"}]).settings
    assert list(settings.objectives) == ["ddpm", "outside"]


def made(name: str) -> object:
    outside.admit(name)
    return validate(Method, {"name": name}).build()


def test_an_objective_a_class_a_function_and_a_module_in_a_package(stranger):
    stranger(
        "from dataclasses import dataclass\nfrom toylab.objectives import Denoising\n"
        "ready = Denoising()\n"
        "def plain(denoiser, batch, generator=None): return ready(denoiser, batch, generator)\n"
        "plain.evaluations = 1\n"
        "def maker(scale: float = 2.0): return Denoising()\n"
        "@dataclass(frozen=True)\nclass Own(Denoising):\n    scale: float = 3.0\n"
    )
    for name in ("ready", "maker", "Own"):
        assert isinstance(made(f"stranger:{name}"), Denoising)
    assert callable(made("stranger:plain"))
    assert validate(Method, {"name": "stranger:Own", "scale": 4.0}).build().scale == 4.0
    with pytest.raises(BadInput, match="unknown key 'scael'; did you mean 'scale'"):
        validate(Method, {"name": "stranger:Own", "scael": 4.0})
    stranger("from strangers.other import ready", "strangers/__init__.py")
    stranger("from toylab.objectives import Denoising\nready = Denoising()", "strangers/other.py")
    assert isinstance(made("strangers:ready"), Denoising)
    before = outside.load("strangers:ready").code
    stranger("from toylab.objectives import Denoising\nready = Denoising()  # changed", "strangers/other.py")
    assert isinstance(made("strangers:ready"), Denoising)
    assert outside.load("strangers:ready").code != before  # all files of a package count


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1", "no objective, and no class or function"),
        ("1 / 0", "cannot import stranger:x: division by zero"),
        ("", "module 'stranger' has no attribute 'x'"),
        ("def x(scale): ...", "parameter 'scale' needs a type"),
        ("def x(scale=1.0): ...", "parameter 'scale' needs a type"),
        ("def x(*scales: float): ...", "parameter 'scales' needs a type"),
        ("def x(code: str = 'a'): ...", "a name other than code and name"),
        ("def x(scale: 'Unknown' = 1): ...", "parameters of stranger:x cannot be settings: name 'Unknown'"),
        ("def x(): return 3", "makes no objective"),
        ("def x(): return print", "makes no objective"),
        ("def x(): 1 / 0", "cannot be made: division by zero"),
        ("class x:\n    evaluations = -1\n    def __call__(self): ...", "`evaluations` a positive number"),
    ],
)
def test_what_is_no_objective_is_told_in_one_line(stranger, code: str, message: str):
    stranger(code)
    with pytest.raises(BadInput, match=message) as caught:
        made("stranger:x")
    assert "\n" not in str(caught.value)


def test_names_of_code_are_found_wherever_they_stand():
    values = {"a": ["x:y", {"name": "p.q:Z", "code": "12"}], "b": "none: of these", "c": 3, "d": ["C:\\path", "x:y:z"]}
    assert outside.named(values) == {"x:y", "p.q:Z"}


def test_objectives_of_installed_packages_are_kept_under_their_hash_too(stranger, monkeypatch: pytest.MonkeyPatch):
    """They are in the index: to install one is to trust it."""
    from importlib import metadata

    path = stranger()
    sys.path.append(str(path.parent))
    found = metadata.EntryPoint("theirs", "stranger:loss", "toylab.objectives")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [found] if group == "toylab.objectives" else [])
    assert validate(Method, {"name": "theirs"}).model_dump()["code"] == outside.source_hash("stranger")
    assert "code" not in validate(Method, {"name": "ddpm"}).model_dump()
