"""Measuring a subject with every metric that applies to it.

A metric declares by its parameters' names what it is computed from (see toylab/metrics/__init__.py); whatever
a subject or the laws cannot provide leaves the metric out. All subjects are measured at the same points and
against the same exact samples, so that differences between methods are paired.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from toylab import randomness
from toylab.data import Finite, Source
from toylab.denoisers import Denoiser, Exact
from toylab.distributions import Distribution, SingularLaw
from toylab.index import METRICS
from toylab.ledger import CONTAMINATION, PRIOR_IN_NATS, eps_parts, metric_of, prior_in_nats
from toylab.metrics import Estimate
from toylab.metrics.flow import is_deterministic
from toylab.metrics.robustness import Modal, Region
from toylab.metrics.support import Subspace, is_thin
from toylab.results import Measurement
from toylab.samplers import Spacing, Walk, cost, evenly_in_t, prior
from toylab.schedules import Schedule

THEORY = "theory"
"""What results call the exact optimum of an objective, in the column `against`."""


class Subject(NamedTuple):
    """What is measured: samples (M, n, d), the denoiser they came from, if any, the evaluations of it that they took,
    the exact optimum of its objective, where that is asked for and known, the source of each member's training points,
    and its chain in the error ledger (toylab/ledger.py)."""

    name: str
    denoiser: Denoiser | None
    samples: Tensor
    sampler: str
    nfe: int
    optimum: Denoiser | None = None
    sources: Sequence[Source] = ()
    chain: Mapping[str, Denoiser] = {}


def times_between(schedule: Schedule, low: float, high: float, levels: int) -> list[float]:
    """The times of so many noise levels σ/α from low to high, evenly spaced in their logarithm; rounding leads to none
    beyond. Raises BadInput where the schedule does not span them."""
    ratios = torch.linspace(math.log(low), math.log(high), levels, dtype=torch.float64).exp().clamp(low, high)
    return [schedule.time(ratio) for ratio in ratios.tolist()]


@dataclass
class Bench:
    """The exact side of every comparison. contaminated is None where there is no contamination; metrics: names of the
    index; sampler, spacing: the study's, if flows are to be measured."""

    clean: Distribution
    contaminated: Distribution | None
    schedule: Schedule
    times: list[float]
    seeds: list[int]
    points: int
    pair: int
    device: torch.device
    metrics: Sequence[str] = tuple(METRICS)
    sampler: Walk | None = None
    spacing: Spacing = evenly_in_t
    _points: dict[tuple[str, float], Tensor] = field(default_factory=dict)

    @cached_property
    def laws(self) -> dict[str, Distribution]:
        """What a metric can be held against."""
        return {"clean": self.clean} | ({"contaminated": self.contaminated} if self.contaminated else {})

    @cached_property
    def region(self) -> Region | None:
        """The clean law's highest-density region, one for every seed and method; None without a density."""
        try:
            return _region(self.clean, self.device)
        except SingularLaw:
            return None

    @cached_property
    def support(self) -> Distribution | None:
        """The clean law, if there is anything outside its support."""
        return self.clean if is_thin(self.clean) else None

    @cached_property
    def subspace(self) -> Subspace | None:
        """The affine subspace that holds the clean law."""
        return Subspace.of(self.clean)

    @cached_property
    def noise(self) -> Tensor:
        """Noise (M, n, d) for the sampler to start from, as many points as at a noise level."""
        shape = (len(self.seeds), self.points, self.clean.dim)
        return prior(
            self.schedule, shape, self.streams("noise"), torch.empty(0, dtype=torch.float64, device=self.device)
        )

    @cached_property
    def walk(self) -> Walk | None:
        """The sampler, if it is deterministic, and its steps are given."""
        if self.sampler is None or cost(self.sampler) is None:
            return None
        deterministic = is_deterministic(self.sampler, Exact(self.clean, self.schedule), self.noise[:, :1])
        return self.sampler if deterministic else None

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


def prepare(bench: Bench) -> None:
    """Make what its metrics share and what takes long, before subjects are measured side by side."""
    if any({"region", "modal_region"} & {*_needs(METRICS.load(name))} for name in bench.metrics):
        _ = bench.region


@lru_cache(maxsize=4)
def _region(law: Distribution, device: torch.device) -> Region:
    """The region of a law, once for all the studies of a process that ask for it: it takes a million samples."""
    return Region(law, randomness.stream(0, "region", device))


def measure(subject: Subject, bench: Bench, of_samples: bool = False) -> Iterator[Measurement]:
    """Every metric of the bench that applies, against every law it can be held against.

    of_samples: those of samples alone, for samples that the subject drew in another way.
    """
    for name in bench.metrics:
        metric = METRICS.load(name)
        needs = _needs(metric)
        if of_samples and "samples" not in needs:
            continue
        for against in _references(needs, subject, bench):
            known = {need: give() for need, give in _provided(name, against, subject, bench).items() if need in needs}
            if any(value is None for value in known.values()):
                continue
            if "t" in needs:
                yield from _by_level(name, against, metric, known, subject, bench)
                continue
            how = {} if subject.denoiser is None else {"sampler": subject.sampler, "nfe": subject.nfe}
            estimate = metric(**known)
            yield from _rows(name, against, estimate, subject, bench, **how)
    if subject.chain and not of_samples:
        yield from _ledger(subject, bench)


def _ledger(subject: Subject, bench: Bench) -> Iterator[Measurement]:
    """The parts of its error in ε, at the points at which eps-mse is held against the clean law; the prior's in nats,
    at points of the law that was trained on."""
    found: dict[str, list[Estimate]] = {}
    for t in bench.times:
        for part, estimate in eps_parts(subject.chain, bench.points_at("clean", t), t).items():
            found.setdefault(part, []).append(estimate)
            yield from _rows(metric_of(part), "clean", estimate, subject, bench, t=t)
    for part, estimates in found.items():
        yield from _rows(metric_of(part), "clean", Estimate.average(estimates), subject, bench)
    law, last = "contaminated" if CONTAMINATION in subject.chain else "clean", bench.schedule.t_max
    nats = prior_in_nats(bench.laws[law], bench.schedule, bench.points_at(law, last))
    yield from _rows(PRIOR_IN_NATS, "clean", nats, subject, bench)


def _references(needs: list[str], subject: Subject, bench: Bench) -> list[str]:
    """What a metric is held against, one after the other."""
    if "law" not in needs and "reference" not in needs:
        return ["clean"]
    return [*bench.laws] + ([THEORY] if "reference" in needs and subject.optimum is not None else [])


def _needs(metric: Callable[..., Estimate]) -> list[str]:
    """The parameters a metric must be given, and those of the study where it has them."""
    parameters = inspect.signature(metric).parameters.values()
    return [p.name for p in parameters if p.default is p.empty or p.name in ("size", "spacing")]


def _provided(name: str, against: str, subject: Subject, bench: Bench) -> dict[str, Callable[[], Any]]:
    """What a metric can ask for, by parameter name, made when it does; None where it does not exist."""
    return {
        "samples": lambda: subject.samples,
        "training": lambda: _training_points(subject.sources, bench.device),
        "denoiser": lambda: subject.denoiser,
        "law": lambda: bench.laws.get(against),
        "reference": lambda: subject.optimum if against == THEORY else Exact(bench.laws[against], bench.schedule),
        "clean": lambda: bench.clean,
        "contaminated": lambda: bench.contaminated,
        "region": lambda: bench.region,
        "modal_region": lambda: bench.region if isinstance(bench.clean, Modal) else None,
        "support": lambda: bench.support,
        "subspace": lambda: bench.subspace,
        "walk": lambda: bench.walk,
        "noise": lambda: bench.noise,
        "nfe": lambda: subject.nfe,
        "spacing": lambda: bench.spacing,
        "generators": lambda: bench.streams(f"{name}/{against}"),
        "size": lambda: bench.pair,
    }


def _training_points(sources: Sequence[Source], device: torch.device) -> Tensor | None:
    """(M, N, d); None where they never repeat."""
    finite = [source.points.to(device) for source in sources if isinstance(source, Finite)]
    return torch.stack(finite) if finite else None


def _by_level(
    name: str, against: str, metric: Callable[..., Estimate], known: dict[str, Any], subject: Subject, bench: Bench
) -> Iterator[Measurement]:
    """One estimate a noise level, and their average over the levels, which are evenly spaced in log-SNR."""
    needs = _needs(metric)
    compared = against in bench.laws and ("law" in needs or "reference" in needs)
    points_of = against if compared else [*bench.laws][-1]  # the law that was trained on
    estimates = []
    for t in bench.times:
        estimates.append(metric(**known, x_t=bench.points_at(points_of, t), t=t))
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
