"""Sources of training batches."""

from collections.abc import Sequence
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from toylab.contamination import Contaminated
from toylab.distributions import Distribution
from toylab.errors import BadInput


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


@runtime_checkable
class Labelled(Source, Protocol):
    """A source that can also say which points are contaminated, for oracles."""

    def labelled_batch(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The n points that `batch` draws from this generator (n, dim), and which are contaminated (n,) bool."""
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
        self.points = self._drawn(law, n, generator).to(device=device, dtype=dtype)
        self.dim = law.dim
        self.shape: tuple[int, ...] = (law.dim,)
        self.size: int | None = n
        self.device = self.points.device

    def batch(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.points[self._index(n, generator)]

    def _drawn(self, law: Distribution, n: int, generator: torch.Generator | None) -> Tensor:
        return law.sample(n, generator)

    def _index(self, n: int, generator: torch.Generator | None) -> Tensor:
        return torch.randint(len(self.points), (n,), device=self.points.device, generator=generator)


class LabelledFinite(Finite):
    """A Finite training set, the same points and batches, that knows which are contaminated. Raises BadInput for a law
    that cannot tell."""

    @cached_property
    def noisy(self) -> Tensor:
        """Which points are contaminated (n,) bool."""
        return self._labels.to(self.device)

    def _drawn(self, law: Distribution, n: int, generator: torch.Generator | None) -> Tensor:
        points, self._labels = _contaminated(law).sample_labelled(n, generator)
        return points

    def labelled_batch(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        index = self._index(n, generator)
        return self.points[index], self.noisy[index]


class Endless:
    """Fresh points of a law in every batch: training without a finite training set's share of the error."""

    def __init__(self, law: Distribution, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"):
        self.law, self.dtype, self.dim = law, dtype, law.dim
        self.shape: tuple[int, ...] = (law.dim,)
        self.size: int | None = None
        self.device = torch.device(device)

    def batch(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.law.sample(n, generator).to(self.dtype)


class LabelledEndless(Endless):
    """An Endless source, the same points, that knows which are contaminated. Raises BadInput for a law that cannot
    tell."""

    def __init__(self, law: Distribution, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"):
        super().__init__(law, dtype, device)
        self._labelling = _contaminated(law)

    def labelled_batch(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        points, noisy = self._labelling.sample_labelled(n, generator)
        return points.to(self.dtype), noisy


def _contaminated(law: Distribution) -> Contaminated:
    if not isinstance(law, Contaminated):
        raise BadInput(f"labels are those of a contaminated law, not of {type(law).__name__}")
    return law


def batches(sources: Sequence[Source], n: int, generators: Sequence[torch.Generator]) -> Tensor:
    """One batch a member, each from its own source and stream: (M, n, dim)."""
    return torch.stack([s.batch(n, g) for s, g in zip(sources, generators, strict=True)])


def labelled_batches(
    sources: Sequence[Labelled], n: int, generators: Sequence[torch.Generator]
) -> tuple[Tensor, Tensor]:
    """The same points as `batches`, and which are contaminated (M, n) bool."""
    drawn = [s.labelled_batch(n, g) for s, g in zip(sources, generators, strict=True)]
    return torch.stack([points for points, _ in drawn]), torch.stack([noisy for _, noisy in drawn])
