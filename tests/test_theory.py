"""The closed forms: against a numerical minimiser, and against training."""

import numpy as np
import pytest
import scipy.optimize
import torch

from toylab.data import Endless
from toylab.denoisers import Learned
from toylab.distributions import GaussianMixture
from toylab.networks import Affine
from toylab.objectives import Denoising, invariance, robust_adv, robust_ran
from toylab.perturbations import Radius
from toylab.schedules import VPLinear
from toylab.theory import gaussian_optimum
from toylab.training import Trainer, Training

COV = np.array([[0.8, 0.3, 0.0], [0.3, 0.5, -0.1], [0.0, -0.1, 0.04]])
LAW = GaussianMixture([[0.5, -1.0, 0.2]], cov=torch.from_numpy(COV))
FLAT = Radius(1.0, 0.0, 0.0, random=False)
LAM = 0.7
RAN, INV = robust_ran(LAM, FLAT), invariance(LAM, FLAT, direction="random")


def test_denoising_optimum_is_the_exact_score():
    x = torch.randn(10, 3, dtype=torch.float64)
    matrix, bias = gaussian_optimum(Denoising(), LAW, 0.8, 0.6)
    torch.testing.assert_close(x @ matrix.T + bias, -0.6 * LAW.score(x, 0.8, 0.6))


def test_equivariant_optimum_is_the_score_of_the_shrunken_law():
    """ε of N(μ, Σ/(1 + λs)), s = r²/3."""
    x = torch.randn(10, 3, dtype=torch.float64)
    shrunken = GaussianMixture(LAW.means, cov=LAW.cov / (1 + LAM / 3))
    matrix, bias = gaussian_optimum(RAN, LAW, 0.8, 0.6)
    torch.testing.assert_close(x @ matrix.T + bias, -0.6 * shrunken.score(x, 0.8, 0.6))


@pytest.mark.parametrize("objective", [Denoising(), RAN, INV])
def test_optimum_minimises_the_expected_loss(objective):
    """The expected loss of an affine model is a quadratic in (A, b); scipy minimises it without our formula."""
    alpha, sigma = 0.8, 0.6
    mean = alpha * LAW.mean.numpy()
    p = alpha**2 * COV + sigma**2 * np.eye(3)
    lam = 0.0 if objective == Denoising() else LAM
    target = np.zeros((3, 3)) if objective == INV else np.eye(3)

    def expected_loss(theta: np.ndarray) -> float:
        a, b = theta[:9].reshape(3, 3), theta[9:]
        gap = sigma * a - target
        offset = a @ mean + b
        return np.trace(a @ p @ a.T) + offset @ offset - 2 * sigma * np.trace(a) + lam / 3 * np.trace(gap @ gap.T)

    found = scipy.optimize.minimize(expected_loss, np.zeros(12), method="BFGS", options={"gtol": 1e-10}).x
    matrix, bias = gaussian_optimum(objective, LAW, alpha, sigma)
    np.testing.assert_allclose(found[:9].reshape(3, 3), matrix.numpy(), atol=1e-6)
    np.testing.assert_allclose(found[9:], bias.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "objective", [RAN, INV, robust_ran(LAM, Radius(3.0, 1.0, 0.1))], ids=["ran", "inv", "random-radius"]
)
def test_trained_affine_models_reach_the_optimum(objective):
    """Every member within 1 % (Frobenius norm), trained by the ordinary loop on endless data."""
    schedule, seeds = VPLinear(), [0, 1]
    t = schedule.time(0.75)
    alpha, sigma = (float(level) for level in schedule(t))
    network = Affine(3, len(seeds), [torch.Generator().manual_seed(seed) for seed in seeds])
    settings = Training(steps=1500, batch=2048, lr=0.02, ema=0.99, clip=100.0)
    trainer = Trainer(Learned(network, schedule), [Endless(LAW)] * 2, objective, settings, seeds, span=(t, t))
    for _ in trainer:
        pass
    matrix, bias = gaussian_optimum(objective, LAW, alpha, sigma)
    trained = trainer.ema.network.linear
    for member in range(2):
        learned = trained.weight[member].T.double()
        assert (learned - matrix).norm() < 0.01 * matrix.norm()
        assert (trained.bias[member, 0].double() - bias).norm() < 0.01 * bias.norm()
    plain, _ = gaussian_optimum(Denoising(), LAW, alpha, sigma)
    assert (matrix - plain).norm() > 0.02 * matrix.norm()  # so that reaching it says something


def test_what_has_no_closed_form_is_refused():
    with pytest.raises(ValueError, match="no closed form"):
        gaussian_optimum(robust_adv(), LAW, 0.8, 0.6)
    with pytest.raises(ValueError, match="one Gaussian"):
        gaussian_optimum(Denoising(), GaussianMixture([[0.0], [1.0]], std=1.0), 0.8, 0.6)
