"""Prepared images on the disk: decoded, cropped and resized once, from then on read through a memory map.

An entry is a folder below $TOYLAB_CACHE/images (TOYLAB_CACHE is ~/.cache/toylab where it is not set): pixels.npy, uint8
(N, C, H, W), labels.npy where there are labels, and about.json. It is written under a name that begins with a dot, and
renamed when it is whole and on the disk: what a killed process leaves is never read, and can be deleted.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import numpy as np

from toylab.errors import BadInput, one_line

Progress: TypeAlias = Callable[[int], None]
"""Told how many images are prepared."""


class Stored(NamedTuple):
    """An entry. pixels: a read-only memory map; labels: (N,) int64; digest: SHA-256 of the pixels."""

    pixels: np.ndarray
    labels: np.ndarray | None
    digest: str


def cache_folder() -> Path:
    """Where toylab keeps what it made once for all runs: TOYLAB_CACHE, or ~/.cache/toylab."""
    return Path(os.environ.get("TOYLAB_CACHE") or Path.home() / ".cache" / "toylab")


def root() -> Path:
    """Where entries are."""
    return cache_folder() / "images"


def stored(
    name: str, images: Callable[[], Iterable[tuple[np.ndarray, int | None]]], progress: Progress | None = None
) -> Stored:
    """The entry called `name`; where there is none, or one that is not whole, it is made of images(): pixels (C, H, W)
    with a label or None, one in memory at a time. Raises BadInput where it cannot be written, or is empty."""
    folder = root() / name
    entry = _opened(folder)
    if entry is None:
        _make(folder, images(), progress or (lambda done: None))
        entry = _opened(folder)
    if entry is None:
        raise BadInput(f"{folder} changed while it was written")
    return entry


def on_terminal(what: str) -> Progress:
    """Progress once a second on a line of standard error, where that is a terminal."""
    start = last = time.monotonic()

    def say(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if sys.stderr.isatty() and now - last > 1:
            last = now
            print(f"\rpreparing {what}: {done:,} images, {done / (now - start):,.0f}/s", end="\033[K", file=sys.stderr)

    return say


def _opened(folder: Path) -> Stored | None:
    """An entry that is whole: as many bytes and labels as were written."""
    try:
        about = json.loads((folder / "about.json").read_text())
        pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)  # ValueError where it is cut short
        labels = np.load(folder / "labels.npy", allow_pickle=False) if about["labelled"] else None
        entry = Stored(pixels, labels, str(about["sha256"]))
        whole = pixels.dtype == np.uint8 and list(pixels.shape) == about["shape"]
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None
    return entry if whole and (labels is None or labels.shape == pixels.shape[:1]) else None


def _make(folder: Path, images: Iterable[tuple[np.ndarray, int | None]], progress: Progress) -> None:
    part = folder.with_name(f".{folder.name}-{os.getpid()}")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _write(part, images, progress)
        shutil.rmtree(folder, ignore_errors=True)  # what is not whole
        try:
            part.rename(folder)
        except OSError:
            if _opened(folder) is None:  # else another process has made the same
                raise
        _sync(folder.parent)
    except OSError as error:
        raise BadInput(f"cannot keep prepared images in {folder}: {one_line(error)}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(folder: Path, images: Iterable[tuple[np.ndarray, int | None]], progress: Progress) -> None:
    digest = hashlib.sha256()
    labels: list[int | None] = []
    shape: tuple[int, ...] = ()
    with open(folder / "pixels.npy", "wb") as file:
        for pixels, label in images:
            if not labels:
                shape = pixels.shape
                _header(file, (0, *shape))
            data = pixels.tobytes()
            file.write(data)
            digest.update(data)
            labels.append(label)
            progress(len(labels))
        if not labels:
            raise BadInput("there are no images to prepare")
        file.seek(0)
        _header(file, (len(labels), *shape))  # as long as the first: the format keeps room for the number
        file.flush()
        os.fsync(file.fileno())
    labelled = labels[0] is not None
    if labelled:
        np.save(folder / "labels.npy", np.array(labels, dtype=np.int64))
        _sync(folder / "labels.npy")
    about = {"shape": [len(labels), *shape], "labelled": labelled, "sha256": digest.hexdigest()}
    (folder / "about.json").write_text(json.dumps(about))
    _sync(folder / "about.json")
    _sync(folder)


def _header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
