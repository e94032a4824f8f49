"""Image files, wherever they are, as rows of bytes; and a row as pixels.

Found are parquet files with a column of images, as the Hugging Face hub has them, or folders of image files. Nothing
here uses the network unless it is told to download.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from toylab.errors import BadInput, one_line

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no format that starts another program
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}  # of 8 bits a channel
_SHARD = re.compile(r"-(\d+)-of-(\d+)")


class Row(NamedTuple):
    """An image as it was found. where: for messages; content: its file, or the bytes of one."""

    where: str
    content: Path | io.BytesIO
    label: int | None


class Found(NamedTuple):
    """The files of a data set, in the order of their names below `root`: image files, or parquet files."""

    root: Path
    files: list[Path]

    @property
    def tables(self) -> bool:
        return self.files[0].suffix == ".parquet"


@dataclass(frozen=True)
class Preparation:
    """From an image file to pixels (channels, size, size): turned as its EXIF says, converted to RGB or grey, cut to
    the centred square of `crop` pixels (0: the largest), and resized by Pillow's antialiased bicubic filter (why that
    one: arXiv:2104.11222)."""

    size: int
    crop: int = 0
    channels: int = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.size, self.size

    def __call__(self, row: Row) -> np.ndarray:
        """Its pixels, uint8. Raises BadInput, naming the row, for what is damaged or too small: nothing is enlarged."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        try:
            with Image.open(row.content, formats=_FORMATS) as image:
                if image.mode not in _MODES:
                    raise BadInput(f"{row.where} has pixels of mode {image.mode}; read are those of 8 bits a channel")
                whole = ImageOps.exif_transpose(image).convert("RGB" if self.channels == 3 else "L")
        except BadInput:
            raise
        except UnidentifiedImageError:
            raise BadInput(f"{row.where} is no image of a known format: {', '.join(_FORMATS)}") from None
        except Exception as error:  # whatever a damaged file, or one made to harm, raises
            raise BadInput(f"{row.where} cannot be read: {one_line(error)}") from None
        side = self.crop or min(whole.size)
        if not self.size <= side <= min(whole.size):
            size = "x".join(map(str, whole.size))
            raise BadInput(f"{row.where} is {size} pixels: no crop of {side} to {self.size}, as nothing is enlarged")
        left, top = ((length - side) // 2 for length in whole.size)
        square = whole.crop((left, top, left + side, top + side))
        if side != self.size:
            square = square.resize((self.size, self.size), Image.Resampling.BICUBIC)
        return np.asarray(square).reshape(self.size, self.size, self.channels).transpose(2, 0, 1)


def found(path: Path, split: str) -> Found:
    """The files of a split at `path`: a parquet file; or, of a folder, SPLIT-*.parquet, or what is below SPLIT/ ("all":
    below the folder), parquet files or images. Raises BadInput for none, both, or not all of a numbered series."""
    if path.is_file() and path.suffix == ".parquet":
        return Found(path.parent, [path])
    if not path.is_dir():
        raise BadInput(f"{path} is neither a folder nor a parquet file")
    below = _below(path)
    everything = split == "all"
    root = path if everything else path / split
    tables = [f for f in below if f.suffix == ".parquet"]
    tables = [f for f in tables if f.is_relative_to(root) or f.stem.partition("-")[0] == split]
    images = [f for f in below if f.suffix.lower() in _SUFFIXES and f.is_relative_to(root)]
    if bool(tables) == bool(images):
        wanted = "*.parquet and images" if everything else f"{split}-*.parquet and images below {split}/"
        raise BadInput(f"{path} must have one of {wanted}; it has {'both' if tables else 'neither'}")
    if tables:
        _check_whole(path, tables)
    return Found(path, tables) if tables else Found(root, images)


def _below(path: Path) -> list[Path]:
    """All files, in the order of their names, but hidden ones."""
    named = [(f.relative_to(path), f) for f in path.rglob("*") if f.is_file()]
    return [f for name, f in sorted(named) if not any(part.startswith(".") for part in name.parts)]


def _check_whole(path: Path, tables: list[Path]) -> None:
    if len({table.parent for table in tables}) > 1:
        raise BadInput(f"{path} has parquet files in several folders: give the path of one of them")
    for table in tables:
        shard = _SHARD.search(table.stem)
        have = sum(shard is not None and t.stem.startswith(table.stem[: shard.start()]) for t in tables)
        if shard and int(shard[2]) != have:
            raise BadInput(f"{path} has {have} of the {int(shard[2])} files of which {table.name} is one")


def downloaded(name: str, hub: str, split: str, download: bool) -> Path:
    """The folder in which the Hugging Face hub's own cache has the parquet files of a split of `hub`, "owner/name" or
    "owner/name@revision". The network is used only to download. Raises BadInput with what to do where it is missing."""
    from huggingface_hub import snapshot_download

    repository, _, revision = hub.partition("@")
    pattern = f"*{split}-*.parquet"
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision or None, allow_patterns=pattern,
            local_files_only=not download,
        )  # fmt: skip
    except Exception as error:  # of several libraries, by version: no such copy, no network, no such data set
        if download:
            raise BadInput(f"{name} cannot be downloaded from {hub}: {one_line(error)}") from None
        version = f" --revision {revision}" if revision else ""
        command = f"hf download {repository} --repo-type dataset{version} --include '{pattern}'"
        raise BadInput(
            f"{name} is not on this machine: get its {split} split by download=true or by `{command}`, or give a copy "
            f"of it as path=, a parquet file, or a folder with {split}-*.parquet or with images below {split}/"
        ) from None
    return Path(folder)


def image_rows(source: Found) -> Iterator[Row]:
    """Of a folder: labelled, where all images are in folders, by the number of the first folder in their order."""
    names = [file.relative_to(source.root).parts for file in source.files]
    classes = sorted({parts[0] for parts in names})
    labelled = all(len(parts) > 1 for parts in names)
    for file, parts in zip(source.files, names, strict=True):
        yield Row(str(file), file, classes.index(parts[0]) if labelled else None)


def table_rows(source: Found, column: str = "", label: str = "") -> Iterator[Row]:
    """Of parquet files. column: of images ("": the only one there is); label: of integers ("": none). One row group is
    in memory at a time. Raises BadInput for other columns and for damaged files, naming file and row."""
    for file in source.files:
        try:
            yield from _rows(file, column, label)
        except BadInput:
            raise
        except Exception as error:  # whatever a damaged file raises
            raise BadInput(f"{file} cannot be read: {one_line(error)}") from None


def _rows(file: Path, column: str, label: str) -> Iterator[Row]:
    from datasets import Image
    from datasets.io.parquet import ParquetDatasetReader  # load_dataset would tell the hub, and copy all to the disk

    features = ParquetDatasetReader(str(file), streaming=True).read().features
    column = column or _only_image(file, features)
    for name in filter(None, (column, label)):
        if name not in features:
            raise BadInput(f"{file} has no column '{name}'; it has {', '.join(features)}")
    columns = list(dict.fromkeys(filter(None, (column, label))))
    table = ParquetDatasetReader(str(file), streaming=True, columns=columns).read()
    if isinstance(features[column], Image):
        table = table.cast_column(column, Image(decode=False))
    for number, row in enumerate(table):
        where = f"{file}, row {number},"
        yield Row(where, _content(row[column], where), _label(row[label], where) if label else None)


def _only_image(file: Path, features: dict[str, Any]) -> str:
    from datasets import Image

    images = [n for n, kind in features.items() if isinstance(kind, Image) or _is_bytes(kind)]
    if len(images) != 1:
        raise BadInput(f"{file} has {len(images)} columns of images: column= must say which: {', '.join(features)}")
    return images[0]


def _is_bytes(kind: Any) -> bool:
    kind = kind.get("bytes") if isinstance(kind, dict) else kind
    return getattr(kind, "dtype", None) in {"binary", "large_binary"}


def _content(value: Any, where: str) -> io.BytesIO:
    value = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(value, bytes):
        raise BadInput(f"{where} has no bytes of an image in it")
    return io.BytesIO(value)


def _label(value: Any, where: str) -> int:
    if not isinstance(value, int):
        raise BadInput(f"{where} has the label {str(value)[:60]!r}; labels must be integers")
    return value
