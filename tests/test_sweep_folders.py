"""The folder of a sweep that is damaged, or a stranger's: nothing is written elsewhere, waited for, or a traceback."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.test_sweeping import SEEDS
from toylab.errors import BadInput
from toylab.sweeping import engines
from toylab.sweeping.folder import JOBS, Standing, State, SweepFolder
from toylab.sweeping.job import Files, Job
from toylab.sweeping.plan import Cell, plan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """The first of two."""
    file = tmp_path_factory.mktemp("plan") / "sweep.toml"
    file.write_text(SEEDS, encoding="utf-8")
    return plan(file).cells[0]


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its folder of jobs, beside what it is planned by and a file that must stay as it is."""
    monkeypatch.chdir(tmp_path)
    Path("sweep.toml").write_text(SEEDS, encoding="utf-8")
    Path("precious").write_text("precious")
    (tmp_path / "runs/sweep" / JOBS).mkdir(parents=True)
    return tmp_path / "runs/sweep" / JOBS


def link(path: Path) -> None:
    path.symlink_to(Path("precious").absolute())


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
@pytest.mark.parametrize("odd", [link, device, os.mkfifo])
@pytest.mark.parametrize(
    "name", ["{}.lock", "{}.log", "{}.json", "{}.failed.json", "head.lock", "submitit/1_0_log.out"]
)
def test_links_pipes_and_devices_are_refused(
    name: str, odd: Callable[[Path], None], options: tuple[str, ...], swept: Path, cell: Cell, toylab, never_waiting
):
    (swept / "submitit").mkdir()
    odd(swept / name.format(cell.name))
    code, _, err = toylab("sweep", "sweep.toml", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert name.format(cell.name) in err
    assert Path("precious").read_text() == "precious"


@pytest.mark.parametrize("name", [JOBS, f"{JOBS}/submitit"])
def test_so_are_folders_that_are_links(name: str, swept: Path, toylab):
    there = swept.parent / name
    shutil.rmtree(there, ignore_errors=True)
    Path("elsewhere").mkdir()
    there.symlink_to(Path("elsewhere").absolute())
    code, _, err = toylab("sweep", "sweep.toml")
    assert (code, err.count("\n"), "is a symbolic link" in err) == (2, 1, True)
    assert list(Path("elsewhere").iterdir()) == []


def test_the_links_of_submitit_itself_are_not(swept: Path):
    (swept / "submitit").mkdir()
    (swept / "submitit/.submission_file_0123.sh").symlink_to("7_submission.sh")
    SweepFolder(swept.parent, CPU)
    (swept / "submitit/submission_file_0123.sh").symlink_to("7_submission.sh")
    with pytest.raises(BadInput, match="is a symbolic link"):
        SweepFolder(swept.parent, CPU)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
@pytest.mark.parametrize("out", ["sweep.toml", "sweep.toml/x", "/dev/null", "/dev/null/x"])
def test_where_there_is_no_folder(out: str, options: tuple[str, ...], swept: Path, toylab):
    code, _, err = toylab("sweep", "sweep.toml", "--out", out, *options)
    assert (code, err.count("\n"), out in err) == (2, 1, True)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
@pytest.mark.parametrize("name", ["", "{}.lock"])
def test_a_folder_in_the_place_of_a_file_and_a_file_in_that_of_a_folder(name: str, options, swept, cell: Cell, toylab):
    if name:
        (swept / name.format(cell.name)).mkdir()
    else:
        swept.rmdir()
        swept.write_text("")
    code, _, err = toylab("sweep", "sweep.toml", *options)
    assert (code, err.count("\n"), "runs/sweep" in err) == (2, 1, True)


@pytest.mark.parametrize("content", [b"", b'{"err', b"5", b"[1]", b"{}", b"\xff\x00", b"[" * 100_000, b'"\\ud800"'])
def test_a_failure_whose_reason_is_damaged_is_a_failure(content: bytes, swept: Path, cell: Cell):
    folder = SweepFolder(swept.parent, CPU)
    folder.files(cell).failure.write_bytes(content)
    assert folder.standing(cell) == Standing(State.FAILED, f"{cell.name}.failed.json is damaged")


@pytest.mark.parametrize("content", [b"", b'{"err', b"5", b"[1]", b"\xff\x00", b"[" * 100_000])
def test_jobs_of_slurm_that_cannot_be_known(content: bytes, swept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines.shutil, "which", lambda name: f"/bin/{name}")
    (swept / "slurm.json").write_bytes(content)
    with pytest.raises(BadInput, match=r"slurm\.json cannot be read: .*; remove it if no job of it is in the queue"):
        engines.OnSlurm(SweepFolder(swept.parent, CPU), 2, engines.Slurm())


def test_a_failure_is_recorded_whole(swept: Path, monkeypatch: pytest.MonkeyPatch):
    """Synced before it has its name: a machine that stops leaves no empty one."""
    synced = list[str]()
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}")))
    with pytest.raises(RuntimeError, match="exit 3"):
        Job(["sh", "-c", "exit 3"], Files(swept, "cell"), {}, apart=True)()
    assert [Path(name).name.startswith("cell.failed.json") for name in synced] == [True]


def test_threads_that_are_no_number(swept: Path, monkeypatch: pytest.MonkeyPatch, toylab):
    monkeypatch.setenv("OMP_NUM_THREADS", "²")
    assert toylab("sweep", "sweep.toml", "--dry-run")[0] == 0
