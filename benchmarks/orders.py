"""Orders of convergence of every sampler, and the errors of likelihoods, measured where the answer is known.

    python -m benchmarks.orders          about a minute; writes docs/samplers.md

How fast does a sampler's error fall as its steps do, between σ/α = 5 and 0.1? Deterministic ones are held pathwise
against scipy's DOP853 with the exact denoiser. Of the stochastic ones the weak error is measured without sampling: on a
Gaussian a walk is an affine map of its start and of each of its noises, which the sampler itself gives away when it is
run on unit vectors. An order is the slope of the error over the steps, on logarithmic scales, over four halvings.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from unittest import mock

import numpy as np
import scipy.integrate
import torch
from torch import Tensor

from toylab import randomness
from toylab.contamination import outliers
from toylab.denoisers import Exact
from toylab.distributions import Distribution, GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.index import SAMPLERS, SCHEDULES
from toylab.likelihood import log_likelihood
from toylab.randomness import Generators
from toylab.samplers import Walk, ddim
from toylab.schedules import Schedule
from toylab.summaries import markdown

PAGE = Path(__file__).parents[1] / "docs" / "samplers.md"
HIGH, LOW = 5.0, 0.1


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


def pathwise(law_name: str, schedule: Schedule, name: str, variable: str) -> tuple[list[int], list[float]]:
    """Steps, and the mean error of a deterministic sampler over the points."""
    law, start, exact = flow(law_name)
    walk, steps = SAMPLERS.load(name), [32, 64, 128, 256, 512]
    ends = [end_of(walk, law, schedule, start, evenly(variable, schedule, n)) for n in steps]
    return steps, [float((end - exact).norm(dim=-1).mean()) for end in ends]


class Moments:
    """Mean and covariance that a walk gives x/α on a Gaussian law, exactly, from those at the start, whatever they are.

    The walk is run on 0, on unit vectors, and on 0 with a unit vector for one of its noises: the rows of its map.
    """

    def __init__(self, walk: Walk, law: Distribution, schedule: Schedule, times: Tensor):
        d, calls = law.dim, 0
        eye = torch.eye(d, dtype=torch.float64)
        start = torch.zeros(1 + d + d * (len(times) - 1), d, dtype=torch.float64)
        start[1 : 1 + d] = eye

        def unit_vectors(shape: Sequence[int], generators: Generators, like: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            z = torch.zeros(tuple(shape), dtype=torch.float64)
            z[1 + d * calls : 1 + d * (calls + 1)] = eye
            return z

        with mock.patch.object(randomness, "randn", unit_vectors):
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


def reverse_sde(law: Distribution, mean: Tensor, cov: Tensor, eta: float = 1.0) -> tuple[Tensor, Tensor]:
    """What dx̄ = (1 + η²) eps du + η √(d(u²)) dw̄, x̄ = x/α, makes of a mean and covariance of a Gaussian law, whose
    marginals S_u = Σ + u² I it keeps for every η: the reverse SDE, DDIM's limit for another η.

    As eps = u S_u⁻¹ (x̄ - m) it is linear, and a gap to m or to S_u is carried by G = (S_s S_t⁻¹)^((1 + η²)/2).
    """
    variances, axes = torch.linalg.eigh(law.cov)
    high, low = variances + HIGH**2, variances + LOW**2
    gain = axes * (low / high) ** ((1 + eta**2) / 2) @ axes.mT
    gap = cov - axes * high @ axes.mT
    return law.mean + gain @ (mean - law.mean), gain @ gap @ gain.mT + axes * low @ axes.mT


HALF = "ddim, η = 0.5"
WALKS: dict[str, tuple[Walk, float]] = {
    **{name: (SAMPLERS.load(name), 1.0) for name in ("ddpm", "euler-maruyama", "sde-dpm-solver++")},
    HALF: (partial(ddim, eta=0.5), 0.5),
}
"""Stochastic samplers, and the η of the equation that they solve."""

STOCHASTIC = [
    ("ddpm", "λ", 1, 16),
    (HALF, "λ", 1, 32),
    ("euler-maruyama", "u²", 1, 32),
    ("sde-dpm-solver++", "λ", 2, 16),
    ("sde-dpm-solver++", "uneven λ", 2, 16),
]


def weak(schedule: Schedule, name: str, variable: str, fewest: int) -> tuple[list[int], list[float], list[float]]:
    """Steps, and the errors of a stochastic sampler's mean and covariance."""
    walk, eta = WALKS[name]
    mean, cov = reverse_sde(GAUSSIAN, MEAN, COV, eta)
    steps, means, covs = [fewest * 2**k for k in range(5)], [], []
    for n in steps:
        moments = Moments(walk, GAUSSIAN, schedule, evenly(variable, schedule, n))
        if moments.noises != n:
            raise RuntimeError(f"{name} drew noise {moments.noises} times in {n} steps")
        found_mean, found_cov = moments(MEAN, COV)
        means.append(float((found_mean - mean).abs().max()))
        covs.append(float((found_cov - cov).norm()))
    return steps, means, covs


def likelihood_error(law: Distribution, schedule: Schedule, n: int = 12) -> tuple[float, int]:
    """The largest error in nats of n points' log-density at t_min, with the law's own terminal law; evaluations."""
    alpha, sigma = schedule(schedule.t_min)
    x0 = law.sample(n, randomness.stream(0, "points"))
    x = alpha * x0 + sigma * randomness.randn(x0.shape, randomness.stream(0, "noise"), x0)
    found = log_likelihood(Exact(law, schedule), x, law.log_prob)
    return float((found.value - law.log_prob(x, alpha, sigma)).abs().max()), found.evaluations


def orders() -> Iterator[list[str]]:
    """A line for each sampler and the variable that its steps are even in: nominal order, then what was measured."""
    schedules = [SCHEDULES.load(name)() for name in SCHEDULES]
    for name, variable, nominal in DETERMINISTIC:
        found = [order(*pathwise("mixture", schedule, name, variable)) for schedule in schedules]
        yield [name, "pathwise", variable, str(nominal), *(f"{slope:.2f}" for slope in found)]
    for name, variable, nominal, fewest in STOCHASTIC:
        weakly = [weak(schedule, name, variable, fewest) for schedule in schedules]
        for part, of in (("mean", 1), ("covariance", 2)):
            if name == HALF or part == "covariance":
                found = [order(measured[0], measured[of]) for measured in weakly]
                yield [name, f"weak ({part})", variable, str(nominal), *(f"{slope:.2f}" for slope in found)]


def likelihoods() -> Iterator[list[str]]:
    """A line for each law: the largest error in nats, and the evaluations it took."""
    laws = {
        "one Gaussian": GAUSSIAN,
        "three Gaussians": LAWS["mixture"],
        "three Gaussians, 10 % outliers": LAWS["contaminated"],
    }
    for name, law in laws.items():
        found = [likelihood_error(law, SCHEDULES.load(schedule)()) for schedule in SCHEDULES]
        yield [name, *(f"{error:.0e} ({evaluations})" for error, evaluations in found)]


def main() -> None:
    measured = markdown([["sampler", "error", "steps even in", "nominal", *SCHEDULES], *orders()])
    nats = markdown([["law", *SCHEDULES], *likelihoods()])
    PAGE.write_text(f"""# Orders of samplers, errors of likelihoods

Made by `python -m benchmarks.orders`, torch {torch.__version__}, float64.

Orders of convergence between σ/α = {HIGH:g} and {LOW:g}, on every schedule: the slope of the error over four halvings
of the step. The steps are even in t, in u = σ/α, in u², or in λ = -log u ("uneven λ": every second one twice as long).
Pathwise on three Gaussians, against DOP853 at 1e-12; weakly on a Gaussian, in closed form, where those that solve the
reverse SDE have no error in the mean at all. The adaptive solver has a tolerance instead.

{measured}

The largest error, in nats, of the log-density of 12 points at t_min by the probability-flow ODE with the exact
denoiser and the law itself as terminal law, at the default tolerance of 1e-8; in brackets the evaluations.

{nats}
""")


if __name__ == "__main__":
    main()
