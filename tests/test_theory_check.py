"""The experiment theory-check at its default size: networks find the optimum of what they are trained for."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.test_experiments import carry_out
from toylab.experiments.laboratory import Laboratory
from toylab.launch import configure
from toylab.runs import Run
from toylab.theory import GridSolution, grid_optimum

GAP = 0.15  # RMS of optimum minus contaminated score, from which on an objective's effect is called large

COMMITTED = Path(__file__).parents[1] / "figures" / "theory-check"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return carry_out("theory-check", tmp_path_factory.mktemp("runs"), "default")


def mse(run: Run, method: str, against: str) -> dict[tuple[str, str], float]:
    """(t, seed) -> the mean squared error of ε."""
    return {
        (row["t"], row["seed"]): float(row["value"])
        for row in run.rows
        if (row["method"], row["metric"], row["against"]) == (method, "eps-mse", against) and row["t"]
    }


def large(run: Run, method: str) -> Iterator[tuple[tuple[str, str], float, float]]:
    """Where the optimum is far from the contaminated score: there (t, seed), and a network's root mean squared
    distance to either."""
    bias, learning, plain = (
        mse(run, *which)
        for which in ((f"optimum-{method}", "contaminated"), (method, "theory"), (method, "contaminated"))
    )
    for there in bias:
        if math.sqrt(bias[there]) >= GAP:
            yield there, math.sqrt(learning[there]), math.sqrt(plain[there])


def adversarial(run: Run) -> dict[str, GridSolution]:
    """t -> what robust-adv is asked for there."""
    lab = Laboratory(configure("theory-check").settings, torch.device("cpu"))
    objective, found = lab.study.objectives["robust-adv"].build(), {}
    for t in {t for (t, _), *_ in large(run, "robust-adv")}:
        alpha, sigma = (float(part) for part in lab.schedule(float(t)))
        found[t] = grid_optimum(objective, lab.seen, alpha, sigma)
    return found


def field(run: Run, method: str, t: str, seed: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """x (n, 1) -> ε (n, 1) of a trained network."""
    denoiser = run.denoiser(method, int(seed))
    return lambda x: denoiser.at(torch.full((1, len(x)), float(t))).eps(x.float()[None])[0]


LEVELS = {"invariance": 6, "robust-ran": 10, "robust-adv": 8}
"""How many levels there are at least where an optimum is that far from plain denoising, for each seed."""


def assert_three_times_nearer(run: Run, method: str) -> None:
    """Than to plain denoising is every member to its own optimum, at every level where the two differ by GAP."""
    compared = [*large(run, method)]
    assert len(compared) >= LEVELS[method] * len(run.seeds)
    for there, learning, plain in compared:
        assert learning <= plain / 3, there


@pytest.mark.parametrize("method", LEVELS)
def test_committed_networks_are_three_times_nearer_to_their_optimum_too(method: str):
    assert_three_times_nearer(Run(COMMITTED), method)


@pytest.mark.slow
@pytest.mark.parametrize("method", LEVELS)
def test_networks_are_three_times_nearer_to_their_optimum_than_to_plain_denoising(run: Run, method: str):
    assert_three_times_nearer(run, method)


@pytest.mark.slow
def test_adversarial_ones_are_everywhere_near_the_optimum_for_the_pushes_they_draw_to_themselves(run: Run):
    """Which makes a field a stationary point of training. Plain denoising is none."""
    optima = adversarial(run)
    for (t, seed), _, plain in large(run, "robust-adv"):
        learned, untouched = (field(run, method, t, seed) for method in ("robust-adv", "ddpm"))
        assert optima[t].against(learned).distance(learned) <= plain / 3, (t, seed)
        assert optima[t].against(untouched).distance(untouched) > GAP / 2, (t, seed)
