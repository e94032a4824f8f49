"""Image data sets, each a function with parameters that returns `Images`.

What a parameter may be is its annotation, checked wherever a set is called. Sets of the Hugging Face hub are read from
its cache on this machine, or from `path`: a parquet file, or a folder with SPLIT-*.parquet, or with images or parquet
files below SPLIT/. The network is used with download=True alone. Images in files are prepared once (files.py says how)
and kept, to be read through a memory map (cache.py).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from toylab.configuration.settings import parameters_of, validate
from toylab.errors import BadInput
from toylab.images.cache import on_terminal, stored
from toylab.images.files import Found, Preparation, downloaded, found, image_rows, table_rows

_VERSION = 1  # of how images are prepared; another one prepares all anew
_TEST = 5  # one digit in five of a class is for testing
Split = Literal["train", "test"]
Size = Annotated[int, Field(ge=1, le=1024)]
Crop = Annotated[int, Field(ge=0, le=16_384)]
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, eq=False)
class Images:
    """A data set in memory or in a memory map.

    name: what was read: set, split, shape, and the beginning of the SHA-256 of all pixels; pixels: (N, C, H, W) uint8;
    labels: (N,) integers, or None. Raises BadInput for anything else.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = self.pixels.shape
        if self.pixels.dtype != np.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape:
            raise BadInput(f"pixels must be uint8 of shape (N, 1 or 3, H, W), not {self.pixels.dtype} of {shape}")
        if self.labels is not None and (self.labels.shape != shape[:1] or self.labels.dtype.kind not in "iu"):
            raise BadInput(f"labels must be {shape[0]} integers, not {self.labels.dtype} of {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @property
    def dim(self) -> int:
        """C·H·W."""
        channels, height, width = self.shape
        return channels * height * width

    def points(self, index: Tensor | None = None) -> Tensor:
        """All images, or those of `index` (n,): pixel/127.5 - 1, flat (n, dim), float32 on the CPU, in [-1, 1]."""
        chosen = self.pixels if index is None else self.pixels[index.numpy(force=True)]
        return torch.from_numpy(scaled(chosen).reshape(len(chosen), -1))


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Of uint8 pixels: pixel/127.5 - 1, float32."""
    points = np.divide(pixels, 127.5, dtype=np.float32)
    points -= 1
    return points


def digits(split: Split = "train", size: Literal[8, 16, 32] = 8, channels: Literal[1, 3] = 1) -> Images:
    """scikit-learn's 1,797 handwritten digits (UCI, Alpaydin and Kaynak 1998), which need no network.

    Every fifth of a class, in scikit-learn's order, is for testing: 355 images, and 1,442 for training. Their grey
    values 0 ... 16 become 0 ... 255, rounded; size: 8, or bilinearly enlarged; channels: 3 repeats the one.
    """
    _check(digits, locals())
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    rank = np.zeros_like(labels)
    for label in range(10):
        rank[labels == label] = np.arange((labels == label).sum())
    chosen = (rank % _TEST == _TEST - 1) == (split == "test")
    small = torch.from_numpy(grey[chosen]).reshape(-1, 1, 8, 8) * (255 / 16)
    large = torch.nn.functional.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    pixels = large.round().to(torch.uint8).expand(-1, channels, -1, -1).numpy(force=True)
    pixels = np.ascontiguousarray(pixels)
    return _images("digits", split, pixels, labels[chosen], hashlib.sha256(pixels.tobytes()).hexdigest())


def cifar10(split: Split = "train", path: str = "", download: bool = False, hub: Text = "uoft-cs/cifar10") -> Images:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 images of 3 x 32 x 32, labelled 0 ... 9.

    On the hub in columns img and label; 120 MB and 24 MB.
    """
    _check(cifar10, locals())
    files = _files("cifar10", split, path, hub, download)
    return _prepared("cifar10", split, files, Preparation(32), label="label")


def celeba(
    split: Literal["train", "valid", "test"] = "train",
    size: Literal[32, 64, 128] = 64,
    crop: Crop = 178,
    path: str = "",
    download: bool = False,
    hub: Text = "flwrlabs/celeba",
) -> Images:
    """CelebA (Liu et al. 2015), aligned: 162,770, 19,867 and 19,962 faces of 178 x 218 pixels.

    crop: side of the centred square that is resized, 178 the largest; smaller ones are in use, and FIDs depend on it.
    On the hub in column image, about 11 GB; CelebA's terms allow research that is not commercial.
    """
    _check(celeba, locals())
    files = _files("celeba", split, path, hub, download)
    return _prepared("celeba", split, files, Preparation(size, crop))


def lsun_bedroom(
    split: Split = "train",
    size: Literal[64, 256] = 64,
    path: str = "",
    download: bool = False,
    hub: Text = "pcuenq/lsun-bedrooms",
) -> Images:
    """LSUN bedrooms (arXiv:1506.03365), the largest centred square.

    On the hub, in column image, is a sample, 287,968 and 15,157 of the 3 million images, in a split that is not LSUN's:
    4.8 GB. The whole set, unpacked to images or to parquet files, is read from `path`.
    """
    _check(lsun_bedroom, locals())
    files = _files("lsun-bedroom", split, path, hub, download)
    return _prepared("lsun-bedroom", split, files, Preparation(size))


def butterflies(
    split: Literal["train"] = "train",
    size: Literal[32, 64, 128, 256] = 64,
    path: str = "",
    download: bool = False,
    hub: Text = "huggan/smithsonian_butterflies_subset",
) -> Images:
    """1,000 butterflies of the Smithsonian, the largest centred square; on the hub in column image, 237 MB."""
    _check(butterflies, locals())
    files = _files("butterflies", split, path, hub, download)
    return _prepared("butterflies", split, files, Preparation(size))


def folder(path: Text, split: Text = "all", size: Size = 64, crop: Crop = 0, channels: Literal[1, 3] = 3) -> Images:
    """Image files below a folder, or below its folder `split`, in the order of their names; the folders in which they
    are, where all are in one, are their labels. crop: side of the centred square, 0 the largest."""
    _check(folder, locals())
    files = found(Path(path).expanduser(), split)
    if files.tables:
        raise BadInput(f"{path} has parquet files: those are read by the image set parquet")
    return _prepared("folder", split, files, Preparation(size, crop, channels))


def parquet(
    path: Text,
    split: Text = "all",
    size: Size = 64,
    channels: Literal[1, 3] = 3,
    column: str = "",
    label: str = "",
) -> Images:
    """Images in a parquet file, or in those of a folder: all, or SPLIT-*.parquet; the largest centred square.

    column: of encoded images, bytes or {bytes, path} as the hub has them ("": the only one); label: of integers.
    """
    _check(parquet, locals())
    files = found(Path(path).expanduser(), split)
    if not files.tables:
        raise BadInput(f"{path} has image files: those are read by the image set folder")
    return _prepared("parquet", split, files, Preparation(size, channels=channels), column, label)


def _files(name: str, split: str, path: str, hub: str, download: bool) -> Found:
    return found(Path(path).expanduser() if path else downloaded(name, hub, split, download), split)


def _check(definition: Callable[..., Images], values: Mapping[str, Any]) -> None:
    """Parameters against the annotations of their definition; BadInput says which is wrong."""
    validate(parameters_of(definition, 0), values)


def _prepared(
    name: str, split: str, files: Found, preparation: Preparation, column: str = "", label: str = ""
) -> Images:
    def images() -> Any:
        rows = table_rows(files, column, label) if files.tables else image_rows(files)
        return ((preparation(row), row.label) for row in rows)

    shape = "x".join(map(str, preparation.shape))
    stamp = _stamp(files, [_VERSION, asdict(preparation), column, label])
    entry = stored(f"{name}-{split}-{shape}-{stamp}", images, on_terminal(f"{name} {split}"))
    return _images(name, split, entry.pixels, entry.labels, entry.digest)


def _stamp(files: Found, how: list[Any]) -> str:
    """What tells one preparation of these files from all others: their names, sizes and times of change."""
    facts: list[Any] = [how, str(files.root.resolve())]
    for file in files.files:
        status = file.stat()
        facts.append((str(file.relative_to(files.root)), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _images(name: str, split: str, pixels: np.ndarray, labels: np.ndarray | None, digest: str) -> Images:
    shape = "x".join(map(str, pixels.shape[1:]))
    return Images(f"{name} {split} {shape} sha256:{digest[:12]}", pixels, labels)
