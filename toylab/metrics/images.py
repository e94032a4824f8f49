"""Metrics of images in the feature space of an extractor (toylab/images/features.py), against finite sets of images.

    samples     (M, n, d) or (n, d), flat images of `shape` (C, H, W)
    features    the extractor; the names of its numbers are `features.metric_name(name of the index)`
    images      (N, d), the real images that samples are held against
    training    (M, N, d), the images trained on
    generators  one a member, which shuffle

Everything after the extractor is in float64, and nothing is rounded or clipped there: what an extractor itself does to
pixels, its docstring says. torchmetrics gets features that are ready, through a module that passes them on, and
`normalize` off, with which its inception score would multiply them by 255 and cast them to bytes. NaN where a sample is
not finite.

A number means something beside its extractor, n, N, resize and split, which `provenance` records, and beside its
`floor`: the same metric between two halves of the real images.
"""

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import NamedTuple

import torch
from torch import Tensor, nn

from toylab.errors import BadInput
from toylab.images.features import Features
from toylab.metrics import coverage, memorization
from toylab.metrics.estimate import Estimate
from toylab.metrics.groups import PAIR, compared, per_member, with_members
from toylab.randomness import Generators

_LEAST = -600.0  # of log-probabilities: a class that no sample of a split can be adds nothing, not 0 times infinity

MOST_PIXELS = 1024
"""Of images whose pixels' covariances are compared."""

FEWEST = 4
"""Groups at least, so that there is a standard error."""

SPLITS = 10
"""Into which the inception score is split (Salimans et al., arXiv:1606.03498)."""

_SHUFFLING = threading.Lock()  # torchmetrics shuffles by torch's own generator, which nothing else in toylab uses


def frechet_features(samples: Tensor, shape: Sequence[int], features: Features, images: Tensor) -> Estimate:
    """Fréchet distance FD of the features of samples (M, n, d) and images (N, d): squared W2 of the fitted Gaussians,

        FD = |m₁ - m₂|² + tr(C₁ + C₂ - 2 (C₁ C₂)^½)

    (Heusel et al., arXiv:1706.08500), by torchmetrics. With Inception's features it is FID.

    Biased upwards by about c/n + c'/N: for equal Gaussians with eigenvalues λ of the covariance by

        (1/n + 1/N) (Σ_i λ_i + ½ Σ_ij λ_i λ_j/(λ_i + λ_j) + ¼ Σ_i λ_i)

    so FDs are compared at the same n and N alone. Standard error by the infinitesimal jackknife over samples and
    images: FD changes with a point's weight by the potential φ of the transport between the Gaussians, so that
    se² = var φ₁(x)/n + var φ₂(y)/N. It is that of the value about its own mean, bias included, a little too wide, and
    half as wide again at the floor: there the interval holds the floor, not 0 (tests/test_image_metrics.py counts).
    """
    reference = features.of(images, shape)
    return _each(samples, features.of(samples, shape), lambda x: _frechet(x, reference))


def frechet_pixels(samples: Tensor, images: Tensor) -> Estimate:
    """The same distance of the pixels themselves, of samples (M, n, d) and images (N, d): small noise that a classifier
    does not see is an eigenvalue more in each direction here. For at most `MOST_PIXELS`, as it takes time d³."""
    reference = images.double()
    return _each(samples, samples.double(), lambda x: _frechet(x, reference))


def kernel_features(
    samples: Tensor, shape: Sequence[int], features: Features, images: Tensor, generators: Generators, size: int = PAIR
) -> Estimate:
    """Kernel distance KD of the features of samples (M, n, d) and images (N, d): the squared maximum mean discrepancy,
    without the pairs of a point with itself, of the kernel (x·y/k + 1)³ on R^k (Bińkowski et al., arXiv:1801.01401), by
    torchmetrics. With Inception's features it is KID.

    Unbiased at any size, so it can be negative, and its floor is 0. Mean and standard error over disjoint subsets of
    `size` of either, of fewer where there would be less than four subsets (`group_size`).
    """
    from torchmetrics.image.kid import poly_mmd

    sides = _sides(samples, shape, features, images, generators, size)
    return _gathered(samples, [compared(lambda x, y, _: poly_mmd(y, x), *side) for side in sides])


def inception_score(
    samples: Tensor, shape: Sequence[int], features: Features, generators: Generators, splits: int = SPLITS
) -> Estimate:
    """Inception score IS = exp(E KL(p(y|x) ‖ p(y))) of samples (M, n, d), y their class (Salimans et al.,
    arXiv:1606.03498), by torchmetrics: between 1 and the number of classes, higher is better.

    Mean and standard error over disjoint splits of n // splits samples (what is left over is left out); it is too low,
    in its logarithm by up to (classes - 1) splits/2n. Images that are all right have that of the real images, not the
    number of classes. Raises BadInput for features without classes, and for fewer than two samples a split.
    """
    classes = features.log_probabilities_of(samples, shape).clamp(min=_LEAST)
    n = classes.shape[-2]
    if not 2 <= splits <= n // 2:
        raise BadInput(f"the inception score takes from 2 splits to half the {n} samples, not {splits}")
    classes = classes[..., : n // splits * splits, :]
    seeds = [int(torch.randint(2**62, (), generator=g)) for g in _generators(generators, samples)]
    return _each(samples, classes, lambda x, seed: _score(x, seed, splits), seeds)


def feature_precision(
    samples: Tensor, shape: Sequence[int], features: Features, images: Tensor, generators: Generators, size: int = PAIR
) -> Estimate:
    """Share of the samples (M, n, d) whose features lie among those of images (N, d): in the ball of any of them
    (toylab/metrics/coverage.py). It depends on the size of the groups compared, which is as in `kernel_features`."""
    sides = _sides(samples, shape, features, images, generators, size)
    return _gathered(samples, [coverage.precision(*side) for side in sides])


def feature_recall(
    samples: Tensor, shape: Sequence[int], features: Features, images: Tensor, generators: Generators, size: int = PAIR
) -> Estimate:
    """Share of the images (N, d) whose features lie among those of samples (M, n, d), likewise."""
    sides = _sides(samples, shape, features, images, generators, size)
    return _gathered(samples, [coverage.recall(*side) for side in sides])


def nearest_in_features(
    samples: Tensor, shape: Sequence[int], features: Features, images: Tensor, training: Tensor, generators: Generators
) -> Estimate:
    """Memorization: mean Euclidean distance, in feature space, to the nearest training image (M, N', d), of samples
    (M, n, d) over that of images (N, d) which were not trained on.

    1 is chance, 0 a copy of the training set. min(n, N) of either are compared (toylab/metrics/memorization.py), the
    images shuffled. Standard error of a ratio of means, given the training set.
    """
    seen, held_out = with_members(features.of(samples, shape)), features.of(images, shape)
    trained, n = with_members(features.of(training, shape)), min(seen.shape[1], len(held_out))
    found = [
        memorization.nearest_ratio(x[:n], Dealt(held_out), points, g)
        for x, points, g in zip(seen, trained, _generators(generators, samples), strict=True)
    ]
    return _gathered(samples, found)


def floor(
    metric: Callable[..., Estimate], shape: Sequence[int], features: Features, images: Tensor, generators: Generators
) -> Estimate:
    """What a metric is for perfect samples: one half of the images (N, d) held against the other, a new half for each
    generator. A distance that falls with n and N is lower at more than N/2 of either."""
    needs, found = inspect.signature(metric).parameters, []
    for g in per_member(generators, 1):
        deck = Dealt(images)
        first, second = (deck.sample(len(images) // 2, g) for _ in range(2))
        given = {"samples": first, "shape": shape, "features": features, "images": second, "generators": g}
        found.append(metric(**{name: value for name, value in given.items() if name in needs}))
    return _stacked(found) if isinstance(generators, Sequence) else found[0]


def group_size(n: int, images: int, size: int = PAIR) -> int:
    """How many samples and images a group has: `size`, or what leaves four groups. Raises BadInput below 2."""
    found = min(size, n // FEWEST, images // FEWEST)
    if found < 2:
        raise BadInput(f"image metrics need {2 * FEWEST} samples and images at least, not {n} and {images}")
    return found


def provenance(
    features: Features, shape: Sequence[int], samples: Tensor, images: Tensor, split: str, size: int = PAIR
) -> dict[str, str]:
    """What to record beside numbers, as text: extractor, weights, resize; how many samples (..., n, d) and images
    (N, d) there are, and which images those are, `split`; sizes of groups; torchmetrics' version."""
    n, reference = samples.shape[-2], len(images)
    return features.describe() | {
        "shape": "x".join(map(str, shape)),
        "samples": str(n),
        "images": str(reference),
        "split": split,
        "group": str(group_size(n, reference, size)),
        "splits of the inception score": str(SPLITS),
        "torchmetrics": metadata.version("torchmetrics"),
    }


class Dealt:
    """Points (N, d) that are dealt out: shuffled at the first draw, and none twice."""

    def __init__(self, points: Tensor):
        self._points, self._left = points, None

    _left: Tensor | None

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """The next n points. Raises BadInput where fewer are left."""
        if self._left is None:
            device = "cpu" if generator is None else generator.device
            self._left = torch.randperm(len(self._points), generator=generator, device=device)
        if n > len(self._left):
            raise BadInput(f"{n} points were asked for, of {len(self._left)} that are left")
        now, self._left = self._left[:n], self._left[n:]
        return self._points[now.to(self._points.device)]


class _Ready(nn.Module):
    """What torchmetrics takes for an extractor: features pass through it."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class _Side(NamedTuple):
    """The arguments of a metric by groups: features of one member's samples, those of the images, stream, size."""

    samples: Tensor
    law: Dealt
    generators: torch.Generator
    size: int


def _sides(
    samples: Tensor, shape: Sequence[int], features: Features, images: Tensor, generators: Generators, size: int
) -> Iterator[_Side]:
    """One a member, with as many samples as there are images for."""
    seen, reference = with_members(features.of(samples, shape)), features.of(images, shape)
    size = group_size(seen.shape[1], len(reference), size)
    most = len(reference) // size * size
    for x, g in zip(seen, _generators(generators, samples), strict=True):
        yield _Side(x[:most], Dealt(reference), g, size)


def _generators(generators: Generators, samples: Tensor) -> list[torch.Generator]:
    return per_member(generators, len(with_members(samples)))


def _each(
    samples: Tensor, seen: Tensor, estimate: Callable[..., tuple[Tensor, Tensor]], *others: Sequence[int]
) -> Estimate:
    """An estimate for each member's features or classes (n, k); NaN where they are not all finite."""

    def of_member(x: Tensor, *other: int) -> Estimate:
        nan = x.new_full((), torch.nan)
        return Estimate(*estimate(x, *other)) if bool(x.isfinite().all()) else Estimate(nan, nan)

    return _gathered(samples, [of_member(*one) for one in zip(with_members(seen), *others, strict=True)])


def _gathered(samples: Tensor, found: Sequence[Estimate]) -> Estimate:
    """One estimate a member as one, without the axis where the samples have none."""
    return _stacked(found) if samples.ndim == 3 else found[0]


def _stacked(found: Sequence[Estimate]) -> Estimate:
    return Estimate(*(torch.stack(part) for part in zip(*found, strict=True)))


def _frechet(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """FD of features (n, k) and (N, k), and its standard error."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Ready(x.shape[1])).to(x.device)
    metric.update(y, real=True)
    metric.update(x, real=False)
    (dx, root_x, white_x), (dy, root_y, white_y) = _centred(x), _centred(y)
    u, s, vh = torch.linalg.svd(root_y @ root_x)
    shift = x.mean(0) - y.mean(0)
    phi_x = dx.square().sum(1) + 2 * dx @ shift - ((white_x @ vh.mT).square() * s).sum(1)
    phi_y = dy.square().sum(1) - 2 * dy @ shift - ((white_y @ u).square() * s).sum(1)
    return metric.compute(), (phi_x.var() / len(x) + phi_y.var() / len(y)).sqrt()


def _centred(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features about their mean (n, k), the root of their covariance (k, k), and features whitened by it."""
    centred, scale = x - x.mean(0), (len(x) - 1) ** 0.5
    q, s, axes = torch.linalg.svd(centred, full_matrices=False)
    return centred, axes.mT * (s / scale) @ axes, scale * q @ axes


def _score(log_p: Tensor, seed: int, splits: int) -> tuple[Tensor, Tensor]:
    """IS of log-probabilities (n, classes), which softmax, torchmetrics' first step, leaves as they are."""
    from torchmetrics.image.inception import InceptionScore

    with _SHUFFLING, warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", "Metric `InceptionScore` will save all", UserWarning)
        torch.default_generator.manual_seed(seed)
        metric = InceptionScore(feature=_Ready(log_p.shape[1]), splits=splits)
        metric.update(log_p)
        mean, std = metric.compute()
    return mean, std / splits**0.5
