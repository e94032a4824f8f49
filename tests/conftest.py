"""Shared fixtures: seeded generators, and laws to run contracts over."""

import os

os.environ.setdefault("MPLBACKEND", "agg")
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: workers must not fight over the cores

import pytest
import torch

from toylab.contamination import inlier_noise, outliers
from toylab.distributions import Box, Convolved, Distribution, GaussianMixture, Mixture
from toylab.index import LAWS

FULL = GaussianMixture(
    [[0.0, 1.0], [1.5, -1.0]], cov=[[[1.0, 0.5], [0.5, 0.4]], [[0.2, 0.0], [0.0, 0.05]]], weights=[0.3, 0.7]
)
DIAGONAL = GaussianMixture([[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]], std=[[0.3, 1.0, 0.1], [0.5, 0.2, 0.7]])
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
}
ALL_LAWS = NAMED | BUILT


@pytest.fixture(autouse=True)
def seeded() -> None:
    """torch's default generator starts anew in every test."""
    torch.manual_seed(0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(params=ALL_LAWS)
def law(request: pytest.FixtureRequest) -> Distribution:
    return ALL_LAWS[request.param]
