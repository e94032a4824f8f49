"""What attacks did, against closed forms, and the comparison with the exact denoiser."""

import math

import pytest
import scipy.stats
import torch

from tests.test_attacks import NFE, noise, streams
from toylab.attacks import Random, Threat, Victim, displacement
from toylab.contamination import outliers
from toylab.denoisers import Exact
from toylab.distributions import GaussianMixture, Sphere
from toylab.distributions.named import three_gaussians
from toylab.metrics.damage import Comparison, Yardstick
from toylab.metrics.robustness import Region
from toylab.samplers import ddpm
from toylab.schedules import DDPM

CLEAN = three_gaussians()
SEEN = Exact(outliers(CLEAN, 0.1), DDPM())


@pytest.fixture(scope="module")
def yardstick() -> Yardstick:
    return Yardstick(CLEAN, Region(CLEAN, torch.Generator().manual_seed(0), n=100_000))


def test_the_measures_of_known_ends():
    """On N(0, s²I): by scipy's density, and the radius of its 99.9 % region."""
    law = GaussianMixture([[0.0, 0.0]], std=0.5)
    yardstick = Yardstick(law, Region(law, torch.Generator().manual_seed(0), n=100_000))
    radius = 0.5 * math.sqrt(-2 * math.log(0.001))
    before = torch.tensor([[[0.0, 0.0], [0.3, 0.4]]], dtype=torch.float64)
    after = torch.tensor([[[0.0, 0.97 * radius], [0.0, 1.03 * radius]]], dtype=torch.float64)
    found = yardstick.between(after, before)
    density = scipy.stats.multivariate_normal(mean=[0.0, 0.0], cov=0.25)
    drop = torch.from_numpy(density.logpdf(before.numpy()) - density.logpdf(after.numpy()))[None]
    torch.testing.assert_close(found["log-density-drop"], drop)
    torch.testing.assert_close(found["displacement"][0, 0], torch.tensor(0.97 * radius, dtype=torch.float64))
    assert found["outlier-mass"].tolist() == [[0.0, 1.0]]


def test_without_a_density_the_distance_stands_for_it():
    before, after = (torch.tensor([[[r, 0.0]]], dtype=torch.float64) for r in (1.2, 0.3))
    found = Yardstick(Sphere(2), None).between(after, before)
    assert found.keys() == {"displacement", "distance-gain"}
    assert float(found["distance-gain"]) == pytest.approx(0.7 - 0.2)


def test_damage_is_averaged_over_fresh_noises(yardstick: Yardstick):
    """Ancestral sampling of a Gaussian: pushes move every path alike; of a mixture, the mean over draws is that over
    many single ones, within 4 standard errors."""
    x = noise(1, 100)
    threat = Threat(0.3, "linf", "every")
    on = Victim(ddpm, SEEN, x, NFE)
    omega = Random()(on, threat, displacement(), streams(1))
    one, many = (Yardstick(CLEAN, yardstick.region, n).damage(on, threat, omega, streams(1, "judge")) for n in (1, 12))
    gap = (one["displacement"] - many["displacement"])[0]
    assert not torch.equal(one["displacement"], many["displacement"])
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / 10
    assert float(many["outlier-mass"].frac().abs().max()) > 0  # shares of draws, no longer 0 or 1
    assert float(one["outlier-mass"].frac().abs().max()) == 0


def test_pairs_narrow_the_excess():
    """Where model and exact move together, the error of the difference is far below that of either."""
    common = torch.randn(1, 1000, dtype=torch.float64)
    found = Comparison.of(common + 0.1, common + 0.01 * torch.randn(1, 1000, dtype=torch.float64))
    assert float(found.excess.stderr) < 0.05 * float(found.model.stderr)
    assert abs(float(found.excess.value) - 0.1) < 4 * float(found.excess.stderr)


def test_shares_that_are_nothing_are_not_certain():
    nothing = torch.zeros(1, 500, dtype=torch.float64)
    found = Comparison.of(nothing, nothing, "outlier-mass")
    assert [float(part.value) for part in found] == [0, 0, 0]
    assert all(0.001 < float(part.stderr) < 0.005 for part in found)
