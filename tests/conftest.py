"""Shared fixtures: seeded generators, and laws to run contracts over."""

import faulthandler
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "agg")
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: workers must not fight over the cores
os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported: no test uses the network

import pytest
import torch

from toylab.contamination import compose, duplicates, far_cluster, heavy_tail, inlier_noise, missing, outliers
from toylab.distributions import (
    Box,
    Convolved,
    Distribution,
    Embedded,
    Empirical,
    GaussianMixture,
    Mixture,
    Product,
    Sphere,
    StudentT,
    rotated,
    scaled,
    shifted,
)
from toylab.index import LAWS

FULL = GaussianMixture(
    [[0.0, 1.0], [1.5, -1.0]], cov=[[[1.0, 0.5], [0.5, 0.4]], [[0.2, 0.0], [0.0, 0.05]]], weights=[0.3, 0.7]
)
DIAGONAL = GaussianMixture([[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]], std=[[0.3, 1.0, 0.1], [0.5, 0.2, 0.7]])
OBLIQUE = torch.linalg.qr(torch.arange(8.0, dtype=torch.float64).reshape(4, 2).sin()).Q  # no coordinate is constant
_G = torch.Generator().manual_seed(5)
LOW_RANK = GaussianMixture.low_rank(
    [[0.0, 1.0, 2.0, 0.0], [1.0, 0.0, -1.0, 0.5]],
    torch.randn(2, 4, 2, dtype=torch.float64, generator=_G),
    std=[0.3, 0.1],
    weights=[0.4, 0.6],
)
NAMED: dict[str, Distribution] = {name: LAWS.load(name)() for name in LAWS}
BUILT: dict[str, Distribution] = {
    "full": FULL,
    "diagonal": DIAGONAL,
    "box-1d": Box(-1.0, 2.0),
    "uneven-box": Box([-1.0, 0.0], [1.0, 0.5]),
    "mixture": Mixture([FULL, Box([-3.0, -3.0], [3.0, 3.0])], [0.8, 0.2]),
    "convolved": Convolved(Box([-1.0, 0.0], [1.0, 0.5]), 0.2),
    "outliers": outliers(NAMED["three-gaussians"], 0.1),
    "all-outliers": outliers(NAMED["two-gaussians"], 1.0),
    "inlier-noise": inlier_noise(NAMED["box"], 0.9, 0.2),
    "both": outliers(inlier_noise(NAMED["two-gaussians"], 0.5, 0.4), 0.1),
    "low-rank": LOW_RANK,
    "sphere-7d": Sphere(7, 2.0),
    "swiss-roll-6d": LAWS.load("swiss-roll")(dim=6),
    "moved": shifted(scaled(rotated(FULL, [[0.6, -0.8], [0.8, 0.6]]), 0.5), [1.0, -2.0]),
    "embedded-mixture": Embedded(Mixture([FULL, Box([-1.0, -1.0], [1.0, 1.0])]), OBLIQUE, [1.0, 0, 0, 2.0]),
    "product": Product([FULL, Box(-1.0, 1.0), Sphere(2)]),
    "student": StudentT([1.0, -1.0], df=12, scale=0.5),
    "empirical": Empirical(torch.randn(20, 2, dtype=torch.float64, generator=_G)),
    "far-cluster": far_cluster(NAMED["circle"], 0.2),
    "heavy-tail": heavy_tail(NAMED["three-gaussians"], 0.1, df=12),
    "missing": missing(DIAGONAL, 0.5, block=2),
    "missing-full": missing(FULL, 1.0),
    "missing-low-rank": missing(LOW_RANK, 0.5, block=2),
    "missing-subspace": missing(inlier_noise(LAWS.load("subspace")(dim=4), 0.5, 0.2), 0.5),
    "duplicates": duplicates(NAMED["box"], 0.3),
    "composed": compose(NAMED["circle"], inlier_noise, outliers),
}
ALL_LAWS = NAMED | BUILT


@pytest.fixture(autouse=True)
def seeded() -> None:
    """torch's default generator starts anew in every test."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def cache(pytestconfig: pytest.Config) -> None:
    """What the lab trains for itself is kept with pytest's own cache, and trained once a checkout."""
    os.environ["TOYLAB_CACHE"] = str(pytestconfig.cache.mkdir("toylab"))


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=ALL_LAWS)
def law(request: pytest.FixtureRequest) -> Distribution:
    return ALL_LAWS[request.param]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs leave out their figures, which take several times as long as a tiny run and have tests of their own."""
    monkeypatch.setattr("toylab.figures.draw", lambda run, names, into=None: [])


@pytest.fixture
def never_waiting() -> Iterator[None]:
    """Whoever opens a pipe waits for its other end, and the test ends after two minutes; the process, where that is not
    heard by another thread, after four."""

    def too_long(*arguments: object) -> None:
        raise AssertionError("it waits")  # no OSError, as which it could be taken for one of the file

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(120)
    faulthandler.dump_traceback_later(240, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def toylab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command line in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from toylab import cli

        monkeypatch.setattr(sys, "argv", ["toylab", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, out, err

    return call


def free_ports(count: int) -> list[str]:
    """So many that nobody on this machine listens to."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in found]


@pytest.fixture(scope="module")
def real_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The configuration of a Slurm of one node, started for these tests; without its programs they are skipped."""
    search = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if not all(shutil.which(name, path=search) for name in ("munged", "slurmctld", "slurmd", "sbatch")):
        pytest.skip("there is no Slurm: apt-get install slurm-wlm munge")
    folder, script = tmp_path_factory.mktemp("slurm"), Path(__file__).with_name("slurm.sh")
    ports = dict(zip(("SLURMCTLD_PORT", "SLURMD_PORT"), free_ports(2), strict=True))  # others may run beside it
    try:
        subprocess.run([script, "start", folder], check=True, env=os.environ | ports)
        yield str(folder / "slurm.conf")
    finally:
        subprocess.run([script, "stop", folder], check=True)
