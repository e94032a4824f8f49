"""Measuring a subject with every metric that applies to it.

A metric declares by its parameters' names what it is computed from (see toylab/metrics/__init__.py); whatever
a subject or the laws cannot provide leaves the metric out. All subjects are measured at the same points and
against the same exact samples, so that differences between methods are paired.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from toylab import randomness
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution, SingularLaw
from toylab.index import METRICS
from toylab.metrics import Estimate
from toylab.metrics.robustness import Modal, Region
from toylab.results import Measurement
from toylab.schedules import Schedule

THEORY = "theory"
"""What results call the exact optimum of an objective, in the column `against`."""


class Subject(NamedTuple):
    """What is measured: samples (M, n, d), the denoiser they came from, if any, the evaluations of it that they took,
    and the exact optimum of its objective, where that is asked for and known."""

    name: str
    denoiser: Denoiser | None
    samples: Tensor
    sampler: str
    nfe: int
    optimum: Denoiser | None = None


@dataclass
class Bench:
    """The exact side of every comparison. contaminated is None where there is no contamination."""

    clean: Distribution
    contaminated: Distribution | None
    schedule: Schedule
    times: list[float]
    seeds: list[int]
    points: int
    pair: int
    device: torch.device
    _points: dict[tuple[str, float], Tensor] = field(default_factory=dict)

    @cached_property
    def laws(self) -> dict[str, Distribution]:
        """What a metric can be held against."""
        return {"clean": self.clean} | ({"contaminated": self.contaminated} if self.contaminated else {})

    @cached_property
    def region(self) -> Region | None:
        """The clean law's highest-density region, one for every seed and method; None without a density."""
        try:
            return Region(self.clean, randomness.stream(0, "region", self.device))
        except SingularLaw:
            return None

    def streams(self, purpose: str) -> list[torch.Generator]:
        """One generator a seed, of the evaluation stream."""
        return randomness.streams(self.seeds, f"evaluation/{purpose}", self.device)

    def points_at(self, against: str, t: float) -> Tensor:
        """x_t (M, n, d) of a law at time t, float64, drawn once."""
        if (against, t) not in self._points:
            alpha, sigma = self.schedule(t)
            generators = self.streams(f"{against}/{t}")
            x0 = torch.stack([self.laws[against].sample(self.points, g) for g in generators])
            self._points[against, t] = alpha * x0 + sigma * randomness.randn(x0.shape, generators, x0)
        return self._points[against, t]


def measure(subject: Subject, bench: Bench) -> Iterator[Measurement]:
    """Every metric of the index that applies, against every law it can be held against."""
    for name in METRICS:
        metric = METRICS.load(name)
        needs = _needs(metric)
        for against in _references(needs, subject, bench):
            known = _provided(name, against, subject, bench)
            if any(known.get(need, ...) is None for need in needs):
                continue
            if "t" in needs:
                yield from _by_level(name, against, metric, known, subject, bench)
                continue
            how = {} if subject.denoiser is None else {"sampler": subject.sampler, "nfe": subject.nfe}
            estimate = metric(**{need: known[need] for need in needs})
            yield from _rows(name, against, estimate, subject, bench, **how)


def _references(needs: list[str], subject: Subject, bench: Bench) -> list[str]:
    """What a metric is held against, one after the other."""
    if "law" not in needs and "reference" not in needs:
        return ["clean"]
    return [*bench.laws] + ([THEORY] if "reference" in needs and subject.optimum is not None else [])


def _needs(metric: Callable[..., Estimate]) -> list[str]:
    """The parameters a metric must be given, and `size`."""
    parameters = inspect.signature(metric).parameters.values()
    return [p.name for p in parameters if p.default is p.empty or p.name == "size"]


def _provided(name: str, against: str, subject: Subject, bench: Bench) -> dict[str, Any]:
    """What a metric can ask for, by parameter name; None where it does not exist."""
    return {
        "samples": subject.samples,
        "denoiser": subject.denoiser,
        "law": bench.laws.get(against),
        "reference": subject.optimum if against == THEORY else Exact(bench.laws[against], bench.schedule),
        "clean": bench.clean,
        "contaminated": bench.contaminated,
        "region": bench.region,
        "modal_region": bench.region if isinstance(bench.clean, Modal) else None,
        "generators": bench.streams(f"{name}/{against}"),
        "size": bench.pair,
    }


def _by_level(
    name: str, against: str, metric: Callable[..., Estimate], known: dict[str, Any], subject: Subject, bench: Bench
) -> Iterator[Measurement]:
    """One estimate a noise level, and their average over the levels, which are evenly spaced in log-SNR."""
    needs = _needs(metric)
    compared = against in bench.laws and ("law" in needs or "reference" in needs)
    points_of = against if compared else [*bench.laws][-1]  # the law that was trained on
    estimates = []
    for t in bench.times:
        values = known | {"x_t": bench.points_at(points_of, t), "t": t}
        estimates.append(metric(**{need: values[need] for need in needs}))
        yield from _rows(name, against, estimates[-1], subject, bench, t=t)
    yield from _rows(name, against, Estimate.average(estimates), subject, bench)


def _rows(
    name: str, against: str, estimate: Estimate, subject: Subject, bench: Bench, **where: Any
) -> Iterator[Measurement]:
    for member, seed in enumerate(bench.seeds):
        value, stderr = estimate.value[member], estimate.stderr[member]
        if value.ndim == 0:
            yield Measurement(subject.name, seed, name, against, float(value), float(stderr), **where)
            continue
        for part, (v, e) in enumerate(zip(value.tolist(), stderr.tolist(), strict=True), start=1):
            yield Measurement(subject.name, seed, f"{name}-{part}", against, v, e, **where)
