"""What can be chosen by name: laws, contaminations, images, schedules, methods, samplers, attacks."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from typing import Any, Self

from pydantic import model_validator

from toylab import outside
from toylab.configuration.settings import Choice, Settings, parameters_of
from toylab.errors import BadInput, one_line
from toylab.index import (
    AIMS,
    ATTACKS,
    CONTAMINATIONS,
    CORRUPTIONS,
    IMAGE_SETS,
    LAWS,
    OBJECTIVES,
    SAMPLERS,
    SCHEDULES,
    SPACINGS,
)  # fmt: skip

_COMPOSED = "composed"  # the name of a list of contaminations
_MOST_STEPS = 16


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


class ImageSet(Choice):
    """Images. They are read when this is built and not before, so a configuration is valid where they are missing."""

    index = IMAGE_SETS

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        return self


class Corruption(Choice):
    """What happens to a fraction of the images before the trainer sees them."""

    index = CORRUPTIONS


class ScheduleChoice(Choice):
    """A noise schedule."""

    index = SCHEDULES


class Method(Choice):
    """A training objective with its settings: a name from the index, or `module:object` (toylab/outside.py).

    With code that is not toylab's goes the hash of its source, `code`, by which a configuration means this code and
    no other. Given another hash than the present one it raises BadInput.
    """

    index = OBJECTIVES

    @classmethod
    def _completed(cls, data: Any) -> Any:
        told = data.get("code") if isinstance(data, Mapping) else None
        done = super()._completed({k: v for k, v in data.items() if k != "code"} if told is not None else data)
        code = cls._code(done["name"])
        if told not in (None, code):
            raise ValueError(f"the code of {done['name']} is not that which this configuration names by its hash")
        return done if code is None else {**done, "code": code}

    @classmethod
    def _definition(cls, name: str) -> Callable[..., Any]:
        return outside.load(name).factory if outside.is_code(name) else super()._definition(name)

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
    def _code(cls, name: str) -> str | None:
        """The hash of the source, None where it is toylab's own."""
        if outside.is_code(name):
            return outside.load(name).code
        module = cls.index[name].target.partition(":")[0]
        return None if module.partition(".")[0] == "toylab" else outside.source_hash(module)

    @property
    def label(self) -> str:
        """Its name where names have no colon: for code from outside `outside`."""
        return "outside" if outside.is_code(self.name) else self.name

    @property
    def parameters(self) -> dict[str, Any]:
        return {key: value for key, value in super().parameters.items() if key != "code"}

    def build(self, *given: Any) -> Any:
        """The objective. Raises BadInput where code from outside makes none."""
        if not outside.is_code(self.name):
            return super().build(*given)
        try:
            return outside.checked(self.name, super().build(*given))
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"{self.name} cannot be made: {one_line(error)}") from None


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
