"""Validated settings, and named choices with the parameters of the definitions behind them."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model, model_validator

from toylab.entries import Index
from toylab.errors import HALF, BadInput, one_line, unknown


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


class Named(Settings):
    """Settings of which some sets have a name in `names`: it stands for all of them but those given beside it."""

    names: ClassVar[Index]

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, data: Any) -> Any:
        data = {"name": data} if isinstance(data, str) else data
        if not isinstance(data, Mapping) or "name" not in data:
            return data
        try:
            meant = dataclasses.asdict(cls.names.load(str(data["name"])))
        except BadInput as error:
            raise ValueError(str(error)) from None
        return {**meant, **{key: value for key, value in data.items() if key != "name"}}


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
            parameters = cls._settings(data["name"])
        except BadInput as error:
            raise ValueError(str(error)) from None
        chosen = parameters.model_validate({k: v for k, v in data.items() if k != "name"})
        return {"name": data["name"], **chosen.model_dump()}

    @classmethod
    def _definition(cls, name: str) -> Callable[..., Any]:
        return typing.cast(Callable[..., Any], cls.index.load(name))

    @classmethod
    def _settings(cls, name: str) -> type[Settings]:
        return parameters_of(cls._definition(name), cls.given)

    @property
    def parameters(self) -> dict[str, Any]:
        """All of them, as validated."""
        return self.model_extra or {}

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
        target = self._definition(self.name)
        return partial(target, **_arguments(target, self.parameters))


def some_of(index: Index) -> BeforeValidator:
    """What a list of names of an index may be: any of them, in the index's order and each once, or "all"."""

    def known(given: Any) -> Any:
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not names:
            raise ValueError(f'a list of at least one {index.kind}, or "all"')
        if names == ["all"]:
            return list(index)
        for name in names:
            if name not in index:
                raise ValueError(unknown(index.kind, str(name), [*index, "all"]))
        return [name for name in index if name in names]

    return BeforeValidator(known)


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)


@cache
def parameters_of(target: Callable[..., Any], given: int) -> type[Settings]:
    """The parameters of a definition as a settings class; those that are dataclasses become one in turn, and take the
    names that a dataclass gives to some of its settings, an Index `names`."""
    hints, fields = _hints(target), {}
    for parameter in list(inspect.signature(target).parameters.values())[given:]:
        kind, default = hints[parameter.name], parameter.default
        if dataclasses.is_dataclass(kind):
            kind = parameters_of(typing.cast(Any, kind), 0)
            default = kind.model_validate(dataclasses.asdict(default))
        elif any(getattr(part, "__name__", "") == "Tensor" for part in typing.get_args(kind)):
            kind = float  # "a number, or one a member": a configuration holds numbers
        fields[parameter.name] = (kind, ... if default is parameter.empty else default)
    names = getattr(target, "names", None)
    base = Settings if names is None else type("Named", (Named,), {"names": names, "__module__": __name__})
    return create_model(target.__name__, __base__=base, **typing.cast(Any, fields))


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
        got = "" if first["type"] == "value_error" else f" (got {_brief(first['input'])})"
        raise BadInput(f"{where}: {what}{got}" if where else what) from None
    except UnicodeEncodeError:
        raise BadInput(HALF) from None


def _brief(value: object) -> str:
    try:
        return repr(str(value)[:60])
    except ValueError:
        return "a number of thousands of digits"
