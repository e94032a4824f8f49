"""Configurations: validated settings, and named choices with their parameters.

A `Settings` class refuses unknown keys and says which are allowed. A `Choice` is a name from an index with
the parameters of the definition behind it, `{"name": "outliers", "fraction": 0.2}`; the name alone stands for
its defaults. Parameters are those of the definition's signature, so a new definition is configurable as soon
as it is in the index. A validated configuration is complete: every default is written out.
"""

import inspect
import json
import tomllib
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from toylab.errors import BadInput, unknown
from toylab.index import CONTAMINATIONS, LAWS, OBJECTIVES, SAMPLERS, SCHEDULES, Index


class Settings(BaseModel):
    """A frozen group of settings; unknown keys are refused with the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(unknown("key", str(key), cls.model_fields))
        return data


class Choice(BaseModel):
    """A name from `index` and the parameters of its definition, all of them written out."""

    model_config = ConfigDict(extra="allow", frozen=True)
    index: ClassVar[Index]
    given: ClassVar[int] = 0  # leading arguments that are given when it is built, so are no parameters

    name: str

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        if isinstance(data, str):
            data = {"name": data}
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise ValueError(f"a {cls.index.kind} is a name, or a table with a name and parameters")
        if data["name"] not in cls.index:
            raise ValueError(unknown(cls.index.kind, data["name"], cls.index))
        parameters = _parameters(cls.index.load(data["name"]), cls.given)
        chosen = parameters.model_validate({k: v for k, v in data.items() if k != "name"})
        return {"name": data["name"], **chosen.model_dump()}

    def build(self, *given: Any) -> Any:
        """Call the definition with the given arguments and these parameters."""
        return self.bind()(*given)

    def bind(self) -> Callable[..., Any]:
        """The definition with these parameters filled in."""
        target = self.index.load(self.name)
        chosen = _parameters(target, self.given).model_validate(self.model_extra or {})
        values = {field: getattr(chosen, field) for field in type(chosen).model_fields}
        return lambda *given: target(*given, **values)


class Law(Choice):
    """A clean law."""

    index = LAWS


class Contamination(Choice):
    """What happens to the clean law before the trainer sees it."""

    index = CONTAMINATIONS
    given = 1


class ScheduleChoice(Choice):
    """A noise schedule."""

    index = SCHEDULES


class Method(Choice):
    """A training objective with its settings."""

    index = OBJECTIVES


class Sampler(Choice):
    """A sampler; its steps are counted elsewhere, as NFE."""

    index = SAMPLERS
    given = 4


@cache
def _parameters(target: Callable[..., Any], given: int) -> type[Settings]:
    """The parameters of a definition as a settings class."""
    hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in list(inspect.signature(target).parameters.values())[given:]:
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    return create_model(target.__name__, __base__=Settings, **fields)


S = typing.TypeVar("S", bound=BaseModel)


def validate(kind: type[S], values: Mapping[str, Any]) -> S:
    """The complete settings, or BadInput with one line: where, what is wrong, what is allowed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        got = "" if first["type"] == "value_error" else f" (got {first['input']!r})"
        raise BadInput(f"{where}: {what}{got}" if where else what) from None


def read(path: Path) -> dict[str, Any]:
    """The table in a TOML or JSON file. Raises BadInput where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"cannot read the configuration {path}: {_one_line(error)}") from None
    if not isinstance(values, dict):
        raise BadInput(f"cannot read the configuration {path}: it must hold a table of settings")
    return values


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, table by table; a choice of another name replaces the old one."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, str) and "name" in old:
            value = {"name": value}
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            renamed = "name" in value and value["name"] != old.get("name")
            result[key] = dict(value) if renamed else merged(old, value)
        else:
            result[key] = value
    return result


def parse_assignment(text: str) -> dict[str, Any]:
    """'training.steps=100' -> {"training": {"steps": 100}}; the value is JSON where it parses, else a string."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise BadInput(f"--set takes key=value, not '{text}'")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value.strip()
    for part in reversed(parts):
        parsed = {part: parsed}
    return typing.cast(dict[str, Any], parsed)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


__all__ = [
    "Choice", "Contamination", "Law", "Method", "Sampler", "ScheduleChoice", "Self", "Settings",
    "merged", "parse_assignment", "read", "validate",
]  # fmt: skip
