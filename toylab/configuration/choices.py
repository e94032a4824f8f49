"""What can be chosen by name: laws, contaminations, images, schedules, methods, samplers, attacks."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, reduce
from typing import Any, Self

import torch
from pydantic import model_validator

from toylab import outside
from toylab.configuration.coded import Coded
from toylab.configuration.settings import Choice
from toylab.errors import BadInput
from toylab.index import (
    AIMS,
    ATTACKS,
    CONTAMINATIONS,
    CORRUPTIONS,
    FEATURES,
    IMAGE_SETS,
    LAWS,
    NETWORKS,
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
    law = Law.model_construct(**json.loads(text)).bind()()
    if not law.sample(8, torch.Generator().manual_seed(0)).square().sum().isfinite():
        raise BadInput("the law is too wide: squares of its points are beyond all numbers")
    return law


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


class NetworkChoice(Choice):
    """A network; a table without a name is that of the MLP."""

    index = NETWORKS
    given = 3

    @classmethod
    def _completed(cls, data: Any) -> Any:
        return super()._completed({"name": "mlp", **data} if isinstance(data, Mapping) else data)


class Method(Coded):
    """A training objective with its settings."""

    index = OBJECTIVES
    kind = outside.OBJECTIVE


class FeatureChoice(Coded):
    """What image metrics see of an image, with its settings; of the user's TorchScript weights the hash goes with it.

    It is the same object for the same settings, whose features of the same images are computed once.
    """

    index = FEATURES
    kind = outside.FEATURES

    def build(self, *given: Any) -> Any:
        return _features(self.model_dump_json())


@lru_cache(maxsize=2)
def _features(text: str) -> Any:
    return Coded.build(FeatureChoice.model_construct(**json.loads(text)))


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
