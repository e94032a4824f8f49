"""Sources of batches."""

import torch

from toylab.data import Endless, Finite, batches
from toylab.distributions.named import three_gaussians


def test_finite_draws_its_points_once_and_repeats_them(generator: torch.Generator):
    source = Finite(three_gaussians(), 50, generator)
    assert (source.size, source.dim, source.shape) == (50, 2, (2,))
    points = {tuple(p) for p in source.points.tolist()}
    batch = source.batch(1000, generator)
    assert batch.dtype == torch.float32
    assert {tuple(p) for p in batch.tolist()} == points


def test_endless_never_repeats(generator: torch.Generator):
    source = Endless(three_gaussians())
    assert source.size is None
    seen = torch.cat([source.batch(500, generator) for _ in range(4)])
    assert len(seen.unique(dim=0)) == 2000


def test_a_members_batch_does_not_depend_on_the_others():
    sources = [Endless(three_gaussians())] * 3
    streams = [torch.Generator().manual_seed(k) for k in range(3)]
    together = batches(sources, 10, streams)
    alone = batches(sources[:1], 10, [torch.Generator().manual_seed(1)])
    assert torch.equal(together[1], alone[0])
