"""The objectives of our own do what their module says."""

import numpy as np
import pytest
import torch
from torch import Tensor

from toylab import randomness
from toylab.contamination import inlier_noise, outliers
from toylab.denoisers import Exact
from toylab.distributions import Embedded
from toylab.distributions.named import oblique_plane, two_gaussians
from toylab.objectives import robust_l2, robust_onesided
from toylab.perturbations import Random, Scene
from toylab.schedules import DDPM
from toylab.theory import grid_optimum


@pytest.mark.parametrize("x", [0.1, 1.6, 2.9])
def test_the_one_sided_optimum_is_a_mean_of_a_point_and_its_neighbours(x: float):
    """u (p + λ Kp) = p u* + λ K(pu), K by Gauss-Legendre quadrature over the uniform law of ω."""
    law, objective, schedule = outliers(two_gaussians(), 0.1), robust_onesided(), DDPM()
    t = schedule.time(1.0)
    alpha, sigma = (float(level) for level in schedule(t))
    found = grid_optimum(objective, law, alpha, sigma)
    r = float(objective.radius(torch.tensor([[alpha]]), torch.tensor([[sigma]]), None))
    lam = objective.lam * sigma  # s = σ in VP
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(400))

    def field(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """p, u and u* at y (n,)."""
        y = y[:, None]
        plain = y + sigma**2 * law.score(y, alpha, sigma)
        return law.log_prob(y, alpha, sigma).exp(), (y - sigma * found.eps(y))[:, 0], plain[:, 0]

    p, u, plain = (float(v) for v in field(torch.tensor([x], dtype=torch.float64)))
    p_around, u_around, _ = field(x + sigma * r * nodes)
    kp, kpu = (float(v @ weights) / 2 for v in (p_around, p_around * u_around))
    assert abs(u - plain) > 0.02
    assert abs(u - (p * plain + lam * kpu) / (p + lam * kp)) < 0.01 * abs(u - plain)


def test_pgd_in_l2_pushes_off_the_plane():
    """Around the contamination's noise the exact field moves most along the normal; a random ω has no preference."""
    law, schedule, streams = oblique_plane(), DDPM(), randomness.streams([0], "test")
    assert isinstance(law, Embedded)
    normal = torch.ones(3, dtype=torch.float64) / 3**0.5
    for ratio in (0.05, 0.2, 0.4):
        level = Exact(inlier_noise(law, 0.9, 0.2), schedule).at(torch.full((1, 500), schedule.time(ratio)).double())
        x0 = inlier_noise(law, 0.9, 0.2).sample(500, streams[0])[None]
        scene = Scene(level, x0, level.noised(x0, randomness.randn(x0.shape, streams, x0)))
        radius = robust_l2().radius(level.alpha, level.sigma, streams)
        shares = {}
        for name, direction in (("pgd", robust_l2().direction), ("random", Random("l2"))):
            omega = direction(scene, radius, streams)
            shares[name] = float(((omega @ normal).square() / omega.square().sum(-1)).mean())
        assert shares["pgd"] > 0.5
        assert shares["random"] == pytest.approx(1 / 3, abs=0.1)
