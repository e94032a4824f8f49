"""heavy-tails: 10 % of the points by Student's t law with two degrees of freedom, whose variance is infinite.

Three Gaussians; the tails begin among the modes and have no end, unlike the uniform outliers of gmm-outliers. Who
learns them? Losses of robust statistics, which make less of what fits badly, stand beside equivariance with the paper's
settings (arXiv:2505.21742) and with a flat radius, our robust-onesided, and ddpm on clean data. Outlier mass and
leakage say what was learned of the tails, mode-width what that cost.
"""

from typing import Any

from toylab.experiments.pipeline import FIGURES, study_experiment
from toylab.experiments.study import SMOKE, MethodStudy

METHODS: dict[str, Any] = {
    "ddpm": "ddpm",
    "pseudo-huber": "pseudo-huber",
    "trimmed": "trimmed",
    "robust-adv": "robust-adv",
    "robust-ran-flat": {"name": "robust-ran", "radius": "flat"},
    "robust-adv-flat": {"name": "robust-adv", "radius": "flat"},
    "robust-onesided": "robust-onesided",
    "oracle-clean": "oracle-clean",
}

_COMMON: dict[str, Any] = {
    "law": "three-gaussians",
    "contamination": {"name": "heavy-tail", "fraction": 0.1, "df": 2},
    "methods": METHODS,
}

EXPERIMENT = study_experiment(
    MethodStudy, {"smoke": _COMMON | SMOKE, "default": _COMMON | {"seeds": 8}}, figures=FIGURES
)
