"""Members are independent models."""

import pytest
import torch

from toylab.networks import MLP, Affine


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("kind", [MLP, Affine])
def test_together_equals_one_by_one(kind):
    x, level = torch.randn(3, 7, 2), torch.randn(3, 7)
    together = kind(2, members=3, generators=generators(4, 5, 6))
    for member, seed in enumerate((4, 5, 6)):
        alone = kind(2, members=1, generators=generators(seed))
        for p, q in zip(alone.parameters(), together.parameters(), strict=True):
            assert torch.equal(p[0], q[member])
        torch.testing.assert_close(
            alone(x[member : member + 1], level[member : member + 1])[0], together(x, level)[member]
        )


def test_members_do_not_touch_each_other():
    network = MLP(2, members=2, generators=generators(0, 1))
    network(torch.randn(2, 5, 2), torch.randn(2, 5))[0].sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert (parameter.grad[0] != 0).any()
        assert (parameter.grad[1] == 0).all()


def test_the_noise_level_matters_to_the_mlp_and_not_to_the_affine_map():
    x = torch.randn(1, 5, 2)
    low, high = torch.full((1, 5), -3.0), torch.full((1, 5), 3.0)
    mlp, affine = MLP(2), Affine(2)
    assert not torch.allclose(mlp(x, low), mlp(x, high))
    assert torch.equal(affine(x, low), affine(x, high))


def test_fourier_features_see_what_is_finer_than_data():
    """Two points apart by the finest wave's half length differ by it alone where all else is cut off; without features
    the network is the same as before there were any."""
    x, level = torch.tensor([[[0.1, -0.4]]]), torch.zeros(1, 1)
    plain, fine = MLP(2, generators=generators(0)), MLP(2, fourier=5, generators=generators(0))
    assert plain.layers[0].weight.shape[1] == 2 + 1 + 8
    assert fine.layers[0].weight.shape[1] == 2 * (1 + 2 * 5) + 1 + 8
    with torch.no_grad():
        fine.layers[0].weight.zero_()
        fine.layers[0].weight[0, 3 + 8 + 4] = 1.0  # sin of the first coordinate at the finest octave
        for layer in list(fine.layers)[1:]:
            layer.weight[..., -1] = 0.0  # the gate
        fine.layers[-1].bias[..., -1] = 0.0
    wave = 16 / 2**4  # 2π over π/8 and its doubles
    moved, back = (fine(x + torch.tensor([shift, 0.0]), level) for shift in (wave / 2, wave))
    assert not torch.allclose(moved, fine(x, level), atol=1e-3)
    torch.testing.assert_close(back, fine(x, level), atol=1e-5, rtol=0)
    assert torch.equal(fine(x + torch.tensor([0.0, 0.3]), level), fine(x, level))
