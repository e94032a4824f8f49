"""The settings of what is trained, and of how it is sampled: the same for laws and for images."""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Self

import torch
from pydantic import Field, model_validator

from toylab.configuration import Method, NetworkChoice, Sampler, ScheduleChoice, Settings, Spacing
from toylab.denoisers import Parametrization
from toylab.errors import BadInput, unknown
from toylab.experiments.experiment import RunSettings
from toylab.results import REFERENCES
from toylab.samplers import steps
from toylab.training import Training


class Course(NamedTuple):
    """A method, for how many steps, and whether it sees endless data instead of the training sets."""

    method: Method
    steps: int
    endless: bool = False


class Models(RunSettings):
    """Methods, each of them trained once a seed, and sampled.

    few_steps: other budgets of evaluations to draw samples by, for the metrics of samples.
    """

    schedule: ScheduleChoice = ScheduleChoice.model_validate("ddpm")
    parametrization: Parametrization = "eps"
    network: NetworkChoice = NetworkChoice.model_validate("mlp")
    training: Training = Training()
    sampler: Sampler = Sampler.model_validate("ddim")
    spacing: Spacing = Spacing.model_validate("t")
    nfe: int = Field(100, ge=2, le=100_000, description="most evaluations of the denoiser a sample may take")
    few_steps: list[Annotated[int, Field(ge=2, le=100_000)]] = Field([], max_length=64)
    samples: int = Field(4000, ge=2, le=10_000_000, description="of each seed")
    seed: int = Field(0, ge=0, lt=2**53)
    seeds: int = Field(4, ge=1, le=1024)

    @property
    @abstractmethod
    def objectives(self) -> Mapping[str, Method]:
        """What is trained, by name."""

    @property
    def trainings(self) -> dict[str, Course]:
        """All that is trained, by name."""
        return {name: Course(method, self.steps_of(name)) for name, method in self.objectives.items()}

    def with_methods(self, names: Sequence[str]) -> Self:
        for name in names:
            if name not in self.objectives:
                raise BadInput(unknown("method", name, self.objectives))
        return self._only(names)

    def steps_of(self, method: str) -> int:
        """How many steps a method is trained."""
        return self.training.steps

    @abstractmethod
    def _only(self, names: Sequence[str]) -> Self:
        """These settings with only the named objectives."""

    @model_validator(mode="after")
    def _can_be_trained_and_sampled(self) -> Self:
        rates = self.training.lr
        if isinstance(rates, list) and len(rates) != self.seeds:
            raise ValueError(f"training.lr: one number, or one for each of the {self.seeds} seeds, not {len(rates)}")
        if len({self.nfe, *self.few_steps}) <= len(self.few_steps):
            raise ValueError(f"few_steps: numbers that differ from each other and from nfe = {self.nfe}")
        try:
            for nfe in (self.nfe, *self.few_steps):
                steps(self.sampler.bind(), nfe)
        except BadInput as error:
            raise ValueError(str(error)) from None
        if not self.objectives:
            raise ValueError("methods: at least one is needed")
        for name in self.objectives:
            if not re.fullmatch("[a-z0-9][a-z0-9-]{0,63}", name) or name.startswith(REFERENCES):
                raise ValueError(
                    f"methods: a name has at most 64 of a-z, 0-9 and '-', and does not begin with "
                    f"{', '.join(REFERENCES)}; not '{name[:70]}'"
                )
        return self

    def network_fits(self, shape: Sequence[int]) -> None:
        """Raises BadInput where the network cannot take samples of this shape."""
        try:
            with torch.device("meta"):  # nothing is drawn or held
                self.network.build(shape)
        except BadInput as error:
            raise BadInput(f"network: {error}") from None


class FreeMethods(Settings):
    """A free choice of methods. longer: method -> how many times the steps of the others it is trained."""

    methods: dict[str, Method]
    longer: dict[str, Annotated[float, Field(gt=0, le=1000)]] = Field({})

    @model_validator(mode="after")
    def _longer_are_methods(self) -> Self:
        for name in self.longer:
            if name not in self.methods:
                raise ValueError(f"longer: {unknown('method', name, self.methods)}")
        return self

    @property
    def objectives(self) -> Mapping[str, Method]:
        return self.methods

    def steps_of(self: Any, method: str) -> int:
        return max(1, round(self.training.steps * self.longer.get(method, 1.0)))

    def _only(self, names: Sequence[str]) -> Self:
        longer = {name: times for name, times in self.longer.items() if name in names}
        return self.model_copy(update={"methods": {name: self.methods[name] for name in names}, "longer": longer})
