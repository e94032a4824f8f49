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
        return cls(terms.mean(-1), _std(terms) / terms.shape[-1] ** 0.5)

    @classmethod
    def of_ratio(cls, numerator: Tensor, denominator: Tensor) -> Self:
        """mean(numerator)/mean(denominator) over the last axis; standard error by the jackknife.

        Left out, term i changes the ratio r by (a_i - r b_i)/(Σ b - b_i). Where few large b_i carry the sum, the delta
        method, which divides by Σ b, is too small by up to a third. (Efron and Stein 1981, Annals of Statistics 9.)
        """
        n, total = denominator.shape[-1], denominator.sum(-1, keepdim=True)
        ratio = numerator.sum(-1, keepdim=True) / total
        change = (numerator - ratio * denominator) / (total - denominator)
        return cls(ratio[..., 0], _std(change) * (n - 1) / n**0.5)

    @classmethod
    def of_share(cls, hits: Tensor, among: Tensor | None = None) -> Self:
        """The share of hits, bool or from 0 to 1, over the last axis; standard error as if of two hits and two misses
        more.

        So one that is 0 or 1 among n points is not taken for certain: the interval of a rare event then holds from 5
        expected hits on, and is too wide below 3. (After Agresti and Coull 1998, American Statistician 52.) among: the
        points that count, bool, all by default; the others have no hits. NaN where there are none.
        """
        hits = hits.double()
        n = hits.shape[-1] if among is None else among.double().sum(-1)
        count, halves = hits.sum(-1), (hits * (1 - hits)).sum(-1)  # halves: 0 where every hit is whole
        likely = (count + 2) / (n + 4)
        value = count / n
        spread = likely * (1 - likely) - halves / (n + 4)
        return cls(value, torch.where(value.isnan(), torch.nan, (spread / n).sqrt()))

    @classmethod
    def of_gap(cls, first: Tensor, second: Tensor) -> Self:
        """The difference of two shares over the same things, hits (of one draw, or means of several) over the last
        axis; standard error as if of half a pair more for each of the four outcomes of a pair.

        (After Agresti and Min 2005, Statistics in Medicine 24.)
        """
        gap, n = first.double() - second.double(), first.shape[-1]
        clear = gap.square().sum(-1) + 1
        return cls(gap.mean(-1), (clear - gap.sum(-1).square() / (n + 2)).sqrt() / (n + 2))

    def scaled(self, factor: Tensor | float) -> Self:
        """Times a factor taken as known."""
        return type(self)(self.value * factor, self.stderr * factor)

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


def _std(terms: Tensor) -> Tensor:
    """Over the last axis; NaN for a single term."""
    return terms.std(-1) if terms.shape[-1] > 1 else torch.full_like(terms[..., 0], torch.nan)
