"""Sources of training batches."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from toylab.distributions import Distribution


class Source(Protocol):
    """Where batches come from. size: how many points there are, None where they never repeat; device: where
    batches, and the generators that draw them, are."""

    dim: int
    shape: tuple[int, ...]
    size: int | None
    device: torch.device

    def batch(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n points, (n, dim)."""
        ...


class Finite:
    """A training set of n points, drawn once from a law on the generator's device and kept on `device`; batches
    are drawn from it with replacement."""

    def __init__(
        self,
        law: Distribution,
        n: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ):
        self.points = law.sample(n, generator).to(device=device, dtype=dtype)
        self.dim = law.dim
        self.shape: tuple[int, ...] = (law.dim,)
        self.size: int | None = n
        self.device = self.points.device

    def batch(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        index = torch.randint(len(self.points), (n,), device=self.points.device, generator=generator)
        return self.points[index]


class Endless:
    """Fresh points of a law in every batch: training without a finite training set's share of the error."""

    def __init__(self, law: Distribution, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"):
        self.law, self.dtype, self.dim = law, dtype, law.dim
        self.shape: tuple[int, ...] = (law.dim,)
        self.size: int | None = None
        self.device = torch.device(device)

    def batch(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.law.sample(n, generator).to(self.dtype)


def batches(sources: Sequence[Source], n: int, generators: Sequence[torch.Generator]) -> Tensor:
    """One batch a member, each from its own source and stream: (M, n, dim)."""
    return torch.stack([s.batch(n, g) for s, g in zip(sources, generators, strict=True)])
