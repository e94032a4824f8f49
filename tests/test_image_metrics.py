"""Metrics of images in feature space, against scipy, numpy and closed forms."""

import inspect
import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from toylab.errors import BadInput
from toylab.images.classifier import Digits
from toylab.images.features import Given
from toylab.index import IMAGE_METRICS
from toylab.metrics import Estimate
from toylab.metrics.images import (
    Dealt,
    feature_precision,
    feature_recall,
    floor,
    frechet_features,
    frechet_pixels,
    group_size,
    inception_score,
    kernel_features,
    nearest_in_features,
    provenance,
)
from toylab.statistics import student

K, SHAPE, DIGIT = 4, (1, 2, 2), (1, 8, 8)


class Pixels(Given):
    """Features are the pixels, and logits of classes, too."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), "pixels", K)

    def log_probabilities(self, images: Tensor) -> Tensor:
        return images.flatten(1).log_softmax(1)


PIXELS = Pixels()


def g(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, seed: int, shift: float = 0.0, scale: float = 1.0, members: int | None = None) -> Tensor:
    shape = (n, K) if members is None else (members, n, K)
    return shift + scale * torch.randn(shape, dtype=torch.float64, generator=g(seed))


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """All 1,797 in random order, flat."""
    data = torch.from_numpy(load_digits().data) / 8 - 1
    return data[torch.randperm(len(data), generator=g(9))]


# -- contracts ---------------------------------------------------------------------------------------------


def measured(name: str, members: slice | int = slice(None), **changed: object) -> Estimate:
    streams = [g(seed) for seed in range(2)]
    values = {
        "samples": normal(80, 1, 0.2, members=2)[members], "shape": SHAPE, "features": PIXELS, "images": normal(100, 2),
        "training": normal(30, 3, members=2)[members], "generators": streams[members],
    } | changed  # fmt: skip
    metric: Callable[..., Estimate] = IMAGE_METRICS.load(name)
    return metric(**{need: values[need] for need in inspect.signature(metric).parameters if need in values})


@pytest.mark.parametrize("name", IMAGE_METRICS)
def test_contract(name: str):
    """An Estimate with a leading axis of members, without members its first entry; NaN for what is not finite; the same
    again, and nothing drawn from torch's own generator."""
    state = torch.get_rng_state()
    both, first = measured(name), measured(name, 0)
    assert both.value.shape == both.stderr.shape == (2,)
    assert first.value.shape == first.stderr.shape == ()
    assert both.value.dtype == both.stderr.dtype == torch.float64
    assert both.value.isfinite().all()
    assert (both.stderr > 0).all()
    assert both.value[0] != both.value[1]
    assert (both.value[0], both.stderr[0]) == (first.value, first.stderr)
    broken = normal(80, 1, 0.2, members=2)
    broken[1, 3, 0] = torch.nan
    found = measured(name, samples=broken).value
    assert (found[0], found.isnan().tolist()) == (first.value, [False, True])
    assert torch.get_rng_state().equal(state)


# -- Fréchet distance --------------------------------------------------------------------------------------


def by_scipy(x: Tensor, y: Tensor) -> float:
    (m1, c1), (m2, c2) = ((z.numpy().mean(0), np.cov(z.numpy().T)) for z in (x, y))
    return float(((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real))


def test_frechet_distance_is_scipys(digits: Tensor):
    mixed = normal(300, 0) @ normal(4, 1) + 3
    assert float(frechet_features(normal(200, 2), SHAPE, PIXELS, mixed).value) == pytest.approx(
        by_scipy(normal(200, 2), mixed), rel=1e-6
    )
    features, noisy = Digits(), digits[:400] + 0.3 * torch.randn(400, 64, dtype=torch.float64, generator=g())
    found = frechet_features(noisy, DIGIT, features, digits[400:])
    seen = [features.of(x, DIGIT) for x in (noisy, digits[400:])]
    assert float(found.value) == pytest.approx(by_scipy(*seen), rel=1e-6)


def test_torchmetrics_takes_an_extractor_as_it_is(digits: Tensor):
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=Digits())
    metric.update(digits[:200].unflatten(1, DIGIT), real=True)
    metric.update(digits[200:500].unflatten(1, DIGIT) * 0.9, real=False)
    ours = frechet_features(digits[200:500] * 0.9, DIGIT, Digits(), digits[:200])
    torch.testing.assert_close(metric.compute(), ours.value)
    assert "torchvision" not in sys.modules


def test_frechet_distance_of_gaussians_is_the_closed_form():
    """|m|² + k (scale - 1)², the bias far below the standard error."""
    found = frechet_features(normal(4000, 1, 0.5, 1.5), SHAPE, PIXELS, normal(4000, 2))
    assert float(found.value) == pytest.approx(K * 0.25 + K * 0.25, abs=4 * float(found.stderr))
    assert float(found.stderr) < 0.1


def test_its_standard_error_is_the_jackknifes():
    x, y = normal(40, 1, 0.5, 1.5) @ normal(4, 3), normal(50, 2) @ normal(4, 4)

    def without(points: Tensor, distance: Callable[[Tensor], Tensor]) -> Tensor:
        left = torch.stack([distance(torch.cat([points[:i], points[i + 1 :]])) for i in range(len(points))])
        return left.var(correction=0) * (len(points) - 1)

    def fd(x: Tensor, y: Tensor) -> Estimate:
        return frechet_features(x, SHAPE, PIXELS, y)

    variance = without(x, lambda x: fd(x, y).value) + without(y, lambda y: fd(x, y).value)
    assert float(fd(x, y).stderr) == pytest.approx(float(variance.sqrt()), rel=0.02)


def test_the_floor_of_the_frechet_distance_is_its_bias():
    """20 halves of fresh images each; the formula is the docstring's, for unit eigenvalues and n = N = 150."""
    found = torch.stack([floor(frechet_features, SHAPE, PIXELS, normal(300, s), g(s)).value for s in range(20)])
    bias = (1 / 150 + 1 / 150) * (K + K**2 / 4 + K / 4)
    assert float(found.mean()) == pytest.approx(bias, abs=4 * float(found.std()) / math.sqrt(20))


def test_digits_are_at_the_floor_and_noise_is_far_above(digits: Tensor):
    features, half = Digits(), len(digits) // 2
    floors = floor(frechet_features, DIGIT, features, digits, [g(1), g(2)])
    own = frechet_features(digits[:half], DIGIT, features, digits[half:])
    noise = torch.randn(half, 64, dtype=torch.float64, generator=g())
    far = frechet_features(noise, DIGIT, features, digits[half:])
    spread = 4 * float(torch.hypot(own.stderr, floors.stderr.mean()))
    assert float(own.value) == pytest.approx(float(floors.value.mean()), abs=spread)
    assert float(far.value) > 20 * float(floors.value.max())
    assert float(far.value - floors.value.max()) > 10 * float(far.stderr)


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1.5), (0.5, 1.0), (0.2, 1.0), (0.0, 1.0)])
def test_the_interval_of_the_frechet_distance_holds_the_truth(shift: float, scale: float):
    """In 95 % of 400 cases, give or take 3.5 binomial standard errors, not by being far too wide; of equal Gaussians
    the truth is the floor."""
    n, cases = 500, 400
    truth = K * shift**2 + K * (scale - 1) ** 2 or 2 / n * (K + K**2 / 4 + K / 4)
    found = [
        frechet_features(normal(n, 2 * s, shift, scale), SHAPE, PIXELS, normal(n, 2 * s + 1)) for s in range(cases)
    ]
    value, stderr = (torch.stack(part) for part in zip(*found, strict=True))
    held = float(((value - truth).abs() <= 1.96 * stderr).double().mean())
    assert held > 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / cases)
    assert (0.85 if shift else 0.6) < float(value.std() / stderr.square().mean().sqrt()) < 1.1


# -- kernel distance and inception score -------------------------------------------------------------------


def test_kernel_distance_is_numpys():
    x, y, size = normal(80, 1, 0.3), normal(60, 2), 15
    order = torch.randperm(60, generator=g(5))

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / K + 1) ** 3

    terms = []
    for i in range(4):
        a, b = x[i * size : (i + 1) * size].numpy(), y[order[i * size : (i + 1) * size]].numpy()
        own = sum((kernel(z, z).sum() - np.trace(kernel(z, z))) / (size * (size - 1)) for z in (a, b))
        terms.append(own - 2 * kernel(a, b).mean())
    found = kernel_features(x, SHAPE, PIXELS, y, g(5))
    assert float(found.value) == pytest.approx(np.mean(terms), rel=1e-10)
    assert float(found.stderr) == pytest.approx(np.std(terms, ddof=1) / 2, rel=1e-10)


def test_kernel_distance_has_no_bias_and_an_honest_interval():
    found = [kernel_features(normal(200, 2 * s), SHAPE, PIXELS, normal(200, 2 * s + 1), g(s), 20) for s in range(60)]
    value, stderr = (torch.stack(part) for part in zip(*found, strict=True))
    assert float(value.mean()) == pytest.approx(0, abs=4 * float(value.std()) / math.sqrt(60))
    held = float((value.abs() <= student(10) * stderr).double().mean())
    assert held > 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / 60)


def test_inception_score_is_the_exponential_of_the_mutual_information():
    x = normal(23, 1, scale=3.0)
    seed = int(torch.randint(2**62, (), generator=g(7)))
    order = torch.randperm(21, generator=g(seed)).numpy()  # 23 samples make 3 splits of 7
    p = np.exp(x.numpy()[:21]) / np.exp(x.numpy()[:21]).sum(1, keepdims=True)
    scores = []
    for part in np.split(p[order], 3):
        scores.append(np.exp((part * np.log(part / part.mean(0))).sum(1).mean()))
    found = inception_score(x, SHAPE, PIXELS, g(7), splits=3)
    assert float(found.value) == pytest.approx(np.mean(scores), rel=1e-10)
    assert float(found.stderr) == pytest.approx(np.std(scores, ddof=1) / math.sqrt(3), rel=1e-10)


def test_inception_score_of_a_single_class_is_one():
    """Also where the others are beyond what a float tells from 0."""

    class Sure(Pixels):
        def log_probabilities(self, images: Tensor) -> Tensor:
            return torch.tensor([0.0, -1e9, -torch.inf]).expand(len(images), 3)

    found = inception_score(normal(40, 1), SHAPE, Sure(), g())
    torch.testing.assert_close(found.value, torch.ones((), dtype=torch.float64))


def test_frechet_distance_of_pixels_is_scipys(digits: Tensor):
    noise = torch.randn(400, 64, dtype=torch.float64, generator=g())
    samples, images = digits[:400] + 0.2 * noise, digits[400:800] + 0.01 * noise
    found = frechet_pixels(samples, images)
    assert float(found.value) == pytest.approx(by_scipy(samples, images), rel=1e-6)


def test_inception_score_counts_the_classes_that_are_told_apart(digits: Tensor):
    features = Digits()
    real = inception_score(digits, DIGIT, features, g())
    assert 8.5 < float(real.value) < 10
    assert float(inception_score(digits[:1].expand(100, -1), DIGIT, features, g()).value) == pytest.approx(1, abs=1e-12)
    with pytest.raises(BadInput, match="come without class probabilities"):
        inception_score(digits, DIGIT, Given(nn.Flatten(), "flat", 64), g())
    with pytest.raises(BadInput, match="from 2 splits to half the 8 samples, not 10"):
        inception_score(digits[:8], DIGIT, features, g())


# -- precision, recall, memorization -----------------------------------------------------------------------


def test_precision_and_recall_of_the_same_and_of_other_images():
    few = normal(4, 1).repeat(100, 1)  # in each group are many copies of each of the four
    far, inside = normal(400, 2) + 1e3, 0.01 * normal(400, 3)

    def both(samples: Tensor, images: Tensor) -> tuple[float, float]:
        return tuple(  # type: ignore[return-value]
            float(metric(samples, SHAPE, PIXELS, images, g()).value) for metric in (feature_precision, feature_recall)
        )

    assert both(few, few[torch.randperm(400, generator=g(4))]) == (1, 1)
    assert both(far, normal(400, 4)) == (0, 0)
    precision, recall = both(inside, normal(400, 4))  # a collapsed sampler: all of it good, nothing else found
    assert precision == 1
    assert recall < 0.05
    precision, recall = both(normal(400, 5), inside)
    assert precision < 0.05
    assert recall == 1


def test_copies_of_the_training_set_are_found_out(digits: Tensor):
    features, (training, held_out, fresh) = Digits(), digits.split(599)
    copies = nearest_in_features(training, DIGIT, features, held_out, training, g())
    assert float(copies.value) == pytest.approx(0, abs=1e-12)
    learned = nearest_in_features(fresh, DIGIT, features, held_out, training, g())
    assert float(learned.value) == pytest.approx(1, abs=4 * float(learned.stderr))
    assert 0 < float(learned.stderr) < 0.1
    halves = torch.cat([training[:300], fresh[:299]])
    assert 0.3 < float(nearest_in_features(halves, DIGIT, features, held_out, training, g()).value) < 0.7


# -- what is recorded, and how many there must be ----------------------------------------------------------


def test_every_number_has_its_provenance(digits: Tensor):
    features = Digits()
    found = provenance(features, DIGIT, digits[None, :500], digits[500:1500], "digits 500 to 1499", 100)
    assert found["extractor"] == "digits"
    assert found["weights"] == f"sha256:{features.fingerprint}"
    assert "8 x 8" in found["resize"]
    assert (found["samples"], found["images"], found["shape"]) == ("500", "1000", "1x8x8")
    assert (found["split"], found["group"]) == ("digits 500 to 1499", "100")
    assert all(isinstance(text, str) for pair in found.items() for text in pair)


def test_groups_leave_a_standard_error():
    assert [group_size(*sizes) for sizes in ((4000, 9000, 1000), (900, 898, 1000), (900, 898, 100))] == [1000, 224, 100]
    with pytest.raises(BadInput, match="image metrics need 8 samples and images at least, not 7 and 100"):
        group_size(7, 100)


def test_points_are_dealt_once():
    deck = Dealt(normal(10, 0))
    first, second = deck.sample(4, g()), deck.sample(6, g())
    assert torch.cat([first, second]).sort(0).values.equal(normal(10, 0).sort(0).values)
    with pytest.raises(BadInput, match="1 points were asked for, of 0 that are left"):
        deck.sample(1, g())
