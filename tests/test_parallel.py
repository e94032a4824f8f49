"""Several processes train as one does: the same weights from the same batch, also when their number changes."""

import csv
import json
import os
import shlex
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import free_ports
from toylab.launch import configure, prepare

SCRIPT = Path(__file__).with_name("together.py")
TOGETHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def train(launcher: list[str], *arguments: object) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*launcher, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("network", [pytest.param("mlp", marks=pytest.mark.short), "unet"])
def test_two_processes_are_one(network: str, tmp_path: Path):
    """Weights, averages, moments and streams, after 8 steps of adversarial training with a lasting part, in float64;
    from the fifth step on also with the other number of processes. A bias before a normalisation has no gradient but
    rounding, 1e-16, which Adam divides by its eps of 1e-8; so weights agree to fewer digits than moments."""
    one, two = tmp_path / "one", tmp_path / "two"
    train([sys.executable], network, one)
    train(TOGETHER, network, two)
    train([sys.executable], network, tmp_path / "two-one", tmp_path / "two-5")
    train(TOGETHER, network, tmp_path / "one-two", tmp_path / "one-5")
    expected = load_file(one)
    for name in ("two", "two-one", "one-two"):
        found = load_file(tmp_path / name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            close = 1e-9 if key.startswith(("raw.", "ema.")) else 1e-12
            torch.testing.assert_close(
                found[key], value, rtol=1e-10, atol=close, msg=lambda m, at=(name, key): f"{at} {m}"
            )
    begun = load_file(tmp_path / "one-5")
    assert all(
        (expected[key] != begun[key]).any() for key in expected if key.startswith(("raw.network.l", "raw.network.u"))
    )


IMAGES = ["--set", "few_steps=[]", "--set", "attack.budgets=[]", "--set", 'evaluation.metrics=["fd"]']


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [("gmm-outliers", []), ("digits-noise", IMAGES)])
def test_a_run_by_two_processes_has_the_results_of_one(name: str, options: list[str], tmp_path: Path):
    """A study, and a sweep of two cells."""
    command = [sys.executable, "-m", "toylab", "run", name, "--preset", "smoke", "--methods", "ddpm,robust-adv"]
    for root, changes in (("one", ["--set", "training.accumulate=2"]), ("two", ["--devices", "2"])):
        whole = [*command, *options, *changes, "--out", tmp_path / root]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.count("writing to") == 1  # the first process alone speaks
    one, two = (list(csv.DictReader(next(tmp_path.glob(f"{root}/*/results.csv")).open())) for root in ("one", "two"))
    assert len(one) == len(two) > 4
    for row, other in zip(one, two, strict=True):
        values, same = ([float(r.pop(key)) for key in ("value", "stderr")] for r in (row, other))
        assert row == other
        assert values == pytest.approx(same, rel=1e-3, abs=1e-4, nan_ok=True)


RUN = ["-m", "toylab", "run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm"]


def results(launcher: list[str], out: Path, *options: str) -> bytes:
    done = subprocess.run([*launcher, *RUN, *options, "--out", out], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("writing to") == 1
    return next(out.glob("*/results.csv")).read_bytes()


@pytest.fixture(scope="module")
def by_itself(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The results of a run that starts its other process itself."""
    return results([sys.executable], tmp_path_factory.mktemp("itself"), "--devices", "2")


@pytest.mark.slow
def test_torchrun_starts_a_run_as_well(by_itself: bytes, tmp_path: Path):
    assert results(TOGETHER, tmp_path) == by_itself
    wrong = subprocess.run(
        [*TOGETHER, *RUN, "--devices", "3"], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert wrong.returncode
    assert "--devices: 2 processes were started on this machine, not 3" in wrong.stderr
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.slow
def test_torchrun_does_on_two_machines(by_itself: bytes, tmp_path: Path):
    """Both of them this one."""
    where = ["--master-addr", "127.0.0.1", "--master-port", *free_ports(1)]
    both = [[*TOGETHER[:3], "--nnodes", "2", "--nproc-per-node", "1", *where, "--node-rank", r] for r in ("0", "1")]
    with subprocess.Popen([*both[1], *RUN, "--out", tmp_path], stdout=subprocess.DEVNULL) as other:
        try:
            assert results(both[0], tmp_path) == by_itself
            assert other.wait(60) == 0
        finally:
            other.kill()


@pytest.mark.slow
def test_so_does_slurm(real_slurm: str, by_itself: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two tasks, or one that starts the other itself; a batch script that does not call srun is a single process."""
    monkeypatch.setenv("SLURM_CONF", real_slurm)
    assert results(["srun", "--ntasks-per-node=2", sys.executable], tmp_path / "tasks") == by_itself
    assert results(["srun", "--ntasks=1", sys.executable], tmp_path / "task", "--devices", "2") == by_itself
    allocated = ["salloc", "--ntasks-per-node=2"]  # whose jobs are called interactive
    assert results([*allocated, "srun", sys.executable], tmp_path / "allocated") == by_itself
    script, out = tmp_path / "script", tmp_path / "alone"
    script.write_text(f"#!/bin/sh\n{shlex.join([sys.executable, *RUN, '--out', str(out)])}\n")
    subprocess.run(["sbatch", "--wait", "--ntasks-per-node=2", f"--output={tmp_path}/log", script], check=True)
    assert (tmp_path / "log").read_text().count("writing to") == 1
    (config,) = out.glob("*/config.json")
    assert json.loads(config.read_text())["training"]["accumulate"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("held", "code"), [(True, 1), (False, 2)])
def test_the_first_process_says_what_is_wrong_and_all_leave(held: bool, code: int, toylab, tmp_path: Path):
    """A folder where another process is at work, one that cannot be written; nobody waits for anybody, nor speaks."""
    run = ["run", "gmm-outliers", "--preset", "smoke", "--methods", "ddpm"]
    settings = ["--devices", "2", "--set", "training.accumulate=2"]
    several = [sys.executable, "-m", "toylab", *run, *settings, "--out", tmp_path / "runs"]
    if held:
        launched = prepare(
            configure("gmm-outliers", "smoke", changes=[{"training": {"accumulate": 2}}], methods=["ddpm"]),
            "cpu", tmp_path / "runs",
        )  # fmt: skip
        context: AbstractContextManager[object] = launched.folder.held()
    else:
        (tmp_path / "runs").write_text("")
        context = nullcontext()
    with context:
        done = subprocess.run(several, capture_output=True, text=True, timeout=300)
    assert done.returncode == code
    assert done.stderr.count("error: ") == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_what_several_processes_cannot_do_is_said(toylab):
    code, _, error = toylab("run", "gmm-outliers", "--devices", "2", "--strategy", "dp")
    assert code == 2
    assert "allowed: ddp" in error
