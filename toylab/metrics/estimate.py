"""An estimate: a value with its standard error."""

from typing import NamedTuple, Self

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """value and stderr, tensors of one shape, float64; (M,) with members, (M, K) for K parts."""

    value: Tensor
    stderr: Tensor

    @classmethod
    def of_mean(cls, terms: Tensor) -> Self:
        """The mean over the last axis, with its standard error; that of a single term is NaN."""
        n = terms.shape[-1]
        spread = terms.std(-1) if n > 1 else torch.full_like(terms[..., 0], torch.nan)
        return cls(terms.mean(-1), spread / n**0.5)

    @classmethod
    def of_ratio(cls, numerator: Tensor, denominator: Tensor) -> Self:
        """mean(numerator)/mean(denominator) over the last axis; standard error by the delta method."""
        scale = denominator.mean(-1)
        ratio = numerator.mean(-1) / scale
        residual = numerator - ratio[..., None] * denominator
        return cls(ratio, residual.std(-1) / (scale.abs() * residual.shape[-1] ** 0.5))

    def root(self) -> Self:
        """The square root; standard error by the delta method. That of a 0 known exactly is 0."""
        value = self.value.sqrt()
        return type(self)(value, torch.where(self.stderr == 0, 0.0, self.stderr / (2 * value)))

    @classmethod
    def average(cls, estimates: list[Self]) -> Self:
        """The mean of independent estimates."""
        values = torch.stack([e.value for e in estimates])
        errors = torch.stack([e.stderr for e in estimates])
        return cls(values.mean(0), errors.square().sum(0).sqrt() / len(estimates))
