"""Wasserstein distances between samples and a law, and their relatives, all in units of x.

Their values depend on the size of the groups compared and are biased upwards: see groups.py for the floor they are
read beside. The cost is the Euclidean distance (w1) or its square (the others).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from toylab import randomness
from toylab.distributions import Distribution
from toylab.metrics.entropic import sinkhorn_between
from toylab.metrics.estimate import Estimate
from toylab.metrics.groups import PAIR, Pair, compared, typical_distance
from toylab.randomness import Generators


def w2(samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR) -> Estimate:
    """Wasserstein-2 distance of samples (M, n, d) or (n, d) to the law, in units of x.

    Mean and standard error over groups of `size`, by exact optimal transport (POT's network simplex); compare it with
    `w2_floor` of the same size.
    """
    return compared(lambda x, y, _: w2_between(x, y), samples, law, generators, size, _side_by_side)


def w1(samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR) -> Estimate:
    """Wasserstein-1 distance of samples (M, n, d) or (n, d) to the law, in units of x; otherwise as `w2`."""
    return compared(lambda x, y, _: w1_between(x, y), samples, law, generators, size, _side_by_side)


def sliced_w2(
    samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR, projections: int = 200
) -> Estimate:
    """Sliced Wasserstein-2 distance in units of x, (E_θ W2²(⟨θ, x⟩, ⟨θ, y⟩))^½ over directions θ uniform on the sphere.

    Each group has `projections` directions of its own, so that the standard error holds their noise as well. A shift
    by m is seen as |m|/√d. (Bonneel et al. 2015, Journal of Mathematical Imaging and Vision 51.)
    """

    def distance(x: Tensor, y: Tensor, g: torch.Generator) -> Tensor:
        return sliced_w2_between(x, y, _directions(projections, x, g))

    return compared(distance, samples, law, generators, size)


def sinkhorn(
    samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR, blur: float = 0.05
) -> Estimate:
    """Root of the debiased Sinkhorn divergence, in units of x, for a squared Euclidean cost.

        S = OT_ε(x, y) - ½ OT_ε(x, x) - ½ OT_ε(y, y),    OT_ε(x, y) = min_P ⟨P, C⟩ + ε KL(P ‖ a ⊗ b)

    ε is `blur` times the squared median distance of two points of the law, the same for all that is compared with it;
    NaN where that is 0. S = |m|² for a shift by m, W2² as ε → 0. Converged (entropic.py), mean and standard error over
    groups of `size`. (Feydy et al., arXiv:1810.08278.)
    """
    reg = blur * typical_distance(law) ** 2
    return compared(lambda x, y, _: sinkhorn_between(x, y, reg).sqrt(), samples, law, generators, size)


def frechet(samples: Tensor, law: Distribution, generators: Generators, size: int = PAIR) -> Estimate:
    """Fréchet distance: W2 of the Gaussians with the mean and covariance of either side, in units of x.

        W2² = |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁^½ C₂ C₁^½)^½)

    Blind to all beyond two moments. Both sides are samples, so that it exists for every law; mean and standard error
    over groups of `size`. FID is its square, on features (Heusel et al., arXiv:1706.08500).
    """
    return compared(lambda x, y, _: frechet_between(x, y), samples, law, generators, size)


def w2_floor(law: Distribution, generator: torch.Generator, size: int = PAIR, pairs: int = 20) -> Estimate:
    """`w2` of exact samples of the law: the mean over `pairs` pairs of `size` points."""
    return w2(law.sample(size * pairs, generator), law, generator, size)


def w2_between(x: Tensor, y: Tensor) -> float:
    """Wasserstein-2 distance of two equally weighted samples (n, d) and (m, d), exact."""
    return _transported(x, y, "sqeuclidean") ** 0.5


def w1_between(x: Tensor, y: Tensor) -> float:
    """Wasserstein-1 distance of two equally weighted samples (n, d) and (m, d), exact."""
    return _transported(x, y, "euclidean")


def sliced_w2_between(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Sliced W2 of two samples (n, d) of one size along unit vectors (L, d): on a line, sorted points are matched."""
    projected = [(points @ directions.mT).sort(0).values for points in (x, y)]
    return (projected[0] - projected[1]).square().mean().sqrt()


def frechet_between(x: Tensor, y: Tensor) -> Tensor:
    """Fréchet distance of two samples (n, d) and (m, d)."""
    (m1, c1), (m2, c2) = ((points.mean(0), _covariance(points)) for points in (x, y))
    root1, root2 = _root(c1), _root(c2)
    overlap = torch.linalg.svdvals(root1 @ root2).sum()  # tr (C₁^½ C₂ C₁^½)^½, without a root of a rounded 0
    return ((m1 - m2).square().sum() + c1.trace() + c2.trace() - 2 * overlap).clamp(min=0).sqrt()


def _transported(x: Tensor, y: Tensor, metric: str) -> float:
    """The least mean cost."""
    import ot

    if not bool(x.isfinite().all() and y.isfinite().all()):
        return float("nan")
    centre = x.mean(0)  # distances are computed by expanding the square, which cancels far from the origin
    cost = ot.dist((x - centre).cpu().numpy(), (y - centre).cpu().numpy(), metric=metric)
    return float(ot.emd2([], [], cost, numItermax=10_000_000))


def _side_by_side(value: Callable[[Pair], Tensor], pairs: list[Pair]) -> Iterable[Tensor]:
    with ThreadPoolExecutor() as pool:  # POT solves without holding the interpreter's lock
        return list(pool.map(value, pairs))


def _directions(count: int, x: Tensor, generator: torch.Generator) -> Tensor:
    """Unit vectors (count, d)."""
    z = randomness.randn((count, x.shape[-1]), generator, x)
    return z / z.norm(dim=-1, keepdim=True)


def _covariance(x: Tensor) -> Tensor:
    return torch.atleast_2d(x.mT.cov())


def _root(cov: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(cov)
    return vectors * values.clamp(min=0).sqrt() @ vectors.mT
