"""missing-data: in 30 % of the points one of the two coordinates is missing, and was set to 0.

Three Gaussians; what is set to 0 lies on the axes, three short thin lines on each beside the modes: a contamination
with a structure of its own, where uniform outliers have none. Who learns the lines? Methods as in heavy-tails. The
contaminated law is a mixture of Gaussians, some of them without width, so its score is exact here too. Outlier mass and
leakage say what was learned of the lines, mode-width what that cost.
"""

from typing import Any

from toylab.experiments.heavy_tails import METHODS
from toylab.experiments.pipeline import FIGURES, study_experiment
from toylab.experiments.study import SMOKE, MethodStudy

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "missing", "fraction": 0.3},
    "methods": METHODS,
}

EXPERIMENT = study_experiment(
    MethodStudy, {"smoke": _COMMON | SMOKE, "default": _COMMON | {"seeds": 8}}, figures=FIGURES
)
