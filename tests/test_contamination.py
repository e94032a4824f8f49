"""Contaminated laws: exact mixtures, honest labels."""

import pytest
import torch

from toylab.contamination import inlier_noise, none, outliers
from toylab.distributions import Box, GaussianMixture
from toylab.distributions.named import three_gaussians
from toylab.errors import BadInput
from toylab.index import CONTAMINATIONS, LAWS


@pytest.mark.parametrize("law_name", LAWS)
@pytest.mark.parametrize("name", CONTAMINATIONS)
def test_every_contamination_of_every_law_is_a_law(law_name: str, name: str, generator: torch.Generator):
    law = LAWS.load(law_name)()
    if name == "missing" and not isinstance(law, GaussianMixture):
        with pytest.raises(BadInput, match="Gaussian mixtures only"):
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
