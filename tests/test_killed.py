"""A run that is killed and gone on with is the one that never was, byte for byte."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.killed import carried_out, difference, dying, forked

STEPS = 6


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return carried_out(tmp_path_factory.mktemp("whole"), STEPS)


@pytest.mark.parametrize(
    ("write", "moment"),
    [(0, "after"), (4, "between"), *(pytest.param(n, "before", marks=pytest.mark.slow) for n in (2, 5, 8, 11, 14, 16))],
)
def test_killed_in_a_write(write: int, moment: str, whole: Path, tmp_path: Path):
    """Of the environment before there is a configuration; of weights between file and checksum ..."""
    assert forked(lambda: dying(write, moment, lambda: carried_out(tmp_path, STEPS))) == -signal.SIGKILL
    assert difference(whole, carried_out(tmp_path, STEPS)) == ""
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("times", [pytest.param(2, marks=pytest.mark.short), 20])
def test_killed_at_random_moments(times: int, tmp_path: Path):
    command = [sys.executable, "-m", "tests.killed", str(tmp_path), str(times)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1500)
    assert done.returncode == 0, done.stderr[-2000:]
    assert sum(ast.literal_eval(done.stdout).values()) == times
