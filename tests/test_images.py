"""Laws fitted to images: what EM found is the law, in the subspace that carries most of the variance."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from toylab.distributions import GaussianMixture, SubspaceMixture
from toylab.distributions.images import digits
from toylab.errors import BadInput

IMAGES = torch.from_numpy(load_digits().data) / 8 - 1


def test_one_component_is_the_gaussian_of_the_principal_subspace():
    law = SubspaceMixture.fit(IMAGES, rank=5, components=1)
    pca = PCA(5, svd_solver="full").fit(IMAGES.numpy())
    torch.testing.assert_close(law.mean, IMAGES.mean(0))
    expected = torch.from_numpy((pca.components_.T * pca.explained_variance_) @ pca.components_)
    ridge = 1e-3 * expected.trace() / 5  # EM's floor
    assert (torch.linalg.matrix_norm(law.cov - expected, 2) <= 1.01 * ridge + 1e-3 * expected.norm()).all()


def test_projection_and_distance_are_those_of_pca():
    law, pca = digits(), PCA(24, svd_solver="full").fit(IMAGES.numpy())
    projected = torch.from_numpy(pca.inverse_transform(pca.transform(IMAGES.numpy())))
    torch.testing.assert_close(law.project(IMAGES), projected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(law.distance(IMAGES), (IMAGES - projected).norm(dim=-1))
    samples = law.sample(50)
    torch.testing.assert_close(law.project(samples), samples)


def test_the_law_has_the_moments_of_the_images():
    law = digits()
    torch.testing.assert_close(law.mean, IMAGES.mean(0), atol=1e-3, rtol=0.0)
    share = float(law.cov.trace() / IMAGES.T.cov().trace())
    assert 0.9 < share < 1.0  # what 24 of 64 components carry


def test_fitting_recovers_a_known_mixture(generator: torch.Generator):
    truth = GaussianMixture([[-3.0, 0.0], [3.0, 1.0]], std=[[0.5, 0.2], [0.3, 0.6]], weights=[0.25, 0.75])
    plane = torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64, generator=generator)).Q
    law = SubspaceMixture.fit(truth.sample(20_000, generator) @ plane.mT + 1.0, rank=2, components=2)
    order = law.law.weights.argsort()
    torch.testing.assert_close(law.law.weights[order], truth.weights, atol=0.015, rtol=0.0)
    centres = law._outwards(law.law.means[order])
    torch.testing.assert_close(centres, truth.means @ plane.mT + 1.0, atol=0.03, rtol=0.0)


@pytest.mark.parametrize(
    ("images", "rank", "components", "message"),
    [
        (IMAGES[0], 2, 1, "of shape"),
        (IMAGES * float("nan"), 2, 1, "finite"),
        (IMAGES, 62, 1, "rank must be between 1 and 61"),
        (IMAGES, 0, 1, "rank must be"),
        (IMAGES[:10], 2, 6, "components must be between 1 and 5"),
        (torch.ones(10, 4), 1, 1, "between 1 and 0"),
    ],
)
def test_bad_fits(images: torch.Tensor, rank: int, components: int, message: str):
    with pytest.raises(BadInput, match=message):
        SubspaceMixture.fit(images, rank, components)
