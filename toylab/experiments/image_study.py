"""Studies of images: methods trained on a data set, some of it corrupted, sampled, and measured by features.

The same trainer, samplers and attacks as in studies of laws; what differs is that nothing is exact. Samples are held
against clean images by metrics of an extractor's features, beside references measured in the same way:

    clean-samples          clean images of the training set: what perfect samples would reach
    contaminated-samples   the training set as it is trained on
"""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from toylab.configuration import (
    AimChoice,
    AttackChoice,
    Choice,
    Corruption,
    FeatureChoice,
    ImageSet,
    NetworkChoice,
    Settings,
    some_of,
)
from toylab.errors import BadInput
from toylab.experiments.models import FreeMethods, Models
from toylab.index import IMAGE_METRICS

_FEWEST, _FEWEST_CLASSIFIED = 8, 20
"""Samples that metrics need: four groups of two, and ten splits of two for the inception score."""


def by_default(kind: type[Choice], name: str) -> Any:
    """A choice that is made when settings are: this file is read where what it needs is not installed, too."""
    return Field(default_factory=lambda: kind.model_validate(name))


class ImageEvaluation(Settings):
    """What samples are held against: at most `most` clean images of `split`, by metrics of their features."""

    features: FeatureChoice = by_default(FeatureChoice, "digits")
    metrics: Annotated[list[str], some_of(IMAGE_METRICS)] = Field(list(IMAGE_METRICS))
    split: str = Field("test", min_length=1, max_length=32, description="of the data set, that is compared with")
    most: int = Field(50_000, ge=8, le=1_000_000, description="images on either side of a comparison")
    batch: int = Field(500, ge=1, le=100_000, description="samples drawn at a time")
    kept: int = Field(256, ge=1, le=100_000, description="samples of each seed that are stored")


class ImageAttack(Settings):
    """Pushes on the sampling trajectory of all samples, before every evaluation, by several budgets in noise units;
    without budgets there are none."""

    attack: AttackChoice = AttackChoice.model_validate("random")
    aim: AimChoice = AimChoice.model_validate("displacement")
    budgets: list[float] = Field([], max_length=64)

    @field_validator("budgets")
    @classmethod
    def _above_zero(cls, given: list[float]) -> list[float]:
        if any(budget <= 0 for budget in given):
            raise ValueError("positive numbers: without a push, samples are measured anyway")
        return given


class ImageStudy(FreeMethods, Models):
    """The settings of a study of images."""

    data: ImageSet = by_default(ImageSet, "digits")
    corruption: Corruption = Corruption.model_validate("none")
    network: NetworkChoice = by_default(NetworkChoice, "unet")
    evaluation: ImageEvaluation = Field(default_factory=ImageEvaluation)
    attack: ImageAttack = ImageAttack()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name, method in self.objectives.items():
            if getattr(method.build(), "oracle", None) == "labelled" and self.corruption.name == "none":
                raise ValueError(f"{name} is told which images are corrupted, so it needs a corruption")
        fewest = _FEWEST_CLASSIFIED if "is" in self.evaluation.metrics else _FEWEST
        if self.samples < fewest:
            raise ValueError(f"samples: at least {fewest} for these metrics, not {self.samples}")
        if self.attack.budgets and self.attack.aim.name != "displacement":
            raise ValueError("attack.aim: displacement; the others need the law of the data")
        return self

    @property
    def split(self) -> ImageSet:
        """The images that samples are held against. Raises BadInput for a data set without that split."""
        given = self.data.model_dump()
        if "split" not in given:
            raise BadInput(f"the image set {self.data.name} has no splits")
        return ImageSet.model_validate({**given, "split": self.evaluation.split})
