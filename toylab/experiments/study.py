"""Studies: methods trained on one contaminated law, sampled, and measured against the exact laws.

Most experiments are studies and differ in these settings alone. pipeline.py carries them out: laboratory.py makes laws
and training sets of the settings, workshop.py streams and untrained networks, trainings.py trains them, subjects.py
says what is measured, and measuring.py measures it.
"""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from toylab.configuration import Contamination, Law, Settings, some_of
from toylab.contamination import Contaminated
from toylab.errors import BadInput
from toylab.experiments.models import Course, FreeMethods, Models
from toylab.index import METRICS
from toylab.results import ENDLESS

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
    metrics: Annotated[list[str], some_of(METRICS)] = Field(list(CHEAP), description="those that apply are measured")
    references: list[Reference] = Field(list(MEASURED), description="exact scores and samples measured beside methods")


class Study(Models):
    """The settings of a study. size: training points of each seed, None for endless fresh ones."""

    law: Law = Law.model_validate("three-gaussians")
    contamination: Contamination = Contamination.model_validate("none")
    size: int | None = Field(10_000, ge=1, le=100_000_000)
    evaluation: Evaluation = Evaluation()

    @property
    def trainings(self) -> dict[str, Course]:
        """The methods, and twins of them on endless data where the error ledger is asked for."""
        methods = super().trainings
        if not self.evaluation.ledger or self.size is None:
            return methods
        return methods | {ENDLESS + name: training._replace(endless=True) for name, training in methods.items()}

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        try:
            seen = self.contamination.build(self.law.build())
        except BadInput as error:
            raise ValueError(f"contamination: {error}") from None
        try:
            self.network_fits(self.law.build().shape)
        except BadInput as error:
            raise ValueError(str(error)) from None
        if self.evaluation.ledger and not {"eps-mse", "w2"} <= {*self.evaluation.metrics}:
            raise ValueError("evaluation.ledger: needs eps-mse and w2 among the metrics")
        if self.evaluation.ledger and not {*MEASURED} <= {*self.evaluation.references}:
            raise ValueError(f"evaluation.ledger: needs all references, {', '.join(MEASURED)}")
        if self.evaluation.theory and self.law.build().dim > 2:
            raise ValueError("evaluation.theory: exact optima are for laws in one or two dimensions")
        evaluation, schedule = self.evaluation, self.schedule.build()
        if not evaluation.ratio_low < evaluation.ratio_high:
            raise ValueError("evaluation: ratio_low must be below ratio_high")
        for key in ("ratio_low", "ratio_high", "drawn_ratio"):
            try:
                schedule.time(getattr(evaluation, key))
            except BadInput as error:
                raise ValueError(f"evaluation.{key}: {error}") from None
        for name, method in self.objectives.items():
            if getattr(method.build(), "oracle", None) == "labelled" and not isinstance(seen, Contaminated):
                raise ValueError(
                    f"{name} is told which points are contaminated, so it needs a contamination, inlier-noise for "
                    f"example: {self.contamination.name} has nothing to tell"
                )
        return self


class MethodStudy(FreeMethods, Study):
    """A study with a free choice of methods."""
