"""Corruption: what each one does beside an independent statement, and the same bits whenever an image is drawn."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import convolve
from scipy.stats import binomtest, kurtosis, norm

from toylab.configuration import Corruption, Settings, validate
from toylab.data import Labelled
from toylab.errors import BadInput
from toylab.images.sets import Images, digits
from toylab.images.source import ImageSource
from toylab.index import CORRUPTIONS

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 3, 16, 16), dtype=np.uint8)
IMAGES = Images("sixty", PIXELS)
EVERY = torch.arange(60)


class Chosen(Settings):
    corruption: Corruption


def source(name: str, of: Images = IMAGES, seed: int = 3, **settings: object) -> ImageSource:
    return ImageSource(of, Corruption.model_validate({"name": name, **settings}).build(), seed)


def drawn(name: str, of: Images = IMAGES, **settings: object) -> np.ndarray:
    """All images, all corrupted, (N, C, H, W) float64."""
    corrupted = source(name, of, fraction=1.0, **settings)
    return corrupted.rows(torch.arange(len(of))).double().reshape(-1, *of.shape).numpy()


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "none"])
@pytest.mark.parametrize("fraction", [0.0, 0.13, 0.9, 1.0])
def test_exactly_a_fraction_of_the_images_is_corrupted(name: str, fraction: float):
    corrupted = source(name, fraction=fraction)
    assert int(corrupted.noisy.sum()) == round(fraction * 60)
    moved = (corrupted.rows(EVERY) != IMAGES.points()).any(1)
    assert torch.equal(moved, corrupted.noisy)  # all others bit for bit as they were


def test_without_corruption_images_are_as_they_were():
    clean = source("none")
    assert not clean.noisy.any()
    assert torch.equal(clean.rows(EVERY), IMAGES.points())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_has_the_same_bits_in_any_batch_and_order(name: str):
    settings = {} if name == "none" else {"fraction": 0.7}
    corrupted = source(name, **settings)
    once = corrupted.rows(EVERY)
    order = torch.randperm(60)
    assert torch.equal(corrupted.rows(order), once[order])
    assert torch.equal(torch.cat([corrupted.rows(part) for part in EVERY.split(7)]), once)
    again = source(name, **settings)
    assert torch.equal(again.rows(EVERY.flip(0)), once.flip(0))
    assert torch.equal(again.noisy, corrupted.noisy)


def test_the_numbers_of_an_image_are_philoxs_with_the_seed_and_its_number_as_key():
    noisy = source("gaussian-noise", seed=11, fraction=1.0, std=0.3)
    for number in (0, 17):
        random = np.random.Generator(np.random.Philox(key=np.array([11, number], np.uint64)))
        added = 0.3 * random.standard_normal((3, 16, 16), dtype=np.float32)
        wanted = torch.from_numpy(PIXELS[number] / 127.5 - 1 + added).reshape(1, -1)
        torch.testing.assert_close(noisy.rows(torch.tensor([number])).double(), wanted, rtol=0.0, atol=3e-7)


@pytest.mark.parametrize("name", ["gaussian-noise", "salt-and-pepper", "occlusion", "foreign"])
def test_members_differ_in_which_images_and_how(name: str):
    one, other = source(name, fraction=0.8, seed=0), source(name, fraction=0.8, seed=1)
    assert not torch.equal(one.noisy, other.noisy)
    both = torch.nonzero(one.noisy & other.noisy).flatten()
    assert (one.rows(both) != other.rows(both)).any(1).float().mean() > 0.9


def test_a_larger_fraction_corrupts_more_images_and_any_corruption_the_same():
    few, many = source("blur", fraction=0.3).noisy, source("jpeg", fraction=0.6).noisy
    assert (few <= many).all()
    assert torch.equal(source("occlusion", fraction=0.6).noisy, many)


def test_every_image_is_as_likely_to_be_corrupted():
    build = Corruption.model_validate({"name": "blur", "fraction": 0.25}).build()
    counts = np.sum([build.chosen(20, seed) for seed in range(400)], 0)
    assert counts.sum() == 2000
    spread = (counts - 100) / math.sqrt(400 * 0.25 * 0.75)
    assert np.abs(spread).max() < 4.5


@pytest.mark.parametrize(("unit", "std"), [("[-1,1]", 0.2), ("[0,1]", 0.4)])
def test_noise_is_gaussian_of_that_std_in_that_unit(unit: str, std: float):
    added = (drawn("gaussian-noise", std=0.2, unit=unit) - (PIXELS / 127.5 - 1)).ravel()
    n = added.size
    assert abs(added.mean()) < 4 * std / math.sqrt(n)
    assert abs(added.var() / std**2 - 1) < 4 * math.sqrt(2 / n)
    assert abs(kurtosis(added)) < 4 * math.sqrt(24 / n)
    tail = binomtest(int((np.abs(added) > 2 * std).sum()), n, 2 * norm.sf(2))
    assert tail.pvalue > 1e-4
    rows = added.reshape(60, -1) / std
    between = (rows[:-1] * rows[1:]).mean()  # images are independent of their neighbours in number
    assert abs(between) < 4 / math.sqrt(59 * 768)


def test_noise_is_clipped_where_that_is_asked():
    free, clipped = drawn("gaussian-noise", std=0.5), drawn("gaussian-noise", std=0.5, clip=True)
    assert (np.abs(free) > 1).mean() > 0.1
    np.testing.assert_array_equal(clipped, free.clip(-1, 1))


def test_a_share_of_the_pixels_is_salt_or_pepper():
    grey = Images("grey", np.full((200, 3, 16, 16), 100, np.uint8))
    corrupted = drawn("salt-and-pepper", grey, share=0.3)
    assert (corrupted == corrupted[:, :1]).all()  # all channels of a pixel
    white, black = int((corrupted[:, 0] == 1).sum()), int((corrupted[:, 0] == -1).sum())
    pixels = 200 * 256
    assert abs(white + black - 0.3 * pixels) < 4 * math.sqrt(pixels * 0.3 * 0.7)
    assert binomtest(white, white + black).pvalue > 1e-4
    rest = corrupted[np.abs(corrupted) < 1]
    np.testing.assert_allclose(rest, 100 / 127.5 - 1, rtol=0, atol=1.2e-7)
    hidden = (np.abs(corrupted[:, 0]) == 1).mean(0).std()  # over places, as of independent draws
    assert abs(hidden / math.sqrt(0.3 * 0.7 / 200) - 1) < 4 / math.sqrt(2 * 256)


def test_occlusion_is_a_grey_square_anywhere():
    black = Images("black", np.zeros((400, 1, 10, 16), np.uint8))
    corrupted = drawn("occlusion", black, side=0.4)[:, 0] == 0
    assert (corrupted.sum((1, 2)) == 16).all()
    down, across = corrupted.any(2), corrupted.any(1)
    assert (down.sum(1) == 4).all()
    assert (across.sum(1) == 4).all()
    for starts, places in ((down.argmax(1), 7), (across.argmax(1), 13)):
        counts = np.bincount(starts, minlength=places)
        assert len(counts) == places
        chi = ((counts - 400 / places) ** 2 / (400 / places)).sum()
        assert abs(chi - (places - 1)) < 4 * math.sqrt(2 * (places - 1))
    whole = drawn("occlusion", black, side=1.0)[:, 0] == 0
    assert (whole.sum((1, 2)) == 100).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows(channels: int):
    images = Images("some", PIXELS[:3, :channels])
    corrupted = drawn("jpeg", images, quality=20)
    for number in range(3):
        file = io.BytesIO()
        picture = PIXELS[number, 0] if channels == 1 else np.dstack(list(PIXELS[number]))
        Image.fromarray(picture).save(file, format="JPEG", quality=20)
        decoded = np.asarray(Image.open(file), dtype=float).reshape(16, 16, channels)
        for channel in range(channels):
            wanted = decoded[..., channel] / 127.5 - 1
            np.testing.assert_allclose(corrupted[number, channel], wanted, rtol=0, atol=1.2e-7)


def test_blur_is_a_convolution_with_a_gaussian():
    offsets = np.arange(-5, 6)  # 4 · 1.3, rounded
    line = np.exp(-(offsets**2) / (2 * 1.3**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    corrupted = drawn("blur", std=1.3)
    for channel in range(3):
        wanted = convolve(PIXELS[7, channel] / 127.5 - 1, kernel, mode="reflect")
        np.testing.assert_allclose(corrupted[7, channel], wanted, rtol=0, atol=1e-6)


def test_foreign_images_are_those_of_the_other_set():
    outliers = digits()
    grey = Images("grey", np.full((300, 1, 8, 8), 100, np.uint8))
    corrupted = drawn("foreign", grey)
    known = {points.tobytes(): number for number, points in enumerate(outliers.points().numpy())}
    numbers = [known[row.astype(np.float32).tobytes()] for row in corrupted]
    assert len(set(numbers)) > 200  # of 1,442, with replacement: 271 are expected
    large = drawn("foreign")
    wanted = Image.fromarray(outliers.pixels[_number_of(3, 5)][0]).resize((16, 16), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(large[5], np.stack([np.asarray(wanted) / 127.5 - 1] * 3), rtol=0, atol=1.2e-7)


def _number_of(seed: int, image: int) -> int:
    random = np.random.Generator(np.random.Philox(key=np.array([seed, image], np.uint64)))
    return int(random.integers(1442))


def test_foreign_images_come_from_a_folder_and_keep_their_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TOYLAB_CACHE", str(tmp_path / "cache"))
    colour = np.full((64, 64, 3), (250, 20, 130), np.uint8)
    (tmp_path / "others").mkdir()
    Image.fromarray(colour).save(tmp_path / "others" / "one.png")
    settings = {"images": "folder", "path": str(tmp_path / "others")}
    corrupted = drawn("foreign", **settings)
    np.testing.assert_allclose(corrupted.mean((0, 2, 3)), np.array([250, 20, 130]) / 127.5 - 1, atol=1e-6)
    luma = round(0.299 * 250 + 0.587 * 20 + 0.114 * 130)
    grey = drawn("foreign", Images("grey", PIXELS[:, :1]), **settings)
    np.testing.assert_allclose(grey, luma / 127.5 - 1, atol=1e-6)


def test_a_source_draws_with_replacement_and_knows_its_labels(generator: torch.Generator):
    noisy = source("gaussian-noise", fraction=0.5)
    assert isinstance(noisy, Labelled)
    assert (noisy.dim, noisy.shape, noisy.size, noisy.device) == (768, (3, 16, 16), 60, torch.device("cpu"))
    start = generator.get_state()
    batch = noisy.batch(500, generator)
    assert (batch.shape, batch.dtype) == ((500, 768), torch.float32)
    rows = {row.numpy().tobytes(): number for number, row in enumerate(noisy.rows(EVERY))}
    numbers = torch.tensor([rows[row.numpy().tobytes()] for row in batch])
    assert set(numbers.tolist()) == set(range(60))
    generator.set_state(start)
    points, labels = noisy.labelled_batch(500, generator)
    assert torch.equal(points, batch)
    assert torch.equal(labels, noisy.noisy[numbers])
    double = ImageSource(IMAGES, noisy.corruption, 3, dtype=torch.float64)
    assert torch.equal(double.rows(EVERY), noisy.rows(EVERY).double())


def test_pixels_are_not_changed():
    before = PIXELS.copy()
    for name in CORRUPTIONS:
        source(name).rows(EVERY)
    np.testing.assert_array_equal(before, PIXELS)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_have_a_range(seed: int):
    with pytest.raises(BadInput, match="seed must be between 0"):
        source("none", seed=seed)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_is_configurable_and_survives_a_round_trip(name: str):
    chosen = Corruption.model_validate(name)
    again = Corruption.model_validate(json.loads(chosen.model_dump_json()))
    assert again == chosen
    assert again.build() == chosen.build()


@pytest.mark.parametrize(
    ("corruption", "message"),
    [
        ("gaussian", "unknown corruption 'gaussian'; did you mean 'gaussian-noise'"),
        ({"name": "gaussian-noise", "fraction": 1.5}, "fraction: .*less than or equal to 1"),
        ({"name": "gaussian-noise", "std": -0.1}, "std: .*greater than or equal to 0"),
        ({"name": "gaussian-noise", "std": math.nan}, "std: .*finite"),
        ({"name": "gaussian-noise", "unit": "[0,255]"}, r"unit: .*'\[-1,1\]' or '\[0,1\]'"),
        ({"name": "gaussian-noise", "sigma": 1}, "unknown key 'sigma'"),
        ({"name": "salt-and-pepper", "share": 2}, "share: .*less than or equal to 1"),
        ({"name": "occlusion", "side": 0}, "side: .*greater than 0"),
        ({"name": "jpeg", "quality": 0}, "quality: .*greater than or equal to 1"),
        ({"name": "jpeg", "quality": 50.5}, "quality: .*integer"),
        ({"name": "blur", "std": -1.0}, "std: .*greater than or equal to 0"),
        ({"name": "none", "fraction": 0.5}, "unknown key 'fraction'"),
        ({"name": "foreign", "images": "cats"}, "unknown image set 'cats'"),
        ({"name": "foreign", "images": "folder"}, "'folder' needs its path"),
        ({"name": "foreign", "images": "digits", "path": "x"}, "'digits' is no file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(corruption, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        validate(Chosen, {"corruption": corruption})
    assert "\n" not in str(caught.value)


def test_what_is_wrong_is_said_in_python_as_well():
    with pytest.raises(BadInput, match=r"std: .*greater than or equal to 0"):
        CORRUPTIONS.load("gaussian-noise")(std=-1.0)
