"""The default run itself, minutes long, against the committed results."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_readme import ROWS
from toylab.results import from_csv, interval


@pytest.mark.slow
def test_the_default_run_repeats_the_committed_results(tmp_path: Path):
    """Same seeds on any machine: means within the sum of the half-widths, for every method and main metric."""
    threads_as_a_user_has = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, "-m", "toylab", "run", "gmm-outliers", "--out", str(tmp_path)]
    subprocess.run(command, check=True, env=threads_as_a_user_has)
    (path,) = tmp_path.glob("*/results.csv")
    rows = from_csv(path.read_text())
    compared = 0
    for method in dict.fromkeys(row["method"] for row in ROWS):
        for metric in ("outlier-mass", "w2", "mode-width", "leakage", "eps-mse", "jacobian-error"):
            committed, again = (interval(r, method, metric, "clean") for r in (ROWS, rows))
            assert (committed is None) == (again is None)
            if committed is not None and again is not None and not math.isnan(committed.mean):
                assert abs(committed.mean - again.mean) <= committed.half + again.half + 1e-9
                compared += 1
    assert compared > 40
