"""Long and large work does not grow in memory, and runs side by side do not meet."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

MIB = 2**20


def took(*arguments: object) -> dict[str, int]:
    """What tests/large.py found."""
    command = [sys.executable, "-m", "tests.large", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_over_a_hundred_thousand_steps():
    """4 MiB would be fifty bytes for each of the last 80,000."""
    found = took("steps", 100_000)
    assert found["end"] - found["early"] < 4 * MIB


@pytest.mark.slow
def test_five_hundred_cells_grow_by_their_rows_alone():
    """40 KiB for each of the last 400, whose rows are kept until all are gathered."""
    found = took("cells", 500)
    assert found["rows"] >= 500
    assert found["end"] - found["early"] < 16 * MIB


@pytest.mark.slow
@pytest.mark.parametrize(("law", "numbers"), [("two-gaussians", 7.3), ("three-gaussians", 5.5)])
def test_ten_million_points_take_memory_for_themselves_alone(law: str, numbers: float):
    """Points, their scores and log-densities, put together from parts: 6.2 and 4.5 numbers a coordinate, 8.4 and 6.7
    where all points are evaluated at once."""
    found = took("points", law, 10_000_000)
    assert found["same"]
    assert found["end"] - found["early"] < numbers * 8 * 10_000_000 * found["dim"]


@pytest.mark.slow
@pytest.mark.short
def test_runs_side_by_side_keep_to_their_threads_and_their_numbers(tmp_path: Path):
    """Each has the CPU time of one thread at most, and the results that it has alone."""
    command = [sys.executable, "-m", "toylab", "run", "gmm-outliers", "--preset", "smoke", "--methods", "robust-ran"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def together(*names: str) -> list[bytes]:
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        running = [
            subprocess.Popen([*command, "--out", tmp_path / name], env=environment, stdout=subprocess.DEVNULL)
            for name in names
        ]
        assert [process.wait(timeout=600) for process in running] == [0] * len(names)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert used < 1.1 * len(names) * (time.perf_counter() - start)
        found = [next((tmp_path / name).iterdir()) for name in names]
        assert all(json.loads((path / "environment.json").read_text())["threads"] == 1 for path in found)
        return [(path / "results.csv").read_bytes() for path in found]

    (alone,) = together("alone")
    assert together("one", "other") == [alone, alone]
