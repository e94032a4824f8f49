"""Choices that may be somebody's code."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from toylab import outside
from toylab.configuration.settings import Choice, Settings, parameters_of
from toylab.errors import BadInput, one_line


class Coded(Choice):
    """A name from the index, or `module:object` (toylab/outside.py), an object of this `kind`.

    With code that is not toylab's, and with TorchScript files among the settings, goes the hash of their content,
    `code`, by which a configuration means this code and no other. Given another hash than the present one it raises
    BadInput.
    """

    kind: ClassVar[outside.Kind]

    @classmethod
    def _completed(cls, data: Any) -> Any:
        told = data.get("code") if isinstance(data, Mapping) else None
        done = super()._completed({k: v for k, v in data.items() if k != "code"} if told is not None else data)
        try:
            code = cls._code(done)
        except BadInput as error:
            raise ValueError(str(error)) from None
        if told not in (None, code):
            raise ValueError(f"the code of {done['name']} is not that which this configuration names by its hash")
        return done if code is None else {**done, "code": code}

    @classmethod
    def _definition(cls, name: str) -> Callable[..., Any]:
        return cls._loaded(name).factory if outside.is_code(name) else super()._definition(name)

    @classmethod
    def _settings(cls, name: str) -> type[Settings]:
        if not outside.is_code(name):
            return super()._settings(name)
        definition = cls._definition(name)
        try:
            return parameters_of(definition, cls.given)
        except Exception as error:  # types that a configuration cannot hold
            raise BadInput(f"the parameters of {name} cannot be settings: {one_line(error)}") from None

    @classmethod
    def _loaded(cls, name: str) -> outside.Outside:
        return outside.load(name, cls.kind)

    @classmethod
    def _code(cls, done: Mapping[str, Any]) -> str | None:
        """The hash of what is not toylab's own, several joined by a plus; None where all of it is."""
        name, found = done["name"], []
        if outside.is_code(name):
            found.append(cls._loaded(name).code)
        else:
            module = cls.index[name].target.partition(":")[0]
            if module.partition(".")[0] != "toylab":
                found.append(outside.source_hash(module))
        settings = {key: value for key, value in done.items() if key not in ("name", "code")}
        found += map(outside.script_hash, sorted(filter(outside.is_script, outside.named(settings))))
        return "+".join(found) or None

    @property
    def label(self) -> str:
        """Its name where names have no colon: for code from outside `outside`."""
        return "outside" if outside.is_code(self.name) else self.name

    @property
    def parameters(self) -> dict[str, Any]:
        return {key: value for key, value in super().parameters.items() if key != "code"}

    def build(self, *given: Any) -> Any:
        """What is chosen. Raises BadInput where code from outside makes none."""
        if not outside.is_code(self.name):
            return super().build(*given)
        try:
            return outside.checked(self.name, super().build(*given), self.kind)
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"{self.name} cannot be made: {one_line(error)}") from None
