"""Code from outside: somebody's objective or feature extractor, named on a command line as `module:object`.

Nothing is imported unless its name was admitted before, by who typed it. A configuration can only name code, so one
from a stranger runs none. Modules are found as Python finds them and, last, in the current folder. A TorchScript file,
`PATH.pt`, can read and write files when it is called: it is code as well, and loaded when it was admitted.

The object is one of its kind (toylab/objectives/base.py, toylab/images/features.py), or a class or function that makes
one: its parameters, each with a type and a default, are then its settings. Results of it are kept under the hash of its
source: that of its file, or of all files of the package that it is in. What else it imports is not seen.
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

_SCRIPT = ".pt"

_admitted: set[str] = set()


class Kind(NamedTuple):
    """What code can be. amount: the attribute, a positive number, by which a finished one is known; attributes: what
    else it must have."""

    noun: str
    amount: str
    attributes: tuple[str, ...] = ()


OBJECTIVE = Kind("objective", "evaluations")
FEATURES = Kind("feature extractor", "num_features", ("of", "metric_name", "describe"))


class Outside(NamedTuple):
    """What makes the object, and the hash of its source as it was when it was imported."""

    factory: Callable[..., Any]
    code: str


def is_code(name: str) -> bool:
    """Whether a name is one of code, `module:object`."""
    return _NAME.fullmatch(name) is not None


def is_script(name: str) -> bool:
    """Whether a name is that of a TorchScript file."""
    return name.endswith(_SCRIPT)


def named(values: Any) -> set[str]:
    """Every `module:object` and TorchScript file in nested tables and lists."""
    if isinstance(values, str):
        return {values} if is_code(values) or is_script(values) else set()
    if isinstance(values, Mapping):
        values = values.values()
    return set().union(*map(named, values)) if isinstance(values, Iterable) else set()


def admit(*names: str) -> None:
    """Let these be imported in this process when they are asked for."""
    _admitted.update(names)


def load(name: str, kind: Kind = OBJECTIVE) -> Outside:
    """Import an admitted `module:object`. Raises BadInput for one that was not, and where there is no such object."""
    _check_admitted(name)
    return _imported(name, kind)


def script_hash(name: str) -> str:
    """Of an admitted TorchScript file. Raises BadInput for one that was not, and where it cannot be read."""
    _check_admitted(name)
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise BadInput(f"cannot read {name}: {error.strerror}") from None


def _check_admitted(name: str) -> None:
    if name not in _admitted:
        raise BadInput(f"'{name}' names code, and a configuration that names code is run only with --allow-code")


@cache
def _imported(name: str, kind: Kind) -> Outside:
    module_name, _, attribute = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)  # last, so that no file here hides an installed module
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever a stranger's module raises
        raise BadInput(f"cannot import {name}: {one_line(error)}") from None
    return Outside(_factory(name, found, kind), source_hash(module_name))


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
        raise BadInput(f"{top.__name__} is built into Python, so nothing from outside is in it")
    return [Path(str(top.__file__))]


def _factory(name: str, found: Any, kind: Kind) -> Callable[..., Any]:
    """A class or function is one; around a finished object there is one without parameters."""
    if not inspect.isclass(found) and hasattr(found, kind.amount):

        def factory() -> Any:
            return found

        return factory
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        raise BadInput(f"{name} is no {kind.noun}, and no class or function that makes one") from None
    for p in parameters:
        if p.default is p.empty or p.annotation is p.empty or p.name in _RESERVED:
            raise BadInput(f"{name}: parameter '{p.name}' needs a type, a default, and a name other than code and name")
    return found


def checked(name: str, made: Any, kind: Kind = OBJECTIVE) -> Any:
    """What was made, if it can be of this kind; else BadInput."""
    amount = getattr(made, kind.amount, None)
    if not callable(made) or not isinstance(amount, int | float) or not 0 < amount < math.inf:
        raise BadInput(f"{name} makes no {kind.noun}: it must be callable, and its `{kind.amount}` a positive number")
    lacking = [attribute for attribute in kind.attributes if not hasattr(made, attribute)]
    if lacking:
        raise BadInput(f"{name} makes no {kind.noun}: it has no {', '.join(lacking)}")
    return made
