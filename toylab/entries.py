"""What an index is: names, and where the definition of each lives. Nothing is imported until it is used."""

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

from toylab.errors import BadInput, needs, unknown


class Entry(NamedTuple):
    """Where a definition lives ("module:object") and what it is, in one line.

    needs: (module, extra) of an optional dependency; the entry is listed where that module is installed.
    """

    target: str
    summary: str
    needs: tuple[str, str] | None = None

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
        return self.needs is None or _installed(self.needs[0])


@cache
def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


class Index(Mapping[str, Entry]):
    """Named definitions of one kind, with those of other packages where `group` names an entry-point group."""

    def __init__(self, kind: str, entries: dict[str, Entry], group: str | None = None):
        self.kind = kind
        self._entries = entries
        self._group = group

    def _all(self) -> dict[str, Entry]:
        present = {name: entry for name, entry in self._entries.items() if entry.available}
        if self._group is None:
            return present
        found = metadata.entry_points(group=self._group)
        return {e.name: Entry(e.value, f"from {e.dist.name if e.dist else e.module}") for e in found} | present

    def __getitem__(self, name: str) -> Entry:
        if not isinstance(name, str):  # as a configuration may have it
            raise KeyError(name)
        own = self._entries.get(name)  # first: to ask what is installed takes long
        return own if own and own.available else self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def load(self, name: str) -> Any:
        """Import and return the definition called `name`; BadInput where there is none."""
        own = self._entries.get(name)
        if own is not None and own.needs and not own.available:
            raise BadInput(needs(f"the {self.kind} '{name}'", *own.needs))
        entry = own or self._all().get(name)  # other packages are asked only for what is not known here
        if entry is None:
            raise BadInput(unknown(self.kind, name, self._all()))
        module, _, attribute = entry.target.partition(":")
        return getattr(importlib.import_module(module), attribute)
