"""The experiment theory-check at its default size: networks find the optimum of what they are trained for."""

import math
from pathlib import Path

import pytest

from tests.test_experiments import carry_out
from toylab.schedules import DDPM

GAP = 0.15  # RMS of optimum minus contaminated score, from which on an objective's effect is called large
UNSETTLED = 0.1  # σ/α below which the adversarial fixed point is not held against a network: it is not the only one


@pytest.mark.slow
def test_networks_are_three_times_nearer_to_their_optimum_than_to_plain_denoising(tmp_path: Path):
    """For every member, at every level where the two differ by 0.15 RMS under p_t."""
    run = carry_out("theory-check", tmp_path, "default")
    schedule = DDPM()
    errors = [row for row in run.rows if row["metric"] == "eps-mse"]
    mse = {(row["method"], row["against"], row["t"], row["seed"]): float(row["value"]) for row in errors}
    compared: dict[str, int] = {}
    for (method, against, t, seed), value in mse.items():
        if against != "theory" or not t:
            continue
        alpha, sigma = schedule(float(t))
        if method == "robust-adv" and float(sigma / alpha) < UNSETTLED:
            continue
        if math.sqrt(mse[f"optimum-{method}", "contaminated", t, seed]) < GAP:
            continue
        assert math.sqrt(value) <= math.sqrt(mse[method, "contaminated", t, seed]) / 3, (method, t, seed)
        compared[method] = compared.get(method, 0) + 1
    assert {"robust-ran", "robust-adv", "invariance"} <= compared.keys()
