"""Writing files so that whoever reads them finds them whole or not at all, and one process at a time; reading what may
come from strangers."""

import errno
import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from toylab.errors import Unable

LARGEST = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
"""Bytes of a file, or of all that is packed in it, that are read at most: half of this machine's memory."""
_SETTINGS = 2**24
_LARGEST_OF = {".json": _SETTINGS, ".csv": 2**28}
"""The same of text, which takes many times as much when it is understood."""


class Unfit(OSError):
    """What has a file's name is not read: it is a pipe or a device, or too large."""

    def __str__(self) -> str:
        return f"{self.filename} is {self.strerror}"


def read_whole(path: Path) -> bytes:
    """The content of a file in a folder that may be a stranger's. Raises Unfit, OSError."""
    found, most = path.stat(), _LARGEST_OF.get(path.suffix, LARGEST)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # a folder says so itself
        raise Unfit(errno.EINVAL, "a pipe or a device, and no file", str(path))
    if found.st_size > most:
        raise _too_large(path, most)
    return path.read_bytes()


def read_given(path: Path) -> str:
    """The text of a file that the user named, also of a pipe, as a shell makes it of `<(command)`. Raises Unfit,
    OSError, UnicodeDecodeError."""
    with path.open("rb") as file:
        content = file.read(_SETTINGS + 1)
    if len(content) > _SETTINGS:
        raise _too_large(path, _SETTINGS)
    return content.decode()


def _too_large(path: Path, most: int) -> Unfit:
    return Unfit(errno.EFBIG, f"larger than {most} bytes", str(path))


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
