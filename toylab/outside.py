"""Objectives from outside: somebody's code, named on a command line as `module:object`.

Nothing is imported unless its name was admitted before, by who typed it. A configuration can only name code, so one
from a stranger runs none. Modules are found as Python finds them and, last, in the current folder.

The object is an objective (toylab/objectives/base.py), or a class or function that makes one: its parameters, each with
a type and a default, are then its settings. Results of it are kept under the hash of its source: that of its file, or
of all files of the package that it is in. What else it imports is not seen.
"""

import hashlib
import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from toylab.errors import BadInput, one_line

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", re.ASCII)
_RESERVED = {"name", "code"}  # keys of a configuration

_admitted: set[str] = set()


class Outside(NamedTuple):
    """What makes the objective, and the hash of its source as it was when it was imported."""

    factory: Callable[..., Any]
    code: str


def is_code(name: str) -> bool:
    """Whether a name is one of code, `module:object`."""
    return _NAME.fullmatch(name) is not None


def named(values: Any) -> set[str]:
    """Every `module:object` in nested tables and lists."""
    if isinstance(values, str):
        return {values} if is_code(values) else set()
    if isinstance(values, Mapping):
        values = values.values()
    return set().union(*map(named, values)) if isinstance(values, Iterable) else set()


def admit(*names: str) -> None:
    """Let these be imported in this process when they are asked for."""
    _admitted.update(names)


def load(name: str) -> Outside:
    """Import an admitted `module:object`. Raises BadInput for one that was not, and where there is no such object."""
    if name not in _admitted:
        raise BadInput(f"'{name}' names code, and a configuration that names code is run only with --allow-code")
    return _imported(name)


@cache
def _imported(name: str) -> Outside:
    module_name, _, attribute = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file here hides an installed module
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever a stranger's module raises
        raise BadInput(f"cannot import {name}: {one_line(error)}") from None
    return Outside(_factory(name, found), source_hash(module_name))


def source_hash(module_name: str) -> str:
    """Of an imported module's source: its file, or all files of the package that it is in. Raises BadInput where it has
    none."""
    top = sys.modules[module_name.partition(".")[0]]
    digest = hashlib.sha256()
    for file in _files(top):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _files(top: ModuleType) -> list[Path]:
    if hasattr(top, "__path__"):
        return sorted(file for folder in top.__path__ for file in Path(folder).rglob("*.py"))
    if getattr(top, "__file__", None) is None:
        raise BadInput(f"{top.__name__} is built into Python, so no objective is in it")
    return [Path(str(top.__file__))]


def _factory(name: str, found: Any) -> Callable[..., Any]:
    """A class or function is one; around a finished objective there is one without parameters."""
    if not inspect.isclass(found) and hasattr(found, "evaluations"):

        def factory() -> Any:
            return found

        return factory
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        raise BadInput(f"{name} is no objective, and no class or function that makes one") from None
    for p in parameters:
        if p.default is p.empty or p.annotation is p.empty or p.name in _RESERVED:
            raise BadInput(f"{name}: parameter '{p.name}' needs a type, a default, and a name other than code and name")
    return found


def checked(name: str, objective: Any) -> Any:
    """What was made, if it can be an objective; else BadInput."""
    evaluations = getattr(objective, "evaluations", None)
    if not callable(objective) or not isinstance(evaluations, int | float) or not 0 < evaluations < math.inf:
        raise BadInput(f"{name} makes no objective: it must be callable, and its `evaluations` a positive number")
    return objective
