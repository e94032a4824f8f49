"""Files that a command writes where -o says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toylab.errors import BadInput
from toylab.files import write_whole


def checked_output(path: Path, *suffixes: str) -> Path:
    """What -o names, before anything is computed for it. Raises BadInput unless it is a file of one of these kinds, in
    a folder that is there."""
    with writing(path):
        if path.suffix in suffixes and path.parent.is_dir() and not path.is_dir():
            return path
    *others, last = suffixes
    kinds = f"{', '.join(others)} or {last}" if others else last
    raise BadInput(f"-o must name a {kinds} file in an existing folder, not {path}")


def written(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. Raises BadInput where it cannot be."""
    with writing(path):
        write_whole(path, content)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises BadInput for whatever keeps a file from being written here."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}") from None
