"""The experiment theory-check at its default size: networks find the optimum of what they are trained for."""

import math

import pytest

from tests.test_experiments import carry_out
from toylab.results import Row
from toylab.schedules import DDPM

GAP = 0.15  # RMS of optimum minus contaminated score, from which on an objective's effect is called large
UNSETTLED = 0.1  # σ/α below which the adversarial fixed point is not held against a network: it is not the only one


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return carry_out("theory-check", tmp_path_factory.mktemp("runs"), "default").rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "above"),
    [
        ("robust-ran", 0.0),
        ("invariance", 0.0),
        pytest.param(
            "robust-adv",
            UNSETTLED,
            marks=pytest.mark.xfail(reason="at σ/α = 0.126 two of four seeds are at 0.36 and 0.38"),
        ),
    ],
)
def test_networks_are_three_times_nearer_to_their_optimum_than_to_plain_denoising(
    rows: list[Row], method: str, above: float
):
    """For every member, at every level where the two differ by 0.15 RMS under p_t."""
    schedule = DDPM()
    errors = [row for row in rows if row["metric"] == "eps-mse" and row["t"]]
    mse = {(row["method"], row["against"], row["t"], row["seed"]): float(row["value"]) for row in errors}
    compared = 0
    for (name, against, t, seed), value in mse.items():
        alpha, sigma = schedule(float(t))
        if (name, against) != (method, "theory") or float(sigma / alpha) < above:
            continue
        if math.sqrt(mse[f"optimum-{method}", "contaminated", t, seed]) >= GAP:
            assert math.sqrt(value) <= math.sqrt(mse[method, "contaminated", t, seed]) / 3, (t, seed)
            compared += 1
    assert compared
