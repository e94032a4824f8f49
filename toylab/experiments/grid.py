"""The axes of a sweep's grid: which keys change together, to what values, and of which methods they are.

A key is dotted as for `--set`. One of methods is `methods.NAME.KEY`, or `methods.*.KEY` for all methods that have it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from toylab.configuration import nested, relaid
from toylab.errors import BadInput
from toylab.experiments.experiment import flat

MOST = 1000
"""So many combinations a grid has at most."""

Labels = Mapping[str, object]
"""Keys of the grid, and what results call their values."""

_METHODS, _ANY = "methods", "*"


class Axis(NamedTuple):
    """Keys that change together, and the points of the axis: a value for each key."""

    keys: tuple[str, ...]
    points: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, text: str, values: Sequence[Any]) -> "Axis":
        """That of an entry of the grid."""
        keys = tuple(key.strip() for key in text.split(","))
        return cls(keys, tuple(tuple(value) if len(keys) > 1 else (value,) for value in values))

    @property
    def entry(self) -> tuple[str, list[Any]]:
        """The entry of the grid that it is of."""
        return ",".join(self.keys), [list(point) if len(self.keys) > 1 else point[0] for point in self.points]

    @property
    def of_methods(self) -> bool:
        """Whether all its keys are of methods."""
        return all(map(is_of_methods, self.keys))

    def only(self, keys: Sequence[str]) -> "Axis":
        """The axis of some of its keys, each point once."""
        index = [self.keys.index(key) for key in keys]
        points = {_text(part): part for point in self.points if (part := tuple(point[i] for i in index))}
        return Axis(tuple(keys), tuple(points.values()))

    def labels(self, point: Sequence[Any]) -> dict[str, object]:
        """Key -> what results call its value: numbers and words as they are, a choice by its name where that tells it
        from the key's other values, all else written out."""
        columns = zip(*self.points, strict=True)
        return {key: _label(value, own) for key, value, own in zip(self.keys, point, columns, strict=True)}


class Version(NamedTuple):
    """A method at a point of the axes that it depends on: of which method it is a version, and where."""

    method: str
    at: Labels


def entries(given: Any) -> dict[str, list[Any]]:
    """A grid with dotted keys, from nested tables too; an entry that comes later wins. Raises ValueError for values
    that are no list, or not one for each of the keys, or the same twice."""
    if not isinstance(given, Mapping):
        raise ValueError("a table of keys with lists of values")
    table: dict[str, Any] = flat(given)
    entry_of = dict[tuple[str, ...], str]()
    for text, values in table.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{text}: a list of at least one value, not {str(values)[:60]!r}")
        keys = [key.strip() for key in text.split(",")]
        if len(keys) > 1 and not all(isinstance(value, list) and len(value) == len(keys) for value in values):
            raise ValueError(f"{text}: for {len(keys)} keys each value is a list of {len(keys)}")
        if len(set(keys)) < len(keys):
            raise ValueError(f"{text}: the same key twice")
        if (other := entry_of.setdefault(tuple(keys), text)) != text:
            raise ValueError(f"'{text}' and '{other}' are the same entry")
        if len({_text(value) for value in values}) < len(values):
            raise ValueError(f"{text}: the same value twice")
        if {"seed", "seeds", "grid"} & {key.partition(".")[0] for key in keys}:
            raise ValueError(f"{text}: a grid goes over neither seeds nor grids")
    return table


def is_of_methods(key: str) -> bool:
    """Whether a key is one of methods."""
    return key.partition(".")[0] == _METHODS


def within(key: str) -> str:
    """What of a key of methods follows the method's name."""
    return key.split(".", 2)[2] if key.count(".") > 1 else ""


def belongs(key: str, name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a key of methods is one of this method."""
    return key.split(".")[1:2] in ([_ANY], [name]) and within(key) in _paths(settings)


def in_full(key: str, methods: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The key, or where it is of methods that of each of these methods that has it."""
    if not is_of_methods(key):
        return [key]
    return [f"{_METHODS}.{name}.{within(key)}" for name, settings in methods.items() if belongs(key, name, settings)]


def versions(
    methods: Mapping[str, Mapping[str, Any]], axes: Sequence[Axis]
) -> Iterator[tuple[str, Version, Mapping[str, Any]]]:
    """Every method at every point of the axes that it depends on, with a name of its own: NAME-1, NAME-2, ..., or its
    name where there is one version alone. Raises BadInput where two would have the same name."""
    taken = set[str]()
    for method, settings in methods.items():
        own = list(_versions(method, settings, axes))
        for number, (changed, at) in enumerate(own, 1):
            name = method if len(own) == 1 else f"{method}-{number}"
            if name in taken:
                raise BadInput(f"{name} would be the name of two methods: rename one")
            taken.add(name)
            yield name, Version(method, at), changed


def _versions(
    name: str, settings: Mapping[str, Any], axes: Sequence[Axis]
) -> Iterator[tuple[Mapping[str, Any], Labels]]:
    own = [axis.only(keys) for axis in axes if (keys := [key for key in axis.keys if belongs(key, name, settings)])]
    for place in product(*(axis.points for axis in own)):
        changed, at = settings, dict[str, object]()
        for axis, point in zip(own, place, strict=True):
            at |= axis.labels(point)
            for key, value in zip(axis.keys, point, strict=True):
                changed = relaid(changed, nested(within(key), value))
        yield changed, at


def _paths(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a table, and of those inside it."""
    for key, value in table.items():
        yield prefix + key
        if isinstance(value, Mapping):
            yield from _paths(value, f"{prefix}{key}.")


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _label(value: Any, values: Sequence[Any]) -> object:
    if isinstance(value, str | int | float):
        return value
    name = value.get("name") if isinstance(value, Mapping) else None
    names = [other.get("name") if isinstance(other, Mapping) else other for other in values]
    return name if isinstance(name, str) and names.count(name) == 1 else _text(value)
