"""Configurations from files and assignments, laid over one another."""

import inspect
import json
import tomllib
import typing
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from toylab.configuration.settings import Choice, Settings
from toylab.errors import BadInput, one_line
from toylab.files import check_plain, read_given

_DEEPEST = 8  # levels of a dotted key
_NESTED = 32  # tables and lists within each other; whatever goes through them then stays within the stack


def read(path: Path) -> dict[str, Any]:
    """The table in a TOML or JSON file. Raises BadInput where it cannot be read."""
    try:
        text = read_given(path)
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        check_plain(values)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"cannot read the configuration {path}: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise BadInput(f"cannot read the configuration {path}: it must hold a table of settings")
    if not _is_shallow(values):
        raise BadInput(f"cannot read the configuration {path}: tables and lists nested deeper than {_NESTED}")
    return values


def _is_shallow(values: Any) -> bool:
    level = [values]
    for _ in range(_NESTED + 1):
        inside = [list(one.values()) if isinstance(one, Mapping) else one for one in level]
        level = [value for one in inside if isinstance(one, list) for value in one]
    return not level


def overlay(
    kind: type[BaseModel], base: Mapping[str, Any], changes: Mapping[str, Any], whole_tables: bool = False
) -> dict[str, Any]:
    """`base`, settings of `kind`, with `changes` laid over them group by group.

    A choice of another name replaces the old one with its parameters. whole_tables: a table with free keys (the
    methods) is replaced as a whole instead of key by key.
    """
    result = dict(base)
    for key, value in changes.items():
        field = kind.model_fields.get(key)
        inner = field.annotation if field else None
        if inspect.isclass(inner) and issubclass(inner, Choice):
            value = _rechosen(result.get(key), value)
        elif typing.get_origin(inner) is dict and isinstance(value, Mapping):
            old = {} if whole_tables else result.get(key, {})
            of = typing.get_args(inner)[-1]
            if inspect.isclass(of) and issubclass(of, Choice):
                value = {**old, **{name: _rechosen(old.get(name), choice) for name, choice in value.items()}}
            else:
                value = joined(old, value)
        elif inspect.isclass(inner) and issubclass(inner, Settings) and isinstance(value, Mapping):
            value = overlay(inner, result.get(key, {}), value)
        result[key] = value
    return result


def _rechosen(old: Any, new: Any) -> Any:
    return relaid(old, {"name": new} if isinstance(new, str) else new)


def relaid(old: Any, new: Any) -> Any:
    """A choice's settings with new ones laid over them, table by table; another name replaces what stands there."""
    new = {"name": new} if isinstance(old, Mapping) and isinstance(new, str) else new
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    if new.get("name", old.get("name")) != old.get("name"):
        return new
    return {**old, **{key: relaid(old.get(key), value) for key, value in new.items()}}


def nested(key: str, value: Any) -> dict[str, Any]:
    """A dotted key as tables inside each other."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def undotted(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"training.steps": 100, ...} -> {"training": {"steps": 100}, ...}, what `assignments` does with values that are
    no text; keys without dots stay, and join the others. Raises BadInput for a key with an empty part."""
    for key in values:
        if not all(key.split(".")):
            raise BadInput(f"'{key[:60]}' is no key of a setting; one in a group is written like training.steps")
    start: dict[str, Any] = {}
    return reduce(joined, (nested(key, value) for key, value in values.items()), start)


def assignments(texts: typing.Iterable[str]) -> dict[str, Any]:
    """'training.steps=100', ... -> {"training": {"steps": 100}, ...}; a value is JSON where it parses, else text.

    The order does not matter where a choice and its parameters are assigned separately. Raises BadInput.
    """
    start: dict[str, Any] = {}
    return reduce(joined, map(_assignment, texts), start)


def _assignment(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts) or len(parts) > _DEEPEST:
        raise BadInput(f"--set takes key=value, not '{text[:60]}'")
    try:
        parsed: Any = json.loads(value)
    except (ValueError, RecursionError):
        parsed = value.strip()
    if not _is_shallow(parsed):
        raise BadInput(f"--set {key.strip()}: lists nested deeper than {_NESTED}")
    try:
        check_plain([key, parsed])
    except ValueError as error:
        raise BadInput(f"--set takes key=value, and here {error}") from None
    return nested(".".join(parts), parsed)


def joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one, the new over the old; a name joins the parameters that stand at its key."""
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Mapping) and isinstance(before, str):
            before = {"name": before}
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = joined(typing.cast(Any, before), value) if both else value
    return result
