"""What is shipped: every file, in sdist and wheel, typed, and with a citation that says what is so."""

import fnmatch
import importlib.util
import subprocess
import sys
import tarfile
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import toylab
import toylab as tl
from toylab.configuration import validate
from toylab.experiments import image_study

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SHIPPED = PROJECT["tool"]["setuptools"]["package-data"]["toylab"]


def other_files() -> list[str]:
    """Those of the package that are not Python modules."""
    files = (path for path in (ROOT / "toylab").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path.relative_to(ROOT / "toylab").as_posix() for path in files if path.suffix not in (".py", ".pyc"))


def test_every_file_of_the_package_is_shipped():
    files = other_files()
    assert {"py.typed", "__init__.pyi", "suite/builtin.csv", "page/templates/page.html"} <= set(files)
    assert [name for name in files if not any(fnmatch.fnmatch(name, pattern) for pattern in SHIPPED)] == []
    assert [pattern for pattern in SHIPPED if not fnmatch.filter(files, pattern)] == []


def test_every_folder_of_the_package_is_one():
    """One without __init__.py would be left out of the wheel."""
    folders = {path.parent for path in (ROOT / "toylab").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_citation_is_of_this_version_and_of_the_paper():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert found["cff-version"] == "1.2.0"
    assert set(found) >= {"message", "title", "authors"}  # what 1.2.0 requires
    assert found["version"] == toylab.__version__ == PROJECT["project"]["version"]
    assert found["license"] == PROJECT["project"]["license"]
    assert [author["name"] for author in found["authors"]] == [a["name"] for a in PROJECT["project"]["authors"]]
    (paper,) = found["references"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert paper["title"] in readme
    assert paper["url"] in readme


def test_contributing_is_a_page_and_its_paths_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    for name in ("toylab/index.py", "docs/how-to", "pyproject.toml", ".ci/run", "CHANGELOG.md"):
        assert name in text
        assert (ROOT / name).exists()


def test_settings_of_images_are_read_where_their_libraries_are_not(monkeypatch: pytest.MonkeyPatch):
    """As `toylab run` does for every experiment; only who asks for images is told what they need."""
    monkeypatch.setattr("toylab.entries._installed", lambda module: False)
    spec = importlib.util.spec_from_file_location("read_again", image_study.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    with pytest.raises(tl.BadInput, match=r"needs diffusers: pip install 'toylab\[images\]'"):
        validate(again.ImageStudy, {"methods": {"ddpm": "ddpm"}, "data": "digits", "evaluation": {}})


@pytest.mark.slow
def test_the_main_job_needs_no_extra(tmp_path: Path):
    """Every library of the extras, and what they bring, is hidden from it."""
    hidden = (
        "sklearn", "datasets", "huggingface_hub", "diffusers", "torchmetrics", "lightning_fabric", "submitit", "duckdb",
        "plotly", "tensorboard", "IPython", "ipywidgets", "jupytext", "pytest", "selenium", "azula",
    )  # fmt: skip
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden})); from toylab.cli import main; "
        f"sys.argv = ['toylab', 'run', 'gmm-outliers', '--preset', 'smoke', '--out', {str(tmp_path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    (folder,) = tmp_path.iterdir()
    assert (folder / "figures/samples.png").stat().st_size > 0


USER = """
    import toylab as tl

    run = tl.run("gmm-outliers", "smoke", ["ddpm"], settings={"training.steps": 5}, seeds=2, progress=False)
    reveal_type(run)
    reveal_type(run.plot("samples"))
    reveal_type(run.samples["ddpm"])
    reveal_type(run.denoiser("ddpm").eps)
    reveal_type(tl.load("runs/mine").seeds)
    table = run.table()
    ledger = run.ledger()
    law = tl.outliers(tl.GaussianMixture([[-2.0], [2.0]], std=0.3), fraction=0.1)
    reveal_type(tl.Exact(law, tl.DDPM()).x0)
    ours = tl.interop.to_azula(tl.Exact(law, tl.DDPM()))
    reveal_type(tl.interop.from_azula(ours))
    try:
        run.tabel()
        tl.rnu("gmm-outliers")
        tl.run(3)
    except tl.ToylabError:
        pass
"""


@pytest.mark.slow
def test_a_users_program_is_checked_as_strictly_as_can_be(tmp_path: Path):
    """By the stub; `.ci/run` installs mypy, elsewhere it may be missing. A data frame is Any without pandas' stubs."""
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(textwrap.dedent(USER), encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\nfollow_imports = silent\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--cache-dir", "cache", "user.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"MYPYPATH": str(ROOT), "PATH": ""}
    )
    lines = done.stdout.splitlines()
    revealed = [line.partition("Revealed type is ")[2] for line in lines if "Revealed" in line]
    tensor, predicts = "torch._tensor.Tensor", "def (x_t: {0}, t: {0} | float) -> {0}"
    assert [text.strip('"') for text in revealed] == [
        "toylab.api.Run",
        "dict[str, matplotlib.figure.Figure]",
        tensor,
        predicts.format(tensor),
        "list[int]",
        predicts.format(tensor),
        "toylab.denoisers.Given",
    ]
    errors = [line.partition(" error: ")[2] for line in lines if " error: " in line]
    assert len(errors) == 3
    assert errors[0].startswith('"Run" has no attribute "tabel"; maybe "table"?')
    assert errors[1].startswith('Module has no attribute "rnu"')
    assert errors[2].startswith('Argument 1 to "run" has incompatible type "int"; expected "str"')


@pytest.mark.slow
def test_the_wheel_and_the_sdist_hold_what_they_should(tmp_path: Path):
    """Built from a copy of what git would ship, by setuptools alone."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True
    )
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    if not files:  # an sdist
        files = [
            path.relative_to(ROOT).as_posix()
            for path in ROOT.rglob("*")
            if path.is_file() and ".venv" not in path.parts
        ]
    for name in files:
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).symlink_to(ROOT / name)
    build = (
        "import sys; from setuptools import build_meta; out = sys.argv[1]; "  # which it changes
        "build_meta.build_sdist(out); build_meta.build_wheel(out)"
    )
    subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=tmp_path / "source", check=True, capture_output=True
    )
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    held = set(zipfile.ZipFile(wheel).namelist())
    package = {name for name in files if name.startswith("toylab/")}
    assert package <= held
    assert {name.partition("/")[0] for name in held - package} == {f"toylab-{toylab.__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in held)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    tests = {name for name in files if name.startswith("tests/")}
    documents = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md", "mkdocs.yml"}
    assert package | tests | documents | {"docs/claims.md", "figures/gmm-outliers/results.csv"} <= inside
    assert sdist.stat().st_size < 20 * 2**20
