"""Checksums: what is read of a folder is what was written there.

    checksums.json     while files are still being written: name -> SHA-256, after each
    finished.json      when they all are: date and version, `files`, the same table, and `sha256`, that of the rest

A file that has a checksum is held against it whenever it is read. What is appended to, or only looked at, has none:
logs, timings, figures. A folder whose finished.json has no table (one of an older version) is read as it is.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toylab.errors import BadInput
from toylab.files import NoFile, TooLarge, read_whole, write_whole

FINISHED, PENDING = "finished.json", "checksums.json"

_ABOUT = {"date", "version"}
_WRITING = threading.Lock()  # methods train and are measured side by side


class Damaged(BadInput):
    """A file is not as it was written, or not there any more; the message is one line that names it."""


class Checksums:
    """Those of one folder."""

    def __init__(self, folder: Path):
        self._folder = folder

    @property
    def finished(self) -> dict[str, Any] | None:
        """What finished.json says, None where there is none. Raises Damaged."""
        path = self._folder / FINISHED
        if not path.exists():
            return None
        try:
            said = json.loads(read_whole(path))
            keys = set(said) if isinstance(said, dict) else {""}
            seal = said.pop("sha256") if "sha256" in keys else None
        except (NoFile, TooLarge):
            raise Damaged(f"{path} is damaged: it is a pipe or a device, or far too large") from None
        except (ValueError, RecursionError):
            raise Damaged(f"{path} is damaged: it is no JSON") from None
        if not (keys <= _ABOUT if seal is None else seal == _seal(said)):
            raise Damaged(f"{path} is damaged: it is not what its checksum says")
        return dict(said)

    def known(self) -> dict[str, str]:
        """Name -> checksum. Raises Damaged where finished.json is."""
        return {**(self.finished or {}).get("files", {}), **self._pending()}

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all, and then its checksum. Raises OSError."""
        write_whole(self._folder / name, content)
        with _WRITING:
            self._keep({**self._pending(), name: _sha256(content)})

    def read(self, name: str) -> bytes:
        """The content of a file. Raises Damaged where it is not what was written, TooLarge, OSError where it is not
        there and never was."""
        path, expected = self._folder / name, self.known().get(name)
        try:
            content = read_whole(path)
        except NoFile:
            raise Damaged(f"{path} is damaged: it is a pipe or a device") from None
        except FileNotFoundError:
            if expected is None:
                raise
            raise Damaged(f"{path} is lost: it was written, and is not there") from None
        if expected is not None and _sha256(content) != expected:
            raise Damaged(f"{path} is damaged: its content is not what was written")
        return content

    def is_whole(self, name: str) -> bool:
        """Whether a file is there as it was written: one without a checksum is not."""
        try:
            return name in self.known() and self.read(name) is not None
        except Damaged:
            return False

    def damaged(self) -> list[str]:
        """A line for each file that is not as it was written. Raises TooLarge."""
        lines = []
        try:
            for name in self.known():
                try:
                    self.read(name)
                except Damaged as error:
                    lines.append(str(error))
        except Damaged as error:  # finished.json itself
            lines.append(str(error))
        return lines

    def seal(self, about: Mapping[str, str]) -> None:
        """Write finished.json."""
        said = {**about, "files": dict(sorted(self.known().items()))}
        text = json.dumps({**said, "sha256": _seal(said)}, indent=2) + "\n"
        write_whole(self._folder / FINISHED, text)
        (self._folder / PENDING).unlink(missing_ok=True)

    def unseal(self) -> None:
        """Take finished.json away, so that what is damaged can be made anew: all, where it is damaged itself."""
        try:
            self._keep(self.known())
        except Damaged:
            self._keep({})
        (self._folder / FINISHED).unlink(missing_ok=True)

    def _pending(self) -> dict[str, str]:
        """Those of checksums.json; none where it cannot be read, so that nothing counts as whole."""
        try:
            said = json.loads(read_whole(self._folder / PENDING))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return {key: value for key, value in said.items() if isinstance(value, str)} if isinstance(said, dict) else {}

    def _keep(self, sums: Mapping[str, str]) -> None:
        write_whole(self._folder / PENDING, json.dumps(sums, indent=2) + "\n")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _seal(said: Mapping[str, Any]) -> str:
    return _sha256(json.dumps(said, sort_keys=True).encode())
