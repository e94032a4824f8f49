"""Configurations: validated settings, and named choices with their parameters.

A `Settings` class refuses unknown keys and says which are allowed. A `Choice` is a name from an index with
the parameters of the definition behind it, `{"name": "outliers", "fraction": 0.2}`; the name alone stands for
its defaults. Parameters are those of the definition's signature, so a new definition is configurable as soon
as it is in the index. A validated configuration is complete: every default is written out.
"""

import dataclasses
import inspect
import json
import tomllib
import typing
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial, reduce
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from toylab.errors import BadInput, unknown
from toylab.index import (
    AIMS,
    ATTACKS,
    CONTAMINATIONS,
    LAWS,
    OBJECTIVES,
    SAMPLERS,
    SCHEDULES,
    SPACINGS,
    Index,
)  # fmt: skip

_DEEPEST = 8  # levels of a dotted key
_COMPOSED = "composed"  # the name of a list of contaminations
_MOST_STEPS = 16


class Settings(BaseModel):
    """A frozen group of settings: strict types, finite numbers, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

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
        return cls._completed(data)

    @classmethod
    def _completed(cls, data: Any) -> Any:
        """What was given, with every parameter written out."""
        if isinstance(data, Choice):
            return data.model_dump()
        if isinstance(data, str):
            data = {"name": data}
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise ValueError(f"needs the name of a known {cls.index.kind}, or a table with a name and parameters")
        try:
            parameters = _parameters(cls.index.load(data["name"]), cls.given)
        except BadInput as error:
            raise ValueError(str(error)) from None
        chosen = parameters.model_validate({k: v for k, v in data.items() if k != "name"})
        return {"name": data["name"], **chosen.model_dump()}

    @model_validator(mode="after")
    def _can_be_built(self) -> typing.Self:
        if self.given == 0:
            try:
                self.build()
            except (RuntimeError, MemoryError, OverflowError) as error:  # sizes that no machine holds
                raise ValueError(f"cannot be built: {one_line(error)}") from None
        return self

    def build(self, *given: Any) -> Any:
        """Call the definition with the given arguments and these parameters."""
        return self.bind()(*given)

    def bind(self) -> Callable[..., Any]:
        """The definition with these parameters filled in."""
        target = self.index.load(self.name)
        arguments = _arguments(target, self.model_extra or {})
        return partial(target, **arguments)


class Law(Choice):
    """A clean law."""

    index = LAWS

    def build(self) -> Any:
        """The law, one object for the same parameters: some take a second to build, and none ever changes."""
        return _law(self.model_dump_json())


@lru_cache(maxsize=8)
def _law(text: str) -> Any:
    return Law.model_construct(**json.loads(text)).bind()()


class Contamination(Choice):
    """What happens to the clean law before the trainer sees it; a list of them happens one after the other."""

    index = CONTAMINATIONS
    given = 1

    @classmethod
    def _completed(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("name") == _COMPOSED:
            if data.keys() != {"name", "steps"}:
                raise ValueError(f"'{_COMPOSED}' has the key steps, a list of contaminations, and no other")
            data = data["steps"]
        if not isinstance(data, list):
            return super()._completed(data)
        if not 1 <= len(data) <= _MOST_STEPS:
            raise ValueError(f"a list of contaminations has from 1 to {_MOST_STEPS} of them, not {len(data)}")
        return {"name": _COMPOSED, "steps": [super(Contamination, cls)._completed(step) for step in data]}

    def bind(self) -> Callable[..., Any]:
        if self.name != _COMPOSED:
            return super().bind()
        steps = [Contamination.model_validate(step).bind() for step in (self.model_extra or {})["steps"]]
        return lambda law: reduce(lambda seen, contaminate: contaminate(seen), steps, law)


class ScheduleChoice(Choice):
    """A noise schedule."""

    index = SCHEDULES


class Method(Choice):
    """A training objective with its settings."""

    index = OBJECTIVES


class Sampler(Choice):
    """A sampler; its evaluations are counted elsewhere, as NFE."""

    index = SAMPLERS
    given = 4


class Spacing(Choice):
    """Where the steps of a sampler lie."""

    index = SPACINGS
    given = 2


class AttackChoice(Choice):
    """An attack on the sampling trajectory."""

    index = ATTACKS


class AimChoice(Choice):
    """What an attack is after; built from the clean law."""

    index = AIMS
    given = 1


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)


@cache
def _parameters(target: Callable[..., Any], given: int) -> type[Settings]:
    """The parameters of a definition as a settings class; those that are dataclasses become one in turn."""
    hints, fields = _hints(target), {}
    for parameter in list(inspect.signature(target).parameters.values())[given:]:
        kind, default = hints[parameter.name], parameter.default
        if dataclasses.is_dataclass(kind):
            kind = _parameters(typing.cast(Any, kind), 0)
            default = kind.model_validate(dataclasses.asdict(default))
        elif any(getattr(part, "__name__", "") == "Tensor" for part in typing.get_args(kind)):
            kind = float  # "a number, or one a member": a configuration holds numbers
        fields[parameter.name] = (kind, ... if default is parameter.empty else default)
    return create_model(target.__name__, __base__=Settings, **typing.cast(Any, fields))


def _arguments(target: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Validated parameters as the definition takes them."""
    hints = _hints(target)
    return {
        name: hints[name](**_arguments(hints[name], value)) if dataclasses.is_dataclass(hints[name]) else value
        for name, value in values.items()
    }


M = typing.TypeVar("M", bound=BaseModel)


def validate(kind: type[M], values: Mapping[str, Any]) -> M:
    """The complete settings, or BadInput with one line: where, what is wrong, what is allowed."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        got = "" if first["type"] == "value_error" else f" (got {str(first['input'])[:60]!r})"
        raise BadInput(f"{where}: {what}{got}" if where else what) from None


def read(path: Path) -> dict[str, Any]:
    """The table in a TOML or JSON file. Raises BadInput where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"cannot read the configuration {path}: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise BadInput(f"cannot read the configuration {path}: it must hold a table of settings")
    return values


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
    new = {"name": new} if isinstance(new, str) else new
    if not isinstance(old, Mapping) or not isinstance(new, Mapping) or new.get("name", old["name"]) != old["name"]:
        return new
    return joined(old, new)


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
    for part in reversed(parts):
        parsed = {part: parsed}
    return typing.cast(dict[str, Any], parsed)


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


def one_line(error: BaseException) -> str:
    """An error's message on one line; its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
