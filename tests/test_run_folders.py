"""Run folders that are damaged, shared, full, or read-only: what is said, and what is still true afterwards."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tiny import finished, offered
from toylab import files, launch, process, runs
from toylab.checksums import Checksums, Damaged
from toylab.errors import BadInput, Unable
from toylab.runs import Run

RUN = ("run", "tiny", "--device", "cpu", "--out")


@pytest.fixture(autouse=True)
def tiny() -> Iterator[None]:
    with offered():
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    return finished(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, in a root of its own."""
    return Path(shutil.copytree(made, tmp_path / "runs" / made.name))


def prepared(root: Path) -> launch.Launch:
    return launch.prepare(launch.configure("tiny"), "cpu", root)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGES: list[Callable[[Path], None]] = [cut, flip, Path.unlink]
WRITTEN = (
    "config.json", "environment.json", "results.csv", "samples.npz", "fields.npz", "trajectories.npz",
    "weights/ddpm.safetensors", "weights/robust-adv.safetensors",
)  # fmt: skip


# -- damage ------------------------------------------------------------------------------------------------------


def test_a_finished_run_lists_all_that_was_written(made: Path):
    assert sorted(json.loads((made / "finished.json").read_text())["files"]) == sorted(WRITTEN)
    assert not (made / "checksums.json").exists()
    assert Run(made).is_done


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", WRITTEN)
def test_a_damaged_file_is_named_and_never_read(damage, name: str, run: Path):
    damage(run / name)
    if not (name == "config.json" and damage is Path.unlink):  # then it is no run folder at all
        with pytest.raises(BadInput, match=rf"{name} is (damaged|lost): .*makes it anew"):
            runs.load(run)
    with pytest.raises(Damaged, match=name):
        Run(run).read(name)
    assert not Run(run).is_done


@pytest.mark.parametrize("text", ["", "[]", "{", '{"date": "x", "filez": {}}', '{"sha256": "0"}', "[" * 100_000])
def test_a_damaged_finished_json_is_not_believed(text: str, run: Path):
    (run / "finished.json").write_text(text)
    with pytest.raises(Damaged, match=r"finished.json is damaged"):
        runs.load(run)
    assert not Run(run).is_done


def test_every_bit_of_finished_json_counts(tmp_path: Path):
    own = Checksums(tmp_path)
    own.write("a", b"content")
    own.seal({"date": "2000-01-01", "version": "1"})
    path = tmp_path / "finished.json"
    whole = path.read_bytes()
    assert own.damaged() == []
    for place in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[place] ^= 0x02
        path.write_bytes(changed)
        try:
            same = json.loads(changed) == json.loads(whole)  # only its spaces are other ones
        except ValueError:
            same = False
        assert same or own.damaged(), changed


@pytest.mark.parametrize("command", [("show",), ("sample", "--method", "ddpm", "-o", "x.npz"), ("reproduce",)])
def test_commands_that_read_refuse_it_in_one_line(command, toylab, run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(run.parent)
    flip(run / "results.csv")
    code, out, err = toylab(command[0], run, *command[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{run}/results.csv is damaged: its content is not what was written" in err


def test_tables_of_many_runs_refuse_it(toylab, run: Path):
    flip(run / "results.csv")
    code, _, err = toylab("results", run.parent)
    assert (code, err.count("\n")) == (2, 1)
    assert "results.csv is damaged" in err


@pytest.mark.parametrize("name", [pytest.param("results.csv", marks=pytest.mark.slow), "weights/ddpm.safetensors"])
def test_the_same_command_makes_it_anew(name: str, toylab, run: Path, made: Path):
    """The damaged file, from what is whole: the other method is not trained again."""
    flip(run / name)
    (run / "log.txt").unlink()
    code, out, err = toylab(*RUN, run.parent)
    assert (code, err) == (0, "")
    assert f"note: {run / name} is damaged: its content is not what was written; it is made anew\n" in out
    assert "reusing" not in out
    assert [path.name for path in run.parent.iterdir()] == [run.name]
    for written in WRITTEN:
        if written.endswith(("csv", "safetensors")):
            assert (run / written).read_bytes() == (made / written).read_bytes()
    assert ("ddpm: trained" in (run / "log.txt").read_text()) == ("ddpm" in name)
    assert "robust-adv: trained" not in (run / "log.txt").read_text()
    assert Run(run).is_done


@pytest.mark.parametrize("name", [pytest.param("config.json", marks=pytest.mark.slow), "environment.json"])
def test_what_is_not_known_any_more_is_left_alone(name: str, toylab, run: Path, made: Path):
    flip(run / name)
    code, out, _ = toylab(*RUN, run.parent)
    assert code == 0
    assert f"note: {run / name} is damaged: its content is not what was written; that folder is left alone" in out
    assert (run.with_name(run.name + "-2") / "results.csv").read_bytes() == (made / "results.csv").read_bytes()


@pytest.mark.parametrize("damage", [pytest.param(cut, marks=pytest.mark.slow), flip])
def test_weights_of_an_interrupted_run_are_trained_again_if_damaged(damage, run: Path, made: Path):
    (run / "checksums.json").write_text(json.dumps(json.loads((run / "finished.json").read_text())["files"]))
    (run / "finished.json").unlink()
    damage(run / "weights/ddpm.safetensors")
    list(prepared(run.parent).carry_out())
    assert (
        "weights/ddpm.safetensors is damaged, or was not written to its end: it is made"
        in (run / "log.txt").read_text()
    )
    assert (run / "weights/ddpm.safetensors").read_bytes() == (made / "weights/ddpm.safetensors").read_bytes()


def test_weights_without_a_checksum_are_trained_again(run: Path):
    """As a process leaves them that was killed between the two."""
    (run / "finished.json").unlink()
    (run / "checksums.json").write_text("{")
    assert not Run(run).has("weights/ddpm.safetensors")


def test_a_folder_that_was_only_begun_is_used(run: Path):
    for path in [*run.rglob("*")]:
        if path.is_file() and path.name != "environment.json":
            path.unlink()
    for path in (run / "weights", run / "figures"):
        if path.is_dir():
            path.rmdir()
    (run / "config.json.123.part").write_text("{")
    assert prepared(run.parent).folder.path == run
    assert Run(run).config["experiment"] == "tiny"


def test_runs_without_checksums_are_read_as_they_are(run: Path):
    (run / "finished.json").write_text('{"date": "2000-01-01", "version": "0"}')
    flip(run / "samples.npz")
    assert runs.load(run).rows


def test_what_was_written_where_there_is_more_memory_is_not_damaged(run: Run, toylab, monkeypatch):
    """It is whole, and stays."""
    name = max((run / name for name in WRITTEN if name.endswith("npz")), key=lambda path: path.stat().st_size)
    before = name.read_bytes()
    monkeypatch.setattr(process, "memory", lambda: process.Memory(2 * len(before) - 2, None))
    code, _, err = toylab(*RUN, run.parent)
    assert (code, err) == (2, f"error: {name} is larger than half of the memory\n")
    assert name.read_bytes() == before
    monkeypatch.undo()
    assert "reusing" in toylab(*RUN, run.parent)[1]


# -- two processes -----------------------------------------------------------------------------------------------


def test_a_second_one_leaves_with_one_line(toylab, run: Path):
    (run / "finished.json").unlink()
    (run / ".lock").touch()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with Run(run).held():
        code, _, err = toylab(*RUN, run.parent)
    assert (code, err) == (
        1, f"error: another process is at work in {run}: let it end, then repeat this command\n",
    )  # fmt: skip
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_one_that_waited_finds_it_finished(run: Path, monkeypatch: pytest.MonkeyPatch):
    finished = (run / "finished.json").read_bytes()
    (run / "finished.json").unlink()
    second = prepared(run.parent)
    (run / "finished.json").write_bytes(finished)
    assert list(second.carry_out()) == []


HOLDING = """
import pathlib, sys, time
from toylab.files import held
with held(pathlib.Path(sys.argv[1]), "here"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_process_holds_nothing(run: Path):
    command = [sys.executable, "-c", HOLDING, str(run / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Unable, match=f"another process is at work in {run}"), Run(run).held():
            pass
        process.kill()
    with Run(run).held():
        pass


# -- disks -------------------------------------------------------------------------------------------------------


def full(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing more can be written from a file of this name on, as the system says it."""
    real, begun = os.fsync, [False]

    def fsync(descriptor: int) -> None:
        begun[0] = begun[0] or name in os.readlink(f"/proc/self/fd/{descriptor}")
        if begun[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize(
    "name",
    ["ddpm.safetensors", *(pytest.param(name, marks=pytest.mark.slow) for name in ("samples.npz", "finished.json"))],
)
def test_a_full_disk_is_told_and_earlier_files_are_whole(name: str, toylab, made: Path, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        full(patch, name)
        code, _, err = toylab(*RUN, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert (code, err.count("\n")) == (1, 1)
    assert f"{name}: No space left on device; the same command goes on" in err
    assert not list(folder.rglob("*.part"))
    assert Run(folder).damaged() == []
    assert not (folder / "finished.json").exists()
    assert toylab(*RUN, tmp_path)[0] == 0
    assert (folder / "results.csv").read_bytes() == (made / "results.csv").read_bytes()


def test_a_read_only_folder_is_told(toylab, run: Path, monkeypatch: pytest.MonkeyPatch):
    (run / "finished.json").unlink()

    def refused(*arguments: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

    monkeypatch.setattr(files.io, "FileIO", refused)
    code, _, err = toylab(*RUN, run.parent)
    assert (code, err.count("\n")) == (1, 1)
    assert "Read-only file system" in err


def test_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a"
    files.write_whole(path, "before")
    full(monkeypatch, "a")
    with pytest.raises(OSError, match="No space left") as raised:
        files.write_whole(path, "after")
    assert raised.value.filename == str(path)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]


# -- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["log.txt", "figures/x.png", ".lock"])
def test_nor_is_one_with_a_pipe(name: str, toylab, run: Path, never_waiting):
    """Who opens it for writing waits for its other end."""
    (run / "finished.json").unlink()
    (run / name).unlink(missing_ok=True)
    (run / name).parent.mkdir(exist_ok=True)
    os.mkfifo(run / name)
    code, _, err = toylab(*RUN, run.parent)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{run / name} is a pipe or a device" in err


@pytest.mark.parametrize("odd", [os.mkfifo, lambda path: path.symlink_to(path.parents[2] / "elsewhere")])
def test_a_folder_that_was_begun_with_an_odd_lock_is_left_alone(odd, toylab, run: Path, never_waiting):
    shutil.rmtree(run)
    run.mkdir()
    odd(run / ".lock")
    assert toylab(*RUN, run.parent)[0] == 0
    assert [*run.iterdir()] == [run / ".lock"]
    assert not (run.parents[1] / "elsewhere").exists()
    assert Run(run.with_name(run.name + "-2")).is_done


@pytest.mark.parametrize("name", ["", "weights", "log.txt", "figures/x.png"])
def test_a_run_folder_with_a_link_is_not_written_to(name: str, toylab, run: Path, tmp_path: Path):
    (run / "finished.json").unlink()
    elsewhere, place = tmp_path / "elsewhere", run / name if name else run
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        place.rename(elsewhere)
    else:
        elsewhere.write_text("")
    place.symlink_to(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    code, _, err = toylab(*RUN, run.parent)
    assert (code, err.count("\n")) == (2, 1)
    assert "is a symbolic link" in err
    assert {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")} == before
