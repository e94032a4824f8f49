"""Contaminated laws: exact mixtures, honest labels."""

from functools import partial

import pytest
import torch

from tests.conftest import ALL_LAWS
from toylab.contamination import Contaminated, compose, duplicates, inlier_noise, missing, none, outliers
from toylab.distributions import Box, Convolved, Embedded, GaussianMixture, Mixture
from toylab.distributions.guises import as_gaussians
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import CONTAMINATIONS, LAWS


@pytest.mark.parametrize("law_name", LAWS)
@pytest.mark.parametrize("name", CONTAMINATIONS)
def test_every_contamination_of_every_law_is_a_law(law_name: str, name: str, generator: torch.Generator):
    law = LAWS.load(law_name)()
    gaussian = isinstance(law, GaussianMixture) or (isinstance(law, Embedded) and isinstance(law.law, GaussianMixture))
    if name == "missing" and not gaussian:
        with pytest.raises(BadInput, match="a Gaussian mixture is needed"):
            CONTAMINATIONS.load(name)(law)
        return
    seen = CONTAMINATIONS.load(name)(law)
    assert seen.dim == law.dim
    x = seen.sample(20, generator)
    assert seen.score(x, 0.9, 0.4).isfinite().all()


def test_none_is_the_law_itself():
    law = three_gaussians()
    assert none(law) is law


def test_outliers_have_the_density_of_the_mixture(generator: torch.Generator):
    law = three_gaussians()
    seen, background = outliers(law, 0.1), Box([-6.0, -6.0], [6.0, 6.0])
    x = seen.sample(100, generator)
    expected = 0.9 * law.log_prob(x, 0.8, 0.6).exp() + 0.1 * background.log_prob(x, 0.8, 0.6).exp()
    torch.testing.assert_close(seen.log_prob(x, 0.8, 0.6).exp(), expected)


def test_labels_mark_what_is_contaminated(generator: torch.Generator):
    law = three_gaussians()
    x, contaminated = outliers(law, 0.1).sample_labelled(100_000, generator)
    share = contaminated.double().mean()
    assert abs(share - 0.1) < 4 * (0.09 / 100_000) ** 0.5
    assert (law.log_prob(x[~contaminated]) > -20).all()
    noisy, label = inlier_noise(law, 1.0, 0.5).sample_labelled(1000, generator)
    assert label.all()
    assert noisy.shape == (1000, 2)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_fractions_outside_0_to_1_are_refused(fraction: float):
    with pytest.raises(BadInput, match="between 0 and 1"):
        outliers(three_gaussians(), fraction)


def test_labels_of_a_composition_are_those_of_any_step(generator: torch.Generator):
    """0.2 noised, then 0.1 replaced: 1 - 0.8·0.9 are contaminated, and points follow the law's own density."""
    law = compose(three_gaussians(), partial(inlier_noise, fraction=0.2, std=1.0), partial(outliers, fraction=0.1))
    assert isinstance(law, Contaminated)
    x, label = law.sample_labelled(50_000, generator)
    assert abs(label.double().mean() - 0.28) < 4 * (0.28 * 0.72 / 50_000) ** 0.5
    terms = x.square().sum(-1)
    assert abs(terms.mean() - law.cov.trace() - law.mean.square().sum()) < 4 * terms.std() / 50_000**0.5


@pytest.mark.parametrize("name", [name for name, law in ALL_LAWS.items() if isinstance(law, Contaminated)])
def test_labelled_points_are_those_of_sample(name: str):
    """Compositions too: whoever is told labels sees the points that all others see."""
    law = ALL_LAWS[name]
    assert isinstance(law, Contaminated)
    points, labels = law.sample_labelled(200, torch.Generator().manual_seed(3))
    assert torch.equal(points, law.sample(200, torch.Generator().manual_seed(3)))
    assert (labels.shape, labels.dtype) == ((200,), torch.bool)


def test_missing_blocks_are_zero_and_the_rest_is_the_marginal(generator: torch.Generator):
    clean = GaussianMixture([[1.0, 2.0, 3.0]], cov=[[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]])
    law = missing(clean, 1.0, block=2)
    x = law.sample(20_000, generator)
    first, second = (x[:, :2] == 0).all(-1), x[:, 2] == 0
    assert (first ^ second).all()
    assert abs(first.double().mean() - 0.5) < 4 * 0.5 / 20_000**0.5
    point, s = torch.tensor([[0.3, -0.2, 2.5]], dtype=torch.float64), 0.6
    rest = [clean.mapped(torch.eye(3)[2:]), clean.mapped(torch.eye(3)[:2])]
    zero = [GaussianMixture([[0.0] * n], std=0.0) for n in (2, 1)]
    expected = 0.5 * (
        (rest[0].log_prob(point[:, 2:], 0.8, s) + zero[0].log_prob(point[:, :2], 0.8, s)).exp()
        + (rest[1].log_prob(point[:, :2], 0.8, s) + zero[1].log_prob(point[:, 2:], 0.8, s)).exp()
    )
    torch.testing.assert_close(law.log_prob(point, 0.8, s).exp(), expected)


def test_duplicates_are_few_and_the_same_every_time(generator: torch.Generator):
    laws = [duplicates(three_gaussians(), 0.5, points=3) for _ in range(2)]
    x, label = laws[0].sample_labelled(1000, generator)
    assert len(x[label].unique(dim=0)) == 3
    assert len(x[~label].unique(dim=0)) == int((~label).sum())
    assert torch.equal(laws[0].laws[1].means, laws[1].laws[1].means)  # type: ignore[attr-defined]


def test_gaussian_mixtures_in_another_guise():
    inner = GaussianMixture([[0.0, 1.0], [2.0, -1.0]], std=[[0.3, 1.0], [0.5, 0.2]], weights=[0.3, 0.7])
    plane = torch.linalg.qr(torch.arange(8.0, dtype=torch.float64).reshape(4, 2).sin()).Q
    low_rank = GaussianMixture.low_rank([[0.0, 0.0, 1.0, 2.0]], torch.ones(1, 4, 1), 0.2)
    law = Mixture([Convolved(Embedded(inner, plane, scale=2.0), 0.4), low_rank], [0.8, 0.2])
    x = 2 * torch.randn(50, 4, dtype=torch.float64)
    for method in ("log_prob", "score", "denoise"):
        torch.testing.assert_close(getattr(as_gaussians(law), method)(x, 0.8, 0.6), getattr(law, method)(x, 0.8, 0.6))


def test_missing_refuses_what_would_fill_the_memory():
    with pytest.raises(BadInput, match="too many"):
        missing(LAWS.load("gaussian")(dim=1000), 0.5)
    assert missing(LAWS.load("gaussian")(dim=1000), 0.5, block=100).dim == 1000
