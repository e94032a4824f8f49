"""Orders of convergence, measured: how fast each sampler's error falls as its steps do, between σ/α = 5 and 0.1.

Deterministic samplers are held pathwise against scipy's DOP853 with the exact denoiser. Of the stochastic ones the weak
error is measured without sampling: on a Gaussian a walk is an affine map of its start and of each of its noises, which
the sampler itself gives away when it is run on unit vectors.
"""

import math
from functools import cache

import numpy as np
import pytest
import scipy.integrate
import torch
from torch import Tensor

from toylab import randomness
from toylab.contamination import outliers
from toylab.denoisers import Exact
from toylab.distributions import Distribution, GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.index import SAMPLERS, SCHEDULES
from toylab.samplers import Walk, cost, evenly_in_log_snr
from toylab.schedules import Schedule

HIGH, LOW = 5.0, 0.1


def schedules(*quick: str) -> list:
    """All schedules, the others among the slow tests: in x/α and log σ/α they are much the same."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.slow) for name in SCHEDULES]


def evenly(name: str, schedule: Schedule, n: int) -> Tensor:
    """n steps from HIGH to LOW, even in a sampler's own variable: times (n+1,)."""
    if name == "t":
        return torch.linspace(schedule.time(HIGH), schedule.time(LOW), n + 1, dtype=torch.float64)
    if name == "uneven λ":  # steps of 1, 2, 1, 2 ...: multistep methods must know how long their steps are
        along = torch.tensor([0.0] + [1.0, 2.0] * (n // 2), dtype=torch.float64).cumsum(0) / (1.5 * n)
        return schedule.times(HIGH * (LOW / HIGH) ** along)
    there, back = {
        "u": (float, lambda u: u),
        "u²": (lambda u: u**2, torch.sqrt),
        "λ": (lambda u: -math.log(u), lambda v: (-v).exp()),
    }[name]
    return schedule.times(back(torch.linspace(there(HIGH), there(LOW), n + 1, dtype=torch.float64)))


def order(steps: list[int], errors: list[float]) -> float:
    """The slope of log error over log steps."""
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def end_of(walk: Walk, law: Distribution, schedule: Schedule, start: Tensor, times: Tensor) -> Tensor:
    """x/α at the last time, from x/α at the first."""
    *_, x = walk(Exact(law, schedule), schedule(times[0])[0] * start, times, None)
    return x / schedule(times[-1])[0]


LAWS = {"mixture": three_gaussians(), "contaminated": outliers(three_gaussians(), 0.1)}


@cache
def flow(name: str) -> tuple[Distribution, Tensor, Tensor]:
    """A law, points x/α at HIGH and where its probability flow takes them at LOW, to 1e-12 in log σ/α."""
    law, noise = LAWS[name], torch.Generator().manual_seed(1)
    start = law.sample(16, noise) + HIGH * torch.randn(16, 2, dtype=torch.float64, generator=noise)

    def velocity(log_ratio: float, y: np.ndarray) -> np.ndarray:
        """x/α follows d(x/α)/d(σ/α) = ε, so d(x/α)/d log(σ/α) = (σ/α) ε."""
        ratio = math.exp(log_ratio)
        return (-(ratio**2) * law.score(torch.from_numpy(y.reshape(start.shape)), 1.0, ratio)).numpy().ravel()

    ends = (math.log(HIGH), math.log(LOW))
    solved = scipy.integrate.solve_ivp(velocity, ends, start.numpy().ravel(), "DOP853", rtol=1e-12, atol=1e-12)
    return law, start, torch.from_numpy(solved.y[:, -1].reshape(start.shape))


DETERMINISTIC = [
    ("ddim", "u", 1),
    ("euler", "t", 1),
    ("heun", "u", 2),
    ("dpm-solver++", "λ", 2),
    ("dpm-solver++", "uneven λ", 2),
]


@pytest.mark.parametrize("schedule_name", schedules("rectified-flow"))
@pytest.mark.parametrize(("name", "variable", "nominal"), DETERMINISTIC)
def test_deterministic_samplers(name: str, variable: str, nominal: int, schedule_name: str):
    check_order("mixture", schedule_name, name, variable, nominal)


@pytest.mark.parametrize(
    ("name", "variable", "nominal"),
    [row if row[:2] == ("dpm-solver++", "λ") else pytest.param(*row, marks=pytest.mark.slow) for row in DETERMINISTIC],
)
def test_deterministic_samplers_on_a_contaminated_law(name: str, variable: str, nominal: int):
    check_order("contaminated", "ddpm", name, variable, nominal)


def check_order(law_name: str, schedule_name: str, name: str, variable: str, nominal: int) -> None:
    """Mean error over the points, over four halvings."""
    law, start, exact = flow(law_name)
    walk, schedule, steps = SAMPLERS.load(name), SCHEDULES.load(schedule_name)(), [32, 64, 128, 256, 512]
    ends = [end_of(walk, law, schedule, start, evenly(variable, schedule, n)) for n in steps]
    errors = [float((end - exact).norm(dim=-1).mean()) for end in ends]
    assert order(steps, errors) == pytest.approx(nominal, abs=0.15)


class Moments:
    """Mean and covariance that a walk gives x/α on a Gaussian law, exactly, from those at the start, whatever they are.

    The walk is run on 0, on unit vectors, and on 0 with a unit vector for one of its noises: the rows of its map.
    """

    def __init__(self, walk: Walk, law: Distribution, schedule: Schedule, times: Tensor):
        d, calls = law.dim, 0
        eye = torch.eye(d, dtype=torch.float64)
        start = torch.zeros(1 + d + d * (len(times) - 1), d, dtype=torch.float64)
        start[1 : 1 + d] = eye

        def unit_vectors(shape, generators, like: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            z = torch.zeros(tuple(shape), dtype=torch.float64)
            z[1 + d * calls : 1 + d * (calls + 1)] = eye
            return z

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(randomness, "randn", unit_vectors)
            rows = end_of(walk, law, schedule, start, times)
        self.offset, self.noises = rows[0], calls
        self.matrix = (rows[1 : 1 + d] - self.offset).mT
        self.noise = (rows[1 + d :] - self.offset).mT @ (rows[1 + d :] - self.offset)

    def __call__(self, mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
        return self.matrix @ mean + self.offset, self.matrix @ cov @ self.matrix.mT + self.noise


GAUSSIAN = GaussianMixture([[0.5, -0.3]], cov=[[0.8, 0.3], [0.3, 0.3]])
MEAN = torch.tensor([2.0, -1.0], dtype=torch.float64)
COV = HIGH**2 * torch.tensor([[0.5, 0.1], [0.1, 1.5]], dtype=torch.float64)
"""Where the weak errors start from: not the law's own mean and covariance, so that nothing cancels."""


def reverse_sde(law: Distribution, mean: Tensor, cov: Tensor) -> tuple[Tensor, Tensor]:
    """What the reverse SDE of a Gaussian law makes of a mean and covariance of x/α: that of x_s given x_t, in closed
    form, with S_u = Σ + u² I for the marginal covariance."""
    eye = torch.eye(law.dim, dtype=torch.float64)
    high, low = law.cov + HIGH**2 * eye, law.cov + LOW**2 * eye
    gain = low @ high.inverse()
    return law.mean + gain @ (mean - law.mean), gain @ cov @ gain.mT + low - gain @ low


STOCHASTIC = [
    ("ddpm", "λ", 1, 16),
    ("euler-maruyama", "u²", 1, 32),
    ("sde-dpm-solver++", "λ", 2, 16),
    ("sde-dpm-solver++", "uneven λ", 2, 16),
]


@pytest.mark.parametrize("schedule_name", schedules("rectified-flow"))
@pytest.mark.parametrize(("name", "variable", "nominal", "fewest"), STOCHASTIC)
def test_stochastic_samplers_weakly(name: str, variable: str, nominal: int, fewest: int, schedule_name: str):
    """The covariance over four halvings; the mean is exact, since x0 is a martingale of the reverse SDE."""
    schedule = SCHEDULES.load(schedule_name)()
    mean, cov = reverse_sde(GAUSSIAN, MEAN, COV)
    steps, errors = [fewest * 2**k for k in range(5)], []
    for n in steps:
        moments = Moments(SAMPLERS.load(name), GAUSSIAN, schedule, evenly(variable, schedule, n))
        assert moments.noises == n
        found_mean, found_cov = moments(MEAN, COV)
        torch.testing.assert_close(found_mean, mean, rtol=0, atol=1e-12)
        errors.append(float((found_cov - cov).norm()))
    assert order(steps, errors) == pytest.approx(nominal, abs=0.15)


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
    """A new one needs a line above; adaptive has a tolerance instead (test_samplers)."""
    assert {row[0] for row in [*DETERMINISTIC, *STOCHASTIC]} | {"adaptive"} == {*SAMPLERS}
