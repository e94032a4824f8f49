"""Studies: methods trained on one contaminated law, sampled, and measured against the exact laws.

Most experiments are studies and differ in these settings alone. Two neighbours do the work: laboratory.py
makes laws, sources and streams of the settings, pipeline.py trains, samples and measures.
"""

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, get_args

import torch
from pydantic import Field, field_validator, model_validator

from toylab.configuration import (
    Contamination,
    Law,
    Method,
    NetworkChoice,
    Sampler,
    ScheduleChoice,
    Settings,
    Spacing,
)
from toylab.contamination import Contaminated
from toylab.denoisers import Parametrization
from toylab.errors import BadInput, unknown
from toylab.experiments.experiment import RunSettings
from toylab.index import METRICS
from toylab.results import REFERENCES
from toylab.samplers import steps
from toylab.training import Training

Reference = Literal["exact-clean", "exact-contaminated", "clean-samples", "contaminated-samples"]
MEASURED = get_args(Reference)
"""The references that are measured beside the methods, those of the contaminated law where there is one."""

CHEAP = (
    "eps-mse", "leakage", "jacobian-error", "equivariance-error", "w2", "sliced-w2", "frechet", "energy-distance",
    "outlier-mass", "mode-weight", "mode-width", "distance", "normal-std", "tangent-std",
)  # fmt: skip
"""What is measured unless something else is asked for."""

SMOKE: dict[str, Any] = {
    "network": {"width": 32},
    "training": {"steps": 150, "batch": 128},
    "nfe": 20,
    "seeds": 2,
    "samples": 500,
    "evaluation": {"levels": 6, "points": 500, "pair": 250},
}
"""What a study's smoke preset changes: seconds, to see that everything works, and no result."""


class Evaluation(Settings):
    """Field metrics at `levels` noise levels, evenly spaced in log σ/α, with `points` points a level and seed."""

    levels: int = Field(12, ge=1, le=1000)
    ratio_low: float = Field(0.05, gt=0)
    ratio_high: float = Field(8.0, gt=0)
    points: int = Field(2000, ge=2, le=1_000_000)
    pair: int = Field(1000, ge=2, le=20_000, description="points on either side of one transport problem")
    drawn_ratio: float = Field(0.5, gt=0, description="σ/α of the score field drawn")
    theory: bool = Field(False, description="the exact optimum of every objective beside it, in 1-D and 2-D")
    ledger: bool = Field(False, description="the error ledger: optima as in theory, and a twin on endless data each")
    metrics: list[str] = Field(list(CHEAP), description='names, or "all"; those that apply are measured')
    references: list[Reference] = Field(list(MEASURED), description="exact scores and samples measured beside methods")

    @field_validator("metrics", mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """In the index's order, each once."""
        names = [given] if isinstance(given, str) else given
        if not isinstance(names, list) or not names:
            raise ValueError('a list of at least one metric, or "all"')
        if names == ["all"]:
            return list(METRICS)
        for name in names:
            if name not in METRICS:
                raise ValueError(unknown("metric", str(name), [*METRICS, "all"]))
        return [name for name in METRICS if name in names]


class Study(RunSettings):
    """The settings of a study.

    size: training points of each seed, None for endless fresh ones; few_steps: other budgets of evaluations to draw
    samples by, for the metrics of samples.
    """

    law: Law = Law.model_validate("three-gaussians")
    contamination: Contamination = Contamination.model_validate("none")
    size: int | None = Field(10_000, ge=1, le=100_000_000)
    schedule: ScheduleChoice = ScheduleChoice.model_validate("ddpm")
    parametrization: Parametrization = "eps"
    network: NetworkChoice = NetworkChoice.model_validate("mlp")
    training: Training = Training()
    sampler: Sampler = Sampler.model_validate("ddim")
    spacing: Spacing = Spacing.model_validate("t")
    nfe: int = Field(100, ge=2, le=100_000, description="most evaluations of the denoiser a sample may take")
    few_steps: list[Annotated[int, Field(ge=2, le=100_000)]] = Field([], max_length=64)
    samples: int = Field(4000, ge=2, le=10_000_000, description="of each seed")
    evaluation: Evaluation = Evaluation()
    seed: int = Field(0, ge=0, lt=2**53)
    seeds: int = Field(4, ge=1, le=1024)

    @property
    @abstractmethod
    def objectives(self) -> Mapping[str, Method]:
        """What is trained, by name."""

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
    def _can_be_built(self) -> Self:
        try:
            seen = self.contamination.build(self.law.build())
        except BadInput as error:
            raise ValueError(f"contamination: {error}") from None
        try:
            with torch.device("meta"):
                self.network.build(self.law.build().shape)
        except BadInput as error:
            raise ValueError(f"network: {error}") from None
        if self.evaluation.ledger and not {"eps-mse", "w2"} <= {*self.evaluation.metrics}:
            raise ValueError("evaluation.ledger: needs eps-mse and w2 among the metrics")
        if self.evaluation.ledger and not {*MEASURED} <= {*self.evaluation.references}:
            raise ValueError(f"evaluation.ledger: needs all references, {', '.join(MEASURED)}")
        if self.evaluation.theory and self.law.build().dim > 2:
            raise ValueError("evaluation.theory: exact optima are for laws in one or two dimensions")
        rates = self.training.lr
        if isinstance(rates, list) and len(rates) != self.seeds:
            raise ValueError(f"training.lr: one number, or one for each of the {self.seeds} seeds, not {len(rates)}")
        if len({self.nfe, *self.few_steps}) <= len(self.few_steps):
            raise ValueError(f"few_steps: numbers that differ from each other and from nfe = {self.nfe}")
        evaluation, schedule = self.evaluation, self.schedule.build()
        if not evaluation.ratio_low < evaluation.ratio_high:
            raise ValueError("evaluation: ratio_low must be below ratio_high")
        for key in ("ratio_low", "ratio_high", "drawn_ratio"):
            try:
                schedule.time(getattr(evaluation, key))
            except BadInput as error:
                raise ValueError(f"evaluation.{key}: {error}") from None
        try:
            for nfe in (self.nfe, *self.few_steps):
                steps(self.sampler.bind(), nfe)
        except BadInput as error:
            raise ValueError(str(error)) from None
        if not self.objectives:
            raise ValueError("methods: at least one is needed")
        for name, method in self.objectives.items():
            if not re.fullmatch("[a-z0-9][a-z0-9-]{0,63}", name) or name.startswith(REFERENCES):
                raise ValueError(
                    f"methods: a name has at most 64 of a-z, 0-9 and '-', and does not begin with "
                    f"{', '.join(REFERENCES)}; not '{name[:70]}'"
                )
            if getattr(method.build(), "oracle", None) == "labelled" and not isinstance(seen, Contaminated):
                raise ValueError(
                    f"{name} is told which points are contaminated, so it needs a contamination, inlier-noise for "
                    f"example: {self.contamination.name} has nothing to tell"
                )
        return self


class MethodStudy(Study):
    """A study with a free choice of methods. longer: method -> how many times the steps of the others it is trained."""

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

    def steps_of(self, method: str) -> int:
        return max(1, round(self.training.steps * self.longer.get(method, 1.0)))

    def _only(self, names: Sequence[str]) -> Self:
        longer = {name: times for name, times in self.longer.items() if name in names}
        return self.model_copy(update={"methods": {name: self.methods[name] for name in names}, "longer": longer})
