"""A run's figures, as addresses that hold the picture itself."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from toylab.figures import FIGURES
from toylab.files import read_whole
from toylab.page.reading import Shown

_KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


class Picture(NamedTuple):
    """name: of the figure; caption: what it shows; source: a data URI."""

    name: str
    caption: str
    source: str


def pictures(shown: Shown) -> Iterator[Picture]:
    """Every figure of a run folder, or of one in the gallery, in the format that is smaller."""
    folder = shown.run.path / "figures"
    found: dict[str, list[Path]] = {}
    for path in sorted((folder if folder.is_dir() else shown.run.path).iterdir()):
        if path.suffix in _KINDS and path.is_file() and not path.is_symlink():
            found.setdefault(path.stem, []).append(path)
    order = {name: number for number, name in enumerate(FIGURES)}
    for name in sorted(found, key=lambda name: order.get(name, len(order))):
        smallest = min(found[name], key=lambda path: path.stat().st_size)
        content = base64.b64encode(read_whole(smallest)).decode()
        yield Picture(name, _caption(name), f"data:{_KINDS[smallest.suffix]};base64,{content}")


def _caption(name: str) -> str:
    """What the function that draws it says of itself, in one sentence."""
    drawn = FIGURES.get(name)
    text = " ".join((getattr(drawn, "func", drawn).__doc__ or "").split()) if drawn else ""
    return text.partition("; None")[0].partition(". None")[0].rstrip(".") or name
