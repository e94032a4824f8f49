"""Wasserstein distances between samples and a law, with their floor.

Two finite samples of one law are never at distance zero, so a distance is read beside its *floor*: the same
metric between two fresh exact samples of the same size.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from toylab.distributions import Distribution
from toylab.metrics.estimate import Estimate
from toylab.randomness import Generators

PAIR = 1000
"""Points on either side of one optimal transport problem."""


def w2(samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR) -> Estimate:
    """Wasserstein-2 distance of samples (M, n, d) or (n, d) to the law, in units of x.

    The n samples are cut into n/size disjoint groups, each compared with `size` fresh exact samples by exact
    optimal transport (POT's network simplex); value and standard error are over the groups. The value
    depends on the size and is biased upwards: compare it with `w2_floor` of the same size.
    """
    members = samples if samples.ndim == 3 else samples[None]
    size = min(size, members.shape[1])
    groups = members.shape[1] // size
    if generators is None or isinstance(generators, torch.Generator):
        generators = [generators] * len(members)  # type: ignore[list-item]
    pairs = [
        (x.double(), law.sample(size, g).to(x.device))
        for member, g in zip(members, generators, strict=True)
        for x in member[: groups * size].split(size)
    ]
    with ThreadPoolExecutor() as pool:  # POT solves without holding the interpreter's lock
        distances = list(pool.map(lambda pair: w2_between(*pair), pairs))
    table = torch.tensor(distances, dtype=torch.float64).reshape(len(members), groups)
    return Estimate.of_mean(table if samples.ndim == 3 else table[0])


def w2_floor(law: Distribution, generator: torch.Generator, size: int = PAIR, pairs: int = 20) -> Estimate:
    """`w2` of exact samples of the law: the mean over `pairs` pairs of `size` points."""
    return w2(law.sample(size * pairs, generator), law, generator, size)


def w2_between(x: Tensor, y: Tensor) -> float:
    """Wasserstein-2 distance of two equally weighted samples (n, d) and (m, d), exact."""
    import ot

    if not bool(x.isfinite().all() and y.isfinite().all()):
        return float("nan")
    centre = x.mean(0)  # distances are computed by expanding the square, which cancels far from the origin
    cost = ot.dist((x - centre).cpu().numpy(), (y - centre).cpu().numpy())  # squared Euclidean
    return float(ot.emd2([], [], cost, numItermax=10_000_000)) ** 0.5
