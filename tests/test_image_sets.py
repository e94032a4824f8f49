"""Image data sets: the pixels that the files hold, prepared once, and one clear line for what is not there."""

import io
import json
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from sklearn.datasets import load_digits

from toylab.configuration import ImageSet, Settings, validate
from toylab.errors import BadInput
from toylab.images import cache, sets
from toylab.images.files import Preparation
from toylab.index import IMAGE_SETS

HUB = {name: IMAGE_SETS.load(name) for name in ("cifar10", "celeba", "lsun-bedroom", "butterflies")}


class Chosen(Settings):
    images: ImageSet


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches of its own, and no network."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setenv("TOYLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def noise(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """A picture (H, W, C) of which no two pixels are related."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(picture: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(file, kind, **options)
    return file.getvalue()


def table(path: Path, columns: dict[str, list]) -> Path:
    """A parquet file of encoded images, {bytes, path} as the hub has them, and of other columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {n: [{"bytes": v, "path": None} if isinstance(v, bytes) else v for v in c] for n, c in columns.items()}
    pq.write_table(pa.table(data), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two classes, with three and two images of 8 x 8 x 3 pixels."""
    for number in range(5):
        file = tmp_path / "pictures" / ("ants" if number < 3 else "bees") / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(noise(number)))
    (tmp_path / "pictures" / "notes.txt").write_text("not an image")
    (tmp_path / "pictures" / ".hidden.png").write_text("not an image")
    return tmp_path / "pictures"


def expected(*numbers: int) -> np.ndarray:
    return np.stack([noise(number).transpose(2, 0, 1) for number in numbers])


def test_digits_are_scikit_learns_split_within_classes():
    grey, labels = load_digits(return_X_y=True)
    train, test = sets.digits("train"), sets.digits("test")
    assert (len(train), len(test)) == (1442, 355)
    assert train.shape == (1, 8, 8)
    both = np.concatenate([train.pixels, test.pixels]).reshape(1797, 64)
    back = np.round(both * (16 / 255))  # all 17 grey values are told apart
    assert sorted(map(bytes, back.astype(np.uint8))) == sorted(map(bytes, grey.astype(np.uint8)))
    np.testing.assert_array_equal(np.bincount(test.labels), np.bincount(labels) // 5)
    assert train.name.startswith("digits train 1x8x8 sha256:")
    assert train.name != test.name
    assert sets.digits("train").name == train.name


def test_larger_digits_are_bilinear():
    small, large = sets.digits("test"), sets.digits("test", size=32, channels=3)
    assert large.shape == (3, 32, 32)
    assert (large.pixels == large.pixels[:, :1]).all()
    for number in range(3):
        grey = Image.fromarray(np.round(small.pixels[number, 0] * (16 / 255)).astype(np.float32))
        wanted = np.asarray(grey.resize((32, 32), Image.Resampling.BILINEAR)) * (255 / 16)
        assert np.abs(large.pixels[number, 0] - wanted).max() <= 0.5 + 1e-3  # rounded


def test_points_are_flat_between_minus_one_and_one():
    pixels = np.arange(2 * 3 * 8 * 16).reshape(2, 3, 8, 16).astype(np.uint8)  # every value
    images = sets.Images("all values", pixels)
    assert (len(images), images.shape, images.dim) == (2, (3, 8, 16), 384)
    points = images.points()
    assert (points.shape, points.dtype) == ((2, 384), torch.float32)
    wanted = torch.from_numpy(pixels.reshape(2, -1) / 127.5 - 1)
    torch.testing.assert_close(points.double(), wanted, rtol=0.0, atol=1.2e-7)
    assert (points.min(), points.max()) == (-1.0, 1.0)
    assert torch.equal(images.points(torch.tensor([1, 0, 1])), points[[1, 0, 1]])


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((2, 3, 4, 4)), None, "must be uint8"),
        (np.zeros((2, 2, 4, 4), np.uint8), None, "1 or 3"),
        (np.zeros((0, 3, 4, 4), np.uint8), None, "of shape"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(3, int), "labels must be 2 integers"),
        (np.zeros((2, 3, 4, 4), np.uint8), np.zeros(2), "labels must be 2 integers"),
    ],
)
def test_images_must_be_pixels(pixels: np.ndarray, labels: np.ndarray | None, message: str):
    with pytest.raises(BadInput, match=message):
        sets.Images("bad", pixels, labels)


def test_a_folder_is_read_in_order_with_its_folders_as_labels(pictures: Path):
    images = sets.folder(str(pictures), size=8)
    np.testing.assert_array_equal(images.pixels, expected(0, 1, 2, 3, 4))
    np.testing.assert_array_equal(images.labels, [0, 0, 0, 1, 1])
    bees = sets.folder(str(pictures), split="bees", size=8)
    np.testing.assert_array_equal(bees.pixels, expected(3, 4))
    assert bees.labels is None
    grey = sets.folder(str(pictures), size=8, channels=1)
    assert grey.shape == (1, 8, 8)
    luma = np.tensordot([0.299, 0.587, 0.114], images.pixels, (0, 1))  # ITU-R BT.601
    assert np.abs(grey.pixels[:, 0] - luma).max() < 1


def test_the_centre_is_cropped_and_nothing_bleeds_in(tmp_path: Path):
    picture = np.zeros((20, 32, 3), np.uint8)
    picture[2:18, 8:24] = (10, 200, 90)
    (tmp_path / "one.png").write_bytes(encoded(picture))
    whole = sets.folder(str(tmp_path), size=4, crop=16)
    assert (whole.pixels == np.array([10, 200, 90])[:, None, None]).all()
    largest = sets.folder(str(tmp_path), size=20)
    np.testing.assert_array_equal(largest.pixels[0], picture[:, 6:26].transpose(2, 0, 1))


def test_resizing_is_antialiased_and_bicubic(tmp_path: Path):
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    (tmp_path / "board.png").write_bytes(encoded(np.stack([board] * 3, -1).astype(np.uint8)))
    small = sets.folder(str(tmp_path), size=16).pixels[0, :, 2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127.5).max() <= 1  # what is nearest alone would be black or white
    (tmp_path / "board.png").write_bytes(encoded(noise(0, 16, 16)))
    pixels = sets.folder(str(tmp_path), size=4).pixels[0]
    reach = 2.0 * 4  # the kernel a = -1/2 of Keys 1981, stretched by 16 / 4
    at = (np.arange(4)[:, None] + 0.5) * 4 - (np.arange(16) + 0.5)
    z = np.abs(at) / 4
    kernel = np.where(z < 1, 1.5 * z**3 - 2.5 * z**2 + 1, -0.5 * z**3 + 2.5 * z**2 - 4 * z + 2) * (np.abs(at) < reach)
    kernel /= kernel.sum(1, keepdims=True)
    wanted = np.einsum("ih,hwc,jw->cij", kernel, noise(0, 16, 16).astype(float), kernel)
    assert np.abs(pixels - wanted.clip(0, 255)).max() <= 1.01  # rounded after each direction


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    (tmp_path / "turned.png").write_bytes(encoded(noise(0), exif=exif))
    pixels = sets.folder(str(tmp_path), size=8).pixels[0]
    np.testing.assert_array_equal(pixels, np.rot90(noise(0), -1).transpose(2, 0, 1))


def test_a_parquet_file_is_read_with_its_only_column_of_images(tmp_path: Path):
    file = table(tmp_path / "a.parquet", {"id": ["x", "y"], "picture": [encoded(noise(1)), encoded(noise(0))]})
    images = sets.parquet(str(file), size=8)
    np.testing.assert_array_equal(images.pixels, expected(1, 0))
    assert images.labels is None


def test_parquet_files_of_a_split_as_datasets_writes_them(tmp_path: Path):
    from datasets import Dataset, Features, Value
    from datasets import Image as ImageFeature

    features = Features({"image": ImageFeature(), "class": Value("int32")})
    for split, number in (("train", 0), ("train", 1), ("test", 2)):
        rows = {"image": [{"bytes": encoded(noise(number)), "path": None}], "class": [7 * number]}
        total = 2 if split == "train" else 1
        name = f"{split}-{number % 2:05}-of-{total:05}.parquet"
        Dataset.from_dict(rows, features).to_parquet(tmp_path / "data" / name)
    train = sets.parquet(str(tmp_path), "train", 8, label="class")
    np.testing.assert_array_equal(train.pixels, expected(0, 1))
    np.testing.assert_array_equal(train.labels, [0, 7])
    np.testing.assert_array_equal(sets.parquet(str(tmp_path), "test", 8).pixels, expected(2))
    assert len(sets.parquet(str(tmp_path), size=8)) == 3
    (tmp_path / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(BadInput, match=r"has 1 of the 2 files of which train-00000-of-00002.parquet is one"):
        sets.parquet(str(tmp_path), "train", 8)


def one(content: bytes | str | None, label: object = 0) -> dict[str, list]:
    return {"image": [encoded(noise(0)), content], "label": [0, label]}


def twice(path: Path) -> Path:
    for name in "xy":
        table(path / name / "train.parquet", one(None))
    return path


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        ({"a": [encoded(noise(0))], "b": [encoded(noise(0))]}, {}, "2 columns of images: column= must say which: a, b"),
        ({"label": [3]}, {}, "0 columns of images"),
        (one(encoded(noise(0))), {"column": "img"}, "no column 'img'; it has image, label"),
        (one(encoded(noise(0))), {"label": "class"}, "no column 'class'"),
        ({"image": [encoded(noise(0))], "name": ["ant"]}, {"label": "name"}, "row 0, has the label 'ant'"),
        (one(None), {}, "a.parquet, row 1, has no bytes"),
        (one(b"GIF89a"), {}, "a.parquet, row 1, "),
        (one(b"not an image"), {}, "row 1, is no image of a known format"),
        (one(encoded(noise(0, 64, 64))[:-500]), {}, "row 1, cannot be read: .*truncated"),
        (one(encoded(noise(0, 6, 8))), {}, "row 1, is 8x6 pixels: no crop of 6 to 8"),
        (one(encoded(noise(0), "ICO")), {}, "row 1, is no image of a known format"),
        (one(encoded(noise(0, channels=1).astype(np.uint16))), {}, "row 1, has pixels of mode I;16"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_in_one_line(tmp_path: Path, columns, settings, message: str):
    file = table(tmp_path / "a.parquet", columns)
    with pytest.raises(BadInput, match=message) as caught:
        sets.parquet(str(file), size=8, **settings)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(cache.root().iterdir()) == []  # nothing half made stays


def test_damaged_files_and_bombs_are_named(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    with pytest.raises(BadInput, match=r"broken.parquet cannot be read: "):
        sets.parquet(str(broken))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)  # 64 are more than twice as many
    with pytest.raises(BadInput, match=r"ants/0.png cannot be read: .*decompression bomb"):
        sets.folder(str(pictures), size=8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda path: sets.folder(str(path / "none")), "neither a folder nor a parquet file"),
        (
            lambda path: sets.folder(str(path), split="wasps"),
            r"wasps-\*.parquet and images below wasps/; it has neither",
        ),
        (lambda path: sets.parquet(str(path)), "read by the image set folder"),
        (lambda path: sets.folder(str(table(path / "x" / "a.parquet", one(None)).parent)), "by the image set parquet"),
        (lambda path: sets.folder(str(table(path / "a.parquet", one(None)).parent)), "it has both"),
        (
            lambda path: sets.parquet(str(twice(path)), "train"),
            "in several folders",
        ),
        (lambda path: sets.folder(str(path), size=0), "size: .*greater than or equal to 1"),
        (lambda path: sets.digits("validation"), "split: .*'train' or 'test'"),
        (lambda path: sets.digits(size=9), "size: .*8, 16 or 32"),
        (lambda path: sets.celeba(crop=-1), "crop: .*greater"),
    ],
)
def test_what_cannot_be_read_is_said(pictures: Path, call, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        call(pictures)
    assert "\n" not in str(caught.value)


def test_images_are_prepared_once_and_mapped(pictures: Path, monkeypatch: pytest.MonkeyPatch):
    first = sets.folder(str(pictures), size=8)
    monkeypatch.setattr(Preparation, "__call__", None)
    again = sets.folder(str(pictures), size=8)
    assert isinstance(again.pixels, np.memmap)
    assert not again.pixels.flags.writeable
    assert again.name == first.name
    np.testing.assert_array_equal(again.pixels, expected(0, 1, 2, 3, 4))
    np.testing.assert_array_equal(again.labels, first.labels)


def test_other_files_or_another_preparation_are_prepared_anew(pictures: Path):
    names = {sets.folder(str(pictures), size=8).name, sets.folder(str(pictures), size=4).name}
    names.add(sets.folder(str(pictures), size=4, crop=6).name)
    (pictures / "ants" / "0.png").write_bytes(encoded(noise(9)))
    changed = sets.folder(str(pictures), size=8)
    np.testing.assert_array_equal(changed.pixels[0], noise(9).transpose(2, 0, 1))
    assert len({*names, changed.name}) == 4


def _cut(folder: Path) -> None:
    data = (folder / "pixels.npy").read_bytes()
    (folder / "pixels.npy").write_bytes(data[:-1])


def _relabelled(folder: Path) -> None:
    np.save(folder / "labels.npy", np.array([{}] * 5), allow_pickle=True)


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _relabelled,
        lambda folder: np.save(folder / "labels.npy", np.zeros(4, int)),
        lambda folder: (folder / "about.json").write_text("{"),
        lambda folder: (folder / "labels.npy").unlink(),
        lambda folder: (folder / "pixels.npy").write_bytes(b""),
    ],
)
def test_a_damaged_entry_of_the_cache_is_made_anew(pictures: Path, damage):
    name = sets.folder(str(pictures), size=8).name
    (entry,) = cache.root().iterdir()
    damage(entry)
    images = sets.folder(str(pictures), size=8)
    assert images.name == name
    np.testing.assert_array_equal(images.pixels, expected(0, 1, 2, 3, 4))
    np.testing.assert_array_equal(images.labels, [0, 0, 0, 1, 1])
    assert list(cache.root().iterdir()) == [entry]


def test_what_is_stopped_is_not_taken_for_whole():
    def stopped():
        yield np.zeros((1, 2, 2), np.uint8), 0
        raise KeyboardInterrupt

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        cache.stored("entry", stopped, seen.append)
    assert seen == [1]
    assert list(cache.root().iterdir()) == []
    with pytest.raises(BadInput, match="no images"):
        cache.stored("entry", lambda: iter(()))
    entry = cache.stored("entry", lambda: [(np.full((1, 2, 2), 7, np.uint8), None)] * 1000)
    assert entry.pixels.shape == (1000, 1, 2, 2)
    assert (entry.pixels == 7).all()
    assert entry.labels is None


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOYLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match=r"cannot keep prepared images in .*file/images"):
        sets.folder(str(pictures), size=8)


@pytest.mark.parametrize("name", HUB)
def test_a_missing_data_set_is_one_line_that_says_what_to_do(name: str):
    repository = {"cifar10": "uoft-cs/cifar10", "celeba": "flwrlabs/celeba", "lsun-bedroom": "pcuenq/lsun-bedrooms"}
    hub = repository.get(name, "huggan/smithsonian_butterflies_subset")
    with pytest.raises(BadInput) as caught:
        HUB[name]()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{name} is not on this machine: get its train split by download=true")
    assert f"`hf download {hub} --repo-type dataset --include '*train-*.parquet'`" in line
    assert "path=" in line
    with pytest.raises(BadInput, match=f"{name} cannot be downloaded from {hub}: ") as caught:
        HUB[name](download=True)
    assert "\n" not in str(caught.value)


def test_a_set_of_the_hub_is_read_from_the_hubs_cache(tmp_path: Path):
    rows = {"img": [encoded(noise(n, 32, 32)) for n in range(3)], "label": [5, 0, 9]}
    hub = tmp_path / "hub" / "datasets--uoft-cs--cifar10"
    table(hub / "snapshots" / "abc" / "plain_text" / "train-00000-of-00001.parquet", rows)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("abc")
    images = sets.cifar10()
    assert images.shape == (3, 32, 32)
    np.testing.assert_array_equal(images.pixels[2], noise(2, 32, 32).transpose(2, 0, 1))
    np.testing.assert_array_equal(images.labels, [5, 0, 9])
    with pytest.raises(BadInput, match=r"test-\*.parquet"):
        sets.cifar10("test")
    with pytest.raises(BadInput, match="--revision v9 --include"):
        sets.cifar10(hub="uoft-cs/cifar10@v9")


def test_a_set_of_the_hub_is_read_from_a_copy(tmp_path: Path):
    face = np.zeros((218, 178, 3), np.uint8)
    face[20:198] = 120  # what the largest centred square holds
    face[45:173, 25:153] = 240  # what one of 128 holds
    (tmp_path / "valid").mkdir()
    (tmp_path / "valid" / "000001.png").write_bytes(encoded(face))
    images = sets.celeba("valid", path=str(tmp_path))
    assert images.shape == (3, 64, 64)
    assert (images.pixels >= 110).all()  # the filter overshoots a little
    assert images.pixels[..., 0].max() <= 130
    assert (sets.celeba("valid", crop=128, path=str(tmp_path)).pixels == 240).all()
    with pytest.raises(BadInput, match="images below train/; it has neither"):
        sets.celeba(path=str(tmp_path))


@pytest.mark.parametrize("download", [False, True])
def test_the_network_is_used_to_download_alone(monkeypatch: pytest.MonkeyPatch, download: bool):
    asked: list[bool] = []

    def spy(repository: str, *, local_files_only: bool, **options: object) -> str:
        asked.append(local_files_only)
        raise FileNotFoundError

    monkeypatch.setattr("huggingface_hub.snapshot_download", spy)
    with pytest.raises(BadInput):
        sets.cifar10(download=download)
    assert asked == [not download]


@pytest.mark.parametrize("name", [n for n in IMAGE_SETS if n not in ("folder", "parquet")])
def test_every_set_is_configurable_without_being_read(name: str):
    chosen = ImageSet.model_validate(name)
    assert ImageSet.model_validate(json.loads(chosen.model_dump_json())) == chosen
    assert chosen.parameters["split"] == "train"


def test_a_chosen_set_is_read_when_it_is_built(pictures: Path):
    values = {"images": {"name": "folder", "path": str(pictures), "size": 8}}
    assert len(validate(Chosen, values).images.build()) == 5


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("digitz", "images: unknown image set 'digitz'; did you mean 'digits'"),
        ({"name": "digits", "size": 7}, "size: Input should be 8, 16 or 32 .*7"),
        ({"name": "celeba", "split": "all"}, "split: .*'train', 'valid' or 'test'"),
        ({"name": "cifar10", "size": 64}, "unknown key 'size'"),
        ({"name": "cifar10", "download": 1}, "download: .*boolean"),
        ({"name": "folder"}, "path: Field required"),
        ({"name": "folder", "path": "x", "size": 100_000}, "size: .*less than or equal to 1024"),
        ({"name": "parquet", "path": ""}, "path: .*at least 1 character"),
    ],
)
def test_parameters_are_checked_before_anything_is_read(images, message: str):
    with pytest.raises(BadInput, match=message) as caught:
        validate(Chosen, {"images": images})
    assert "\n" not in str(caught.value)
