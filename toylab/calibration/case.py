"""A case: a metric where the answer is known, measured again and again.

A metric's interval value ± q·stderr promises to hold the true value in 95 % of all measurements. So a case measures
many times over, every time with fresh samples, and counts. q is 1.96, or Student's quantile where the standard error
comes from a few groups. The count is binomial, so that a promise that is kept gives a share of replications within

    0.95 ± 3.5 √(0.95 · 0.05/R)

for all but one in two thousand cases. Replication r has the seed r: nothing is chosen.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from toylab import randomness
from toylab.calibration.standins import Given, Streams
from toylab.index import METRICS
from toylab.metrics import Estimate
from toylab.statistics import LEVEL, student

SIGMAS = 3.5
"""Half the width of the band, in binomial standard errors."""

BIASED = 4.0
"""Beyond so many standard errors of the mean of all values there is a bias."""

_BATCH = 100  # replications measured side by side
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Case:
    """metric: its name in the index; model: what stands in for one, in words; truth: the value that the metric
    estimates, exact, and `known`: by what; points: what one group holds.

    given: from one generator a replication, what the metric is computed from, with that leading axis.
    groups: how many the standard error comes from, 1 where it comes from points.
    part: which entry of a metric of several. floor: truth is of the value minus that of another such measurement.
    below: for a metric without an interval, which is then a bound from below: the largest relative distance to the
    truth; a replication counts where it lies within, and all of them have to.
    """

    metric: str
    model: str
    truth: Callable[[], float]
    known: str
    points: int
    given: Given
    groups: int = 1
    part: int | None = None
    floor: bool = False
    below: float | None = None

    @property
    def quantile(self) -> float:
        """Half the width of the interval, in standard errors."""
        if self.groups == 1:
            return student(10**9)
        return student(2 * self.groups - 1 if self.floor else self.groups)

    def replicate(self, seeds: Sequence[int]) -> Estimate:
        """One measurement a seed, (M,)."""
        generators = randomness.streams(seeds, f"calibration/{self.metric}/{self.model}")
        estimate = self._measured(generators)
        if self.floor:
            floor = self._measured(generators)
            estimate = Estimate(estimate.value - floor.value, torch.hypot(estimate.stderr, floor.stderr))
        return estimate

    def _measured(self, generators: Streams) -> Estimate:
        found: Estimate = METRICS.load(self.metric)(**self.given(generators))
        return found if self.part is None else Estimate(*(both[..., self.part] for both in found))

    def covers(self, estimate: Estimate, truth: float) -> Tensor:
        """In which replications the truth is where the metric says, (M,); nowhere for what is not finite."""
        value, stderr = estimate
        if self.below is None:
            return (value - truth).abs() <= self.quantile * stderr
        scale = abs(truth)
        return (value >= truth - self.below * scale) & (value <= truth + _ROUNDING * scale)


class Outcome(NamedTuple):
    """What became of a case. z: the mean of the values minus the truth, in standard errors of that mean: standard
    normal for a metric without bias. NaN for a metric without an interval."""

    case: Case
    truth: float
    replications: int
    z: float
    coverage: float

    @classmethod
    def of(cls, case: Case, estimates: Sequence[Estimate]) -> Self:
        """From the measurements, in any number of pieces."""
        together, truth = Estimate(*(torch.cat(parts) for parts in zip(*estimates, strict=True))), case.truth()
        count = len(together.value)
        z = (together.value.mean() - truth) / together.value.std() * count**0.5
        coverage = float(case.covers(together, truth).double().mean())
        return cls(case, truth, count, float(z) if case.below is None else math.nan, coverage)

    @property
    def band(self) -> tuple[float, float]:
        """Between what the coverage has to lie."""
        if self.case.below is not None:
            return 1.0, 1.0
        half = SIGMAS * math.sqrt(LEVEL * (1 - LEVEL) / self.replications)
        return LEVEL - half, min(1.0, LEVEL + half)

    @property
    def holds(self) -> bool:
        """Whether it does."""
        low, high = self.band
        return low <= self.coverage <= high

    @property
    def biased(self) -> bool:
        """Whether the mean of all values is not the truth."""
        return abs(self.z) > BIASED


class Progress(NamedTuple):
    """How far a calibration is, in replications, and the outcome of the case that has just been finished."""

    label: str
    done: int
    total: int
    outcome: Outcome | None = None


def calibrate(cases: Sequence[Case], replications: int = 1000) -> Iterator[Progress]:
    """Measure the cases one after the other, with the seeds 0 to replications - 1."""
    total = len(cases) * replications
    for i, case in enumerate(cases):
        found = []
        for start in range(0, replications, _BATCH):
            yield Progress(case.metric, i * replications + start, total)
            found.append(case.replicate(range(start, min(start + _BATCH, replications))))
        yield Progress(case.metric, (i + 1) * replications, total, Outcome.of(case, found))
