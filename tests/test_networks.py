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
