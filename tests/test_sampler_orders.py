"""Orders of convergence, measured (benchmarks/orders.py): those of the default suite, and of every schedule."""

import math
from functools import partial

import pytest
import torch

from benchmarks.orders import (
    DETERMINISTIC,
    HALF,
    PAGE,
    STOCHASTIC,
    Moments,
    end_of,
    evenly,
    flow,
    order,
    pathwise,
    weak,
)
from toylab.distributions import GaussianMixture
from toylab.index import SAMPLERS, SCHEDULES
from toylab.samplers import adaptive, cost, evenly_in_log_snr


def schedules(*quick: str) -> list:
    """All schedules, the others among the slow tests: in x/α and log σ/α they are much the same."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in SCHEDULES]


@pytest.mark.parametrize("schedule_name", schedules("rectified-flow"))
@pytest.mark.parametrize(("name", "variable", "nominal"), DETERMINISTIC)
def test_deterministic_samplers(name: str, variable: str, nominal: int, schedule_name: str):
    """Pathwise, over four halvings."""
    found = order(*pathwise("mixture", SCHEDULES.load(schedule_name)(), name, variable))
    assert found == pytest.approx(nominal, abs=0.15)


@pytest.mark.parametrize(
    ("name", "variable", "nominal"),
    [row if row[:2] == ("dpm-solver++", "λ") else pytest.param(*row, marks=pytest.mark.slow) for row in DETERMINISTIC],
)
def test_deterministic_samplers_on_a_contaminated_law(name: str, variable: str, nominal: int):
    found = order(*pathwise("contaminated", SCHEDULES.load("ddpm")(), name, variable))
    assert found == pytest.approx(nominal, abs=0.15)


@pytest.mark.parametrize("schedule_name", schedules("rectified-flow"))
@pytest.mark.parametrize(("name", "variable", "nominal", "fewest"), STOCHASTIC)
def test_stochastic_samplers_weakly(name: str, variable: str, nominal: int, fewest: int, schedule_name: str):
    """The covariance over four halvings; the mean is exact, since x0 is a martingale of the reverse SDE, but not
    of DDIM's equation between that and the flow."""
    steps, means, covs = weak(SCHEDULES.load(schedule_name)(), name, variable, fewest)
    if name == HALF:
        assert order(steps, means) == pytest.approx(nominal, abs=0.15)
    else:
        assert max(means) < 1e-12
    assert order(steps, covs) == pytest.approx(nominal, abs=0.15)


@pytest.mark.parametrize("schedule_name", schedules("cosine", "ve"))
def test_the_adaptive_solver_against_dop853(schedule_name: str):
    """Pathwise, its error a hundredth where its tolerance is a thousandth, down to 1e-9 of paths that move by about 5;
    a stop on the way changes nothing."""
    (law, start, exact), schedule = flow("mixture"), SCHEDULES.load(schedule_name)()
    errors, times = [], evenly("λ", schedule, 2)
    assert float((start - exact).norm(dim=-1).mean()) > 3
    for tolerance, grid in ((1e-4, times[[0, -1]]), (1e-7, times[[0, -1]]), (1e-10, times[[0, -1]]), (1e-10, times)):
        end = end_of(partial(adaptive, rtol=tolerance, atol=tolerance), law, schedule, start, grid)
        errors.append(float((end - exact).abs().max()))
    assert errors[1] < errors[0] / 100
    assert errors[2] < errors[1] / 100
    assert max(errors[2:]) < 1e-9


H = 0.05
LEFT = {
    "ddim": H / 2,
    "euler": 0.0,  # in x with α² + σ² = 1 the velocity is 0; elsewhere below
    "heun": H**2 / 4,
    "dpm-solver++": H**2 / 8,
    "adaptive": 0.0,
    "ddpm": H,
    "euler-maruyama": H,
    "sde-dpm-solver++": H**2 / 3,
}
"""What the covariance of N(0, I) is off by, relatively, to leading order in a step of H in log σ/α."""


@pytest.mark.parametrize("schedule_name", schedules("cosine"))
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_standard_normal_law_is_left_alone(name: str, schedule_name: str):
    """N(0, I) as data, from t_max to t_min: the covariance of x/α is the exact one to 1.05 times what is stated."""
    law, schedule = GaussianMixture([[0.0]], std=1.0), SCHEDULES.load(schedule_name)()
    alpha, sigma = schedule(torch.tensor([schedule.t_max, schedule.t_min], dtype=torch.float64))
    first, last = (sigma / alpha).tolist()
    times = evenly_in_log_snr(schedule, 1 + round(math.log(first / last) / H))
    walk = SAMPLERS.load(name)
    moments = Moments(walk, law, schedule, times[[0, -1]] if cost(walk) is None else times)
    mean, cov = moments(torch.zeros(1).double(), torch.tensor([[1 + first**2]], dtype=torch.float64))
    assert abs(float(mean)) < 1e-12
    in_t = {"rectified-flow": H / 2, "ve": 4 * H} if name == "euler" else {}  # (ρ + 1)/2 for σ ~ t^ρ, ρ = 7
    assert abs(float(cov) / (1 + last**2) - 1) < 1.05 * in_t.get(schedule_name, LEFT[name]) + 1e-12


def test_every_sampler_has_its_order_measured():
    """A new one needs a line above; adaptive has a tolerance instead, above and in test_samplers."""
    assert {row[0] for row in [*DETERMINISTIC, *STOCHASTIC]} | {"adaptive"} == {*SAMPLERS, HALF}


def test_the_page_has_every_sampler_and_every_order_within_its_band():
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "|" in line]
    rows = [line for line in lines if line[0] in SAMPLERS or line[0] == HALF]
    measured = [tuple(row[:1] + row[2:3]) for row in rows if row[1] != "weak (mean)"]
    assert measured == [row[:2] for row in [*DETERMINISTIC, *STOCHASTIC]]
    assert [row[0] for row in rows if row[1] == "weak (mean)"] == [HALF]
    for row in rows:
        assert len(row) == 4 + len(SCHEDULES)
        assert all(abs(float(slope) - int(row[3])) <= 0.15 for slope in row[4:])
    errors = [cell for line in lines if line[0].startswith(("one Gaussian", "three")) for cell in line[1:]]
    assert len(errors) == 3 * len(SCHEDULES)
    assert max(float(cell.split()[0]) for cell in errors) <= 1e-5
