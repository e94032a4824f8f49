"""What stands in for a model: the exact denoiser of a law, or exact samples of one, the right law or another.

What a metric is given is drawn from one generator a replication, its arguments with that leading axis (M).
Denoisers are on one schedule, fields at one time, σ/α = 0.5.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from toylab import randomness
from toylab.calibration.line import Line
from toylab.denoisers import Exact
from toylab.distributions import Distribution
from toylab.samplers import ddim, prior
from toylab.schedules import DDPM

SCHEDULE = DDPM()
T = SCHEDULE.time(0.5)
ALPHA, SIGMA = (float(level) for level in SCHEDULE(T))

Streams = list[torch.Generator]
Given = Callable[[Streams], Mapping[str, Any]]


def as_law(law: Distribution | Line) -> Distribution:
    """A law of toylab."""
    return law.law if isinstance(law, Line) else law


def exact(law: Distribution | Line) -> Exact:
    """Its denoiser."""
    return Exact(as_law(law), SCHEDULE)


def drawn(law: Distribution | Line, n: int, generators: Streams) -> Tensor:
    """Samples (M, n, d)."""
    own = as_law(law)
    return torch.stack([own.sample(n, g) for g in generators])


def at_points(law: Distribution | Line, n: int, /, **known: Any) -> Given:
    """For a metric of a field: n points x_t of a law at time T."""

    def given(generators: Streams) -> Mapping[str, Any]:
        x0 = drawn(law, n, generators)
        return {"x_t": ALPHA * x0 + SIGMA * randomness.randn(x0.shape, generators, x0), "t": T, **known}

    return given


def drawing(given: Given) -> Given:
    """And the generators, for a metric that draws of its own."""
    return lambda generators: {**given(generators), "generators": generators}


def fresh(n: int, /, **known: Any) -> Given:
    """For a metric that draws its n points itself."""
    return lambda generators: {"size": n, "generators": generators, **known}


def walked(denoiser: Exact, n: int, nfe: int) -> Given:
    """For a metric of a flow: DDIM from n points of noise."""

    def given(generators: Streams) -> Mapping[str, Any]:
        like = torch.empty(0, dtype=torch.float64)
        noise = prior(denoiser.schedule, (len(generators), n, denoiser.law.dim), generators, like)
        return {"walk": ddim, "denoiser": denoiser, "noise": noise, "nfe": nfe}

    return given


def sampled(law: Distribution | Line, n: int, /, **known: Callable[[], Any]) -> Given:
    """For a metric of samples: n of a law, and what is known, made when it is needed."""
    return lambda generators: {
        "samples": drawn(law, n, generators), **{name: make() for name, make in known.items()},
    }  # fmt: skip


def compared(law: Distribution | Line, samples: Distribution | Line, size: int, groups: int, /, **known: Any) -> Given:
    """For a metric of groups: samples of one law held against another."""
    own = as_law(law)
    return lambda generators: {
        "samples": drawn(samples, size * groups, generators), "law": own, "size": size, "generators": generators,
        **known,
    }  # fmt: skip
