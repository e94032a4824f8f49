"""lab: any law x contamination x objective x schedule x sampler, from the command line.

    toylab run lab --set law=ring-of-gaussians --set contamination=inlier-noise --set objective=robust-ran

The objective is trained beside the plain ddpm baseline, with the same data and noise.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from toylab.configuration import Method
from toylab.experiments.pipeline import study_experiment
from toylab.experiments.study import SMOKE, Study


class Lab(Study):
    """A study of one objective; baseline: whether ddpm is trained beside it."""

    objective: Method = Method.model_validate("robust-adv")
    baseline: bool = True

    @property
    def objectives(self) -> Mapping[str, Method]:
        ddpm = {"ddpm": Method.model_validate("ddpm")} if self.baseline else {}
        return ddpm | {self.objective.label: self.objective}

    def _only(self, names: Sequence[str]) -> Self:
        chosen = [method for name, method in self.objectives.items() if name in names and name != "ddpm"]
        objective = chosen[0] if chosen else Method.model_validate("ddpm")
        return self.model_copy(update={"baseline": "ddpm" in names, "objective": objective})


EXPERIMENT = study_experiment(Lab, {"smoke": SMOKE, "default": {}})
