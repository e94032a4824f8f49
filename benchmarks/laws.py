"""Scores of Gaussian mixtures, beside torch.distributions with autograd on the same work.

    python -m benchmarks.laws            about 5 minutes; writes laws.md here

100 components, 100,000 points of the noised law, both in float64 on one thread. torch.distributions'
MixtureSameFamily is given the noised covariances and differentiated; it has no chunks of its own, so it is fed the
points in parts of the size that is fastest for it among those that fit in 2 GiB. The scores must agree.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

from toylab import process

process.settle()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch import distributions as td  # noqa: E402

from toylab import randomness  # noqa: E402
from toylab.distributions import GaussianMixture  # noqa: E402

HERE = Path(__file__).parent
CASES = (("diagonal", 2), ("full", 2), ("diagonal", 64), ("full", 64), ("diagonal", 512))
RATIOS = (0.1, 1.0, 10.0)
COMPONENTS = 100
MEMORY, TORCH = 2 << 30, 300 << 20  # bytes, in all and for torch itself
PARTS = (64, 256, 1024, 4096, 16384)


def mixture(kind: str, dim: int) -> GaussianMixture:
    """Overlapping components of unequal shape."""
    g = randomness.stream(dim, f"benchmarks-laws-{kind}")
    means = 3 * torch.randn(COMPONENTS, dim, dtype=torch.float64, generator=g)
    if kind == "diagonal":
        return GaussianMixture(means, std=0.3 + torch.rand(COMPONENTS, dim, dtype=torch.float64, generator=g))
    factors = torch.randn(COMPONENTS, dim, dim, dtype=torch.float64, generator=g) / dim**0.5
    return GaussianMixture(means, cov=factors @ factors.mT + 0.1 * torch.eye(dim, dtype=torch.float64))


def by_autograd(law: GaussianMixture, kind: str, alpha: float, sigma: float, part: int) -> Callable[[Tensor], Tensor]:
    """The score by torch.distributions."""
    categorical = td.Categorical(law.weights)
    if kind == "diagonal":
        std = (alpha**2 * law._variances + sigma**2).sqrt()
        components: td.Distribution = td.Independent(td.Normal(alpha * law.means, std), 1)
    else:
        noise = sigma**2 * torch.eye(law.dim, dtype=torch.float64)
        components = td.MultivariateNormal(alpha * law.means, alpha**2 * law._covariances() + noise)
    theirs = td.MixtureSameFamily(categorical, components)

    def score(x: Tensor) -> Tensor:
        result = torch.empty_like(x)
        for rows, scores in zip(x.split(part), result.split(part), strict=True):
            rows = rows.clone().requires_grad_()
            scores.copy_(torch.autograd.grad(theirs.log_prob(rows).sum(), rows)[0])
        return result

    return score


def seconds(score: Callable[[Tensor], Tensor], x: Tensor, repeats: int = 1) -> tuple[float, Tensor]:
    """The least process time of the repeats, and the first scores."""
    times, first = [], x
    for _ in range(repeats):
        start = time.process_time()
        result = score(x)
        times.append(time.process_time() - start)
        first = result[:1000].clone()
    return min(times), first


def compare(kind: str, dim: int, ratio: float, points: int) -> str:
    """One row of the table."""
    law = mixture(kind, dim)
    alpha = 1 / (1 + ratio**2) ** 0.5
    sigma, g = ratio * alpha, randomness.stream(0, "benchmarks-laws-points")
    x = torch.empty(points, dim, dtype=torch.float64)
    for rows in x.split(4096):
        rows.copy_(alpha * law.sample(len(rows), g) + sigma * torch.randn(rows.shape, dtype=rows.dtype, generator=g))
    held = 12 * 8 * COMPONENTS * dim  # bytes a row while differentiating: about a dozen tensors
    room = MEMORY - TORCH - 3 * 8 * points * dim  # beside the points and two sets of scores
    trials = [by_autograd(law, kind, alpha, sigma, part) for part in PARTS if part * held < room]
    theirs = min(trials, key=lambda score: seconds(score, x[: max(1000, points // 50)])[0])

    def ours(rows: Tensor) -> Tensor:
        return law.score(rows, alpha, sigma)

    ours(x[:1000])
    (own, exact), (autograd, expected) = seconds(ours, x, 3), seconds(theirs, x)
    torch.testing.assert_close(exact, expected, rtol=1e-9, atol=1e-9)
    return f"| {kind} | {dim} | {ratio:g} | {own:.2f} s | {autograd:.2f} s | {autograd / own:.1f}x |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=HERE / "laws.md")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "| covariances | dimension | σ/α | toylab | torch.distributions | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for kind, dim in CASES:
        for ratio in RATIOS:
            lines.append(compare(kind, dim, ratio, given.points))
            print(lines[-1], flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    about = f"{given.points:,} points, {COMPONENTS} components, float64, one thread, torch {torch.__version__}"
    given.out.write_text("\n".join(lines) + f"\n\n{about}; peak memory of the process {peak:.1f} GiB\n")


if __name__ == "__main__":
    main()
