"""Writing files so that whoever reads them finds them whole or not at all, and one process at a time; reading those
that may be a stranger's."""

import io
import itertools
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toylab import process
from toylab.errors import HALF, BadInput, Unable

_SETTINGS = 2**24
_LARGEST_OF = {".json": _SETTINGS, ".csv": 2**28}
"""Bytes of a text that is read, which takes many times as much when it is understood."""


class NoFile(BadInput):
    """What has a file's name is a pipe or a device."""


class TooLarge(BadInput):
    """A file is larger than what is read of its kind."""


def read_whole(path: Path) -> bytes:
    """The content of a file in a folder that may be a stranger's. Raises NoFile, TooLarge, OSError."""
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # a folder says so itself
        raise NoFile(f"{path} is a pipe or a device, and no file")
    check_size(str(path), found.st_size, _LARGEST_OF.get(path.suffix))
    return path.read_bytes()


def read_given(path: Path) -> str:
    """The text of a file that the user named, also of a pipe, as a shell makes it of `<(command)`. Raises TooLarge,
    OSError, UnicodeDecodeError."""
    with path.open("rb") as file:
        content = file.read(_SETTINGS + 1)
    check_size(str(path), len(content), _SETTINGS)
    return content.decode()


def check_size(what: str, size: int, most: int | None = None) -> None:
    """Raises TooLarge for more bytes than these, by default half of the memory."""
    if size > (most or (process.memory().total or math.inf) / 2):
        raise TooLarge(f"{what} is larger than " + (f"{most} bytes" if most else "half of the memory"))


def check_ordinary(folder: Path, links: str = "") -> None:
    """Raises BadInput where a folder that is written to is, or has in it, what is neither file nor folder. links: a
    pattern of names that links may have, since nobody opens what is called so."""
    for one in itertools.chain([folder], folder.rglob("*")):
        if not is_ordinary(one) and not (links and one.is_symlink() and one.match(links)):
            what = "a symbolic link" if one.is_symlink() else "a pipe or a device"
            raise BadInput(f"{one} is {what}: there is none in folders that toylab writes to; remove it")


def is_ordinary(one: Path) -> bool:
    """A file or a folder, if it is still there: a link could lead a writer anywhere, and who opens a pipe waits."""
    try:
        mode = one.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def from_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError, also for what `check_plain` does; RecursionError."""
    said = json.loads(text)
    check_plain(said)
    return said


def check_plain(said: Any) -> None:
    """Raises ValueError for what JSON and TOML can spell and no setting is: halves of characters, which no file holds,
    dates and times, whole numbers of thousands of digits."""

    def refused(value: object) -> None:
        raise ValueError(f"{value} is a date or a time, and no setting is one")

    try:
        json.dumps(said, ensure_ascii=False, default=refused).encode()
    except UnicodeEncodeError:
        raise ValueError(HALF) from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, and the folders it is in: a temporary file of this process, fsync, rename.

    Raises OSError, which names the file, where it cannot be written; what was there before then is as it was.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a table as indented JSON, whole or not at all. Raises OSError."""
    write_whole(path, as_json(content))


def as_json(content: Mapping[str, Any]) -> str:
    """A table as indented JSON."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


@contextmanager
def held(path: Path, doing: str, patience: float = 0.0) -> Iterator[None]:
    """A lock that one process holds at a time, until it leaves or ends in whatever way; the file stays.

    doing: what another holder is at, for the message; patience: seconds to wait for it. Raises Unable where another
    holds it, OSError where the file cannot be made.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    with io.FileIO(path, "a"):  # says why where it cannot be, which the lock does not
        pass
    lock = FileLock(path, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise Unable(f"another process is {doing}: let it end, then repeat this command") from None
    try:
        yield
    finally:
        lock.release()
